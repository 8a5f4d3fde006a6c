// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel's structures and numbers, compared with the kernel's own headers.
//!
//! A C program, made from the names below, prints what the header says; Rust says what `src/uapi` has. The header is the
//! first one new enough of `$XEPLACE_UAPI_INCLUDE`, `target/uapi/usr/include` (`tests/uapi-header.sh` puts it there) and
//! `/usr/include`. Where there is none, or no C compiler, nothing is compared and a line on standard error says so; with
//! `XEPLACE_REQUIRE_UAPI=1`, which CI sets, that is a failure.

use std::{
    collections::BTreeSet,
    env, fs,
    io::{self, Write},
    mem::{offset_of, size_of, size_of_val},
    path::{Path, PathBuf},
    process::Command,
};
use xeplace::uapi::*;

/// One number, as a C expression and as this library has it.
struct Fact {
    expression: String,
    ours: u64,
    /// Bytes of the type that it has here.
    bytes: usize,
}

impl Fact {
    fn new(expression: String, ours: u64, bytes: usize) -> Fact {
        Fact { expression, ours: truncated(ours, bytes), bytes }
    }

    /// The header writes all ones as -1.
    fn agrees(&self, theirs: i64) -> bool {
        self.ours == if theirs < 0 { truncated(theirs as u64, self.bytes) } else { theirs as u64 }
    }
}

fn truncated(value: u64, bytes: usize) -> u64 {
    value & u64::MAX >> (64 - 8 * bytes.min(8))
}

/// The names of a structure's fields.
type Listed = (&'static str, &'static [&'static str]);

/// Structures and their fields under the names that they have in Rust; in quotes what C calls them, where that differs.
macro_rules! structures {
    ($($name:ident $(as $c:literal)? { $($field:ident $(as $there:literal)?),* $(,)? })*) => {
        const STRUCTURES: &[Listed] = &[$((stringify!($name), &[$(stringify!($field)),*])),*];

        fn structures() -> Vec<Fact> {
            let mut facts = Vec::new();
            $({
                let c = other(&[$($c)?], concat!("struct ", stringify!($name)));
                facts.push(Fact::new(format!("sizeof({c})"), size_of::<$name>() as u64, 8));
                $(
                    let field = other(&[$($there)?], stringify!($field));
                    let size = size_of_field(|whole: &$name| &whole.$field);
                    facts.push(Fact::new(format!("offsetof({c}, {field})"), offset_of!($name, $field) as u64, 8));
                    facts.push(Fact::new(format!("sizeof((({c} *)0)->{field})"), size as u64, 8));
                )*
            })*
            facts
        }
    };
}

fn other(there: &[&'static str], here: &'static str) -> &'static str {
    there.first().unwrap_or(&here)
}

fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// Constants: macros or enumerators of the header.
macro_rules! constants {
    ($($name:ident)*) => {
        const CONSTANTS: &[&str] = &[$(stringify!($name)),*];

        #[allow(clippy::unnecessary_cast, reason = "they have many types")]
        fn constants() -> Vec<Fact> {
            vec![$(Fact::new(stringify!($name).to_owned(), $name as u64, size_of_val(&$name))),*]
        }
    };
}

/// No header has these: `Documentation/admin-guide/mm/pagemap.rst` and `fs/proc/task_mmu.c` do.
const NOT_IN_A_HEADER: &[&str] =
    &["PM_PRESENT", "PM_SWAP", "PM_FILE", "PM_GUARD_REGION", "PM_PFRAME_MASK", "PM_SWAP_TYPE_BITS"];

structures! {
    drm_xe_engine_class_instance { engine_class, engine_instance, gt_id, pad }
    drm_xe_engine { instance, reserved }
    drm_xe_mem_region {
        mem_class, instance, min_page_size, total_size, used, cpu_visible_size, cpu_visible_used, reserved,
    }
    drm_xe_gt {
        type_ as "type", tile_id, gt_id, pad, reference_clock, near_mem_regions, far_mem_regions, ip_ver_major,
        ip_ver_minor, ip_ver_rev, pad2, reserved,
    }
    drm_xe_device_query { extensions, query, size, data, reserved }
    drm_xe_vm_create { extensions, flags, vm_id, reserved }
    drm_xe_vm_destroy { vm_id, pad, reserved }
    drm_xe_vm_bind_op {
        extensions, obj, pat_index, pad, obj_offset, range, addr, op, flags, prefetch_mem_region_instance, pad2,
        reserved,
    }
    drm_xe_vm_bind {
        extensions, vm_id, exec_queue_id, pad, num_binds, bind, pad2, num_syncs, syncs, reserved,
    }
    xe_vm_fault { address, address_precision, access_type, fault_type, fault_level, pad, reserved }
    drm_xe_vm_get_property { extensions, vm_id, property, size, pad, data, reserved }
    drm_xe_exec_queue_create {
        extensions, width, num_placements, vm_id, flags, exec_queue_id, instances, reserved,
    }
    drm_xe_exec_queue_destroy { exec_queue_id, pad, reserved }
    drm_xe_sync { extensions, type_ as "type", flags, addr, timeline_value, reserved }
    drm_xe_exec { extensions, exec_queue_id, num_syncs, syncs, address, num_batch_buffer, pad, reserved }
    drm_xe_wait_user_fence {
        extensions, addr, op, flags, pad, value, mask, timeout, exec_queue_id, pad2, reserved,
    }
    drm_xe_madvise_preferred_mem_loc as "__typeof__(((struct drm_xe_madvise *)0)->preferred_mem_loc)" {
        devmem_fd, migration_policy, region_instance, reserved,
    }
    drm_xe_madvise_value as "__typeof__(((struct drm_xe_madvise *)0)->atomic)" { val, pad, reserved }
    drm_xe_madvise_value as "__typeof__(((struct drm_xe_madvise *)0)->pat_index)" { val, pad, reserved }
    drm_xe_madvise_value as "__typeof__(((struct drm_xe_madvise *)0)->purge_state_val)" {
        val, pad, reserved as "retained_ptr",
    }
    drm_xe_mem_range_attr_preferred_mem_loc
        as "__typeof__(((struct drm_xe_mem_range_attr *)0)->preferred_mem_loc)" { devmem_fd, migration_policy }
    drm_xe_mem_range_attr_value as "__typeof__(((struct drm_xe_mem_range_attr *)0)->atomic)" { val, reserved }
    drm_xe_mem_range_attr_value as "__typeof__(((struct drm_xe_mem_range_attr *)0)->pat_index)" { val, reserved }
    drm_xe_mem_range_attr { extensions, start, end, preferred_mem_loc, atomic, pat_index, reserved }
    drm_xe_vm_query_mem_range_attr {
        extensions, vm_id, num_mem_ranges, start, range, sizeof_mem_range_attr, vector_of_mem_attr, reserved,
    }
    drm_xe_madvise { extensions, start, range, vm_id, type_ as "type", value as "preferred_mem_loc", reserved }
    drm_xe_madvise { value as "atomic" }
    drm_xe_madvise { value as "pat_index" }
    drm_xe_madvise { value as "purge_state_val" }
    pm_scan_arg {
        size, flags, start, end, walk_end, vec, vec_len, max_pages, category_inverted, category_mask,
        category_anyof_mask, return_mask,
    }
    page_region { start, end, categories }
}

constants! {
    DRM_IOCTL_XE_DEVICE_QUERY
    DRM_IOCTL_XE_VM_CREATE
    DRM_IOCTL_XE_VM_DESTROY
    DRM_IOCTL_XE_VM_BIND
    DRM_IOCTL_XE_EXEC_QUEUE_CREATE
    DRM_IOCTL_XE_EXEC_QUEUE_DESTROY
    DRM_IOCTL_XE_EXEC
    DRM_IOCTL_XE_WAIT_USER_FENCE
    DRM_IOCTL_XE_MADVISE
    DRM_IOCTL_XE_VM_QUERY_MEM_RANGE_ATTRS
    DRM_IOCTL_XE_VM_GET_PROPERTY

    DRM_XE_ENGINE_CLASS_RENDER
    DRM_XE_ENGINE_CLASS_COPY
    DRM_XE_ENGINE_CLASS_VIDEO_DECODE
    DRM_XE_ENGINE_CLASS_VIDEO_ENHANCE
    DRM_XE_ENGINE_CLASS_COMPUTE
    DRM_XE_ENGINE_CLASS_VM_BIND
    DRM_XE_MEM_REGION_CLASS_SYSMEM
    DRM_XE_MEM_REGION_CLASS_VRAM
    DRM_XE_QUERY_GT_TYPE_MAIN
    DRM_XE_QUERY_GT_TYPE_MEDIA
    DRM_XE_QUERY_CONFIG_REV_AND_DEVICE_ID
    DRM_XE_QUERY_CONFIG_FLAGS
    DRM_XE_QUERY_CONFIG_MIN_ALIGNMENT
    DRM_XE_QUERY_CONFIG_VA_BITS
    DRM_XE_QUERY_CONFIG_MAX_EXEC_QUEUE_PRIORITY
    DRM_XE_QUERY_CONFIG_FLAG_HAS_VRAM
    DRM_XE_QUERY_CONFIG_FLAG_HAS_LOW_LATENCY
    DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR
    DRM_XE_QUERY_CONFIG_FLAG_HAS_NO_COMPRESSION_HINT
    DRM_XE_QUERY_CONFIG_FLAG_HAS_DISABLE_STATE_CACHE_PERF_FIX
    DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT
    DRM_XE_DEVICE_QUERY_ENGINES
    DRM_XE_DEVICE_QUERY_MEM_REGIONS
    DRM_XE_DEVICE_QUERY_CONFIG
    DRM_XE_DEVICE_QUERY_GT_LIST
    DRM_XE_VM_CREATE_FLAG_SCRATCH_PAGE
    DRM_XE_VM_CREATE_FLAG_LR_MODE
    DRM_XE_VM_CREATE_FLAG_FAULT_MODE
    DRM_XE_VM_CREATE_FLAG_NO_VM_OVERCOMMIT
    DRM_XE_VM_BIND_OP_MAP
    DRM_XE_VM_BIND_OP_UNMAP
    DRM_XE_VM_BIND_OP_MAP_USERPTR
    DRM_XE_VM_BIND_OP_UNMAP_ALL
    DRM_XE_VM_BIND_OP_PREFETCH
    DRM_XE_VM_BIND_FLAG_READONLY
    DRM_XE_VM_BIND_FLAG_IMMEDIATE
    DRM_XE_VM_BIND_FLAG_NULL
    DRM_XE_VM_BIND_FLAG_DUMPABLE
    DRM_XE_VM_BIND_FLAG_CHECK_PXP
    DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR
    DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET
    DRM_XE_VM_BIND_FLAG_DECOMPRESS
    DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC
    DRM_XE_VM_GET_PROPERTY_FAULTS
    DRM_XE_SYNC_TYPE_SYNCOBJ
    DRM_XE_SYNC_TYPE_TIMELINE_SYNCOBJ
    DRM_XE_SYNC_TYPE_USER_FENCE
    DRM_XE_SYNC_FLAG_SIGNAL
    DRM_XE_MEM_RANGE_ATTR_PREFERRED_LOC
    DRM_XE_MEM_RANGE_ATTR_ATOMIC
    DRM_XE_MEM_RANGE_ATTR_PAT
    DRM_XE_VMA_ATTR_PURGEABLE_STATE
    DRM_XE_PREFERRED_LOC_DEFAULT_DEVICE
    DRM_XE_PREFERRED_LOC_DEFAULT_SYSTEM
    DRM_XE_ATOMIC_UNDEFINED
    DRM_XE_ATOMIC_DEVICE
    DRM_XE_ATOMIC_GLOBAL
    DRM_XE_ATOMIC_CPU
    DRM_XE_VMA_PURGEABLE_STATE_WILLNEED
    DRM_XE_VMA_PURGEABLE_STATE_DONTNEED
    DRM_XE_MIGRATE_ALL_PAGES
    DRM_XE_MIGRATE_ONLY_SYSTEM_PAGES
    DRM_XE_UFENCE_WAIT_OP_EQ
    DRM_XE_UFENCE_WAIT_OP_NEQ
    DRM_XE_UFENCE_WAIT_OP_GT
    DRM_XE_UFENCE_WAIT_OP_GTE
    DRM_XE_UFENCE_WAIT_OP_LT
    DRM_XE_UFENCE_WAIT_OP_LTE
    DRM_XE_UFENCE_WAIT_FLAG_ABSTIME
    FAULT_ACCESS_TYPE_READ
    FAULT_ACCESS_TYPE_WRITE
    FAULT_ACCESS_TYPE_ATOMIC
    FAULT_TYPE_NOT_PRESENT
    FAULT_TYPE_WRITE_ACCESS
    FAULT_TYPE_ATOMIC_ACCESS

    PAGEMAP_SCAN
    PAGE_IS_FILE
    PAGE_IS_PRESENT
    PAGE_IS_SWAPPED
    PAGE_IS_PFNZERO
    PAGE_IS_HUGE
    PAGE_IS_GUARD
}

/// The words that the constructors of `drm_xe_madvise` make of the union, against those that C makes of its fields.
fn words() -> Vec<Fact> {
    let place = drm_xe_madvise_preferred_mem_loc {
        devmem_fd: 0x0102_0304,
        migration_policy: 0x0506,
        region_instance: 0x0708,
        reserved: 0x090a,
    };
    let value = drm_xe_madvise_value { val: 0x0102_0304, pad: 0x0506_0708, reserved: 0x090a };
    let place = drm_xe_madvise::preferred_mem_loc(0, 0, 0, place).value;
    let value = drm_xe_madvise::attribute(0, 0, 0, DRM_XE_MEM_RANGE_ATTR_PAT, value).value;
    let made = [
        (
            place,
            "preferred_mem_loc",
            ".devmem_fd = 0x01020304, .migration_policy = 0x0506, .region_instance = 0x0708, .reserved = 0x090a",
        ),
        (value, "atomic", ".val = 0x01020304, .pad = 0x05060708, .reserved = 0x090a"),
        (value, "pat_index", ".val = 0x01020304, .pad = 0x05060708, .reserved = 0x090a"),
        (value, "purge_state_val", ".val = 0x01020304, .pad = 0x05060708, .retained_ptr = 0x090a"),
    ];
    let mut facts = Vec::new();
    for (words, part, fields) in made {
        for (index, word) in words.into_iter().enumerate() {
            facts.push(Fact::new(
                format!("word(&(struct drm_xe_madvise){{ .{part} = {{ {fields} }} }}.{part}, {index})"),
                word,
                8,
            ));
        }
    }
    facts
}

/// What every probe begins with.
const HEADERS: &str = "#include <stddef.h>\n#include <string.h>\n#include <stdio.h>\n\
    #include <drm/xe_drm.h>\n#include <linux/fs.h>\n";

/// Reads a word of a structure whatever its type.
const WORD: &str = "static __u64 word(const void *from, size_t index)\n\
    { __u64 word; memcpy(&word, (const char *)from + 8 * index, 8); return word; }\n";

/// The youngest names that are compared. A header that has them is new enough for all of them.
const YOUNGEST: &str = "int main(void) { return DRM_XE_VMA_ATTR_PURGEABLE_STATE + (int)DRM_IOCTL_XE_VM_GET_PROPERTY \
    + DRM_XE_VM_BIND_FLAG_DECOMPRESS + DRM_XE_QUERY_CONFIG_FLAG_HAS_PURGING_SUPPORT + PAGE_IS_GUARD \
    + (int)sizeof(((struct drm_xe_madvise *)0)->preferred_mem_loc.region_instance); }\n";

/// The C compiler at work on `source`, with `include` before its own directories.
fn compile(source: &Path, include: &Path, arguments: &[&str]) -> io::Result<std::process::Output> {
    let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
    Command::new(compiler).arg("-isystem").arg(include).args(arguments).arg(source).output()
}

/// The first include directory whose headers are new enough, or why there is none.
fn newest_header(scratch: &Path) -> Result<PathBuf, String> {
    let source = scratch.join("youngest.c");
    fs::write(&source, format!("{HEADERS}{YOUNGEST}")).unwrap();
    let is_new = |include: &Path| compile(&source, include, &["-fsyntax-only"]).map(|output| output.status.success());
    if let Some(named) = env::var_os("XEPLACE_UAPI_INCLUDE") {
        let named = PathBuf::from(named);
        assert!(is_new(&named).unwrap(), "XEPLACE_UAPI_INCLUDE={}: no headers of Linux 7.3 or newer", named.display());
        return Ok(named);
    }
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in the target directory");
    let unpacked = [target, &Path::new(env!("CARGO_MANIFEST_DIR")).join("target")];
    let unpacked = unpacked.map(|target| target.join("uapi/usr/include"));
    for include in unpacked.into_iter().chain([PathBuf::from("/usr/include")]) {
        match is_new(&include) {
            Ok(true) => return Ok(include),
            Ok(false) => {}
            Err(error) => return Err(format!("no C compiler ({error})")),
        }
    }
    Err("no headers of Linux 7.3 or newer (tests/uapi-header.sh fetches them)".to_owned())
}

/// What the header in `include` says to each fact.
fn ask(facts: &[Fact], include: &Path, scratch: &Path) -> Vec<i64> {
    let (source, program) = (scratch.join("probe.c"), scratch.join("probe"));
    let lines = facts.iter().map(|fact| format!("printf(\"%lld\\n\", (long long)({}));\n", fact.expression));
    let text = format!("{HEADERS}{WORD}int main(void)\n{{\n{}return 0;\n}}\n", lines.collect::<String>());
    fs::write(&source, text).unwrap();
    let compiled = compile(&source, include, &["-o", program.to_str().unwrap()]).unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let said = Command::new(&program).output().unwrap();
    assert!(said.status.success());
    String::from_utf8(said.stdout).unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn structures_and_numbers_are_the_header_s_where_there_is_one() {
    let scratch = tempfile::tempdir().unwrap();
    let include = match newest_header(scratch.path()) {
        Ok(include) => include,
        Err(reason) if env::var_os("XEPLACE_REQUIRE_UAPI").is_some_and(|value| value == "1") => panic!("{reason}"),
        Err(reason) => {
            // Straight to the file: the test harness would keep the line to itself.
            writeln!(io::stderr(), "uapi: {reason}, compared nothing").unwrap();
            return;
        }
    };
    let facts: Vec<Fact> = structures().into_iter().chain(constants()).chain(words()).collect();
    let theirs = ask(&facts, &include, scratch.path());
    assert_eq!(facts.len(), theirs.len());
    let differing = facts.iter().zip(&theirs).filter(|(fact, theirs)| !fact.agrees(**theirs));
    let words = differing.map(|(fact, theirs)| format!("{} is {theirs}, here {}", fact.expression, fact.ours));
    let words: Vec<String> = words.collect();
    assert!(words.is_empty(), "{}:\n{}", include.display(), words.join("\n"));
}

/// The name that follows `keyword` in a line of source.
fn declared<'a>(line: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = line.strip_prefix(keyword)?;
    rest.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

#[test]
fn nothing_in_the_source_is_left_out_of_the_comparison() {
    let listed: BTreeSet<String> = STRUCTURES
        .iter()
        .flat_map(|(name, fields)| fields.iter().map(move |field| format!("{name}.{field}")))
        .chain(STRUCTURES.iter().map(|(name, _)| name.to_string()))
        .chain(CONSTANTS.iter().chain(NOT_IN_A_HEADER).map(|name| name.to_string()))
        .collect();
    let mut found = BTreeSet::new();
    for source in [include_str!("../src/uapi/xe_drm.rs"), include_str!("../src/uapi/pagemap.rs")] {
        let mut structure = None;
        for line in source.lines() {
            match (declared(line, "pub const "), declared(line, "pub struct "), declared(line, "    pub ")) {
                (Some(constant), ..) => drop(found.insert(constant.to_owned())),
                (_, Some(name), _) => {
                    structure = Some(name);
                    found.insert(name.to_owned());
                }
                (_, _, Some(field)) => {
                    if let Some(structure) = structure {
                        found.insert(format!("{structure}.{field}"));
                    }
                }
                _ if line == "}" => structure = None,
                _ => assert!(!line.starts_with("pub "), "neither a structure nor a constant: {line}"),
            }
        }
    }
    assert_eq!(found.difference(&listed).collect::<Vec<_>>(), [] as [&String; 0], "not compared");
    assert_eq!(listed.difference(&found).collect::<Vec<_>>(), [] as [&String; 0], "not in the source");
}

#[test]
fn minus_one_in_the_header_means_all_ones() {
    let all = Fact::new(String::new(), u64::from(u32::MAX), 4);
    assert!(all.agrees(-1) && all.agrees(i64::from(u32::MAX)));
    assert!(!all.agrees(-2) && !all.agrees(1));
    assert!(!Fact::new(String::new(), 1, 2).agrees(0x1_0001), "what does not fit is not cut off");
}
