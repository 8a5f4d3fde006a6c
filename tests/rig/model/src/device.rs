// SPDX-License-Identifier: MIT OR Apache-2.0
//! The PCI function as QEMU sees it over vfio-user: regions, interrupts, DMA maps.

use crate::{
    ggtt,
    gpu::{BAR0, Counters, Gpu},
    guc::Guc,
    pci::{self, ConfigSpace},
    registers::{self, Call, Registers},
};
use std::{fs::File, io, os::fd::AsRawFd, path::Path, sync::Arc};
use vfio_bindings::bindings::vfio::{
    VFIO_IRQ_INFO_EVENTFD, VFIO_PCI_BAR0_REGION_INDEX, VFIO_PCI_BAR2_REGION_INDEX, VFIO_PCI_CONFIG_REGION_INDEX,
    VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_NUM_IRQS, VFIO_PCI_NUM_REGIONS, VFIO_REGION_INFO_FLAG_MMAP,
    VFIO_REGION_INFO_FLAG_READ, VFIO_REGION_INFO_FLAG_WRITE, vfio_region_info, vfio_region_sparse_mmap_area,
};
use vfio_user::{DmaMapFlags, DmaUnmapFlags, IrqInfo, Server, ServerBackend, ServerRegion, SparseArea};

/// Why the function cannot be served, or is not any more.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The conversation with QEMU failed.
    #[error("vfio-user: {0}")]
    Protocol(#[from] vfio_user::Error),
}

/// The function of one GPU.
#[derive(Debug)]
pub struct Device {
    gpu: Arc<Gpu>,
    guc: Arc<Guc>,
    config: ConfigSpace,
    registers: Registers,
}

/// Makes the socket that QEMU connects to.
pub fn listen(gpu: &Gpu, socket: &Path) -> Result<Server, Broken> {
    let irqs = (0..VFIO_PCI_NUM_IRQS).map(|index| IrqInfo {
        index,
        count: u32::from(index == VFIO_PCI_MSI_IRQ_INDEX),
        flags: VFIO_IRQ_INFO_EVENTFD,
    });
    let regions = (0..VFIO_PCI_NUM_REGIONS).map(|index| region(gpu, index));
    Ok(Server::new(socket, true, irqs.collect(), regions.collect())?)
}

/// What QEMU may do with a region. Where it may map a part, the guest works there without asking.
fn region(gpu: &Gpu, index: u32) -> ServerRegion {
    let (size, mapped) = match index {
        // Registers must be asked for; the global translation table behind them not.
        VFIO_PCI_BAR0_REGION_INDEX => (BAR0, Some((&gpu.bar0, ggtt::OFFSET))),
        VFIO_PCI_BAR2_REGION_INDEX => (gpu.settings.window, Some((&gpu.vram, 0))),
        VFIO_PCI_CONFIG_REGION_INDEX => (pci::LENGTH as u64, None),
        _ => (0, None),
    };
    let mut flags = if size == 0 { 0 } else { VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE };
    if mapped.is_some() {
        flags |= VFIO_REGION_INFO_FLAG_MMAP;
    }
    let area = |offset| SparseArea { area: vfio_region_sparse_mmap_area { offset, size: size - offset } };
    let argsz = size_of::<vfio_region_info>() as u32;
    ServerRegion {
        region_info: vfio_region_info { argsz, index, flags, size, ..Default::default() },
        sparse_areas: mapped.iter().map(|(_, offset)| area(*offset)).collect(),
        mmap_fd: mapped.map(|(block, _)| block.file().as_raw_fd()),
    }
}

impl Device {
    /// The function of `gpu`, with its firmware.
    pub fn new(gpu: Arc<Gpu>, guc: Arc<Guc>) -> Device {
        let config = ConfigSpace::new(gpu.settings.device, gpu.settings.window);
        Device { gpu, guc, config, registers: Registers::default() }
    }

    /// Serves QEMU until it hangs up.
    pub fn serve(mut self, server: &Server) -> Result<(), Broken> {
        Ok(server.run(&mut self)?)
    }

    fn read_register(&self, register: u64) -> u32 {
        Counters::count(&self.gpu.counters.reads);
        let value = self.registers.read(register);
        self.gpu.note(|| match value {
            Some(value) => format!("{} is {value:#x}", registers::name(register)),
            None => format!("{} is read, but there is none", registers::name(register)),
        });
        value.unwrap_or(0)
    }

    fn write_register(&mut self, register: u64, value: u32) {
        Counters::count(&self.gpu.counters.writes);
        let call = self.registers.write(register, value);
        self.gpu.note(|| match call {
            Some(_) => format!("{} = {value:#x}", registers::name(register)),
            None => format!("{} = {value:#x}, but there is none", registers::name(register)),
        });
        if call == Some(Call::Guc) {
            self.call_firmware();
        }
    }

    /// The driver waits only 50 ms for the answer to a mailbox message (`xe_guc_mmio_send_recv()`). Its next read finds it,
    /// however late that is, because the answer is there before this returns.
    fn call_firmware(&mut self) {
        let message = self.registers.mailbox();
        // A message of the host is there if the first word is not zero and has not bit 31 of the firmware's answers.
        if message[0] != 0 && message[0] >> 31 == 0 {
            let answer = self.guc.mail(message);
            self.registers.answer(answer);
        } else {
            self.guc.doorbell();
        }
    }
}

/// The word that `data` is; all accesses of the driver are of 4 bytes, or of 8 to the translation table.
fn value(data: &[u8]) -> u64 {
    data.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

impl ServerBackend for Device {
    fn region_read(&mut self, region: u32, offset: u64, data: &mut [u8]) -> Result<(), io::Error> {
        if !self.gpu.is_alive() {
            data.fill(0xff);
            return Ok(());
        }
        let block = match region {
            VFIO_PCI_CONFIG_REGION_INDEX => {
                self.config.read(offset, data);
                return Ok(());
            }
            VFIO_PCI_BAR0_REGION_INDEX if offset < ggtt::OFFSET => {
                let word = self.read_register(offset & !3).to_le_bytes();
                for (byte, at) in data.iter_mut().zip(offset & 3..) {
                    *byte = word.get(at as usize).copied().unwrap_or(0);
                }
                return Ok(());
            }
            VFIO_PCI_BAR0_REGION_INDEX => &self.gpu.bar0,
            VFIO_PCI_BAR2_REGION_INDEX => &self.gpu.vram,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let span = block.span(offset, data.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        span.read(data);
        Ok(())
    }

    fn region_write(&mut self, region: u32, offset: u64, data: &[u8]) -> Result<(), io::Error> {
        if !self.gpu.is_alive() {
            return Ok(());
        }
        let block = match region {
            VFIO_PCI_CONFIG_REGION_INDEX => {
                self.config.write(offset, data);
                let window = self.config.window();
                self.gpu.note(|| format!("configuration {offset:#x} = {:#x}, window {window:x?}", value(data)));
                self.gpu.bus.fabric().place_window(self.gpu.index, window);
                return Ok(());
            }
            VFIO_PCI_BAR0_REGION_INDEX if offset < ggtt::OFFSET => {
                self.write_register(offset, value(data) as u32);
                return Ok(());
            }
            VFIO_PCI_BAR0_REGION_INDEX => &self.gpu.bar0,
            VFIO_PCI_BAR2_REGION_INDEX => &self.gpu.vram,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let span = block.span(offset, data.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        span.write(data);
        Ok(())
    }

    fn dma_map(
        &mut self,
        _: DmaMapFlags,
        offset: u64,
        address: u64,
        size: u64,
        file: Option<File>,
    ) -> Result<(), io::Error> {
        self.gpu.note(|| format!("bus {address:#x}+{size:#x} is {}", if file.is_some() { "memory" } else { "a BAR" }));
        // What comes without a file is the BAR of another device; those of GPUs are known by their configuration.
        file.map_or(Ok(()), |file| self.gpu.bus.map(address, file, offset, size))
    }

    fn dma_unmap(&mut self, flags: DmaUnmapFlags, address: u64, size: u64) -> Result<(), io::Error> {
        self.gpu.note(|| format!("bus {address:#x}+{size:#x} is nothing"));
        if flags.contains(DmaUnmapFlags::UNMAP_ALL) {
            self.gpu.bus.unmap(0, u64::MAX);
        } else {
            self.gpu.bus.unmap(address, size);
        }
        Ok(())
    }

    fn reset(&mut self) -> Result<(), io::Error> {
        self.gpu.note(|| "function reset");
        self.guc.reset();
        self.registers = Registers::default();
        Ok(())
    }

    fn set_irqs(&mut self, index: u32, _: u32, _: u32, count: u32, mut files: Vec<File>) -> Result<(), io::Error> {
        self.gpu.note(|| format!("interrupt {index}: {count} vectors, {} files", files.len()));
        if index == VFIO_PCI_MSI_IRQ_INDEX {
            self.gpu.interrupts.connect(files.pop());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::tests::small;

    fn device() -> Device {
        let (gpu, _) = small();
        Device::new(gpu.clone(), Guc::start(gpu).unwrap())
    }

    #[test]
    fn a_virtual_function_says_that_it_is_one() {
        let mut word = [0; 4];
        device().region_read(VFIO_PCI_BAR0_REGION_INDEX, 0x1901f8, &mut word).unwrap();
        assert_eq!(u32::from_le_bytes(word), 1);
    }

    #[test]
    fn a_device_that_dropped_off_answers_all_ones_everywhere() {
        let mut device = device();
        device.gpu.drop_off();
        for (region, offset) in [(VFIO_PCI_CONFIG_REGION_INDEX, 0), (VFIO_PCI_BAR0_REGION_INDEX, 0x1901f8), (2, 64)] {
            let mut word = [0; 4];
            device.region_read(region, offset, &mut word).unwrap();
            assert_eq!(word, [0xff; 4]);
        }
    }

    #[test]
    fn beyond_the_end_of_a_region_is_an_error() {
        assert!(device().region_read(2, 1 << 40, &mut [0; 4]).is_err());
        assert!(device().region_write(5, 0, &[0; 4]).is_err());
    }
}
