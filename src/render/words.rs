//! Small words: plurals, dates, values, the summary line.

use std::collections::BTreeMap;

use serde_json::Value;

use super::escape::visible;
use crate::plan::contract::Field;
use crate::plan::contract::Plan;
use crate::plan::contract::Range;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::plan::modes::MODES;
use crate::plan::warning::CODES;

/// `1 step`, `2 steps`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{} {noun}s", thousands(number)) }
}

/// A number as people read it.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The last line of every plan. Its form is frozen: scripts match it.
pub fn sentence(plan: &Plan) -> String {
    let summary = &plan.summary;
    if plan.is_empty() {
        let more = if summary.changed > 0 && !plan.complete {
            format!("{} changed", count(summary.changed, "config"))
        } else if summary.changed > 0 {
            format!("{} changed, none needs a job", count(summary.changed, "config"))
        } else {
            "no changes".to_owned()
        };
        return format!(
            "Plan: nothing to do, {more}. {} unchanged.{}",
            thousands(summary.unchanged),
            incomplete(plan)
        );
    }
    let modes = MODES.iter().filter_map(|mode| {
        let number = summary.by_mode.get(mode.name)?;
        Some(format!("{} {}", thousands(*number), mode.name))
    });
    let modes = modes.collect::<Vec<_>>().join(", ");
    let days = usize::try_from(summary.backfill_days).unwrap_or(0);
    let days =
        if days > 0 { format!(", {} to backfill", count(days, "day")) } else { String::new() };
    let warnings = CODES.iter().filter_map(|row| {
        let number = summary.warnings.get(row.1)?;
        Some(format!("{} {}", thousands(*number), row.1))
    });
    let warnings = warnings.collect::<Vec<_>>().join(", ");
    let warnings = if warnings.is_empty() { "no warnings".to_owned() } else { warnings };
    let left = match plan.orphans.len() {
        0 => String::new(),
        number => format!("; {} left behind", thousands(number)),
    };
    let publish = plan.schedules.as_ref().filter(|it| !it.is_empty());
    let publish = publish.map(|it| format!("; {} to publish", count(it.dags.len(), "DAG")));
    let jobs = if plan.steps.is_empty() {
        "no job".to_owned()
    } else {
        format!("{} ({modes})", count(summary.steps, "step"))
    };
    format!(
        "Plan: {jobs}{days}; {warnings}{left}{}. {} unchanged.{}",
        publish.unwrap_or_default(),
        thousands(summary.unchanged),
        incomplete(plan)
    )
}

fn incomplete(plan: &Plan) -> &'static str {
    if plan.complete { "" } else { " INCOMPLETE." }
}

/// The days of a backfill.
pub(super) fn days(range: &Range) -> String {
    let days = |days: i64| count(usize::try_from(days).unwrap_or(0), "day");
    match (range.start, range.days) {
        (Some(start), Some(number)) => format!("{start} … {}, {}", range.end, days(number)),
        _ => format!("from an unknown day … {}", range.end),
    }
}

/// What a backfill does to old partitions, for people.
pub(super) fn rewrite(rewrite: Rewrite) -> &'static str {
    match rewrite {
        Rewrite::Fill => "only new partitions",
        Rewrite::Auto => "the join archives and recomputes",
        Rewrite::Overwrite => "overwrites",
        Rewrite::ArchiveFirst => "ARCHIVE THE OLD TABLE FIRST",
    }
}

/// A step without its config: the mode, and the days where it has some.
pub(super) fn step(step: &Step) -> String {
    let mut shown = step.mode.clone();
    match &step.range {
        Some(range) => shown = format!("{shown} {}", days(range)),
        None if step.rewrite.is_some() => shown = format!("{shown} as a whole"),
        None => {}
    }
    if let Some(how) = step.rewrite {
        shown = format!("{shown}, {}", rewrite(how));
    }
    if step.manual.is_some() {
        shown.push_str(" (by hand)");
    }
    if step.argv.iter().any(|word| word == "--no-savepoint")
        && !step.because.is_empty()
        && step.cause != crate::plan::contract::Cause::New
    {
        shown.push_str(", without savepoint");
    }
    shown
}

/// A value, short enough for a line.
pub(super) fn value(value: Option<&Value>) -> String {
    const LONGEST: usize = 160;
    let Some(value) = value else { return "none".to_owned() };
    short(&value.to_string(), LONGEST)
}

/// Text on one line of at most `most` characters; what is cut off is marked.
pub(super) fn short(text: &str, most: usize) -> String {
    let text = visible(text);
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

/// Steps that follow each other on one line; others on lines of their own.
pub(super) fn grouped<'a>(steps: &[&'a Step]) -> Vec<Vec<&'a Step>> {
    let mut groups: Vec<Vec<&Step>> = Vec::new();
    for step in steps {
        let follows = |group: &&mut Vec<&Step>| {
            let plain = step.range.is_none() && step.rewrite.is_none();
            let next = |last: &&Step| {
                last.trigger == step.trigger
                    && last.scope == step.scope
                    && step.after.contains(&last.id)
            };
            plain && group.last().is_some_and(next)
        };
        match groups.last_mut().filter(follows) {
            Some(group) => group.push(step),
            None => groups.push(vec![step]),
        }
    }
    groups
}

/// What can run at the same time, wave by wave: how many jobs of each mode.
pub(super) fn waves(plan: &Plan) -> Vec<String> {
    let mut depths: BTreeMap<&str, usize> = BTreeMap::new();
    let mut waves: Vec<BTreeMap<&str, usize>> = Vec::new();
    for step in &plan.steps {
        let before = step.after.iter().filter_map(|id| depths.get(id.as_str()));
        let depth = before.map(|depth| depth + 1).max().unwrap_or(0);
        depths.insert(&step.id, depth);
        if waves.len() <= depth {
            waves.push(BTreeMap::new());
        }
        *waves[depth].entry(&step.mode).or_default() += 1;
    }
    let jobs = |wave: &BTreeMap<&str, usize>| {
        let each = wave.iter().map(|(mode, number)| format!("{} {mode}", thousands(*number)));
        each.collect::<Vec<_>>().join(", ")
    };
    waves.iter().map(jobs).collect()
}

/// The number of each step.
pub(super) fn numbers(plan: &Plan) -> BTreeMap<&str, usize> {
    plan.steps.iter().enumerate().map(|(at, step)| (step.id.as_str(), at + 1)).collect()
}

/// The numbers of the steps that a step waits for.
pub(super) fn after(numbers: &BTreeMap<&str, usize>, step: &Step) -> String {
    let waits = step.after.iter().filter_map(|id| numbers.get(id.as_str()));
    waits.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// A field's value, by its name where it has one.
pub(super) fn value_before(field: &Field) -> String {
    field.before_name.clone().unwrap_or_else(|| value(field.before.as_ref()))
}

/// As [`value_before`], at head.
pub(super) fn value_after(field: &Field) -> String {
    field.after_name.clone().unwrap_or_else(|| value(field.after.as_ref()))
}

/// What commands leave to people, each with the steps that need it.
pub(super) fn by_hand(plan: &Plan) -> BTreeMap<&str, Vec<&str>> {
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in &plan.steps {
        if let Some(manual) = &step.manual {
            told.entry(manual).or_default().push(&step.id);
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0, 12, 123, 1234, 1_234_567].map(thousands).into();
        assert_eq!(shown, ["0", "12", "123", "1,234", "1,234,567"]);
        assert_eq!(count(1, "step"), "1 step");
        assert_eq!(count(0, "step"), "0 steps");
    }
}
