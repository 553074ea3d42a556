//! What breaks online clients, what leaves history wrong, and what rewrites it.
//!
//! # Why
//! This is what a reviewer answers for, so it stands above all else and no level of detail drops
//! it. Where there is no room for a line each, the configs are named by code and team; where there
//! is none for all names either, it says exactly how many are not named.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use super::Detail;
use super::View;
use super::part::Noun;
use super::part::Part;
use super::part::said;
use super::spell;
use crate::model::name::Address;
use crate::plan::contract::Plan;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::render::words;

/// A kind of severe thing, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Peril {
    Breaks,
    StaysWrong,
    Rewrites,
}

/// TABLE of perils: sign and name; the first two are warnings of this code.
#[rustfmt::skip] // one peril, one line
const PERILS: [(Peril, &str, &str); 3] = [
    (Peril::Breaks, "🛑", "online-breaking"),
    (Peril::StaysWrong, "🛑", "history-not-rewritten"),
    (Peril::Rewrites, "🔁", "history-rewritten"),
];

/// Where each config has a line below, or none has, so many that are rewritten alike are named.
const REWRITES: usize = 5;

impl Peril {
    fn tag(self) -> String {
        let (_, sign, name) = PERILS[self as usize];
        format!("{sign} **{name}**")
    }
}

/// The peril that a warning of this code is.
fn peril(code: &str) -> Option<Peril> {
    PERILS[..2].iter().find(|row| row.2 == code).map(|row| row.0)
}

/// Whether a warning is told here.
pub(super) fn is_severe(code: &str) -> bool {
    peril(code).is_some()
}

/// One thing that a reviewer must know, of one config or of some that it hits alike.
struct Matter<'a> {
    peril: Peril,
    configs: Vec<&'a Address>,
    field: Option<&'a str>,
    text: &'a str,
    /// The backfill.
    job: Option<String>,
    affects: &'a [Address],
}

/// All severe things of a plan, worst first.
fn matters(plan: &Plan) -> Vec<Matter<'_>> {
    let archives = |step: &&Step| step.rewrite == Some(Rewrite::ArchiveFirst);
    let mut archived: BTreeMap<&Address, &Step> =
        plan.steps.iter().filter(archives).map(|step| (&step.config, step)).collect();
    let mut matters = Vec::new();
    for warning in &plan.warnings {
        let Some(peril) = peril(&warning.code) else { continue };
        let step = match peril {
            Peril::StaysWrong => archived.remove(&warning.config),
            Peril::Breaks | Peril::Rewrites => None,
        };
        matters.push(Matter {
            peril,
            configs: vec![&warning.config],
            field: warning.field.as_deref(),
            text: &warning.text,
            job: step.map(words::step),
            affects: &warning.affects,
        });
    }
    let alone = |peril, configs, job| Matter {
        peril,
        configs,
        field: None,
        text: "",
        job: Some(job),
        affects: &[],
    };
    for (config, step) in archived {
        matters.push(alone(Peril::StaysWrong, vec![config], words::step(step)));
    }
    for (job, configs) in rewrites(plan) {
        matters.push(alone(Peril::Rewrites, configs, job));
    }
    matters.sort_by_key(|it| it.peril);
    matters
}

/// Backfills that replace what is there, those told together that do it over the same days.
fn rewrites(plan: &Plan) -> Vec<(String, Vec<&Address>)> {
    let mut alike: Vec<(String, Vec<&Address>)> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| rewrites_history(step)) {
        let job = words::step(step);
        let at = *places.entry(job.clone()).or_insert(alike.len());
        match alike.get_mut(at) {
            Some(group) => group.1.push(&step.config),
            None => alike.push((job, vec![&step.config])),
        }
    }
    alike
}

fn rewrites_history(step: &Step) -> bool {
    matches!(step.rewrite, Some(Rewrite::Auto | Rewrite::Overwrite))
}

/// The part of the page.
pub(super) fn part(view: View<'_>) -> Part<'_> {
    let Some(plan) = view.comment.plan else { return Part::fixed(verdict(view, &[])) };
    let matters = matters(plan);
    if view.detail < Detail::Counts {
        let mut page = verdict(view, &matters) + &lines(view, &matters);
        close(&mut page, &matters);
        return Part::fixed(page);
    }
    let groups = groups(plan, &matters);
    let most = groups.iter().map(|group| group.names.len()).max().unwrap_or(0);
    let verdict = verdict(view, &matters);
    let lines = lines(view, &matters);
    // The first teams with a name each; all teams with the first names of each; a line each.
    Part::new(groups.len() + most, move |size| {
        let mut page = verdict.clone();
        match size.checked_sub(groups.len()) {
            None => grouped(&mut page, &groups, size, 1),
            Some(more) if more < most => grouped(&mut page, &groups, groups.len(), 1 + more),
            Some(_) => page.push_str(&lines),
        }
        close(&mut page, &matters);
        page
    })
}

fn close(page: &mut String, matters: &[Matter<'_>]) {
    if !matters.is_empty() {
        page.push('\n');
    }
}

/// What is at stake, in a box that GitHub colours.
fn verdict(view: View<'_>, matters: &[Matter<'_>]) -> String {
    let number = |peril| matters.iter().filter(|it| it.peril == peril).count();
    let (breaks, wrong) = (number(Peril::Breaks), number(Peril::StaysWrong));
    let unmet = view.comment.demands.iter().filter(|it| !it.missing.is_empty()).count();
    let steps = view.comment.plan.iter().flat_map(|plan| &plan.steps);
    let rewrites: Vec<&Step> = steps.filter(|step| rewrites_history(step)).collect();
    let mut stakes = Vec::new();
    let mut say = |number, noun: Noun| {
        if number > 0 {
            stakes.push(said(number, noun));
        }
    };
    say(breaks, ["change breaks online clients.", "changes break online clients."]);
    say(
        wrong,
        [
            "table must be archived first, or its history stays wrong.",
            "tables must be archived first, or their history stays wrong.",
        ],
    );
    say(rewrites.len(), ["backfill rewrites history", "backfills rewrite history"]);
    if let Some(last) = stakes.last_mut().filter(|_| !rewrites.is_empty()) {
        let _ = write!(last, ": {}.", spell::days(rewrites));
    }
    if unmet > 0 {
        stakes.push(said(unmet, ["policy is not met.", "policies are not met."]));
    }
    let look = match (breaks + wrong, unmet) {
        (0, 0) => "NOTE",
        (0, _) => "WARNING",
        _ => "CAUTION",
    };
    if stakes.is_empty() {
        return String::new();
    }
    format!("> [!{look}]\n> **{}**\n\n", stakes.join(" "))
}

/// A line for each matter. Once they are too long for any page, no more are made.
fn lines(view: View<'_>, matters: &[Matter<'_>]) -> String {
    let mut lines = String::new();
    for matter in matters {
        if lines.len() <= view.budget {
            line(&mut lines, view.detail, matter);
        }
    }
    lines
}

/// One matter as a line of a list.
fn line(page: &mut String, detail: Detail, matter: &Matter<'_>) {
    let Matter { peril, configs, field, text, job, affects } = matter;
    let sizes = detail.sizes();
    let most = if detail < Detail::Configs { usize::MAX } else { REWRITES };
    let names: Vec<String> = configs.iter().take(most).map(|it| sizes.config(it)).collect();
    let names = spell::named(&names, configs.len());
    let _ = write!(page, "- {} {names}", peril.tag());
    if let Some(field) = field {
        let _ = write!(page, " · {}", sizes.name(field));
    }
    let apart = if detail < Detail::Configs { "<br>" } else { " · " };
    let mut told: Vec<String> = Vec::new();
    if !text.is_empty() {
        told.push(sizes.prose(text));
    }
    told.extend(job.iter().map(|job| sizes.prose(job)));
    if !affects.is_empty() {
        let hit = sizes.configs(affects);
        let number = words::count(affects.len(), "config");
        told.push(format!("hits {}", if detail < Detail::Configs { hit } else { number }));
    }
    for part in told {
        let _ = write!(page, "{apart}{part}");
    }
    page.push('\n');
}

/// What one team has to answer for.
struct Group {
    peril: Peril,
    /// How many configs of which team.
    head: String,
    /// Each config once.
    names: Vec<String>,
}

fn groups(plan: &Plan, matters: &[Matter<'_>]) -> Vec<Group> {
    let sizes = Detail::Counts.sizes();
    let mut groups: BTreeMap<(Peril, &str), BTreeSet<&Address>> = BTreeMap::new();
    for matter in matters {
        for config in &matter.configs {
            groups.entry((matter.peril, spell::team(config))).or_default().insert(config);
        }
    }
    let mut backfills: BTreeMap<&Address, Vec<&Step>> = BTreeMap::new();
    for step in plan.steps.iter().filter(|step| step.rewrite.is_some()) {
        backfills.entry(&step.config).or_default().push(step);
    }
    let group = |((peril, team), configs): ((Peril, &str), BTreeSet<&Address>)| {
        let number = words::count(configs.len(), "config");
        let mut head = format!("- {} {number} of {}", peril.tag(), sizes.name(team));
        if peril != Peril::Breaks {
            let steps = configs.iter().filter_map(|config| backfills.get(config)).flatten();
            let _ = write!(head, ", {}", spell::days(steps.copied()));
        }
        Group { peril, head, names: configs.into_iter().map(|it| sizes.config(it)).collect() }
    };
    groups.into_iter().map(group).collect()
}

/// The first groups with the first names of each, and what is left.
fn grouped(page: &mut String, groups: &[Group], shown: usize, most: usize) {
    let (shown, left) = groups.split_at(shown);
    for Group { peril, head, names } in shown {
        let most = if *peril == Peril::Rewrites { most.min(REWRITES) } else { most };
        let _ = writeln!(
            page,
            "{head}: {}",
            spell::named(&names[..most.min(names.len())], names.len())
        );
    }
    for (peril, ..) in PERILS {
        let of: Vec<&Group> = left.iter().filter(|group| group.peril == peril).collect();
        let configs: usize = of.iter().map(|group| group.names.len()).sum();
        if configs > 0 {
            let others = shown.iter().any(|group| group.peril == peril);
            let word = if others { "more config" } else { "config" };
            let (configs, teams) = (words::count(configs, word), words::count(of.len(), "team"));
            let _ = writeln!(page, "- {} {configs} of {teams}", peril.tag());
        }
    }
}
