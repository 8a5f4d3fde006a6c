// SPDX-License-Identifier: MIT OR Apache-2.0
// Spreads weights over the VRAM of all GPUs, and counts page faults while each GPU reads its part.
//
// c++ -std=c++17 place.cc -lxeplace && ./a.out [FILE]
// XEPLACE_MACHINE names a machine to simulate; without it, it is this host.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <vector>
#include <xeplace.hpp>

constexpr const char *simulated = "cpu=zen switch(4x bmg)";
constexpr std::size_t columns = 48;

static std::string bar(const std::vector<bool> &full) {
    std::string text;
    for (bool cell : full)
        text += cell ? "█" : "░";
    return text;
}

static void *pointer(std::uint64_t address) {
    return reinterpret_cast<void *>(static_cast<std::uintptr_t>(address));
}

/// The VRAM of each tile of each GPU, weighted by its size.
static std::vector<xep_share> regions(const xeplace::machine &machine) {
    std::vector<xep_share> shares;
    for (std::uint32_t gpu = 0; gpu < machine.gpu_count(); gpu++)
        if (machine.describe(gpu).can_mirror)
            for (const xep_region &found : machine.regions(gpu))
                shares.push_back({xeplace::vram(gpu, found.region), found.total >> 20});
    return shares;
}

/// The machine that the environment names; else this host; else, if it has no GPU for this, a simulated one.
static xeplace::machine open_machine() {
    const char *name = std::getenv("XEPLACE_MACHINE");
    xeplace::machine machine = name ? xeplace::machine::named(name) : xeplace::machine::open();
    if (!name && regions(machine).empty()) {
        std::printf("No usable xe GPU on this host: simulating \"%s\"\n", simulated);
        machine = xeplace::machine::simulated(simulated);
    }
    if (machine.is_simulated())
        xeplace::check(xep_sim_set_privileged(machine.get(), 1)); // to read its fault counters
    return machine;
}

/// Tells the GPU of each part where it shall be, and moves it there.
static void place(xeplace::space &space, const std::vector<xep_step> &parts, std::uint64_t length) {
    std::uint64_t before = 0;
    const auto show_progress = [&](std::uint64_t done, std::uint64_t) {
        done += before;
        std::vector<bool> full(columns);
        for (std::size_t column = 0; column < columns; column++)
            full[column] = length * column < done * columns;
        if (isatty(STDERR_FILENO))
            std::fprintf(stderr, "\rprefetch %s%6zu of %zu MiB%s", bar(full).c_str(), std::size_t(done >> 20),
                         std::size_t(length >> 20), done >= length ? "\n" : "");
        return true;
    };
    for (const xep_step &part : parts) {
        const std::vector<std::uint32_t> gpus{part.location.gpu};
        void *address = pointer(part.address);
        space.advise(address, part.length, xeplace::advice::prefer(part.location).for_gpus(gpus)).accepted();
        const auto outcome = space.prefetch(address, part.length, part.location, gpus, show_progress);
        if (!outcome.stays.empty())
            std::printf("%#zx+%#zx: %s\n", std::size_t(outcome.stays[0].address), std::size_t(outcome.stays[0].length),
                        outcome.stays[0].obstacle.text);
        before += part.length;
    }
}

/// Lets the GPU of a part read it. Returns how many page faults that took.
static std::string read_part(const xeplace::machine &machine, xeplace::space &space, const xep_step &part) {
    const std::uint32_t gpu = part.location.gpu;
    xep_svm_counters before{}, after{};
    bool shown = xep_gpu_counters(machine.get(), gpu, &before, sizeof before) == 0;
    space.touch(gpu, pointer(part.address), part.length, XEP_ACCESS_READ);
    shown = shown && xep_gpu_counters(machine.get(), gpu, &after, sizeof after) == 0;
    return shown ? std::to_string(after.page_faults - before.page_faults) : "not shown"; // in debugfs, which is root's
}

static void run(const char *path) {
    const xeplace::machine machine = open_machine();
    const std::vector<xep_share> shares = regions(machine);
    if (shares.empty())
        throw std::runtime_error("no GPU of this machine can be used");
    xeplace::space space(machine);

    // Pages of a file cannot live in VRAM, so it is read and not mapped.
    std::ifstream file;
    std::uint64_t length = 1 << 30;
    if (path) {
        file.open(path, std::ios::binary | std::ios::ate);
        if (!file)
            throw std::runtime_error("the file cannot be read");
        length = static_cast<std::uint64_t>(file.tellg());
        file.seekg(0);
    }
    const xeplace::memory weights = space.allocate(length, xeplace::faulting_gpu());
    if (path && !file.read(static_cast<char *>(weights.data()), static_cast<std::streamsize>(length)))
        throw std::runtime_error("the file cannot be read");

    // Each region of VRAM gets a part that is as large as the region is among all.
    const auto layout = xeplace::layout::shard(shares);
    const std::vector<xep_step> parts = layout.plan(weights.data(), length);
    std::printf("%zu MiB of weights in %zu parts\n", std::size_t(length >> 20), parts.size());
    place(space, parts, length);

    // The same reads, of memory of which nothing was wished.
    const xeplace::memory plain = space.allocate(length, xeplace::faulting_gpu());
    const std::vector<xep_step> plain_parts = layout.plan(plain.data(), length);

    const std::vector<xep_run> residency = space.residency(weights.data(), length);
    const auto start = reinterpret_cast<std::uintptr_t>(weights.data());
    std::printf("\n%64s%10s%13s%13s\n", "", "in VRAM", "page faults", "if unplaced");
    for (std::size_t i = 0; i < parts.size(); i++) {
        const xep_location &vram = parts[i].location;
        std::vector<bool> full(columns);
        std::uint64_t bytes = 0;
        for (const xep_run &found : residency) {
            if (found.place.kind != XEP_PLACE_VRAM || found.place.gpu != vram.gpu || found.place.region != vram.region)
                continue;
            bytes += found.length;
            for (std::size_t column = 0; column < columns; column++)
                if (start + length * column / columns - found.address < found.length)
                    full[column] = true;
        }
        std::printf("gpu %u vram %-5u%s%6zu MiB%13s%13s\n", vram.gpu, vram.region, bar(full).c_str(),
                    std::size_t(bytes >> 20), read_part(machine, space, parts[i]).c_str(),
                    read_part(machine, space, plain_parts[i]).c_str());
    }
}

int main(int argc, char **argv) {
    try {
        run(argc > 1 ? argv[1] : nullptr);
        return EXIT_SUCCESS;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "place: %s\n", error.what());
        return EXIT_FAILURE;
    }
}
