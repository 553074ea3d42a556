//! The plan itself, at each level of detail.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::Detail;
use super::Place;
use super::Status;
use super::View;
use super::part::Form;
use super::part::List;
use super::part::Part;
use super::spell;
use crate::model::name::Address;
use crate::plan::contract::Kind;
use crate::plan::contract::Plan;
use crate::plan::contract::Step;
use crate::plan::modes::MODES;
use crate::render::markdown;
use crate::render::markdown::Depth;
use crate::render::markdown::Fold;
use crate::render::outline::Block;
use crate::render::outline::Outline;
use crate::render::schedules;
use crate::render::words;

/// Up to this many lines of configs are read without a click.
const OPEN_LINES: usize = 20;

/// The parts of the page.
pub(super) fn parts(view: View<'_>) -> Vec<Part<'_>> {
    let (Some(plan), Some(outline)) = (view.comment.plan, view.outline) else { return Vec::new() };
    let mut parts = vec![Part::fixed(shown(view, plan))];
    match view.detail {
        Detail::Full => parts.extend(blocks(view, plan, outline, Depth::Full)),
        Detail::Fields => parts.extend(blocks(view, plan, outline, Depth::Fields)),
        Detail::Configs => {
            parts.push(configs(view, plan, outline));
            parts.push(Part::fixed(rest(plan)));
        }
        Detail::Counts => {
            parts.extend([modes(plan), teams(view, plan), Part::fixed(rest(plan))]);
        }
    }
    parts
}

/// Every config of which a plan tells.
fn told(plan: &Plan) -> BTreeSet<&Address> {
    let changed = plan.changes.iter().map(|change| &change.config);
    changed.chain(plan.steps.iter().map(|step| &step.config)).collect()
}

/// How many configs are shown of how many, and what is left out.
fn shown(view: View<'_>, plan: &Plan) -> String {
    let all = told(plan).len();
    if all == 0 {
        return String::new();
    }
    let number = words::thousands(all);
    let (few, left) = match view.detail {
        Detail::Full => (number.as_str(), None),
        Detail::Fields => {
            (number.as_str(), Some("SQL, graph and commands are left out, long values are cut"))
        }
        Detail::Configs => (number.as_str(), Some("one line each, details are left out")),
        Detail::Counts => ("0", Some("counts only, details are left out")),
    };
    let where_else = match view.place {
        Place::Comment => format!("see the {}", spell::link(view.comment, "job summary")),
        Place::Summary => "see the saved plan".to_owned(),
    };
    let left = left.map(|left| format!(": {left}, {where_else}")).unwrap_or_default();
    format!("**{few} of {} shown**{left}\n\n", words::count(all, "config"))
}

/// Whether the plan is what is to be read: an ending puts it behind a click.
fn is_news(view: View<'_>) -> bool {
    match view.comment.status {
        Status::Planned | Status::Queued | Status::Applying | Status::Refused(_) => true,
        Status::Closed
        | Status::Applied(_)
        | Status::Running(_)
        | Status::Partly(_)
        | Status::Broken(_)
        | Status::Failed(_)
        | Status::Interrupted(_) => false,
    }
}

/// A part for each block, so that a page which does not fit is given up early.
fn blocks<'a>(
    view: View<'a>,
    plan: &'a Plan,
    outline: &'a Outline<'a>,
    depth: Depth,
) -> Vec<Part<'a>> {
    let configs: usize = outline.blocks.iter().map(Block::configs).sum();
    let open = is_news(view) && configs <= markdown::OPEN_CONFIGS;
    let open = if open { Fold::Open } else { Fold::Closed };
    let block =
        |block: &'a Block<'a>| written(move |page| markdown::block_fold(page, open, block, depth));
    let mut parts: Vec<Part<'_>> = outline.blocks.iter().map(block).collect();
    parts.push(written(move |page| markdown::removed(page, plan)));
    if depth == Depth::Full {
        parts.push(written(move |page| markdown::steps(page, plan)));
    }
    parts.push(written(move |page| {
        plan.schedules.iter().for_each(|it| schedules::write_markdown(page, it, depth));
    }));
    parts.push(written(move |page| {
        markdown::quiet(page, &outline.quiet);
        markdown::files(page, plan);
        markdown::orphans(page, plan, depth);
    }));
    parts
}

/// What writes to a page, as a part with one form.
fn written<'a>(write: impl Fn(&mut String) + 'a) -> Part<'a> {
    Part::new(0, move |_| {
        let mut page = String::new();
        write(&mut page);
        page
    })
}

/// One line for each config: what runs in the order of the blocks, then what only changed.
fn configs<'a>(view: View<'a>, plan: &'a Plan, outline: &'a Outline<'a>) -> Part<'a> {
    let mut steps: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in &plan.steps {
        steps.entry(&step.config).or_default().push(step);
    }
    let mut rows: Vec<(&str, &Address)> = Vec::new();
    for member in outline.blocks.iter().flat_map(|block| &block.members) {
        let all = std::iter::once(member.config).chain(member.others.iter().copied());
        rows.extend(all.map(|config| (markdown::sign(member), config)));
    }
    rows.extend(outline.removed.iter().map(|change| ("➖", &change.config)));
    let known: BTreeSet<&Address> = rows.iter().map(|row| row.1).collect();
    let quiet = plan.changes.iter().filter(|it| !known.contains(&it.config));
    rows.extend(quiet.map(|change| ("✏️", &change.config)));
    let open = if is_news(view) && rows.len() <= OPEN_LINES { " open" } else { "" };
    let number = words::count(rows.len(), "config");
    let row = |(sign, config): &(&str, &Address)| {
        let steps = steps.get(config).map(Vec::as_slice).unwrap_or_default();
        let name = view.detail.sizes().cell(&config.to_string());
        format!("| {sign} | {name} | {} | {} |\n", jobs(steps), days(steps))
    };
    List {
        before: format!(
            "<details{open}><summary>{number}, one line each</summary>\n\n\
             | | config | jobs | backfill |\n|---|---|---|---|\n"
        ),
        items: rows.iter().map(row).collect(),
        after: "</details>\n\n",
        form: Form::Rows,
        noun: super::part::CONFIGS,
    }
    .part()
}

/// The modes of some steps. A saved plan may name one that is none: it is not spelt.
fn jobs(steps: &[&Step]) -> String {
    let known = |step: &&&Step| MODES.iter().any(|mode| mode.name == step.mode);
    let (known, other): (Vec<&&Step>, Vec<&&Step>) = steps.iter().partition(known);
    let mut modes: Vec<&str> = known.iter().map(|step| step.mode.as_str()).collect();
    if !other.is_empty() {
        modes.push("others");
    }
    if modes.is_empty() { "no job".to_owned() } else { modes.join(", ") }
}

/// The days of backfills, and what they do to partitions that exist.
fn days(steps: &[&Step]) -> String {
    let backfills = steps.iter().filter(|step| step.rewrite.is_some() || step.range.is_some());
    let told = backfills.map(|step| {
        let days = step.range.as_ref().and_then(|range| range.days);
        let days = days.map(|_| spell::days([*step]));
        let how = step.rewrite.map(|it| it.name().to_owned());
        days.into_iter().chain(how).collect::<Vec<_>>().join(", ")
    });
    told.collect::<Vec<_>>().join("<br>")
}

/// How many jobs of each mode, and their days.
fn modes(plan: &Plan) -> Part<'_> {
    let row = |mode: &str| {
        let steps: Vec<&Step> = plan.steps.iter().filter(|step| step.mode == mode).collect();
        let configs: BTreeSet<&Address> = steps.iter().map(|step| &step.config).collect();
        (!steps.is_empty()).then(|| numbers(mode, configs.len(), &steps))
    };
    List {
        before: "| mode | configs | steps | backfills |\n|---|---|---|---|\n".to_owned(),
        items: MODES.iter().filter_map(|mode| row(mode.name)).collect(),
        after: "",
        form: Form::Rows,
        noun: ["mode", "modes"],
    }
    .part()
}

/// How many configs and jobs each team has, those with the most jobs first.
fn teams<'a>(view: View<'_>, plan: &'a Plan) -> Part<'a> {
    let mut teams: BTreeMap<&str, (BTreeSet<&Address>, Vec<&Step>)> = BTreeMap::new();
    for config in told(plan) {
        teams.entry(spell::team(config)).or_default().0.insert(config);
    }
    for step in &plan.steps {
        teams.entry(spell::team(&step.config)).or_default().1.push(step);
    }
    let mut rows: Vec<_> = teams.into_iter().collect();
    rows.sort_by_key(|(team, (_, steps))| (std::cmp::Reverse(steps.len()), *team));
    let sizes = view.detail.sizes();
    let row = |(team, (configs, steps)): &(&str, (BTreeSet<&Address>, Vec<&Step>))| {
        numbers(&sizes.cell(team), configs.len(), steps)
    };
    List {
        before: "| team | configs | steps | backfills |\n|---|---|---|---|\n".to_owned(),
        items: rows.iter().map(row).collect(),
        after: "",
        form: Form::Rows,
        noun: ["team", "teams"],
    }
    .part()
}

fn numbers(of: &str, configs: usize, steps: &[&Step]) -> String {
    let days = spell::days(steps.iter().copied());
    let (configs, steps) = (words::thousands(configs), words::thousands(steps.len()));
    format!("| {of} | {configs} | {steps} | {days} |\n")
}

/// What else there is, in numbers: changes without a job, files, orphans.
fn rest(plan: &Plan) -> String {
    let stepped: BTreeSet<&Address> = plan.steps.iter().map(|step| &step.config).collect();
    let gone = plan.changes.iter().filter(|it| it.kind == Kind::Removed).count();
    let quiet = plan.changes.iter().filter(|it| !stepped.contains(&it.config));
    let quiet = quiet.filter(|it| it.kind != Kind::Removed).count();
    let mut page = String::new();
    for (number, noun, what) in [
        (gone, "config", "removed"),
        (quiet, "config", "changed without a job"),
        (plan.schedules.as_ref().map_or(0, |it| it.dags.len()), "DAG", "to publish"),
        (plan.orphans.len(), "thing", "left behind, to be removed by hand"),
        (plan.skipped_files.len(), "file", "left out: not to be read"),
        (plan.other_files.len(), "other file", "changed"),
    ] {
        if number > 0 {
            let _ = writeln!(page, "- {} {what}", words::count(number, noun));
        }
    }
    if !page.is_empty() {
        page.push('\n');
    }
    page
}
