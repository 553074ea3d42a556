//! `plan`: two commits to the jobs that the second needs.

use super::super::args::PlanArgs;
use super::super::basis::Basis;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::model::day::Day;
use crate::plan::Options;
use crate::plan::contract::Plan;

/// Where a ledger will be kept; there is none yet, so base counts as applied.
const STATE: &str = ".chronon-plan";

pub(in super::super) fn run(args: &PlanArgs, output: &mut Output) -> Result<Exit, Failure> {
    let request = Request {
        base: args.base.clone(),
        head: args.head.clone(),
        keep_going: args.keep_going,
        ..super::request(&args.repo)
    };
    let options = Options { targets: args.target.clone(), force: args.force.clone() };
    let workspace = Workspace::open(&request)?;
    let plan = make(&workspace, args.as_of.unwrap_or_else(today), &options)?;
    workspace.notes.iter().for_each(|note| output.tell(format!("note: {note}")));
    super::write_plan(&plan, &args.out, output)?;
    // The process ends here; to free every config of a large repository first takes time.
    std::mem::forget(workspace);
    let changes = args.detailed_exitcode && !plan.is_empty();
    Ok(if changes { Exit::Changes } else { Exit::Done })
}

/// The plan of a workspace.
pub(super) fn make(workspace: &Workspace, as_of: Day, options: &Options) -> Result<Plan, Failure> {
    Basis::of(workspace, None, STATE.to_owned())?.plan(as_of, options)
}

/// Today, in UTC, as schedulers count days.
pub(super) fn today() -> Day {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    Day::of(now.date())
}
