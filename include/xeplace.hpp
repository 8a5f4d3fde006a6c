/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * xeplace for C++17: ownership and exceptions over the C functions of xeplace.h, and nothing of its own.
 *
 * Every failure is a std::system_error with the errno in std::generic_category() and xep_last_error() as its text. Advice
 * and prefetches that were carried out and met a refusal return and tell: report::accepted() and outcome::completed()
 * turn that into the same exception. Handles are closed by their destructors and can be moved.
 */
#ifndef XEPLACE_HPP
#define XEPLACE_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "xeplace.h"

namespace xeplace {

/// Throws what the C function has said, if it has failed.
inline void check(int status) {
    if (status < 0)
        throw std::system_error(-status, std::generic_category(), xep_last_error());
}

using location = ::xep_location;

/// The VRAM of whichever GPU faults.
inline location faulting_gpu() { return xep_default(); }
/// Host memory.
inline location system_memory() { return xep_system(); }
/// Host memory of one NUMA node.
inline location host_node(std::uint32_t node) { return xep_host_node(node); }
/// One region of a GPU's VRAM.
inline location vram(std::uint32_t gpu, std::uint32_t region = 1) { return xep_vram(gpu, region); }

namespace detail {

/// Owns a handle.
template <typename T, int (*Close)(T *)>
class handle {
public:
    handle() = default;
    handle(handle &&other) noexcept : pointer_(std::exchange(other.pointer_, nullptr)) {}
    handle &operator=(handle &&other) noexcept {
        std::swap(pointer_, other.pointer_);
        return *this;
    }
    ~handle() { Close(pointer_); }

    /// For the C functions.
    T *get() const { return pointer_; }
    /// Closes it now.
    void close() { check(Close(std::exchange(pointer_, nullptr))); }

protected:
    T *pointer_ = nullptr;
};

/// All that a C function lists: asked again with more room as long as there was more than room.
template <typename T, typename Call>
std::vector<T> list(Call call) {
    std::vector<T> found(16);
    for (;;) {
        std::size_t count = 0;
        check(call(found.data(), found.size(), &count));
        const bool fits = count <= found.size();
        found.resize(count);
        if (fits)
            return found;
    }
}

/// A structure that a C function fills.
template <typename T, typename Call>
T filled(Call call) {
    T value{};
    check(call(&value, sizeof value));
    return value;
}

} // namespace detail

/// What a call that was carried out has met.
class result {
public:
    /// 0, or a negative errno.
    int status() const { return status_; }
    /// In words.
    const std::string &message() const { return message_; }

protected:
    explicit result(int status) : status_(status), message_(status < 0 ? xep_last_error() : "") {}
    void pass() const {
        if (status_ < 0)
            throw std::system_error(-status_, std::generic_category(), message_);
    }

private:
    int status_;
    std::string message_;
};

/// What became of an advice.
class [[nodiscard]] report : public result {
public:
    report(int status, const xep_report &found, std::vector<xep_answer> answers)
        : result(status), found(found), answers(std::move(answers)) {}
    /// This report, or the first refusal as an exception.
    const report &accepted() const {
        pass();
        return *this;
    }

    xep_report found;
    std::vector<xep_answer> answers;
};

/// What a prefetch achieved.
class [[nodiscard]] outcome : public result {
public:
    outcome(int status, const xep_outcome &found, std::vector<xep_stay> stays, std::vector<xep_unmapped> unmapped)
        : result(status), found(found), stays(std::move(stays)), unmapped(std::move(unmapped)) {}
    /// This outcome, or the first obstacle as an exception.
    const outcome &completed() const {
        pass();
        return *this;
    }

    xep_outcome found;
    std::vector<xep_stay> stays;
    std::vector<xep_unmapped> unmapped;
};

/// A wish.
class advice {
public:
    advice() = default;
    /// A preferred location.
    static advice prefer(const location &wanted) { return advice().or_else(wanted); }
    /// The next location to try where not all vms can live with the ones before.
    advice &&or_else(const location &next) && {
        locations_.push_back(next);
        return std::move(*this);
    }
    advice &&atomics(xep_atomics mode) && { return set(XEP_ADVICE_ATOMICS, &xep_advice::atomics, mode); }
    advice &&pat(std::uint32_t index) && { return set(XEP_ADVICE_PAT, &xep_advice::pat, index); }
    advice &&migration_policy(xep_migration_policy policy) && {
        return set(XEP_ADVICE_MIGRATION_POLICY, &xep_advice::migration_policy, policy);
    }
    advice &&purgeable(bool purgeable) && { return set(XEP_ADVICE_PURGEABLE, &xep_advice::purgeable, purgeable); }
    /// Only the vms of these GPUs will use the range.
    advice &&for_gpus(std::vector<std::uint32_t> gpus) && {
        gpus_ = std::move(gpus);
        return std::move(*this);
    }
    /// If one vm refuses, the vms that did not get their recorded wishes back.
    advice &&strict() && {
        plain_.flags |= XEP_ADVICE_STRICT;
        return std::move(*this);
    }

    /// For the C functions; points into this advice.
    xep_advice plain() const {
        xep_advice plain = plain_;
        plain.locations = locations_.data();
        plain.location_count = static_cast<std::uint32_t>(locations_.size());
        plain.gpus = gpus_.data();
        plain.gpu_count = static_cast<std::uint32_t>(gpus_.size());
        return plain;
    }

private:
    advice &&set(xep_advice_flags flag, std::uint32_t xep_advice::*field, std::uint32_t value) {
        plain_.flags |= flag;
        plain_.*field = value;
        return std::move(*this);
    }

    xep_advice plain_{};
    std::vector<location> locations_;
    std::vector<std::uint32_t> gpus_;
};

/// How a range is spread over several locations.
class layout {
public:
    /// All of it in one location.
    layout(const location &only) : shares_{{only, 1}} {}
    /// One contiguous part for each location, as large as its weight says.
    static layout shard(std::vector<xep_share> shares) { return layout(std::move(shares), 0); }
    /// Stripes of `bytes`, a multiple of 2 MiB, dealt out in turn.
    static layout interleave(std::uint64_t bytes, std::vector<xep_share> shares) {
        return layout(std::move(shares), bytes);
    }
    /// The steps for a range.
    std::vector<xep_step> plan(const void *address, std::size_t length) const {
        const xep_layout from = plain();
        return detail::list<xep_step>([&](xep_step *steps, std::size_t capacity, std::size_t *count) {
            return xep_layout_plan(&from, sizeof from, address, length, steps, capacity, count);
        });
    }

    /// For the C functions; points into this layout.
    xep_layout plain() const {
        xep_layout plain{};
        plain.shares = shares_.data();
        plain.share_count = static_cast<std::uint32_t>(shares_.size());
        plain.stripe = stripe_;
        return plain;
    }

private:
    layout(std::vector<xep_share> shares, std::uint64_t stripe) : shares_(std::move(shares)), stripe_(stripe) {}

    std::vector<xep_share> shares_;
    std::uint64_t stripe_ = 0;
};

/// All GPUs of a host.
class machine : public detail::handle<xep_machine, xep_machine_close> {
public:
    /// This host.
    static machine open() {
        machine made;
        check(xep_machine_open(&made.pointer_));
        return made;
    }
    /// A recorded machine if `name` is a directory, else a simulated one.
    static machine named(const std::string &name) {
        machine made;
        check(xep_machine_open_named(name.c_str(), &made.pointer_));
        return made;
    }
    static machine simulated(const std::string &text) {
        machine made;
        check(xep_machine_open_simulated(text.c_str(), &made.pointer_));
        return made;
    }
    static machine recorded(const std::string &directory) {
        machine made;
        check(xep_machine_open_recorded(directory.c_str(), &made.pointer_));
        return made;
    }

    void record(const std::string &directory) const { check(xep_machine_record(get(), directory.c_str())); }
    std::uint32_t gpu_count() const { return xep_machine_gpu_count(get()); }
    bool is_simulated() const { return xep_machine_is_simulated(get()) == 1; }
    std::vector<xep_unusable> unusable() const {
        return detail::list<xep_unusable>([&](xep_unusable *found, std::size_t capacity, std::size_t *count) {
            return xep_machine_unusable(get(), found, capacity, count);
        });
    }
    std::vector<std::uint32_t> groups() const {
        return detail::list<std::uint32_t>([&](std::uint32_t *found, std::size_t capacity, std::size_t *count) {
            return xep_machine_groups(get(), found, capacity, count);
        });
    }
    xep_link link(std::uint32_t from, std::uint32_t to) const {
        return detail::filled<xep_link>(
            [&](xep_link *link, std::size_t size) { return xep_machine_link(get(), from, to, link, size); });
    }
    xep_link probe_link(std::uint32_t from, std::uint32_t to) const {
        return detail::filled<xep_link>(
            [&](xep_link *link, std::size_t size) { return xep_machine_probe_link(get(), from, to, link, size); });
    }
    xep_gpu_info describe(std::uint32_t gpu) const {
        return detail::filled<xep_gpu_info>(
            [&](xep_gpu_info *info, std::size_t size) { return xep_gpu_describe(get(), gpu, info, size); });
    }
    xep_capabilities capabilities(std::uint32_t gpu) const {
        return detail::filled<xep_capabilities>(
            [&](xep_capabilities *known, std::size_t size) { return xep_gpu_capabilities(get(), gpu, known, size); });
    }
    xep_svm_counters counters(std::uint32_t gpu) const {
        return detail::filled<xep_svm_counters>(
            [&](xep_svm_counters *found, std::size_t size) { return xep_gpu_counters(get(), gpu, found, size); });
    }
    std::vector<xep_region> regions(std::uint32_t gpu) const {
        return detail::list<xep_region>([&](xep_region *found, std::size_t capacity, std::size_t *count) {
            return xep_gpu_regions(get(), gpu, found, capacity, count);
        });
    }
    std::vector<xep_region> usage(std::uint32_t gpu) const {
        return detail::list<xep_region>([&](xep_region *found, std::size_t capacity, std::size_t *count) {
            return xep_gpu_usage(get(), gpu, found, capacity, count);
        });
    }
};

/// Zeroed memory with a layout.
class memory : public detail::handle<xep_memory, xep_memory_close> {
public:
    void *data() const { return xep_memory_address(get()); }
    std::size_t size() const { return static_cast<std::size_t>(xep_memory_length(get())); }

private:
    friend class space;
    memory() = default;
};

/// A prefetch that its caller pumps.
class prefetch_job : public detail::handle<xep_prefetch_job, xep_prefetch_job_close> {
public:
    /// Bytes dealt with, and bytes in all.
    struct progress {
        std::uint64_t done;
        std::uint64_t total;
        bool is_done() const { return done == total; }
    };

    progress step() {
        progress now{};
        check(xep_prefetch_job_step(get(), &now.done, &now.total));
        return now;
    }
    void cancel() { check(xep_prefetch_job_cancel(get())); }
    xeplace::outcome outcome() const {
        xep_outcome found{};
        std::vector<xep_stay> stays;
        std::vector<xep_unmapped> unmapped;
        for (;;) {
            const int status = xep_prefetch_job_outcome(get(), &found, sizeof found, stays.data(), stays.size(),
                                                        unmapped.data(), unmapped.size());
            if (found.length == 0)
                check(status);
            const bool fits = found.stay_count <= stays.size() && found.unmapped_count <= unmapped.size();
            stays.resize(found.stay_count);
            unmapped.resize(found.unmapped_count);
            if (fits)
                return {status, found, std::move(stays), std::move(unmapped)};
        }
    }

private:
    friend class space;
    prefetch_job() = default;
};

/// All the vms that mirror this process, and what is wished of its memory.
class space : public detail::handle<xep_space, xep_space_close> {
public:
    /// Told after each step how many bytes of how many are dealt with; returns whether to go on.
    using progress_function = std::function<bool(std::uint64_t done, std::uint64_t total)>;

    /// An own vm on each GPU.
    explicit space(const machine &on) { check(xep_space_create(on.get(), &pointer_)); }
    /// No vms yet.
    static space empty(const machine &on) {
        space made;
        check(xep_space_create_empty(on.get(), &made.pointer_));
        return made;
    }

    std::uint32_t add(std::uint32_t gpu) {
        std::uint32_t vm = 0;
        check(xep_space_add(get(), gpu, &vm));
        return vm;
    }
    /// `fd` is borrowed: it stays open until the vm is detached or the space closed.
    std::uint32_t attach(int fd, std::uint32_t vm_id) {
        std::uint32_t vm = 0;
        check(xep_space_attach(get(), fd, vm_id, &vm));
        return vm;
    }
    void detach(std::uint32_t vm) { check(xep_space_detach(get(), vm)); }
    std::vector<xep_member> members() const {
        return detail::list<xep_member>([&](xep_member *found, std::size_t capacity, std::size_t *count) {
            return xep_space_members(get(), found, capacity, count);
        });
    }
    /// The device file and the kernel's number of a vm.
    std::pair<int, std::uint32_t> vm(std::uint32_t vm) const {
        std::pair<int, std::uint32_t> found{-1, 0};
        check(xep_space_vm(get(), vm, &found.first, &found.second));
        return found;
    }
    void declare_stable(const void *address, std::size_t length) {
        check(xep_space_declare_stable(get(), address, length));
    }
    void touch(std::uint32_t gpu, const void *address, std::size_t length, xep_access access) {
        check(xep_space_touch(get(), gpu, address, length, access));
    }

    report advise(const void *address, std::size_t length, const advice &wish) {
        const xep_advice plain = wish.plain();
        xep_report found{};
        std::vector<xep_answer> answers(8 * members().size());
        const int status = xep_space_advise(get(), address, length, &plain, sizeof plain, &found, sizeof found,
                                            answers.data(), answers.size());
        if (found.length == 0)
            check(status);
        answers.resize(found.answer_count);
        return {status, found, std::move(answers)};
    }
    void reset(const void *address, std::size_t length) { check(xep_space_reset(get(), address, length)); }

    outcome prefetch(const void *address, std::size_t length, const location &to,
                     const std::vector<std::uint32_t> &map_for = {}, const progress_function &progress = nullptr,
                     std::uint64_t chunk = 0) {
        prefetch_job job = start_prefetch(address, length, to, map_for, chunk);
        for (;;) {
            const prefetch_job::progress now = job.step();
            const bool goes_on = !progress || progress(now.done, now.total);
            if (now.is_done())
                return job.outcome();
            if (!goes_on)
                job.cancel();
        }
    }
    prefetch_job start_prefetch(const void *address, std::size_t length, const location &to,
                                const std::vector<std::uint32_t> &map_for = {}, std::uint64_t chunk = 0) {
        xep_prefetch plain{};
        plain.location = to;
        plain.map_for = map_for.data();
        plain.map_for_count = static_cast<std::uint32_t>(map_for.size());
        plain.chunk = chunk;
        prefetch_job made;
        check(xep_space_start_prefetch(get(), address, length, &plain, sizeof plain, &made.pointer_));
        return made;
    }

    std::vector<xep_run> residency(const void *address, std::size_t length) const {
        return detail::list<xep_run>([&](xep_run *found, std::size_t capacity, std::size_t *count) {
            return xep_space_residency(get(), address, length, found, capacity, count);
        });
    }
    std::vector<xep_attribute_run> attributes(const void *address, std::size_t length) const {
        return detail::list<xep_attribute_run>([&](xep_attribute_run *found, std::size_t capacity, std::size_t *count) {
            return xep_space_attributes(get(), address, length, found, capacity, count);
        });
    }
    std::vector<xep_explanation> explain(const void *address, std::size_t length) const {
        return detail::list<xep_explanation>([&](xep_explanation *found, std::size_t capacity, std::size_t *count) {
            return xep_space_explain(get(), address, length, found, capacity, count);
        });
    }

    memory allocate(std::uint64_t length, const layout &spread) {
        const xep_layout plain = spread.plain();
        memory made;
        check(xep_space_allocate(get(), length, &plain, sizeof plain, &made.pointer_));
        return made;
    }

private:
    space() = default;
};

} // namespace xeplace

#endif /* XEPLACE_HPP */
