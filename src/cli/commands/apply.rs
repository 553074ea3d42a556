//! `apply`: plan again under the lock, run that, and keep what was applied.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::args::ApplyArgs;
use super::super::args::ProgressFormat;
use super::super::basis;
use super::super::basis::Basis;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::View;
use super::super::signals::Watch;
use super::super::state;
use super::super::state::Session;
use super::super::state::State;
use super::super::state::Wish;
use super::super::tasks;
use super::super::tasks::Maker;
use super::super::tasks::Temporary;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use super::adopt;
use crate::apply::command::CommandRunner;
use crate::apply::engine;
use crate::apply::engine::Apply;
use crate::apply::engine::Report;
use crate::apply::engine::Task;
use crate::apply::machine::Machine;
use crate::apply::runner::Runner;
use crate::model::day::Day;
use crate::model::ledger::Ledger;
use crate::plan;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::plan::contract::Rewrite;
use crate::plan::contract::Step;
use crate::state::head::Head;
use crate::state::journal::Carried;
use crate::state::journal::Event;
use crate::state::journal::Journal;

/// How many jobs run at once when nobody says.
const USUAL_PARALLELISM: u32 = 8;

/// How many lines are shown of what differs between two plans.
const SHOWN: usize = 50;

/// What was asked for, with a saved plan read.
struct Asked<'a> {
    args: &'a ApplyArgs,
    request: Request,
    file: Option<Plan>,
    as_of: Day,
    options: Options,
}

pub(in super::super) fn run(args: &ApplyArgs, output: &mut Output) -> Result<Exit, Failure> {
    let file = args.file.as_deref().map(super::show::read).transpose()?;
    let from_file = |side: fn(&Plan) -> String| file.as_ref().map(side);
    let asked = Asked {
        args,
        request: Request {
            base: args.base.clone().or(from_file(|plan| plan.base.commit.clone())),
            head: args.head.clone().or(from_file(|plan| plan.head.commit.clone())),
            ..super::request(&args.repo)
        },
        as_of: file.as_ref().map(|it| it.as_of).or(args.as_of).unwrap_or_else(super::plan::today),
        options: Options { targets: args.target.clone(), force: args.force.clone() },
        file,
    };
    let prepared = Prepared::of(&asked.request)?;
    let state = State::open(&prepared)?;
    check_file(&asked, &state)?;
    let terminal = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if !args.yes && !args.dry_run && !terminal {
        return Err(Failure::new("there is no terminal to ask on")
            .hint("chronon-plan apply --dry-run, to see what would be run")
            .hint("chronon-plan apply --yes, to run it"));
    }
    let mut approved = args.approved.clone().map(|digest| (digest, None));
    if !args.yes || args.dry_run {
        let plan = preview(&asked, &state, output)?;
        if args.dry_run || plan.steps.is_empty() {
            return Ok(Exit::Done);
        }
        if !ask(output)? {
            output.tell("Nothing was applied.");
            return Ok(Exit::Done);
        }
        approved.get_or_insert((plan.digest.clone(), Some(plan)));
    }
    let watch = Watch::start()?;
    let head = prepared.head.commit.clone();
    let wish = Wish {
        doing: "apply",
        commit: Some(&head),
        patience: Duration::from_secs(args.lock_timeout),
        stop: &watch.stop,
        tell: &|text| Output::aside(&text),
    };
    let exit = state::locked(&state, &wish, |session| {
        apply(&asked, prepared, &state, session, &watch, approved, output)
    });
    match exit {
        Err(failure) if watch.is_interrupted() => Err(failure.ends(Exit::Interrupted)),
        other => other,
    }
}

/// A saved plan belongs to one env and one state.
fn check_file(asked: &Asked<'_>, state: &State) -> Result<(), Failure> {
    let Some(file) = &asked.file else { return Ok(()) };
    let again = "plan again: `chronon-plan plan --format json --out plan.json`";
    let other = |what: String| Err(Failure::new(what).ends(Exit::Stale).hint(again));
    if file.env != state.env {
        return other(format!("the plan is for env `{}`, not `{}`", file.env, state.env));
    }
    if file.state.location != state.location {
        let (old, new) = (&file.state.location, &state.location);
        return other(format!("the plan was made for the state in {old}, not in {new}"));
    }
    if !file.skipped_files.is_empty() {
        return other("the plan leaves out files that could not be read".to_owned());
    }
    Ok(())
}

/// Plans without the lock and shows it.
fn preview(asked: &Asked<'_>, state: &State, output: &mut Output) -> Result<Plan, Failure> {
    let known = state.known()?;
    let prepared = Prepared::of(&asked.request)?;
    let serial = known.head.as_ref().map(|head| head.ledger.serial);
    let (workspace, ledger) = match known.ledger {
        Some(ledger) => {
            descends(asked, &prepared, &ledger)?;
            let workspace = open(prepared, asked, &ledger)?;
            let ledger = basis::upgraded(&workspace, ledger)?;
            (workspace, Some(ledger))
        }
        None => {
            let base = first_base(&prepared)?;
            (prepared.read(&base)?, None)
        }
    };
    debug_assert_eq!(serial.is_some(), ledger.is_some());
    let basis = Basis::of(&workspace, ledger, state.location.clone())?;
    let mut plan = basis.plan(asked.as_of, &asked.options)?;
    select(asked, &mut plan)?;
    super::tell_notes(&workspace, output);
    let text = super::rendered(&plan, super::super::args::Format::Text, output.style(None))?;
    if asked.args.format == ProgressFormat::Text {
        output.answer(None, &text)?;
    } else {
        output.answer(None, &super::json(&plan)?)?;
    }
    refusals(asked, &workspace, &plan)?;
    Ok(plan)
}

/// Without a ledger somebody must say what counts as applied: to guess it would leave out jobs.
fn first_base(prepared: &Prepared) -> Result<crate::source::Revision, Failure> {
    if prepared.names_base() {
        return prepared.base();
    }
    Err(Failure::new("there is no ledger yet, so nothing says what is applied")
        .hint("chronon-plan state adopt --commit REV, to record that REV is what runs today")
        .hint("or chronon-plan apply --base REV, which does that and then applies the difference"))
}

fn open(prepared: Prepared, asked: &Asked<'_>, ledger: &Ledger) -> Result<Workspace, Failure> {
    let base = match &ledger.commit {
        Some(commit) if asked.request.base.is_none() => {
            prepared.repository.revision(&commit.0).map_err(|error| not_here(&commit.0, error))?
        }
        _ => prepared.base()?,
    };
    prepared.read(&base)
}

fn not_here(commit: &str, error: crate::source::SourceError) -> Failure {
    let failure = Failure::from(error);
    Failure::new(format!("the commit that was applied last, {commit}, is not in this clone"))
        .lines(failure.what)
        .ends(Exit::Stale)
        .hint("fetch all history: `git fetch --unshallow`, or `fetch-depth: 0` in GitHub Actions")
        .hint("if history was rewritten: name what to compare with, `--base REV --allow-older`")
}

/// A commit that does not contain the one that was applied last would roll production back.
fn descends(asked: &Asked<'_>, prepared: &Prepared, ledger: &Ledger) -> Result<(), Failure> {
    let Some(last) = &ledger.commit else { return Ok(()) };
    if asked.args.allow_older {
        return Ok(());
    }
    let descends = prepared.repository.descends(&prepared.head.commit, last);
    if descends.map_err(|error| not_here(&last.0, error))? {
        return Ok(());
    }
    let (head, last) = (prepared.head.commit.short(), last.short());
    Err(Failure::new(format!(
        "{head} does not contain {last}, which was applied last: applying it would undo that"
    ))
    .ends(Exit::Stale)
    .hint(format!("apply a commit that contains {last}"))
    .hint("if undoing it is what you want: `--allow-older`"))
}

/// Everything that keeps a plan from being applied as it is, all at once.
fn refusals(asked: &Asked<'_>, workspace: &Workspace, plan: &Plan) -> Result<(), Failure> {
    let args = asked.args;
    let archived: BTreeSet<&str> = args.archived.iter().map(String::as_str).collect();
    let by_hand = workspace.settings.archive.is_none();
    let is_archived = |step: &Step| archived.contains(step.config.to_string().as_str());
    let blocked =
        |step: &&Step| step.rewrite == Some(Rewrite::ArchiveFirst) && by_hand && !is_archived(step);
    let unarchived: Vec<&Step> = plan.steps.iter().filter(blocked).collect();
    if !unarchived.is_empty() {
        let mut failure = Failure::new(
            "these tables must be archived or dropped first, or their history stays wrong",
        )
        .ends(Exit::Policy);
        for step in &unarchived {
            let table = workspace.pair.head.get(&step.config).and_then(|it| it.output_table());
            failure = failure.lines([format!("{}: {}", step.config, table.unwrap_or_default())]);
        }
        let names: Vec<String> =
            unarchived.iter().map(|it| format!("--archived {}", it.config)).collect();
        return Err(failure
            .hint(format!("once that is done: chronon-plan apply {}", names.join(" ")))
            .hint(format!("or set `env.{}.archive` to the command that does it", plan.env)));
    }
    let open = |step: &&Step| step.range.as_ref().is_some_and(|range| range.start.is_none());
    let endless: Vec<String> =
        plan.steps.iter().filter(open).map(|step| step.config.to_string()).collect();
    if !endless.is_empty() {
        let setting = format!("env.{}.backfill.start", plan.env);
        return Err(Failure::new("nothing says where these backfills start")
            .lines(endless)
            .hint(format!("set `{setting}` in {}", crate::plan::settings::FILE))
            .hint("or leave them out: `--target`"));
    }
    let ids: BTreeSet<&str> = plan.steps.iter().map(|it| it.id.as_str()).collect();
    let unknown: Vec<String> =
        args.done.iter().filter(|it| !ids.contains(it.as_str())).cloned().collect();
    if !unknown.is_empty() {
        return Err(Failure::new("`--done` names steps that are not in the plan").lines(unknown));
    }
    Ok(())
}

fn ask(output: &mut Output) -> Result<bool, Failure> {
    output.tell("\nApply this? Only `yes` does it:");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::new)?;
    Ok(answer.trim() == "yes")
}

/// Leaves the steps of a saved plan that are still to do; fails where what it says of one no
/// longer holds.
fn select(asked: &Asked<'_>, live: &mut Plan) -> Result<(), Failure> {
    let Some(file) = &asked.file else { return Ok(()) };
    let lineage = |plan: &Plan| plan.state.lineage.clone();
    let again = "plan again: `chronon-plan plan --format json --out plan.json`";
    if file.state.found && lineage(file) != lineage(live) {
        return Err(Failure::new("the plan was made for another ledger, which is no longer there")
            .ends(Exit::Stale)
            .hint(again));
    }
    let wanted: BTreeMap<&str, &Step> = file.steps.iter().map(|it| (it.id.as_str(), it)).collect();
    let same = |a: &Step, b: &Step| {
        a.argv == b.argv
            && a.rewrite == b.rewrite
            && a.range == b.range
            && a.manual == b.manual
            && a.trigger == b.trigger
    };
    let mut stale = Vec::new();
    for step in &live.steps {
        match wanted.get(step.id.as_str()) {
            Some(planned) if !same(planned, step) => {
                stale.push(format!("{}: it would run differently now", step.id));
            }
            Some(_) => stale.extend(
                step.after
                    .iter()
                    .filter(|it| !wanted.contains_key(it.as_str()))
                    .map(|it| format!("{}: it waits for {it} now, which the plan lacks", step.id)),
            ),
            None => {}
        }
    }
    if !stale.is_empty() {
        return Err(Failure::new("the plan is out of date")
            .lines(stale)
            .ends(Exit::Stale)
            .hint(again));
    }
    let kept: BTreeSet<String> = wanted.keys().map(|it| (*it).to_owned()).collect();
    live.complete = live.complete && live.steps.iter().all(|it| kept.contains(&it.id));
    live.steps.retain(|step| kept.contains(&step.id));
    Ok(())
}

/// Applies, the lock being held.
fn apply(
    asked: &Asked<'_>,
    prepared: Prepared,
    state: &State,
    session: &Session<'_>,
    watch: &Watch,
    approved: Option<(String, Option<Plan>)>,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut head = session.head.clone();
    let ledger = match &session.ledger {
        Some(ledger) => ledger.clone(),
        None => {
            let base = first_base(&prepared)?;
            let adopted = adopt::ledger_of(asked.request.clone(), &base.commit.0, state)?;
            let saved = session.save(state, None, adopted)?;
            output.tell(format!("No ledger yet: {} counts as applied.", base.commit.short()));
            head.insert(saved).ledger.clone()
        }
    };
    descends(asked, &prepared, &ledger)?;
    let top = prepared.top();
    let workspace = open(prepared, asked, &ledger)?;
    let ledger = basis::upgraded(&workspace, ledger)?;
    let basis = Basis::of(&workspace, Some(ledger.clone()), state.location.clone())?;
    let mut plan = basis.plan(asked.as_of, &asked.options)?;
    check_digest(&plan, approved, state)?;
    select(asked, &mut plan)?;
    refusals(asked, &workspace, &plan)?;
    let ground = Ground { asked, state, session, watch, workspace: &workspace, ledger, head, top };
    ground.run(&basis, &plan, output)
}

/// The plan must be the one that was approved.
fn check_digest(
    plan: &Plan,
    approved: Option<(String, Option<Plan>)>,
    state: &State,
) -> Result<(), Failure> {
    let Some((digest, known)) = approved.filter(|it| it.0 != plan.digest) else { return Ok(()) };
    let kept = || {
        let bytes = crate::state::head::kept_plan(&state.objects, &digest).ok()??;
        serde_json::from_slice::<Plan>(&bytes).ok()
    };
    let mut failure = Failure::new(format!("the plan is {}, not {digest}", plan.digest))
        .ends(Exit::PlanDiffers)
        .hint("chronon-plan plan, to see it; then approve its digest");
    if let Some(before) = known.or_else(kept) {
        let mut lines = plan::difference(&before, plan);
        let more = lines.len().saturating_sub(SHOWN);
        lines.truncate(SHOWN);
        failure = failure.lines(lines);
        if more > 0 {
            failure = failure.lines([format!("and {more} more")]);
        }
    }
    Err(failure)
}

/// Everything that a run stands on.
struct Ground<'a> {
    asked: &'a Asked<'a>,
    state: &'a State,
    session: &'a Session<'a>,
    watch: &'a Watch,
    workspace: &'a Workspace,
    ledger: Ledger,
    head: Option<Head>,
    top: PathBuf,
}

impl Ground<'_> {
    fn run(&self, basis: &Basis<'_>, plan: &Plan, output: &mut Output) -> Result<Exit, Failure> {
        let desired = plan::desired(&basis.inputs(self.asked.as_of, &self.asked.options))?;
        let folder = std::env::temp_dir().join(format!("chronon-plan-{}", self.session.run));
        let folder = Temporary(folder);
        let logs = self.top.join(state::USUAL).join("logs").join(&self.state.env);
        let logs = logs.join(&self.session.run);
        let maker = Maker {
            workspace: self.workspace,
            ledger: &self.ledger,
            desired: &desired,
            args: self.asked.args,
            folder: &folder.0,
            logs: &logs,
        };
        let tasks = maker.tasks(&plan.steps)?;
        let view = View::new(self.asked.args.format, output.is_live(), &tasks);
        let report = if tasks.is_empty() {
            Report::default()
        } else {
            super::make_folder(&logs)?;
            tasks::materialise(self.workspace, &plan.steps, &folder.0)?;
            self.run_tasks(plan, &tasks, &maker, &view)?
        };
        let saved = self.save(&desired, &report)?;
        view.finish();
        self.conclude(plan, &tasks, &report, saved, &view, output)
    }

    fn run_tasks(
        &self,
        plan: &Plan,
        tasks: &[Task],
        maker: &Maker<'_>,
        view: &View,
    ) -> Result<Report, Failure> {
        let machine = Machine {
            env: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
            locks: self.top.join(state::USUAL).join("locks"),
        };
        super::make_folder(&machine.locks)?;
        let find = self.workspace.settings.find.clone();
        let commands = CommandRunner { machine: machine.clone(), find };
        let cli = super::runner(self.workspace, &machine);
        let runner: &dyn Runner = match &cli {
            Some(cli) => cli.as_ref(),
            None => &commands,
        };
        preflight(tasks, runner, &commands)?;
        let json = super::json(plan)?;
        crate::state::head::keep_plan(&self.state.objects, &plan.digest, json.as_bytes())?;
        let journal = Journal::of(&self.state.objects, &self.session.run);
        let carried = self.carried(tasks, view);
        let opened = Event::Opened {
            plan: plan.digest.clone(),
            commit: self.workspace.pair.head.commit.to_string(),
            carried: Carried { commit: None, ..carried.clone() },
        };
        journal.add(vec![opened]).map_err(Failure::new)?;
        self.session.journaled.store(true, Ordering::SeqCst);
        self.session.folded.store(true, Ordering::SeqCst);
        let parallelism = self.asked.args.parallelism.or(self.workspace.settings.parallelism);
        let parallelism = parallelism.unwrap_or(USUAL_PARALLELISM) as usize;
        let applied = maker.applied(&plan.steps);
        Ok(engine::run(&Apply {
            run: &self.session.run,
            tasks,
            applied: &applied,
            parallelism,
            runner,
            commands: &commands,
            journal: &journal,
            lease: self.session.lease,
            carried: &carried,
            clock: self.state.objects.clock(),
            date: &state::date,
            stop: &self.watch.stop,
            tell: &|event| view.tell(event),
        }))
    }

    /// What earlier runs left that this plan can go on with.
    fn carried(&self, tasks: &[Task], view: &View) -> Carried {
        let mut carried = self.session.carried.clone();
        let steps: BTreeSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        carried.open.retain(|_, open| {
            let known = steps.contains(open.step.as_str());
            if !known {
                let job = open.job.as_deref().unwrap_or("of unknown name");
                view.note(format!(
                    "the job {job} of {} was started by an earlier run and may still be running; this plan does not ask for it",
                    open.step
                ));
            }
            known
        });
        carried
    }

    /// Writes the next ledger: what was applied, and the commit.
    fn save(&self, desired: &tasks::Prints, report: &Report) -> Result<Option<Head>, Failure> {
        let mut ledger = self.ledger.clone();
        ledger.applied.extend(report.rows.iter().cloned());
        ledger.commit = Some(self.workspace.pair.head.commit.clone());
        // What says the same in another file is read from there from now on.
        for (key, applied) in &mut ledger.applied {
            let same = desired.get(key).is_some_and(|it| it.whole == applied.fingerprint);
            if let Some(config) = self.workspace.pair.head.get(&key.0).filter(|_| same) {
                applied.blob = config.blob;
                applied.path.clone_from(&config.path);
            }
        }
        let kept = self.head.as_ref().map(|head| &head.ledger);
        if kept == Some(&ledger) || report.lost || report.cut_off.is_some() {
            self.session.journaled.store(report.unfinished, Ordering::SeqCst);
            self.session.folded.store(!report.lost, Ordering::SeqCst);
            return Ok(None);
        }
        let saved = self.session.save(self.state, self.head.as_ref(), ledger)?;
        self.session.journaled.store(report.unfinished, Ordering::SeqCst);
        self.session.folded.store(true, Ordering::SeqCst);
        Ok(Some(saved))
    }

    /// Says what came of it.
    fn conclude(
        &self,
        plan: &Plan,
        tasks: &[Task],
        report: &Report,
        saved: Option<Head>,
        view: &View,
        output: &mut Output,
    ) -> Result<Exit, Failure> {
        let exit = if self.watch.is_interrupted() {
            Exit::Interrupted
        } else if report.lost {
            Exit::Locked
        } else if report.cut_off.is_some() || !report.is_complete() {
            Exit::Partial
        } else {
            Exit::Done
        };
        let serial = saved.as_ref().or(self.head.as_ref()).map_or(0, |head| head.ledger.serial);
        let left = match (exit, saved.map(|head| head.ledger).or(Some(self.ledger.clone()))) {
            (Exit::Done, Some(ledger)) if plan.complete && self.asked.file.is_none() => {
                let options = Options::default();
                let basis = Basis::of(self.workspace, Some(ledger), self.state.location.clone())?;
                Some(basis.plan(self.asked.as_of, &options)?.steps.len())
            }
            _ => None,
        };
        let summary = super::super::progress::Summary {
            plan: plan.digest.clone(),
            serial,
            left,
            cut_off: report.cut_off.as_ref().map(ToString::to_string),
            exit,
        };
        view.conclude(tasks, report, &summary, output)?;
        Ok(exit)
    }
}

/// What would go wrong, found before anything is submitted.
fn preflight(tasks: &[Task], runner: &dyn Runner, commands: &dyn Runner) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for (own, runner) in [(false, runner), (true, commands)] {
        let jobs: Vec<_> = tasks
            .iter()
            .flat_map(|task| {
                let engine::How::Jobs(pieces) = &task.how else { return Vec::new() };
                let of = |piece: &crate::apply::work::Piece| crate::apply::runner::Job {
                    argv: piece.argv.clone(),
                    ..task.job.clone()
                };
                pieces.iter().filter(|it| it.own == own).map(of).collect()
            })
            .collect();
        problems.extend(runner.preflight(&jobs));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new("nothing was submitted: this would go wrong")
        .lines(problems.iter().map(|it| it.what.clone()));
    let hints: BTreeSet<&str> = problems.iter().map(|it| it.next.as_str()).collect();
    for hint in hints {
        failure = failure.hint(hint);
    }
    Err(failure)
}
