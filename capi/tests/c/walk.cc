/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Every part of the library once, as a C++ program would use it. */
#include "check.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <xeplace.hpp>

namespace {

template <typename Work>
std::error_code failure(Work work) {
    try {
        work();
    } catch (const std::system_error &error) {
        CHECK(std::strlen(error.what()) > 0);
        return error.code();
    }
    return {};
}

void look_around(const xeplace::machine &machine) {
    CHECK(machine.gpu_count() == 2 && machine.is_simulated() && machine.unusable().empty());
    CHECK(machine.groups().size() == 2 && machine.groups()[0] == machine.groups()[1]);
    CHECK(std::string(machine.describe(0).name).find("Intel") == 0);
    CHECK(machine.regions(0).size() == 1 && machine.usage(1).size() == 1);
    CHECK(machine.capabilities(0).mirror == XEP_SUPPORT_ENFORCED);
    CHECK(machine.link(0, 1).verdict == XEP_LINK_CONNECTED);
    CHECK(machine.probe_link(1, 0).basis == XEP_BASIS_PROBED);
    CHECK(failure([&] { machine.describe(5); }) == std::errc::no_such_file_or_directory);
    CHECK(failure([] { xeplace::machine::simulated("2x"); }) == std::errc::invalid_argument);
}

void place(const xeplace::machine &machine) {
    xeplace::space space(machine);
    CHECK(space.members().size() == 2);
    const xeplace::memory memory =
        space.allocate(8 * MIB, xeplace::layout::interleave(2 * MIB, {{xeplace::vram(0), 1}, {xeplace::vram(1), 1}}));
    CHECK(memory.size() == 8 * MIB && memory.data() != nullptr);
    const auto steps = xeplace::layout(xeplace::vram(1)).plan(memory.data(), memory.size());
    CHECK(steps.size() == 1 && steps[0].location.gpu == 1);

    using xeplace::advice;
    const auto wish = advice::prefer(xeplace::vram(1)).or_else(xeplace::system_memory()).atomics(XEP_ATOMICS_DEVICE);
    const xeplace::report report = space.advise(memory.data(), memory.size(), wish).accepted();
    CHECK(report.found.location.gpu == 1 && report.answers.size() == 4 && report.message().empty());
    CHECK(failure([&] { space.advise(memory.data(), 0, wish).accepted(); }) == std::errc::invalid_argument);
    CHECK(failure([&] { (void)space.advise(memory.data(), 4096, advice()); }) == std::errc::invalid_argument);

    int steps_told = 0;
    const auto told = [&](std::uint64_t, std::uint64_t) { return ++steps_told > 0; };
    const auto all = space.prefetch(memory.data(), memory.size(), xeplace::vram(1), {0, 1}, told, 2 * MIB);
    CHECK(all.completed().found.bytes_in_place == memory.size() && steps_told == 4);
    const auto runs = space.residency(memory.data(), memory.size());
    CHECK(runs.size() == 1 && runs[0].place.kind == XEP_PLACE_VRAM && runs[0].place.gpu == 1);
    CHECK(space.explain(memory.data(), memory.size()).empty());
    CHECK(space.attributes(memory.data(), memory.size()).size() >= 2);

    /* Stopped by the caller, and by an exception of the caller's. */
    const auto stop = [](std::uint64_t, std::uint64_t) { return false; };
    const auto part = space.prefetch(memory.data(), memory.size(), xeplace::system_memory(), {}, stop, 2 * MIB);
    CHECK(part.status() == -ECANCELED && part.stays.size() == 1 && part.found.bytes_in_place == 2 * MIB);
    CHECK(failure([&] { part.completed(); }) == std::errc::operation_canceled);
    bool caught = false;
    try {
        const auto complain = [](std::uint64_t, std::uint64_t) -> bool { throw std::logic_error("enough"); };
        (void)space.prefetch(memory.data(), memory.size(), xeplace::system_memory(), {}, complain, 2 * MIB);
    } catch (const std::logic_error &) {
        caught = true;
    }
    CHECK(caught);
}

void own(const xeplace::machine &machine) {
    xeplace::space first = xeplace::space::empty(machine);
    CHECK(first.members().empty());
    CHECK(failure([&] { first.attach(-1, 1); }) == std::errc::bad_file_descriptor);
    const auto vm = first.add(1);
    const auto [fd, vm_id] = first.vm(vm);
    xeplace::space second = xeplace::space::empty(machine);
    second.detach(second.attach(fd, vm_id));
    xeplace::space moved = std::move(first);
    CHECK(first.get() == nullptr && moved.members().size() == 1);
    xep_space *closed = moved.get();
    moved.close();
    CHECK(moved.get() == nullptr);
    CHECK(xep_space_close(closed) == -EBADF);
    CHECK(failure([&] { moved.members(); }) == std::errc::invalid_argument);
}

} // namespace

int main() {
    const xeplace::machine machine = xeplace::machine::simulated("cpu=zen switch(2x bmg vram=256M)");
    look_around(machine);
    place(machine);
    own(machine);
    std::puts("walked");
    return 0;
}
