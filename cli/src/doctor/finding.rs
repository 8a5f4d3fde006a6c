// SPDX-License-Identifier: MIT OR Apache-2.0
//! One thing that was found, and what to do about it.

use crate::page::{Ink, Page};
use serde::Serialize;

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    pub level: Level,
    /// A word that scripts can look for.
    pub topic: &'static str,
    pub sentence: String,
    pub remedy: Option<String>,
}

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Good to know.
    Note,
    /// Something does not work that could, or costs more than it must.
    Warning,
    /// Memory cannot be placed.
    Problem,
}

impl Finding {
    pub fn new(level: Level, topic: &'static str, sentence: impl Into<String>) -> Finding {
        Finding { level, topic, sentence: sentence.into(), remedy: None }
    }

    pub fn remedy(self, remedy: Option<impl Into<String>>) -> Finding {
        Finding { remedy: remedy.map(Into::into), ..self }
    }

    pub fn show(&self, page: &mut Page) {
        let (word, ink) = match self.level {
            Level::Ok => ("ok", Ink::Green),
            Level::Note => ("note", Ink::Plain),
            Level::Warning => ("warning", Ink::Yellow),
            Level::Problem => ("problem", Ink::Red),
        };
        let head = format!("{}  {:<12}", page.paint(ink, format!("{word:<7}")), self.topic);
        page.paragraph(&(head + " "), 22, &self.sentence);
        if let Some(remedy) = &self.remedy {
            let head = format!("{}{} ", " ".repeat(22), page.paint(Ink::Bold, "=>"));
            page.paragraph(&head, 25, remedy);
        }
    }
}
