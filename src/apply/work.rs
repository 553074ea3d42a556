//! Steps to pieces of work: what one job does, and the name by which every run knows it.
//!
//! # Why
//! A backfill of three years that dies in its last month must not start over, so long ones run in
//! chunks, oldest first, each a piece of work of its own. The name of a piece covers what is to
//! come about and how: work that is done under one name never needs doing again, and the same step
//! over other days, or of another content, has another name.

use sha2::Digest;
use sha2::Sha256;

use crate::model::day::Day;
use crate::model::ledger::Fingerprint;
use crate::model::name::hex_of;
use crate::plan::contract::Step;

/// What one job does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its name in every run.
    pub work: String,
    /// The command.
    pub argv: Vec<String>,
    /// The days, where the step is cut into several.
    pub days: Option<(Day, Day)>,
    /// Whether it is a command of the settings, whatever runs the other jobs.
    pub own: bool,
}

/// The pieces of a step, in the order in which they run. `lineage` tells ledgers apart, `wanted`
/// is the fingerprint that the step brings about.
pub fn pieces(
    lineage: &str,
    wanted: Option<Fingerprint>,
    step: &Step,
    chunk_days: Option<i64>,
) -> Vec<Piece> {
    let whole = || vec![piece(lineage, wanted, step, step.argv.clone(), None)];
    let Some((range, chunk)) = step.range.as_ref().zip(chunk_days) else { return whole() };
    let (Some(start), Some(days)) = (range.start, range.days) else { return whole() };
    if days <= chunk {
        return whole();
    }
    let mut pieces = Vec::new();
    let mut from = start;
    while from <= range.end {
        let to = from.plus(chunk - 1).min(range.end);
        let argv = redated(step, (start, range.end), (from, to));
        pieces.push(piece(lineage, wanted, step, argv, Some((from, to))));
        from = to.plus(1);
    }
    pieces
}

/// The command with other days. The path of the config is left alone, whatever it is called.
fn redated(step: &Step, (start, end): (Day, Day), (from, to): (Day, Day)) -> Vec<String> {
    let (start, end) = (start.to_string(), end.to_string());
    let (from, to) = (from.to_string(), to.to_string());
    let other = |word: &String| match word.split_once(&end) {
        _ if *word == step.path => word.clone(),
        // The last day first: it is not the first one, or there would be nothing to cut.
        Some((before, after)) => {
            format!("{}{to}{}", before.replace(&start, &from), after.replace(&start, &from))
        }
        None => word.replace(&start, &from),
    };
    step.argv.iter().map(other).collect()
}

fn piece(
    lineage: &str,
    wanted: Option<Fingerprint>,
    step: &Step,
    argv: Vec<String>,
    days: Option<(Day, Day)>,
) -> Piece {
    let wanted = wanted.map(|it| it.to_string()).unwrap_or_default();
    let mut parts = vec![lineage, &step.id, &wanted];
    parts.extend(argv.iter().map(String::as_str));
    let work = name(&parts);
    Piece { work, argv, days, own: false }
}

/// A command of the settings that must be done before a step.
pub fn preparation(
    lineage: &str,
    wanted: Option<Fingerprint>,
    step: &Step,
    argv: &[String],
) -> Piece {
    let prepared = piece(lineage, wanted, step, argv.to_vec(), None);
    Piece { own: true, ..prepared }
}

/// A name for what these words say together, and nothing else does.
pub fn name(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex_of(&hash.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn step(argv: &[&str], start: &str, end: &str, days: i64) -> Step {
        let json = json!({
            "id": "joins/a.b__1#backfill", "config": "joins/a.b__1", "path": argv[0],
            "mode": "backfill", "resource": "table", "cause": "changed", "scope": "change",
            "trigger": "apply", "because": [], "after": [], "rewrite": "auto", "manual": null,
            "range": {"start": start, "end": end, "days": days}, "argv": argv,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn chunks_cover_every_day_once_and_in_order() {
        let argv = ["c/2026-01-01", "--start-ds=2026-01-01", "--end-ds=2026-01-10"];
        let step = step(&argv, "2026-01-01", "2026-01-10", 10);
        let pieces = pieces("l", None, &step, Some(4));
        let commands: Vec<String> = pieces.iter().map(|it| it.argv.join(" ")).collect();
        assert_eq!(
            commands,
            [
                "c/2026-01-01 --start-ds=2026-01-01 --end-ds=2026-01-04",
                "c/2026-01-01 --start-ds=2026-01-05 --end-ds=2026-01-08",
                "c/2026-01-01 --start-ds=2026-01-09 --end-ds=2026-01-10",
            ]
        );
        assert!(pieces[0].work != pieces[1].work && pieces[1].work != pieces[2].work);
    }

    #[test]
    fn days_of_one_word_are_both_replaced() {
        let argv = ["c", "2026-01-01..2026-01-03"];
        let step = step(&argv, "2026-01-01", "2026-01-03", 3);
        let words: Vec<String> =
            pieces("l", None, &step, Some(2)).iter().map(|it| it.argv[1].clone()).collect();
        assert_eq!(words, ["2026-01-01..2026-01-02", "2026-01-03..2026-01-03"]);
    }

    #[test]
    fn a_name_says_where_its_words_end() {
        assert_ne!(name(&["ab", "c"]), name(&["a", "bc"]));
        assert_ne!(name(&["a"]), name(&["a", ""]));
    }
}
