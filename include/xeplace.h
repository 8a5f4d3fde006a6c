/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * xeplace: decides and enforces where memory lives on machines with several Intel GPUs.
 *
 * Generated from capi/src by `make header`; do not edit.
 *
 * Rules for all functions:
 *
 * - Those that return int return 0 or a negative errno, and xep_last_error() then says in words what went wrong. The
 *   caller's errno stays as it was.
 * - Outputs are written only on success; xep_space_advise(), xep_space_prefetch() and xep_prefetch_job_outcome() say what
 *   they write besides. A NULL where something is needed is -EINVAL, and nothing is done.
 * - Handles (struct xep_machine, xep_space, xep_memory, xep_prefetch_job) are opaque and are no addresses. One that was
 *   closed is -EBADF ever after. They can be used from any thread; what was made from a handle outlives it.
 * - Structures that can grow are passed with their size. A shorter one counts as filled up with zeros; a longer one that
 *   sets what this library does not know is -E2BIG. Fill them with zeros, then set what is wanted.
 * - Lists go into the caller's array of `capacity` elements; `count` receives how many there are, which can be more.
 * - Ranges are an address and a length in bytes, rounded outward to pages of 4096 bytes. Empty ranges, ranges that wrap,
 *   and ranges beyond the addresses of a process (47 bits) are -EINVAL.
 * - GPUs are numbered from 0 in the order of their PCI addresses, VRAM regions from 1 as the kernel does.
 * - In a forked child every call about a space is -ECHILD: its vms mirror the parent's memory.
 * - -ENOTRECOVERABLE is a bug of the library.
 *
 * The library starts no thread, installs no signal handler, reads no environment variable and keeps no duplicate of a
 * caller's descriptor.
 */


#ifndef XEPLACE_H
#define XEPLACE_H

#include <stddef.h>
#include <stdint.h>

/** Stands where a number would be if there were one: an unknown GPU, a NUMA node that the firmware does not tell. */
#define XEP_UNKNOWN UINT32_MAX


/** The version of this header: an incompatible change of the library changes it, or the minor one below 1.0. */
#define XEP_VERSION_MAJOR 0

/** See XEP_VERSION_MAJOR. */
#define XEP_VERSION_MINOR 1

/** See XEP_VERSION_MAJOR. */
#define XEP_VERSION_PATCH 0

/** The version of struct xep_table. Within one version it only grows at its end. */
#define XEP_TABLE_VERSION 1

/** What is done to memory. */
enum xep_access {
    /** Loads. */
    XEP_ACCESS_READ = 0,
    /** Stores. */
    XEP_ACCESS_WRITE = 1,
    /** Atomic read-modify-writes. */
    XEP_ACCESS_ATOMIC = 2,
};

/** What an advice names beside its locations, and how it is to be given: bits of xep_advice.flags. */
enum xep_advice_flags {
    /** `atomics` is set. */
    XEP_ADVICE_ATOMICS = (1 << 0),
    /** `pat` is set. */
    XEP_ADVICE_PAT = (1 << 1),
    /** `migration_policy` is set. */
    XEP_ADVICE_MIGRATION_POLICY = (1 << 2),
    /** `purgeable` is set. */
    XEP_ADVICE_PURGEABLE = (1 << 3),
    /** If one vm refuses, the vms that did not get their recorded wishes back. */
    XEP_ADVICE_STRICT = (1 << 4),
};

/**
 * Which atomic accesses a GPU may make, and where.
 *
 * On discrete GPUs other than Ponte Vecchio an atomic in memory of mode UNDEFINED or GLOBAL pulls the memory into the
 * VRAM of the GPU that makes it, whatever location is preferred. It stays elsewhere only with DEVICE.
 */
enum xep_atomics {
    /** The kernel's default. */
    XEP_ATOMICS_UNDEFINED = 0,
    /** Atomics of this GPU, wherever the memory is. */
    XEP_ATOMICS_DEVICE = 1,
    /** Atomics of GPU and CPU. */
    XEP_ATOMICS_GLOBAL = 2,
    /** Atomics of the CPU only: a GPU atomic is a fault that ends its queue. */
    XEP_ATOMICS_CPU = 3,
};

/** What can be wished. */
enum xep_attribute {
    /** A preferred location. */
    XEP_ATTRIBUTE_PREFERRED_LOCATION = 0,
    /** An atomic mode. */
    XEP_ATTRIBUTE_ATOMICS = 1,
    /** A PAT index. */
    XEP_ATTRIBUTE_PAT = 2,
    /** A purgeable state. */
    XEP_ATTRIBUTE_PURGEABLE = 3,
    /** A migration policy. */
    XEP_ATTRIBUTE_MIGRATION_POLICY = 4,
};

/** What a mapping's pages are made of. Only private anonymous pages migrate to VRAM. */
enum xep_backing {
    /** Private anonymous memory: malloc, mmap, the stack. */
    XEP_BACKING_ANONYMOUS = 0,
    /** A private mapping of a file. */
    XEP_BACKING_PRIVATE_FILE = 1,
    /** Shared memory or a shared mapping of a file. */
    XEP_BACKING_SHARED = 2,
    /** Huge pages of hugetlbfs. */
    XEP_BACKING_HUGETLB = 3,
    /** A device's memory, the kernel's own pages, or something that this header does not know. */
    XEP_BACKING_SPECIAL = 4,
};

/** How a verdict is known. */
enum xep_basis {
    /** From files, but some input needs privilege to read. */
    XEP_BASIS_GUESSED = 0,
    /** From files, with every input of the kernel's rule at hand. */
    XEP_BASIS_PREDICTED = 1,
    /** The kernel was asked. */
    XEP_BASIS_PROBED = 2,
};

/** How a VRAM region was found out. That pages are in VRAM at all is always measured. */
enum xep_confidence {
    /** Nothing says which. */
    XEP_CONFIDENCE_UNKNOWN = 0,
    /** It is where it was wished; a GPU's fault may have brought it there. */
    XEP_CONFIDENCE_WISHED = 1,
    /** This library's last prefetch brought it there. */
    XEP_CONFIDENCE_PREFETCHED = 2,
    /** The page frames lie in that region's memory: needs CAP_SYS_ADMIN. */
    XEP_CONFIDENCE_EXACT = 3,
};

/** What a vm made of a wish. None of these says where pages are: advice moves nothing. */
enum xep_effect {
    /** Accepted by a vm that is known to mirror the range. */
    XEP_EFFECT_STORED = 0,
    /** The kernel keeps it and does not act on it. */
    XEP_EFFECT_INERT = 1,
    /** Accepted, with a fallback of the advice. */
    XEP_EFFECT_FELL_BACK = 2,
    /** The kernel or the device does not know it. */
    XEP_EFFECT_UNSUPPORTED = 3,
    /** Refused. */
    XEP_EFFECT_FAILED = 4,
};

/** What decides a link: the kernel's rule is pci_p2pdma_distance() in drivers/pci/p2pdma.c. */
enum xep_link_reason {
    /** One that this header does not know; see the text. */
    XEP_REASON_OTHER = 0,
    /** The same device. */
    XEP_REASON_SAME_DEVICE = 1,
    /** The CPU lets peers through its host bridges. */
    XEP_REASON_CPU = 2,
    /** The host bridges are in the kernel's list. */
    XEP_REASON_HOST_BRIDGE = 3,
    /** Both lie below one bridge and nothing on the way redirects. */
    XEP_REASON_COMMON_BRIDGE = 4,
    /** No bridge in common, and the host bridges are not in the kernel's list. */
    XEP_REASON_NO_COMMON_BRIDGE = 5,
    /** ACS redirect is set on the way. */
    XEP_REASON_ACS_REDIRECT = 6,
    /** Whether ACS redirect is set cannot be read without privilege. */
    XEP_REASON_ACS_HIDDEN = 7,
    /** The kernel has no PCI peer-to-peer support. */
    XEP_REASON_NO_KERNEL_SUPPORT = 8,
    /** The kernel said so. */
    XEP_REASON_KERNEL = 9,
    /** The kernel said so, against its own rule: its groups are stale. */
    XEP_REASON_KERNEL_DISAGREES = 10,
};

/** Kinds of locations. */
enum xep_location_kind {
    /** The VRAM of whichever GPU faults on the pages: what the kernel starts with. */
    XEP_LOCATION_DEFAULT = 0,
    /** Host memory. */
    XEP_LOCATION_SYSTEM = 1,
    /** Host memory of one NUMA node, as /sys/devices/system/node numbers them. */
    XEP_LOCATION_HOST_NODE = 2,
    /** One region of one GPU's VRAM. */
    XEP_LOCATION_VRAM = 3,
    /** No location at all. Only the library says so. */
    XEP_LOCATION_NONE = 4,
    /** Named by a descriptor that is not this library's: somebody else's advice. Only the library says so. */
    XEP_LOCATION_FOREIGN = 5,
};

/** Which pages may migrate. Linux 7.3 stores it and does not act on it. */
enum xep_migration_policy {
    /** All pages. */
    XEP_MIGRATE_ALL_PAGES = 0,
    /** Only pages that are in system memory. */
    XEP_MIGRATE_ONLY_SYSTEM_PAGES = 1,
};

/** Kinds of obstacles. */
enum xep_obstacle_kind {
    /** One that this header does not know; see the text. */
    XEP_OBSTACLE_OTHER = 0,
    /** Nothing is mapped at the address. */
    XEP_OBSTACLE_NOT_MAPPED = 1,
    /** Mapped, but made of pages that never migrate: see `backing`. */
    XEP_OBSTACLE_BACKING = 2,
    /** The CPU may not write it: the driver refuses to map it for a GPU. */
    XEP_OBSTACLE_READ_ONLY = 3,
    /** The CPU may not even read it (PROT_NONE). */
    XEP_OBSTACLE_NO_ACCESS = 4,
    /** A guard page lies in its 2 MiB block. */
    XEP_OBSTACLE_GUARD_PAGE = 5,
    /** The vm does not mirror the address. */
    XEP_OBSTACLE_NOT_MIRRORED = 6,
    /** The target's VRAM is full of what the driver cannot evict: see `bytes` and `total`. */
    XEP_OBSTACLE_FULL = 7,
    /** It was there and was pushed out again by what came later: see `total`. */
    XEP_OBSTACLE_EVICTED = 8,
    /** The kernel did not move it though there was room: pinned for I/O, or changed at that moment. */
    XEP_OBSTACLE_PINNED = 9,
    /** Locked into memory with mlock(2). Locked pages can move; a later mlock brings them back. */
    XEP_OBSTACLE_LOCKED = 10,
    /** No link: the text says why. */
    XEP_OBSTACLE_NO_LINK = 11,
    /** Only part of the target's VRAM, `bytes` of `total`, lies behind its BAR, so other GPUs must not use it. */
    XEP_OBSTACLE_SMALL_BAR = 12,
    /** The GPU has gone. */
    XEP_OBSTACLE_LOST = 13,
    /** A vm was told something else, and the GPU that faults last wins: see `vm` and `location`. */
    XEP_OBSTACLE_OTHER_WISH = 14,
    /** The kernel or device lacks a feature. */
    XEP_OBSTACLE_UNSUPPORTED = 15,
    /** The kernel refused: see `error`. */
    XEP_OBSTACLE_KERNEL = 16,
    /** It is in some VRAM; which one cannot be told without CAP_SYS_ADMIN. */
    XEP_OBSTACLE_UNTOLD = 17,
    /** Nothing has moved it yet: an advice takes effect at a GPU's next fault, and at a prefetch. */
    XEP_OBSTACLE_NOT_MOVED_YET = 18,
    /** It has no page yet, which comes at its first use. */
    XEP_OBSTACLE_NEVER_TOUCHED = 19,
    /** The caller stopped the prefetch before. */
    XEP_OBSTACLE_CANCELLED = 20,
    /** It is in host memory, but of another NUMA node: see `location`. */
    XEP_OBSTACLE_OTHER_NODE = 21,
};

/** Kinds of places. */
enum xep_place_kind {
    /** In host memory. */
    XEP_PLACE_SYSTEM = 0,
    /** In some GPU's VRAM. */
    XEP_PLACE_VRAM = 1,
    /** In swap. */
    XEP_PLACE_SWAPPED = 2,
    /** Nowhere: never touched, or given back. */
    XEP_PLACE_ABSENT = 3,
    /** A guard page (MADV_GUARD_INSTALL): touching it is an error. */
    XEP_PLACE_GUARD = 4,
    /** A place that this header does not know. */
    XEP_PLACE_OTHER = 5,
};

/** A request to the kernel that a simulated machine can be told to refuse. */
enum xep_sim_call {
    /** DRM_IOCTL_XE_DEVICE_QUERY. */
    XEP_SIM_DEVICE_QUERY = 0,
    /** DRM_IOCTL_XE_VM_CREATE. */
    XEP_SIM_VM_CREATE = 1,
    /** DRM_IOCTL_XE_VM_DESTROY. */
    XEP_SIM_VM_DESTROY = 2,
    /** DRM_IOCTL_XE_VM_BIND, PREFETCH included. */
    XEP_SIM_VM_BIND = 3,
    /** DRM_IOCTL_XE_MADVISE. */
    XEP_SIM_MADVISE = 4,
    /** DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS. */
    XEP_SIM_VM_QUERY_MEM_RANGE_ATTRS = 5,
    /** DRM_IOCTL_XE_VM_GET_PROPERTY. */
    XEP_SIM_VM_GET_PROPERTY = 6,
    /** PAGEMAP_SCAN. */
    XEP_SIM_PAGEMAP_SCAN = 7,
};

/** How far a feature is there. */
enum xep_support {
    /** The driver or the device does not know it. */
    XEP_SUPPORT_NO = 0,
    /** The driver takes it and does not act on it. */
    XEP_SUPPORT_ACCEPTED_ONLY = 1,
    /** The driver acts on it. */
    XEP_SUPPORT_ENFORCED = 2,
    /** Not asked yet, because asking has a price: known once the GPU has a vm of its own here. */
    XEP_SUPPORT_UNPROBED = 3,
};

/** Yes, no, or unknown. */
enum xep_verdict {
    /** Cannot be told without privilege or a probe. */
    XEP_LINK_UNKNOWN = 0,
    /** One interconnect group. */
    XEP_LINK_CONNECTED = 1,
    /** Separate groups: the kernel answers ENOLINK. */
    XEP_LINK_NOT_CONNECTED = 2,
};

/** What the caller of an advice should know: bits of xep_report.warnings. */
enum xep_warning {
    /** The range was rounded outward to whole pages. */
    XEP_WARN_ROUNDED = (1 << 0),
    /**
     * An end lies inside a 2 MiB block: the driver's mapping is split there for good, and what the block held in VRAM may
     * have moved to system memory.
     */
    XEP_WARN_CUTS_BLOCK = (1 << 1),
    /** Some of the range is mirrored by none of the vms. */
    XEP_WARN_NOT_MIRRORED = (1 << 2),
    /** A vm refused, and the others got their recorded wishes back. */
    XEP_WARN_RESTORED = (1 << 3),
    /** A vm refused, and another one would not take its recorded wish back. */
    XEP_WARN_NOT_RESTORED = (1 << 4),
    /** A wish that this library had not recorded was overwritten by the attempt and cannot be given back. */
    XEP_WARN_UNRECORDED_LOST = (1 << 5),
    /** The NUMA policy of the range could not be set. */
    XEP_WARN_NO_HOST_NODE = (1 << 6),
};

/** All GPUs of a host: found once, then unchanging. */
struct xep_machine;

/** Zeroed memory with a layout. Its advice is taken back when it is closed. */
struct xep_memory;

/** A prefetch that its caller pumps: no thread works on it in between. */
struct xep_prefetch_job;

/** All the vms that mirror this process, the library's own and borrowed ones, and what is wished of its memory. */
struct xep_space;

/** Every function of this header as a pointer, under its name without xep_, behind the table's version and size. */
struct xep_table;

/** A stand-in for ioctl(2), answering like it, with errno set. It is called from whichever thread calls the library. */
typedef int (*xep_ioctl_function)(void *user, int fd, unsigned long request, void *argument);

/** A GPU that is there and cannot be used. */
struct xep_unusable {
    /** Its PCI address, such as 0000:03:00.0; empty if even that is not known. */
    char address[24];
    /** Its device file. */
    char node[64];
    /** Why, in words. */
    char reason[252];
    /** Why, as a positive errno. */
    int32_t error;
};

/** What a GPU is. It can grow: pass its size. */
struct xep_gpu_info {
    /** PCI domain. */
    uint32_t pci_domain;
    /** PCI bus number. */
    uint32_t pci_bus;
    /** PCI device number. */
    uint32_t pci_device;
    /** PCI function number. */
    uint32_t pci_function;
    /** PCI device id. */
    uint32_t device_id;
    /** PCI revision. */
    uint32_t revision;
    /** The NUMA node of the host that it is attached to, or XEP_UNKNOWN. */
    uint32_t numa_node;
    /** How many VRAM regions it has: one a tile, none if it is integrated. */
    uint32_t region_count;
    /** 1 if it has no memory of its own. */
    uint32_t is_integrated;
    /** 1 if it can mirror the memory of processes (shared virtual memory): spaces can have vms on it. */
    uint32_t can_mirror;
    /** 1 if it is known to have gone: unplugged, unbound from its driver, or wedged. */
    uint32_t is_lost;
    /** Bits of an address in its vms. */
    uint32_t va_bits;
    /** Bytes a second of the narrowest PCIe link on its way up, in one direction; 0 if that is not known. */
    uint64_t pcie_bytes_per_second;
    /** Its PCI address, such as 0000:03:00.0. */
    char address[24];
    /** Its render node. The same GPU can have another one when it comes back. */
    char node[64];
    /** What the PCI ID database calls it. */
    char name[128];
};

/** One VRAM region. Sizes in bytes. */
struct xep_region {
    /** The kernel's instance number: what xep_vram() takes. */
    uint32_t region;
    /** Smallest page. */
    uint32_t min_page;
    /** Usable VRAM. */
    uint64_t total;
    /** In use, by whomever. */
    uint64_t used;
    /** What the CPU and other GPUs reach through the BAR. Less than `total`: the library does not use it from others. */
    uint64_t cpu_visible;
};

/** What a GPU's driver can do: enum xep_support each. It can grow: pass its size. */
struct xep_capabilities {
    /** CPU address mirrors: shared virtual memory. */
    uint32_t mirror;
    /** MADVISE with a preferred location. */
    uint32_t preferred_location;
    /** MADVISE with another device's VRAM. */
    uint32_t multi_device;
    /** MADVISE with an atomic mode. */
    uint32_t atomic;
    /** MADVISE with a PAT index. */
    uint32_t pat;
    /** The migration policy of a preferred location. */
    uint32_t migration_policy;
    /** MADVISE of buffer objects as purgeable. */
    uint32_t purgeable;
    /** Reading attributes back. */
    uint32_t attribute_query;
    /** PREFETCH to wherever the advice says. */
    uint32_t prefetch_consult;
    /** Mirrors that reset advice when memory is unmapped. */
    uint32_t autoreset;
};

/** What the driver has counted on one GPU, of all processes, since it was loaded. It can grow: pass its size. */
struct xep_svm_counters {
    /** GPU page faults on mirrored memory. */
    uint64_t page_faults;
    /** KiB copied into its VRAM from host memory. */
    uint64_t copied_in_kib;
    /** KiB copied out of its VRAM, to host memory or to a peer. */
    uint64_t copied_out_kib;
};

/** The verdict on one ordered pair: can a vm of the first GPU use the VRAM of the second? It can grow: pass its size. */
struct xep_link {
    /** enum xep_verdict. */
    uint32_t verdict;
    /** enum xep_basis. */
    uint32_t basis;
    /** enum xep_link_reason. */
    uint32_t reason;
    /** Functions on the way as the kernel counts them: 0 to itself, 4 through one switch; XEP_UNKNOWN if it counts none. */
    uint32_t hops;
    /** Bytes a second of the narrowest PCIe link on the way, in one direction; 0 if that is not known. */
    uint64_t bytes_per_second;
    /** 1 if all of the second GPU's VRAM lies behind its BAR. Otherwise the library does not use it from others. */
    uint32_t fully_visible;
    /** 0. */
    uint32_t reserved;
    /** Verdict, basis and reason as a sentence for an administrator, with what can be done. */
    char text[512];
};

/** A vm of a space. */
struct xep_member {
    /** Its number in the space; not the kernel's. */
    uint32_t vm;
    /** Its GPU. */
    uint32_t gpu;
};

/** A home for pages. What its kind does not use is 0. See xep_default(), xep_system(), xep_host_node() and xep_vram(). */
struct xep_location {
    /** enum xep_location_kind. */
    uint32_t kind;
    /** XEP_LOCATION_VRAM: the GPU's place in the machine. */
    uint32_t gpu;
    /** XEP_LOCATION_VRAM: the kernel's instance number of the region: 1 for the first tile, 2 for the second. */
    uint32_t region;
    /** XEP_LOCATION_HOST_NODE: the NUMA node. */
    uint32_t node;
};

/** A wish. What it does not name stays as it is. It can grow: pass its size, and set what you do not use to 0. */
struct xep_advice {
    /** The preferred location and its fallbacks, in the order in which they are tried; the whole space gets one answer. */
    const struct xep_location *locations;
    /**
     * The vms of these GPUs will use the range; NULL for all vms of the space. Others can still pull pages by touching
     * them.
     */
    const uint32_t *gpus;
    /** How many locations. */
    uint32_t location_count;
    /** How many GPUs. */
    uint32_t gpu_count;
    /** Bits of enum xep_advice_flags. What is not flagged is 0. */
    uint32_t flags;
    /** enum xep_atomics. */
    uint32_t atomics;
    /** Caching and coherency of the GPU's mapping, numbered as the device's PAT is. */
    uint32_t pat;
    /** enum xep_migration_policy. */
    uint32_t migration_policy;
    /** 1 if the contents may be thrown away under memory pressure. Concerns buffer objects only. */
    uint32_t purgeable;
    /** 0. */
    uint32_t reserved;
};

/** What became of an advice. It can grow: pass its size. */
struct xep_report {
    /** What was advised: the caller's range, rounded outward to pages. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** The location that every vm now has been told; XEP_LOCATION_NONE if the advice named none or none was possible. */
    struct xep_location location;
    /** Which of the advice's locations that is, counted from 0. */
    uint32_t step;
    /** 1 if nothing was sent, because it stands so already. */
    uint32_t elided;
    /** Bits of enum xep_warning. */
    uint32_t warnings;
    /** How many answers there are: one per vm and attribute, none if elided. */
    uint32_t answer_count;
    /** Why locations before the chosen one were passed over, in words; empty if none was. */
    char passed_over[256];
};

/** What one vm made of one attribute. */
struct xep_answer {
    /** The vm. */
    uint32_t vm;
    /** Its GPU. */
    uint32_t gpu;
    /** enum xep_attribute. */
    uint32_t attribute;
    /** enum xep_effect. */
    uint32_t effect;
    /** XEP_EFFECT_FELL_BACK: what it was told instead. */
    struct xep_location location;
    /** XEP_EFFECT_FAILED and XEP_EFFECT_UNSUPPORTED: a positive errno. */
    int32_t error;
    /** 0. */
    uint32_t reserved;
};

/**
 * Told after each step how many bytes of how many are dealt with. Returns 0 to go on, anything else to stop. Must not
 * throw.
 */
typedef int (*xep_progress_function)(void *user, uint64_t done, uint64_t total);

/** What to move where. It can grow: pass its size, and set what you do not use to 0. */
struct xep_prefetch {
    /** Where to. XEP_LOCATION_DEFAULT is the VRAM of the first GPU of `map_for`. */
    struct xep_location location;
    /**
     * The GPUs for which the pages are mapped, so that they take no fault on them. A vm is mapped for only where it was
     * advised to the same location before.
     */
    const uint32_t *map_for;
    /** How many GPUs. */
    uint32_t map_for_count;
    /** 0. */
    uint32_t reserved;
    /**
     * Bytes that one step moves: a power of two of at least 2 MiB, or 0 for 64 MiB. GPU faults wait for a step. Never more
     * than a quarter of the target's VRAM is moved in one.
     */
    uint64_t chunk;
    /** Called after each step; NULL for none. xep_space_start_prefetch() takes none: its caller sees each step. */
    xep_progress_function progress;
    /** Its first argument. */
    void *user;
};

/** What a prefetch achieved, as measured when it had ended. It can grow: pass its size. */
struct xep_outcome {
    /** What was to move: the caller's range, rounded outward to pages. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** Where to. */
    struct xep_location location;
    /** Bytes that are there. */
    uint64_t bytes_in_place;
    /** Bytes that are not. */
    uint64_t bytes_elsewhere;
    /** How many runs of pages are not there. */
    uint32_t stay_count;
    /** How many GPUs some of the pages were not mapped for. */
    uint32_t unmapped_count;
};

/** What keeps a page from where it was wished. */
struct xep_obstacle {
    /** enum xep_obstacle_kind. */
    uint32_t kind;
    /** The positive errno that stands for it; of XEP_OBSTACLE_KERNEL the kernel's own. */
    int32_t error;
    /** XEP_OBSTACLE_BACKING: enum xep_backing. */
    uint32_t backing;
    /** XEP_OBSTACLE_OTHER_WISH: the vm; else XEP_UNKNOWN. */
    uint32_t vm;
    /**
     * XEP_OBSTACLE_OTHER_WISH: what it was told; XEP_LOCATION_FOREIGN if by a descriptor that is not this library's.
     * XEP_OBSTACLE_OTHER_NODE: where it is. Else XEP_LOCATION_NONE.
     */
    struct xep_location location;
    /** XEP_OBSTACLE_FULL: bytes not in use. XEP_OBSTACLE_SMALL_BAR: bytes behind the BAR. */
    uint64_t bytes;
    /** Bytes of VRAM in all, where it is a matter of that. */
    uint64_t total;
    /** In words. */
    char text[208];
};

/** Pages that are not where they were to go. */
struct xep_stay {
    /** The pages. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** Why. */
    struct xep_obstacle obstacle;
};

/** A GPU that will fault on some of the pages. */
struct xep_unmapped {
    /** The GPU. */
    uint32_t gpu;
    /** 0. */
    uint32_t reserved;
    /** Why nothing was mapped for it. */
    struct xep_obstacle obstacle;
};

/** Where a page is. */
struct xep_place {
    /** enum xep_place_kind. */
    uint32_t kind;
    /** XEP_PLACE_VRAM: enum xep_confidence. */
    uint32_t confidence;
    /** XEP_PLACE_VRAM: the GPU, or XEP_UNKNOWN. */
    uint32_t gpu;
    /** XEP_PLACE_VRAM: the region's instance number; 0 if it is not known. */
    uint32_t region;
};

/** Pages in one place. */
struct xep_run {
    /** The pages. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** Where they are. */
    struct xep_place place;
};

/** The kernel's attributes of one vm for a run of addresses. */
struct xep_attribute_run {
    /** The addresses: the vm's own mapping, clipped to what was asked about. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** The vm. */
    uint32_t vm;
    /** Its GPU. */
    uint32_t gpu;
    /** The preferred location. */
    struct xep_location location;
    /** XEP_LOCATION_FOREIGN: the descriptor's number when it was told; else -1. */
    int32_t foreign_fd;
    /** enum xep_migration_policy. */
    uint32_t migration_policy;
    /** enum xep_atomics. */
    uint32_t atomics;
    /** PAT index. */
    uint32_t pat;
};

/** One obstacle of one run of pages that is not where it was wished. */
struct xep_explanation {
    /** The pages. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** Where they were wished. */
    struct xep_location wished;
    /** Where they are. */
    struct xep_place place;
    /** Which obstacle of these pages this is, the hardest first, counted from 0. */
    uint32_t rank;
    /** How many obstacles these pages have. */
    uint32_t obstacle_count;
    /** What is in the way. */
    struct xep_obstacle obstacle;
};

/** A location and how much of a range it takes, against the others. */
struct xep_share {
    /** The location. */
    struct xep_location location;
    /** Its weight. All weights together are at least 1 and at most 4294967296. */
    uint64_t weight;
};

/** How a range is spread over several locations. It can grow: pass its size, and set what you do not use to 0. */
struct xep_layout {
    /** The locations, in the order of addresses. */
    const struct xep_share *shares;
    /** How many there are. */
    uint32_t share_count;
    /** 0. */
    uint32_t reserved;
    /**
     * 0 for one contiguous part for each location. Otherwise stripes of so many bytes, a multiple of 2 MiB, dealt out in
     * turn, as many a round as each location's weight says.
     */
    uint64_t stripe;
};

/** One range of a plan and its location. */
struct xep_step {
    /** The range. */
    uint64_t address;
    /** In bytes. */
    uint64_t length;
    /** Where it belongs. */
    struct xep_location location;
};

/** What happened at one GPU of a simulated machine, and to the machine, since it was opened. It can grow: pass its size. */
struct xep_sim_counters {
    /** Page faults of the GPU, the refused ones included. */
    uint64_t page_faults;
    /** Page faults that the driver could not serve. */
    uint64_t refused_faults;
    /** Ranges moved into its VRAM. */
    uint64_t migrations;
    /** CPU accesses that brought memory back out of its VRAM. */
    uint64_t cpu_faults;
    /** Allocations that had to make room in its VRAM. */
    uint64_t evictions;
    /** Bytes copied into its VRAM. */
    uint64_t bytes_in;
    /** Bytes copied out of its VRAM. */
    uint64_t bytes_out;
    /** Bytes that it used in place in host memory. */
    uint64_t bytes_in_place;
    /** Bytes that it used in place in the VRAM of other GPUs. */
    uint64_t bytes_at_peers;
    /** Of the machine: requests to its drivers, each try counted. */
    uint64_t calls;
    /** Of the machine: its clock, which charges round numbers for calls, faults and copies. For comparing, not for predicting. */
    uint64_t nanoseconds;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/** Says which version of the library runs: 1000000 times the major, 1000 times the minor, and the patch number. */
uint32_t xep_version(void);

/**
 * Says what went wrong in the last call of this thread that failed.
 *
 * The text is valid until this thread's next call. Never NULL; empty if nothing has failed yet.
 */
const char *xep_last_error(void);

/**
 * Opens this host. One without GPUs of the xe driver is a machine without GPUs.
 *
 * GPUs that cannot be opened are no error; see xep_machine_unusable(). -EOPNOTSUPP where pages are not 4096 bytes long.
 * Close it with xep_machine_close().
 */
int xep_machine_open(struct xep_machine **machine);

/**
 * Opens this host, with each ioctl of the library sent through `function(user, fd, request, argument)`.
 *
 * For a runtime's own wrapper: its tracing, its mocks, its reset handling. The function can be called from any thread
 * until the process ends, answers as the kernel does, writes no more than the request number says, and does not throw.
 */
int xep_machine_open_with_ioctl(xep_ioctl_function function,
                                void *user,
                                struct xep_machine **machine);

/** Opens a recorded machine if `name` is a directory, else a simulated one. */
int xep_machine_open_named(const char *name, struct xep_machine **machine);

/**
 * Opens a simulated machine from a machine string, such as "cpu=zen switch(2x bmg)".
 *
 * -EINVAL for a string that is none; xep_last_error() says where.
 */
int xep_machine_open_simulated(const char *text, struct xep_machine **machine);

/** Opens what xep_machine_record() wrote to `directory`: a simulation with that machine's GPUs and links. */
int xep_machine_open_recorded(const char *directory,
                              struct xep_machine **machine);

/**
 * Writes a recording of a machine into `directory`, which is made, without serial numbers.
 *
 * As root it also says which bridges redirect traffic. -EINVAL if there is something in the directory.
 */
int xep_machine_record(const struct xep_machine *machine,
                       const char *directory);

/** Closes a machine. What was made on it stays usable. NULL is nothing; -EBADF if it is closed already. */
int xep_machine_close(struct xep_machine *machine);

/**
 * Says how many GPUs a machine has; 0 also for a handle that is NULL or closed.
 *
 * GPUs are numbered from 0 in the order of their PCI addresses.
 */
uint32_t xep_machine_gpu_count(const struct xep_machine *machine);

/** Says whether a machine is simulated or recorded rather than real: 1 or 0; 0 also for a handle that is NULL or closed. */
int xep_machine_is_simulated(const struct xep_machine *machine);

/**
 * Lists the GPUs of the xe driver that are there and cannot be used.
 *
 * Fills at most `capacity` elements and stores in `count` how many there are.
 */
int xep_machine_unusable(const struct xep_machine *machine,
                         struct xep_unusable *unusable,
                         size_t capacity,
                         size_t *count);

/**
 * Tells for each GPU the number of its interconnect group: GPUs with equal numbers can use each other's VRAM.
 *
 * As the kernel would group them by what is known of the links; unknown links join nothing. Fills at most `capacity`
 * elements of `groups` and stores in `count` how many GPUs there are.
 */
int xep_machine_groups(const struct xep_machine *machine,
                       uint32_t *groups,
                       size_t capacity,
                       size_t *count);

/**
 * Says what a GPU is. `size` is that of the caller's struct xep_gpu_info.
 *
 * -ENOENT if the machine has no such GPU.
 */
int xep_gpu_describe(const struct xep_machine *machine,
                     uint32_t gpu,
                     struct xep_gpu_info *info,
                     size_t size);

/**
 * Lists the VRAM regions of a GPU as they were when the machine was opened.
 *
 * Fills at most `capacity` elements and stores in `count` how many there are.
 */
int xep_gpu_regions(const struct xep_machine *machine,
                    uint32_t gpu,
                    struct xep_region *regions,
                    size_t capacity,
                    size_t *count);

/**
 * Lists the VRAM regions of a GPU with their use as it is now.
 *
 * As xep_gpu_regions(); -ENODEV if the GPU has gone.
 */
int xep_gpu_usage(const struct xep_machine *machine,
                  uint32_t gpu,
                  struct xep_region *regions,
                  size_t capacity,
                  size_t *count);

/**
 * Says what a GPU's driver can do, found by asking and not by its version. `size` is that of the caller's struct.
 *
 * Asked once, in a vm that is made for it and destroyed. -ENODEV if the GPU has gone.
 */
int xep_gpu_capabilities(const struct xep_machine *machine,
                         uint32_t gpu,
                         struct xep_capabilities *capabilities,
                         size_t size);

/**
 * Says what a GPU's driver has counted. `size` is that of the caller's struct.
 *
 * The counters are in debugfs: -EACCES without privilege, -ENOENT where that is not mounted.
 */
int xep_gpu_counters(const struct xep_machine *machine,
                     uint32_t gpu,
                     struct xep_svm_counters *counters,
                     size_t size);

/**
 * Says whether, and why, a vm of GPU `from` can use the VRAM of GPU `to`. `size` is that of the caller's struct.
 *
 * As predicted from files, or as the kernel has said meanwhile. Costs no call to a driver.
 */
int xep_machine_link(const struct xep_machine *machine,
                     uint32_t from,
                     uint32_t to,
                     struct xep_link *link,
                     size_t size);

/**
 * Asks the kernel about one pair, once, in a throw-away vm, and keeps the answer. `size` is that of the caller's struct.
 *
 * This has a price: the kernel makes the memory map of both GPUs' VRAM, a 64th of its size in host memory. -ENOENT if
 * `to` has no VRAM, -ENODEV if one of them has gone, -EOPNOTSUPP if the kernel or a device shares no virtual memory.
 */
int xep_machine_probe_link(const struct xep_machine *machine,
                           uint32_t from,
                           uint32_t to,
                           struct xep_link *link,
                           size_t size);

/**
 * Makes a space with a vm of the library's own on each GPU that can mirror this process. Close it with xep_space_close().
 *
 * The vms are made at their first use: each keeps its GPU awake, and the first one on a GPU costs host memory, a 64th
 * of its VRAM. -ECHILD in a forked child of a process that has used the library.
 */
int xep_space_create(const struct xep_machine *machine,
                     struct xep_space **space);

/** Makes a space without vms, for xep_space_attach() and xep_space_add(). Close it with xep_space_close(). */
int xep_space_create_empty(const struct xep_machine *machine,
                           struct xep_space **space);

/**
 * Lets go of all vms of a space. Borrowed ones are left as they are.
 *
 * Memory of xep_space_allocate() stays usable as memory. NULL is nothing; -EBADF if the space is closed already.
 */
int xep_space_close(struct xep_space *space);

/**
 * Adds a vm of the library's own on a GPU and stores its number in `vm`.
 *
 * -ENOENT if there is no such GPU, -EOPNOTSUPP if it cannot mirror processes.
 */
int xep_space_add(const struct xep_space *space, uint32_t gpu, uint32_t *vm);

/**
 * Adds somebody else's vm: `vm_id` as VM_CREATE gave it on `fd`. Stores its number in `vm`.
 *
 * The descriptor is borrowed, not duplicated: it has to stay open until xep_space_detach() or xep_space_close(). The
 * vm is told what is wished of memory whose life is known. -EBADF if the descriptor is not open, -ENOENT if it is no
 * GPU of this machine, -EINVAL if it has no such vm or the vm does not mirror this process, -EOPNOTSUPP if the kernel does
 * not tell what vms mirror.
 */
int xep_space_attach(const struct xep_space *space,
                     int fd,
                     uint32_t vm_id,
                     uint32_t *vm);

/**
 * Lets go of a vm. An own one is destroyed. A borrowed one forgets what it was told of memory whose life is known, and
 * keeps what it was told of other memory. -ENOENT if the space has none such.
 */
int xep_space_detach(const struct xep_space *space,
                     uint32_t vm);

/** Lists the vms of a space. Fills at most `capacity` elements and stores in `count` how many there are. */
int xep_space_members(const struct xep_space *space,
                      struct xep_member *members,
                      size_t capacity,
                      size_t *count);

/**
 * Stores the device file and the kernel's number of a vm, for work of the caller's own. An own vm is made if it was not.
 *
 * The descriptor is the space's: it must not be closed, and is valid until the vm is detached or the space closed.
 */
int xep_space_vm(const struct xep_space *space,
                 uint32_t vm,
                 int *fd,
                 uint32_t *vm_id);

/**
 * Promises that nobody unmaps or re-uses any of a range, or of the 2 MiB blocks that it touches, without
 * xep_space_reset() first.
 *
 * Advice that stands already then costs no call to the kernel, and a vm that joins later is told it.
 */
int xep_space_declare_stable(const struct xep_space *space,
                             const void *address,
                             size_t length);

/**
 * Lets a GPU touch each page of a range on its copy engine, and waits for it: `access` is an enum xep_access.
 *
 * For warming up and for tests: pages that are not mapped for the GPU fault, and come to where its vm was told. Stores
 * and atomics change the first word of each page.
 */
int xep_space_touch(const struct xep_space *space,
                    uint32_t gpu,
                    const void *address,
                    size_t length,
                    uint32_t access);

/**
 * Tells all vms that will use a range what is wished. Nothing moves: use xep_space_prefetch() for that.
 *
 * Fallbacks are resolved once, so that every vm gets the same answer. `advice_size` and `report_size` are those of the
 * caller's structures. `report` and `answers` can be NULL; at most `capacity` answers are stored.
 *
 * Returns 0 if every vm took everything. If one refused, report and answers are written all the same, and the first
 * refusal's negative errno is returned: -ENOLINK if no location is in reach of all vms, -EOPNOTSUPP if the kernel does
 * not know the attribute, -ENXIO if a vm does not mirror the range. Any other failure changes nothing and writes nothing:
 * -EINVAL for a range that is empty, wraps or is not a process's, or an advice that names nothing; -ENOENT for an unknown
 * GPU or region, -ENODEV for a GPU that has gone, -EBADF for a closed space, -ECHILD in a forked child.
 */
int xep_space_advise(const struct xep_space *space,
                     const void *address,
                     size_t length,
                     const struct xep_advice *advice,
                     size_t advice_size,
                     struct xep_report *report,
                     size_t report_size,
                     struct xep_answer *answers,
                     size_t capacity);

/** Takes back all that was told of a range through this space, and forgets it: call it before the memory is unmapped. */
int xep_space_reset(const struct xep_space *space,
                    const void *address,
                    size_t length);

/**
 * Moves a range to a location now, and maps it for some GPUs.
 *
 * `outcome` is required. `prefetch_size` and `outcome_size` are those of the caller's structures. At most `capacity`
 * runs that did not move are stored in `stays`.
 *
 * Returns 0 if every byte is in place and mapped. If not, outcome and stays are written all the same, and the negative
 * errno of the first obstacle is returned, such as -EBUSY for a pinned page, -ENOSPC for a full VRAM, -ECANCELED if
 * `progress` stopped it. Any other failure moves and writes nothing; the errors are those of xep_space_advise().
 */
int xep_space_prefetch(const struct xep_space *space,
                       const void *address,
                       size_t length,
                       const struct xep_prefetch *prefetch,
                       size_t prefetch_size,
                       struct xep_outcome *outcome,
                       size_t outcome_size,
                       struct xep_stay *stays,
                       size_t capacity);

/**
 * Starts a prefetch that its caller pumps with xep_prefetch_job_step(). Nothing moves yet.
 *
 * It can be used from any thread, by one at a time. Close it with xep_prefetch_job_close().
 */
int xep_space_start_prefetch(const struct xep_space *space,
                             const void *address,
                             size_t length,
                             const struct xep_prefetch *prefetch,
                             size_t prefetch_size,
                             struct xep_prefetch_job **job);

/** Moves the next chunk, and stores how many bytes of how many are dealt with. It has ended when the two are equal. */
int xep_prefetch_job_step(const struct xep_prefetch_job *job,
                          uint64_t *done,
                          uint64_t *total);

/** Leaves what has not moved yet where it is. The outcome counts it among what stays. */
int xep_prefetch_job_cancel(const struct xep_prefetch_job *job);

/**
 * Says what is true now, measured over the whole range at each call.
 *
 * `outcome`, `stays` and the answer are as those of xep_space_prefetch(). At most `unmapped_capacity` GPUs that will
 * fault are stored in `unmapped`.
 */
int xep_prefetch_job_outcome(const struct xep_prefetch_job *job,
                             struct xep_outcome *outcome,
                             size_t outcome_size,
                             struct xep_stay *stays,
                             size_t stay_capacity,
                             struct xep_unmapped *unmapped,
                             size_t unmapped_capacity);

/** Closes a prefetch. What has not moved stays where it is. NULL is nothing; -EBADF if it is closed already. */
int xep_prefetch_job_close(struct xep_prefetch_job *job);

/**
 * Says where the pages of a range are now: runs in order, without gaps. Nothing is touched, so nothing moves.
 *
 * That a page is in VRAM is measured; in whose, only with CAP_SYS_ADMIN or where the machine has one region. Else the
 * record tells, and the confidence says so. Fills at most `capacity` elements and stores in `count` how many there are.
 */
int xep_space_residency(const struct xep_space *space,
                        const void *address,
                        size_t length,
                        struct xep_run *runs,
                        size_t capacity,
                        size_t *count);

/**
 * Says what each vm was told of a range, as the kernel has it, vm by vm.
 *
 * Just after memory was unmapped it can still show what it is about to reset. -EOPNOTSUPP if the kernel does not tell.
 * Fills at most `capacity` elements and stores in `count` how many there are.
 */
int xep_space_attributes(const struct xep_space *space,
                         const void *address,
                         size_t length,
                         struct xep_attribute_run *runs,
                         size_t capacity,
                         size_t *count);

/**
 * Says for each run of a range that is not where it was wished through this space everything that is in the way.
 *
 * One element for each obstacle; those of the same pages follow each other. Fills at most `capacity` elements and stores
 * in `count` how many there are: 0 if everything is as wished.
 */
int xep_space_explain(const struct xep_space *space,
                      const void *address,
                      size_t length,
                      struct xep_explanation *explanations,
                      size_t capacity,
                      size_t *count);

/**
 * Says which parts of a range belong where: disjoint steps in order, covering all of it. Nothing is done.
 *
 * Cuts lie on blocks of 2 MiB, so shares are exact to a block where the range begins on one. `size` is that of the
 * caller's struct xep_layout. Fills at most `capacity` elements and stores in `count` how many there are. -EINVAL for a
 * layout that makes no sense, or more than a million steps.
 */
int xep_layout_plan(const struct xep_layout *layout,
                    size_t size,
                    const void *address,
                    size_t length,
                    struct xep_step *steps,
                    size_t capacity,
                    size_t *count);

/**
 * Maps zeroed memory, rounded up to pages, and advises all vms of a space as a layout says.
 *
 * It begins on a 2 MiB block and shares none with other memory, and advice that stands already costs nothing there.
 * Nothing is in VRAM yet: a GPU's first touch, or xep_space_prefetch(), brings it there. `size` is that of the caller's
 * struct xep_layout. The errors are those of xep_space_advise(), which leave nothing behind, and -ENOMEM. Close it with
 * xep_memory_close().
 */
int xep_space_allocate(const struct xep_space *space,
                       uint64_t length,
                       const struct xep_layout *layout,
                       size_t size,
                       struct xep_memory **memory);

/** Says where memory begins; NULL for a handle that is NULL or closed. */
void *xep_memory_address(const struct xep_memory *memory);

/** Says how many bytes memory has; 0 for a handle that is NULL or closed. */
uint64_t xep_memory_length(const struct xep_memory *memory);

/** Takes back the advice on memory and unmaps it. NULL is nothing; -EBADF if it is closed already. */
int xep_memory_close(struct xep_memory *memory);

/**
 * Tells that the CPU has touched a range: `access` is an enum xep_access.
 *
 * A kernel sees that by itself, and a simulated machine cannot: 0 without any effect on a real one.
 */
int xep_sim_cpu_touched(const struct xep_machine *machine,
                        const void *address,
                        size_t length,
                        uint32_t access);

/** Tells that a range was unmapped, as munmap(2) does. 0 without any effect on a real machine. */
int xep_sim_unmapped(const struct xep_machine *machine, const void *address, size_t length);

/**
 * Tells that a mapping has moved from `old_address` to `new_address`, as mremap(2) does. 0 without any effect on a real
 * machine.
 */
int xep_sim_moved(const struct xep_machine *machine,
                  const void *old_address,
                  size_t length,
                  const void *new_address);

/**
 * Lets requests fail, without any effect: `skip` tries of `call` pass first, then `times` fail with `error`, a positive
 * errno.
 *
 * -EOPNOTSUPP on a real machine.
 */
int xep_sim_inject(const struct xep_machine *machine,
                   uint32_t call,
                   uint32_t skip,
                   uint32_t times,
                   int error);

/** Fills VRAM: from now on so many bytes of a region hold what cannot be evicted. -EOPNOTSUPP on a real machine. */
int xep_sim_fill_vram(const struct xep_machine *machine,
                      uint32_t gpu,
                      uint32_t region,
                      uint64_t bytes);

/** Pins the pages of a range in host memory, as I/O does. -EOPNOTSUPP on a real machine. */
int xep_sim_pin(const struct xep_machine *machine, const void *address, size_t length);

/** Lets go of pinned pages. -EOPNOTSUPP on a real machine. */
int xep_sim_unpin(const struct xep_machine *machine, const void *address, size_t length);

/** Unplugs a GPU: what was in its VRAM comes to host memory, and every request to it fails. -EOPNOTSUPP on a real machine. */
int xep_sim_unplug(const struct xep_machine *machine,
                   uint32_t gpu);

/** Plugs a GPU in again, as a new device: what was open before stays dead. -EOPNOTSUPP on a real machine. */
int xep_sim_replug(const struct xep_machine *machine,
                   uint32_t gpu);

/**
 * Says whether this process may see page frames and physical addresses, as root does: 1 or 0, which it is at first.
 * -EOPNOTSUPP on a real machine.
 */
int xep_sim_set_privileged(const struct xep_machine *machine,
                           int privileged);

/** Says what happened at a GPU, and to its machine. `size` is that of the caller's struct. -EOPNOTSUPP on a real machine. */
int xep_sim_counters(const struct xep_machine *machine,
                     uint32_t gpu,
                     struct xep_sim_counters *counters,
                     size_t size);

/**
 * Returns every function of this header in one table, for hosts that load the library with dlopen(3).
 *
 * `version` and `size` are XEP_TABLE_VERSION and sizeof(struct xep_table) as the caller was compiled with. NULL if the
 * library has no such version, or is older than the caller and has fewer functions.
 */
const struct xep_table *xep_get_table(uint32_t version,
                                      size_t size);

/** Every function of this header under its name without xep_, behind the table's version and size. See xep_get_table(). */
struct xep_table {
    uint32_t table_version;
    uint32_t table_size;
    uint32_t (*version)(void);
    const char *(*last_error)(void);
    int (*machine_open)(struct xep_machine **machine);
    int (*machine_open_with_ioctl)(xep_ioctl_function function, void *user, struct xep_machine **machine);
    int (*machine_open_named)(const char *name, struct xep_machine **machine);
    int (*machine_open_simulated)(const char *text, struct xep_machine **machine);
    int (*machine_open_recorded)(const char *directory, struct xep_machine **machine);
    int (*machine_record)(const struct xep_machine *machine, const char *directory);
    int (*machine_close)(struct xep_machine *machine);
    uint32_t (*machine_gpu_count)(const struct xep_machine *machine);
    int (*machine_is_simulated)(const struct xep_machine *machine);
    int (*machine_unusable)(const struct xep_machine *machine, struct xep_unusable *unusable, size_t capacity, size_t *count);
    int (*machine_groups)(const struct xep_machine *machine, uint32_t *groups, size_t capacity, size_t *count);
    int (*machine_link)(const struct xep_machine *machine, uint32_t from, uint32_t to, struct xep_link *link, size_t size);
    int (*machine_probe_link)(const struct xep_machine *machine, uint32_t from, uint32_t to, struct xep_link *link, size_t size);
    int (*gpu_describe)(const struct xep_machine *machine, uint32_t gpu, struct xep_gpu_info *info, size_t size);
    int (*gpu_regions)(const struct xep_machine *machine, uint32_t gpu, struct xep_region *regions, size_t capacity, size_t *count);
    int (*gpu_usage)(const struct xep_machine *machine, uint32_t gpu, struct xep_region *regions, size_t capacity, size_t *count);
    int (*gpu_capabilities)(const struct xep_machine *machine, uint32_t gpu, struct xep_capabilities *capabilities, size_t size);
    int (*gpu_counters)(const struct xep_machine *machine, uint32_t gpu, struct xep_svm_counters *counters, size_t size);
    int (*space_create)(const struct xep_machine *machine, struct xep_space **space);
    int (*space_create_empty)(const struct xep_machine *machine, struct xep_space **space);
    int (*space_close)(struct xep_space *space);
    int (*space_add)(const struct xep_space *space, uint32_t gpu, uint32_t *vm);
    int (*space_attach)(const struct xep_space *space, int fd, uint32_t vm_id, uint32_t *vm);
    int (*space_detach)(const struct xep_space *space, uint32_t vm);
    int (*space_members)(const struct xep_space *space, struct xep_member *members, size_t capacity, size_t *count);
    int (*space_vm)(const struct xep_space *space, uint32_t vm, int *fd, uint32_t *vm_id);
    int (*space_declare_stable)(const struct xep_space *space, const void *address, size_t length);
    int (*space_touch)(const struct xep_space *space, uint32_t gpu, const void *address, size_t length, uint32_t access);
    int (*space_advise)(const struct xep_space *space, const void *address, size_t length, const struct xep_advice *advice, size_t advice_size, struct xep_report *report, size_t report_size, struct xep_answer *answers, size_t capacity);
    int (*space_reset)(const struct xep_space *space, const void *address, size_t length);
    int (*space_prefetch)(const struct xep_space *space, const void *address, size_t length, const struct xep_prefetch *prefetch, size_t prefetch_size, struct xep_outcome *outcome, size_t outcome_size, struct xep_stay *stays, size_t capacity);
    int (*space_start_prefetch)(const struct xep_space *space, const void *address, size_t length, const struct xep_prefetch *prefetch, size_t prefetch_size, struct xep_prefetch_job **job);
    int (*prefetch_job_step)(const struct xep_prefetch_job *job, uint64_t *done, uint64_t *total);
    int (*prefetch_job_cancel)(const struct xep_prefetch_job *job);
    int (*prefetch_job_outcome)(const struct xep_prefetch_job *job, struct xep_outcome *outcome, size_t outcome_size, struct xep_stay *stays, size_t stay_capacity, struct xep_unmapped *unmapped, size_t unmapped_capacity);
    int (*prefetch_job_close)(struct xep_prefetch_job *job);
    int (*space_residency)(const struct xep_space *space, const void *address, size_t length, struct xep_run *runs, size_t capacity, size_t *count);
    int (*space_attributes)(const struct xep_space *space, const void *address, size_t length, struct xep_attribute_run *runs, size_t capacity, size_t *count);
    int (*space_explain)(const struct xep_space *space, const void *address, size_t length, struct xep_explanation *explanations, size_t capacity, size_t *count);
    int (*layout_plan)(const struct xep_layout *layout, size_t size, const void *address, size_t length, struct xep_step *steps, size_t capacity, size_t *count);
    int (*space_allocate)(const struct xep_space *space, uint64_t length, const struct xep_layout *layout, size_t size, struct xep_memory **memory);
    void *(*memory_address)(const struct xep_memory *memory);
    uint64_t (*memory_length)(const struct xep_memory *memory);
    int (*memory_close)(struct xep_memory *memory);
    int (*sim_cpu_touched)(const struct xep_machine *machine, const void *address, size_t length, uint32_t access);
    int (*sim_unmapped)(const struct xep_machine *machine, const void *address, size_t length);
    int (*sim_moved)(const struct xep_machine *machine, const void *old_address, size_t length, const void *new_address);
    int (*sim_inject)(const struct xep_machine *machine, uint32_t call, uint32_t skip, uint32_t times, int error);
    int (*sim_fill_vram)(const struct xep_machine *machine, uint32_t gpu, uint32_t region, uint64_t bytes);
    int (*sim_pin)(const struct xep_machine *machine, const void *address, size_t length);
    int (*sim_unpin)(const struct xep_machine *machine, const void *address, size_t length);
    int (*sim_unplug)(const struct xep_machine *machine, uint32_t gpu);
    int (*sim_replug)(const struct xep_machine *machine, uint32_t gpu);
    int (*sim_set_privileged)(const struct xep_machine *machine, int privileged);
    int (*sim_counters)(const struct xep_machine *machine, uint32_t gpu, struct xep_sim_counters *counters, size_t size);
};

/** The VRAM of whichever GPU faults. */
static inline struct xep_location xep_default(void) {
    struct xep_location location = {XEP_LOCATION_DEFAULT, 0, 0, 0};
    return location;
}

/** Host memory. */
static inline struct xep_location xep_system(void) {
    struct xep_location location = {XEP_LOCATION_SYSTEM, 0, 0, 0};
    return location;
}

/** Host memory of one NUMA node. */
static inline struct xep_location xep_host_node(uint32_t node) {
    struct xep_location location = {XEP_LOCATION_HOST_NODE, 0, 0, 0};
    location.node = node;
    return location;
}

/** One region of a GPU's VRAM: 1 for the first tile. */
static inline struct xep_location xep_vram(uint32_t gpu, uint32_t region) {
    struct xep_location location = {XEP_LOCATION_VRAM, 0, 0, 0};
    location.gpu = gpu;
    location.region = region;
    return location;
}

#ifdef __cplusplus
}  /* extern "C" */
#endif  /* __cplusplus */

#endif  /* XEPLACE_H */
