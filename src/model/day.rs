//! One calendar day: a partition (`ds`) of a daily table.

use std::fmt;
use std::str::FromStr;

use jiff::ToSpan;
use jiff::civil::Date;

use super::name::serde_as_text;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;

/// A day, written `2026-11-22`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(Date);

/// Why a text is not a day.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a date; one looks like 2026-11-22")]
pub struct BadDay(String);

impl Day {
    /// The first of January 1970: for what no day matters to.
    pub const EPOCH: Self = Self(Date::constant(1970, 1, 1));

    /// The day of a calendar date.
    pub fn of(date: Date) -> Self {
        Self(date)
    }

    /// The day `days` later, or earlier when negative; clamped to the calendar's ends.
    pub fn plus(self, days: i64) -> Self {
        let end = if days < 0 { Date::MIN } else { Date::MAX };
        let days = days.clamp(-7_000_000, 7_000_000);
        Self(self.0.checked_add(days.days()).unwrap_or(end))
    }

    /// How many days `self..=end` holds; none when `end` comes first.
    pub fn days_through(self, end: Self) -> i64 {
        self.0.until(end.0).map_or(0, |span| i64::from(span.get_days()) + 1).max(0)
    }
}

impl FromStr for Day {
    type Err = BadDay;

    /// Takes `yyyy-MM-dd`, and `yyyyMMdd` as some partition formats have it.
    fn from_str(text: &str) -> Result<Self, BadDay> {
        let bad = || BadDay(text.to_owned());
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        let (year, month, day) = match text.len() {
            10 if text.is_ascii() && &text[4..5] == "-" && &text[7..8] == "-" => {
                (&text[..4], &text[5..7], &text[8..])
            }
            8 if text.is_ascii() => (&text[..4], &text[4..6], &text[6..]),
            _ => return Err(bad()),
        };
        if ![year, month, day].into_iter().all(digits) {
            return Err(bad());
        }
        let date = || {
            let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
            Date::new(year, month, day).ok().map(Self)
        };
        date().ok_or_else(bad)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.0.year(), self.0.month(), self.0.day())
    }
}

serde_as_text!(Day);

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn both_spellings_are_one_day() {
        assert_eq!(day("20240229"), day("2024-02-29"));
        for bad in ["2023-02-29", "2024-1-01", "today", "", "2024-13-01", "２０２４0101"] {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_count_both_ends() {
        assert_eq!(day("2024-03-01").days_through(day("2026-11-21")), 996);
        assert_eq!(day("2024-03-01").days_through(day("2024-03-01")), 1);
        assert_eq!(day("2024-03-02").days_through(day("2024-03-01")), 0);
        assert_eq!(day("2024-03-01").plus(-1), day("2024-02-29"));
    }
}
