//! Differences within SQL, so that a reviewer sees the words that changed.

use similar::Algorithm;
use similar::ChangeTag;
use similar::TextDiff;

/// A run of SQL that both sides have, or one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Run {
    Same(String),
    Before(String),
    After(String),
}

/// How much of an unchanged run is shown on each side of a change.
const CONTEXT: usize = 32;

/// How many pieces two texts may have together. The work grows with their product; a time limit
/// would do, but then the same plan would look different on a slower machine.
const PIECES: usize = 20_000;

/// Both texts in the finest of these pieces of which there are not too many.
fn pieces<'a>(before: &'a str, after: &'a str, cuts: &[Cut]) -> (Vec<&'a str>, Vec<&'a str>) {
    let fits = |pair: &(Vec<&str>, Vec<&str>)| pair.0.len() + pair.1.len() <= PIECES;
    let mut pairs = cuts.iter().map(|cut| (cut(before), cut(after)));
    pairs.find(fits).unwrap_or_else(|| (vec![before], vec![after]))
}

/// A way to cut a text into pieces.
type Cut = fn(&str) -> Vec<&str>;

fn whole_lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// The words that differ, in the order of the text; long unchanged runs are cut in the middle.
pub(super) fn words(before: &str, after: &str) -> Vec<Run> {
    let (old, new) = pieces(before, after, &[tokens, whole_lines]);
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_slices(&old, &new);
    let mut runs: Vec<Run> = Vec::new();
    for change in diff.iter_all_changes() {
        let text = change.value();
        match (change.tag(), runs.last_mut()) {
            (ChangeTag::Equal, Some(Run::Same(run)))
            | (ChangeTag::Delete, Some(Run::Before(run)))
            | (ChangeTag::Insert, Some(Run::After(run))) => run.push_str(text),
            (ChangeTag::Equal, _) => runs.push(Run::Same(text.to_owned())),
            (ChangeTag::Delete, _) => runs.push(Run::Before(text.to_owned())),
            (ChangeTag::Insert, _) => runs.push(Run::After(text.to_owned())),
        }
    }
    let last = runs.len().saturating_sub(1);
    for (at, run) in runs.iter_mut().enumerate() {
        if let Run::Same(text) = run {
            *text = shortened(text, at > 0, at < last);
        }
    }
    runs
}

/// An unchanged run, cut where nothing near it changed.
fn shortened(text: &str, follows: bool, precedes: bool) -> String {
    let count = text.chars().count();
    let kept = CONTEXT * (usize::from(follows) + usize::from(precedes));
    if count <= kept + 3 {
        return text.to_owned();
    }
    let head: String = text.chars().take(if follows { CONTEXT } else { 0 }).collect();
    let tail: String = text.chars().skip(count - if precedes { CONTEXT } else { 0 }).collect();
    format!("{head}…{tail}")
}

/// Names, numbers, runs of white space, and single other characters.
fn tokens(sql: &str) -> Vec<&str> {
    let class = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut tokens = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (at, c) in sql.char_indices() {
        let now = class(c);
        if last.is_some_and(|last| last != now || now == 2) {
            tokens.push(&sql[start..at]);
            start = at;
        }
        last = Some(now);
    }
    if start < sql.len() {
        tokens.push(&sql[start..]);
    }
    tokens
}

/// A line-by-line diff, after breaking SQL that stands on one line before its clauses.
pub(super) fn lines(before: &str, after: &str) -> String {
    let (before, after) = (clauses(before), clauses(after));
    if before == after {
        return "  (only white space differs)".to_owned();
    }
    let (old, new) = pieces(&before, &after, &[whole_lines]);
    let diff = TextDiff::configure().algorithm(Algorithm::Patience).diff_slices(&old, &new);
    let mut shown: Vec<(char, &str)> = Vec::new();
    let groups = diff.grouped_ops(2);
    for (at, group) in groups.iter().enumerate() {
        if at > 0 {
            shown.push((' ', "…"));
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let sign = match change.tag() {
                ChangeTag::Equal => ' ',
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
            };
            let lines = change.value().trim_end_matches('\n').split('\n');
            shown.extend(lines.map(|line| (sign, line)));
        }
    }
    let indent = |line: &str| line.len() - line.trim_start_matches(' ').len();
    let full = shown.iter().filter(|it| !it.1.trim().is_empty() && it.1 != "…");
    let common = full.map(|it| indent(it.1)).min().unwrap_or(0);
    let line = |(sign, line): &(char, &str)| {
        format!("{sign} {}", line.get(common.min(indent(line))..).unwrap_or(line))
    };
    shown.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Words before which SQL on one line is broken.
const CLAUSES: [&str; 13] = [
    " FROM ",
    " WHERE ",
    " GROUP BY ",
    " ORDER BY ",
    " HAVING ",
    " LEFT JOIN ",
    " INNER JOIN ",
    " JOIN ",
    " UNION ",
    " AND ",
    " OR ",
    " LIMIT ",
    ", ",
];

fn clauses(sql: &str) -> String {
    let sql = sql.trim();
    if sql.contains('\n') {
        return format!("{sql}\n");
    }
    let upper = sql.to_ascii_uppercase();
    let mut broken = String::with_capacity(sql.len() + 16);
    let mut at = 0;
    while at < sql.len() {
        let rest = &upper[at..];
        if let Some(clause) = CLAUSES.iter().find(|clause| rest.starts_with(**clause)) {
            if *clause == ", " {
                broken.push_str(",\n  ");
                at += 2;
            } else {
                broken.push('\n');
                let word = clause.len() - 1;
                broken.push_str(&sql[at + 1..at + word]);
                at += word;
            }
        } else {
            let c = sql[at..].chars().next().unwrap_or(' ');
            broken.push(c);
            at += c.len_utf8();
        }
    }
    broken.push('\n');
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_words_that_differ_are_marked() {
        let runs = words("CAST(ms AS BIGINT)", "CAST(ms AS INT)");
        let expected = [
            Run::Same("CAST(ms AS ".to_owned()),
            Run::Before("BIGINT".to_owned()),
            Run::After("INT".to_owned()),
            Run::Same(")".to_owned()),
        ];
        assert_eq!(runs, expected);
    }

    #[test]
    fn sql_on_one_line_is_compared_clause_by_clause() {
        let shown = lines(
            "SELECT a, SUM(b) AS b FROM t WHERE x = 1 AND y = 2",
            "SELECT a, SUM(b) AS b FROM t WHERE x = 1 AND y = 3",
        );
        assert_eq!(shown, "  FROM t\n  WHERE x = 1\n- AND y = 2\n+ AND y = 3");
    }

    #[test]
    fn nothing_is_lost_but_the_middle_of_unchanged_runs() {
        let long = "x".repeat(500);
        let runs = words(&format!("{long} a"), &format!("{long} b"));
        assert!(
            matches!(&runs[0], Run::Same(text) if text.starts_with('…') && text.chars().count() == 33)
        );
        assert!(lines("", "SELECT 1").contains("+ SELECT 1"));
    }

    #[test]
    fn a_difference_in_white_space_alone_is_said() {
        assert_eq!(lines("SELECT a FROM t", "SELECT a\nFROM t\n"), "  (only white space differs)");
    }

    #[test]
    fn texts_too_long_for_words_are_compared_in_larger_pieces() {
        let long = "x,".repeat(PIECES);
        let runs = words(&format!("a\n{long}\nb"), &format!("a\n{long}y\nb"));
        assert!(runs.contains(&Run::Before(format!("{long}\n"))), "line by line");
        assert!(runs.contains(&Run::Same("a\n".to_owned())));
        let lines = lines(&"x\n".repeat(PIECES), &"y\n".repeat(PIECES));
        assert!(lines.starts_with("- x\n- x\n") && lines.ends_with("+ y\n+ y"));
    }
}
