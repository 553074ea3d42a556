//! Whole documents of the few configs that differ.
//!
//! # Why
//! Documents are large. They are read two at a time, compared, and dropped, so that a plan from
//! nothing needs no more memory than one of a single change.

use std::sync::Arc;

use git2::Odb;
use serde_json::Value;

use super::Repository;
use super::SourceError;
use super::blobs;
use super::catalogs::plain;
use crate::model::catalog::Config;
use crate::model::document::normalise;
use crate::model::facts;
use crate::model::facts::Extent;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::ConfigType;

/// One file's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// The type of the config that it is.
    pub kind: ConfigType,
    /// The file, for messages.
    pub path: String,
    /// What git knows it by.
    pub blob: BlobId,
}

impl Content {
    /// The content of a config.
    pub fn of(config: &Config) -> Self {
        Self { kind: config.address.kind, path: config.path.clone(), blob: config.blob }
    }
}

/// Two documents to look at side by side, either of which may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// One of them, base's where it is about commits.
    pub before: Option<Content>,
    /// The other.
    pub after: Option<Content>,
}

/// Reads both documents of each pair in their normal form and hands them to `each`; gives back
/// what it made of them, in the order of `wanted`.
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
        let Wanted { before, after } = &wanted[at];
        let read = |side: &Option<Content>| side.as_ref().map(|it| document(odb, it)).transpose();
        let both = read(before).and_then(|before| Ok((before, read(after)?)));
        Some(both.map(|(before, after)| each(at, before, after)))
    })?;
    made.into_iter().flatten().collect()
}

fn document(odb: &Odb<'_>, content: &Content) -> Result<Value, SourceError> {
    let path = || content.path.clone();
    let blob = blobs::blob(odb, content.blob)
        .ok_or_else(|| SourceError::MissingBlobs { count: 1, path: path() })?;
    let value = serde_json::from_slice(blob.data()).map_err(|error| SourceError::Document {
        path: path(),
        line: error.line(),
        column: error.column(),
        what: plain(&error),
    })?;
    Ok(normalise(content.kind, value))
}

/// Configs as they were in files of earlier commits, in the order that they are asked for; none
/// where git no longer has the file, or it says something else now than it did.
///
/// # Errors
/// Where git cannot be read.
pub fn configs_of(
    repository: &Repository,
    wanted: &[(Address, String, BlobId)],
) -> Result<Vec<Option<Config>>, SourceError> {
    let blobs: Vec<BlobId> = wanted.iter().map(|it| it.2).collect();
    let read = blobs::read_each(&repository.git, &blobs, |at, bytes| {
        let (address, path, blob) = &wanted[at];
        let facts = facts::read(address.kind, bytes, Extent::Whole).ok()?;
        Some(Config::new(address.clone(), path.clone(), *blob, Arc::new(facts)))
    })?;
    Ok(read.into_iter().map(Option::flatten).collect())
}
