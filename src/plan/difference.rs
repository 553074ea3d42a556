//! What differs between two plans: the one that was approved and the one that would be applied.

use std::collections::BTreeMap;

use super::contract::Plan;
use super::contract::Step;
use super::schedules;

/// What differs, a line each; empty where both would do the same for the same reasons.
pub fn difference(approved: &Plan, now: &Plan) -> Vec<String> {
    let by_id = |plan: &'_ Plan| -> BTreeMap<String, Step> {
        plan.steps.iter().map(|step| (step.id.clone(), step.clone())).collect()
    };
    let (before, after) = (by_id(approved), by_id(now));
    let mut lines = Vec::new();
    for (id, step) in &before {
        match after.get(id) {
            None => lines.push(format!("- {id}: no longer needed")),
            Some(now) => lines.extend(differing(step, now)),
        }
    }
    for (id, step) in after.iter().filter(|it| !before.contains_key(it.0)) {
        let why: Vec<&str> = step.because.iter().map(|it| it.text.as_str()).collect();
        lines.push(format!("+ {id}: {}", why.join("; ")));
    }
    let warnings = |plan: &Plan| -> Vec<String> {
        plan.warnings.iter().map(|it| format!("warning {} of {}", it.code, it.config)).collect()
    };
    let orphans = |plan: &Plan| -> Vec<String> {
        plan.orphans.iter().map(|it| format!("left behind: {}", it.what)).collect()
    };
    for (old, new) in [(warnings(approved), warnings(now)), (orphans(approved), orphans(now))] {
        lines.extend(old.iter().filter(|it| !new.contains(it)).map(|it| format!("- {it}")));
        lines.extend(new.iter().filter(|it| !old.contains(it)).map(|it| format!("+ {it}")));
    }
    lines.extend(schedules::difference(approved, now));
    lines
}

/// Whether a plan is what is left of an approved one: of the same commit and ledger, and no step is
/// new or would do something else, nor any change of schedules. Days move on; and reasons may read differently, for what was
/// begun counts as merged.
pub fn is_rest(approved: &Plan, now: &Plan) -> bool {
    let steps: BTreeMap<&str, &Step> =
        approved.steps.iter().map(|it| (it.id.as_str(), it)).collect();
    let covered = |step: &Step| {
        let before = steps.get(step.id.as_str());
        before.is_some_and(|before| does(approved, before) == does(now, step))
    };
    approved.env == now.env
        && approved.head.commit == now.head.commit
        && (!approved.state.found || approved.state.lineage == now.state.lineage)
        && now.steps.iter().all(covered)
        && schedules::unseen(&[approved], now).is_empty()
}

/// Whether two steps do the same, each of its plan, whatever the days of those.
pub fn do_alike(a: (&Plan, &Step), b: (&Plan, &Step)) -> bool {
    does(a.0, a.1) == does(b.0, b.1)
}

/// What a step does, whatever the day of its plan.
pub(super) fn does(plan: &Plan, step: &Step) -> impl PartialEq + use<> {
    let newest = plan.as_of.plus(-1).to_string();
    let argv: Vec<String> = step.argv.iter().map(|word| word.replace(&newest, "newest")).collect();
    let start = step.range.as_ref().map(|it| it.start.filter(|start| start.to_string() != newest));
    let from = (step.path.clone(), step.blob.clone());
    (argv, from, start, step.trigger, step.rewrite, step.manual.clone())
}

/// As much of a content's name as people need to tell two apart.
fn short(blob: &str) -> String {
    blob.chars().take(10).collect()
}

fn differing(before: &Step, after: &Step) -> Vec<String> {
    let id = &before.id;
    let reasons = |step: &Step| -> Vec<String> {
        let of = |it: &super::contract::Because| it.field.clone().unwrap_or(it.text.clone());
        step.because.iter().map(of).collect()
    };
    let range = |step: &Step| {
        let start = step.range.as_ref().map(|it| it.start);
        start.map(|start| start.map_or_else(|| "open".to_owned(), |day| day.to_string()))
    };
    let rewrite = |step: &Step| step.rewrite.map(|it| it.name().to_owned());
    let rows = [
        ("reasons", Some(reasons(before).join(", ")), Some(reasons(after).join(", "))),
        ("starts", range(before), range(after)),
        ("old partitions", rewrite(before), rewrite(after)),
        ("by hand", before.manual.clone(), after.manual.clone()),
        ("command", Some(before.argv.join(" ")), Some(after.argv.join(" "))),
        ("file's content", Some(short(&before.blob)), Some(short(&after.blob))),
        ("waits for", Some(before.after.join(", ")), Some(after.after.join(", "))),
    ];
    let shown = |it: Option<String>| it.filter(|it| !it.is_empty()).unwrap_or("nothing".to_owned());
    let differs = rows.into_iter().filter(|row| row.1 != row.2);
    differs
        .map(|(what, old, new)| format!("~ {id}: {what}: {} -> {}", shown(old), shown(new)))
        .collect()
}
