//! `airflow`: the DAGs of a commit, rendered, compared and imported.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::super::args::AirflowArgs;
use super::super::args::AirflowCommand;
use super::super::args::AirflowDiffArgs;
use super::super::args::CheckArgs;
use super::super::args::Format;
use super::super::args::RenderArgs;
use super::super::args::RepoArgs;
use super::super::args::StateFormat;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::publishing;
use super::super::publishing::Place;
use super::super::schedules;
use super::super::state::State;
use super::super::tasks::Temporary;
use super::super::workspace::Prepared;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::model::lineage::Lineage;
use crate::plan::Options;
use crate::plan::schedules::Schedules;
use crate::render;
use crate::render::visible;
use crate::schedule;
use crate::schedule::Built;
use crate::schedule::Bundle;
use crate::schedule::spec::Manifest;

pub(in super::super) fn run(args: &AirflowArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        AirflowCommand::Render(args) => render(args, output),
        AirflowCommand::Diff(args) => diff(args, output),
        AirflowCommand::Check(args) => check(args, output),
    }
}

/// What was rendered.
#[derive(Serialize, JsonSchema)]
pub(super) struct Rendered {
    /// The version of this form.
    schema_version: u32,
    /// The digest of the manifest.
    digest: String,
    /// The commit.
    commit: String,
    /// The DAGs.
    dags: Vec<RenderedDag>,
    /// The pools that Airflow must have beside its own, with their slots.
    pools: BTreeMap<String, u32>,
    /// What people should know.
    notes: Vec<String>,
}

/// One DAG that was rendered.
#[derive(Serialize, JsonSchema)]
struct RenderedDag {
    /// Its name.
    dag: String,
    /// When it runs, as a cron in UTC; null where somebody asks.
    schedule: Option<String>,
    /// How many tasks it has; of the DAG of metadata, how many configs.
    tasks: usize,
}

fn render(args: &RenderArgs, output: &mut Output) -> Result<Exit, Failure> {
    let (workspace, built) = of_commit(&args.repo, args.head.as_ref())?;
    super::tell_notes(&workspace, output);
    let bundle = write(&workspace, &built, &args.out)?;
    for note in &built.notes {
        output.tell(format!("note: {}", visible(&schedule::note(note))));
    }
    let rendered = Rendered::of(&bundle.manifest, &built);
    let text = match args.format {
        StateFormat::Json => super::json(&rendered)?,
        StateFormat::Text => rendered.text(&args.out),
    };
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

impl Rendered {
    fn of(manifest: &Manifest, built: &Built) -> Self {
        let dags = manifest.dags.iter().map(|(id, dag)| RenderedDag {
            dag: id.clone(),
            schedule: dag.schedule.clone(),
            tasks: dag.tasks.len() + dag.configs.len(),
        });
        Self {
            schema_version: 1,
            digest: manifest.digest.clone(),
            commit: manifest.commit.clone(),
            dags: dags.collect(),
            pools: built.pools.clone(),
            notes: built.notes.iter().map(schedule::note).collect(),
        }
    }

    fn text(&self, folder: &Path) -> String {
        let mut text = String::new();
        let wide = self.dags.iter().map(|it| it.dag.len()).max().unwrap_or(0);
        for row in &self.dags {
            let when =
                row.schedule.as_deref().map_or("when asked".to_owned(), schedule::shown_schedule);
            let tasks = if row.tasks == 1 { "task" } else { "tasks" };
            let count = if row.schedule.is_some() {
                format!("{} {tasks}", row.tasks)
            } else {
                String::new()
            };
            let line = format!("{:wide$}  {when:14}  {count}", visible(&row.dag));
            writeln!(text, "{}", line.trim_end()).unwrap_or_default();
        }
        let pools: Vec<String> = self.pools.keys().cloned().collect();
        if !pools.is_empty() {
            let all = pools.join(", ");
            writeln!(
                text,
                "\nAirflow must have these pools: {all}. `airflow pools import {POOLS_FILE}` makes them."
            )
            .unwrap_or_default();
        }
        let number = self.dags.len();
        writeln!(text, "\n{} · {number} DAGs in {}", self.digest, folder.display())
            .unwrap_or_default();
        text
    }
}

/// Pools, as `airflow pools import` reads them.
const POOLS_FILE: &str = "chronon_pools.json";

/// A commit and its schedules.
fn of_commit(repo: &RepoArgs, head: Option<&String>) -> Result<(Workspace, Built), Failure> {
    let request = Request { head: head.cloned(), one_commit: true, ..super::request(repo) };
    let workspace = Workspace::open(&request)?;
    let catalog = &workspace.pair.head;
    let lineage = Lineage::of(catalog);
    let built =
        schedules::built(&workspace, catalog, &lineage, &workspace.settings, &workspace.teams)?;
    schedules::sound(&built)?;
    Ok((workspace, built))
}

/// Writes everything into a folder, the manifest last.
fn write(workspace: &Workspace, built: &Built, folder: &Path) -> Result<Bundle, Failure> {
    let packed = schedules::packed(workspace, built)?;
    let bundle = Bundle::of(built, &packed);
    let place = Place::Folder(folder.to_owned());
    let known = place.manifest()?;
    place.refuse_others(&bundle.manifest.env, &known, &|_| true)?;
    place.prepare(&packed, bundle.index_key(), &bundle.index)?;
    place.publish(&bundle.json, &known, &|| Ok(()))?;
    if !built.pools.is_empty() {
        let of = |slots: &u32| serde_json::json!({"slots": slots, "description": "Chronon", "include_deferred": false});
        let pools: BTreeMap<_, _> = built.pools.iter().map(|it| (it.0, of(it.1))).collect();
        let file = folder.join(POOLS_FILE);
        std::fs::write(&file, super::json(&pools)?).map_err(|error| {
            Failure::new(format!("{}: {error}", file.display()))
                .hint("name a folder that can be written with `--out DIR`")
        })?;
    }
    Ok(bundle)
}

fn diff(args: &AirflowDiffArgs, output: &mut Output) -> Result<Exit, Failure> {
    let request =
        Request { base: args.base.clone(), head: args.head.clone(), ..super::request(&args.repo) };
    let prepared = Prepared::of(&request)?;
    if prepared.settings.dags.place.is_none() {
        return Err(Failure::new(format!("env `{}` publishes no schedules", prepared.env))
            .hint(format!(
                "say where with `env.{}.airflow.dags`, as gs://BUCKET/dags",
                prepared.env
            ))
            .hint("or look at them: chronon-plan airflow render --out DIR"));
    }
    let state = if args.no_state { None } else { Some(State::open(&prepared)?) };
    let as_of = super::plan::today();
    let planned = super::plan::planned(prepared, state.as_ref(), as_of, &Options::default())?;
    planned.notes.iter().for_each(|note| output.tell(format!("note: {note}")));
    let schedules = planned.plan.schedules.clone().unwrap_or_default();
    let file = args.out.out.as_deref();
    let text = match args.out.format {
        Format::Text => render::schedules_text(&schedules, output.style(file)),
        Format::Markdown => render::schedules_markdown(&schedules),
        Format::Json => super::json(&Differences { schema_version: 1, schedules: &schedules })?,
    };
    output.answer(file, &text)?;
    let changes = args.detailed_exitcode && !schedules.is_empty();
    Ok(if changes { Exit::Changes } else { Exit::Done })
}

/// The schedules that differ.
#[derive(Serialize, JsonSchema)]
pub(super) struct Differences<'a> {
    /// The version of this form.
    schema_version: u32,
    /// As a plan has them.
    #[serde(flatten)]
    schedules: &'a Schedules,
}

/// What an Airflow saw.
#[derive(Deserialize, Serialize, JsonSchema)]
pub(super) struct Seen {
    /// Its version.
    airflow: String,
    /// How many seconds the import took.
    seconds: f64,
    /// How many tasks each DAG has.
    dags: BTreeMap<String, usize>,
    /// Errors, by file.
    errors: BTreeMap<String, String>,
}

fn check(args: &CheckArgs, output: &mut Output) -> Result<Exit, Failure> {
    let name = format!("chronon-plan-airflow-{}", super::super::state::nonce());
    let temporary = Temporary(std::env::temp_dir().join(name));
    super::make_folder(&temporary.0)?;
    let folder = match &args.dir {
        Some(dir) => dir.clone(),
        None => {
            let (workspace, built) = of_commit(&args.repo, args.head.as_ref())?;
            super::tell_notes(&workspace, output);
            let folder = temporary.0.join("dags");
            write(&workspace, &built, &folder)?;
            folder
        }
    };
    let seen = import(args, &folder, &temporary.0)?;
    let manifest = read_manifest(&folder)?;
    let missing: Vec<String> = manifest
        .dags
        .iter()
        .filter(|(id, dag)| seen.dags.get(*id).is_none_or(|tasks| *tasks < dag.tasks.len()))
        .map(|(id, dag)| {
            format!(
                "{id}: {} of {} tasks",
                seen.dags.get(id).copied().unwrap_or(0),
                dag.tasks.len()
            )
        })
        .collect();
    let text = match args.format {
        StateFormat::Json => super::json(&seen)?,
        StateFormat::Text => format!(
            "Airflow {} imports {} DAGs with {} tasks in {:.1} s\n",
            visible(&seen.airflow),
            seen.dags.len(),
            seen.dags.values().sum::<usize>(),
            seen.seconds
        ),
    };
    output.answer(None, &text)?;
    if seen.errors.is_empty() && missing.is_empty() {
        return Ok(Exit::Done);
    }
    let errors =
        seen.errors.iter().map(|(file, what)| format!("{}: {}", visible(file), visible(what)));
    Err(Failure::new("this Airflow does not import all of the DAGs")
        .lines(errors)
        .lines(missing)
        .hint("use Airflow 2.10 or newer"))
}

fn read_manifest(folder: &Path) -> Result<Manifest, Failure> {
    let path = folder.join(schedule::MANIFEST_FILE);
    let wrong = |what: String| {
        Failure::new(format!("{}: {what}", path.display()))
            .hint("chronon-plan airflow render --out DIR writes one")
    };
    let bytes = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
    publishing::read(&bytes).ok_or_else(|| wrong("no manifest that this version knows".to_owned()))
}

/// Imports a folder with the Airflow of a Python, in a home of its own.
fn import(args: &CheckArgs, folder: &Path, home: &Path) -> Result<Seen, Failure> {
    let script = home.join("check.py");
    std::fs::write(&script, schedule::CHECK).map_err(Failure::new)?;
    let folder = std::fs::canonicalize(folder).map_err(|error| {
        Failure::new(format!("{}: {error}", folder.display()))
            .hint("name a folder that exists with `--dir DIR`")
    })?;
    let python = &args.python;
    let ran = Command::new(python)
        .arg(&script)
        .arg(&folder)
        .env("AIRFLOW_HOME", home)
        .env("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        .env("AIRFLOW__CORE__DAGS_FOLDER", &folder)
        .output()
        .map_err(|error| {
            Failure::new(format!("{}: {error}", python.display()))
                .hint("name the Python that has Airflow with `--python PYTHON`")
        })?;
    let last = String::from_utf8_lossy(&ran.stdout)
        .lines()
        .rev()
        .find(|it| it.starts_with('{'))
        .map(str::to_owned);
    let seen = last.and_then(|line| serde_json::from_str(&line).ok());
    seen.ok_or_else(|| {
        let told = String::from_utf8_lossy(&ran.stderr).into_owned();
        let end: Vec<String> = told.lines().rev().take(5).map(visible).collect();
        Failure::new(format!("{} did not say what it imported", python.display()))
            .lines(end.into_iter().rev())
            .hint("name the Python that has Airflow 2.10 or newer with `--python PYTHON`")
    })
}
