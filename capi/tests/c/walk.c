/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every part of the library once, as a program would use it. */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

static void look_around(const struct xep_machine *machine) {
    CHECK(xep_machine_gpu_count(machine) == 2);
    CHECK(xep_machine_is_simulated(machine) == 1);

    struct xep_gpu_info info;
    ANSWERS(0, xep_gpu_describe(machine, 1, &info, sizeof info));
    CHECK(strstr(info.name, "Intel") == info.name);
    CHECK(strlen(info.address) == strlen("0000:03:00.0"));
    CHECK(strncmp(info.node, "/dev/dri/renderD", 16) == 0);
    CHECK(info.region_count == 1 && !info.is_integrated && info.can_mirror && !info.is_lost);

    struct xep_region region;
    size_t count;
    ANSWERS(0, xep_gpu_regions(machine, 0, &region, 1, &count));
    CHECK(count == 1 && region.region == 1 && region.total >= 255 * MIB && region.total <= 256 * MIB);
    ANSWERS(0, xep_gpu_usage(machine, 0, &region, 1, &count));
    CHECK(region.used <= region.total);

    struct xep_capabilities capabilities;
    ANSWERS(0, xep_gpu_capabilities(machine, 0, &capabilities, sizeof capabilities));
    CHECK(capabilities.mirror == XEP_SUPPORT_ENFORCED && capabilities.multi_device == XEP_SUPPORT_ENFORCED);
    CHECK(capabilities.migration_policy == XEP_SUPPORT_ACCEPTED_ONLY);

    struct xep_link link;
    ANSWERS(0, xep_machine_link(machine, 0, 1, &link, sizeof link));
    CHECK(link.verdict == XEP_LINK_CONNECTED && link.fully_visible && link.bytes_per_second > 0);
    CHECK(link.text[0] != '\0');
    ANSWERS(0, xep_machine_probe_link(machine, 0, 1, &link, sizeof link));
    CHECK(link.verdict == XEP_LINK_CONNECTED && link.basis == XEP_BASIS_PROBED);

    uint32_t groups[2] = {7, 8};
    ANSWERS(0, xep_machine_groups(machine, groups, 2, &count));
    CHECK(count == 2 && groups[0] == groups[1]);
    ANSWERS(0, xep_machine_unusable(machine, NULL, 0, &count));
    CHECK(count == 0);
}

static int count_steps(void *user, uint64_t done, uint64_t total) {
    CHECK(done <= total);
    ++*(int *)user;
    return 0;
}

static void place(const struct xep_machine *machine) {
    struct xep_space *space;
    ANSWERS(0, xep_space_create(machine, &space));
    struct xep_member members[4];
    size_t count;
    ANSWERS(0, xep_space_members(space, members, 4, &count));
    CHECK(count == 2 && members[0].gpu == 0 && members[1].gpu == 1);

    /* A wish with a fallback. */
    char *data = mmap(NULL, 10 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    data += 2 * MIB - (uintptr_t)data % (2 * MIB);
    const size_t length = 8 * MIB;
    struct xep_location wanted[] = {xep_vram(1, 1), xep_system()};
    struct xep_advice advice = {0};
    advice.locations = wanted;
    advice.location_count = 2;
    advice.flags = XEP_ADVICE_ATOMICS;
    advice.atomics = XEP_ATOMICS_DEVICE;
    struct xep_report report;
    struct xep_answer answers[8];
    ANSWERS(0, xep_space_advise(space, data, length, &advice, sizeof advice, &report, sizeof report, answers, 8));
    CHECK(report.address == (uintptr_t)data && report.length == length);
    CHECK(report.location.kind == XEP_LOCATION_VRAM && report.location.gpu == 1 && report.step == 0);
    CHECK(report.warnings == 0 && report.elided == 0 && report.passed_over[0] == '\0');
    CHECK(report.answer_count == 4 && answers[0].effect == XEP_EFFECT_STORED);

    /* Advice moves nothing, and the library says so. */
    memset(data, 1, length);
    ANSWERS(0, xep_sim_cpu_touched(machine, data, length, XEP_ACCESS_WRITE));
    struct xep_explanation explanations[4];
    ANSWERS(0, xep_space_explain(space, data, length, explanations, 4, &count));
    CHECK(count == 1 && explanations[0].obstacle.kind == XEP_OBSTACLE_NOT_MOVED_YET);
    CHECK(explanations[0].place.kind == XEP_PLACE_SYSTEM && explanations[0].wished.gpu == 1);

    /* Moved and mapped for both. */
    int steps = 0;
    uint32_t both[] = {0, 1};
    struct xep_prefetch prefetch = {0};
    prefetch.location = wanted[0];
    prefetch.map_for = both;
    prefetch.map_for_count = 2;
    prefetch.chunk = 2 * MIB;
    prefetch.progress = count_steps;
    prefetch.user = &steps;
    struct xep_outcome outcome;
    ANSWERS(0, xep_space_prefetch(space, data, length, &prefetch, sizeof prefetch, &outcome, sizeof outcome, NULL, 0));
    CHECK(outcome.bytes_in_place == length && outcome.bytes_elsewhere == 0 && steps == 4);
    struct xep_run runs[4];
    ANSWERS(0, xep_space_residency(space, data, length, runs, 4, &count));
    CHECK(count == 1 && runs[0].length == length && runs[0].place.kind == XEP_PLACE_VRAM && runs[0].place.gpu == 1);

    /* No fault is left for the GPU that only looks. */
    struct xep_sim_counters before, after;
    ANSWERS(0, xep_sim_counters(machine, 0, &before, sizeof before));
    ANSWERS(0, xep_space_touch(space, 0, data, length, XEP_ACCESS_READ));
    ANSWERS(0, xep_sim_counters(machine, 0, &after, sizeof after));
    CHECK(after.page_faults == before.page_faults && after.bytes_at_peers > before.bytes_at_peers);

    /* What the kernel was told. */
    struct xep_attribute_run told[4];
    ANSWERS(0, xep_space_attributes(space, data, length, told, 4, &count));
    CHECK(count == 2 && told[0].location.kind == XEP_LOCATION_VRAM && told[0].atomics == XEP_ATOMICS_DEVICE);
    CHECK(told[1].foreign_fd == -1);
    ANSWERS(0, xep_space_reset(space, data, length));
    ANSWERS(0, xep_space_attributes(space, data, length, told, 4, &count));
    CHECK(count >= 2 && told[0].location.kind == XEP_LOCATION_DEFAULT && told[0].atomics == XEP_ATOMICS_UNDEFINED);

    /* A prefetch by hand. */
    prefetch.location = xep_system();
    prefetch.map_for = NULL;
    prefetch.map_for_count = 0;
    prefetch.progress = NULL;
    struct xep_prefetch_job *job;
    ANSWERS(0, xep_space_start_prefetch(space, data, length, &prefetch, sizeof prefetch, &job));
    uint64_t done = 0, total = 1;
    ANSWERS(0, xep_prefetch_job_step(job, &done, &total));
    CHECK(done == 2 * MIB && total == length);
    ANSWERS(0, xep_prefetch_job_cancel(job));
    struct xep_stay stays[2];
    ANSWERS(-ECANCELED, xep_prefetch_job_outcome(job, &outcome, sizeof outcome, stays, 2, NULL, 0));
    CHECK(outcome.bytes_in_place == 2 * MIB && outcome.bytes_elsewhere == 6 * MIB && outcome.stay_count == 1);
    CHECK(stays[0].obstacle.kind == XEP_OBSTACLE_CANCELLED && stays[0].length == 6 * MIB);
    ANSWERS(0, xep_prefetch_job_close(job));
    ANSWERS(0, xep_space_close(space));
}

static void allocate(const struct xep_machine *machine) {
    struct xep_share shares[] = {{{XEP_LOCATION_VRAM, 0, 1, 0}, 1}, {{XEP_LOCATION_VRAM, 1, 1, 0}, 3}};
    struct xep_layout layout = {0};
    layout.shares = shares;
    layout.share_count = 2;
    struct xep_step steps[4];
    size_t count;
    ANSWERS(0, xep_layout_plan(&layout, sizeof layout, (void *)(uintptr_t)(64 * MIB), 16 * MIB, steps, 4, &count));
    CHECK(count == 2 && steps[0].length == 4 * MIB && steps[1].length == 12 * MIB && steps[1].location.gpu == 1);

    struct xep_space *space;
    struct xep_memory *memory;
    ANSWERS(0, xep_space_create(machine, &space));
    ANSWERS(0, xep_space_allocate(space, 16 * MIB, &layout, sizeof layout, &memory));
    unsigned char *bytes = xep_memory_address(memory);
    CHECK(bytes != NULL && (uintptr_t)bytes % (2 * MIB) == 0 && xep_memory_length(memory) == 16 * MIB);
    CHECK(bytes[0] == 0 && bytes[16 * MIB - 1] == 0);

    /* What stands already costs nothing in memory whose life is known. */
    struct xep_advice advice = {0};
    advice.locations = &shares[0].location;
    advice.location_count = 1;
    struct xep_report report;
    struct xep_sim_counters before, after;
    ANSWERS(0, xep_sim_counters(machine, 0, &before, sizeof before));
    ANSWERS(0, xep_space_advise(space, bytes, 4 * MIB, &advice, sizeof advice, &report, sizeof report, NULL, 0));
    ANSWERS(0, xep_sim_counters(machine, 0, &after, sizeof after));
    CHECK(report.elided == 1 && report.answer_count == 0 && after.calls == before.calls);

    /* Memory outlives its space as memory. */
    ANSWERS(0, xep_space_close(space));
    bytes[5] = 5;
    ANSWERS(0, xep_memory_close(memory));
}

/* What a runtime does: its own file and vm, lent to a space. */
static void lend(const struct xep_machine *machine) {
    struct xep_space *runtime, *space;
    ANSWERS(0, xep_space_create(machine, &runtime));
    struct xep_member members[2];
    size_t count;
    ANSWERS(0, xep_space_members(runtime, members, 2, &count));
    ANSWERS(0, xep_space_create_empty(machine, &space));
    for (size_t at = 0; at < count; at++) {
        int fd;
        uint32_t vm_id, vm;
        ANSWERS(0, xep_space_vm(runtime, members[at].vm, &fd, &vm_id));
        ANSWERS(0, xep_space_attach(space, fd, vm_id, &vm));
    }
    ANSWERS(0, xep_space_members(space, members, 2, &count));
    CHECK(count == 2 && members[0].gpu == 0 && members[1].gpu == 1);
    ANSWERS(0, xep_space_detach(space, members[0].vm));
    ANSWERS(-ENOENT, xep_space_detach(space, members[0].vm));
    ANSWERS(0, xep_space_close(space));
    /* The runtime's vms are as alive as before. */
    char *data = mmap(NULL, 4 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(data != MAP_FAILED);
    ANSWERS(0, xep_space_touch(runtime, 1, data, 4 * MIB, XEP_ACCESS_WRITE));
    CHECK(munmap(data, 4 * MIB) == 0);
    ANSWERS(0, xep_sim_unmapped(machine, data, 4 * MIB));
    ANSWERS(0, xep_space_close(runtime));
}

int main(void) {
    struct xep_machine *machine;
    ANSWERS(0, xep_machine_open_simulated("cpu=zen switch(2x bmg vram=256M)", &machine));
    look_around(machine);
    place(machine);
    allocate(machine);
    lend(machine);
    ANSWERS(0, xep_machine_close(machine));
    puts("walked");
    return 0;
}
