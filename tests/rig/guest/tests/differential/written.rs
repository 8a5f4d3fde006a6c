// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios written by hand: everything that can be done, at least once, and what was once different.

/// Each with what it is about. `0+512` are the pages of the first 2 MiB block.
pub const SCENARIOS: &[(&str, &str)] = &[
    (
        "touches by all",
        "map 0+1536 private
        cpu 0+512 write
        cpu 512+1 read
        gpu0 0+1024 read
        gpu0 0+1024 read
        gpu1 512+512 write
        gpu0 600+1 read
        cpu 3+1 read
        cpu 600+1 write
        gpu1 0+1536 atomic
        cpu 0+1536 read",
    ),
    (
        "memory that never moves",
        "map 0+512 shared
        map 512+512 private
        cpu 0+16 write
        gpu0 0+1024 write
        prefetch 0+1024 to=vram1 for=0,1
        gpu1 0+512 atomic
        advise 0+1024 prefer=system atomics=device
        gpu1 0+512 atomic
        discard 0+1024",
    ),
    (
        "advice of every kind, to every location",
        "map 0+1536 private
        cpu 0+1536 write
        advise 0+512 prefer=vram0
        advise 512+512 prefer=vram1,system for=0
        advise 1024+512 prefer=system only-system-pages
        gpu0 0+1536 read
        advise 0+1536 prefer=default atomics=device
        advise 0+512 atomics=global
        advise 512+512 pat=1
        gpu1 0+1536 write
        advise 0+512 prefer=vram1
        advise 16+16 prefer=vram1
        gpu0 0+512 read
        advise 8+1 prefer=system for=1
        advise 0+1536 prefer=node0
        prefetch 0+1536 to=node0
        advise 0+1536 prefer=system
        gpu1 0+1536 write",
    ),
    (
        "advice that cuts blocks and is taken back",
        "map 0+1536 private
        cpu 0+1536 write
        prefetch 0+1536 to=vram0 for=0
        advise 100+500 prefer=vram1
        gpu0 0+1536 read
        prefetch 0+1536 to=vram1 for=0,1
        advise 16+1 prefer=system
        reset 100+500
        reset 0+1536
        gpu1 0+1536 read",
    ),
    (
        "atomic modes",
        "map 0+1536 private
        cpu 0+1536 write
        advise 0+512 prefer=vram1 atomics=undefined
        advise 512+512 prefer=vram1 atomics=device
        advise 1024+512 prefer=system atomics=global
        gpu0 0+1536 read
        gpu0 0+1536 atomic
        gpu0 0+1536 atomic
        advise 0+512 atomics=cpu
        gpu0 0+512 write
        gpu0 0+1 atomic
        gpu1 512+512 atomic",
    ),
    (
        "prefetch to every location",
        "map 0+1536 private
        cpu 0+100 write
        prefetch 0+1536 to=vram0
        prefetch 0+1024 to=vram1 for=1
        gpu1 0+1536 read
        prefetch 512+1024 to=default for=0,1
        prefetch 0+1536 to=system for=0,1
        gpu0 0+1536 write
        advise 0+1536 prefer=vram1
        prefetch 0+1536 to=vram1 for=0,1
        gpu0 0+1536 write
        gpu1 0+1536 read
        prefetch 17+1 to=system",
    ),
    (
        "pages that were given back",
        "map 0+1024 private
        cpu 0+1024 write
        prefetch 0+1024 to=vram0 for=0
        discard 0+16
        discard 512+512
        gpu0 0+1024 read
        cpu 0+1 read
        gpu1 512+512 write
        discard 100+600
        prefetch 0+1024 to=vram1",
    ),
    (
        "memory that goes, and other memory at its place",
        "map 0+1024 private
        advise 0+1024 prefer=vram1
        gpu0 0+1024 write
        unmap 256+512
        prefetch 0+1024 to=vram1 for=0
        map 256+512 private
        gpu0 0+1024 read
        reset 0+1024
        unmap 0+1024
        map 0+512 shared
        gpu0 0+512 read",
    ),
    (
        "memory that moves",
        "map 0+1024 private
        cpu 0+1024 write
        advise 0+1024 prefer=vram1
        gpu0 0+1024 write
        mremap 0+512
        gpu0 2048+512 read
        cpu 2048+1 read
        mremap 600+100
        prefetch 2560+512 to=vram0
        cpu 2700+1 write
        gpu1 512+88 read",
    ),
    (
        "memory that may not be used",
        "map 0+1024 private
        cpu 0+1024 write
        prefetch 0+1024 to=vram0 for=0
        mprotect 0+16 read
        cpu 0+1 read
        prefetch 0+1024 to=vram1
        gpu0 0+1024 read
        mprotect 512+512 none
        prefetch 0+1024 to=vram0
        call gpu0 0+1024 prefetch=1
        mprotect 0+1024 write
        call gpu0 0+1024 prefetch=1
        gpu0 0+1024 write",
    ),
    (
        "a fault without end: what is mapped as one block must be writable as a whole",
        "map 0+512 private
        cpu 0+512 write
        prefetch 0+512 to=vram0
        mprotect 0+16 read
        gpu0 16+16 read",
    ),
    (
        "accesses that cost the queue",
        "map 0+1024 private
        cpu 0+1024 write
        mprotect 0+512 read
        call gpu0 0+1 touch=read
        mprotect 0+512 write
        call gpu0 0+512 touch=read
        call gpu0 1024+1 touch=write
        advise 0+512 atomics=cpu
        call gpu0 0+1 touch=atomic
        call gpu1 3000+1 touch=read",
    ),
    (
        "guard pages",
        "map 0+1536 private
        cpu 0+1536 write
        prefetch 0+1536 to=vram0
        guard 600+2
        prefetch 0+1536 to=vram1
        call gpu1 0+1536 prefetch=1
        gpu0 0+512 read
        gpu0 512+512 read
        discard 512+512
        unguard 600+1
        unguard 601+1
        gpu0 512+512 write",
    ),
    (
        "a fork",
        "map 0+1024 private
        cpu 0+512 write
        prefetch 0+1024 to=vram0 for=0
        fork
        gpu0 0+512 read
        gpu0 0+1024 write
        fork
        cpu 0+1 write
        cpu 512+1 read
        gpu1 0+1024 write",
    ),
    (
        "pressure",
        "map 0+1024 private
        cpu 0+512 write
        prefetch 0+1024 to=vram0 for=0
        pressure gpu0
        gpu0 0+1024 read
        prefetch 0+1024 to=vram1
        pressure gpu0
        pressure gpu1
        advise 0+1024 prefer=vram1
        gpu0 0+1024 write",
    ),
    (
        "mirrors that are taken away",
        "map 0+1536 private
        cpu 0+1536 write
        gpu0 0+512 write
        call gpu0 0+512 unmirror
        call gpu0 512+512 unmirror
        advise 0+1536 prefer=vram1
        prefetch 0+1536 to=vram0
        call gpu0 512+512 touch=read
        call gpu0 512+512 mirror
        gpu0 0+1536 read
        call gpu0 0+64 mirror
        call gpu0 100+1 prefer=system
        call gpu0 102+1 prefer=system
        call gpu0 101+1 mirror",
    ),
    (
        "requests past the library",
        "map 0+1536 private
        cpu 0+700 write
        call gpu0 0+1024 prefer=vram1
        call gpu0 0+1024 prefetch=consult
        call gpu1 0+1024 prefetch=consult
        call gpu0 0+1024 prefetch=0
        call gpu0 0+1 prefetch=1
        call gpu0 600+3 prefetch=1
        call gpu0 0+1024 atomics=device
        gpu0 0+1024 atomic
        advise 0+1024 prefer=vram0
        call gpu1 0+512 prefer=vram1
        prefetch 0+1024 to=vram0 for=0,1",
    ),
];

/// One that leaves the machine without its last GPU.
pub const UNPLUG: &str = "map 0+1536 private
    cpu 0+1536 write
    advise 0+1536 prefer=vram1
    prefetch 0+1024 to=vram1 for=0
    prefetch 1024+512 to=vram0 for=0
    unplug gpu1
    gpu1 0+1536 read
    prefetch 0+1536 to=vram1
    gpu0 0+1536 read
    advise 0+512 prefer=vram1
    advise 0+512 prefer=vram1,system
    advise 512+512 prefer=vram0 for=0
    prefetch 0+1024 to=vram0 for=0
    cpu 0+1536 read
    unmap 0+1536";
