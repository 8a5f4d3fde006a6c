// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text for a terminal: colours where they are wanted, and long sentences broken into lines.

use std::{
    env, fmt,
    io::{self, IsTerminal},
};

/// Columns that a sentence may use.
const WIDTH: usize = 100;

/// Text that is being written.
pub struct Page {
    text: String,
    has_colours: bool,
}

/// How a word looks (ECMA-48 SGR).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ink {
    Plain,
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

impl Page {
    /// In colour if standard output is a terminal and NO_COLOR is not set.
    pub fn for_stdout() -> Page {
        let refused = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Page { text: String::new(), has_colours: io::stdout().is_terminal() && !refused }
    }

    /// Without colours.
    pub fn plain() -> Page {
        Page { text: String::new(), has_colours: false }
    }

    pub fn lines(&self) -> std::str::Lines<'_> {
        self.text.lines()
    }

    pub fn into_text(self) -> String {
        self.text
    }

    /// `text` as it looks in `ink`. Its width does not change.
    pub fn paint(&self, ink: Ink, text: impl fmt::Display) -> String {
        let code = match ink {
            Ink::Plain => return text.to_string(),
            _ if !self.has_colours => return text.to_string(),
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Red => "31",
            Ink::Green => "32",
            Ink::Yellow => "33",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }

    /// A line, without white space at its end.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(text.as_ref().trim_end());
        self.text.push('\n');
    }

    /// `sentence` behind `head`, which is `width` columns wide as shown: broken between words, and the lines after the
    /// first indented by as much.
    pub fn paragraph(&mut self, head: &str, width: usize, sentence: &str) {
        let mut line = head.to_owned();
        let mut used = width;
        for word in sentence.split_whitespace() {
            let length = word.chars().count();
            if used > width && used + 1 + length > WIDTH {
                self.line(&line);
                line = " ".repeat(width);
                used = width;
            }
            if used > width {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
        self.line(line);
    }

    /// A table whose columns a library has laid out, with a bold first line.
    pub fn table(&mut self, table: &comfy_table::Table) {
        for (place, line) in table.lines().enumerate() {
            let line = line.trim_end();
            let line = if place == 0 { self.paint(Ink::Bold, line) } else { line.to_owned() };
            self.line(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(has_colours: bool) -> Page {
        Page { text: String::new(), has_colours }
    }

    #[test]
    fn long_sentences_are_broken_and_indented() {
        let mut page = page(false);
        page.paragraph("  [1] ", 6, &"eleven char ".repeat(20));
        let text = page.into_text();
        assert!(text.lines().count() > 2);
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("      ") && !line.starts_with("       ")));
    }

    #[test]
    fn a_word_that_fits_nowhere_gets_a_line() {
        let mut page = page(false);
        page.paragraph("- ", 2, &format!("a {} b", "x".repeat(200)));
        assert_eq!(page.into_text(), format!("- a\n  {}\n  b\n", "x".repeat(200)));
    }

    #[test]
    fn colours_are_only_where_they_are_wanted() {
        assert_eq!(page(false).paint(Ink::Red, "no"), "no");
        assert_eq!(page(true).paint(Ink::Red, "no"), "\x1b[31mno\x1b[0m");
        assert_eq!(page(true).paint(Ink::Plain, "no"), "no");
    }
}
