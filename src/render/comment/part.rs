//! Parts of a page that can be told at more or less length, and how they share what room there is.
//!
//! # Why
//! A page that is cut where its room ends loses what stood there, and leaves folds, fences and
//! tables open. Here nothing is ever cut: each part knows a short form of itself that says how
//! much it leaves out, and grows from there while there is room.

use super::super::words;

/// A part of a page.
pub(super) struct Part<'a> {
    /// The size of the longest form; 0 is the shortest.
    most: usize,
    tell: Tell<'a>,
    turn: Turn,
}

/// Writes a part at a size.
type Tell<'a> = Box<dyn Fn(usize) -> String + 'a>;

/// When a part may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// In the order of the page.
    Early,
    /// Once all others have.
    Late,
}

/// Of the room that is left, a part first gets at most this fraction, so that one that is endless
/// leaves some to those behind it.
const SHARE: usize = 2;

impl<'a> Part<'a> {
    pub(super) fn new(most: usize, tell: impl Fn(usize) -> String + 'a) -> Self {
        Self { most, tell: Box::new(tell), turn: Turn::Early }
    }

    /// A part with one form.
    pub(super) fn fixed(text: String) -> Self {
        Self::new(0, move |_| text.clone())
    }

    /// The same part, which grows only when all others have.
    pub(super) fn late(self) -> Self {
        Self { turn: Turn::Late, ..self }
    }

    /// The longest form that fits; the shortest where none does.
    fn largest(&self, room: usize) -> String {
        let whole = (self.tell)(self.most);
        if whole.len() <= room {
            return whole;
        }
        let (mut fits, mut low, mut high) = ((self.tell)(0), 1, self.most);
        while low < high {
            let middle = low + (high - low) / 2;
            let text = (self.tell)(middle);
            if text.len() <= room {
                (fits, low) = (text, middle + 1);
            } else {
                high = middle;
            }
        }
        fits
    }
}

/// All parts at full length, where that fits.
pub(super) fn whole(parts: &[Part<'_>], budget: usize) -> Option<String> {
    let mut page = String::new();
    for part in parts {
        page.push_str(&(part.tell)(part.most));
        if page.len() > budget {
            return None;
        }
    }
    Some(page)
}

/// All parts at the lengths that fit.
pub(super) fn fitted(parts: &[Part<'_>], budget: usize) -> String {
    let mut told: Vec<String> = parts.iter().map(|part| (part.tell)(0)).collect();
    let mut used: usize = told.iter().map(String::len).sum();
    // Of a budget that not even the shortest forms fit, the first parts get what there is.
    while used > budget {
        used -= told.pop().map_or(used, |text| text.len());
    }
    let mut turns: Vec<usize> = (0..told.len()).collect();
    turns.sort_by_key(|at| parts[*at].turn);
    for share in [SHARE, 1] {
        for &at in &turns {
            let room = told[at].len() + (budget - used) / share;
            let text = parts[at].largest(room);
            if text.len() <= room && text.len() > told[at].len() {
                used += text.len() - told[at].len();
                told[at] = text;
            }
        }
    }
    told.concat()
}

/// How the entries of a list stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Lines of a bullet list.
    Bullets,
    /// Rows of a table, or paragraphs.
    Rows,
}

/// What one thing is called, and what several are.
pub(super) type Noun = [&'static str; 2];

/// What configs are called.
pub(super) const CONFIGS: Noun = ["config", "configs"];

/// Entries of which only the first are told where there is no room for all.
pub(super) struct List {
    /// What stands before the first: a heading, the opening of a fold, the head of a table.
    pub(super) before: String,
    pub(super) items: Vec<String>,
    /// What stands behind the last.
    pub(super) after: &'static str,
    pub(super) form: Form,
    pub(super) noun: Noun,
}

impl List {
    /// The list as a part of a page; nothing where it is empty.
    pub(super) fn part<'a>(self) -> Part<'a> {
        Part::new(self.items.len(), move |size| self.told(size))
    }

    fn told(&self, size: usize) -> String {
        if self.items.is_empty() {
            return String::new();
        }
        let left = self.items.len() - size;
        let Self { before, items, after, form, noun } = self;
        if size == 0 {
            return format!("{} not shown here\n\n", said(left, *noun));
        }
        let more = match (left, form) {
            (0, _) => String::new(),
            (_, Form::Bullets) => format!("- and {}\n", more(left, *noun)),
            (_, Form::Rows) => format!("\nand {}\n", more(left, *noun)),
        };
        let told = format!("{before}{}{more}", items[..size].concat());
        let gap = if told.ends_with("\n\n") { "" } else { "\n" };
        format!("{told}{gap}{after}")
    }
}

/// `3 policies`.
pub(super) fn said(number: usize, [one, many]: Noun) -> String {
    format!("{} {}", words::thousands(number), if number == 1 { one } else { many })
}

/// `3 more policies`.
pub(super) fn more(number: usize, [one, many]: Noun) -> String {
    format!("{} more {}", words::thousands(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(items: usize) -> Part<'static> {
        List {
            before: "**Things**\n\n".to_owned(),
            items: (0..items).map(|at| format!("- thing {at}\n")).collect(),
            after: "",
            form: Form::Bullets,
            noun: ["thing", "things"],
        }
        .part()
    }

    #[test]
    fn a_list_says_how_many_it_leaves_out() {
        let tell = |size| (list(3).tell)(size);
        assert_eq!(tell(0), "3 things not shown here\n\n");
        assert_eq!(tell(2), "**Things**\n\n- thing 0\n- thing 1\n- and 1 more thing\n\n");
        assert_eq!(tell(3), "**Things**\n\n- thing 0\n- thing 1\n- thing 2\n\n");
        assert_eq!((list(0).tell)(0), "");
    }

    #[test]
    fn the_first_parts_grow_first_and_leave_some_to_others() {
        let parts = [list(1000), list(1000), list(2)];
        let shown = fitted(&parts, 2000);
        assert!(shown.len() <= 2000 && shown.len() > 1900, "{}", shown.len());
        assert_eq!(shown.matches("**Things**").count(), 3);
        assert!(shown.ends_with("- thing 0\n- thing 1\n\n"), "what is short is whole");
        let late = fitted(&[list(1000).late(), list(1000)], 2000);
        let lines: Vec<usize> =
            late.split("**Things**").skip(1).map(|it| it.lines().count()).collect();
        assert!(lines[0] < lines[1], "{lines:?}");
    }

    #[test]
    fn nothing_is_ever_over_the_budget() {
        for budget in 0..300 {
            let parts = [Part::fixed("first\n".to_owned()), list(20), list(5)];
            assert!(fitted(&parts, budget).len() <= budget);
            assert_eq!(
                whole(&parts, budget).is_some(),
                budget >= whole(&parts, 999).unwrap().len()
            );
        }
    }
}
