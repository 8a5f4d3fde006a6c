// SPDX-License-Identifier: MIT OR Apache-2.0
//! The register file of a virtual function, and the names of registers.
//!
//! A virtual function has few: whether it is one, and a mailbox to each GuC (`regs/xe_guc_regs.h`, `regs/xe_regs.h`). All
//! else it asks the GuC for. What is not here reads zero, and is noted.

use crate::guc::{mailbox::Message, media};
use std::borrow::Cow;

/// VF_CAP_REG; bit 0: this is a virtual function.
const VF_CAP: u64 = 0x1901f8;
/// GUC_HOST_INTERRUPT: a write calls the GuC.
const GUC_HOST_INTERRUPT: u64 = 0x1901f0;
/// VF_SW_FLAG(0) to (3): the mailbox.
const VF_SW_FLAG: u64 = 0x190240;
/// MED_GUC_HOST_INTERRUPT: a write calls the media GuC.
const MED_GUC_HOST_INTERRUPT: u64 = 0x190304;
/// MED_VF_SW_FLAG(0) to (3): the mailbox of the media GuC.
const MED_VF_SW_FLAG: u64 = 0x190310;

/// What the driver wants by writing a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Nothing beyond the value.
    None,
    /// Something is in the mailbox or in the command buffer.
    Guc,
}

/// The values of registers.
#[derive(Debug, Default)]
pub struct Registers {
    mailbox: Message,
    media: Message,
}

impl Registers {
    /// The value of a register; none if there is no such register.
    pub fn read(&self, register: u64) -> Option<u32> {
        Some(match register {
            VF_CAP => 1,
            GUC_HOST_INTERRUPT | MED_GUC_HOST_INTERRUPT => 0,
            _ => match (flag(register, VF_SW_FLAG), flag(register, MED_VF_SW_FLAG)) {
                (Some(word), _) => self.mailbox[word],
                (_, Some(word)) => self.media[word],
                _ => return None,
            },
        })
    }

    /// Writes a register; none if there is no such register.
    pub fn write(&mut self, register: u64, value: u32) -> Option<Call> {
        match register {
            GUC_HOST_INTERRUPT => return Some(Call::Guc),
            // The driver's write barrier (`xe_device_wmb()`): nothing changes.
            VF_CAP => {}
            MED_GUC_HOST_INTERRUPT => self.media = media::answer(self.media),
            _ => match (flag(register, VF_SW_FLAG), flag(register, MED_VF_SW_FLAG)) {
                (Some(word), _) => self.mailbox[word] = value,
                (_, Some(word)) => self.media[word] = value,
                _ => return None,
            },
        }
        Some(Call::None)
    }

    /// What the mailbox holds.
    pub fn mailbox(&self) -> Message {
        self.mailbox
    }

    /// Puts an answer into the mailbox.
    pub fn answer(&mut self, answer: Message) {
        self.mailbox = answer;
    }
}

/// Which of the four mailbox words from `first` on a register is.
fn flag(register: u64, first: u64) -> Option<usize> {
    let word = register.checked_sub(first)? / 4;
    (word < 4).then_some(word as usize)
}

/// The name of a register of BAR 0.
pub fn name(register: u64) -> Cow<'static, str> {
    let known = match register {
        VF_CAP => "VF_CAP_REG",
        GUC_HOST_INTERRUPT => "GUC_HOST_INTERRUPT",
        MED_GUC_HOST_INTERRUPT => "MED_GUC_HOST_INTERRUPT",
        0xd00 => "RPM_CONFIG0",
        0xd8c => "GMD_ID",
        0x9114 => "XEHP_FUSE4",
        0x9118 => "MIRROR_FUSE3",
        0x911c => "MIRROR_FUSE1",
        0x9134 => "XELP_EU_ENABLE",
        0x913c => "XELP_GT_GEOMETRY_DSS_ENABLE",
        0x9140 => "GT_VEBOX_VDBOX_DISABLE",
        0x9144 => "XEHP_GT_COMPUTE_DSS_ENABLE",
        0x9148 => "XEHPC_GT_COMPUTE_DSS_ENABLE_EXT",
        0x914c => "XE2_GT_COMPUTE_DSS_2",
        0x9150 => "XE2_GT_GEOMETRY_DSS_1",
        0x9154 => "XE2_GT_GEOMETRY_DSS_2",
        0xc1dc => "HUC_KERNEL_LOAD_INFO",
        _ => return numbered(register).into(),
    };
    known.into()
}

fn numbered(register: u64) -> String {
    match (flag(register, VF_SW_FLAG), flag(register, MED_VF_SW_FLAG)) {
        (Some(word), _) => format!("VF_SW_FLAG({word})"),
        (_, Some(word)) => format!("MED_VF_SW_FLAG({word})"),
        _ => format!("register {register:#x}"),
    }
}

/// The name of a register of an engine, by its offset from the engine's base (`regs/xe_engine_regs.h`).
pub fn engine_name(offset: u32) -> Cow<'static, str> {
    let known = match offset {
        0x30 => "RING_TAIL",
        0x34 => "RING_HEAD",
        0x38 => "RING_START",
        0x3c => "RING_CTL",
        0x9c => "RING_MI_MODE",
        0xc0 => "INSTPM",
        0xc4 => "RING_CMD_CCTL",
        0x178 => "PR_CTR_CTRL",
        0x17c => "PR_CTR_THRSH",
        0x204 => "BLIT_CCTL",
        0x244 => "RING_CONTEXT_CONTROL",
        0x358 => "RING_TIMESTAMP",
        0x35c => "RING_TIMESTAMP_UDW",
        0x3a8 => "RING_CTX_TIMESTAMP",
        0x3ac => "RING_CTX_TIMESTAMP_UDW",
        0x4c0 => "RING_QUEUE_TIMESTAMP",
        0x4c4 => "RING_QUEUE_TIMESTAMP_UDW",
        0x580 => "CS_CHICKEN1",
        0x600..0x680 => return format!("CS_GPR_DATA({})", (offset - 0x600) / 4).into(),
        _ => return format!("register {offset:#x}").into(),
    };
    known.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mailbox_keeps_what_is_written_and_a_call_goes_to_the_guc() {
        let mut registers = Registers::default();
        assert_eq!(registers.write(0x190244, 7), Some(Call::None));
        assert_eq!(registers.read(0x190244), Some(7));
        assert_eq!(registers.mailbox(), [0, 7, 0, 0]);
        assert_eq!(registers.write(GUC_HOST_INTERRUPT, 1), Some(Call::Guc));
        assert_eq!(registers.read(VF_CAP), Some(1));
    }

    #[test]
    fn what_does_not_exist_is_told() {
        assert_eq!(Registers::default().read(0xa278), None);
        assert_eq!(Registers::default().write(0x190250, 0), None);
    }

    #[test]
    fn registers_have_the_names_of_the_driver() {
        assert_eq!(name(0x19024c), "VF_SW_FLAG(3)");
        assert_eq!(engine_name(0x608), "CS_GPR_DATA(2)");
    }
}
