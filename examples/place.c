/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Spreads weights over the VRAM of all GPUs, and counts page faults while each GPU reads its part.
 *
 * cc place.c -lxeplace && ./a.out [FILE]
 * XEPLACE_MACHINE names a machine to simulate; without it, it is this host.
 */
#define _POSIX_C_SOURCE 200809L /* isatty */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <xeplace.h>

#define SIMULATED "cpu=zen switch(4x bmg)"
enum { MOST = 256, COLUMNS = 48 };

/* Weights, or memory to compare with: whose part is where, and the page faults that each GPU took on it. */
struct parts {
    struct xep_memory *memory;
    struct xep_step steps[MOST];
    size_t count;
    uint64_t faults[MOST];
};

static struct xep_machine *machine;
static struct xep_space *space;
static struct parts weights, plain;
static uint64_t length = 1 << 30;

static void fail(const char *why) {
    fprintf(stderr, "place: %s\n", why);
    exit(EXIT_FAILURE);
}

static void check(int status) {
    if (status < 0)
        fail(xep_last_error());
}

static void *pointer(uint64_t address) {
    return (void *)(uintptr_t)address;
}

/* The VRAM of each tile of each GPU, weighted by its size. */
static uint32_t regions(struct xep_share *shares) {
    uint32_t count = 0;
    for (uint32_t gpu = 0; gpu < xep_machine_gpu_count(machine) && gpu < MOST; gpu++) {
        struct xep_gpu_info info;
        struct xep_region found[4];
        size_t tiles;
        check(xep_gpu_describe(machine, gpu, &info, sizeof info));
        check(xep_gpu_regions(machine, gpu, found, 4, &tiles));
        for (size_t tile = 0; info.can_mirror && tile < tiles && tile < 4 && count < MOST; tile++) {
            shares[count].location = xep_vram(gpu, found[tile].region);
            shares[count++].weight = found[tile].total >> 20;
        }
    }
    return count;
}

/* Opens the machine that the environment names; else this host; else, if it has no GPU for this, a simulated one. */
static uint32_t open_machine(struct xep_share *shares) {
    const char *name = getenv("XEPLACE_MACHINE");
    check(name ? xep_machine_open_named(name, &machine) : xep_machine_open(&machine));
    uint32_t count = regions(shares);
    if (count == 0 && !name) {
        printf("No usable xe GPU on this host: simulating \"%s\"\n", SIMULATED);
        check(xep_machine_close(machine));
        check(xep_machine_open_simulated(SIMULATED, &machine));
        count = regions(shares);
    }
    if (count == 0)
        fail("no GPU of this machine can be used");
    if (xep_machine_is_simulated(machine))
        check(xep_sim_set_privileged(machine, 1)); /* to read its fault counters */
    return count;
}

/* Maps memory of which nothing is wished yet, and plans who gets which part of it. */
static void plan(struct parts *parts, const struct xep_share *shares, uint32_t count) {
    struct xep_share nowhere = {xep_default(), 1};
    struct xep_layout any = {.shares = &nowhere, .share_count = 1};
    struct xep_layout layout = {.shares = shares, .share_count = count};
    check(xep_space_allocate(space, length, &any, sizeof any, &parts->memory));
    check(xep_layout_plan(&layout, sizeof layout, xep_memory_address(parts->memory), length, parts->steps, MOST,
                          &parts->count));
}

static int show_progress(void *before, uint64_t done, uint64_t total) {
    (void)total; /* of this part; the bar is about all */
    done += *(uint64_t *)before;
    if (isatty(STDERR_FILENO)) {
        fputs("\rprefetch ", stderr);
        for (uint64_t column = 0; column < COLUMNS; column++)
            fputs(length * column < done * COLUMNS ? "█" : "░", stderr);
        fprintf(stderr, "%6" PRIu64 " of %" PRIu64 " MiB%s", done >> 20, length >> 20, done >= length ? "\n" : "");
    }
    return 0;
}

/* Tells the GPU of a step where its part shall be, and moves it there. */
static void place(const struct xep_step *step, uint64_t before) {
    const uint32_t *gpu = &step->location.gpu;
    struct xep_advice advice = {.locations = &step->location, .location_count = 1, .gpus = gpu, .gpu_count = 1};
    struct xep_prefetch prefetch = {.location = step->location, .map_for = gpu, .map_for_count = 1};
    struct xep_outcome outcome = {0};
    struct xep_stay stay;
    prefetch.progress = show_progress;
    prefetch.user = &before;
    check(xep_space_advise(space, pointer(step->address), step->length, &advice, sizeof advice, NULL, 0, NULL, 0));
    int status = xep_space_prefetch(space, pointer(step->address), step->length, &prefetch, sizeof prefetch, &outcome,
                                    sizeof outcome, &stay, 1);
    if (outcome.stay_count > 0)
        printf("0x%" PRIx64 "+0x%" PRIx64 ": %s\n", stay.address, stay.length, stay.obstacle.text);
    else
        check(status);
}

/* Lets each GPU read its part. Says whether the page faults that this takes are shown. */
static int read_parts(struct parts *parts) {
    int shown = 1;
    for (size_t i = 0; i < parts->count; i++) {
        const struct xep_step *step = &parts->steps[i];
        uint32_t gpu = step->location.gpu;
        struct xep_svm_counters before, after;
        shown &= xep_gpu_counters(machine, gpu, &before, sizeof before) == 0;
        check(xep_space_touch(space, gpu, pointer(step->address), step->length, XEP_ACCESS_READ));
        shown &= xep_gpu_counters(machine, gpu, &after, sizeof after) == 0;
        if (shown)
            parts->faults[gpu] += after.page_faults - before.page_faults;
    }
    return shown;
}

/* One line: the weights from left to right, full where they are in the VRAM of a GPU. */
static void show(uint32_t gpu, const struct xep_run *runs, size_t count, int shown) {
    uint64_t start = (uintptr_t)xep_memory_address(weights.memory), bytes = 0;
    int full[COLUMNS] = {0};
    for (size_t i = 0; i < count; i++) {
        if (runs[i].place.kind != XEP_PLACE_VRAM || runs[i].place.gpu != gpu)
            continue;
        bytes += runs[i].length;
        for (uint64_t column = 0; column < COLUMNS; column++) {
            uint64_t address = start + length * column / COLUMNS;
            full[column] |= address >= runs[i].address && address < runs[i].address + runs[i].length;
        }
    }
    printf("gpu %-3" PRIu32 "  ", gpu);
    for (int column = 0; column < COLUMNS; column++)
        fputs(full[column] ? "█" : "░", stdout);
    printf("%6" PRIu64 " MiB", bytes >> 20);
    if (shown)
        printf("%13" PRIu64 "%9" PRIu64 "\n", weights.faults[gpu], plain.faults[gpu]);
    else
        printf("%13s%9s\n", "?", "?");
}

int main(int argc, char **argv) {
    static struct xep_share shares[MOST];
    uint32_t count = open_machine(shares), gpus = 0;
    check(xep_space_create(machine, &space));

    /* Pages of a file cannot live in VRAM, so it is read and not mapped. */
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (argc > 1 && (!file || fseek(file, 0, SEEK_END) < 0))
        fail("the file cannot be read");
    length = file ? (uint64_t)ftell(file) : length;
    plan(&weights, shares, count);
    if (file && (fseek(file, 0, SEEK_SET) < 0 || fread(xep_memory_address(weights.memory), 1, length, file) < length))
        fail("the file cannot be read");
    for (uint32_t i = 0; i < count; i++)
        gpus += i == 0 || shares[i].location.gpu != shares[i - 1].location.gpu;
    printf("%" PRIu64 " MiB of weights for %" PRIu32 " GPUs\n", length >> 20, gpus);

    uint64_t before = 0;
    for (size_t i = 0; i < weights.count; before += weights.steps[i++].length)
        place(&weights.steps[i], before);
    size_t run_count;
    void *address = xep_memory_address(weights.memory);
    check(xep_space_residency(space, address, length, NULL, 0, &run_count));
    struct xep_run *runs = calloc(run_count, sizeof *runs);
    ...
}
