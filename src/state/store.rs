//! What a place for objects must be able to do: get, and put on a condition.
//!
//! # Why
//! No delete and no list: nothing here needs them, and the fewer calls there are, the fewer ways
//! there are to lose one. A store never retries and never guesses: it says what it knows of one
//! call, and [`super::objects`] resolves what is unclear.

use std::time::Duration;

/// Which write of an object: grows with every write, and no two writes of one object share it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// An object as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Which write of it.
    pub generation: Generation,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// On which condition an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// There is no such object.
    Absent,
    /// It is still what this write left.
    At(Generation),
}

/// How a write ended that got a clear answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is written.
    Written(Generation),
    /// The condition did not hold; nothing was written by this call.
    Conflict,
}

/// Why a call got no such answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// It certainly did not happen; it may the next time.
    #[error("{0}")]
    Busy(String),
    /// It may have happened, now or still to come: only reading tells.
    #[error("{0}")]
    Unclear(String),
    /// It did not happen and will not: a permission, a bucket, a disk.
    #[error("{what}")]
    Refused {
        /// What is wrong.
        what: String,
        /// What to do about it.
        next: String,
    },
}

/// A place for objects under names like `journal/r1/3.json`.
pub trait Store: Send + Sync {
    /// The object of this name; none where there is none.
    ///
    /// # Errors
    /// Where the store gives no answer.
    fn get(&self, key: &str) -> Result<Option<Object>, StoreError>;

    /// Writes an object whole, if the condition holds. One attempt.
    ///
    /// # Errors
    /// Where the store gives no clear answer.
    fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StoreError>;

    /// How long to wait between two writes of one object: object stores limit those.
    fn pace(&self) -> Duration;

    /// Where this is, as a person writes it.
    fn location(&self) -> String;
}

/// How long a key may be, in bytes: with a prefix before it, object stores take 1024.
const LONGEST_KEY: usize = 700;

/// How long one part of a key may be, in bytes: file systems take 255, and some need room.
const LONGEST_PART: usize = 200;

/// Holds a key against the rules that every store keeps, so that a key that works in one works in
/// all: parts between `/`, none empty, none that starts with a dot, no backslash, nothing that
/// does not print.
///
/// # Errors
/// Where one does not hold, with the rule.
pub fn check_key(key: &str) -> Result<(), StoreError> {
    let wrong = match key {
        _ if key.len() > LONGEST_KEY => "is too long",
        _ if key.contains('\\') => "contains a backslash",
        _ if key.contains(char::is_control) => "contains what does not print",
        _ if key.split('/').any(str::is_empty) => "has an empty part",
        _ if key.split('/').any(|part| part.starts_with('.')) => "has a part that starts with `.`",
        _ if key.split('/').any(|part| part.len() > LONGEST_PART) => "has a part that is too long",
        _ => return Ok(()),
    };
    Err(StoreError::Refused {
        what: format!("the object name `{}` {wrong}", key.escape_debug()),
        next: "use parts of letters, digits, `-`, `_` and `.`, with `/` between them".to_owned(),
    })
}
