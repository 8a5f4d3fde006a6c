// SPDX-License-Identifier: MIT OR Apache-2.0
//! `xeplace doctor`.

mod features;
mod finding;
mod gpus;
mod host;
mod links;
mod none;

use crate::{
    Answer,
    page::{Ink, Page},
    target::Target,
    words,
};
use finding::{Finding, Level};
use serde::Serialize;
use std::{collections::BTreeMap, error::Error};
use xeplace::{Gpu, Machine};

pub fn run(target: &Target, mut page: Page, json: bool) -> Result<Answer, Box<dyn Error>> {
    let examination = match target.open() {
        Ok(machine) => Examination::of(&machine, target),
        // A host that cannot be looked at at all is a finding. A machine that the user named badly is not.
        Err(error) if target.is_host() => Examination::failed(&error),
        Err(error) => return Err(error.into()),
    };
    let well = examination.findings.iter().all(|finding| finding.level != Level::Problem);
    if json {
        let text = serde_json::to_string_pretty(&examination.document(target))? + "\n";
        return Ok(Answer { text, well });
    }
    examination.show(target, &mut page);
    Ok(Answer { text: page.into_text(), well })
}

struct Examination {
    gpus: Vec<GpuFeatures>,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Document<'a> {
    xeplace: &'static str,
    machine: String,
    gpus: &'a [GpuFeatures],
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct GpuFeatures {
    index: u32,
    pci_address: String,
    /// What each feature is: enforced, accepted-only, unsupported or unprobed. Empty for a GPU that has gone.
    features: BTreeMap<&'static str, String>,
}

impl Examination {
    fn of(machine: &Machine, target: &Target) -> Examination {
        let mut findings = Vec::new();
        findings.extend(host::kernel(machine));
        if machine.gpus().is_empty() {
            findings.extend(none::looked_at(machine));
        }
        findings.extend(gpus::examine(machine));
        findings.extend(features::examine(machine));
        findings.extend(links::examine(machine));
        findings.extend(host::examine(machine, target));
        Examination { gpus: machine.gpus().iter().map(GpuFeatures::of).collect(), findings }
    }

    fn failed(error: &xeplace::Error) -> Examination {
        let remedy = match error {
            xeplace::Error::Unsupported(_) => Some("boot a 64-bit kernel with pages of 4096 bytes"),
            _ => None,
        };
        let finding = Finding::new(Level::Problem, "host", format!("this host cannot be looked at: {error}"));
        Examination { gpus: Vec::new(), findings: vec![finding.remedy(remedy)] }
    }

    fn document(&self, target: &Target) -> Document<'_> {
        Document {
            xeplace: env!("CARGO_PKG_VERSION"),
            machine: target.to_string(),
            gpus: &self.gpus,
            findings: &self.findings,
        }
    }

    fn show(&self, target: &Target, page: &mut Page) {
        page.line(format!("{target}: {}", words::count(self.gpus.len(), "GPU")));
        page.line("");
        self.findings.iter().for_each(|finding| finding.show(page));
        page.line("");
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
        let ink = match (problems, warnings) {
            (0, 0) => Ink::Green,
            (0, _) => Ink::Yellow,
            _ => Ink::Red,
        };
        let [problems, warnings] =
            [(problems, "problem"), (warnings, "warning")].map(|(n, noun)| words::count(n, noun));
        let summary = page.paint(ink, format!("{problems}, {warnings}"));
        page.line(summary);
    }
}

impl GpuFeatures {
    fn of(gpu: &Gpu) -> GpuFeatures {
        let features = gpu.capabilities().map(|known| known.list().to_vec()).unwrap_or_default();
        GpuFeatures {
            index: gpu.id().0,
            pci_address: gpu.address().to_string(),
            features: features.into_iter().map(|(name, support)| (name, support.to_string())).collect(),
        }
    }
}
