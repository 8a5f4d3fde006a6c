// SPDX-License-Identifier: MIT OR Apache-2.0
//! Through C: the same functions that a C program calls.

use super::*;
use std::{
    cell::Cell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    mem::{MaybeUninit, size_of_val},
    ptr,
};
use xeplace::{Attribute, Backing, Confidence, Effect, GpuId, StoredLocation};
use xeplace_capi::*;

pub struct Machine(*mut xep_machine);

/// 0, or a negative errno.
fn answer(status: c_int) -> Result<()> {
    if status < 0 { Err(-status) } else { Ok(()) }
}

/// What a call stores if it succeeds.
fn output<T: Copy>(otherwise: T, call: impl FnOnce(Option<&mut MaybeUninit<T>>) -> c_int) -> Result<T> {
    let mut place = MaybeUninit::new(otherwise);
    answer(call(Some(&mut place)))?;
    // SAFETY: it had a value from the start.
    Ok(unsafe { place.assume_init() })
}

/// What a call lists: once to see how much there is, and once more to see it.
fn list<T: Copy>(
    blank: T,
    mut call: impl FnMut(*mut T, usize, Option<&mut MaybeUninit<usize>>) -> c_int,
) -> Result<Vec<T>> {
    let total = output(0, |count| call(ptr::null_mut(), 0, count))?;
    let mut found = vec![blank; total];
    assert_eq!(output(0, |count| call(found.as_mut_ptr(), total, count))?, total);
    Ok(found)
}

fn text(characters: &[c_char]) -> String {
    let bytes: Vec<u8> = characters.iter().map(|character| *character as u8).collect();
    CStr::from_bytes_until_nul(&bytes).unwrap().to_str().unwrap().to_owned()
}

fn string(text: &str) -> CString {
    CString::new(text).unwrap()
}

fn start((address, _): Span) -> *const c_void {
    ptr::without_provenance(address as usize)
}

fn length((_, length): Span) -> usize {
    length as usize
}

impl Machine {
    pub fn host() -> Result<Machine> {
        output(ptr::null_mut(), |machine| xep_machine_open(machine)).map(Machine)
    }

    pub fn simulated(text: &str) -> Result<Machine> {
        let text = string(text);
        output(ptr::null_mut(), |machine| xep_machine_open_simulated(text.as_ptr(), machine)).map(Machine)
    }

    pub fn older_host(features: Features) -> Result<Machine> {
        let user = older::user(features);
        output(ptr::null_mut(), |machine| xep_machine_open_with_ioctl(Some(older::ioctl), user, machine)).map(Machine)
    }

    pub fn recorded(directory: &str) -> Result<Machine> {
        let directory = string(directory);
        output(ptr::null_mut(), |machine| xep_machine_open_recorded(directory.as_ptr(), machine)).map(Machine)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        assert_eq!(xep_machine_close(self.0), 0);
        assert_eq!(xep_machine_close(self.0), -libc::EBADF);
    }
}

impl super::Machine for Machine {
    fn gpu_count(&self) -> u32 {
        xep_machine_gpu_count(self.0)
    }

    fn groups(&self) -> Vec<u32> {
        list(0, |groups, capacity, count| xep_machine_groups(self.0, groups, capacity, count)).unwrap()
    }

    fn link(&self, from: u32, to: u32) -> Result<(bool, String)> {
        let mut link = NO_LINK;
        let size = size_of_val(&link);
        answer(xep_machine_link(self.0, from, to, &mut link, size))?;
        Ok((link.verdict == xep_verdict::XEP_LINK_CONNECTED as u32, text(&link.text)))
    }

    fn probe_link(&self, from: u32, to: u32) -> Result<bool> {
        let mut link = NO_LINK;
        let size = size_of_val(&link);
        answer(xep_machine_probe_link(self.0, from, to, &mut link, size))?;
        Ok(link.verdict == xep_verdict::XEP_LINK_CONNECTED as u32)
    }

    fn capabilities(&self, gpu: u32) -> Result<Vec<(&'static str, Support)>> {
        let mut known = xep_capabilities {
            mirror: 0,
            preferred_location: 0,
            multi_device: 0,
            atomic: 0,
            pat: 0,
            migration_policy: 0,
            purgeable: 0,
            attribute_query: 0,
            prefetch_consult: 0,
            autoreset: 0,
        };
        let size = size_of_val(&known);
        answer(xep_gpu_capabilities(self.0, gpu, &mut known, size))?;
        let named = [
            ("mirror", known.mirror),
            ("preferred_location", known.preferred_location),
            ("multi_device", known.multi_device),
            ("atomic", known.atomic),
            ("pat", known.pat),
            ("migration_policy", known.migration_policy),
            ("purgeable", known.purgeable),
            ("attribute_query", known.attribute_query),
            ("prefetch_consult", known.prefetch_consult),
            ("autoreset", known.autoreset),
        ];
        Ok(named.map(|(name, number)| (name, SUPPORT[number as usize])).to_vec())
    }

    fn is_lost(&self, gpu: u32) -> bool {
        // As a header from the past would ask, which ends behind `is_lost`.
        let mut numbers = [0; 11];
        let size = size_of_val(&numbers);
        answer(xep_gpu_describe(self.0, gpu, numbers.as_mut_ptr().cast(), size)).unwrap();
        numbers[10] == 1
    }

    fn record(&self, directory: &str) -> Result<()> {
        answer(xep_machine_record(self.0, string(directory).as_ptr()))
    }

    fn space(&self) -> Result<Box<dyn super::Space>> {
        Ok(Box::new(Space(output(ptr::null_mut(), |space| xep_space_create(self.0, space))?)))
    }

    fn empty_space(&self) -> Result<Box<dyn super::Space>> {
        Ok(Box::new(Space(output(ptr::null_mut(), |space| xep_space_create_empty(self.0, space))?)))
    }

    fn cpu_touched(&self, span: Span) {
        let write = xep_access::XEP_ACCESS_WRITE as u32;
        answer(xep_sim_cpu_touched(self.0, start(span), length(span), write)).unwrap();
    }

    fn unmapped(&self, span: Span) {
        answer(xep_sim_unmapped(self.0, start(span), length(span))).unwrap();
    }

    fn pin(&self, span: Span) {
        answer(xep_sim_pin(self.0, start(span), length(span))).unwrap();
    }

    fn fill_vram(&self, region: Region, bytes: u64) {
        answer(xep_sim_fill_vram(self.0, region.gpu.0, region.instance.into(), bytes)).unwrap();
    }

    fn unplug(&self, gpu: u32) {
        answer(xep_sim_unplug(self.0, gpu)).unwrap();
    }

    fn replug(&self, gpu: u32) {
        answer(xep_sim_replug(self.0, gpu)).unwrap();
    }

    fn privileged(&self, privileged: bool) {
        answer(xep_sim_set_privileged(self.0, privileged.into())).unwrap();
    }

    fn inject(&self, call: Call, skip: u32, times: u32, errno: i32) {
        let call = match call {
            Call::Madvise => xep_sim_call::XEP_SIM_MADVISE,
            Call::VmBind => xep_sim_call::XEP_SIM_VM_BIND,
            other => panic!("no test lets {other:?} fail through C"),
        };
        answer(xep_sim_inject(self.0, call as u32, skip, times, errno)).unwrap();
    }

    fn counted(&self, gpu: u32) -> Counted {
        let mut counters = xep_sim_counters {
            page_faults: 0,
            refused_faults: 0,
            migrations: 0,
            cpu_faults: 0,
            evictions: 0,
            bytes_in: 0,
            bytes_out: 0,
            bytes_in_place: 0,
            bytes_at_peers: 0,
            calls: 0,
            nanoseconds: 0,
        };
        let size = size_of_val(&counters);
        answer(xep_sim_counters(self.0, gpu, &mut counters, size)).unwrap();
        let xep_sim_counters { page_faults, bytes_in, bytes_at_peers, calls, .. } = counters;
        Counted { page_faults, bytes_in, bytes_at_peers, calls }
    }
}

const NO_LINK: xep_link = xep_link {
    verdict: 0,
    basis: 0,
    reason: 0,
    hops: 0,
    bytes_per_second: 0,
    fully_visible: 0,
    reserved: 0,
    text: [0; 512],
};

/// By the numbers of `enum xep_support`.
const SUPPORT: [Support; 4] = [Support::Unsupported, Support::AcceptedOnly, Support::Enforced, Support::Unprobed];

struct Space(*mut xep_space);

impl Drop for Space {
    fn drop(&mut self) {
        // A test may have closed it before.
        assert!([0, -libc::EBADF].contains(&xep_space_close(self.0)));
    }
}

impl super::Space for Space {
    fn add(&self, gpu: u32) -> Result<VmId> {
        output(0, |vm| xep_space_add(self.0, gpu, vm)).map(VmId)
    }

    fn borrow(&self, runtime: &dyn super::Space, vm: VmId, other_number: Option<u32>) -> Result<VmId> {
        let runtime: &Space = runtime.as_any().downcast_ref().unwrap();
        let (fd, number) = runtime.vm(vm)?;
        output(0, |vm| xep_space_attach(self.0, fd, other_number.unwrap_or(number), vm)).map(VmId)
    }

    fn detach(&self, vm: VmId) -> Result<()> {
        answer(xep_space_detach(self.0, vm.0))
    }

    fn members(&self) -> Result<Vec<(VmId, u32)>> {
        let blank = xep_member { vm: 0, gpu: 0 };
        let found = list(blank, |members, capacity, count| xep_space_members(self.0, members, capacity, count))?;
        Ok(found.into_iter().map(|member| (VmId(member.vm), member.gpu)).collect())
    }

    fn number(&self, vm: VmId) -> Result<u32> {
        self.vm(vm).map(|(_, number)| number)
    }

    fn declare_stable(&self, span: Span) -> Result<()> {
        answer(xep_space_declare_stable(self.0, start(span), length(span)))
    }

    fn touch(&self, gpu: u32, span: Span, access: Access) -> Result<()> {
        let access = match access {
            Access::Read => xep_access::XEP_ACCESS_READ,
            Access::Write => xep_access::XEP_ACCESS_WRITE,
            Access::Atomic => xep_access::XEP_ACCESS_ATOMIC,
        };
        answer(xep_space_touch(self.0, gpu, start(span), length(span), access as u32))
    }

    fn advise(&self, span: Span, wish: &Wish) -> Result<Told> {
        let locations: Vec<xep_location> = wish.locations.iter().map(|location| plain(*location)).collect();
        let advice = advice(wish, &locations);
        let mut report = NO_REPORT;
        let mut answers = [NO_ANSWER; 32];
        let (advice_size, report_size) = (size_of_val(&advice), size_of_val(&report));
        let status = xep_space_advise(
            self.0,
            start(span),
            length(span),
            &advice,
            advice_size,
            &mut report,
            report_size,
            answers.as_mut_ptr(),
            answers.len(),
        );
        if report.length == 0 {
            return Err(-status);
        }
        Ok(Told {
            range: range((report.address, report.length)),
            location: location(report.location),
            step: report.step as usize,
            elided: report.elided == 1,
            warnings: Warnings::from_bits(report.warnings).unwrap(),
            answers: answers[..report.answer_count as usize].iter().map(effect).collect(),
            passed_over: text(&report.passed_over),
            accepted: answer(status),
        })
    }

    fn advise_often(&self, span: Span, location: Location, times: u32) {
        let (locations, mut report) = ([plain(location)], NO_REPORT);
        let advice = advice(&Wish::default(), &locations);
        let (address, length, none) = (start(span), length(span), ptr::null_mut());
        let (size, report_size) = (size_of_val(&advice), size_of_val(&report));
        for _ in 0..times {
            let status = xep_space_advise(self.0, address, length, &advice, size, &mut report, report_size, none, 0);
            assert!(status == 0 && report.elided == 1);
        }
    }

    fn reset(&self, span: Span) -> Result<()> {
        answer(xep_space_reset(self.0, start(span), length(span)))
    }

    fn prefetch(&self, span: Span, order: &Order) -> Result<Moved> {
        PATIENCE.set(order.patience.unwrap_or(u32::MAX));
        let prefetch = xep_prefetch { progress: Some(lose_patience), user: USER, ..prefetch(order) };
        let mut outcome = NO_OUTCOME;
        let mut stays = [NO_STAY; 32];
        let (size, outcome_size) = (size_of_val(&prefetch), size_of_val(&outcome));
        let status = xep_space_prefetch(
            self.0,
            start(span),
            length(span),
            &prefetch,
            size,
            &mut outcome,
            outcome_size,
            stays.as_mut_ptr(),
            stays.len(),
        );
        if outcome.length == 0 {
            return Err(-status);
        }
        Ok(moved(&outcome, &stays[..outcome.stay_count as usize], &[], answer(status)))
    }

    fn start_prefetch(&self, span: Span, order: &Order) -> Result<Box<dyn super::Job>> {
        let prefetch = prefetch(order);
        let size = size_of_val(&prefetch);
        let job = output(ptr::null_mut(), |job| {
            xep_space_start_prefetch(self.0, start(span), length(span), &prefetch, size, job)
        })?;
        Ok(Box::new(Job(job)))
    }

    fn residency(&self, span: Span) -> Result<Vec<Run>> {
        let blank = xep_run { address: 0, length: 0, place: NO_PLACE };
        let found = list(blank, |runs, capacity, count| {
            xep_space_residency(self.0, start(span), length(span), runs, capacity, count)
        })?;
        Ok(found.iter().map(|run| Run { range: range((run.address, run.length)), place: place(run.place) }).collect())
    }

    fn attributes(&self, span: Span) -> Result<Vec<AttributeRun>> {
        let blank = xep_attribute_run {
            address: 0,
            length: 0,
            vm: 0,
            gpu: 0,
            location: NO_LOCATION,
            foreign_fd: 0,
            migration_policy: 0,
            atomics: 0,
            pat: 0,
        };
        let found = list(blank, |runs, capacity, count| {
            xep_space_attributes(self.0, start(span), length(span), runs, capacity, count)
        })?;
        let runs = found.iter().map(|run| AttributeRun {
            range: range((run.address, run.length)),
            vm: VmId(run.vm),
            gpu: GpuId(run.gpu),
            location: match run.foreign_fd {
                -1 => StoredLocation::Known(location(run.location).unwrap()),
                number => StoredLocation::Foreign(number),
            },
            migration_policy: run.migration_policy,
            atomics: run.atomics,
            pat: run.pat,
        });
        Ok(runs.collect())
    }

    fn explain(&self, span: Span) -> Result<Vec<Explained>> {
        let blank = xep_explanation {
            address: 0,
            length: 0,
            wished: NO_LOCATION,
            place: NO_PLACE,
            rank: 0,
            obstacle_count: 0,
            obstacle: NO_OBSTACLE,
        };
        let found = list(blank, |explanations, capacity, count| {
            xep_space_explain(self.0, start(span), length(span), explanations, capacity, count)
        })?;
        let mut explained: Vec<Explained> = Vec::new();
        for one in &found {
            if one.rank == 0 {
                explained.push(Explained {
                    range: range((one.address, one.length)),
                    wished: location(one.wished).unwrap(),
                    place: place(one.place),
                    obstacles: Vec::new(),
                });
            }
            let last = explained.last_mut().expect("ranks count from 0");
            assert_eq!(last.obstacles.len(), one.rank as usize);
            last.obstacles.push(obstacle(&one.obstacle));
        }
        Ok(explained)
    }

    fn allocate(&self, length: u64, shares: &[(Location, u64)], stripe: Option<u64>) -> Result<Box<dyn super::Memory>> {
        let shares: Vec<xep_share> =
            shares.iter().map(|(location, weight)| xep_share { location: plain(*location), weight: *weight }).collect();
        let layout = xep_layout {
            shares: shares.as_ptr(),
            share_count: shares.len() as u32,
            reserved: 0,
            stripe: stripe.unwrap_or(0),
        };
        let size = size_of_val(&layout);
        let memory = output(ptr::null_mut(), |memory| xep_space_allocate(self.0, length, &layout, size, memory))?;
        Ok(Box::new(Memory(memory)))
    }

    fn close(&self) {
        assert_eq!(xep_space_close(self.0), 0);
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Space {
    fn vm(&self, vm: VmId) -> Result<(c_int, u32)> {
        let mut number = Err(libc::EIO);
        let fd = output(-1, |fd| {
            let mut status = 0;
            number = output(0, |number| {
                status = xep_space_vm(self.0, vm.0, fd, number);
                status
            });
            status
        })?;
        Ok((fd, number?))
    }
}

struct Memory(*mut xep_memory);

impl super::Memory for Memory {
    fn span(&self) -> Span {
        (xep_memory_address(self.0).addr() as u64, xep_memory_length(self.0))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        assert_eq!(xep_memory_close(self.0), 0);
    }
}

struct Job(*mut xep_prefetch_job);

impl super::Job for Job {
    fn step(&mut self) -> Result<(u64, u64)> {
        let mut total = Err(libc::EIO);
        let done = output(0, |done| {
            let mut status = 0;
            total = output(0, |total| {
                status = xep_prefetch_job_step(self.0, done, total);
                status
            });
            status
        })?;
        Ok((done, total?))
    }

    fn cancel(&mut self) {
        answer(xep_prefetch_job_cancel(self.0)).unwrap();
    }

    fn outcome(&mut self) -> Result<Moved> {
        let mut outcome = NO_OUTCOME;
        let mut stays = [NO_STAY; 32];
        let mut unmapped = [xep_unmapped { gpu: 0, reserved: 0, obstacle: NO_OBSTACLE }; 8];
        let size = size_of_val(&outcome);
        let status = xep_prefetch_job_outcome(
            self.0,
            &mut outcome,
            size,
            stays.as_mut_ptr(),
            stays.len(),
            unmapped.as_mut_ptr(),
            unmapped.len(),
        );
        if outcome.length == 0 {
            return Err(-status);
        }
        let (stays, unmapped) = (&stays[..outcome.stay_count as usize], &unmapped[..outcome.unmapped_count as usize]);
        Ok(moved(&outcome, stays, unmapped, answer(status)))
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        assert_eq!(xep_prefetch_job_close(self.0), 0);
    }
}

thread_local! {
    /// Steps after which the caller of this thread's prefetch has enough.
    static PATIENCE: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn lose_patience(user: *mut c_void, done: u64, total: u64) -> c_int {
    assert_eq!(user, USER);
    assert!(done <= total);
    PATIENCE.set(PATIENCE.get() - 1);
    (PATIENCE.get() == 0).into()
}

const USER: *mut c_void = ptr::without_provenance_mut(0x1234);

const NO_LOCATION: xep_location = xep_location { kind: 4, gpu: 0, region: 0, node: 0 };
const NO_PLACE: xep_place = xep_place { kind: 0, confidence: 0, gpu: 0, region: 0 };
const NO_OBSTACLE: xep_obstacle =
    xep_obstacle { kind: 0, error: 0, backing: 0, vm: 0, location: NO_LOCATION, bytes: 0, total: 0, text: [0; 208] };
const NO_STAY: xep_stay = xep_stay { address: 0, length: 0, obstacle: NO_OBSTACLE };
const NO_OUTCOME: xep_outcome = xep_outcome {
    address: 0,
    length: 0,
    location: NO_LOCATION,
    bytes_in_place: 0,
    bytes_elsewhere: 0,
    stay_count: 0,
    unmapped_count: 0,
};
const NO_REPORT: xep_report = xep_report {
    address: 0,
    length: 0,
    location: NO_LOCATION,
    step: 0,
    elided: 0,
    warnings: 0,
    answer_count: 0,
    passed_over: [0; 256],
};
const NO_ANSWER: xep_answer =
    xep_answer { vm: 0, gpu: 0, attribute: 0, effect: 0, location: NO_LOCATION, error: 0, reserved: 0 };

fn plain(location: Location) -> xep_location {
    use xep_location_kind::*;
    let (kind, gpu, region, node) = match location {
        Location::Default => (XEP_LOCATION_DEFAULT, 0, 0, 0),
        Location::System => (XEP_LOCATION_SYSTEM, 0, 0, 0),
        Location::HostNode(node) => (XEP_LOCATION_HOST_NODE, 0, 0, node),
        Location::Vram(region) => (XEP_LOCATION_VRAM, region.gpu.0, region.instance.into(), 0),
        other => panic!("C has no {other:?}"),
    };
    xep_location { kind: kind as u32, gpu, region, node }
}

fn location(from: xep_location) -> Option<Location> {
    match from.kind {
        0 => Some(Location::Default),
        1 => Some(Location::System),
        2 => Some(Location::HostNode(from.node)),
        3 => Some(Location::Vram(Region { gpu: GpuId(from.gpu), instance: from.region as u16 })),
        4 => None,
        kind => panic!("location of kind {kind}"),
    }
}

fn place(from: xep_place) -> Place {
    let confidence = match from.confidence {
        0 => Confidence::Unknown,
        1 => Confidence::Wished,
        2 => Confidence::Prefetched,
        3 => Confidence::Exact,
        other => panic!("confidence {other}"),
    };
    let region = Region { gpu: GpuId(from.gpu), instance: from.region as u16 };
    match from.kind {
        0 => Place::System,
        1 => Place::Vram { region: (from.gpu != u32::MAX).then_some(region), confidence },
        2 => Place::Swapped,
        3 => Place::Absent,
        4 => Place::Guard,
        kind => panic!("place of kind {kind}"),
    }
}

fn advice(wish: &Wish, locations: &[xep_location]) -> xep_advice {
    use xep_advice_flags::*;
    let flag = |set: bool, flag: xep_advice_flags| if set { flag as u32 } else { 0 };
    let gpus = wish.gpus.as_deref().unwrap_or_default();
    xep_advice {
        locations: locations.as_ptr(),
        gpus: gpus.as_ptr(),
        location_count: locations.len() as u32,
        gpu_count: gpus.len() as u32,
        flags: flag(wish.atomics.is_some(), XEP_ADVICE_ATOMICS)
            | flag(wish.policy.is_some(), XEP_ADVICE_MIGRATION_POLICY)
            | flag(wish.purgeable.is_some(), XEP_ADVICE_PURGEABLE)
            | flag(wish.strict, XEP_ADVICE_STRICT),
        atomics: wish.atomics.map_or(0, |mode| mode as u32),
        pat: 0,
        migration_policy: wish.policy.map_or(0, |policy| policy as u32),
        purgeable: wish.purgeable.map_or(0, u32::from),
        reserved: 0,
    }
}

fn prefetch(order: &Order) -> xep_prefetch {
    xep_prefetch {
        location: plain(order.to),
        map_for: order.map_for.as_ptr(),
        map_for_count: order.map_for.len() as u32,
        reserved: 0,
        chunk: order.chunk.unwrap_or(0),
        progress: None,
        user: ptr::null_mut(),
    }
}

fn effect(answer: &xep_answer) -> Answer {
    Answer {
        vm: VmId(answer.vm),
        gpu: GpuId(answer.gpu),
        attribute: match answer.attribute {
            0 => Attribute::PreferredLocation,
            1 => Attribute::Atomics,
            2 => Attribute::Pat,
            3 => Attribute::Purgeable,
            4 => Attribute::MigrationPolicy,
            other => panic!("attribute {other}"),
        },
        effect: match (answer.effect, answer.error) {
            (0, 0) => Effect::Stored,
            (1, 0) => Effect::Inert,
            (2, 0) => Effect::FellBack(location(answer.location).unwrap()),
            (3, libc::EOPNOTSUPP) => Effect::Unsupported,
            (4, errno) => Effect::Failed(errno),
            other => panic!("effect {other:?}"),
        },
    }
}

fn moved(outcome: &xep_outcome, stays: &[xep_stay], unmapped: &[xep_unmapped], completed: Result<()>) -> Moved {
    Moved {
        in_place: outcome.bytes_in_place,
        elsewhere: outcome.bytes_elsewhere,
        stays: stays
            .iter()
            .map(|stay| Stay { range: range((stay.address, stay.length)), obstacle: obstacle(&stay.obstacle) })
            .collect(),
        unmapped: unmapped
            .iter()
            .map(|one| Unmapped { gpu: GpuId(one.gpu), obstacle: obstacle(&one.obstacle) })
            .collect(),
        completed,
    }
}

/// The obstacle of the library that C was told of, which has the same words and the same errno.
fn obstacle(from: &xep_obstacle) -> Obstacle {
    use xep_obstacle_kind::*;
    let words = text(&from.text);
    let known = [
        (XEP_OBSTACLE_NOT_MAPPED, Obstacle::NotMapped),
        (XEP_OBSTACLE_BACKING, Obstacle::Backing(backing(from.backing))),
        (XEP_OBSTACLE_READ_ONLY, Obstacle::ReadOnly),
        (XEP_OBSTACLE_NO_ACCESS, Obstacle::NoAccess),
        (XEP_OBSTACLE_GUARD_PAGE, Obstacle::GuardPage),
        (XEP_OBSTACLE_NOT_MIRRORED, Obstacle::NotMirrored),
        (XEP_OBSTACLE_FULL, Obstacle::Full { free: from.bytes, total: from.total }),
        (XEP_OBSTACLE_EVICTED, Obstacle::Evicted { total: from.total }),
        (XEP_OBSTACLE_PINNED, Obstacle::Pinned),
        (XEP_OBSTACLE_LOCKED, Obstacle::Locked),
        (XEP_OBSTACLE_NO_LINK, Obstacle::NoLink(words.strip_prefix("no link: ").unwrap_or_default().to_owned())),
        (XEP_OBSTACLE_SMALL_BAR, Obstacle::SmallBar { cpu_visible: from.bytes, total: from.total }),
        (XEP_OBSTACLE_LOST, Obstacle::Lost),
        (XEP_OBSTACLE_OTHER_WISH, Obstacle::OtherWish { vm: VmId(from.vm), location: told(from.location) }),
        (XEP_OBSTACLE_UNSUPPORTED, Obstacle::Unsupported("mapping pages where they are")),
        (XEP_OBSTACLE_KERNEL, Obstacle::Kernel(from.error)),
        (XEP_OBSTACLE_UNTOLD, Obstacle::Untold),
        (XEP_OBSTACLE_NOT_MOVED_YET, Obstacle::NotMovedYet),
        (XEP_OBSTACLE_NEVER_TOUCHED, Obstacle::NeverTouched),
        (XEP_OBSTACLE_CANCELLED, Obstacle::Cancelled),
        (XEP_OBSTACLE_OTHER_NODE, Obstacle::OtherNode(from.location.node)),
    ];
    let found = known.into_iter().find_map(|(kind, obstacle)| (kind as u32 == from.kind).then_some(obstacle));
    let found = found.unwrap_or_else(|| panic!("obstacle of kind {}: {words}", from.kind));
    assert_eq!((words, from.error), (found.to_string(), found.errno()));
    found
}

fn told(from: xep_location) -> Option<Location> {
    if from.kind == xep_location_kind::XEP_LOCATION_FOREIGN as u32 { None } else { location(from) }
}

fn backing(from: u32) -> Backing {
    match from {
        0 => Backing::Anonymous,
        1 => Backing::PrivateFile,
        2 => Backing::Shared,
        3 => Backing::Hugetlb,
        _ => Backing::Special,
    }
}
