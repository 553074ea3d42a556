//! The ledger's object, its history, and saved plans.
//!
//! # Why
//! A ledger is written twice: first for ever under its serial, then as the head that everybody
//! reads. The head's write names the generation that was read, so whoever was paused cannot
//! overwrite what came since. Each ledger names the one it follows, so history is a chain: a copy
//! whose head was never written is in no chain, and is never listed.

use std::sync::Arc;

use super::StateError;
use super::ledger;
use super::ledger::BadLedger;
use super::objects::Objects;
use super::store::Expect;
use super::store::Generation;
use super::store::Put;
use crate::model::ledger::Ledger;
use crate::model::ledger::Parent;

/// The head's object.
pub(super) const KEY: &str = "state.json";

/// A ledger as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The ledger.
    pub ledger: Arc<Ledger>,
    /// The write that was read.
    pub generation: Generation,
    /// `sha256:` and a hash of its bytes.
    pub digest: String,
}

/// Why a ledger was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SaveError {
    /// Somebody wrote another one since it was read.
    #[error("the ledger was changed by somebody else since it was read")]
    Changed,
    /// The store gave no answer.
    #[error(transparent)]
    State(#[from] StateError),
}

fn history_key(serial: u64) -> String {
    format!("history/{serial}.json")
}

/// The ledger of an env; none where there is none yet.
///
/// # Errors
/// Where the store gives no answer, or the object is no ledger of this env.
pub fn load(objects: &Objects, env: &str) -> Result<Option<Head>, StateError> {
    at(objects, env, KEY)
}

/// What stands in for a ledger that cannot be read, so that another can take its place.
///
/// # Errors
/// Where the store gives no answer.
pub fn unreadable(objects: &Objects) -> Result<Option<Head>, StateError> {
    let Some(object) = objects.get(KEY)? else { return Ok(None) };
    let digest = ledger::digest(&object.bytes);
    Ok(Some(Head { ledger: Arc::default(), generation: object.generation, digest }))
}

/// The ledger's bytes as they are kept; none where there is none yet.
///
/// # Errors
/// Where the store gives no answer.
pub fn bytes(objects: &Objects) -> Result<Option<Vec<u8>>, StateError> {
    Ok(objects.get(KEY)?.map(|object| object.bytes))
}

/// The ledger of an earlier write; none where there was none.
///
/// # Errors
/// As [`load`].
pub fn earlier(objects: &Objects, env: &str, serial: u64) -> Result<Option<Head>, StateError> {
    at(objects, env, &history_key(serial))
}

fn at(objects: &Objects, env: &str, key: &str) -> Result<Option<Head>, StateError> {
    let Some(object) = objects.get(key)? else { return Ok(None) };
    let (ledger, found) =
        ledger::read(&object.bytes).map_err(|error| StateError::bad(objects, key, &error))?;
    if found != env {
        let error = BadLedger::OtherEnv { found, wanted: env.to_owned() };
        return Err(StateError::bad(objects, key, &error));
    }
    let digest = ledger::digest(&object.bytes);
    Ok(Some(Head { ledger: Arc::new(ledger), generation: object.generation, digest }))
}

/// Writes a ledger after the one that was read, under the next serial, and gives it back as it was
/// written. `writer` is a name that no other write shares.
///
/// # Errors
/// Where somebody else wrote one since, or the store gives no answer.
pub fn save(
    objects: &Objects,
    env: &str,
    writer: &str,
    before: Option<&Head>,
    mut ledger: Ledger,
) -> Result<Head, SaveError> {
    let mut serial = before.map_or(0, |head| head.ledger.serial);
    ledger.parent =
        before.map(|head| Parent { serial: head.ledger.serial, digest: head.digest.clone() });
    let expect = before.map_or(Expect::Absent, |head| Expect::At(head.generation));
    loop {
        serial += 1;
        ledger.serial = serial;
        let bytes = ledger::write(&ledger, env, writer);
        // A serial that is taken is one that somebody wrote and never made the head.
        if objects.put(&history_key(serial), Expect::Absent, &bytes)? == Put::Conflict {
            continue;
        }
        return match objects.put(KEY, expect, &bytes)? {
            Put::Written(generation) => {
                let digest = ledger::digest(&bytes);
                Ok(Head { ledger: Arc::new(ledger), generation, digest })
            }
            Put::Conflict => Err(SaveError::Changed),
        };
    }
}

/// Keeps a plan under its digest; one that is there already says the same.
///
/// # Errors
/// Where the store gives no answer.
pub fn keep_plan(objects: &Objects, digest: &str, plan: &[u8]) -> Result<(), StateError> {
    objects.put(&plan_key(digest), Expect::Absent, plan).map(|_| ())
}

/// A plan that was kept.
///
/// # Errors
/// Where the store gives no answer.
pub fn kept_plan(objects: &Objects, digest: &str) -> Result<Option<Vec<u8>>, StateError> {
    Ok(objects.get(&plan_key(digest))?.map(|object| object.bytes))
}

/// Keeps a manifest of schedules under its digest; one that is there already says the same.
///
/// # Errors
/// Where the store gives no answer.
pub fn keep_schedules(objects: &Objects, digest: &str, manifest: &[u8]) -> Result<(), StateError> {
    objects.put(&schedules_key(digest), Expect::Absent, manifest).map(|_| ())
}

/// A manifest of schedules that was kept.
///
/// # Errors
/// Where the store gives no answer.
pub fn kept_schedules(objects: &Objects, digest: &str) -> Result<Option<Vec<u8>>, StateError> {
    Ok(objects.get(&schedules_key(digest))?.map(|object| object.bytes))
}

fn schedules_key(digest: &str) -> String {
    format!("schedules/{}.json", digest.trim_start_matches("sha256:"))
}

fn plan_key(digest: &str) -> String {
    format!("plans/{}.json", digest.trim_start_matches("sha256:"))
}
