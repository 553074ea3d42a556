//! Lines of text: indented, coloured, broken where a terminal ends.

use std::fmt::Write;

use super::Style;

/// The colours there are, as terminals number them.
#[derive(Clone, Copy)]
pub(super) enum Paint {
    Bold,
    Dim,
    Red,
    Green,
    Yellow,
}

/// Text under construction, in lines that fit the terminal.
pub(super) struct Page {
    pub(super) style: Style,
    pub(super) complete: bool,
    pub(super) text: String,
}

impl Page {
    pub(super) fn paint(&self, paint: Paint, text: &str) -> String {
        let code = match paint {
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Red => "31",
            Paint::Green => "32",
            Paint::Yellow => "33",
        };
        if self.style.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A line, indented; broken at spaces where the terminal ends.
    pub(super) fn line(&mut self, indent: usize, text: &str) {
        let room = self.style.width.map(|width| width.saturating_sub(indent).max(24));
        let mut first = true;
        for part in wrapped(text, room) {
            let more = if first { 0 } else { 2 };
            let _ = writeln!(self.text, "{:1$}{part}", "", indent + more);
            first = false;
        }
    }

    pub(super) fn section(&mut self, title: &str) {
        self.text.push('\n');
        let title = self.paint(Paint::Bold, title);
        self.line(0, &title);
    }
}

/// A space at which a line is not broken.
pub(super) const GLUE: char = '\u{a0}';

/// Text broken at spaces into lines of at most `room` characters, colours not counted; a word
/// that is longer stands alone.
fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let Some(room) = room else { return vec![text.replace(GLUE, " ")] };
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split(' ') {
        let length = shown_length(word);
        let limit = if lines.is_empty() { room } else { room.saturating_sub(2) };
        if used > 0 && used + 1 + length > limit {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        // Leading spaces are part of the line.
        used += length.max(usize::from(word.is_empty()));
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end().replace(GLUE, " ")).collect()
}

fn shown_length(text: &str) -> usize {
    let mut escaped = false;
    let counts = |c: char| {
        let counted = !escaped && c != '\x1b';
        escaped = if escaped { c != 'm' } else { c == '\x1b' };
        counted
    };
    text.chars().filter(|c| *c != '\0').map(counts).filter(|it| *it).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_at_spaces_and_colours_take_no_room() {
        assert_eq!(wrapped("aaa bbb ccc", Some(7)), ["aaa bbb", "ccc"]);
        assert_eq!(wrapped("a-very-long-word b", Some(5)), ["a-very-long-word", "b"]);
        assert_eq!(wrapped("\x1b[31maaa\x1b[0m bbb", Some(7)), ["\x1b[31maaa\x1b[0m bbb"]);
        assert_eq!(wrapped("anything at all", None), ["anything at all"]);
    }
}
