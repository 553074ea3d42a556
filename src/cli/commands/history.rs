//! `history`: the run log that published DAGs write beside the ledger.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use wildmatch::WildMatch;

use super::super::args::HistoryArgs;
use super::super::args::StateFormat;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::state::State;
use super::super::workspace::Prepared;
use crate::model::day::Day;
use crate::render::visible;

/// One attempt at a task, as a DAG wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Row {
    /// The DAG.
    dag: String,
    /// The run of the DAG.
    run: String,
    /// The task.
    task: String,
    /// The config; null for tasks that wait.
    config: Option<String>,
    /// The mode of the job.
    mode: Option<String>,
    /// Which attempt, from 1.
    #[serde(rename = "try")]
    attempt: u32,
    /// The day, or the slot of it, that it computed.
    date: Option<String>,
    /// When it began, in UTC.
    start: String,
    /// When it ended, in UTC.
    end: String,
    /// How many seconds that took.
    seconds: f64,
    /// `success`, `failed`, `retry` or `skipped`.
    state: String,
    /// The job on the cluster, where its name is known.
    job: Option<String>,
    /// Where its log is.
    log: Option<String>,
}

/// What ran.
#[derive(Serialize, JsonSchema)]
pub(super) struct History {
    /// The version of this form.
    schema_version: u32,
    /// The first day.
    #[schemars(with = "String")]
    from: Day,
    /// The last day.
    #[schemars(with = "String")]
    until: Day,
    /// The runs, by when they began.
    runs: Vec<Row>,
    /// Lines of the log that say nothing.
    unreadable: usize,
}

/// How many logs are read at once.
const AT_ONCE: usize = 16;

pub(in super::super) fn run(args: &HistoryArgs, output: &mut Output) -> Result<Exit, Failure> {
    let prepared = Prepared::of(&super::request(&args.repo))?;
    let state = State::open(&prepared)?;
    let ledger = state.known()?.ledger;
    let Some(published) = ledger.as_ref().and_then(|it| it.schedules.as_ref()) else {
        return Err(Failure::new(format!(
            "env `{}` has published no schedules, so nothing wrote a run log",
            state.env
        ))
        .hint(format!(
            "say where to publish with `env.{}.airflow.dags`, then chronon-plan apply",
            state.env
        )));
    };
    let until = args.until.unwrap_or_else(super::plan::today);
    let from = until.plus(1 - i64::from(args.days));
    let days: Vec<Day> = (0..i64::from(args.days)).map(|at| from.plus(at)).collect();
    let keys: Vec<String> = published
        .dags
        .keys()
        .flat_map(|dag| days.iter().map(move |day| format!("runs/{dag}/{day}.jsonl")))
        .collect();
    let (mut runs, unreadable) = read(&state, &keys)?;
    let globs: Vec<WildMatch> = args.of.iter().map(|it| WildMatch::new(it)).collect();
    let named = |row: &Row| {
        globs.is_empty()
            || row.config.as_ref().is_some_and(|it| globs.iter().any(|glob| glob.matches(it)))
    };
    runs.retain(|row| named(row) && (!args.failed || row.state == "failed"));
    runs.sort_by(|a, b| {
        (&a.start, &a.dag, &a.task, a.attempt).cmp(&(&b.start, &b.dag, &b.task, b.attempt))
    });
    let history = History { schema_version: 1, from, until, runs, unreadable };
    let text = match args.format {
        StateFormat::Json => super::json(&history)?,
        StateFormat::Text => history.text(),
    };
    if unreadable > 0 {
        output.tell(format!("note: {unreadable} lines of the run log could not be read"));
    }
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

/// The rows of these logs, and how many lines are none.
fn read(state: &State, keys: &[String]) -> Result<(Vec<Row>, usize), Failure> {
    let share = keys.len().div_ceil(AT_ONCE).max(1);
    let logs: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let of = |keys: &[String]| -> Result<Vec<Vec<u8>>, Failure> {
            let mut logs = Vec::new();
            for key in keys {
                logs.extend(state.objects.get(key)?.map(|it| it.bytes));
            }
            Ok(logs)
        };
        let threads: Vec<_> =
            keys.chunks(share).map(|keys| scope.spawn(move || of(keys))).collect();
        let ended = threads
            .into_iter()
            .map(|it| it.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        ended.collect::<Result<Vec<_>, _>>().map(|it| it.into_iter().flatten().collect())
    })?;
    let (mut rows, mut unreadable) = (Vec::new(), 0);
    for line in logs.iter().flat_map(|log| log.split(|it| *it == b'\n')).filter(|it| !it.is_empty())
    {
        match serde_json::from_slice(line) {
            Ok(row) => rows.push(row),
            Err(_) => unreadable += 1,
        }
    }
    Ok((rows, unreadable))
}

impl History {
    fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.runs {
            let config = row.config.as_deref().unwrap_or(&row.task);
            let mode = row.mode.as_deref().unwrap_or("wait");
            let job =
                row.job.as_ref().map(|it| format!("  job {}", visible(it))).unwrap_or_default();
            let attempt =
                if row.attempt > 1 { format!("  try {}", row.attempt) } else { String::new() };
            writeln!(
                text,
                "{}  {:7}  {:>8}  {}  {}#{}{attempt}{job}",
                visible(&row.start),
                visible(&row.state),
                lasted(row.seconds),
                visible(row.date.as_deref().unwrap_or("-")),
                visible(config),
                visible(mode),
            )
            .unwrap_or_default();
        }
        let mut states: BTreeMap<&str, usize> = BTreeMap::new();
        self.runs.iter().for_each(|row| *states.entry(&row.state).or_default() += 1);
        let counts: Vec<String> =
            states.iter().map(|it| format!("{} {}", it.1, visible(it.0))).collect();
        let configs: BTreeSet<&String> =
            self.runs.iter().filter_map(|it| it.config.as_ref()).collect();
        let counts = if counts.is_empty() { "nothing ran".to_owned() } else { counts.join(", ") };
        writeln!(text, "{} … {}: {counts}, of {} configs", self.from, self.until, configs.len())
            .unwrap_or_default();
        text
    }
}

/// A time as people say it.
fn lasted(seconds: f64) -> String {
    match seconds {
        short if short < 100.0 => format!("{short:.0} s"),
        some if some < 6000.0 => format!("{:.0} min", some / 60.0),
        long => format!("{:.1} h", long / 3600.0),
    }
}
