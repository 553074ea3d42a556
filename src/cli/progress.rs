//! What an apply shows while it goes on: a live view on a terminal, lines elsewhere, events for
//! programs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use schemars::JsonSchema;
use serde::Serialize;

use super::args::ProgressFormat;
use super::ending::last_words;
use super::ending::pages;
use super::ending::schedules;
use super::ending::steps;
use super::failure::Exit;
use super::failure::Failure;
use super::output::Output;
use crate::apply::airflow::is_page_of;
use crate::apply::board::State;
use crate::apply::engine::Report;
use crate::apply::engine::Task;
use crate::apply::progress::Progress;
use crate::plan::contract::Plan;
use crate::render::visible;

/// How often lines say what still runs.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// How many running steps a heartbeat names.
const NAMED: usize = 5;

/// How many running steps a live view shows.
const BARS: usize = 12;

/// What came of an apply.
pub(super) struct Receipt {
    /// The plan that was applied.
    pub(super) plan: Plan,
    /// How many steps it ran, or would have run.
    pub(super) steps: usize,
    /// Steps that are done.
    pub(super) done: usize,
    /// Steps that failed, or are to be done by hand.
    pub(super) failed: usize,
    /// Steps that were begun and left behind when the apply stopped.
    pub(super) left: usize,
    /// Steps whose jobs run on without the apply.
    pub(super) running: usize,
    /// Steps that were not started.
    pub(super) skipped: usize,
    /// Jobs that people can watch, by step.
    pub(super) watched: BTreeMap<String, Watched>,
    /// What is to be told of those that failed or are to be done by hand.
    pub(super) failures: Vec<Progress>,
    /// The serial of the ledger as it stands.
    pub(super) serial: u64,
    /// How many DAGs were published, and where.
    pub(super) published: Option<(usize, String)>,
    /// Why the schedules could not be published, if so.
    pub(super) unpublished: Option<String>,
    /// How many steps a new plan has, and DAGs to publish; none where nobody planned.
    pub(super) needed: Option<usize>,
    /// Why the journal could not be kept, if so.
    pub(super) cut_off: Option<String>,
    pub(super) took: Duration,
    pub(super) exit: Exit,
}

/// A job that people can watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Watched {
    /// Its page.
    pub(super) page: String,
    /// Where it stands; none while it runs.
    pub(super) done: Option<bool>,
}

/// One line of `--format json`.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Line {
    /// Something happened.
    Progress(Progress),
    /// The end.
    End(End),
}

/// The last line of `--format json`.
#[derive(Serialize, JsonSchema)]
pub(super) struct End {
    /// Always `ended`.
    event: &'static str,
    /// The digest of the plan.
    plan: String,
    /// The serial of the ledger as it stands.
    serial: u64,
    /// Steps that are done.
    done: usize,
    /// Steps that failed, or are to be done by hand.
    failed: usize,
    /// Steps that were begun and left behind when the apply stopped.
    left: usize,
    /// Steps whose jobs run on without the apply.
    running: usize,
    /// Steps that were not started.
    skipped: usize,
    /// How many DAGs were published.
    published: usize,
    /// How many steps a new plan has, and DAGs to publish; null where nobody planned.
    needed: Option<usize>,
    /// The exit code.
    exit: u8,
}

/// The view of one apply.
pub(super) struct View {
    format: ProgressFormat,
    live: Option<MultiProgress>,
    state: Arc<Mutex<Shown>>,
    over: Arc<AtomicBool>,
}

struct Shown {
    total: usize,
    ended: usize,
    started: Instant,
    running: BTreeMap<String, (Instant, Option<ProgressBar>)>,
    bar: Option<ProgressBar>,
    failures: Vec<Progress>,
    watched: BTreeMap<String, Watched>,
}

impl View {
    /// A view of these tasks; `live` where a terminal shows it.
    pub(super) fn new(format: ProgressFormat, live: bool, tasks: &[Task]) -> Self {
        let live =
            (live && format == ProgressFormat::Text && !tasks.is_empty()).then(MultiProgress::new);
        let bar = live.as_ref().map(|live| {
            let bar = live.add(ProgressBar::new(tasks.len() as u64));
            bar.set_style(style("  {pos} of {len} steps  {elapsed}  {msg}"));
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let state = Shown {
            total: tasks.len(),
            ended: 0,
            started: Instant::now(),
            running: BTreeMap::new(),
            bar,
            failures: Vec::new(),
            watched: BTreeMap::new(),
        };
        let view = Self {
            format,
            live,
            state: Arc::new(Mutex::new(state)),
            over: Arc::new(AtomicBool::new(false)),
        };
        if view.live.is_none() && format == ProgressFormat::Text && !tasks.is_empty() {
            view.beat();
        }
        view
    }

    /// Says from time to time what still runs: a CI that hears nothing thinks that nothing happens.
    fn beat(&self) {
        let (state, over) = (Arc::clone(&self.state), Arc::clone(&self.over));
        std::thread::spawn(move || {
            let mut last = Instant::now();
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(200));
                if last.elapsed() >= HEARTBEAT {
                    last = Instant::now();
                    Output::aside(&heartbeat(&lock(&state)));
                }
            }
        });
    }

    /// Shows what happened.
    pub(super) fn tell(&self, event: Progress) {
        if matches!(event, Progress::Failed { .. } | Progress::ByHand { .. }) {
            lock(&self.state).failures.push(event.clone());
        }
        lock(&self.state).watch(&event);
        if self.format == ProgressFormat::Json {
            Output::line(&Line::Progress(event));
            return;
        }
        let mut state = lock(&self.state);
        self.follow(&mut state, &event);
        let text = line(&event, &state);
        drop(state);
        self.say(&text);
    }

    /// Says something beside the steps.
    pub(super) fn note(&self, text: String) {
        self.tell(Progress::Note { text });
    }

    fn say(&self, text: &str) {
        match &self.live {
            // Lines that a hidden bar swallows would be lost.
            Some(live) => live.suspend(|| Output::aside(text)),
            None => Output::aside(text),
        }
    }

    /// Keeps count of what runs.
    fn follow(&self, state: &mut Shown, event: &Progress) {
        match event {
            Progress::Started { step, .. } | Progress::Resumed { step, .. } => {
                let bar = self.live.as_ref().filter(|_| state.running.len() < BARS).map(|live| {
                    let bar = live.add(ProgressBar::new_spinner());
                    bar.set_style(style("  {spinner} {msg}  {elapsed}"));
                    bar.set_message(visible(step));
                    bar.enable_steady_tick(Duration::from_millis(200));
                    bar
                });
                state.running.entry(step.clone()).or_insert((Instant::now(), bar));
            }
            Progress::Done { step, .. }
            | Progress::Failed { step, .. }
            | Progress::Left { step }
            | Progress::Detached { step }
            | Progress::Skipped { step, .. }
            | Progress::Scheduled { step }
            | Progress::ByHand { step, .. } => {
                state.ended += 1;
                if let Some((_, Some(bar))) = state.running.remove(step) {
                    bar.finish_and_clear();
                }
            }
            Progress::Submitted { .. } | Progress::Retrying { .. } | Progress::Note { .. } => {}
        }
        if let Some(bar) = &state.bar {
            bar.set_position(state.ended as u64);
            let waiting =
                state.total - state.ended - state.running.len().min(state.total - state.ended);
            bar.set_message(format!("{} running, {waiting} waiting", state.running.len()));
        }
    }

    /// Ends the view.
    pub(super) fn finish(&self) {
        self.over.store(true, Ordering::SeqCst);
        let mut state = lock(&self.state);
        for (_, bar) in std::mem::take(&mut state.running).into_values() {
            bar.iter().for_each(ProgressBar::finish_and_clear);
        }
        state.bar.iter().for_each(ProgressBar::finish_and_clear);
    }

    /// What has failed so far, what can be watched, and how long all of it took.
    fn so_far(&self) -> (Vec<Progress>, BTreeMap<String, Watched>, Duration) {
        let state = lock(&self.state);
        (state.failures.clone(), state.watched.clone(), state.started.elapsed())
    }

    /// Says how it ended.
    pub(super) fn conclude(&self, receipt: &Receipt, output: &mut Output) -> Result<(), Failure> {
        if self.format == ProgressFormat::Json {
            Output::line(&Line::End(End {
                event: "ended",
                plan: receipt.plan.digest.clone(),
                serial: receipt.serial,
                done: receipt.done,
                failed: receipt.failed,
                left: receipt.left,
                running: receipt.running,
                skipped: receipt.skipped,
                published: receipt.published.as_ref().map_or(0, |it| it.0),
                needed: receipt.needed,
                exit: receipt.exit.code(),
            }));
            return Ok(());
        }
        let mut text = match (receipt.steps, receipt.exit) {
            (0, Exit::Done) if receipt.published.is_some() => String::new(),
            (0, Exit::Done) => "Nothing to apply.\n".to_owned(),
            (0, Exit::Partial) if receipt.unpublished.is_some() => String::new(),
            (_, Exit::Done) => {
                format!("Applied {} in {}.\n", steps(receipt.done), elapsed(receipt.took))
            }
            _ => {
                let some = |count: usize, word: &str| match count {
                    0 => String::new(),
                    count => format!(", {count} {word}"),
                };
                let (left, runs) =
                    (some(receipt.left, "left behind"), some(receipt.running, "left to run"));
                let Receipt { done, failed, skipped, .. } = receipt;
                format!(
                    "Partly applied: {} done, {failed} failed{left}{runs}, {skipped} not started.\n",
                    steps(*done)
                )
            }
        };
        text.push_str(&pages(receipt));
        text.push_str(&schedules(receipt));
        let digest = &receipt.plan.digest;
        text.push_str(&format!("Ledger: serial {}. Plan: {digest}\n", receipt.serial));
        text.push_str(&last_words(receipt));
        output.answer(None, &text)
    }
}

impl Shown {
    /// Keeps the pages of jobs, and where those stand.
    fn watch(&mut self, event: &Progress) {
        match event {
            Progress::Submitted { step, page: Some(page), .. }
            | Progress::Resumed { step, page: Some(page), .. } => {
                let watched = Watched { page: page.clone(), done: None };
                self.watched.insert(step.clone(), watched);
            }
            Progress::Done { step, .. } | Progress::Failed { step, .. } => {
                if let Some(watched) = self.watched.get_mut(step) {
                    watched.done = Some(matches!(event, Progress::Done { .. }));
                }
            }
            _ => {}
        }
    }
}

impl Receipt {
    /// Whether nothing is wrong, and all that is not done runs or waits for what runs.
    pub(super) fn is_under_way(&self) -> bool {
        self.exit == Exit::Partial
            && self.running > 0
            && self.left == 0
            && self.failures.is_empty()
            && self.cut_off.is_none()
    }

    /// The same without pages that are none of this Airflow's: a journal could name any.
    pub(super) fn vouched(mut self, airflow: Option<&str>) -> Self {
        let is_ours = |page: &str| airflow.is_some_and(|url| is_page_of(url, page));
        self.watched.retain(|_, it| is_ours(&it.page));
        for failure in &mut self.failures {
            if let Progress::Failed { page, .. } = failure {
                *page = page.take().filter(|it| is_ours(it));
            }
        }
        self
    }

    /// What became of a plan's steps, by their states at the end.
    pub(super) fn of(plan: Plan, report: &Report, view: &View) -> Self {
        let count =
            |wanted: fn(&State) -> bool| report.states.iter().filter(|it| wanted(it)).count();
        let done = count(|state| *state == State::Done);
        let (left, running) = (report.left, report.detached);
        let failed = count(|state| *state == State::Failed).saturating_sub(left + running);
        let (failures, watched, took) = view.so_far();
        Self {
            plan,
            steps: report.states.len(),
            done,
            failed,
            left,
            running,
            skipped: report.states.len() - done - failed - left - running,
            watched,
            failures,
            published: None,
            unpublished: None,
            serial: 0,
            needed: None,
            cut_off: report.cut_off.as_ref().map(ToString::to_string),
            took,
            exit: Exit::Done,
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn heartbeat(state: &Shown) -> String {
    let mut names: Vec<String> = state
        .running
        .iter()
        .take(NAMED)
        .map(|it| format!("{} ({})", visible(it.0), elapsed(it.1.0.elapsed())))
        .collect();
    let more = state.running.len().saturating_sub(NAMED);
    if more > 0 {
        names.push(format!("{more} more"));
    }
    let running = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    format!(
        "… {} of {} steps after {}; running: {running}",
        state.ended,
        state.total,
        elapsed(state.started.elapsed())
    )
}

/// What one event says to people.
fn line(event: &Progress, state: &Shown) -> String {
    let text = match event {
        Progress::Started { step, chunk, chunks, attempt } => {
            let of =
                if *chunks > 1 { format!(", part {chunk} of {chunks}") } else { String::new() };
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("▸ {step}{of}{again}")
        }
        Progress::Resumed { step, job, page } => {
            let job = job.as_ref().map(|job| format!(" as {job}")).unwrap_or_default();
            let page = page.as_ref().map(|page| format!("  {page}")).unwrap_or_default();
            format!("▸ {step}: looking for the job that an earlier run submitted{job}{page}")
        }
        Progress::Submitted { step, job, page } => {
            let page = page.as_ref().map(|page| format!("  {page}")).unwrap_or_default();
            format!("  {step}: job {job}{page}")
        }
        Progress::Retrying { step, what, seconds } => {
            format!("! {step}: {what}; again in {seconds} s")
        }
        Progress::Done { step, milliseconds, before } => {
            let when = if *before {
                "done by an earlier run".to_owned()
            } else {
                elapsed(Duration::from_millis(*milliseconds))
            };
            format!("✓ {step}  {when}  ({} of {})", state.ended, state.total)
        }
        Progress::Failed { step, what, tail, log, page } => {
            let tail: String = tail.iter().map(|line| format!("\n    {}", visible(line))).collect();
            let log = if std::path::Path::new(log).exists() {
                format!("\n  all of its output: {log}")
            } else {
                String::new()
            };
            let page = page.as_ref().map(|it| format!("\n  see {}", visible(it)));
            let page = page.unwrap_or_default();
            return format!("✗ {}: {}{tail}{log}{page}", visible(step), visible(what));
        }
        Progress::Left { step } => {
            format!("· {step}: left as it is; the next apply looks after it")
        }
        Progress::Detached { step } => format!("· {step}: runs, and is left to run"),
        Progress::Skipped { step, because } => {
            format!("· {step}: not started, it waits for {because}")
        }
        Progress::Scheduled { step } => format!("· {step}: left to the scheduler"),
        Progress::ByHand { step, what } => {
            format!("✗ {step}: by hand: {what}; then `chronon-plan apply --done {step}`")
        }
        Progress::Note { text } => format!("note: {text}"),
    };
    visible(&text)
}

/// A time for people.
pub(super) fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0 => format!("{} ms", time.as_millis()),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
