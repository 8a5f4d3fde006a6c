// SPDX-License-Identifier: MIT OR Apache-2.0
//! PCI configuration space, as sysfs shows it.

use super::{
    topology::{Function, Kind, Lanes},
    tree::subsystem,
    windows::Resource,
};

/// What a user without `CAP_SYS_ADMIN` sees (`pci_read_config` in `drivers/pci/pci-sysfs.c`).
const SEEN_BY_USERS: usize = 64;
/// Where the PCI Express capability lies here.
const EXPRESS: usize = 0x40;
/// Where extended capabilities begin.
const EXTENDED: usize = 0x100;
/// Access control services: identifier 0x0d, version 1, the last in the list.
const ACS: u32 = 0x0001_000d;
/// What ports here can control: all but egress control.
const ACS_CAPABLE: u16 = 0x5f;

/// The file `config`: all 4096 bytes for root, else the standard header.
pub(super) fn config(function: &Function, resources: &[Resource], root: bool) -> Vec<u8> {
    let mut space = Space(vec![0; if root { 4096 } else { SEEN_BY_USERS }]);
    space.header(function);
    match function.buses {
        Some((secondary, subordinate)) => space.put(0x18, &[function.address.bus, secondary, subordinate]),
        None if function.kind != Kind::HostBridge => space.endpoint(function, resources),
        None => {}
    }
    if root {
        space.express(function);
        if let Some(control) = function.acs {
            space.put(EXTENDED, &ACS.to_le_bytes());
            space.put(EXTENDED + 4, &ACS_CAPABLE.to_le_bytes());
            space.put(EXTENDED + 6, &control.to_le_bytes());
        }
    }
    space.0
}

struct Space(Vec<u8>);

impl Space {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn header(&mut self, function: &Function) {
        let virtual_function = matches!(function.kind, Kind::VirtualFunction(_));
        // A virtual function does not repeat its identifiers here.
        let [vendor, device] = if virtual_function { [0xffff; 2] } else { [function.ids.vendor, function.ids.device] };
        self.put(0x00, &vendor.to_le_bytes());
        self.put(0x02, &device.to_le_bytes());
        // Memory decoding and bus mastering are on; there is a list of capabilities.
        self.put(0x04, &[0x06, 0x04, 0x10, 0x00]);
        let [_, base, sub, interface] = function.class.to_be_bytes();
        self.put(0x08, &[function.revision, interface, sub, base]);
        self.put(0x0e, &[u8::from(function.buses.is_some())]);
        self.put(0x34, &[EXPRESS as u8]);
    }

    fn endpoint(&mut self, function: &Function, resources: &[Resource]) {
        let (vendor, device) = subsystem(function);
        self.put(0x2c, &vendor.to_le_bytes());
        self.put(0x2e, &device.to_le_bytes());
        for resource in resources.iter().filter(|_| !matches!(function.kind, Kind::VirtualFunction(_))) {
            let register = resource.start | resource.flags & 0xf;
            self.put(0x10 + 4 * resource.line, &register.to_le_bytes());
        }
    }

    /// The PCI Express capability: version 2, device type, link.
    fn express(&mut self, function: &Function) {
        let device_type: u16 = match function.kind {
            Kind::Gpu | Kind::VirtualFunction(_) => 0,
            Kind::RootPort => 4,
            Kind::Upstream => 5,
            Kind::Downstream => 6,
            Kind::IntegratedGpu => 9,
            Kind::HostBridge => 9,
        };
        self.put(EXPRESS, &[0x10, 0]);
        self.put(EXPRESS + 2, &(2 | device_type << 4).to_le_bytes());
        if let Some(link) = function.link {
            let field = |lanes: Lanes| u16::from(lanes.generation) | u16::from(lanes.count) << 4;
            self.put(EXPRESS + 0x0c, &u32::from(field(link.most)).to_le_bytes());
            self.put(EXPRESS + 0x12, &field(link.now).to_le_bytes());
        }
    }
}
