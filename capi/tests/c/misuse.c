/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Bad input gets a clear error and changes nothing (promise 7 of docs/design.md). */
#define _GNU_SOURCE
#include "check.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static struct xep_machine *machine;
static struct xep_space *space;
static char *data;

static int advise_at(const struct xep_space *to, const void *address, size_t length, struct xep_report *report) {
    struct xep_location system = xep_system();
    struct xep_advice advice = {0};
    advice.locations = &system;
    advice.location_count = 1;
    return xep_space_advise(to, address, length, &advice, sizeof advice, report, sizeof *report, NULL, 0);
}

static int advise_to(struct xep_location location) {
    struct xep_advice advice = {0};
    advice.locations = &location;
    advice.location_count = 1;
    return xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0);
}

static void null_is_refused_everywhere(void) {
    struct xep_report report;
    struct xep_advice advice = {0};
    struct xep_prefetch prefetch = {0};
    struct xep_outcome outcome;
    struct xep_layout layout = {0};
    struct xep_gpu_info info;
    struct xep_link link;
    size_t count;
    uint32_t number;
    ANSWERS(-EINVAL, xep_machine_open(NULL));
    ANSWERS(-EINVAL, xep_machine_open_simulated(NULL, &machine));
    ANSWERS(-EINVAL, xep_machine_open_simulated("1x bmg", NULL));
    ANSWERS(-EINVAL, xep_machine_open_named(NULL, &machine));
    ANSWERS(-EINVAL, xep_machine_open_recorded(NULL, &machine));
    ANSWERS(-EINVAL, xep_machine_open_with_ioctl(NULL, NULL, &machine));
    ANSWERS(-EINVAL, xep_machine_record(machine, NULL));
    CHECK(xep_machine_gpu_count(NULL) == 0);
    ANSWERS(-EINVAL, xep_machine_groups(machine, NULL, 2, &count));
    ANSWERS(-EINVAL, xep_machine_groups(machine, NULL, 0, NULL));
    ANSWERS(-EINVAL, xep_machine_link(machine, 0, 1, NULL, sizeof link));
    ANSWERS(-EINVAL, xep_gpu_describe(machine, 0, NULL, sizeof info));
    ANSWERS(-EINVAL, xep_gpu_describe(NULL, 0, &info, sizeof info));
    ANSWERS(-EINVAL, xep_space_create(NULL, &space));
    ANSWERS(-EINVAL, xep_space_create(machine, NULL));
    ANSWERS(-EINVAL, xep_space_add(space, 0, NULL));
    ANSWERS(-EINVAL, xep_space_attach(space, 0, 1, NULL));
    ANSWERS(-EINVAL, xep_space_vm(space, 0, NULL, &number));
    ANSWERS(-EINVAL, advise_at(NULL, data, 2 * MIB, &report));
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, NULL, sizeof advice, NULL, 0, NULL, 0));
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 4));
    ANSWERS(-EINVAL, xep_space_prefetch(space, data, 2 * MIB, NULL, sizeof prefetch, &outcome, sizeof outcome, NULL, 0));
    ANSWERS(-EINVAL, xep_space_prefetch(space, data, 2 * MIB, &prefetch, sizeof prefetch, NULL, sizeof outcome, NULL, 0));
    ANSWERS(-EINVAL, xep_space_start_prefetch(space, data, 2 * MIB, &prefetch, sizeof prefetch, NULL));
    ANSWERS(-EINVAL, xep_space_residency(space, data, 2 * MIB, NULL, 0, NULL));
    ANSWERS(-EINVAL, xep_space_allocate(space, 2 * MIB, NULL, sizeof layout, NULL));
    ANSWERS(-EINVAL, xep_layout_plan(NULL, sizeof layout, data, 2 * MIB, NULL, 0, &count));
    CHECK(xep_memory_address(NULL) == NULL && xep_memory_length(NULL) == 0);
    /* A list that is announced has to be there. */
    advice.location_count = 1;
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
    advice.location_count = 0;
    advice.gpu_count = 1;
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
    /* Closing nothing is nothing. */
    ANSWERS(0, xep_machine_close(NULL));
    ANSWERS(0, xep_space_close(NULL));
    ANSWERS(0, xep_memory_close(NULL));
    ANSWERS(0, xep_prefetch_job_close(NULL));
}

static void ranges_that_are_none_are_refused(void) {
    struct xep_report report;
    const uintptr_t absurd[][2] = {
        {4096, 0},                       /* empty */
        {UINTPTR_MAX - 4095, 4096},      /* wraps */
        {UINTPTR_MAX, UINTPTR_MAX},      /* wraps */
        {(uintptr_t)1 << 47, 4096},      /* beyond a process's addresses */
        {((uintptr_t)1 << 47) - 1, 2},   /* half beyond */
        {0xffff800000000000u, 4096},     /* the kernel's half */
    };
    memset(&report, 0x5a, sizeof report);
    for (size_t at = 0; at < sizeof absurd / sizeof absurd[0]; at++) {
        const void *address = (const void *)absurd[at][0];
        const size_t length = absurd[at][1];
        struct xep_outcome outcome;
        struct xep_prefetch prefetch = {0};
        size_t count = 77;
        prefetch.location = xep_system();
        ANSWERS(-EINVAL, advise_at(space, address, length, &report));
        ANSWERS(-EINVAL, xep_space_prefetch(space, address, length, &prefetch, sizeof prefetch, &outcome, sizeof outcome,
                                            NULL, 0));
        ANSWERS(-EINVAL, xep_space_reset(space, address, length));
        ANSWERS(-EINVAL, xep_space_residency(space, address, length, NULL, 0, &count));
        ANSWERS(-EINVAL, xep_space_explain(space, address, length, NULL, 0, &count));
        ANSWERS(-EINVAL, xep_space_touch(space, 0, address, length, XEP_ACCESS_READ));
        ANSWERS(-EINVAL, xep_sim_cpu_touched(machine, address, length, XEP_ACCESS_READ));
        CHECK(count == 77);
    }
    /* Outputs of a refused call are not touched. */
    CHECK(report.step == 0x5a5a5a5a);
}

static void an_unaligned_range_is_rounded_outward_and_says_so(void) {
    struct xep_report report;
    ANSWERS(0, advise_at(space, data + 5000, 4096, &report));
    CHECK(report.address == (uintptr_t)data + 4096 && report.length == 8192);
    CHECK((report.warnings & XEP_WARN_ROUNDED) && (report.warnings & XEP_WARN_CUTS_BLOCK));
    ANSWERS(0, advise_at(space, data, 4 * MIB, &report));
    CHECK(report.address == (uintptr_t)data && report.length == 4 * MIB && report.warnings == 0);
}

static void unknown_things_are_refused(void) {
    struct xep_location odd = xep_vram(0, 1);
    struct xep_link link;
    struct xep_gpu_info info;
    uint32_t vm;
    ANSWERS(-ENOENT, advise_to(xep_vram(2, 1)));
    ANSWERS(-ENOENT, advise_to(xep_vram(0, 2)));
    ANSWERS(-ENOENT, advise_to(xep_vram(0, 0)));
    ANSWERS(-ENOENT, advise_to(xep_vram(0, 0x10001)));
    ANSWERS(-ENOENT, advise_to(xep_host_node(4000)));
    odd.kind = 9;
    ANSWERS(-EINVAL, advise_to(odd));
    odd.kind = XEP_LOCATION_NONE;
    ANSWERS(-EINVAL, advise_to(odd));
    odd.kind = XEP_LOCATION_SYSTEM; /* with a GPU that means nothing there */
    odd.gpu = 1;
    ANSWERS(-EINVAL, advise_to(odd));
    ANSWERS(-ENOENT, xep_gpu_describe(machine, 2, &info, sizeof info));
    ANSWERS(-ENOENT, xep_machine_link(machine, 0, 2, &link, sizeof link));
    ANSWERS(-ENOENT, xep_space_add(space, 9, &vm));
    ANSWERS(-ENOENT, xep_space_detach(space, 900));
    ANSWERS(-ENOENT, xep_space_touch(space, 9, data, 4096, XEP_ACCESS_READ));
    ANSWERS(-EINVAL, xep_space_touch(space, 0, data, 4096, 3));
    ANSWERS(-EINVAL, xep_sim_inject(machine, 99, 0, 1, EIO));
    ANSWERS(-EINVAL, xep_sim_inject(machine, XEP_SIM_MADVISE, 0, 1, -EIO));
}

static void an_advice_means_all_that_it_says(void) {
    struct xep_advice advice = {0};
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0)); /* nothing */
    advice.atomics = XEP_ATOMICS_DEVICE; /* without its flag */
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
    advice.flags = XEP_ADVICE_ATOMICS;
    advice.atomics = 4;
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
    advice.atomics = XEP_ATOMICS_DEVICE;
    advice.flags |= 1u << 30;
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
    advice.flags = XEP_ADVICE_PAT;
    advice.atomics = 0;
    advice.pat = 0x10000;
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
    advice.flags = XEP_ADVICE_MIGRATION_POLICY;
    advice.pat = 0;
    advice.migration_policy = 2;
    ANSWERS(-EINVAL, xep_space_advise(space, data, 2 * MIB, &advice, sizeof advice, NULL, 0, NULL, 0));
}

/* A header from the past, and one from the future. */
static void structures_grow(void) {
    struct { struct xep_advice known; uint32_t later[2]; } longer;
    struct { struct xep_report known; uint64_t later; } answer;
    struct xep_location system = xep_system();
    memset(&longer, 0, sizeof longer);
    memset(&answer, 0x5a, sizeof answer);
    longer.known.locations = &system;
    longer.known.location_count = 1;
    ANSWERS(0, xep_space_advise(space, data, 2 * MIB, &longer.known, sizeof longer, &answer.known, sizeof answer, NULL, 0));
    CHECK(answer.known.location.kind == XEP_LOCATION_SYSTEM && answer.later == 0);
    longer.later[1] = 1;
    ANSWERS(-E2BIG, xep_space_advise(space, data, 2 * MIB, &longer.known, sizeof longer, NULL, 0, NULL, 0));
    /* Up to `gpu_count`: flags and what follows did not exist yet. */
    longer.known.flags = 0xffffffff;
    const size_t old = offsetof(struct xep_advice, flags);
    memset(&answer, 0x5a, sizeof answer);
    ANSWERS(0, xep_space_advise(space, data, 2 * MIB, &longer.known, old, &answer.known,
                                offsetof(struct xep_report, step), NULL, 0));
    CHECK(answer.known.location.kind == XEP_LOCATION_SYSTEM && answer.known.step == 0x5a5a5a5a);
}

static void descriptors_that_are_no_gpu_are_refused(void) {
    uint32_t vm = 77, vm_id;
    int fd, null = open("/dev/null", O_RDONLY), closed = dup(null);
    CHECK(null >= 0 && closed >= 0 && close(closed) == 0);
    ANSWERS(-EBADF, xep_space_attach(space, -1, 1, &vm));
    ANSWERS(-EBADF, xep_space_attach(space, -100, 1, &vm));
    ANSWERS(-EBADF, xep_space_attach(space, closed, 1, &vm));
    ANSWERS(-EBADF, xep_space_attach(space, 1 << 30, 1, &vm));
    ANSWERS(-ENOENT, xep_space_attach(space, null, 1, &vm));
    /* The number 0 is a descriptor like any other here. */
    CHECK(dup2(null, 0) == 0);
    ANSWERS(-ENOENT, xep_space_attach(space, 0, 1, &vm));
    CHECK(close(0) == 0);
    ANSWERS(-EBADF, xep_space_attach(space, 0, 1, &vm));
    CHECK(close(null) == 0);

    /* A vm number that this file does not have. */
    struct xep_member members[2];
    size_t count;
    ANSWERS(0, xep_space_members(space, members, 2, &count));
    ANSWERS(0, xep_space_vm(space, members[0].vm, &fd, &vm_id));
    ANSWERS(-EINVAL, xep_space_attach(space, fd, vm_id + 1000, &vm));
    ANSWERS(-ENOENT, xep_space_vm(space, 900, &fd, &vm_id));
    CHECK(vm == 77);

    /* As number 0 the file of a GPU is as good as under any other. */
    struct xep_space *borrowed;
    CHECK(dup2(fd, 0) == 0);
    ANSWERS(0, xep_space_create_empty(machine, &borrowed));
    ANSWERS(0, xep_space_attach(borrowed, 0, vm_id, &vm));
    struct xep_report report;
    ANSWERS(0, advise_at(borrowed, data, 2 * MIB, &report));
    CHECK(report.answer_count == 1);
    ANSWERS(0, xep_space_close(borrowed));
    CHECK(fcntl(0, F_GETFD) >= 0 && close(0) == 0);
}

static void a_closed_handle_is_an_error_and_nothing_worse(void) {
    struct xep_machine *other_machine;
    struct xep_space *other;
    struct xep_memory *memory;
    struct xep_prefetch_job *job;
    struct xep_report report;
    struct xep_share share = {{XEP_LOCATION_SYSTEM, 0, 0, 0}, 1};
    struct xep_layout layout = {0};
    struct xep_prefetch prefetch = {0};
    uint64_t done, total;
    layout.shares = &share;
    layout.share_count = 1;
    prefetch.location = xep_system();
    ANSWERS(0, xep_machine_open_simulated("2x bmg vram=256M", &other_machine));
    ANSWERS(0, xep_space_create(other_machine, &other));
    ANSWERS(0, xep_machine_close(other_machine));
    ANSWERS(-EBADF, xep_machine_close(other_machine));
    ANSWERS(-EBADF, xep_space_create(other_machine, &space));
    CHECK(xep_machine_gpu_count(other_machine) == 0);

    /* The space goes on without its machine's handle, and the job and the memory without the space's. */
    ANSWERS(0, advise_at(other, data, 2 * MIB, &report));
    ANSWERS(0, xep_space_allocate(other, 2 * MIB, &layout, sizeof layout, &memory));
    ANSWERS(0, xep_space_start_prefetch(other, data, 2 * MIB, &prefetch, sizeof prefetch, &job));
    ANSWERS(0, xep_space_close(other));
    ANSWERS(-EBADF, xep_space_close(other));
    ANSWERS(-EBADF, advise_at(other, data, 2 * MIB, &report));
    ANSWERS(-EBADF, xep_space_reset(other, data, 2 * MIB));
    ANSWERS(-EBADF, xep_prefetch_job_step(job, &done, &total));
    ANSWERS(0, xep_prefetch_job_close(job));
    ANSWERS(-EBADF, xep_prefetch_job_close(job));
    ANSWERS(-EBADF, xep_prefetch_job_step(job, &done, &total));
    ANSWERS(0, xep_memory_close(memory));
    ANSWERS(-EBADF, xep_memory_close(memory));
    CHECK(xep_memory_address(memory) == NULL && xep_memory_length(memory) == 0);

    /* Neither is a handle of another kind, nor any address. */
    ANSWERS(-EBADF, xep_space_close((struct xep_space *)machine));
    ANSWERS(-EBADF, advise_at((const struct xep_space *)data, data, 2 * MIB, &report));
    ANSWERS(-EBADF, advise_at((const struct xep_space *)(uintptr_t)1, data, 2 * MIB, &report));
    ANSWERS(-EBADF, advise_at((const struct xep_space *)UINTPTR_MAX, data, 2 * MIB, &report));

    /* A closed handle stays closed when its place is taken. */
    struct xep_space *next;
    ANSWERS(0, xep_space_create(machine, &next));
    ANSWERS(-EBADF, advise_at(other, data, 2 * MIB, &report));
    ANSWERS(0, advise_at(next, data, 2 * MIB, &report));
    ANSWERS(0, xep_space_close(next));
}

static void absurd_machines_are_refused(void) {
    struct xep_machine *none = machine;
    char longest[5000];
    memset(longest, '(', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    const char *absurd[] = {"2x", "99999999999x bmg", "bmg vram=", "bmg vram=99999999999999T", "switch(2x bmg", ")", "\xff\xfe",
                            "cpu=pdp11 bmg", "bmg tiles=0", "0x bmg", longest};
    for (size_t at = 0; at < sizeof absurd / sizeof absurd[0]; at++) {
        ANSWERS(-EINVAL, xep_machine_open_simulated(absurd[at], &none));
        CHECK(none == machine);
    }
    ANSWERS(-ENOENT, xep_machine_open_recorded("/nonexistent/recording", &none));
    ANSWERS(-EINVAL, xep_machine_open_named("/nonexistent/recording", &none));
    CHECK(none == machine);
}

static void errno_stays_as_it_was(void) {
    struct xep_report report;
    errno = 1234;
    ANSWERS(0, advise_at(space, data, 2 * MIB, &report));
    CHECK(errno == 1234);
    ANSWERS(-EINVAL, advise_at(space, data, 0, &report));
    CHECK(errno == 1234);
    /* Whatever the kernel has said on the way. */
    uint32_t vm;
    struct xep_machine *none;
    ANSWERS(-EBADF, xep_space_attach(space, -1, 1, &vm));
    CHECK(errno == 1234);
    ANSWERS(-ENOENT, xep_machine_open_recorded("/nonexistent/recording", &none));
    CHECK(errno == 1234);
}

static void a_forked_child_is_told_so(void) {
    struct xep_report report;
    fflush(NULL);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        struct xep_space *own = NULL;
        ANSWERS(-ECHILD, advise_at(space, data, 2 * MIB, &report));
        ANSWERS(-ECHILD, xep_space_reset(space, data, 2 * MIB));
        ANSWERS(-ECHILD, xep_space_create(machine, &own));
        CHECK(own == NULL);
        ANSWERS(0, xep_space_close(space));
        _exit(0);
    }
    int how;
    CHECK(waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0);
    ANSWERS(0, advise_at(space, data, 2 * MIB, &report));
}

int main(void) {
    char *memory = mmap(NULL, 6 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    data = memory + (2 * MIB - (uintptr_t)memory % (2 * MIB));
    ANSWERS(0, xep_machine_open_simulated("cpu=zen switch(2x bmg vram=256M)", &machine));
    ANSWERS(0, xep_space_create(machine, &space));
    null_is_refused_everywhere();
    ranges_that_are_none_are_refused();
    an_unaligned_range_is_rounded_outward_and_says_so();
    unknown_things_are_refused();
    an_advice_means_all_that_it_says();
    structures_grow();
    descriptors_that_are_no_gpu_are_refused();
    a_closed_handle_is_an_error_and_nothing_worse();
    absurd_machines_are_refused();
    errno_stays_as_it_was();
    a_forked_child_is_told_so();
    ANSWERS(0, xep_space_close(space));
    ANSWERS(0, xep_machine_close(machine));
    puts("refused");
    return 0;
}
