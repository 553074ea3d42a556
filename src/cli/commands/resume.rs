//! What an apply left behind that can be gone on with: its commit, its day, its plan.
//!
//! # Why
//! Somebody approved what was begun, and nothing else. So its plan, which was kept when it began, is
//! gone on with as a saved plan is: steps that it lacks are not run, and those that would do
//! something else by now are refused.

use std::collections::BTreeSet;

use super::super::failure::Failure;
use super::super::state::State;
use super::checks;
use crate::model::day::Day;
use crate::plan::contract::Plan;
use crate::state::journal::Begun;

/// What to go on with.
#[derive(Clone)]
pub(super) struct Resumed {
    pub(super) commit: String,
    pub(super) day: Day,
    /// What was asked for.
    pub(super) begun: Begun,
    /// The plan that was begun, with the steps that were asked for.
    pub(super) plan: Plan,
    /// Whether jobs of it may be running, so that there is something to collect.
    pub(super) runs: bool,
}

/// What was begun last and is not at its end; none where there is no such thing.
pub(super) fn of(state: &State) -> Result<Option<Resumed>, Failure> {
    let carried = state.known()?.carried;
    if !carried.has_work() {
        return Ok(None);
    }
    let unknown = |what: &str| {
        Failure::new(format!("what was begun last cannot be gone on with as it was: {what}"))
            .hint("chronon-plan apply, which plans anew and finds the jobs that run")
    };
    let (Some(commit), Some(begun)) = (carried.commit, carried.asked) else {
        return Err(unknown("another version of chronon-plan began it"));
    };
    let plan = checks::kept_plan(&begun.plan, state);
    let mut plan = plan.ok_or_else(|| unknown(&format!("its plan {} is not kept", begun.plan)))?;
    if let Some(steps) = &begun.steps {
        plan.steps.retain(|step| steps.contains(&step.id));
    }
    let ids: BTreeSet<&str> = plan.steps.iter().map(|it| it.id.as_str()).collect();
    let runs = carried.open.values().any(|it| ids.contains(it.step.as_str()));
    let done = carried.done.values().any(|it| ids.contains(it.step.as_str()));
    let day = carried.as_of.unwrap_or(plan.as_of);
    let begun = *begun;
    Ok((runs || done).then_some(Resumed { commit, day, begun, plan, runs }))
}
