//! TABLE of job modes: what each does to which resource (reference §4).

use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::name::Resource;

/// Which dates a mode's job is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dates {
    /// None.
    None,
    /// The newest day.
    Day,
    /// A first and a last day.
    Range,
}

/// One mode of the CLI.
#[derive(Clone, Copy, Debug)]
pub struct Mode {
    /// As the CLI spells it.
    pub name: &'static str,
    /// The resource it brings up to date.
    pub resource: Resource,
    /// The types of config it takes.
    pub of: &'static [ConfigType],
    /// The one dialect that has it, or both.
    pub only: Option<Dialect>,
    /// Which dates it is given.
    pub dates: Dates,
    /// What it does, in a few words for people.
    pub does: &'static str,
    /// How many minutes a job may take where no setting says so.
    pub timeout: u32,
    /// How often a job is tried again that failed, where no setting says so.
    pub retries: u32,
}

const BATCH: &[ConfigType] = &[ConfigType::GroupBy, ConfigType::Join, ConfigType::StagingQuery];
const GROUP_BY: &[ConfigType] = &[ConfigType::GroupBy];
const JOIN: &[ConfigType] = &[ConfigType::Join];
const SERVED: &[ConfigType] = &[ConfigType::GroupBy, ConfigType::Join];

const fn mode(
    name: &'static str,
    resource: Resource,
    of: &'static [ConfigType],
    dates: Dates,
    does: &'static str,
    timeout: u32,
    retries: u32,
) -> Mode {
    Mode { name, resource, of, only: None, dates, does, timeout, retries }
}

/// Every mode that a plan can hold; those of one resource in the order in which they run.
#[rustfmt::skip] // one mode, one line
pub const MODES: &[Mode] = &[
    mode("backfill", Resource::Table, BATCH, Dates::Range, "computes the output table", 1440, 1),
    mode("upload", Resource::Kv, GROUP_BY, Dates::Day, "computes the newest values and the serving info", 360, 1),
    mode("upload-to-kv", Resource::Kv, GROUP_BY, Dates::Day, "loads them into the KV store", 360, 1),
    mode("streaming", Resource::Stream, GROUP_BY, Dates::None, "deploys the streaming job", 30, 1),
    mode("metadata-upload", Resource::Metadata, SERVED, Dates::None, "puts the config into the KV store", 30, 2),
    mode("log-flattener", Resource::Consistency, JOIN, Dates::Day, "flattens the logged responses", 360, 1),
    Mode { only: Some(Dialect::Zip), ..mode("build-comparison-table", Resource::Consistency, JOIN, Dates::Day, "recomputes the logged rows offline", 360, 1) },
    mode("consistency-metrics-compute", Resource::Consistency, JOIN, Dates::Day, "compares online with offline", 360, 1),
];

/// The mode with this name.
pub fn by_name(name: &str) -> Option<&'static Mode> {
    MODES.iter().find(|mode| mode.name == name)
}

/// The modes that bring a resource of a config up to date, in the order in which they run.
pub fn of(
    resource: Resource,
    kind: ConfigType,
    dialect: Dialect,
) -> impl Iterator<Item = &'static Mode> {
    MODES.iter().filter(move |mode| {
        mode.resource == resource
            && mode.of.contains(&kind)
            && mode.only.is_none_or(|only| only == dialect)
    })
}
