//! Small things as every part of a comment spells them, and how long they may be.

use super::Comment;
use super::Detail;
use super::Earlier;
use super::marker::are_siblings;
use super::marker::is_run;
use super::marker::is_time;
use super::part::CONFIGS;
use super::part::more;
use crate::model::name::Address;
use crate::model::name::ConfigType;
use crate::plan::contract::Step;
use crate::render::escape::cell;
use crate::render::escape::code;
use crate::render::escape::prose;
use crate::render::words;

/// How long things may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Characters of a name.
    pub(super) name: usize,
    /// Characters of a sentence.
    pub(super) text: usize,
    /// Names behind one thing.
    pub(super) names: usize,
    /// People behind one thing.
    pub(super) people: usize,
    /// Lines of a log.
    pub(super) lines: usize,
    /// Characters of a line of a log.
    pub(super) line: usize,
}

const ALL: usize = usize::MAX;

/// TABLE of sizes by level of detail.
#[rustfmt::skip] // one level, one line
const SIZES: [(Detail, Sizes); 4] = [
    (Detail::Full, Sizes { name: ALL, text: ALL, names: ALL, people: ALL, lines: ALL, line: ALL }),
    (Detail::Fields, Sizes { name: 200, text: 600, names: 10, people: 10, lines: 20, line: 200 }),
    (Detail::Configs, Sizes { name: 120, text: 200, names: 3, people: 10, lines: 10, line: 160 }),
    (Detail::Counts, Sizes { name: 100, text: 160, names: 3, people: 5, lines: 5, line: 120 }),
];

impl Detail {
    pub(super) fn sizes(self) -> Sizes {
        SIZES[self as usize].1
    }
}

impl Sizes {
    /// A name as code.
    pub(super) fn name(&self, text: &str) -> String {
        code(&words::short(text, self.name))
    }

    /// A name in a cell of a table.
    pub(super) fn cell(&self, text: &str) -> String {
        cell(&words::short(text, self.name))
    }

    /// A config.
    pub(super) fn config(&self, address: &Address) -> String {
        self.name(&address.to_string())
    }

    /// Configs, as many of the first as may be named, and how many more there are.
    pub(super) fn configs(&self, configs: &[Address]) -> String {
        let names: Vec<String> =
            configs.iter().take(self.names).map(|it| self.config(it)).collect();
        named(&names, configs.len())
    }

    /// A sentence that may quote names.
    pub(super) fn prose(&self, text: &str) -> String {
        if self.text == ALL { prose(text) } else { prose(&words::short(text, self.text)) }
    }
}

/// A commit, as people write it.
pub(super) fn commit(id: &str) -> String {
    code(&words::short(id, 7).replace('…', ""))
}

/// The beginning of a digest.
pub(super) fn digest(digest: &str) -> String {
    let hash = digest.strip_prefix("sha256:").unwrap_or(digest);
    code(&words::short(hash, 12).replace('…', ""))
}

/// A time, to the minute.
pub(super) fn time(at: &str) -> String {
    match (is_time(at) && at.ends_with('Z'), at.get(..10), at.get(11..16)) {
        (true, Some(day), Some(minute)) => code(&format!("{day} {minute} UTC")),
        _ => code(&words::short(at, 40)),
    }
}

/// The link to the run of a comment, with these words; the words alone where there is none.
pub(super) fn link(comment: &Comment<'_>, text: &str) -> String {
    if is_run(comment.run) { format!("[{text}]({})", comment.run) } else { text.to_owned() }
}

/// The link to the run of an earlier plan: only into the repository of this one's.
pub(super) fn earlier_link(comment: &Comment<'_>, earlier: &Earlier) -> String {
    if are_siblings(comment.run, &earlier.run) {
        format!("[run]({})", earlier.run)
    } else {
        String::new()
    }
}

/// The team that a config belongs to: the first part of its name.
pub(super) fn team(address: &Address) -> &str {
    match address.kind {
        ConfigType::Team => &address.name,
        _ => address.name.split('.').next().unwrap_or(&address.name),
    }
}

/// The first names of so many configs, and how many more there are.
pub(super) fn named(first: &[String], all: usize) -> String {
    let names = first.join(", ");
    match all - first.len() {
        0 => names,
        left => format!("{names} and {}", more(left, CONFIGS)),
    }
}

/// The days that backfills compute together, as far as their start is known.
pub(super) fn days<'a>(steps: impl IntoIterator<Item = &'a Step>) -> String {
    let days = steps.into_iter().filter_map(|step| step.range.as_ref()?.days);
    let days = days.fold(0_i64, i64::saturating_add);
    words::count(usize::try_from(days).unwrap_or(0), "day")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_the_levels() {
        for (index, row) in SIZES.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
        }
    }

    #[test]
    fn what_is_not_in_form_is_shown_as_it_is_but_harmless() {
        assert_eq!(time("2026-11-22T12:34:56Z"), "`2026-11-22 12:34 UTC`");
        assert_eq!(time("2026-11-22T12:34:56+01:00"), "`2026-11-22T12:34:56+01:00`");
        assert_eq!(time("@me"), "`@me`");
        assert_eq!(commit("0123456789"), "`0123456`");
        assert_eq!(digest("sha256:0123456789abcdef"), "`0123456789ab`");
    }
}
