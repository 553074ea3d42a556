//! Which task of which DAG runs what of a config.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use sha2::Digest;
use sha2::Sha256;

use super::cron;
use super::spec::Grid;
use crate::model::catalog::Catalog;
use crate::model::catalog::Config;
use crate::model::lineage::Lineage;
use crate::model::name::ConfigType;
use crate::model::name::Dialect;
use crate::model::name::Resource;
use crate::model::name::hex_of;
use crate::model::name::sanitize;
use crate::model::resource::resources;
use crate::plan::argv::Span;
use crate::plan::modes;
use crate::plan::modes::Mode;

/// The families of DAGs that run by the clock, each with the type and the resource that it is for.
#[rustfmt::skip] // one family, one line
const FAMILIES: [(ConfigType, Resource, &str); 6] = [
    (ConfigType::GroupBy, Resource::Table, "gb_batch"),
    (ConfigType::GroupBy, Resource::Kv, "gb_batch"),
    (ConfigType::GroupBy, Resource::Stream, "gb_streaming"),
    (ConfigType::Join, Resource::Table, "join"),
    (ConfigType::Join, Resource::Consistency, "join_ooc"),
    (ConfigType::StagingQuery, Resource::Table, "staging_query"),
];

/// What the DAGs of no team are called behind the prefix.
const OF_ALL: [&str; 5] =
    ["gb_backfill", "job", "join_backfill", "metadata", "staging_query_backfill"];

/// A task that runs one mode of a config.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// The config, as an index into the catalog.
    pub(super) index: usize,
    /// The team.
    pub(super) team: String,
    /// The DAG.
    pub(super) dag: String,
    /// The task.
    pub(super) task: String,
    /// When the DAG runs.
    pub(super) cron: String,
    /// What it runs.
    pub(super) mode: &'static Mode,
    /// How the config's output is cut.
    pub(super) grid: Grid,
}

/// Every task that runs a job, in the order of configs.
pub(super) struct Places {
    all: Vec<Placed>,
    of: BTreeMap<(usize, &'static str), usize>,
    /// Whose each name of a DAG is: names of teams are free, and some spell another's DAG.
    dags: BTreeMap<String, String>,
    /// Configs whose schedule is none.
    pub(super) odd: Vec<(usize, String)>,
}

impl Places {
    pub(super) fn none() -> Self {
        Self { all: Vec::new(), of: BTreeMap::new(), dags: BTreeMap::new(), odd: Vec::new() }
    }

    pub(super) fn of(prefix: &str, catalog: &Catalog, lineage: &Lineage) -> Self {
        let mut places = Self::none();
        let of_all = OF_ALL.iter().map(|it| (format!("{prefix}_{it}"), String::new()));
        places.dags.extend(of_all);
        let mut taken = BTreeSet::new();
        for (index, config) in catalog.configs.iter().enumerate() {
            for resource in resources(catalog, lineage, index) {
                places.place(prefix, catalog, index, config, resource, &mut taken);
            }
        }
        places
    }

    fn place(
        &mut self,
        prefix: &str,
        catalog: &Catalog,
        index: usize,
        config: &Config,
        resource: Resource,
        taken: &mut BTreeSet<(String, String)>,
    ) {
        let kind = config.address.kind;
        let row = FAMILIES.iter().find(|row| row.0 == kind && row.1 == resource);
        let (Some(row), Some(cron)) = (row, self.cron(index, config, resource)) else { return };
        let team = team_of(config);
        let suffix = if resource == Resource::Stream { String::new() } else { cron::suffix(&cron) };
        let dag = short(format!("{prefix}_{}_{}{suffix}", row.2, sanitize(&team)));
        let dag = self.dag(dag, format!("{} {team} {cron}", row.2));
        for mode in modes::of(resource, kind, catalog.dialect) {
            let task = free(&dag, mode, config, taken);
            self.of.insert((index, mode.name), self.all.len());
            self.all.push(Placed {
                index,
                team: team.clone(),
                dag: dag.clone(),
                task,
                cron: cron.clone(),
                mode,
                grid: grid_of(config),
            });
        }
    }

    /// The name of a DAG: no two share one, whatever teams are called.
    fn dag(&mut self, name: String, whose: String) -> String {
        match self.dags.get(&name) {
            Some(first) if *first != whose => {
                let other = format!("{name}__{}", hash(&whose));
                self.dags.insert(other.clone(), whose);
                other
            }
            _ => {
                self.dags.insert(name.clone(), whose);
                name
            }
        }
    }

    /// When a resource is brought up to date by the clock; none where it never is.
    fn cron(&mut self, index: usize, config: &Config, resource: Resource) -> Option<String> {
        let facts = &config.facts;
        let said = match resource {
            Resource::Table => facts.offline_schedule.as_deref(),
            Resource::Kv => facts.online_schedule.as_deref(),
            Resource::Stream => return Some(cron::OFTEN.to_owned()),
            Resource::Consistency | Resource::Metadata => None,
        };
        let Some(said) = said else { return Some(cron::DAILY.to_owned()) };
        if said == cron::NEVER {
            return None;
        }
        cron::cron(said).or_else(|| {
            self.odd.push((index, said.to_owned()));
            Some(cron::DAILY.to_owned())
        })
    }

    pub(super) fn all(&self) -> &[Placed] {
        &self.all
    }

    /// Without those tasks, by their turn in [`Self::all`], that nothing runs: nobody may wait for
    /// them.
    pub(super) fn retain(&mut self, runs: impl Fn(usize) -> bool) {
        self.of.retain(|_, at| runs(*at));
    }

    /// The task that runs a mode of a config.
    pub(super) fn find(&self, index: usize, mode: &'static str) -> Option<&Placed> {
        self.of.get(&(index, mode)).map(|at| &self.all[*at])
    }
}

/// The team of a config: what it says, else the first part of its name.
pub(super) fn team_of(config: &Config) -> String {
    let first = || config.address.name.split('.').next().unwrap_or_default().to_owned();
    config.facts.team.clone().unwrap_or_else(first)
}

/// Over which days a job runs every day: joins, and all of dialect OSS, fill what is missing by
/// themselves (reference §5), so that a day that was missed is made up for.
pub(super) fn span(config: &Config, dialect: Dialect) -> Span {
    match (dialect, config.address.kind) {
        (Dialect::Oss, _) | (_, ConfigType::Join) => Span::UpTo,
        _ => Span::Bounded,
    }
}

/// How the output of a config is cut.
pub(super) fn grid_of(config: &Config) -> Grid {
    let own = config.facts.cut.as_deref().cloned().unwrap_or_default();
    let usual = config.facts.usual_cut.as_deref().cloned().unwrap_or_default();
    grid(&own, usual.format)
}

/// How a table is cut, with what holds where nobody says (reference §1.4).
pub(super) fn grid(cut: &crate::model::partitions::Cut, usual_format: Option<String>) -> Grid {
    const DAY: i64 = 1440;
    let minutes = cut.minutes.unwrap_or(DAY);
    let usual = if minutes < DAY { None } else { usual_format };
    let plain = if minutes < DAY { "yyyy-MM-dd-HH-mm" } else { "yyyy-MM-dd" };
    let format = cut.format.clone().or(usual).unwrap_or_else(|| plain.to_owned());
    Grid { format, minutes, shift: cut.shift }
}

/// The name of the task of a mode: no two of a DAG share one.
fn free(dag: &str, mode: &Mode, config: &Config, taken: &mut BTreeSet<(String, String)>) -> String {
    let plain = short(format!("{}__{}", mode.name, sanitize(&config.address.name)));
    if taken.insert((dag.to_owned(), plain.clone())) {
        return plain;
    }
    let other = format!("{plain}__{}", hash(&config.address.to_string()));
    taken.insert((dag.to_owned(), other.clone()));
    other
}

/// Six digits that tell two texts apart.
pub(super) fn hash(text: &str) -> String {
    hex_of(&Sha256::digest(text)[..3])
}

/// A name that Airflow takes: those of more than 200 characters end in what tells them apart.
pub(super) fn short(name: String) -> String {
    const LONGEST: usize = 200;
    if name.len() <= LONGEST {
        return name;
    }
    let cut: String = name.chars().take(LONGEST).collect();
    format!("{cut}__{}", hash(&name))
}
