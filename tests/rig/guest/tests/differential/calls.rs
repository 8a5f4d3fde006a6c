// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests at the seam with arguments as no library would send them, and what the driver answers: an errno, or 0.

use crate::{
    step::{Part, Sharing},
    window::Window,
};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};
use xeplace::{
    BLOCK, Machine, PAGE, Range,
    driver::{BindSyncs, Driver, MemoryPolicy},
    uapi::*,
};

const FAULTING: u32 = DRM_XE_VM_CREATE_FLAG_LR_MODE | DRM_XE_VM_CREATE_FLAG_FAULT_MODE;
/// No vm has this number, and no open file.
const UNKNOWN: u32 = 77_777;
const CONSULT: u32 = DRM_XE_CONSULT_MEM_ADVISE_PREF_LOC;

/// A vm that mirrors everything, one that does not take faults, and two blocks of written memory.
pub struct Caller<'a> {
    driver: &'a dyn Driver,
    file: OwnedFd,
    peer: OwnedFd,
    vm: u32,
    plain_vm: u32,
    range: Range,
    /// What was asked, and what came of it.
    pub answers: Vec<String>,
}

impl<'a> Caller<'a> {
    pub fn new(driver: &'a dyn Driver, machine: &Machine, window: &mut Window) -> Caller<'a> {
        let memory = Part { page: 0, pages: 2 * BLOCK / PAGE };
        window.map(memory, Sharing::Private).expect("memory");
        window.touch(memory, xeplace::driver::Access::Write);
        let open = |index: usize| driver.open(machine.gpus()[index].node()).expect("a GPU's file");
        let (file, peer, range) = (open(0), open(1), window.range(memory));
        let mut caller = Caller { driver, file, peer, vm: UNKNOWN, plain_vm: UNKNOWN, range, answers: Vec::new() };
        caller.vm = caller.create(drm_xe_vm_create { flags: FAULTING, ..Default::default() }).expect("a vm");
        caller.plain_vm = caller.create(drm_xe_vm_create::default()).expect("a vm");
        let mirror = caller.mirror();
        caller.driver.vm_bind(caller.fd(), &mirror, BindSyncs::None).expect("a mirror");
        caller
    }

    /// Everything below.
    pub fn ask(&mut self) {
        self.vms();
        self.advice();
        self.values();
        self.binds();
        self.regions_and_flags();
        self.queries();
        self.pages();
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn note<T>(&mut self, what: String, answer: io::Result<T>) {
        let errno = answer.map_or_else(|refused| refused.raw_os_error().unwrap_or(-1), |_| 0);
        self.answers.push(format!("{what}: {errno}"));
    }

    fn create(&self, mut vm: drm_xe_vm_create) -> io::Result<u32> {
        self.driver.vm_create(self.fd(), &mut vm).map(|()| vm.vm_id)
    }

    fn vms(&mut self) {
        for flags in 0..32 {
            let answer = self.create(drm_xe_vm_create { flags, ..Default::default() });
            if let Ok(vm_id) = answer {
                let destroyed = self.driver.vm_destroy(self.fd(), &drm_xe_vm_destroy { vm_id, ..Default::default() });
                self.note(format!("destroy a vm of flags {flags:#x}"), destroyed);
            }
            self.note(format!("vm of flags {flags:#x}"), answer);
        }
        let plain = drm_xe_vm_create::default();
        for (what, vm) in [
            ("vm with an extension", drm_xe_vm_create { extensions: 1, ..plain }),
            ("vm with reserved 0", drm_xe_vm_create { reserved: [1, 0], ..plain }),
            ("vm with reserved 1", drm_xe_vm_create { reserved: [0, 1], ..plain }),
        ] {
            let answer = self.create(vm);
            self.note(what.to_owned(), answer);
        }
        let unknown = drm_xe_vm_destroy { vm_id: UNKNOWN, ..Default::default() };
        for (what, vm) in [
            ("destroy an unknown vm", unknown),
            ("destroy a padded vm", drm_xe_vm_destroy { pad: 1, ..unknown }),
            ("destroy a reserved vm", drm_xe_vm_destroy { reserved: [0, 1], ..unknown }),
        ] {
            let answer = self.driver.vm_destroy(self.fd(), &vm);
            self.note(what.to_owned(), answer);
        }
    }

    fn madvise(&mut self, what: &str, change: impl FnOnce(&mut drm_xe_madvise)) {
        let place = drm_xe_madvise_preferred_mem_loc::default();
        let mut advice = drm_xe_madvise::preferred_mem_loc(self.vm, self.range.start(), self.range.len(), place);
        change(&mut advice);
        let answer = self.driver.madvise(self.fd(), &advice, None);
        self.note(format!("madvise {what}"), answer);
    }

    fn advice(&mut self) {
        let plain_vm = self.plain_vm;
        self.madvise("as it is meant", |_| {});
        self.madvise("unaligned start", |advice| advice.start += 1);
        self.madvise("unaligned length", |advice| advice.range += 1);
        self.madvise("nothing", |advice| advice.range = 0);
        self.madvise("half a page", |advice| advice.range = PAGE / 2);
        self.madvise("high bits", |advice| advice.start |= 0xffff << 48);
        self.madvise("behind the vm", |advice| advice.start = 1 << 48);
        self.madvise("over the end of the vm", |advice| advice.start = (1 << 48) - PAGE);
        self.madvise("longer than the vm", |advice| advice.range = 1 << 48);
        self.madvise("longer than anything", |advice| advice.range = !(PAGE - 1));
        self.madvise("unknown vm", |advice| advice.vm_id = UNKNOWN);
        self.madvise("vm 0", |advice| advice.vm_id = 0);
        self.madvise("a vm without faults", |advice| advice.vm_id = plain_vm);
        self.madvise("an extension", |advice| advice.extensions = 1);
        self.madvise("reserved 0", |advice| advice.reserved = [1, 0]);
        self.madvise("reserved 1", |advice| advice.reserved = [0, 1]);
        for type_ in (4..8).chain([u32::MAX]) {
            self.madvise(&format!("type {type_}"), |advice| advice.type_ = type_);
        }
        let null = File::open("/dev/null").expect("/dev/null");
        let (own, peer) = (self.file.as_raw_fd(), self.peer.as_raw_fd());
        let files = [("own", own), ("peer", peer), ("null", null.as_raw_fd()), ("closed", UNKNOWN as i32)];
        for (name, number) in files.into_iter().chain([("default", 0), ("system", -1), ("-2", -2), ("least", i32::MIN)])
        {
            for (region_instance, migration_policy, reserved) in
                [(0, 0, 0), (1, 0, 0), (2, 0, 0), (u16::MAX, 0, 0), (1, 1, 0), (1, 2, 0), (0, 1, 0), (1, 0, 1)]
            {
                let devmem_fd = number as u32;
                let place = drm_xe_madvise_preferred_mem_loc { devmem_fd, migration_policy, region_instance, reserved };
                for (kind, vm) in [("", self.vm), (", of a vm without faults", self.plain_vm)] {
                    let what = format!("{name} {region_instance} {migration_policy} {reserved}{kind}");
                    let range = self.range;
                    self.madvise(&what, |advice| {
                        *advice = drm_xe_madvise::preferred_mem_loc(vm, range.start(), range.len(), place);
                    });
                }
            }
        }
    }

    /// Attributes that are a number.
    fn values(&mut self) {
        let kinds = [
            ("atomics", DRM_XE_MEM_RANGE_ATTR_ATOMIC, 0..6),
            ("pat", DRM_XE_MEM_RANGE_ATTR_PAT, 0..40),
            ("purgeable", DRM_XE_VMA_ATTR_PURGEABLE_STATE, 0..4),
        ];
        for (name, type_, numbers) in kinds {
            for (val, pad, reserved) in numbers.map(|val| (val, 0, 0)).chain([(u32::MAX, 0, 0), (0, 1, 0), (0, 0, 1)]) {
                let value = drm_xe_madvise_value { val, pad, reserved };
                let advice = drm_xe_madvise::attribute(self.vm, self.range.start(), self.range.len(), type_, value);
                let what = format!("madvise {name} {val} {pad} {reserved}");
                for start in [None, Some(0), Some(1)] {
                    let mut retained = start;
                    let answer = self.driver.madvise(self.fd(), &advice, retained.as_mut());
                    self.note(format!("{what}, retained {start:?} now {retained:?}"), answer);
                }
            }
        }
    }

    fn bind(&self, op: drm_xe_vm_bind_op) -> drm_xe_vm_bind {
        let op = drm_xe_vm_bind_op { addr: self.range.start(), range: self.range.len(), ..op };
        drm_xe_vm_bind { vm_id: self.vm, num_binds: 1, bind: op, ..Default::default() }
    }

    fn mirror(&self) -> drm_xe_vm_bind {
        let flags = DRM_XE_VM_BIND_FLAG_CPU_ADDR_MIRROR;
        let all = Range::ALL.len();
        let mut bind = self.bind(drm_xe_vm_bind_op { op: DRM_XE_VM_BIND_OP_MAP, flags, ..Default::default() });
        (bind.bind.addr, bind.bind.range) = (0, all);
        bind
    }

    fn prefetch(&self) -> drm_xe_vm_bind {
        self.bind(drm_xe_vm_bind_op { op: DRM_XE_VM_BIND_OP_PREFETCH, ..Default::default() })
    }

    fn try_bind(&mut self, what: &str, bind: &drm_xe_vm_bind) {
        for syncs in [BindSyncs::Unreadable, BindSyncs::None] {
            let answer = self.driver.vm_bind(self.fd(), bind, syncs);
            self.note(format!("bind {what}, {syncs:?}"), answer);
        }
    }

    fn binds(&mut self) {
        let (prefetch, mirror) = (self.prefetch(), self.mirror());
        for (name, plain) in [("prefetch", prefetch), ("mirror", mirror)] {
            let mut odd = |what: &str, change: &dyn Fn(&mut drm_xe_vm_bind)| {
                let mut bind = plain;
                change(&mut bind);
                self.try_bind(&format!("{name}, {what}"), &bind);
            };
            odd("as it is meant", &|_| {});
            odd("unknown vm", &|bind| bind.vm_id = UNKNOWN);
            odd("unknown queue", &|bind| bind.exec_queue_id = UNKNOWN);
            odd("pad", &|bind| bind.pad = 1);
            odd("pad 2", &|bind| bind.pad2 = 1);
            odd("extension", &|bind| bind.extensions = 1);
            odd("reserved 0", &|bind| bind.reserved = [1, 0]);
            odd("reserved 1", &|bind| bind.reserved = [0, 1]);
            odd("op extension", &|bind| bind.bind.extensions = 1);
            odd("op pad", &|bind| bind.bind.pad = 1);
            odd("op pad 2", &|bind| bind.bind.pad2 = 1);
            odd("op reserved", &|bind| bind.bind.reserved = [0, 0, 1]);
            odd("object", &|bind| bind.bind.obj = UNKNOWN);
            odd("object's offset", &|bind| bind.bind.obj_offset = PAGE);
            odd("unaligned offset", &|bind| bind.bind.obj_offset = 1);
            odd("unaligned start", &|bind| bind.bind.addr += 1);
            odd("unaligned length", &|bind| bind.bind.range += 1);
            odd("nothing", &|bind| bind.bind.range = 0);
            odd("high bits", &|bind| bind.bind.addr |= 0xffff << 48);
            odd("over the end of the vm", &|bind| bind.bind.addr = (1 << 48) - PAGE);
            odd("longer than the vm", &|bind| bind.bind.range = (1 << 48) + PAGE);
        }
        let plain_vm = self.plain_vm;
        self.try_bind("mirror without faults", &drm_xe_vm_bind { vm_id: plain_vm, ..mirror });
        self.try_bind("prefetch without faults", &drm_xe_vm_bind { vm_id: plain_vm, ..prefetch });
    }

    fn regions_and_flags(&mut self) {
        let (prefetch, mirror) = (self.prefetch(), self.mirror());
        for region in (0..5).chain([31, 32, 33, 63, 64, CONSULT - 1, CONSULT]) {
            for (name, mut bind) in [("prefetch", prefetch), ("mirror", mirror)] {
                bind.bind.prefetch_mem_region_instance = region;
                self.try_bind(&format!("{name} to region {region}"), &bind);
            }
        }
        for pat in (0..40).chain([u16::MAX]) {
            for (name, mut bind) in [("prefetch", prefetch), ("mirror", mirror)] {
                bind.bind.pat_index = pat;
                self.try_bind(&format!("{name} with pat {pat}"), &bind);
            }
        }
        for pat_index in 0..32 {
            let op = DRM_XE_VM_BIND_OP_MAP_USERPTR;
            let bind = self.bind(drm_xe_vm_bind_op { op, pat_index, ..Default::default() });
            let answer = self.driver.vm_bind(self.fd(), &bind, BindSyncs::Unreadable);
            self.note(format!("bind of a userptr with pat {pat_index}"), answer);
        }
        for op in (0..8).chain([u32::MAX]) {
            for bit in 0..12 {
                let flags = 1 << bit;
                let bind = self.bind(drm_xe_vm_bind_op { op, flags, ..Default::default() });
                // With what would change the vm, the arguments alone are looked at.
                let answer = self.driver.vm_bind(self.fd(), &bind, BindSyncs::Unreadable);
                self.note(format!("bind operation {op} with flags {flags:#x}"), answer);
            }
        }
    }

    fn queries(&mut self) {
        let plain = drm_xe_vm_query_mem_range_attr {
            vm_id: self.vm,
            start: self.range.start(),
            range: self.range.len(),
            ..Default::default()
        };
        type Query = drm_xe_vm_query_mem_range_attr;
        let odd: [(&str, Query); 9] = [
            ("as it is meant", plain),
            ("unknown vm", Query { vm_id: UNKNOWN, ..plain }),
            ("a vm without faults", Query { vm_id: self.plain_vm, ..plain }),
            ("unaligned", Query { start: plain.start + 1, ..plain }),
            ("nothing", Query { range: 0, ..plain }),
            ("high bits", Query { start: plain.start | 0xffff << 48, ..plain }),
            ("the whole vm", Query { start: 0, range: 1 << 48, ..plain }),
            ("an extension", Query { extensions: 1, ..plain }),
            ("reserved", Query { reserved: [1, 1], ..plain }),
        ];
        for (what, query) in odd {
            for room in [0, 1, 2, 16] {
                let mut asked = query;
                let mut found = vec![drm_xe_mem_range_attr::default(); room];
                let answer = self.driver.vm_query_mem_range_attrs(self.fd(), &mut asked, &mut found);
                let sizes: Vec<u64> = found.iter().map(|vma| vma.end - vma.start).collect();
                let told = format!("{} of {} bytes: {sizes:x?}", asked.num_mem_ranges, asked.sizeof_mem_range_attr);
                let told = if answer.is_ok() { told } else { String::new() };
                self.note(format!("query {what}, room for {room}, {told}"), answer);
            }
        }
        let plain =
            drm_xe_vm_get_property { vm_id: self.vm, property: DRM_XE_VM_GET_PROPERTY_FAULTS, ..Default::default() };
        for (what, query) in [
            ("as it is meant", plain),
            ("unknown vm", drm_xe_vm_get_property { vm_id: UNKNOWN, ..plain }),
            ("another property", drm_xe_vm_get_property { property: 9, ..plain }),
            ("pad", drm_xe_vm_get_property { pad: 1, ..plain }),
            ("an extension", drm_xe_vm_get_property { extensions: 1, ..plain }),
            ("reserved", drm_xe_vm_get_property { reserved: [0, 0, 1], ..plain }),
        ] {
            for room in [0, 1] {
                let mut asked = query;
                let answer = self.driver.vm_get_property(self.fd(), &mut asked, &mut vec![Default::default(); room]);
                self.note(format!("property {what}, room for {room}, {} bytes", asked.size), answer);
            }
        }
        for query in [
            DRM_XE_DEVICE_QUERY_ENGINES,
            DRM_XE_DEVICE_QUERY_MEM_REGIONS,
            DRM_XE_DEVICE_QUERY_CONFIG,
            DRM_XE_DEVICE_QUERY_GT_LIST,
            u32::MAX,
        ] {
            for room in [0, 1] {
                let answer = self.driver.device_query(self.fd(), query, &mut vec![0; room]);
                self.note(format!("device query {query}, room for {room}"), answer);
            }
        }
    }

    /// What the kernel says of pages, and of what is not mapped.
    fn pages(&mut self) {
        let pagemap = self.driver.open("/proc/self/pagemap".as_ref()).expect("the page map");
        let plain = pm_scan_arg {
            start: self.range.start(),
            end: self.range.end(),
            category_anyof_mask: PAGE_IS_PRESENT,
            return_mask: PAGE_IS_PRESENT,
            ..Default::default()
        };
        for (what, mut scan) in [
            ("as it is meant", plain),
            ("unaligned start", pm_scan_arg { start: plain.start + 1, ..plain }),
            ("unaligned end", pm_scan_arg { end: plain.end - 1, ..plain }),
            ("the wrong way", pm_scan_arg { end: plain.start - PAGE, ..plain }),
            ("unknown categories", pm_scan_arg { category_mask: 1 << 40, ..plain }),
            ("unknown flags", pm_scan_arg { flags: 1 << 40, ..plain }),
            ("one page", pm_scan_arg { max_pages: 1, ..plain }),
        ] {
            let mut found = [page_region::default(); 4];
            let answer = self.driver.pagemap_scan(pagemap.as_fd(), &mut scan, &mut found);
            let walked = scan.walk_end.wrapping_sub(plain.start);
            let told = format!("{:?} regions, walked {walked:#x}", answer.as_ref().ok());
            self.note(format!("scan {what}, {}", if answer.is_ok() { told } else { String::new() }), answer);
        }
        let nowhere = Range::new(self.range.end(), PAGE).expect("a page");
        let node = |number: usize| {
            let mut policy = MemoryPolicy { mode: 1, ..Default::default() };
            policy.nodes[number / 64] |= 1 << (number % 64);
            policy
        };
        for (what, range) in [("memory", self.range), ("nothing", nowhere)] {
            let answer = self.driver.mincore(range, &mut vec![0; range.pages() as usize]);
            self.note(format!("mincore of {what}"), answer);
            for (name, policy) in
                [("none", MemoryPolicy::default()), ("0", node(0)), ("9", node(9)), ("999", node(999))]
            {
                let answer = self.driver.mbind(range, &policy, false);
                self.note(format!("mbind of {what} to node {name}"), answer);
                let told = self.driver.get_mempolicy(range.start()).ok();
                self.note(format!("get_mempolicy of {what}: {told:?}"), Ok(()));
            }
            let answer = self.driver.mbind(range, &MemoryPolicy::default(), false);
            self.note(format!("mbind of {what} back"), answer);
        }
    }
}
