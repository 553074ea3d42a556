//! `plan`: two commits to the jobs that the second needs.

use super::super::args::PlanArgs;
use super::super::basis;
use super::super::basis::Basis;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::schedules;
use super::super::schedules::Published;
use super::super::state::State;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::model::day::Day;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::render::visible;
use crate::source::Revision;
use crate::state::fold::Known;
use crate::state::lease;

pub(in super::super) fn run(args: &PlanArgs, output: &mut Output) -> Result<Exit, Failure> {
    let request = Request {
        base: args.base.clone(),
        head: args.head.clone(),
        keep_going: args.keep_going,
        ..super::request(&args.repo)
    };
    let options = Options { targets: args.target.clone(), force: args.force.clone() };
    let prepared = Prepared::of(&request)?;
    let state = if args.no_state { None } else { Some(State::open(&prepared)?) };
    let as_of = args.as_of.unwrap_or_else(today);
    let planned = planned(prepared, state.as_ref(), as_of, &options)?;
    planned.notes.iter().for_each(|note| output.tell(format!("note: {note}")));
    let plan = &planned.plan;
    super::write_plan(plan, &args.out, output)?;
    let changes = args.detailed_exitcode && !plan.is_empty();
    // The process ends here; to free every config of a large repository first takes time.
    std::mem::forget(planned);
    Ok(if changes { Exit::Changes } else { Exit::Done })
}

/// A plan, what it was made from, and what people should know of that.
pub(super) struct Planned {
    pub(super) plan: Plan,
    pub(super) workspace: Workspace,
    pub(super) notes: Vec<String>,
}

/// Plans against the ledger, or, without state, against what stands at base.
pub(super) fn planned(
    prepared: Prepared,
    state: Option<&State>,
    as_of: Day,
    options: &Options,
) -> Result<Planned, Failure> {
    let place = super::super::state::place(&prepared);
    let (known, workspace) = read(prepared, &|| match state {
        None => Ok(Known::default()),
        Some(state) => state.known(),
    })?;
    let ledger = known.ledger.clone();
    let ledger = ledger.map(|ledger| basis::upgraded(&workspace, ledger)).transpose()?;
    let published = match state {
        Some(state) => schedules::published(state, ledger.as_deref(), &workspace.settings)?,
        None => Published::AsBase,
    };
    let basis = Basis::of(&workspace, ledger, place, options)?.over(published);
    let plan = basis.plan(as_of)?;
    let told = notes_on(&known, &basis);
    std::mem::forget(basis);
    let gone = abandoned(&known, &workspace);
    let notes = workspace.notes.iter().cloned().chain(told).chain(gone).collect();
    Ok(Planned { plan, workspace, notes })
}

/// Reads the ledger and the commits.
fn read(
    prepared: Prepared,
    ledger: &(dyn Fn() -> Result<Known, Failure> + Sync),
) -> Result<(Known, Workspace), Failure> {
    let base = prepared.base()?;
    let (known, workspace) = if !prepared.names_base() && base.commit == prepared.head.commit {
        // All is merged, so the commits say nothing: compared is with what was applied last.
        let known = ledger();
        let last = known.as_ref().ok().and_then(|known| last_applied(&prepared, known));
        (known, prepared.read(&last.unwrap_or(base)))
    } else {
        // Side by side: in a large env both take their time.
        std::thread::scope(|scope| {
            let known = scope.spawn(ledger);
            let workspace = prepared.read(&base);
            (known.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), workspace)
        })
    };
    let known = known.map_err(|it| it.hint("or plan without the ledger: `--no-state`"))?;
    Ok((known, workspace?))
}

/// The commit that was applied last, where head contains it.
fn last_applied(prepared: &Prepared, known: &Known) -> Option<Revision> {
    let commit = known.ledger.as_ref()?.commit.as_ref()?;
    let repository = &prepared.repository;
    let contains = repository.descends(&prepared.head.commit, commit).unwrap_or(false);
    repository.revision(&commit.0).ok().filter(|_| contains)
}

/// Schedules that go on although the settings no longer say where they are.
fn abandoned(known: &Known, workspace: &Workspace) -> Option<String> {
    let published = known.ledger.as_ref()?.schedules.as_ref()?;
    let gone = workspace.settings.dags.place.is_none();
    gone.then(|| {
        format!(
            "the schedules in {} go on as they are, though `airflow.dags` is no longer set: remove {} and {} there to end them",
            visible(&published.location),
            crate::schedule::LOADER_FILE,
            crate::schedule::MANIFEST_FILE
        )
    })
}

/// What people should know of the ledger that was planned against.
fn notes_on(known: &Known, basis: &Basis<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(lock) = known.lock.as_ref().filter(|lock| lock.holder.is_some()) {
        notes.push(format!("the lock is held by {}", visible(&lease::describe(lock))));
    }
    if known.journaled > 0 {
        notes.push(format!(
            "{} resources count as applied by the journal of a run that is not finished",
            known.journaled
        ));
    }
    if basis.missing > 0 {
        notes.push(format!(
            "{} files that were applied are not in this clone, so reasons are less exact: fetch all history (`fetch-depth: 0`)",
            basis.missing
        ));
    }
    notes
}

/// The plan of a workspace.
pub(super) fn make(workspace: &Workspace, as_of: Day, options: &Options) -> Result<Plan, Failure> {
    Basis::of(workspace, None, super::super::state::USUAL.to_owned(), options)?.plan(as_of)
}

/// Today, in UTC, as schedulers count days.
pub(super) fn today() -> Day {
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    Day::of(now.date())
}
