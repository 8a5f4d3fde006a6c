// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's arguments for a machine's PCI tree.

use crate::{
    machine::{Host, Machine, Slot},
    model::Model,
};
use std::{path::PathBuf, process::Command, slice::Iter};

/// The first bus of host bridge number 0 beside the machine's own, and how many buses each has for what is below it.
const BUSES: usize = 64;

/// Adds what is plugged into `machine`, with the GPUs that `model` serves.
pub fn plug(command: &mut Command, machine: &Machine, model: &Model) {
    let mut plug = Plug { command, sockets: model.sockets().iter(), count: 0 };
    for (number, _) in machine.hosts.iter().enumerate() {
        let first = (number + 1) * BUSES;
        plug.device(&format!("pxb-pcie,id=host{number},bus=pcie.0,bus_nr={first}"));
    }
    machine.slots.iter().for_each(|slot| plug.port("pcie-root-port", "pcie.0", "", slot));
    for (number, host) in machine.hosts.iter().enumerate() {
        plug.host(&format!("host{number}"), host);
    }
}

struct Plug<'a> {
    command: &'a mut Command,
    /// Of the GPUs that are not yet plugged in.
    sockets: Iter<'a, PathBuf>,
    /// Ports and switches so far: each needs a name and a slot number of its own.
    count: usize,
}

impl Plug<'_> {
    fn device(&mut self, device: &str) {
        self.command.args(["-device", device]);
    }

    fn host(&mut self, bus: &str, host: &Host) {
        let mut places = host.first..;
        if host.bridge {
            self.device(&format!("i82801b11-bridge,bus={bus},addr={:x}", host.first));
            places.next();
        }
        for (slot, place) in host.slots.iter().zip(places) {
            self.port("pcie-root-port", bus, &format!(",addr={place:x}"), slot);
        }
    }

    /// A port on `bus` with `slot` in it.
    fn port(&mut self, driver: &str, bus: &str, more: &str, slot: &Slot) {
        self.count += 1;
        let (number, port) = (self.count, format!("port{}", self.count));
        self.device(&format!("{driver},id={port},bus={bus},chassis={number},slot={number}{more}"));
        match slot {
            Slot::Gpu(_) => self.gpu(&port, 0, false),
            Slot::Functions(gpus) => (0..gpus.len()).for_each(|function| self.gpu(&port, function, true)),
            // A switch that QEMU has no model of: downstream ports of its own kind have no access control.
            Slot::AcsSwitch(slots) => self.switch(&port, "pcie-root-port", slots),
            Slot::Switch(slots) => self.switch(&port, "xio3130-downstream", slots),
        }
    }

    fn switch(&mut self, bus: &str, downstream: &str, slots: &[Slot]) {
        self.count += 1;
        let switch = format!("switch{}", self.count);
        self.device(&format!("x3130-upstream,id={switch},bus={bus}"));
        slots.iter().for_each(|slot| self.port(downstream, &switch, "", slot));
    }

    fn gpu(&mut self, bus: &str, function: usize, multifunction: bool) {
        let Some(socket) = self.sockets.next() else { return };
        let device = serde_json::json!({
            "driver": "vfio-user-pci",
            "bus": bus,
            "addr": format!("0.{function}"),
            "multifunction": multifunction,
            "socket": { "type": "unix", "path": socket },
        });
        self.device(&device.to_string());
    }
}
