//! What has been applied, kept outside the repository: the ledger, its lock and its journal.
//!
//! ```text
//! head (ledger, history, plans), lease, journal ── objects (settled) ── store: a folder | gs://
//! ```
//!
//! # Why
//! A store can do two things: get an object, and put one on a condition. Everything that makes
//! state safe (the lock, the fence, history, answers that got lost) is written once above that.

pub mod clock;
pub mod fold;
pub mod gcs;
pub mod head;
pub mod journal;
pub mod lease;
pub mod ledger;
pub mod local;
pub mod location;
pub mod objects;
pub mod store;

use std::time::Duration;

use serde::de::DeserializeOwned;

use self::ledger::BadLedger;
use self::objects::Objects;
use self::store::StoreError;

/// Why state could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// There was no clear answer in time.
    #[error("no answer about {place} in {} seconds: {why}", .after.as_secs())]
    NoAnswer {
        /// The object, with the store it is in.
        place: String,
        /// What the last attempt said.
        why: String,
        /// How long it was tried.
        after: Duration,
        /// Whether a write may have happened, or may happen still.
        unclear: bool,
    },
    /// It did not happen and will not: a permission, a bucket, a disk, a name.
    #[error("{what}")]
    Refused {
        /// What is wrong.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// An object is not what it should be.
    #[error("{key} in {location}: {what}")]
    Bad {
        /// Where the state is.
        location: String,
        /// The object.
        key: String,
        /// What is wrong with it.
        what: String,
        /// Whether a newer version of this program wrote it.
        newer: bool,
    },
}

impl StateError {
    /// What to do next.
    pub fn next(&self) -> &str {
        match self {
            Self::Refused { next, .. } => next,
            Self::Bad { newer: true, .. } => "use the chronon-plan that wrote it, or a newer one",
            Self::Bad { key, .. } if key == head::KEY => {
                "`chronon-plan state history` lists earlier ledgers, `state rollback` restores one"
            }
            Self::Bad { .. } => "put back what was there: nothing but chronon-plan may write there",
            Self::NoAnswer { unclear: true, .. } => {
                "run it again: what was written is found, and what was not is written"
            }
            Self::NoAnswer { .. } => "check the network, then run it again: nothing was written",
        }
    }
}

impl StateError {
    fn bad(objects: &Objects, key: &str, error: &BadLedger) -> Self {
        let newer = matches!(error, BadLedger::Newer { version: _ });
        let (location, key, what) = (objects.location(), key.to_owned(), error.to_string());
        Self::Bad { location, key, what, newer }
    }
}

/// Reads a document of a form that carries its version.
fn parse<T: DeserializeOwned>(
    objects: &Objects,
    key: &str,
    known: u32,
    bytes: &[u8],
) -> Result<T, StateError> {
    let bad = |what: String, newer: bool| StateError::Bad {
        location: objects.location(),
        key: key.to_owned(),
        what,
        newer,
    };
    let json: serde_json::Value =
        serde_json::from_slice(bytes).map_err(|error| bad(error.to_string(), false))?;
    let version = json.get("format_version").and_then(serde_json::Value::as_u64).unwrap_or(0);
    if version > u64::from(known) {
        let what = format!(
            "it was written by a newer chronon-plan (form {version}, this one knows {known})"
        );
        return Err(bad(what, true));
    }
    serde_json::from_value(json).map_err(|error| bad(error.to_string(), false))
}

impl From<StoreError> for StateError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused { what, next } => Self::Refused { what, next },
            StoreError::Busy(what) | StoreError::Unclear(what) => {
                Self::Refused { what, next: "check the network, then run it again".to_owned() }
            }
        }
    }
}
