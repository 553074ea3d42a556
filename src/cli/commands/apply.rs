//! `apply`: plan again under the lock, run that, and keep what was applied.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use super::super::args::ApplyArgs;
use super::super::args::Format;
use super::super::args::ProgressFormat;
use super::super::basis;
use super::super::basis::Basis;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Receipt;
use super::super::schedules;
use super::super::signals::Watch;
use super::super::state;
use super::super::state::Session;
use super::super::state::State;
use super::super::state::Wish;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use super::adopt;
use super::checks;
use super::checks::Asked;
use super::ground::Ground;
use super::resume;
use super::resume::Resumed;
use crate::plan::Options;
use crate::plan::contract::Cause;
use crate::plan::contract::Plan;
use crate::state::journal::Begun;

const NOTHING_TO_RESUME: &str = "Nothing to resume: no job of an earlier apply may be running, and \
     no work of one waits to be gone on with.\n";

pub(in super::super) fn run(args: &ApplyArgs, output: &mut Output) -> Result<Exit, Failure> {
    if !args.resume {
        return perform_asked(&asked(args)?, output);
    }
    let state = State::open(&Prepared::of(&super::request(&args.repo))?)?;
    match resume::of(&state)? {
        Some(resumed) => {
            let args = resuming(args, &resumed.begun);
            perform_asked(&going_on(&args, super::request(&args.repo), resumed), output)
        }
        None => {
            output.answer(None, NOTHING_TO_RESUME)?;
            Ok(Exit::Done)
        }
    }
}

/// What the arguments ask for.
fn asked(args: &ApplyArgs) -> Result<Asked<'_>, Failure> {
    let file = args.file.as_deref().map(super::show::read).transpose()?;
    let from_file = |side: fn(&Plan) -> String| file.as_ref().map(side);
    Ok(Asked {
        args,
        request: Request {
            base: args.base.clone().or(from_file(|plan| plan.base.commit.clone())),
            head: args.head.clone().or(from_file(|plan| plan.head.commit.clone())),
            ..super::request(&args.repo)
        },
        as_of: file.as_ref().map(|it| it.as_of).or(args.as_of),
        options: Options { targets: args.target.clone(), force: forced(args, file.as_ref()) },
        file,
        resumes: None,
    })
}

/// The arguments, with what was said when what is gone on with was begun.
pub(super) fn resuming(args: &ApplyArgs, begun: &Begun) -> ApplyArgs {
    let mut args = args.clone();
    args.archived.extend(begun.archived.iter().cloned());
    args.done.extend(begun.done.iter().cloned());
    args
}

/// What is gone on with: the commit, the day and the steps that were begun.
pub(super) fn going_on(args: &ApplyArgs, request: Request, resumed: Resumed) -> Asked<'_> {
    let Resumed { commit, day, begun, plan, runs: _ } = resumed;
    let base = Some(plan.base.commit.clone()).filter(|_| request.settled.is_none());
    Asked {
        args,
        request: Request { base, head: Some(commit), ..request },
        as_of: Some(day),
        options: Options { targets: Vec::new(), force: forced(args, Some(&plan)) },
        file: Some(plan),
        resumes: Some(begun),
    }
}

/// Applies what is asked for, once somebody has said yes.
fn perform_asked(asked: &Asked<'_>, output: &mut Output) -> Result<Exit, Failure> {
    let args = asked.args;
    let prepared = Prepared::of(&asked.request)?;
    checks::can_detach(asked, &prepared)?;
    let state = State::open(&prepared)?;
    checks::check_file(asked, &state)?;
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.yes && !args.dry_run && !terminal {
        return Err(Failure::new("there is no terminal to ask on")
            .hint("chronon-plan apply --dry-run, to see what would be run")
            .hint("chronon-plan apply --yes, to run it"));
    }
    // A saved plan is held against the ledger step by step.
    let mut approved = args.approved.clone().filter(|_| asked.file.is_none()).map(|it| (it, None));
    if !args.yes || args.dry_run {
        let plan = preview(asked, &state, output)?;
        if args.dry_run {
            return Ok(Exit::Done);
        }
        // Without anything to run the ledger still learns which commit it stands for.
        if !plan.is_empty() && !ask(output)? {
            output.tell("Nothing was applied.");
            return Ok(Exit::Done);
        }
        approved.get_or_insert((plan.digest.clone(), Some(plan)));
    }
    let watch = Watch::start()?;
    let hooks = Hooks {
        allows: &|plan, state| checks::check_digest(plan, approved.clone(), state),
        begins: &|_| (),
    };
    Ok(perform(asked, prepared, &state, &watch, &hooks, output)?.exit)
}

/// Who decides and hears, beside the arguments.
pub(super) struct Hooks<'a> {
    /// Whether the plan may be applied; asked once, under the lock.
    pub(super) allows: &'a dyn Fn(&Plan, &State) -> Result<(), Failure>,
    /// Told the plan that is about to run, once nothing stands in its way.
    pub(super) begins: &'a dyn Fn(&Plan),
}

/// Applies under the lock.
pub(super) fn perform(
    asked: &Asked<'_>,
    prepared: Prepared,
    state: &State,
    watch: &Watch,
    hooks: &Hooks<'_>,
    output: &mut Output,
) -> Result<Receipt, Failure> {
    let head = prepared.head.commit.clone();
    let wish = Wish {
        doing: "apply",
        commit: Some(&head),
        patience: Duration::from_secs(asked.args.lock_timeout),
        stop: &watch.stop,
        tell: &|text| Output::aside(&text),
        mends: false,
    };
    let receipt = state::locked(state, &wish, |session| {
        apply(asked, prepared, state, session, watch, hooks, output)
    });
    match receipt {
        Err(failure) if watch.is_interrupted() => Err(failure.ends(Exit::Interrupted)),
        other => other,
    }
}

/// Plans without the lock and shows it.
fn preview(asked: &Asked<'_>, state: &State, output: &mut Output) -> Result<Plan, Failure> {
    let known = state.known()?;
    let prepared = Prepared::of(&asked.request)?;
    let (workspace, ledger) = match known.ledger.clone() {
        Some(ledger) => {
            checks::descends(asked, &prepared, &ledger)?;
            let workspace = checks::open(prepared, &ledger)?;
            let ledger = basis::upgraded(&workspace, ledger)?;
            (workspace, Some(ledger))
        }
        None => {
            let base = checks::first_base(&prepared)?;
            (prepared.read(&base)?, None)
        }
    };
    let published = schedules::published(state, ledger.as_deref(), &workspace.settings)?;
    let basis = Basis::of(&workspace, ledger, state.location.clone(), &asked.options)?;
    let basis = asked.over(basis, published);
    let mut plan = asked.plan(&basis, &known.carried, &workspace.pair.head.commit)?;
    checks::select(asked, &mut plan)?;
    super::tell_notes(&workspace, output);
    let format = match asked.args.format {
        ProgressFormat::Text => Format::Text,
        ProgressFormat::Json => Format::Json,
    };
    output.answer(None, &super::rendered(&plan, format, output.style(None))?)?;
    checks::refusals(asked, &workspace, &plan)?;
    Ok(plan)
}

/// The steps that run although nothing asks for them: those of the arguments, and those of a saved
/// plan.
fn forced(args: &ApplyArgs, file: Option<&Plan>) -> Vec<String> {
    let steps = file.into_iter().flat_map(|plan| &plan.steps);
    let saved = steps.filter(|step| step.cause == Cause::Forced).map(|step| step.id.clone());
    args.force.iter().cloned().chain(saved).collect()
}

fn ask(output: &mut Output) -> Result<bool, Failure> {
    output.tell("\nApply this? Only `yes` does it:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::new)?;
    Ok(answer.trim() == "yes")
}

/// Applies, the lock being held.
fn apply(
    asked: &Asked<'_>,
    prepared: Prepared,
    state: &State,
    session: &Session<'_>,
    watch: &Watch,
    hooks: &Hooks<'_>,
    output: &mut Output,
) -> Result<Receipt, Failure> {
    checks::still_resumes(asked, &session.carried)?;
    let ledger = match &session.ledger {
        Some(ledger) => ledger.clone(),
        None => {
            let base = checks::first_base(&prepared)?;
            let adopted = adopt::first_ledger(&prepared, &asked.request, &base.commit, state)?;
            output.tell(format!("No ledger yet: {} counts as applied.", base.commit.short()));
            Arc::new(adopted)
        }
    };
    checks::descends(asked, &prepared, &ledger)?;
    let top = prepared.top();
    let workspace = checks::open(prepared, &ledger)?;
    let ledger = basis::upgraded(&workspace, ledger)?;
    let basis =
        Basis::of(&workspace, Some(ledger.clone()), state.location.clone(), &asked.options)?;
    let published = schedules::published(state, Some(&ledger), &workspace.settings)?;
    let basis = asked.over(basis, published);
    let mut plan = asked.plan(&basis, &session.carried, &workspace.pair.head.commit)?;
    // What is gone on with is what was begun: whatever else there is to do by now is not asked about.
    if asked.resumes.is_some() {
        checks::select(asked, &mut plan)?;
        (hooks.allows)(&plan, state)?;
    } else {
        (hooks.allows)(&plan, state)?;
        checks::select(asked, &mut plan)?;
    }
    checks::refusals(asked, &workspace, &plan)?;
    (hooks.begins)(&plan);
    let head = RefCell::new(session.head.clone());
    let ground = Ground { asked, state, session, watch, workspace: &workspace, ledger, head, top };
    ground.run(&basis, &plan, output)
}
