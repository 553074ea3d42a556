//! Corrections of the ledger by hand: each under the lock, each a new write of its history.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use wildmatch::WildMatch;

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
use crate::state::head;
use crate::state::head::Head;
use crate::state::journal;
use crate::state::journal::Carried;
use crate::state::journal::Event;
use crate::state::journal::Journal;
use crate::state::ledger;

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

/// What `state rm` is called where others are told who holds the lock.
const RM: &str = "state rm";

/// Does something to the ledger under the lock, and says what; gives whether that wrote anything.
fn change(
    (doing, mends): (&str, bool),
    common: &StateCommon,
    output: &mut Output,
    make: impl FnOnce(&State, &Session<'_>) -> Result<Option<Ledger>, Failure>,
) -> Result<bool, Failure> {
    let state = super::lock::open(common)?;
    let watch = Watch::start()?;
    let wish = Wish {
        doing,
        commit: None,
        patience: Duration::from_secs(common.lock_timeout),
        stop: &watch.stop,
        tell: &|text| Output::aside(&text),
        mends,
    };
    let (written, changed) = state::locked(&state, &wish, |session| {
        let Some(ledger) = make(&state, session)? else {
            let kept = session.head.as_ref().ok_or_else(|| super::state::no_ledger(&state))?;
            return Ok((false, changed(&state, Some(&kept.ledger), kept)));
        };
        let before = session.ledger.clone();
        let passed_on = pass_on(doing, &state, session, &ledger)?;
        // Before the ledger names what it supersedes: an answer may get lost.
        session.journaled.store(passed_on, Ordering::SeqCst);
        let saved = session.supersede(&state, session.head.as_ref(), ledger)?;
        // What journals held is in it, or was passed on, or was meant to go.
        session.folded.store(true, Ordering::SeqCst);
        Ok((true, changed(&state, before.as_deref(), &saved)))
    })?;
    match common.format {
        StateFormat::Json => output.answer(None, &super::json(&changed)?)?,
        StateFormat::Text if written => output.answer(None, &told(&changed))?,
        StateFormat::Text => {}
    }
    Ok(written)
}

/// Keeps what earlier runs left in a journal of this one: their jobs run on, whatever the ledger
/// says. What they did of a resource that is corrected no longer counts, and of one that is
/// forgotten their jobs neither. Gives whether anything was left.
fn pass_on(
    doing: &str,
    state: &State,
    session: &Session<'_>,
    corrected: &Ledger,
) -> Result<bool, Failure> {
    let empty = BTreeMap::new();
    let old = session.ledger.as_ref().map_or(&empty, |ledger| &ledger.applied);
    let is_kept = |step: &str| {
        let key = journal::resource_of(step);
        key.is_some_and(|key| old.get(&key) == corrected.applied.get(&key))
    };
    let mut carried =
        Carried { rows: Vec::new(), commit: None, as_of: None, ..session.carried.clone() };
    carried.done.retain(|_, done| is_kept(&done.step));
    carried.open.retain(|_, open| doing != RM || is_kept(&open.step));
    carried.begun.retain(|step| is_kept(step));
    if !carried.has_work() {
        return Ok(false);
    }
    let opened = Event::Opened { plan: doing.to_owned(), commit: None, as_of: None, carried };
    Journal::of(&state.objects, &session.run).add(vec![opened])?;
    Ok(true)
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
pub(super) fn differences(old: &Resources, new: &Resources) -> Vec<ResourceChange> {
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
    // Where there was nothing before, all is new: the list would say no more than its length.
    if changed.before.is_none() {
        return format!(
            "Ledger: serial {}, {} resources count as applied: chronon-plan state list\n",
            changed.serial,
            changed.changes.len()
        );
    }
    let mut text = String::new();
    for it in changed.changes.iter().take(NAMED) {
        let commit = |it: &Option<String>| {
            it.as_deref().map(super::state::short).unwrap_or("nothing").to_owned()
        };
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

pub(super) fn push(
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
    let written = change(("state push", force), common, output, |state, session| {
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
        Ok((!same || force).then(|| still_published(pushed, &head.ledger)))
    })?;
    if !written {
        output.tell("The ledger is that very one; nothing was written.");
    }
    Ok(Exit::Done)
}

/// A ledger that is put in the place of another. The DAGs are as an apply published them last,
/// whatever ledger counts: they stay known. One that knows of none has all of them published again.
fn still_published(put: Ledger, before: &Ledger) -> Ledger {
    let schedules = put.schedules.and_then(|_| before.schedules.clone());
    Ledger { schedules, ..put }
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

pub(super) fn rm(
    of: &[String],
    common: &StateCommon,
    output: &mut Output,
) -> Result<Exit, Failure> {
    change((RM, false), common, output, |state, session| {
        let Some(ledger) = &session.ledger else {
            return Err(super::state::no_ledger(state));
        };
        let mut ledger = Ledger::clone(ledger);
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
            Some(first) => {
                Err(super::state::not_there(&ledger, first).lines(unknown[1..].to_vec()))
            }
        }
    })?;
    Ok(Exit::Done)
}

/// Whether an entry says something else than that this is applied.
fn differs(old: &Applied, new: &Applied) -> bool {
    old.fingerprint != new.fingerprint || old.begun
}

pub(super) fn record(
    commit: &str,
    targets: &[String],
    force: bool,
    common: &StateCommon,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let request = super::request(&common.repo);
    change(("state adopt", false), common, output, |state, session| {
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
        let Some(ledger) = &session.ledger else {
            let lineage = state::nonce();
            return Ok(Some(Ledger {
                lineage,
                commit: Some(commit),
                applied,
                ..Ledger::default()
            }));
        };
        let mut ledger = Ledger::clone(ledger);
        let other = applied
            .iter()
            .filter(|(key, new)| ledger.applied.get(*key).is_some_and(|old| differs(old, new)));
        let differing: Vec<String> =
            other.map(|(key, _)| format!("{}#{}", key.0, key.1.name())).collect();
        if !differing.is_empty() && !force {
            return Err(Failure::new(
                "the ledger says that these were applied from something else",
            )
            .lines(differing)
            .hint("if what runs is what that commit says: `--force`"));
        }
        // Who applied what is known already, by which job and over which days, stays known.
        applied.retain(|key, new| ledger.applied.get(key).is_none_or(|old| differs(old, new)));
        let commit = if targets.is_empty() { Some(commit) } else { ledger.commit.clone() };
        if applied.is_empty() && ledger.commit == commit {
            Output::aside("The ledger says so already; nothing was written.");
            return Ok(None);
        }
        ledger.applied.extend(applied);
        ledger.commit = commit;
        Ok(Some(ledger))
    })?;
    Ok(Exit::Done)
}

pub(super) fn rollback(
    serial: u64,
    common: &StateCommon,
    output: &mut Output,
) -> Result<Exit, Failure> {
    change(("state rollback", true), common, output, |state, session| {
        let Some(head) = &session.head else { return Err(super::state::no_ledger(state)) };
        let broken = head.ledger.lineage.is_empty();
        let known = if broken { Vec::new() } else { super::state::chain(state, usize::MAX)? };
        let earlier = match broken {
            true => head::earlier(&state.objects, &state.env, serial)?,
            false => known.iter().find(|it| it.ledger.serial == serial).cloned(),
        };
        let Some(earlier) = earlier else {
            let serials: Vec<String> =
                known.iter().take(NAMED).map(|it| it.ledger.serial.to_string()).collect();
            return Err(Failure::new(format!("there is no ledger of serial {serial}"))
                .hint(format!("chronon-plan state history; the newest are {}", serials.join(", "))));
        };
        let earlier_ledger = || still_published(Ledger::clone(&earlier.ledger), &head.ledger);
        Ok((earlier.digest != head.digest).then(earlier_ledger))
    })
    .map(|written| {
        output.tell(match written {
            false => "The ledger is that very one; nothing was written.",
            true => "Only the ledger went back: tables, datasets, jobs and published schedules are as they were applied. The next plan asks for what the ledger no longer says is there, and runs it again.",
        });
        Exit::Done
    })
}
