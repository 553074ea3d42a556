//! How a plan stands to plans that people have approved.
//!
//! # Why
//! Between the approval of a pull request and its apply the world moves: another pull request is
//! merged and not applied yet, or was pending and is applied by now. The digests differ then, and
//! yet nothing would run that nobody has seen. Steps are compared by what they do, not by why or on
//! which day.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::contract::Plan;
use super::contract::Scope;
use super::contract::Step;
use super::contract::Warning;
use super::difference::does;
use super::schedules;
use crate::model::name::Address;

/// How a plan stands to approved ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Steps that no approved plan has, or that would do something else now.
    pub unseen_steps: Vec<String>,
    /// Warnings that no approved plan has: code and config.
    pub unseen_warnings: Vec<String>,
    /// Changes of schedules that no approved plan has.
    pub unseen_schedules: Vec<String>,
    /// Steps that the plan to apply was approved to bring, and that are not asked for any more.
    pub missing: Vec<String>,
}

impl Coverage {
    /// Whether nothing would be done that nobody has seen.
    pub fn is_seen(&self) -> bool {
        self.unseen_steps.is_empty()
            && self.unseen_warnings.is_empty()
            && self.unseen_schedules.is_empty()
    }
}

/// Compares a plan with the approved ones. What those of `own` asked for themselves, and not what
/// was pending then, must still be there.
pub fn coverage(own: &[&Plan], approved: &[&Plan], now: &Plan) -> Coverage {
    let approvals: Vec<Steps<'_>> = approved.iter().map(|plan| Steps::of(plan)).collect();
    let unseen = |step: &&Step| !approvals.iter().any(|it| it.cover(now, step));
    let seen: BTreeSet<_> = approved.iter().flat_map(|it| &it.warnings).map(what).collect();
    let live: BTreeSet<&str> = now.steps.iter().map(|it| it.id.as_str()).collect();
    let asked = own.iter().flat_map(|it| &it.steps).filter(|it| it.scope == Scope::Change);
    let named = |it: &Warning| format!("{} of {}", it.code, it.config);
    Coverage {
        unseen_steps: now.steps.iter().filter(unseen).map(|it| it.id.clone()).collect(),
        unseen_warnings: now
            .warnings
            .iter()
            .filter(|it| !seen.contains(&what(it)))
            .map(named)
            .collect(),
        // What of a DAG is not asked for any more is published already, or stays as it is.
        unseen_schedules: schedules::unseen(approved, now),
        missing: asked.map(|it| &it.id).filter(|it| !live.contains(it.as_str())).cloned().collect(),
    }
}

/// What a warning is about, whatever its words.
fn what(warning: &Warning) -> (&str, &Address, Option<&str>) {
    (&warning.code, &warning.config, warning.field.as_deref())
}

/// The steps of an approved plan, by id: plans are large, and are gone through again and again.
struct Steps<'a> {
    plan: &'a Plan,
    by_id: BTreeMap<&'a str, &'a Step>,
}

impl<'a> Steps<'a> {
    fn of(plan: &'a Plan) -> Self {
        Self { plan, by_id: plan.steps.iter().map(|step| (step.id.as_str(), step)).collect() }
    }

    /// Whether one of them does the same as a step of another plan.
    fn cover(&self, now: &Plan, step: &Step) -> bool {
        let found = self.by_id.get(step.id.as_str());
        found.is_some_and(|before| does(self.plan, before) == does(now, step))
    }
}

/// Whether a plan does something that an approved one was approved to do.
pub fn share(approved: &Plan, now: &Plan) -> bool {
    let steps = Steps::of(approved);
    schedules::share(approved, now) || now.steps.iter().any(|step| steps.cover(now, step))
}

/// Deals the configs of a plan out to the approved plans that account for them, the newest of which
/// stand first: each share is what one of them must answer for. The last share is what none accounts
/// for.
pub fn shares(approved: &[&Plan], now: &Plan) -> Vec<Plan> {
    let none = approved.len();
    let approvals: Vec<Steps<'_>> = approved.iter().map(|plan| Steps::of(plan)).collect();
    let mut owners: BTreeMap<&Address, usize> = BTreeMap::new();
    for step in &now.steps {
        let owner = approvals.iter().position(|it| it.cover(now, step)).unwrap_or(none);
        let known = owners.entry(&step.config).or_insert(owner);
        // What one of its steps brings that nobody approved, nobody answers for.
        *known = if *known == none || owner == none { none } else { owner.min(*known) };
    }
    let owner = |config: &Address| owners.get(config).copied().unwrap_or(none);
    (0..=none).map(|at| part(now, &|config| owner(config) == at)).collect()
}

/// The part of a plan that the difference between base and head asks for: without what is pending.
pub fn asked_for(plan: &Plan) -> Plan {
    let changed = plan.changes.iter().map(|it| &it.config);
    let asked = plan.steps.iter().filter(|it| it.scope == Scope::Change).map(|it| &it.config);
    let own: BTreeSet<&Address> = changed.chain(asked).collect();
    part(plan, &|config| own.contains(config))
}

/// An approved plan without the steps that `spent` says were applied since, and without schedules
/// where those were `published` since.
pub fn unspent(plan: &Plan, spent: &dyn Fn(&Step) -> bool, published: bool) -> Plan {
    let mut left = plan.clone();
    left.steps.retain(|step| !spent(step));
    left.schedules = left.schedules.filter(|_| !published);
    left
}

/// The part of a plan that is about some configs. Schedules are of the whole: policies ask about
/// what an apply runs.
fn part(plan: &Plan, keep: &dyn Fn(&Address) -> bool) -> Plan {
    let mut part = plan.clone();
    part.steps.retain(|it| keep(&it.config));
    part.warnings.retain(|it| keep(&it.config));
    part.changes.retain(|it| keep(&it.config));
    part.orphans.retain(|it| keep(&it.config));
    part.schedules = None;
    let days = part.steps.iter().filter_map(|step| step.range.as_ref()?.days);
    part.summary.backfill_days = days.sum();
    part.summary.steps = part.steps.len();
    part
}
