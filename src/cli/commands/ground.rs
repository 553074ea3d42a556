//! An apply from the plan to the receipt: tasks, preflight, journal, engine, ledger.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::super::basis::Basis;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Receipt;
use super::super::progress::View;
use super::super::schedules;
use super::super::signals::Watch;
use super::super::state;
use super::super::state::Session;
use super::super::state::State;
use super::super::tasks;
use super::super::tasks::Maker;
use super::super::tasks::Temporary;
use super::super::workspace::Workspace;
use super::checks::Asked;
use crate::apply::command::CommandRunner;
use crate::apply::engine;
use crate::apply::engine::Apply;
use crate::apply::engine::How;
use crate::apply::engine::Report;
use crate::apply::engine::Task;
use crate::apply::engine::Wait;
use crate::apply::machine::Machine;
use crate::apply::runner::Problem;
use crate::apply::runner::Runner;
use crate::model::day::Day;
use crate::model::ledger::Ledger;
use crate::model::ledger::Published;
use crate::plan;
use crate::plan::Options;
use crate::plan::contract::Plan;
use crate::state::fold;
use crate::state::head::Head;
use crate::state::journal::Begun;
use crate::state::journal::Carried;
use crate::state::journal::Event;
use crate::state::journal::Journal;

/// How many jobs run at once when nobody says.
const USUAL_PARALLELISM: u32 = 8;

/// What is said of what was found in the way before the first job.
pub(super) const UNSUBMITTED: &str = "nothing was submitted: this would go wrong";

/// Everything that a run stands on.
pub(super) struct Ground<'a> {
    pub(super) asked: &'a Asked<'a>,
    pub(super) state: &'a State,
    pub(super) session: &'a Session<'a>,
    pub(super) watch: &'a Watch,
    pub(super) workspace: &'a Workspace,
    pub(super) ledger: Arc<Ledger>,
    /// The ledger as it is kept; none until a first one is.
    pub(super) head: RefCell<Option<Head>>,
    pub(super) top: PathBuf,
}

impl Ground<'_> {
    /// Runs a plan and says what came of it.
    pub(super) fn run(
        &self,
        basis: &Basis<'_>,
        plan: &Plan,
        output: &mut Output,
    ) -> Result<Receipt, Failure> {
        let desired = plan::desired(&basis.inputs(plan.as_of))?;
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
            self.keep_plan(plan)?;
            self.pass_on(plan, &view)?
        } else {
            super::make_folder(&logs)?;
            tasks::materialise(self.workspace, &plan.steps, &folder.0)?;
            let files = self.prepare(basis, plan, &view)?;
            self.run_tasks(plan, &tasks, &maker, files, &view)?
        };
        let published = self.publish(basis, plan, &report, &view);
        let saved = self.save(&desired, &report, published.as_ref().ok().cloned().flatten())?;
        view.finish();
        let receipt = self.conclude(plan, &report, saved, &published, &view, output)?;
        if let Err(failure) = published {
            output.tell(failure.hint("then apply again: the schedules are published last"));
        }
        Ok(receipt)
    }

    /// This machine.
    pub(super) fn machine(&self) -> Machine {
        let pair = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let locks = self.top.join(state::USUAL).join("locks");
        Machine { env: std::env::vars_os().filter_map(pair).collect(), locks }
    }

    /// Keeps a plan under its digest: an apply that goes on is held against it.
    fn keep_plan(&self, plan: &Plan) -> Result<(), Failure> {
        if plan.is_empty() {
            return Ok(());
        }
        let json = super::json(plan)?;
        crate::state::head::keep_plan(&self.state.objects, &plan.digest, json.as_bytes())?;
        Ok(())
    }

    /// Without anything to run: the jobs of earlier runs are still not forgotten.
    fn pass_on(&self, plan: &Plan, view: &View) -> Result<Report, Failure> {
        let carried = self.carried(plan, &[], view);
        if !carried.has_work() {
            return Ok(Report::default());
        }
        let json = super::json(plan)?;
        crate::state::head::keep_plan(&self.state.objects, &plan.digest, json.as_bytes())?;
        self.open(plan, &carried)?;
        Ok(Report { unfinished: true, ..Report::default() })
    }

    /// Opens this run's journal with what earlier runs left.
    fn open(&self, plan: &Plan, carried: &Carried) -> Result<Journal<'_>, Failure> {
        // What a journal says is said of a ledger: the first one is kept before anything runs.
        if self.head.borrow().is_none() {
            let first = Ledger::clone(&self.ledger);
            *self.head.borrow_mut() = Some(self.session.save(self.state, None, first)?);
        }
        let journal = Journal::of(&self.state.objects, &self.session.run);
        let opened = Event::Opened {
            plan: plan.digest.clone(),
            commit: Some(self.workspace.pair.head.commit.to_string()),
            as_of: Some(plan.as_of),
            carried: Carried {
                commit: None,
                as_of: None,
                asked: Some(Box::new(self.begun(plan))),
                ..carried.clone()
            },
        };
        journal.add(vec![opened])?;
        self.session.journaled.store(true, Ordering::SeqCst);
        self.session.folded.store(true, Ordering::SeqCst);
        Ok(journal)
    }

    /// What is begun, for whoever goes on with it.
    fn begun(&self, plan: &Plan) -> Begun {
        if let Some(begun) = &self.asked.resumes {
            return begun.clone();
        }
        let ids = || plan.steps.iter().map(|step| step.id.clone()).collect();
        Begun {
            plan: plan.digest.clone(),
            steps: self.asked.file.as_ref().map(|_| ids()),
            archived: self.asked.args.archived.iter().cloned().collect(),
            done: self.asked.args.done.iter().cloned().collect(),
        }
    }

    fn run_tasks(
        &self,
        plan: &Plan,
        tasks: &[Task],
        maker: &Maker<'_>,
        files: Option<String>,
        view: &View,
    ) -> Result<Report, Failure> {
        let machine = self.machine();
        super::make_folder(&machine.locks)?;
        let find = self.workspace.settings.find.clone();
        let commands = CommandRunner { machine: machine.clone(), find };
        let cli = super::runner(self.workspace, &machine, files);
        let runner: &dyn Runner = match &cli {
            Some(cli) => cli.as_ref(),
            None => &commands,
        };
        preflight(tasks, runner, &commands, view)?;
        self.keep_plan(plan)?;
        let carried = self.carried(plan, tasks, view);
        let journal = self.open(plan, &carried)?;
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
            wait: Wait { detach: self.asked.args.detach, collect: self.asked.resumes.is_some() },
            stop: &self.watch.stop,
            tell: &|event| view.tell(event),
        }))
    }

    /// What earlier runs left: all their jobs that may be running, and of the work that is done
    /// what no other content has gone over since, nor will.
    fn carried(&self, plan: &Plan, tasks: &[Task], view: &View) -> Carried {
        let mut carried = self.session.carried.clone();
        let pieces: BTreeMap<&str, &How> =
            tasks.iter().map(|task| (task.id.as_str(), &task.how)).collect();
        let whole = plan.complete && self.asked.file.is_none();
        carried.done.retain(|work, done| match pieces.get(done.step.as_str()) {
            Some(How::Jobs(pieces)) => pieces.iter().any(|piece| piece.work == *work),
            // What a whole plan does not ask for, nobody does.
            _ => !whole,
        });
        for open in carried.open.values().filter(|it| !pieces.contains_key(it.step.as_str())) {
            let job = open.job.as_deref().unwrap_or("of unknown name");
            view.note(format!(
                "the job {job} of {} was started by an earlier run and may still be running; this plan does not ask for it",
                open.step
            ));
        }
        carried
    }

    /// Writes the next ledger: what was applied, and the commit.
    fn save(
        &self,
        desired: &tasks::Prints,
        report: &Report,
        published: Option<Published>,
    ) -> Result<Option<Head>, Failure> {
        let mut ledger = Ledger::clone(&self.ledger);
        ledger.applied.extend(report.rows.iter().cloned());
        fold::mark_begun(&mut ledger, &report.begun);
        ledger.commit = Some(self.workspace.pair.head.commit.clone());
        ledger.schedules = published.or(ledger.schedules);
        // What says the same in another file is read from there from now on.
        for (key, applied) in &mut ledger.applied {
            let same = desired.get(key).is_some_and(|it| it.whole == applied.fingerprint);
            if let Some(config) = self.workspace.pair.head.get(&key.0).filter(|_| same) {
                applied.blob = config.blob;
                applied.path.clone_from(&config.path);
            }
        }
        let before = self.head.borrow();
        let kept = before.as_ref().map(|head| &*head.ledger);
        if kept == Some(&ledger) || report.lost || report.cut_off.is_some() {
            self.session.journaled.store(report.unfinished, Ordering::SeqCst);
            self.session.folded.store(!report.lost, Ordering::SeqCst);
            return Ok(None);
        }
        let saved = self.session.supersede(self.state, before.as_ref(), ledger)?;
        self.session.journaled.store(report.unfinished, Ordering::SeqCst);
        self.session.folded.store(true, Ordering::SeqCst);
        Ok(Some(saved))
    }

    /// Says what came of it.
    fn conclude(
        &self,
        plan: &Plan,
        report: &Report,
        saved: Option<Head>,
        published: &Result<Option<Published>, Failure>,
        view: &View,
        output: &mut Output,
    ) -> Result<Receipt, Failure> {
        let exit = if self.watch.is_interrupted() {
            Exit::Interrupted
        } else if report.lost {
            Exit::Locked
        } else if report.cut_off.is_some() || !report.is_complete() || published.is_err() {
            Exit::Partial
        } else {
            Exit::Done
        };
        let before = self.head.borrow();
        let serial = saved.as_ref().or(before.as_ref()).map_or(0, |head| head.ledger.serial);
        let needed = match (exit, saved.map(|head| head.ledger).or(Some(self.ledger.clone()))) {
            (Exit::Done | Exit::Partial, Some(ledger))
                if self.asked.file.is_none() || self.asked.resumes.is_some() =>
            {
                // What was done is told, whatever a next plan says.
                let needed = self.needed(ledger, plan.as_of);
                let unknown = |it: &Failure| {
                    view.note(format!("what is still needed is not known: {}", it.what.join(" ")));
                };
                needed.inspect_err(unknown).ok()
            }
            _ => None,
        };
        let dags = plan.schedules.as_ref().map_or(0, |it| it.dags.len());
        let place = published.as_ref().ok().and_then(|it| it.as_ref()).map(|it| &it.location);
        let receipt = Receipt::of(plan.clone(), report, view);
        let receipt = receipt.vouched(self.workspace.settings.airflow.url.as_deref());
        let receipt = Receipt {
            serial,
            needed,
            exit,
            published: place.filter(|_| dags > 0).map(|it| (dags, it.clone())),
            unpublished: published.as_ref().err().map(|it| it.what.join(" ")),
            ..receipt
        };
        view.conclude(&receipt, output)?;
        Ok(receipt)
    }

    /// How many steps and DAGs a plan against this ledger has.
    fn needed(&self, ledger: Arc<Ledger>, as_of: Day) -> Result<usize, Failure> {
        let (options, workspace) = (Options::default(), self.workspace);
        let published = schedules::published(self.state, Some(&ledger), &workspace.settings)?;
        let location = self.state.location.clone();
        let basis = Basis::of(workspace, Some(ledger), location, &options)?;
        let again = basis.over(published).plan(as_of)?;
        Ok(again.steps.len() + again.schedules.map_or(0, |it| it.dags.len()))
    }
}

/// What would go wrong, found before anything is submitted; says what is to be noted.
fn preflight(
    tasks: &[Task],
    runner: &dyn Runner,
    commands: &dyn Runner,
    view: &View,
) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for (own, runner) in [(false, runner), (true, commands)] {
        let jobs: Vec<_> = tasks
            .iter()
            .flat_map(|task| {
                let How::Jobs(pieces) = &task.how else { return Vec::new() };
                let of = |piece: &crate::apply::work::Piece| crate::apply::runner::Job {
                    argv: piece.argv.clone(),
                    ..task.job.clone()
                };
                pieces.iter().filter(|it| it.own == own).map(of).collect()
            })
            .collect();
        problems.extend(runner.preflight(&jobs));
        runner.notes(&jobs).into_iter().for_each(|note| view.note(note));
    }
    sound(UNSUBMITTED, &problems)
}

/// Nothing is wrong, or all that is.
pub(super) fn sound(what: &str, problems: &[Problem]) -> Result<(), Failure> {
    if problems.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new(what).lines(problems.iter().map(|it| it.what.clone()));
    let hints: BTreeSet<&str> = problems.iter().map(|it| it.next.as_str()).collect();
    for hint in hints {
        failure = failure.hint(hint);
    }
    Err(failure)
}
