//! All configs of an env at one commit.

use std::sync::Arc;

use super::facts::Facts;
use super::name::Address;
use super::name::BlobId;
use super::name::CommitId;
use super::name::ConfigType;
use super::name::Dialect;
use super::name::sanitize;

/// One compiled object.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Its identity.
    pub address: Address,
    /// The file, from the repository's top.
    pub path: String,
    /// The file's content.
    pub blob: BlobId,
    /// What lineage needs of it.
    pub facts: Arc<Facts>,
    /// The table it writes.
    output: Option<String>,
}

impl Config {
    /// A config with the facts of its file.
    pub fn new(address: Address, path: String, blob: BlobId, facts: Arc<Facts>) -> Self {
        let derived = |space: &String| format!("{space}.{}", sanitize(&address.name));
        let output = facts.output_table.clone().or_else(|| facts.namespace.as_ref().map(derived));
        Self { address, path, blob, facts, output }
    }

    /// The table it writes: its own name for it, else namespace and sanitized name
    /// (reference §1.6); none without a namespace, as in GroupBys that only exist embedded.
    pub fn output_table(&self) -> Option<&str> {
        self.output.as_deref()
    }

    /// The dataset of a GroupBy's batch upload in the KV store (reference §1.6).
    pub fn batch_dataset(&self) -> String {
        format!("{}_BATCH", sanitize(&self.address.name).to_uppercase())
    }

    /// The label by which a streaming job is found (reference §1.6): the deploy of one job
    /// cancels another whose label is the same.
    pub fn job_label(&self) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let label = self.address.name.chars().map(|c| if fits(c) { c } else { '_' });
        label.take(63).collect::<String>().to_lowercase()
    }
}

/// A file under the root that is no config.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OtherFile {
    /// The file, from the repository's top.
    pub path: String,
    /// Its content.
    pub blob: BlobId,
    /// Why it is no config.
    pub why: &'static str,
}

/// A file that should be a config and cannot be read as one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Malformed {
    /// The file, from the repository's top.
    pub path: String,
    /// The line, counted from 1; 0 where the whole file is meant.
    pub line: usize,
    /// The column, counted from 1; 0 where the whole line is meant.
    pub column: usize,
    /// What is wrong, without quoting the file.
    pub what: String,
}

/// All configs of an env at one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalog {
    /// How the commit was named.
    pub rev: String,
    /// The commit.
    pub commit: CommitId,
    /// The compiled root, from the repository's top.
    pub root: String,
    /// What wrote the files.
    pub dialect: Dialect,
    /// The configs, sorted by address, no address twice; shared with the other side where they
    /// are the same.
    pub configs: Vec<Arc<Config>>,
    /// What else lies under the root, sorted.
    pub others: Vec<OtherFile>,
    /// What could not be read, sorted.
    pub malformed: Vec<Malformed>,
}

impl Catalog {
    /// The position of a config.
    pub fn index_of(&self, address: &Address) -> Option<usize> {
        self.configs.binary_search_by(|config| config.address.cmp(address)).ok()
    }

    /// Whether nothing at all lies under the root.
    pub fn is_empty(&self) -> bool {
        self.configs.is_empty() && self.others.is_empty() && self.malformed.is_empty()
    }

    /// The config with this address.
    pub fn get(&self, address: &Address) -> Option<&Config> {
        self.index_of(address).map(|index| &*self.configs[index])
    }

    /// Whether the env has any config of this type.
    pub fn has(&self, kind: ConfigType) -> bool {
        self.configs.iter().any(|config| config.address.kind == kind)
    }
}
