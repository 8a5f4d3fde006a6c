// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mailbox: four registers in which driver and firmware meet before there are command buffers.

use super::{
    Firmware, hwconfig, klv,
    messages::{self, Header, Words, error, failure, success},
};
use crate::ggtt::Unmapped;

/// What fits into the mailbox.
pub type Message = [u32; 4];

/// Version 1.26 of the interface. With 1.27 the driver would turn the migration of virtual functions on, which is not
/// modelled (`xe_sriov_vf.c`).
pub const VERSION: u32 = 1 << 16 | 26 << 8;

impl Firmware {
    /// Answers a message of the mailbox.
    pub(super) fn mail(&mut self, request: Message) -> Message {
        let answer = match Header::of_host(request[0]) {
            Some(header) => self.mail_action(header, request).unwrap_or_else(|error| [failure(error), 0, 0, 0]),
            None => [failure(error::UNKNOWN_ACTION), 0, 0, 0],
        };
        self.gpu.note(|| format!("GuC mailbox {} -> {}", Words(&request), Words(&answer)));
        answer
    }

    fn mail_action(&mut self, header: Header, request: Message) -> Result<Message, u16> {
        let wide = |low: usize| u64::from(request[low]) | u64::from(request[low + 1]) << 32;
        match header.action {
            messages::VF_RESET => {
                self.reset();
                Ok([success(0), 0, 0, 0])
            }
            messages::MATCH_VERSION => match request[1] >> 16 & 0xff {
                0 | 1 => Ok([success(0), VERSION, 0, 0]),
                _ => Err(error::UNSUPPORTED_VERSION),
            },
            messages::QUERY_SINGLE_KLV => {
                let share = klv::share(request[1] as u16, self.gpu.settings);
                let (length, value) = share.ok_or(error::INVALID_KLV_KEY)?;
                Ok([success(length), value as u32, (value >> 32) as u32, 0])
            }
            messages::SELF_CFG => match self.config.set((request[1] >> 16) as u16, wide(2)) {
                true => Ok([success(1), 0, 0, 0]),
                false => Err(error::INVALID_KLV_KEY),
            },
            messages::GET_HWCONFIG => self.hwconfig(wide(1), request[3]),
            messages::CONTROL_CTB => {
                self.connected = request[1] == 1 && self.config.has_rings();
                Ok([success(0), 0, 0, 0])
            }
            _ => {
                self.gpu.report(format_args!("GuC mailbox: {} is unknown", Words(&request)));
                Err(error::UNKNOWN_ACTION)
            }
        }
    }

    /// Writes the table of what the GPU has to a global address; where there is no room for it, tells only its length.
    fn hwconfig(&self, address: u64, room: u32) -> Result<Message, u16> {
        let length = hwconfig::words().count() as u32 * 4;
        if room != 0 && room < length {
            return Err(error::INVALID_SIZE);
        }
        if room != 0 {
            self.write_table(address).map_err(|Unmapped(_)| error::INVALID_GGTT_ADDRESS)?;
        }
        Ok([success(length), 0, 0, 0])
    }

    fn write_table(&self, address: u64) -> Result<(), Unmapped> {
        (address..).step_by(4).zip(hwconfig::words()).try_for_each(|(at, word)| self.gpu.ggtt.write32(at, word))
    }
}
