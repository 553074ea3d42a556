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
pub mod head;
pub mod journal;
pub mod lease;
pub mod ledger;
pub mod objects;
pub mod store;

use serde::de::DeserializeOwned;

use objects::Objects;

/// Why the state could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// The store gave no answer for too long.
    #[error("{location}: `{key}`: no answer: {what}")]
    NoAnswer {
        /// Where the state is.
        location: String,
        /// The object.
        key: String,
        /// What it said last.
        what: String,
    },
    /// The store will not do it.
    #[error("{what}")]
    Refused {
        /// What is wrong.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// An object is not what it should be.
    #[error("{location}: `{key}`: {what}")]
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
    fn bad(objects: &Objects, key: &str, error: ledger::BadLedger) -> Self {
        let newer = matches!(error, ledger::BadLedger::Newer { version: _ });
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
        let what =
            format!("written by a newer chronon-plan (form {version}, this one knows {known})");
        return Err(bad(what, true));
    }
    serde_json::from_value(json).map_err(|error| bad(error.to_string(), false))
}
