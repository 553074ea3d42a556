//! A plan as a value and as JSON: the contract of `--format json` and of saved plans.
//!
//! # Why
//! The types that are written are the types that are rendered, and their JSON Schema is derived
//! from them, so nothing can drift. Keys may be added within a schema version; none changes its
//! meaning.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use super::schedules::Schedules;
use crate::model::day::Day;
use crate::model::name::Address;

/// The version of this contract.
pub const SCHEMA_VERSION: u32 = 1;

/// What a commit needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The version of this contract.
    pub schema_version: u32,
    /// `sha256:` and a hash over what would be done and why; what a reviewer approves. Time,
    /// run, state serial, tool version and as-of date are not in it.
    pub digest: String,
    /// The env.
    pub env: String,
    /// What wrote the files: `zip` or `oss`.
    pub dialect: String,
    /// The day of the plan; backfills end the day before.
    #[schemars(with = "String")]
    pub as_of: Day,
    /// Whether everything was planned: no file skipped, no step left out by a target.
    pub complete: bool,
    /// What is compared with.
    pub base: Side,
    /// What is planned.
    pub head: Side,
    /// The ledger that was planned against.
    pub state: State,
    /// The plan in numbers.
    pub summary: Summary,
    /// The configs that differ between base and head, sorted.
    pub changes: Vec<Change>,
    /// The jobs to run, in an order in which they can run.
    pub steps: Vec<Step>,
    /// What head leaves behind; never removed by itself.
    pub orphans: Vec<Orphan>,
    /// What a reviewer must know, worst first.
    pub warnings: Vec<Warning>,
    /// Files under the root that are no configs and differ.
    pub other_files: Vec<OtherFile>,
    /// Files that could not be read and were left out (`--keep-going`).
    pub skipped_files: Vec<SkippedFile>,
    /// The schedules, of an env that publishes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedules: Option<Schedules>,
}

impl Plan {
    /// Whether there is nothing to do: no step, whoever runs it, and no schedule to publish.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty() && self.schedules.as_ref().is_none_or(Schedules::is_empty)
    }
}

/// One of the two commits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// As the user named it.
    pub rev: String,
    /// The commit that was read.
    pub commit: String,
}

/// The ledger that was planned against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// Where it is kept.
    pub location: String,
    /// Its lineage; none where there is no ledger yet.
    pub lineage: Option<String>,
    /// Its serial; 0 where there is no ledger yet.
    pub serial: u64,
    /// Whether there is one; without one, base counts as applied.
    pub found: bool,
}

/// The plan in numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// How many steps, those of schedulers included.
    pub steps: usize,
    /// How many steps of each mode.
    pub by_mode: BTreeMap<String, usize>,
    /// The days of all backfills together, as far as their start is known.
    pub backfill_days: i64,
    /// Configs of head that are as at base and need nothing.
    pub unchanged: usize,
    /// Configs that differ.
    pub changed: usize,
    /// How many warnings of each code.
    pub warnings: BTreeMap<String, usize>,
}

/// What happened to a config.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// Its content differs.
    Modified,
    /// One version is gone and another is new.
    VersionBump,
    /// It is gone, and one with the same definition is new.
    Renamed,
}

/// One config that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The config at head, else the one at base.
    #[schemars(with = "String")]
    pub config: Address,
    /// Its file.
    pub path: String,
    /// What happened.
    pub kind: Kind,
    /// The config it replaces: for version bumps and renames.
    #[schemars(with = "Option<String>")]
    pub from: Option<Address>,
    /// The fields that differ.
    pub fields: Vec<Field>,
    /// The output columns that differ.
    pub columns: Columns,
    /// The configs that depend on it, directly or not, sorted.
    #[schemars(with = "Vec<String>")]
    pub downstream: Vec<Address>,
}

/// One field that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Field {
    /// Where, as `aggregations[amount SUM].windows[14d]`.
    pub path: String,
    /// The value at base; null where there is none or it is hidden.
    pub before: Option<Value>,
    /// The value at head; null where there is none or it is hidden.
    pub after: Option<Value>,
    /// The name of the value at base, where it is one of an enum's.
    pub before_name: Option<String>,
    /// The name of the value at head, where it is one of an enum's.
    pub after_name: Option<String>,
    /// Whether it is SQL.
    pub sql: bool,
    /// Whether the values are settings that are never shown.
    pub hidden: bool,
    /// Whether only the order of a list differs.
    pub reordered: bool,
    /// The resources of the config that it counts for, sorted.
    pub counts_for: Vec<String>,
    /// Why, or why for none.
    pub because: String,
}

/// The output columns that differ, each list sorted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Columns {
    /// New columns.
    pub added: Vec<String>,
    /// Columns that are gone.
    pub removed: Vec<String>,
    /// Columns with another name and the same values.
    pub renamed: Vec<RenamedColumn>,
    /// Columns with the same name and other values.
    pub changed: Vec<String>,
}

impl Columns {
    /// Whether no column differs.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A column with another name and the same values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RenamedColumn {
    /// Its name at base.
    pub from: String,
    /// Its name at head.
    pub to: String,
}

/// Why a step is needed, in one word.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its resource is not there yet.
    New,
    /// The config changed.
    Changed,
    /// A table that it reads changes.
    Upstream,
    /// Somebody asked for it.
    Forced,
}

/// Who asks for a step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The difference between base and head.
    Change,
    /// It is on base already and was never applied.
    Pending,
}

/// Who runs a step.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// An apply.
    Apply,
    /// The scheduler, once a day of logs is there.
    Schedule,
}

/// What a backfill does to partitions that exist.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Rewrite {
    /// It leaves them: there are only new ones to compute.
    Fill,
    /// The join's semantic hash notices the change, archives and recomputes.
    Auto,
    /// It overwrites the range it is given.
    Overwrite,
    /// It leaves them although they are wrong: the table must be archived or dropped first.
    ArchiveFirst,
}

impl Rewrite {
    /// As it is spelt in plans.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Auto => "auto",
            Self::Overwrite => "overwrite",
            Self::ArchiveFirst => "archive-first",
        }
    }
}

/// One job to run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// `<config>#<mode>`.
    pub id: String,
    /// The config.
    #[schemars(with = "String")]
    pub config: Address,
    /// Its file.
    pub path: String,
    /// What the file holds, as git names it; empty in plans of versions that did not say it.
    #[serde(default)]
    pub blob: String,
    /// The mode, as the CLI spells it.
    pub mode: String,
    /// The resource that it brings up to date.
    pub resource: String,
    /// Why, in one word.
    pub cause: Cause,
    /// Who asks for it.
    pub scope: Scope,
    /// Who runs it.
    pub trigger: Trigger,
    /// Why, field by field.
    pub because: Vec<Because>,
    /// The steps that must be done before, as far as no other of them implies it.
    pub after: Vec<String>,
    /// The days it computes; for backfills.
    pub range: Option<Range>,
    /// What it does to partitions that exist; for backfills.
    pub rewrite: Option<Rewrite>,
    /// The command; empty where somebody must do it by hand.
    pub argv: Vec<String>,
    /// What somebody must do by hand, before or instead of the command.
    pub manual: Option<String>,
}

/// One reason for a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Because {
    /// The field that changed.
    pub field: Option<String>,
    /// The reason as a sentence.
    pub text: String,
    /// The config whose table changes.
    #[schemars(with = "Option<String>")]
    pub upstream: Option<Address>,
}

/// The days of a backfill, both ends included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The first day; null where nothing says it.
    #[schemars(with = "Option<String>")]
    pub start: Option<Day>,
    /// The last day.
    #[schemars(with = "String")]
    pub end: Day,
    /// How many days; null without a start.
    pub days: Option<i64>,
}

/// Something that head leaves behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Orphan {
    /// The config that it belonged to.
    #[schemars(with = "String")]
    pub config: Address,
    /// The resource.
    pub resource: String,
    /// What it is, by name.
    pub what: String,
    /// The shell commands that would remove it; none where the store's own tools are needed.
    pub remove_with: Vec<String>,
}

/// Something a reviewer must know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// Which kind.
    pub code: String,
    /// The config.
    #[schemars(with = "String")]
    pub config: Address,
    /// The field, where it is one.
    pub field: Option<String>,
    /// What is the matter, in a sentence.
    pub text: String,
    /// The configs that it hits.
    #[schemars(with = "Vec<String>")]
    pub affects: Vec<Address>,
}

/// A file under the root that is no config and differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OtherFile {
    /// The file.
    pub path: String,
    /// What happened: added, removed or modified.
    pub kind: Kind,
    /// Why it is no config.
    pub why: String,
}

/// A file that could not be read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedFile {
    /// The file.
    pub path: String,
    /// `base` or `head`.
    pub side: String,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// The column, from 1; 0 for the whole line.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}
