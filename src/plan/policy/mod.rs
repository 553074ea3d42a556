//! Policies: what a plan needs beside a reviewer's eye, and what of it is missing.
//!
//! # Why
//! Everything is decided from values: the plan, what the pull request has, and two functions that
//! say who is who. So the comment on a pull request and the gate before an apply cannot disagree,
//! and what cannot be seen never counts as given.

mod falls;
mod lacks;

use std::collections::BTreeSet;

use crate::model::name::Address;
use crate::plan::contract::Plan;

/// What a plan does that falls under a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// It breaks online clients.
    OnlineBreaking,
    /// It leaves history wrong.
    HistoryNotRewritten,
    /// It rewrites history.
    HistoryRewritten,
    /// It computes many days.
    BackfillDays,
    /// It is about configs of a team.
    Team,
    /// It has jobs.
    Jobs,
}

/// Every condition with its spelling and its meaning.
#[rustfmt::skip] // one condition, one line
pub const WHENS: [(When, &str, &str); 6] = [
    (When::OnlineBreaking, "online-breaking", "the plan has such a warning; the config and the online joins that it hits are what it is about"),
    (When::HistoryNotRewritten, "history-not-rewritten", "the plan has such a warning; the config and what reads its table are what it is about"),
    (When::HistoryRewritten, "history-rewritten", "a backfill computes days anew that are there: it overwrites, the join archives and recomputes, or somebody archives the table first"),
    (When::BackfillDays, "backfill-days", "all backfills together compute more than `days` days, or one has no start"),
    (When::Team, "team", "a config of one of `teams` changes or needs a job"),
    (When::Jobs, "jobs", "the plan has steps; schedules alone are none"),
];

/// The spelling of every condition.
pub const WHEN_NAMES: [&str; WHENS.len()] = {
    let mut names = [""; WHENS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = WHENS[at].1;
        at += 1;
    }
    names
};

impl When {
    /// As it is spelt in settings.
    pub fn name(self) -> &'static str {
        WHENS[self as usize].1
    }

    /// The condition of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        WHENS.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

/// In place of a name: whoever owns the configs that make a plan fall under a policy.
pub const CODEOWNERS: &str = "codeowners";

/// A policy of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// What a plan does that falls under it.
    pub when: When,
    /// The envs whose plans fall under it; empty for all.
    pub envs: Vec<String>,
    /// Above how many days it holds, with [`When::BackfillDays`].
    pub days: u32,
    /// The teams whose configs it is about; empty for all.
    pub teams: Vec<String>,
    /// The configs that it is about, as globs over addresses; empty for all.
    pub configs: Vec<String>,
    /// The configs that are exempt, as globs over addresses.
    pub allowed: Vec<String>,
    /// One of these labels must be on the pull request; empty where none is needed.
    pub labels: Vec<String>,
    /// How many reviews must approve.
    pub approvals: u32,
    /// Whose approvals count: logins, teams and [`CODEOWNERS`]; empty for all who may write.
    pub from: Vec<String>,
}

/// What a pull request has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its labels.
    pub labels: BTreeSet<String>,
    /// The logins whose latest review approves and who may write.
    pub approvals: BTreeSet<String>,
    /// Whose pull request it is; the own approval never counts.
    pub author: Option<String>,
}

/// Who is who, as far as anybody can tell.
#[derive(Clone, Copy)]
pub struct Who<'a> {
    /// The logins behind a name that is no login, such as `@acme/risk` or an address of e-mail;
    /// none where nobody can tell.
    pub members: &'a dyn Fn(&str) -> Option<BTreeSet<String>>,
    /// The owners of a config: logins, teams and addresses of e-mail.
    pub owners: &'a dyn Fn(&Address) -> Vec<String>,
}

/// A policy that a plan falls under, and what it lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// The policy's name in the settings.
    pub policy: String,
    /// Why the plan falls under it, in a sentence.
    pub why: String,
    /// The configs that make it so; empty where it is the plan as a whole.
    pub configs: Vec<Address>,
    /// What is missing, a sentence each; empty where the policy is met.
    pub missing: Vec<String>,
    /// Who can give it: logins and teams, as `@login` and `@org/team`.
    pub ask: Vec<String>,
}

/// The policies that a plan falls under, by name, those that are met among them. Without a
/// standing there is no pull request, and nothing is given.
pub fn demands(
    policies: &[Policy],
    plan: &Plan,
    standing: Option<&Standing>,
    who: Who<'_>,
) -> Vec<Demand> {
    let of = |policy: &Policy| {
        let falls = falls::falls(policy, plan)?;
        let lacks = lacks::lacks(policy, &falls.configs, standing, who);
        Some(Demand {
            policy: policy.name.clone(),
            why: falls.why + &lacks.aside,
            configs: falls.configs,
            missing: lacks.missing,
            ask: lacks.ask,
        })
    };
    let mut demands: Vec<Demand> = policies.iter().filter_map(of).collect();
    demands.sort_by(|a, b| a.policy.cmp(&b.policy));
    demands
}

/// Whether a text names a login or a team: `@login` or `@organization/team`.
pub fn is_handle(text: &str) -> bool {
    let is_name = |name: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(inner)
    };
    match text.strip_prefix('@').map(|name| name.split_once('/').unwrap_or((name, "x"))) {
        Some((first, team)) => is_name(first) && is_name(team),
        None => false,
    }
}

/// `1 config`, `2 configs`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The first few by name, and how many more there are.
fn listed<T: ToString>(names: &[T]) -> String {
    const SHOWN: usize = 3;
    // One more takes no more room than saying so.
    let shown = if names.len() == SHOWN + 1 { names.len() } else { SHOWN };
    let some = names.iter().take(shown).map(|it| format!("`{}`", it.to_string()));
    let some = some.collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(shown) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}
