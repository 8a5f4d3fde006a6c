// SPDX-License-Identifier: MIT OR Apache-2.0
//! Older kernels: a machine whose driver lacks something answers as a whole one does behind `Older`.

use super::*;
use crate::driver::Older;
use libc::{EFAULT, EINVAL, ENODEV, ENOENT};

fn with(features: Features) -> Arc<Sim> {
    let files = Files::tree(Tree::default());
    let devices = vec![DeviceSpec { features, ..device(0, 1) }];
    Sim::new(Spec { devices, distances: vec![vec![Some(0)]], privileged: false, files })
}

fn errno<T>(answer: io::Result<T>) -> i32 {
    answer.err().map_or(0, |error| error.raw_os_error().unwrap())
}

/// A vm with nothing in it.
struct Empty<'a> {
    driver: &'a dyn Driver,
    fd: OwnedFd,
    id: u32,
}

impl Empty<'_> {
    fn made(driver: &dyn Driver, flags: u32) -> Empty<'_> {
        let fd = driver.open(&PathBuf::from("/dev/dri/renderD128")).unwrap();
        let mut create = drm_xe_vm_create { flags, ..Default::default() };
        driver.vm_create(fd.as_fd(), &mut create).unwrap();
        Empty { driver, fd, id: create.vm_id }
    }

    fn bind(&self, bind: drm_xe_vm_bind_op, syncs: BindSyncs) -> i32 {
        let request = drm_xe_vm_bind { vm_id: self.id, bind, ..Default::default() };
        errno(self.driver.vm_bind(self.fd.as_fd(), &request, syncs))
    }

    fn advise(&self, advice: drm_xe_madvise) -> i32 {
        errno(self.driver.madvise(self.fd.as_fd(), &advice, None))
    }

    fn prefer(&self, fd: RawFd, region_instance: u16) -> i32 {
        let place = drm_xe_madvise_preferred_mem_loc { devmem_fd: fd as u32, region_instance, ..Default::default() };
        self.advise(drm_xe_madvise::preferred_mem_loc(self.id, 0, PAGE, place))
    }

    fn attribute(&self, type_: u32) -> i32 {
        self.advise(drm_xe_madvise::attribute(self.id, 0, PAGE, type_, Default::default()))
    }

    fn query(&self) -> i32 {
        let mut query = drm_xe_vm_query_mem_range_attr { vm_id: self.id, range: PAGE, ..Default::default() };
        errno(self.driver.vm_query_mem_range_attrs(self.fd.as_fd(), &mut query, &mut []))
    }

    fn config_flags(&self) -> u64 {
        let mut reply = [0; 48];
        self.driver.device_query(self.fd.as_fd(), DRM_XE_DEVICE_QUERY_CONFIG, &mut reply).unwrap();
        u64::from_ne_bytes(reply[16..24].try_into().unwrap())
    }
}

/// What `docs/kernel.md` names as features, asked of a driver.
fn answers(driver: &dyn Driver) -> [i32; 11] {
    let page = Range::new(0, PAGE).unwrap();
    let [plain, faulting] = [0, FAULTING].map(|flags| Empty::made(driver, flags));
    let consult = drm_xe_vm_bind_op {
        range: PAGE,
        op: DRM_XE_VM_BIND_OP_PREFETCH,
        prefetch_mem_region_instance: CONSULT,
        ..Default::default()
    };
    let null = open_null();
    [
        faulting.bind(mirror_of(page, 0), BindSyncs::Unreadable),
        faulting.bind(mirror_of(page, DRM_XE_VM_BIND_FLAG_MADVISE_AUTORESET), BindSyncs::Unreadable),
        faulting.bind(drm_xe_vm_bind_op { prefetch_mem_region_instance: 1, ..consult }, BindSyncs::None),
        faulting.bind(consult, BindSyncs::None),
        faulting.query(),
        faulting.prefer(SYSTEM, 0),
        faulting.prefer(faulting.fd.as_raw_fd(), 1),
        plain.prefer(null.as_raw_fd(), 1),
        plain.prefer(null.as_raw_fd(), 0),
        plain.attribute(DRM_XE_MEM_RANGE_ATTR_ATOMIC),
        plain.attribute(DRM_XE_VMA_ATTR_PURGEABLE_STATE),
    ]
}

#[test]
fn each_kernel_answers_as_it_knows() {
    let before_7_0 = Features::MIRROR | Features::MADVISE | Features::CONSULT;
    for (features, expected) in [
        (Features::all(), [EFAULT, EFAULT, 0, 0, 0, 0, 0, ENOENT, ENOENT, 0, EFAULT]),
        (before_7_0, [EFAULT, EINVAL, 0, 0, 0, 0, EINVAL, EINVAL, 0, 0, EINVAL]),
        (Features::MIRROR, [EFAULT, EINVAL, 0, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL]),
        (Features::empty(), [EINVAL, EINVAL, 0, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL, EINVAL]),
    ] {
        assert_eq!(answers(&*with(features)), expected, "{features:?}");
    }
}

#[test]
fn a_machine_that_lacks_something_is_a_whole_one_behind_the_filter() {
    for features in (0..=Features::all().bits()).map(Features::from_bits_truncate) {
        let (lacking, filtered) = (with(features), Older::new(with(Features::all()), features));
        assert_eq!(answers(&*lacking), answers(&filtered), "{features:?}");
        let flags = [&*lacking as &dyn Driver, &filtered].map(|driver| Empty::made(driver, 0).config_flags());
        assert_eq!(flags[0], flags[1], "{features:?}");
        let has = flags[0] & DRM_XE_QUERY_CONFIG_FLAG_HAS_CPU_ADDR_MIRROR != 0;
        assert_eq!(has, features.contains(Features::MIRROR));
    }
}

#[test]
fn a_device_that_has_gone_is_gone_on_every_kernel() {
    let sim = with(Features::all());
    let older = Older::new(sim.clone(), Features::empty());
    let vm = Empty::made(&older, FAULTING);
    assert_eq!(vm.prefer(SYSTEM, 0), EINVAL);
    sim.unplug(GpuId(0)).unwrap();
    assert_eq!((vm.prefer(SYSTEM, 0), vm.query()), (ENODEV, ENODEV));
}
