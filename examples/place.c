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
enum { MOST = 256, TILES = 4, RUNS = 4096, COLUMNS = 48 };

static struct xep_machine *machine;
static struct xep_space *space;
static uint64_t length = 1 << 30;

static void fail(const char *why) {
    fprintf(stderr, "place: %s\n", why);
    exit(EXIT_FAILURE);
}

static void check(int status) {
    if (status < 0)
        fail(xep_last_error());
}

/* The VRAM of each tile of each GPU, weighted by its size. */
static uint32_t regions(struct xep_share *shares) {
    uint32_t count = 0;
    for (uint32_t gpu = 0; gpu < xep_machine_gpu_count(machine); gpu++) {
        struct xep_gpu_info info;
        struct xep_region found[TILES];
        size_t tiles;
        check(xep_gpu_describe(machine, gpu, &info, sizeof info));
        check(xep_gpu_regions(machine, gpu, found, TILES, &tiles));
        for (size_t tile = 0; info.can_mirror && tile < tiles && tile < TILES && count < MOST; tile++) {
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
    if (xep_machine_is_simulated(machine))
        check(xep_sim_set_privileged(machine, 1)); /* to read its fault counters */
    return count;
}

/* Maps memory of which nothing is wished yet, and plans which part of it belongs where. */
static void *map(const struct xep_layout *layout, struct xep_step *parts, size_t *count) {
    struct xep_memory *memory; /* the system takes it back at exit */
    struct xep_share nowhere = {xep_default(), 1};
    struct xep_layout any = {.shares = &nowhere, .share_count = 1};
    check(xep_space_allocate(space, length, &any, sizeof any, &memory));
    void *address = xep_memory_address(memory);
    check(xep_layout_plan(layout, sizeof *layout, address, length, parts, MOST, count));
    return address;
}

static int show_progress(void *before, uint64_t done, uint64_t total) {
    (void)total; /* of one part; the bar is about all */
    done += *(uint64_t *)before;
    if (isatty(STDERR_FILENO)) {
        fputs("\rprefetch ", stderr);
        for (uint64_t column = 0; column < COLUMNS; column++)
            fputs(length * column < done * COLUMNS ? "█" : "░", stderr);
        fprintf(stderr, "%6" PRIu64 " of %" PRIu64 " MiB%s", done >> 20, length >> 20, done >= length ? "\n" : "");
    }
    return 0;
}

/* Tells the GPU of a part where it shall be, and moves it there. */
static void place(const struct xep_step *part, uint64_t before) {
    void *address = (void *)(uintptr_t)part->address;
    const uint32_t *gpu = &part->location.gpu;
    struct xep_advice advice = {.locations = &part->location, .location_count = 1, .gpus = gpu, .gpu_count = 1};
    struct xep_prefetch prefetch = {.location = part->location, .map_for = gpu, .map_for_count = 1};
    struct xep_outcome outcome = {0};
    struct xep_stay stay;
    prefetch.progress = show_progress;
    prefetch.user = &before;
    check(xep_space_advise(space, address, part->length, &advice, sizeof advice, NULL, 0, NULL, 0));
    int status = xep_space_prefetch(space, address, part->length, &prefetch, sizeof prefetch, &outcome, sizeof outcome,
                                    &stay, 1);
    if (outcome.stay_count == 0)
        check(status);
    else
        printf("0x%" PRIx64 "+0x%" PRIx64 ": %s\n", stay.address, stay.length, stay.obstacle.text);
}

/* Lets a GPU read its part, and prints how many page faults that took. */
static void read_part(const struct xep_step *part) {
    struct xep_svm_counters before, after;
    uint32_t gpu = part->location.gpu;
    int hidden = xep_gpu_counters(machine, gpu, &before, sizeof before);
    check(xep_space_touch(space, gpu, (void *)(uintptr_t)part->address, part->length, XEP_ACCESS_READ));
    if (hidden < 0 || xep_gpu_counters(machine, gpu, &after, sizeof after) < 0)
        printf("%13s", "not shown"); /* in debugfs, which only root can read */
    else
        printf("%13" PRIu64, after.page_faults - before.page_faults);
}

/* The weights from left to right: full where they are in the VRAM of one part. */
static void show(uint64_t start, const struct xep_run *runs, size_t count, struct xep_location vram) {
    int full[COLUMNS] = {0};
    uint64_t bytes = 0;
    for (const struct xep_run *run = runs; run < runs + count; run++) {
        if (run->place.kind != XEP_PLACE_VRAM || run->place.gpu != vram.gpu || run->place.region != vram.region)
            continue;
        bytes += run->length;
        for (uint64_t column = 0; column < COLUMNS; column++)
            full[column] |= start + length * column / COLUMNS - run->address < run->length;
    }
    printf("gpu %" PRIu32 " vram %-5" PRIu32, vram.gpu, vram.region);
    for (int column = 0; column < COLUMNS; column++)
        fputs(full[column] ? "█" : "░", stdout);
    printf("%6" PRIu64 " MiB", bytes >> 20);
}

int main(int argc, char **argv) {
    static struct xep_share shares[MOST];
    static struct xep_step parts[MOST], plain[MOST];
    static struct xep_run runs[RUNS];
    struct xep_layout layout = {.shares = shares};
    size_t count, run_count;

    layout.share_count = open_machine(shares);
    if (layout.share_count == 0)
        fail("no GPU of this machine can be used");
    check(xep_space_create(machine, &space));

    /* Pages of a file cannot live in VRAM, so it is read and not mapped. */
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : NULL;
    if (argc > 1 && (!file || fseek(file, 0, SEEK_END) < 0))
        fail("the file cannot be read");
    length = file ? (uint64_t)ftell(file) : length;
    void *weights = map(&layout, parts, &count);
    if (file && (rewind(file), fread(weights, 1, length, file) < length))
        fail("the file cannot be read");

    printf("%" PRIu64 " MiB of weights in %zu parts\n", length >> 20, count);
    uint64_t before = 0;
    for (size_t i = 0; i < count; before += parts[i++].length)
        place(&parts[i], before);
    map(&layout, plain, &count); /* the same, with nothing wished */

    check(xep_space_residency(space, weights, length, runs, RUNS, &run_count));
    run_count = run_count < RUNS ? run_count : RUNS;
    printf("\n%64s%10s%13s%13s\n", "", "in VRAM", "page faults", "if unplaced");
    for (size_t i = 0; i < count; i++) {
        show((uintptr_t)weights, runs, run_count, parts[i].location);
        read_part(&parts[i]);
        read_part(&plain[i]);
        putchar('\n');
    }
    check(xep_space_close(space));
    check(xep_machine_close(machine));
    return EXIT_SUCCESS;
}
