// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of a machine string, each with its column.

use crate::error::{Error, Result};
use std::fmt;

/// A word or a parenthesis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    /// Of its first character, counted in characters from 1.
    pub(super) column: usize,
    pub(super) text: &'a str,
}

/// Splits at white space and around parentheses.
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut word: Option<(usize, usize)> = None;
    for (index, (at, character)) in text.char_indices().enumerate() {
        let parenthesis = matches!(character, '(' | ')');
        if character.is_whitespace() || parenthesis {
            tokens.extend(word.take().map(|(column, start)| Token { column, text: &text[start..at] }));
        } else if word.is_none() {
            word = Some((index + 1, at));
        }
        if parenthesis {
            tokens.push(Token { column: index + 1, text: &text[at..=at] });
        }
    }
    tokens.extend(word.map(|(column, start)| Token { column, text: &text[start..] }));
    tokens
}

/// The column behind the last character of `text`.
pub(super) fn column_behind(text: &str) -> usize {
    text.chars().count() + 1
}

impl<'a> Token<'a> {
    /// Name and value of `name=value`; other words have no value.
    pub(super) fn option(self) -> (&'a str, Option<Token<'a>>) {
        match self.text.split_once('=') {
            Some((name, value)) => (name, Some(Token { column: self.column + name.chars().count() + 1, text: value })),
            None => (self.text, None),
        }
    }

    /// The parts between `separator`s.
    pub(super) fn split(self, separator: char) -> impl Iterator<Item = Token<'a>> {
        let mut column = self.column;
        self.text.split(separator).map(move |text| {
            let part = Token { column, text };
            column += text.chars().count() + 1;
            part
        })
    }

    pub(super) fn error(self, reason: impl Into<String>) -> Error {
        Error::MachineString { column: self.column, reason: reason.into() }
    }

    /// `what` should stand here.
    pub(super) fn expected(self, what: &str) -> Error {
        if self.text.is_empty() {
            return self.error(format!("expected {what}, found nothing"));
        }
        let found: String = self.text.chars().take(SHOWN).collect();
        let more = if found.len() < self.text.len() { "…" } else { "" };
        self.error(format!("expected {what}, found {found}{more}"))
    }

    /// Stores what this word says, if it is said for the first time.
    pub(super) fn once<T>(self, place: &mut Option<T>, value: T) -> Result<()> {
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.error("this is said twice")),
        }
    }

    /// The same for a word that is either there or not.
    pub(super) fn flag(self, place: &mut bool) -> Result<()> {
        match std::mem::replace(place, true) {
            false => Ok(()),
            true => Err(self.error("this is said twice")),
        }
    }

    /// A decimal number.
    pub(super) fn number(self, least: u32, most: u32) -> Result<u32> {
        let number = self.digits().and_then(|digits| digits.parse().ok());
        let within = number.filter(|number| (least..=most).contains(number));
        within.ok_or_else(|| self.expected(&format!("a number from {least} to {most}")))
    }

    /// Bytes, such as `24G`: a multiple of `unit`.
    pub(super) fn size(self, least: u64, most: u64, unit: u64) -> Result<u64> {
        let power = UNITS.iter().find(|(letter, _)| self.text.ends_with(*letter)).map_or(0, |(_, power)| *power);
        let number = Token { text: if power == 0 { self.text } else { &self.text[..self.text.len() - 1] }, ..self };
        let bytes = number.digits().and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(1 << power));
        let Some(bytes) = bytes else { return Err(self.expected("a size such as 512M or 24G")) };
        if !(least..=most).contains(&bytes) || bytes % unit != 0 {
            let multiple = if unit > 1 { format!(", a multiple of {}", Size(unit)) } else { String::new() };
            return Err(self.expected(&format!("a size from {} to {}{multiple}", Size(least), Size(most))));
        }
        Ok(bytes)
    }

    /// The word, if it consists of digits.
    fn digits(self) -> Option<&'a str> {
        (!self.text.is_empty() && self.text.bytes().all(|byte| byte.is_ascii_digit())).then_some(self.text)
    }
}

/// Characters of a wrong word that an error repeats.
const SHOWN: usize = 40;

/// Bytes in the largest unit that fits without remainder.
pub(super) struct Size(pub(super) u64);

/// Unit letters with their binary powers.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

impl fmt::Display for Size {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.iter().find(|(_, power)| self.0 != 0 && self.0.trailing_zeros() >= *power) {
            Some((unit, power)) => write!(out, "{}{unit}", self.0 >> power),
            None => write!(out, "{}", self.0),
        }
    }
}
