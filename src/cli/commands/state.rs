//! `state`: the ledger, shown and corrected.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

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
use super::super::signals::Watch;
use super::super::state;
use super::super::state::Session;
use super::super::state::State;
use super::super::state::Wish;
use super::adopt;
use super::adopt::Adopted;
use crate::model::ledger::Applied;
use crate::model::ledger::Ledger;
use crate::model::name::Address;
use crate::model::name::Resource;
use crate::render::visible;
use crate::state::fold::Known;
use crate::state::head;
use crate::state::head::Head;
use crate::state::ledger;
use crate::state::ledger::Row;

/// What a command did to the ledger, as `--format json` says it.
#[derive(Serialize, JsonSchema)]
pub(super) struct Changed {
    /// Where the state is.
    location: String,
    /// Which history of ledgers it is.
    lineage: String,
    /// The serial before; null where there was no ledger.
    before: Option<u64>,
    /// The serial now.
    serial: u64,
    /// What the next plan will see differently.
    changes: Vec<ResourceChange>,
}

/// A resource of which the ledger says something else now.
#[derive(Serialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ResourceChange {
    /// The config.
    config: String,
    /// The resource.
    resource: String,
    /// What happened to its entry: `added`, `removed` or `changed`.
    what: &'static str,
    /// The commit that counted as applied.
    before: Option<String>,
    /// The commit that counts as applied now.
    after: Option<String>,
}

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
        StateCommand::Push { file, force, common } => push(file, *force, common, output),
        StateCommand::Rm { of, common } => rm(of, common, output),
        StateCommand::Adopt { commit, target, force, common } => {
            record(commit, target, *force, common, output)
        }
        StateCommand::History { limit, common } => history(*limit, common, output),
        StateCommand::Rollback { serial, common } => rollback(*serial, common, output),
    }
}

fn no_ledger(state: &State) -> Failure {
    Failure::new(format!("there is no ledger of env `{}` in {}", state.env, state.location))
        .hint("chronon-plan state adopt --commit REV, to record that REV is what runs today")
}

/// The ledger as it is known without the lock.
fn known(state: &State) -> Result<(Known, Ledger), Failure> {
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
            text
        }
    };
    output.answer(None, &text)?;
    Ok(Exit::Done)
}

fn short(commit: &str) -> &str {
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

fn show(config: &str, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    let state = super::lock::open(common)?;
    let (known, ledger) = known(&state)?;
    let address: Address = config.parse().map_err(Failure::new)?;
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

fn not_there(ledger: &Ledger, config: &str) -> Failure {
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
    let mut text = format!("{}#{}\n", visible(&row.config.to_string()), row.resource);
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {name:<12} {}\n", visible(&value)));
        }
    };
    add("commit", Some(row.commit.clone()));
    add("file", Some(row.path.clone()));
    add("blob", Some(row.blob.clone()));
    add("fingerprint", Some(row.fingerprint.clone()));
    add("days", row.start.zip(row.end).map(|it| format!("{}..{}", it.0, it.1)));
    add("run", Some(row.run.clone()));
    add("job", row.job.clone());
    add("at", Some(row.at.clone()));
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

/// Does something to the ledger under the lock.
fn change(
    doing: &str,
    common: &StateCommon,
    output: &mut Output,
    make: impl FnOnce(&State, &Session<'_>) -> Result<Option<Ledger>, Failure>,
) -> Result<(State, Option<Changed>), Failure> {
    let state = super::lock::open(common)?;
    let watch = Watch::start()?;
    let wish = Wish {
        doing,
        commit: None,
        patience: Duration::from_secs(common.lock_timeout),
        stop: &watch.stop,
        tell: &|text| Output::aside(&text),
    };
    let changed = state::locked(&state, &wish, |session| {
        let Some(ledger) = make(&state, session)? else { return Ok(None) };
        let before = session.ledger.clone();
        let saved = session.save(&state, session.head.as_ref(), ledger)?;
        // What journals held is in it, or was meant to go.
        session.folded.store(true, Ordering::SeqCst);
        Ok(Some(changed(&state, before.as_ref(), &saved)))
    })?;
    if let Some(changed) = &changed {
        let text = match common.format {
            StateFormat::Json => super::json(changed)?,
            StateFormat::Text => told(changed),
        };
        output.answer(None, &text)?;
    }
    Ok((state, changed))
}

fn changed(state: &State, before: Option<&Ledger>, saved: &Head) -> Changed {
    let empty = BTreeMap::new();
    let old = before.map_or(&empty, |ledger| &ledger.applied);
    Changed {
        location: state.location.clone(),
        lineage: saved.ledger.lineage.clone(),
        before: before.map(|ledger| ledger.serial),
        serial: saved.ledger.serial,
        changes: differences(old, &saved.ledger.applied),
    }
}

type Resources = BTreeMap<(Address, Resource), Applied>;

/// The resources of which two ledgers say something else.
fn differences(old: &Resources, new: &Resources) -> Vec<ResourceChange> {
    let keys: BTreeSet<&(Address, Resource)> = old.keys().chain(new.keys()).collect();
    let differing = keys.into_iter().filter_map(|key| {
        let (before, after) = (old.get(key), new.get(key));
        let what = match (before, after) {
            (None, _) => "added",
            (_, None) => "removed",
            (Some(a), Some(b)) if a.fingerprint != b.fingerprint => "changed",
            _ => return None,
        };
        let commit = |it: Option<&Applied>| it.map(|it| it.commit.to_string());
        Some(ResourceChange {
            config: key.0.to_string(),
            resource: key.1.name().to_owned(),
            what,
            before: commit(before),
            after: commit(after),
        })
    });
    differing.collect()
}

/// How many resources are named one by one.
const NAMED: usize = 20;

fn told(changed: &Changed) -> String {
    let mut text = String::new();
    for it in changed.changes.iter().take(NAMED) {
        let commit = |it: &Option<String>| it.as_deref().map(short).unwrap_or("nothing").to_owned();
        let line = format!(
            "{} {}#{}: {} -> {}",
            it.what,
            it.config,
            it.resource,
            commit(&it.before),
            commit(&it.after)
        );
        text.push_str(&format!("{}\n", visible(&line)));
    }
    let more = changed.changes.len().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("and {more} more: chronon-plan state list\n"));
    }
    text.push_str(&format!(
        "Ledger: serial {}, {} resources changed.\n",
        changed.serial,
        changed.changes.len()
    ));
    text
}

fn push(
    file: &Path,
    force: bool,
    common: &StateCommon,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let shown = file.display().to_string();
    let mut bytes = Vec::new();
    let read = match file.to_str() {
        Some("-") => std::io::stdin().read_to_end(&mut bytes).map(|_| ()),
        _ => std::fs::read(file).map(|content| bytes = content),
    };
    read.map_err(|error| {
        Failure::new(format!("{shown}: {error}")).hint("chronon-plan state pull --out ledger.json")
    })?;
    let (pushed, env) = ledger::read(&bytes).map_err(|error| {
        Failure::new(format!("{shown} is no ledger: {error}"))
            .hint("a ledger is what `chronon-plan state pull` prints")
    })?;
    let (_, changed) = change("state push", common, output, |state, session| {
        if env != state.env {
            return Err(Failure::new(format!(
                "{shown} is the ledger of env `{env}`, not of `{}`",
                state.env
            ))
            .hint(format!("chronon-plan state push {shown} --env {env}")));
        }
        let Some(head) = &session.head else { return Ok(Some(pushed)) };
        if !force {
            check_push(&shown, &pushed, &bytes, head)?;
        }
        let same = pushed.serial == head.ledger.serial && ledger::digest(&bytes) == head.digest;
        Ok((!same || force).then_some(pushed))
    })?;
    if changed.is_none() {
        output.tell("The ledger is that very one; nothing was written.");
    }
    Ok(Exit::Done)
}

/// Refuses what would lose somebody's work.
fn check_push(shown: &str, pushed: &Ledger, bytes: &[u8], head: &Head) -> Result<(), Failure> {
    let kept = &head.ledger;
    let why = if pushed.lineage != kept.lineage {
        "is of another lineage: the ledger of something else".to_owned()
    } else if pushed.serial < kept.serial {
        format!("is older: serial {}, the one that is kept is {}", pushed.serial, kept.serial)
    } else if pushed.serial == kept.serial && ledger::digest(bytes) != head.digest {
        format!("has serial {} too, and other content", kept.serial)
    } else {
        return Ok(());
    };
    Err(Failure::new(format!("{shown} {why}"))
        .hint("chronon-plan state pull, and make your change in that")
        .hint("or push it whatever it is: `--force`"))
}

fn rm(of: &[String], common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    change("state rm", common, output, |state, session| {
        let Some(mut ledger) = session.ledger.clone() else { return Err(no_ledger(state)) };
        let mut unknown = Vec::new();
        for name in of {
            let (config, resource) = match name.rsplit_once('#') {
                Some((config, resource)) => (config, Some(resource)),
                None => (name.as_str(), None),
            };
            let fits = |key: &(Address, Resource)| {
                key.0.to_string() == config && resource.is_none_or(|it| it == key.1.name())
            };
            let count = ledger.applied.len();
            ledger.applied.retain(|key, _| !fits(key));
            if ledger.applied.len() == count {
                unknown.push(name.clone());
            }
        }
        match unknown.first() {
            None => Ok(Some(ledger)),
            Some(first) => Err(not_there(&ledger, first).lines(unknown[1..].to_vec())),
        }
    })?;
    Ok(Exit::Done)
}

fn record(
    commit: &str,
    targets: &[String],
    force: bool,
    common: &StateCommon,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let request = super::request(&common.repo);
    change("state adopt", common, output, |state, session| {
        let Adopted { commit, mut applied } = adopt::of(request, commit, state)?;
        let globs: Vec<WildMatch> = targets.iter().map(|glob| WildMatch::new(glob)).collect();
        let fits = |key: &(Address, Resource)| {
            globs.is_empty() || globs.iter().any(|glob| glob.matches(&key.0.to_string()))
        };
        applied.retain(|key, _| fits(key));
        if applied.is_empty() {
            return Err(Failure::new(
                "there is nothing to adopt: no config of that commit matches",
            )
            .hint("chronon-plan graph --head REV lists its configs"));
        }
        let Some(mut ledger) = session.ledger.clone() else {
            let lineage = state::nonce();
            return Ok(Some(Ledger {
                lineage,
                commit: Some(commit),
                applied,
                ..Ledger::default()
            }));
        };
        let other = applied.iter().filter(|(key, new)| {
            ledger.applied.get(*key).is_some_and(|old| old.fingerprint != new.fingerprint)
        });
        let differing: Vec<String> =
            other.map(|(key, _)| format!("{}#{}", key.0, key.1.name())).collect();
        if !differing.is_empty() && !force {
            return Err(Failure::new(
                "the ledger says that these were applied from something else",
            )
            .lines(differing)
            .hint("if what runs is what that commit says: `--force`"));
        }
        ledger.applied.extend(applied);
        if targets.is_empty() {
            ledger.commit = Some(commit);
        }
        Ok(Some(ledger))
    })?;
    Ok(Exit::Done)
}

/// Earlier ledgers, the newest first, as far as they follow each other.
fn chain(state: &State, limit: usize) -> Result<Vec<Head>, Failure> {
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
                changed: differences(before, &head.ledger.applied).len(),
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

fn rollback(serial: u64, common: &StateCommon, output: &mut Output) -> Result<Exit, Failure> {
    change("state rollback", common, output, |state, session| {
        let Some(head) = &session.head else { return Err(no_ledger(state)) };
        let known = chain(state, usize::MAX)?;
        let Some(earlier) = known.iter().find(|it| it.ledger.serial == serial) else {
            let serials: Vec<String> =
                known.iter().take(NAMED).map(|it| it.ledger.serial.to_string()).collect();
            return Err(Failure::new(format!("there is no ledger of serial {serial}"))
                .hint(format!("there are {}; chronon-plan state history", serials.join(", "))));
        };
        Ok((earlier.digest != head.digest).then(|| earlier.ledger.clone()))
    })
    .map(|(_, changed)| {
        output.tell(match changed {
            None => "The ledger is that very one; nothing was written.",
            Some(_) => "Only the ledger went back: tables, datasets and jobs are as they were applied. The next plan asks for what the ledger no longer says is there, and runs it again.",
        });
        Exit::Done
    })
}
