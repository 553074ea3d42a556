//! Whole documents of the few configs that differ.
//!
//! # Why
//! Documents are large. They are read two at a time, compared, and dropped, so that a plan from
//! nothing needs no more memory than one of a single change.

use git2::Odb;
use serde_json::Value;

use super::Repository;
use super::SourceError;
use super::blobs;
use super::catalogs::plain;
use crate::model::document::normalise;
use crate::model::name::BlobId;
use crate::model::name::ConfigType;

/// The two sides of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its type.
    pub kind: ConfigType,
    /// Its file, for messages.
    pub path: String,
    /// Its content at base.
    pub before: Option<BlobId>,
    /// Its content at head.
    pub after: Option<BlobId>,
}

/// Reads both sides of each config in their normal form and hands them to `each`; gives back what
/// it made of them, in the order of `wanted`.
///
/// # Errors
/// Where a blob is missing or holds what no parser takes.
pub fn documents<T: Send>(
    repository: &Repository,
    wanted: &[Wanted],
    each: impl Fn(usize, Option<Value>, Option<Value>) -> T + Sync,
) -> Result<Vec<T>, SourceError> {
    let order: Vec<usize> = (0..wanted.len()).collect();
    let made = blobs::on_all_cores(&repository.git, &order, 8, |odb, at| {
        let side =
            |blob: Option<BlobId>| blob.map(|blob| document(odb, &wanted[at], blob)).transpose();
        let both = side(wanted[at].before).and_then(|before| Ok((before, side(wanted[at].after)?)));
        Some(both.map(|(before, after)| each(at, before, after)))
    })?;
    made.into_iter().flatten().collect()
}

fn document(odb: &Odb<'_>, wanted: &Wanted, id: BlobId) -> Result<Value, SourceError> {
    let path = || wanted.path.clone();
    let blob =
        blobs::blob(odb, id).ok_or_else(|| SourceError::MissingBlobs { count: 1, path: path() })?;
    let value = serde_json::from_slice(blob.data()).map_err(|error| SourceError::Document {
        path: path(),
        line: error.line(),
        column: error.column(),
        what: plain(&error),
    })?;
    Ok(normalise(wanted.kind, value))
}
