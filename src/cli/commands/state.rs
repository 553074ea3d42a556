//! `state`: the ledger, shown; correcting it is next door.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use wildmatch::WildMatch;

use super::super::args::StateArgs;
use super::super::args::StateCommand;
use super::super::args::StateCommon;
use super::super::args::StateFormat;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::state::State;
use super::correct;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::render::visible;
use crate::state::fold::Known;
use crate::state::head;
use crate::state::head::Head;
use crate::state::ledger::Row;

/// `state list --format json`, and `show`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Listing {
    /// Where the state is.
    location: String,
    /// Which history of ledgers it is.
    lineage: String,
    /// Its serial.
    serial: u64,
    /// The commit that was applied last.
    commit: Option<String>,
    /// How many of the resources stand in the journal of a run and not yet in the ledger.
    journaled: usize,
    /// The resources.
    resources: Vec<Row>,
    /// The schedules that are published.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedules: Option<Schedules>,
}

/// The schedules that are published.
#[derive(Serialize, JsonSchema)]
struct Schedules {
    /// The digest of the manifest.
    digest: String,
    /// Where they are.
    location: String,
    /// The commit whose files the tasks run.
    commit: String,
    /// When they were published.
    at: String,
    /// A fingerprint of each DAG.
    dags: BTreeMap<String, String>,
}

/// One line of `state history --format json`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Write {
    /// Its serial.
    serial: u64,
    /// `sha256:` and a hash of its bytes.
    digest: String,
    /// The commit that was applied.
    commit: Option<String>,
    /// How many resources it holds.
    resources: usize,
    /// How many of them are other ones than in the write before.
    changed: usize,
    /// The newest entry's time.
    at: Option<String>,
}

pub(in super::super) fn run(args: &StateArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        StateCommand::List { of, common } => list(of, common, output),
        StateCommand::Show { config, common } => show(config, common, output),
        StateCommand::Pull { out, common } => pull(out.as_deref(), common, output),
        StateCommand::Push { file, force, common } => correct::push(file, *force, common, output),
        StateCommand::Rm { of, common } => correct::rm(of, common, output),
        StateCommand::Adopt { commit, target, force, common } => {
            correct::record(commit, target, *force, common, output)
        }
        StateCommand::History { limit, common } => history(*limit, common, output),
        StateCommand::Rollback { serial, common } => correct::rollback(*serial, common, output),
    }
}

pub(super) fn no_ledger(state: &State) -> Failure {
    Failure::new(format!("there is no ledger of env `{}` in {}", state.env, state.location))
        .hint("chronon-plan state adopt --commit REV, to record that REV is what runs today")
}

/// The ledger as it is known without the lock.
fn known(state: &State) -> Result<(Known, Arc<Ledger>), Failure> {
    let known = state.known()?;
    match known.ledger.clone() {
        Some(ledger) => Ok((known, ledger)),
        None => Err(no_ledger(state)),
    }
}

fn listing(state: &State, known: &Known, ledger: &Ledger, rows: Vec<Row>) -> Listing {
    Listing {
        location: state.location.clone(),
        lineage: ledger.lineage.clone(),
        serial: ledger.serial,
        commit: ledger.commit.as_ref().map(ToString::to_string),
        journaled: known.journaled,
        resources: rows,
        schedules: ledger.schedules.as_ref().map(|it| Schedules {
            digest: it.digest.clone(),
            location: it.location.clone(),
            commit: it.commit.to_string(),
            at: it.at.clone(),
            dags: it.dags.clone(),
        }),
    }
}

fn list(of: &[String], common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = super::lock::open(common)?;
    let (known, ledger) = known(&state)?;
    let globs: Vec<WildMatch> = of.iter().map(|glob| WildMatch::new(glob)).collect();
    let fits = |address: &Address| {
        let name = address.to_string();
        globs.is_empty() || globs.iter().any(|glob| glob.matches(&name))
    };
    let chosen = ledger.applied.iter().filter(|it| fits(&it.0.0));
    let rows: Vec<Row> = chosen.map(|(key, it)| Row::of(&key.0, key.1, it)).collect();
    if rows.is_empty() && !of.is_empty() {
        return Err(Failure::new(format!(
            "the ledger has no config that matches {}",
            of.join(", ")
        ))
        .hint("chronon-plan state list"));
    }
    let text = match common.format {
        StateFormat::Json => super::json(&listing(&state, &known, &ledger, rows))?,
        StateFormat::Text => {
            let mut text: String = rows.iter().map(line).collect();
            text.push_str(&format!("{} resources{}\n", rows.len(), standing(&known, &ledger)));
            text.push_str(&published(&ledger));
            text
        }
    };
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

fn line(row: &Row) -> String {
    let days = row.start.zip(row.end).map(|it| format!("  {}..{}", it.0, it.1)).unwrap_or_default();
    let commit = short(&row.commit);
    let text = format!("{}#{}  {commit}  {}  {}{days}", row.config, row.resource, row.at, row.run);
    format!("{}\n", visible(&text))
}

fn standing(known: &Known, ledger: &Ledger) -> String {
    let commit = ledger.commit.as_ref().map(|it| format!(", commit {}", it.short()));
    let journaled = match known.journaled {
        0 => String::new(),
        count => format!(", {count} of them from the journal of a run that is not finished"),
    };
    format!("; serial {}{}{journaled}", ledger.serial, commit.unwrap_or_default())
}

/// The schedules that are published, on one line.
fn published(ledger: &Ledger) -> String {
    let Some(it) = &ledger.schedules else { return String::new() };
    let (dags, commit) = (it.dags.len(), it.commit.short());
    let text = format!("{dags} DAGs published in {}, commit {commit}, {}", it.location, it.at);
    format!("{}\n", visible(&text))
}

fn show(config: &str, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = super::lock::open(common)?;
    let (known, ledger) = known(&state)?;
    let unknown = |error| Failure::new(error).hint("chronon-plan state list");
    let address: Address = config.parse().map_err(unknown)?;
    let rows: Vec<Row> = ledger.of(&address).map(|it| Row::of(&address, it.0, it.1)).collect();
    if rows.is_empty() {
        return Err(not_there(&ledger, config));
    }
    let text = match common.format {
        StateFormat::Json => super::json(&listing(&state, &known, &ledger, rows))?,
        StateFormat::Text => rows.iter().map(paragraph).collect(),
    };
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

pub(super) fn not_there(ledger: &Ledger, config: &str) -> Failure {
    let names: BTreeSet<String> = ledger.applied.keys().map(|key| key.0.to_string()).collect();
    let near = names
        .iter()
        .map(|name| (strsim::jaro_winkler(name, config), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|it| it.0 > 0.75);
    let failure = Failure::new(format!("the ledger has no config `{config}`"));
    match near {
        Some((_, name)) => failure.hint(format!("did you mean `{name}`?")),
        None => failure.hint("chronon-plan state list"),
    }
}

fn paragraph(row: &Row) -> String {
    let mut text = format!("{}#{}\n", visible(&row.config.to_string()), row.resource.name());
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {name:<12} {}\n", visible(&value)));
        }
    };
    add("commit", Some(row.commit.clone()));
    add("file", Some(row.path.clone()));
    add("blob", Some(row.blob.to_string()));
    add("fingerprint", Some(row.fingerprint.to_string()));
    add("days", row.start.zip(row.end).map(|it| format!("{}..{}", it.0, it.1)));
    add("run", Some(row.run.clone()));
    add("job", row.job.clone());
    add("at", Some(row.at.clone()));
    add(
        "begun",
        row.begun.then(|| "a job was started on it since and not seen to end well".to_owned()),
    );
    for upstream in &row.upstream {
        add("reads", Some(format!("{} {}", upstream.config, upstream.fingerprint)));
    }
    text
}

fn pull(out: Option<&Path>, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = super::lock::open(common)?;
    let (known, _) = known(&state)?;
    if known.journaled > 0 {
        output.tell(format!(
            "note: {} resources stand in the journal of a run that is not finished, and not in what is printed",
            known.journaled
        ));
    }
    // What is kept, byte by byte: it can be pushed again.
    let bytes = head::bytes(&state.objects)?.unwrap_or_default();
    output.answer(out, &String::from_utf8_lossy(&bytes))?;
    Ok(Exit::Done)
}

/// Earlier ledgers, the newest first, as far as they follow each other.
pub(super) fn chain(state: &State, limit: usize) -> Result<Vec<Head>, Failure> {
    let mut next = head::load(&state.objects, &state.env)?;
    let mut chain: Vec<Head> = Vec::new();
    while let Some(found) = next.take().filter(|_| chain.len() < limit) {
        if let Some(parent) = &found.ledger.parent {
            next = head::earlier(&state.objects, &state.env, parent.serial)?
                .filter(|it| it.digest == parent.digest);
        }
        chain.push(found);
    }
    Ok(chain)
}

fn history(limit: usize, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = super::lock::open(common)?;
    let chain = chain(&state, limit.saturating_add(1))?;
    if chain.is_empty() {
        return Err(no_ledger(&state));
    }
    let empty = BTreeMap::new();
    let writes: Vec<Write> = chain
        .iter()
        .enumerate()
        .take(limit)
        .map(|(at, head)| {
            let before = chain.get(at + 1).map_or(&empty, |it| &it.ledger.applied);
            Write {
                serial: head.ledger.serial,
                digest: head.digest.clone(),
                commit: head.ledger.commit.as_ref().map(ToString::to_string),
                resources: head.ledger.applied.len(),
                changed: correct::differences(before, &head.ledger.applied).len(),
                at: head.ledger.applied.values().map(|it| it.at.clone()).max(),
            }
        })
        .collect();
    let text = match common.format {
        StateFormat::Json => super::json(&writes)?,
        StateFormat::Text => writes.iter().map(write_line).collect(),
    };
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

fn write_line(write: &Write) -> String {
    let commit = write.commit.as_deref().map(short).unwrap_or("-");
    let at = write.at.as_deref().unwrap_or("-");
    let text = format!(
        "{:>5}  {at}  {commit}  {} resources, {} changed",
        write.serial, write.resources, write.changed
    );
    format!("{}\n", visible(&text))
}
