// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lets a GPU touch memory with a few commands on its copy engine.

use super::{Access, Kernel};
use crate::{
    range::{PAGE, Range},
    uapi::{memory::Mapping, *},
};
use std::{io, mem::ManuallyDrop, os::fd::BorrowedFd, sync::atomic::Ordering, time::Duration};

/// MI commands, as in the Programmer's Reference Manual, volume "Command Reference": opcode in bits 28:23, length in
/// words less two in the low bits.
const MI_BATCH_BUFFER_END: u32 = 0x0a << 23;
const MI_STORE_DATA_IMM: u32 = 0x20 << 23 | 2;
/// Bit 19: the register's number counts from the engine's own base.
const MI_LOAD_REGISTER_MEM: u32 = 0x29 << 23 | 1 << 19 | 2;
/// CS_GPR 0, a general purpose register of the command streamer.
const GENERAL_REGISTER: u32 = 0x600;
const MI_ATOMIC: u32 = 0x2f << 23 | 1;
/// MI_ATOMIC, operation "increment" of 4 bytes, in bits 15:8. (0x04 would be a move.)
const ATOMIC_INCREMENT: u32 = 0x05 << 8;

/// Pages touched by one batch.
const PAGES_A_BATCH: u64 = 4096;
/// A batch that has not ended by then has met a fault that the driver could not serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// Touches the first word of every page of `range` from the GPU of `vm`.
pub(super) fn touch(
    kernel: &Kernel,
    (fd, vm_id): (BorrowedFd<'_>, u32),
    range: Range,
    access: Access,
) -> io::Result<()> {
    let queue = Queue::create(kernel, fd, vm_id)?;
    for chunk in range.chunks(PAGES_A_BATCH * PAGE) {
        queue.run(&batch(chunk, access))?;
    }
    queue.finish();
    Ok(())
}

/// The commands that touch the first word of each page of `range`.
fn batch(range: Range, access: Access) -> Vec<u32> {
    let mut commands = Vec::with_capacity(range.pages() as usize * WORDS_A_PAGE + 1);
    for page in range.addresses().step_by(PAGE as usize) {
        let [low, high] = halves(page);
        match access {
            Access::Read => commands.extend([MI_LOAD_REGISTER_MEM, GENERAL_REGISTER, low, high]),
            Access::Write => commands.extend([MI_STORE_DATA_IMM, low, high, TOUCHED]),
            Access::Atomic => commands.extend([MI_ATOMIC | ATOMIC_INCREMENT, low, high]),
        }
    }
    commands.push(MI_BATCH_BUFFER_END);
    commands
}

/// What a GPU write leaves in the first word of a page.
const TOUCHED: u32 = 0x7865_706c;

fn halves(address: u64) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

/// A copy queue of one vm with memory for its batch and fence.
struct Queue<'a> {
    kernel: &'a Kernel,
    fd: BorrowedFd<'a>,
    id: u32,
    /// Kept for ever where a batch did not end: its fence may still be written.
    memory: ManuallyDrop<Mapping>,
}

/// The longest of the commands above.
const WORDS_A_PAGE: usize = 4;
/// The fence is the first word of the queue's memory; the batch starts here.
const BATCH_AT: u64 = 64;

impl<'a> Queue<'a> {
    fn create(kernel: &'a Kernel, fd: BorrowedFd<'a>, vm_id: u32) -> io::Result<Queue<'a>> {
        let length = (BATCH_AT + PAGES_A_BATCH * WORDS_A_PAGE as u64 * 4 + 8).next_multiple_of(PAGE);
        let memory = Mapping::anonymous(length as usize, PAGE as usize, false)?;
        let engine = drm_xe_engine_class_instance { engine_class: DRM_XE_ENGINE_CLASS_COPY, ..Default::default() };
        let mut queue = drm_xe_exec_queue_create { vm_id, ..Default::default() };
        kernel.door().exec_queue_create(fd, &mut queue, engine)?;
        let queue = Queue { kernel, fd, id: queue.exec_queue_id, memory: ManuallyDrop::new(memory) };
        queue.map(vm_id)?;
        Ok(queue)
    }

    /// Maps the queue's own memory, so that the only faults are those on the memory to be touched.
    fn map(&self, vm_id: u32) -> io::Result<()> {
        let op = drm_xe_vm_bind_op {
            op: DRM_XE_VM_BIND_OP_PREFETCH,
            addr: self.memory.start(),
            range: self.memory.len() as u64,
            ..Default::default()
        };
        let bind = drm_xe_vm_bind { vm_id, num_binds: 1, bind: op, ..Default::default() };
        self.kernel.door().vm_bind(self.fd, &bind, BindSyncs::None)
    }

    /// Runs `commands` and waits for their end.
    fn run(&self, commands: &[u32]) -> io::Result<()> {
        for (index, pair) in commands.chunks(2).enumerate() {
            let word = u64::from(pair[0]) | pair.get(1).map_or(0, |high| u64::from(*high) << 32);
            self.memory.word(BATCH_AT as usize / 8 + index).store(word, Ordering::Release);
        }
        let fence = self.memory.word(0);
        let value = fence.load(Ordering::Acquire) + 1;
        let exec =
            drm_xe_exec { exec_queue_id: self.id, address: self.memory.start() + BATCH_AT, ..Default::default() };
        self.kernel.door().exec(self.fd, &exec, fence, value)?;
        let mut wait = drm_xe_wait_user_fence {
            addr: self.memory.start(),
            op: DRM_XE_UFENCE_WAIT_OP_EQ,
            value,
            mask: u64::MAX,
            timeout: PATIENCE.as_nanos() as i64,
            exec_queue_id: self.id,
            ..Default::default()
        };
        self.kernel.door().send(self.fd, &mut wait).map(drop)
    }

    /// Every batch has ended: gives the memory back.
    fn finish(mut self) {
        let memory = std::mem::replace(&mut self.memory, ManuallyDrop::new(Mapping::none()));
        drop(ManuallyDrop::into_inner(memory));
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        let mut request = drm_xe_exec_queue_destroy { exec_queue_id: self.id, ..Default::default() };
        let _ = self.kernel.door().send(self.fd, &mut request);
    }
}
