//! The ledger as bytes: `state.json` and each file of `history/`.
//!
//! # Why
//! One resource to a line, so that two ledgers can be compared with any tool; nothing in it that
//! is not written by whoever writes it, so that the bytes of a write are its own. What this version
//! does not know is refused, never dropped: the next write would lose it.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest;
use sha2::Sha256;

use crate::model::day::Day;
use crate::model::ledger::Applied;
use crate::model::ledger::Fingerprint;
use crate::model::ledger::Ledger;
use crate::model::ledger::Parent;
use crate::model::ledger::Published;
use crate::model::name::Address;
use crate::model::name::BlobId;
use crate::model::name::CommitId;
use crate::model::name::Resource;
use crate::model::name::hex_of;
use crate::model::name::text;

/// The version of this form: 2 has schedules. A ledger without them is written as 1, so that a
/// program that knows no other form can still read it.
pub const FORMAT_VERSION: u32 = 2;

/// A ledger, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The version of this form.
    pub format_version: u32,
    /// Which history of ledgers this one belongs to.
    pub lineage: String,
    /// Which write it is.
    pub serial: u64,
    /// The write before this one; null for the first.
    pub parent: Option<ParentDocument>,
    /// The env.
    pub env: String,
    /// The last commit that an apply began to bring about; null where only parts were adopted.
    pub commit: Option<String>,
    /// Who wrote it: a name that no other write shares.
    pub writer: String,
    /// Runs whose journals have nothing to add to it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub superseded: Vec<String>,
    /// The schedules, once any were published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<PublishedDocument>,
    /// Every resource, sorted.
    pub resources: Vec<Row>,
}

/// The schedules as they were published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishedDocument {
    /// The digest of the manifest.
    pub digest: String,
    /// Where they are.
    pub location: String,
    /// The commit whose files the tasks run.
    pub commit: String,
    /// The run that published them.
    pub run: String,
    /// When, in UTC, as RFC 3339.
    pub at: String,
    /// A fingerprint of each DAG.
    pub dags: std::collections::BTreeMap<String, String>,
}

impl PublishedDocument {
    fn of(published: &Published) -> Self {
        let Published { digest, location, commit, run, at, dags } = published.clone();
        Self { digest, location, commit: commit.0, run, at, dags }
    }

    fn published(self) -> Published {
        let Self { digest, location, commit, run, at, dags } = self;
        Published { digest, location, commit: CommitId(commit), run, at, dags }
    }
}

/// The write that another one follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ParentDocument {
    /// Its serial.
    pub serial: u64,
    /// `sha256:` and a hash of its bytes.
    pub digest: String,
}

/// One resource, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The config.
    #[schemars(with = "String")]
    pub config: Address,
    /// The resource.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub resource: Resource,
    /// The fingerprint, upstream included, in hex.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
    /// The part of it that the config alone accounts for; left out where that is all of it.
    #[serde(default, with = "text::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub own: Option<Fingerprint>,
    /// The tables that are part of it, each with its fingerprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstream: Vec<UpstreamRow>,
    /// The rules it was computed under.
    pub rules: u32,
    /// The commit that was applied.
    pub commit: String,
    /// The config's file at that commit.
    pub path: String,
    /// The id of the file's content.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub blob: BlobId,
    /// The first day that was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub start: Option<Day>,
    /// The last day that was computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub end: Option<Day>,
    /// The run that applied it; `adopt` for what was recorded without one.
    pub run: String,
    /// The last job that brought it about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// When, in UTC, as RFC 3339.
    pub at: String,
    /// Whether a job was started on it since and not seen to bring it about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub begun: bool,
}

/// A table that is part of a fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpstreamRow {
    /// The config that writes it.
    #[schemars(with = "String")]
    pub config: Address,
    /// Its fingerprint.
    #[serde(with = "text")]
    #[schemars(with = "String")]
    pub fingerprint: Fingerprint,
}

/// Why bytes are no ledger that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLedger {
    /// A version that this program does not know.
    #[error(
        "it was written by a newer chronon-plan (form {version}, this one knows {FORMAT_VERSION})"
    )]
    Newer {
        /// The version of its form.
        version: u64,
    },
    /// Not JSON, or not of this shape.
    #[error("line {line}, column {column}: {what}")]
    Shape {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong.
        what: String,
    },
    /// Days with a first and no last one, or the other way round.
    #[error("{config}: `start` and `end` only stand together")]
    HalfRange {
        /// The config of the row.
        config: Address,
    },
    /// The ledger of another env.
    #[error("it is the ledger of env `{found}`, not `{wanted}`")]
    OtherEnv {
        /// The env that it names.
        found: String,
        /// The env that was meant.
        wanted: String,
    },
}

/// Writes a ledger: one resource to a line.
pub fn write(ledger: &Ledger, env: &str, writer: &str) -> Vec<u8> {
    let head = Document {
        format_version: if ledger.schedules.is_some() { FORMAT_VERSION } else { 1 },
        lineage: ledger.lineage.clone(),
        serial: ledger.serial,
        parent: ledger
            .parent
            .as_ref()
            .map(|it| ParentDocument { serial: it.serial, digest: it.digest.clone() }),
        env: env.to_owned(),
        commit: ledger.commit.as_ref().map(ToString::to_string),
        writer: writer.to_owned(),
        superseded: ledger.superseded.clone(),
        schedules: ledger.schedules.as_ref().map(PublishedDocument::of),
        resources: Vec::new(),
    };
    let mut bytes = serde_json::to_vec(&head).unwrap_or_default();
    bytes.truncate(bytes.len() - "]}".len());
    let mut first = true;
    for ((config, resource), applied) in &ledger.applied {
        bytes.extend_from_slice(if first { b"\n" } else { b",\n" });
        first = false;
        // Writing to memory cannot fail, and every key is a string.
        serde_json::to_writer(&mut bytes, &Row::of(config, *resource, applied)).unwrap_or_default();
    }
    bytes.extend_from_slice(b"\n]}\n");
    bytes
}

/// Reads a ledger and the env that it is of.
///
/// # Errors
/// Where it is of a newer form, or not well formed.
pub fn read(bytes: &[u8]) -> Result<(Ledger, String), BadLedger> {
    let document: Document = match serde_json::from_slice(bytes) {
        Ok(document) => document,
        Err(error) => return Err(newer(bytes).unwrap_or_else(|| shape(&error))),
    };
    if !(1..=FORMAT_VERSION).contains(&document.format_version) {
        return Err(BadLedger::Newer { version: document.format_version.into() });
    }
    let mut ledger = Ledger {
        lineage: document.lineage,
        serial: document.serial,
        parent: document.parent.map(|it| Parent { serial: it.serial, digest: it.digest }),
        commit: document.commit.map(CommitId),
        superseded: document.superseded,
        schedules: document.schedules.map(PublishedDocument::published),
        applied: std::collections::BTreeMap::new(),
    };
    let mut rows = Vec::with_capacity(document.resources.len());
    let mut last: Option<Address> = None;
    for row in document.resources {
        if row.start.is_some() != row.end.is_some() {
            return Err(BadLedger::HalfRange { config: row.config });
        }
        let (mut key, applied) = row.applied();
        // The rows of a config stand together and share its name.
        match &last {
            Some(address) if *address == key.0 => key.0 = address.clone(),
            _ => last = Some(key.0.clone()),
        }
        rows.push((key, applied));
    }
    let count = rows.len();
    ledger.applied = rows.into_iter().collect();
    if ledger.applied.len() != count {
        let what = "a resource stands in it twice".to_owned();
        return Err(BadLedger::Shape { line: 1, column: 1, what });
    }
    Ok((ledger, document.env))
}

/// `sha256:` and a hash of a ledger's bytes.
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", hex_of(&hash))
}

/// Whether the bytes are of a form that this program does not know; its fields may be anything.
fn newer(bytes: &[u8]) -> Option<BadLedger> {
    let json: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    let version = json.get("format_version")?.as_u64()?;
    (version > FORMAT_VERSION.into()).then_some(BadLedger::Newer { version })
}

fn shape(error: &serde_json::Error) -> BadLedger {
    let what = error.to_string();
    let what = what.rsplit_once(" at line ").map_or(what.as_str(), |split| split.0).to_owned();
    BadLedger::Shape { line: error.line(), column: error.column(), what }
}

impl Row {
    /// A resource as it is written.
    pub fn of(config: &Address, resource: Resource, applied: &Applied) -> Self {
        let upstream = applied.upstream.iter();
        Self {
            config: config.clone(),
            resource,
            fingerprint: applied.fingerprint,
            own: Some(applied.own).filter(|own| *own != applied.fingerprint),
            upstream: upstream
                .map(|it| UpstreamRow { config: it.0.clone(), fingerprint: it.1 })
                .collect(),
            rules: applied.version,
            commit: applied.commit.to_string(),
            path: applied.path.clone(),
            blob: applied.blob,
            start: applied.range.map(|range| range.0),
            end: applied.range.map(|range| range.1),
            run: applied.run.clone(),
            job: applied.job.clone(),
            at: applied.at.clone(),
            begun: applied.begun,
        }
    }

    /// The resource as a value.
    pub fn applied(self) -> ((Address, Resource), Applied) {
        let applied = Applied {
            fingerprint: self.fingerprint,
            own: self.own.unwrap_or(self.fingerprint),
            upstream: self.upstream.into_iter().map(|it| (it.config, it.fingerprint)).collect(),
            version: self.rules,
            commit: CommitId(self.commit),
            path: self.path,
            blob: self.blob,
            range: self.start.zip(self.end),
            run: self.run,
            job: self.job,
            at: self.at,
            begun: self.begun,
        };
        ((self.config, self.resource), applied)
    }
}
