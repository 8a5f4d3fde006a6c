// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a machine string.

use super::{
    grammar::*,
    models::{GPUS, GpuModel},
    options::{self, one_of},
    words::{Token, column_behind, tokens},
};
use crate::error::{Error, Result};

/// GPUs of a machine, virtual functions included.
pub(super) const MAX_GPUS: u64 = 1024;
/// Switches inside switches.
const MAX_DEPTH: usize = 8;
/// Host bridges of a machine.
const MAX_HOSTS: u64 = 64;
/// Bus numbers are bytes, and a host bridge has its buses in one PCI domain.
const MAX_BUSES: u32 = 256;
/// Device numbers on a bus are five bits; on a root bus 0 is the host bridge's and 2 the integrated GPU's.
const MAX_ROOT_PORTS: u32 = 30;
const MAX_SWITCH_PORTS: u32 = 32;

/// Understands `text`, or says where it stops making sense.
///
/// All limits are kept here, so that what comes out can always be built.
pub(crate) fn read(text: &str) -> Result<Description> {
    let mut parser = Parser { tokens: tokens(text), at: 0, end: column_behind(text), gpus: 0, integrated: false };
    parser.machine()
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
    /// Column behind the last character.
    end: usize,
    /// GPUs so far, those in the group that is being read not yet multiplied by the group's count.
    gpus: u64,
    /// An integrated GPU was met.
    integrated: bool,
}

/// What is being filled: where a slot is decides what fits into it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    RootBus,
    Switch,
}

impl<'a> Parser<'a> {
    fn machine(&mut self) -> Result<Description> {
        let mut machine = Description::default();
        self.options(|token| options::machine(token, &mut machine))?;
        let Some(first) = self.peek() else {
            return Err(self.expected("a GPU, switch(, port(, host( or none"));
        };
        machine.hosts = match first.text {
            "none" => {
                self.at += 1;
                Hosts::Implied(Vec::new())
            }
            _ if self.ahead_is_host() => Hosts::Named(self.hosts()?),
            _ => {
                let slots = self.slots(Inside::RootBus, 0)?;
                limit_buses(first, &slots)?;
                Hosts::Implied(slots)
            }
        };
        match self.peek() {
            None => Ok(machine),
            Some(_) if first.text == "none" => Err(self.expected("nothing behind none")),
            Some(_) if self.ahead_is_host() => Err(self.expected("each GPU inside a host(…), as there are several")),
            Some(_) => Err(self.expected("the end, or another slot")),
        }
    }

    /// Takes words as long as `read` knows them.
    fn options(&mut self, mut read: impl FnMut(Token<'a>) -> Result<bool>) -> Result<()> {
        while let Some(token) = self.peek() {
            if !read(token)? {
                break;
            }
            self.at += 1;
        }
        Ok(())
    }

    fn hosts(&mut self) -> Result<Vec<Counted<Host>>> {
        let mut hosts: Vec<Counted<Host>> = Vec::new();
        while self.ahead_is_host() {
            let first = self.tokens[self.at];
            let count = self.count()?;
            let integrated_before = self.integrated;
            let before = self.gpus;
            let host = self.host()?;
            self.multiply(first, count, before)?;
            if self.integrated && !integrated_before && (count > 1 || !hosts.is_empty()) {
                return Err(first.error("an integrated GPU sits on the first host bridge only"));
            }
            hosts.push(Counted { count, what: host });
            if hosts.iter().map(|host| u64::from(host.count)).sum::<u64>() > MAX_HOSTS {
                return Err(first.error(format!("a machine has at most {MAX_HOSTS} host bridges")));
            }
        }
        if self.peek().is_some() {
            return Err(self.expected("another host(…): where one is named, all are"));
        }
        Ok(hosts)
    }

    fn host(&mut self) -> Result<Host> {
        let name = self.next("host(")?;
        self.open(name)?;
        let mut host = Host::default();
        self.options(|token| options::host(token, &mut host))?;
        if !self.ahead_is(")") {
            host.slots = self.slots(Inside::RootBus, 0)?;
            limit_buses(name, &host.slots)?;
        }
        self.close(name)?;
        Ok(host)
    }

    /// Slots up to a closing parenthesis or the end: at least one.
    fn slots(&mut self, inside: Inside, depth: usize) -> Result<Vec<Counted<Slot>>> {
        let mut slots = Vec::new();
        let mut ports = 0;
        let (most, place) = match inside {
            Inside::RootBus => (MAX_ROOT_PORTS, "a root bus has room for 30 root ports"),
            Inside::Switch => (MAX_SWITCH_PORTS, "a switch has at most 32 downstream ports"),
        };
        while slots.is_empty() || !(self.peek().is_none() || self.ahead_is(")") || self.ahead_is_host()) {
            let Some(first) = self.peek() else { return Err(self.expected("a GPU, switch( or port(")) };
            let count = self.count()?;
            let before = self.gpus;
            let slot = self.slot(inside, depth, count)?;
            self.multiply(first, count, before)?;
            ports += if slot.is_integrated() { 0 } else { count };
            if ports > most {
                return Err(first.error(place));
            }
            slots.push(Counted { count, what: slot });
        }
        Ok(slots)
    }

    fn slot(&mut self, inside: Inside, depth: usize, count: u32) -> Result<Slot> {
        let Some(first) = self.peek() else { return Err(self.expected("a GPU, switch( or port(")) };
        let port = if first.text == "port" { Some(self.port()?) } else { None };
        let card = self.peek();
        let slot = match card {
            Some(token) if token.text == "switch" => Slot { port, card: Card::Switch(self.switch(depth + 1)?) },
            _ => Slot { port, card: Card::Gpu(self.gpu()?) },
        };
        if let (true, Some(card)) = (slot.is_integrated(), card) {
            if inside != Inside::RootBus || port.is_some() || count != 1 || self.integrated {
                let reason = format!("{} is integrated: a machine has one, outside of any port or switch", card.text);
                return Err(card.error(reason));
            }
            self.integrated = true;
        }
        if port.is_some() {
            if self.peek().is_some() && !self.ahead_is(")") {
                return Err(self.expected("), as a port has one slot (for more, put a switch( in it)"));
            }
            self.close(first)?;
        }
        Ok(slot)
    }

    /// `port(` and its words.
    fn port(&mut self) -> Result<Port> {
        let name = self.next("port(")?;
        self.open(name)?;
        let mut port = Port::default();
        self.options(|token| options::port(token, &mut port))?;
        if self.ahead_is_count() {
            return Err(self.expected("a single GPU or switch(: a port has one slot"));
        }
        Ok(port)
    }

    fn switch(&mut self, depth: usize) -> Result<Switch> {
        let name = self.next("switch(")?;
        if depth > MAX_DEPTH {
            return Err(name.error(format!("switches nest at most {MAX_DEPTH} deep")));
        }
        self.open(name)?;
        let mut switch = Switch::default();
        self.options(|token| options::switch(token, &mut switch))?;
        switch.slots = self.slots(Inside::Switch, depth)?;
        self.close(name)?;
        Ok(switch)
    }

    fn gpu(&mut self) -> Result<GpuText> {
        let token = self.next("a GPU")?;
        let Some(model) = GpuModel::named(token.text) else { return Err(unknown_slot(token)) };
        let mut gpu = GpuText::new(model);
        let mut bar = token;
        self.options(|token| {
            bar = if token.text.starts_with("bar=") { token } else { bar };
            options::gpu(token, &mut gpu)
        })?;
        options::check(&gpu, token, bar)?;
        self.gpus += gpu.functions();
        Ok(gpu)
    }

    /// A count such as `4x`, or 1.
    fn count(&mut self) -> Result<u32> {
        let Some(token) = self.peek().filter(|token| token.text.starts_with(|first: char| first.is_ascii_digit()))
        else {
            return Ok(1);
        };
        let Some(digits) =
            token.text.strip_suffix('x').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))
        else {
            return Err(token.error("expected a count such as 4x, and a space behind it"));
        };
        self.at += 1;
        match digits.parse() {
            Ok(0) => Err(token.error("a count is at least 1")),
            Ok(count) if u64::from(count) <= MAX_GPUS => Ok(count),
            _ => Err(token.error(format!("a machine has at most {MAX_GPUS} GPUs"))),
        }
    }

    /// Counts the GPUs since there were `before` as often as their group stands there.
    fn multiply(&mut self, first: Token<'a>, count: u32, before: u64) -> Result<()> {
        self.gpus += (self.gpus - before) * u64::from(count - 1);
        if self.gpus > MAX_GPUS {
            return Err(first.error(format!("a machine has at most {MAX_GPUS} GPUs")));
        }
        Ok(())
    }

    fn peek(&self) -> Option<Token<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self, what: &str) -> Result<Token<'a>> {
        let token = self.peek().ok_or_else(|| self.expected(what))?;
        self.at += 1;
        Ok(token)
    }

    fn ahead_is(&self, text: &str) -> bool {
        self.peek().is_some_and(|token| token.text == text)
    }

    fn ahead_is_count(&self) -> bool {
        self.peek().is_some_and(|token| token.text.starts_with(|first: char| first.is_ascii_digit()))
    }

    /// `host(`, with or without a count.
    fn ahead_is_host(&self) -> bool {
        let name = self.at + usize::from(self.ahead_is_count());
        self.tokens.get(name).is_some_and(|token| token.text == "host")
    }

    fn open(&mut self, name: Token<'a>) -> Result<()> {
        if !self.ahead_is("(") {
            return Err(self.expected(&format!("( behind {}", name.text)));
        }
        self.at += 1;
        Ok(())
    }

    fn close(&mut self, name: Token<'a>) -> Result<()> {
        if !self.ahead_is(")") {
            return Err(self.expected(&format!("), which ends {}( of column {}", name.text, name.column)));
        }
        self.at += 1;
        Ok(())
    }

    fn expected(&self, what: &str) -> Error {
        match self.peek() {
            Some(token) => token.expected(what),
            None => Token { column: self.end, text: "" }.error(format!("expected {what}, found the end")),
        }
    }
}

/// All buses of a host bridge share one byte for their numbers.
fn limit_buses(first: Token<'_>, slots: &[Counted<Slot>]) -> Result<()> {
    let buses = buses(slots);
    if buses > MAX_BUSES {
        let reason = format!("{buses} PCI buses below one host bridge, which has {MAX_BUSES}: use several host(…)");
        return Err(first.error(reason));
    }
    Ok(())
}

/// Says what could stand where `token` does.
fn unknown_slot(token: Token<'_>) -> Error {
    let gpus = one_of(GPUS.iter().map(|model| model.name));
    match token.option() {
        ("cpu" | "ram", Some(_)) | ("iommu" | "root", None) => {
            token.error(format!("{} belongs before the first GPU or group", token.text))
        }
        ("host" | "none", None) => token.error(format!("{} cannot stand inside of another group", token.text)),
        (_, Some(_)) => token.expected("vram=, bar=, tiles=, vfs=, node=, without= or gen= behind a GPU"),
        _ => token.expected(&format!("a GPU ({gpus}), switch( or port(")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{
        driver::Features,
        range::BLOCK,
        sim::hardware::models::{CPUS, CpuModel, Ids},
    };
    use proptest::prelude::*;

    /// Column and reason of the error in `text`.
    fn error(text: &str) -> (usize, String) {
        match read(text) {
            Err(Error::MachineString { column, reason }) => (column, reason),
            other => panic!("{text:?}: {other:?}"),
        }
    }

    #[test]
    fn errors_point_at_what_is_wrong() {
        for (text, column, part) in [
            ("", 1, "none"),
            ("  ", 3, "none"),
            ("cpu=zen", 8, "none"),
            ("none bmg", 6, "nothing behind none"),
            ("2x b600", 4, "b580"),
            ("cpu=pentium bmg", 5, "zen"),
            ("bmg vram=12X", 10, "such as"),
            ("bmg vram=3M", 10, "multiple of 2M"),
            ("bmg vram=2T", 10, "to 1T"),
            ("bmg vram=99999999999999999999T", 10, "size"),
            ("bmg vram=", 10, "nothing"),
            ("bmg bar=3G", 5, "power of two"),
            ("pvc bar=256M", 5, "outside of the BAR"),
            ("bmg vram=4M vfs=2", 1, "too small"),
            ("bmg without=mirror,sound", 20, "multi-device"),
            ("bmg without=mirror,mirror", 20, "twice"),
            ("bmg x8 x16", 8, "twice"),
            ("bmg x3", 5, "x16"),
            ("bmg gen=7", 9, "from 1 to 6"),
            ("bmg iommu", 5, "before the first"),
            ("4xbmg", 1, "space"),
            ("0x bmg", 1, "at least 1"),
            ("4x", 3, "a GPU"),
            ("switch(2x bmg", 14, "column 1"),
            ("switch 2x bmg", 8, "( behind switch"),
            ("switch()", 8, "a GPU"),
            ("bmg)", 4, "the end"),
            ("port(2x bmg)", 6, "one slot"),
            ("port(bmg b570)", 10, "one slot"),
            ("port(port(bmg))", 6, "a GPU"),
            ("switch(lnl)", 8, "integrated"),
            ("2x lnl", 4, "integrated"),
            ("lnl lnl", 5, "integrated"),
            ("lnl vram=2G", 1, "no VRAM"),
            ("2x host(lnl)", 1, "first host bridge"),
            ("host(bmg) host(lnl)", 11, "first host bridge"),
            ("host(bmg) bmg", 11, "where one is named"),
            ("bmg host(bmg)", 5, "inside a host"),
            ("host=8086 bmg", 6, "8086:29c0"),
            ("switch(acs=down bmg)", 12, "up"),
            ("ä bmg ö", 1, "a GPU"),
            ("bmg ö", 5, "switch( or port("),
            ("bmg vrma=3G", 5, "vram=, bar="),
        ] {
            let (found, reason) = error(text);
            assert_eq!(found, column, "{text:?}: {reason}");
            assert!(reason.contains(part), "{text:?}: {reason}");
        }
    }

    #[test]
    fn limits_are_errors() {
        let deep = |depth: usize| format!("{}bmg{}", "switch(".repeat(depth), ")".repeat(depth));
        assert!(read(&deep(8)).is_ok());
        assert!(error(&deep(9)).1.contains("8 deep"));
        assert!(error(&deep(100_000)).1.contains("8 deep"));
        assert!(read("16x host(4x switch(16x bmg))").is_ok());
        for (text, part) in [
            ("17x host(4x switch(16x bmg))", "1024 GPUs"),
            ("1025x bmg", "1024 GPUs"),
            ("99999999999999999999x bmg", "1024 GPUs"),
            ("32x switch(32x switch(32x switch(32x bmg)))", "1024 GPUs"),
            ("31x bmg", "30 root ports"),
            ("switch(33x bmg)", "32 downstream ports"),
            ("4x switch(32x bmg)", "buses"),
            ("65x host()", "64 host bridges"),
        ] {
            let (_, reason) = error(text);
            assert!(reason.contains(part), "{text:?}: {reason}");
        }
    }

    #[test]
    fn the_canonical_form_says_the_same_in_its_own_order() {
        for (text, canonical) in [
            ("none", "none"),
            ("  iommu\tcpu=zen none", "cpu=zen iommu none"),
            ("1x bmg", "bmg"),
            ("switch( x8 acs 4x bmg gen=4 vram=24576M ) bmg", "switch(acs x8 4x bmg vram=24G gen=4) bmg"),
            ("2x host (node=3 host=8086:2F00) host(port(bmg))", "2x host(host=8086:2f00 node=3) host(port(bmg))"),
            ("bmg without=consult,mirror", "bmg without=mirror,consult"),
        ] {
            assert_eq!(read(text).unwrap().to_string(), canonical);
        }
    }

    fn links() -> impl Strategy<Value = Link> {
        let lanes = prop::sample::select(vec![1, 2, 4, 8, 16]);
        (prop::option::of(1u8..=6), prop::option::of(lanes)).prop_map(|(generation, lanes)| Link { generation, lanes })
    }

    fn acs() -> impl Strategy<Value = Acs> {
        prop::sample::select(vec![Acs::AsBooted, Acs::Redirect, Acs::Absent])
    }

    fn withouts() -> impl Strategy<Value = Features> {
        any::<u8>().prop_map(Features::from_bits_truncate)
    }

    fn gpus() -> impl Strategy<Value = GpuText> {
        let models: Vec<&GpuModel> = GPUS.iter().filter(|model| !model.is_integrated()).collect();
        let sizes = (prop::option::of(500u64..5000), prop::option::of(prop::sample::select(vec![1u64 << 35, 1 << 41])));
        let numbers = (prop::option::of(1u8..=2), prop::option::of(1u8..=5), prop::option::of(0u32..64));
        (prop::sample::select(models), sizes, numbers, withouts(), acs(), links()).prop_map(
            |(model, (blocks, bar), (tiles, vfs, node), without, acs, link)| {
                let vram = blocks.map(|blocks| blocks * BLOCK);
                let bar = bar.filter(|bar| vram.is_some() || *bar > 1 << 40);
                GpuText { vram, bar, tiles, vfs, node, without, acs, link, ..GpuText::new(model) }
            },
        )
    }

    fn counted<T: std::fmt::Debug>(what: impl Strategy<Value = T>) -> impl Strategy<Value = Counted<T>> {
        (1u32..=2, what).prop_map(|(count, what)| Counted { count, what })
    }

    fn slots() -> impl Strategy<Value = Slot> {
        let port = || prop::option::of((acs(), links()).prop_map(|(acs, link)| Port { acs, link }));
        let leaf = (port(), gpus()).prop_map(|(port, gpu)| Slot { port, card: Card::Gpu(gpu) });
        leaf.prop_recursive(3, 8, 3, move |inner| {
            let switch = (acs(), any::<bool>(), links(), prop::collection::vec(counted(inner), 1..3));
            (port(), switch).prop_map(|(port, (acs, upstream_redirects, link, slots))| Slot {
                port,
                card: Card::Switch(Switch { acs, upstream_redirects, link, slots }),
            })
        })
    }

    fn hosts() -> impl Strategy<Value = Hosts> {
        let slots = || prop::collection::vec(counted(slots()), 0..3);
        let host = (prop::option::of(bridges()), prop::option::of(0u32..64), slots())
            .prop_map(|(bridge, node, slots)| Host { bridge, node, slots });
        prop_oneof![slots().prop_map(Hosts::Implied), prop::collection::vec(counted(host), 1..3).prop_map(Hosts::Named)]
    }

    fn bridges() -> impl Strategy<Value = Ids> {
        any::<(u16, u16)>().prop_map(|(vendor, device)| Ids { vendor, device })
    }

    pub(in crate::sim) fn machines() -> impl Strategy<Value = Description> {
        let cpus: Vec<&CpuModel> = CPUS.iter().collect();
        let cpu = prop::option::of(prop::sample::select(cpus));
        let ram = prop::option::of((1u64..1 << 20).prop_map(|megabytes| (64 + megabytes) << 20));
        (cpu, prop::option::of(bridges()), ram, withouts(), any::<[bool; 2]>(), hosts()).prop_map(
            |(cpu, bridge, ram, without, [iommu, root], hosts)| Description {
                cpu,
                bridge,
                ram,
                without,
                iommu,
                root,
                hosts,
            },
        )
    }

    /// Words that a machine string is made of, in any order.
    fn word_salad() -> impl Strategy<Value = String> {
        let words = [
            "bmg",
            "pvc",
            "lnl",
            "switch(",
            "port(",
            "host(",
            ")",
            ")",
            "2x",
            "40x",
            "acs",
            "noacs",
            "acs=up",
            "iommu",
            "root",
            "none",
            "vram=1T",
            "bar=1G",
            "tiles=2",
            "vfs=24",
            "node=1",
            "x8",
            "gen=4",
            "cpu=zen",
            "host=8086:2f00",
            "without=mirror",
            "ram=1G",
        ];
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|words| words.join(" "))
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(machine in machines()) {
            match read(&machine.to_string()) {
                Ok(found) => prop_assert_eq!(found, machine),
                // The generator knows no limits.
                Err(error) => prop_assert!(error.to_string().contains("at most") || error.to_string().contains("buses")),
            }
        }

        #[test]
        fn no_text_is_too_strange(text in "\\PC*") {
            if let Err(error) = read(&text) {
                let within = matches!(error, Error::MachineString { column, .. } if column <= text.chars().count() + 1);
                prop_assert!(within, "{error}");
            }
        }

        #[test]
        fn what_is_read_can_be_built(text in word_salad()) {
            if let Ok(machine) = read(&text) {
                prop_assert_eq!(&read(&machine.to_string()).unwrap(), &machine);
                prop_assert!(crate::sim::parse(&text).is_ok());
            }
        }
    }
}
