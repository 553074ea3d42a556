//! What a job waits for: the partitions that it reads and nobody here writes, and the tasks that
//! write the others.
//!
//! # Why
//! A job that starts before its sources are there computes too little and says nothing. So every
//! read of a config becomes a wait, found by lineage and never by hand; waits that are alike are
//! one task per DAG, for each of them costs a look every few minutes.

use std::collections::BTreeSet;

use super::jobs;
use super::jobs::Placed;
use super::jobs::Places;
use super::spec::Grid;
use super::spec::Work;
use super::teams::Teams;
use crate::model::catalog::Catalog;
use crate::model::catalog::Config;
use crate::model::facts::Facts;
use crate::model::facts::PartRole;
use crate::model::facts::Read;
use crate::model::facts::Role;
use crate::model::lineage::EdgeKind;
use crate::model::lineage::Lineage;
use crate::model::name::ConfigType;
use crate::model::name::sanitize;
use crate::model::partitions::Cut;
use crate::model::partitions::Ready;
use crate::plan::argv;
use crate::plan::settings::EnvSettings;
use crate::plan::settings::dags::Sensor;

/// Something that a task waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// A task of the same DAG, which is there anyway.
    Task(String),
    /// A task that does nothing but wait.
    Sensor(String, Box<Work>),
}

/// Partition column where nobody says another (reference §1.4).
const COLUMN: &str = "ds";

/// The table in which views of staging queries say which days are there (reference §3.2).
const SIGNALS: &str = "chronon_signal_partitions";

/// Suffixes of tables that another mode than the backfill writes (reference §1.6).
const SIDE_MODES: [(&str, &str); 7] = [
    ("__upload", "upload"),
    ("_upload", "upload"),
    ("_logged", "log-flattener"),
    ("_comparison", "build-comparison-table"),
    ("_consistency", "consistency-metrics-compute"),
    ("_consistency_upload", "consistency-metrics-compute"),
    ("", "backfill"),
];

/// Suffixes of tables that no scheduled mode writes.
const ELSEWHERE: [&str; 5] =
    ["_labels", "_labeled", "_labeled_latest", "_daily_stats", "_logged_daily_stats"];

/// What waits are derived from.
pub(super) struct Waits<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) lineage: &'a Lineage,
    pub(super) places: &'a Places,
    pub(super) settings: &'a EnvSettings,
    pub(super) teams: &'a Teams,
    pub(super) sensor: Sensor,
}

/// A table that a job reads.
struct Source<'a> {
    table: &'a str,
    ready: Ready,
    /// The task that writes it, where one of ours does.
    producer: Option<&'a Placed>,
}

impl Waits<'_> {
    /// What a task waits for before it runs, sorted; and the tables that it reads and nothing can
    /// wait for.
    pub(super) fn of(&self, placed: &Placed) -> (Vec<Wait>, Vec<String>) {
        let config = &self.catalog.configs[placed.index];
        let (mut waits, mut timed) = (Vec::new(), Vec::new());
        for source in self.sources(placed.index, placed.mode.name) {
            match &source.producer {
                Some(producer) => waits.push(self.external(placed, config, producer, &source)),
                None if source.ready.timed => timed.push(source.table.to_owned()),
                None => waits.push(self.partition(placed, config, source.table, &source.ready)),
            }
        }
        waits.sort_by(|a, b| name(a).cmp(name(b)));
        waits.dedup();
        (waits, timed)
    }

    /// The logs that the first consistency job reads, where a setting names their table.
    pub(super) fn logs(&self, placed: &Placed) -> Vec<Wait> {
        let config = &self.catalog.configs[placed.index];
        let team = config.facts.team.as_deref();
        let tables = ["log_table", "schema_table"]
            .map(|it| self.settings.argument(it, team, placed.mode.name).first());
        let qualified = tables.into_iter().flatten().filter(|it| it.contains('.'));
        let waits = qualified.map(|it| self.partition(placed, config, it, &Ready::default()));
        waits.collect()
    }

    /// The tables that a mode of a config reads.
    fn sources(&self, index: usize, mode: &str) -> Vec<Source<'_>> {
        let config = &self.catalog.configs[index];
        let facts = &config.facts;
        let edges = self.lineage.upstream(index);
        // A join that the clock never runs is computed by whoever is chained on it.
        let chained: BTreeSet<Option<u32>> = edges
            .iter()
            .filter(|edge| edge.kind == EdgeKind::Chains)
            .filter(|edge| self.places.find(edge.upstream, "backfill").is_some())
            .filter_map(|edge| Some(facts.reads.get(edge.read?)?.inside))
            .collect();
        let mut sources = Vec::new();
        for (at, read) in facts.reads.iter().enumerate() {
            let edge = edges.iter().find(|it| it.read == Some(at) && it.kind.reads_table());
            let theirs = read.inside.is_some() && chained.contains(&read.inside);
            let counts = match edge {
                Some(_) => true,
                None => !theirs && read.role != Role::Sql && read.role != Role::Training,
            };
            let filter = read.role == Role::KeyFilter && mode != "upload";
            let skipped = filter || is_label(facts, read) || is_own(config, read);
            if !counts || skipped || read.table.contains("{{") {
                continue;
            }
            let inside = || self.lineage.producer(&read.table).filter(|_| read.inside.is_some());
            let producer = match edge {
                Some(edge) => self.producer(edge.upstream, read, edge.kind),
                None => inside().and_then(|at| self.places.find(at, "backfill")),
            };
            // What stands inside a chained join has no table of its own to wait for.
            if producer.is_none() && read.table.is_empty() {
                continue;
            }
            sources.push(Source { table: &read.table, ready: ready(config, read), producer });
        }
        sources.extend(self.declared(config));
        sources
    }

    /// What a config declares by hand.
    fn declared<'a>(&'a self, config: &'a Config) -> Vec<Source<'a>> {
        let produced = |table: &str| self.lineage.producer(table);
        let declared = config.facts.declared.iter().filter(|it| {
            let view = it.ready.below.iter().find_map(|part| part.strip_prefix("table_name="));
            !(it.table.ends_with(SIGNALS) && view.is_some_and(|view| produced(view).is_some()))
        });
        let of = |it: &'a crate::model::partitions::Declared| Source {
            table: &it.table,
            ready: it.ready.clone(),
            producer: produced(&it.table).and_then(|at| self.places.find(at, "backfill")),
        };
        declared.filter(|it| !is_self(config, &it.table)).map(of).collect()
    }

    /// The task that writes what an edge reads, where the clock runs it.
    fn producer(&self, upstream: usize, read: &Read, kind: EdgeKind) -> Option<&Placed> {
        if kind == EdgeKind::Chains {
            return self.places.find(upstream, "backfill");
        }
        let output = self.catalog.configs[upstream].output_table()?.to_lowercase();
        let table = read.table.to_lowercase();
        let side = table.strip_prefix(&output)?;
        if ELSEWHERE.contains(&side) {
            return None;
        }
        let row = SIDE_MODES.iter().find(|row| row.0 == side);
        self.places.find(upstream, row.map_or("backfill", |row| row.1))
    }

    /// A wait for a partition that no task of ours writes.
    fn partition(&self, placed: &Placed, config: &Config, table: &str, ready: &Ready) -> Wait {
        let grid = jobs::grid(&ready.cut, self.usual(placed, config).format);
        let column = self.column(placed, config, ready);
        let signal = view_of(ready);
        let table = signal.unwrap_or_else(|| table.to_owned());
        let mut id = format!("wait__{}{}", sanitize(&table), lagging(ready.lag));
        for part in &ready.below {
            id = format!("{id}__{}", sanitize(part));
        }
        let plain = column == COLUMN && is_daily(&grid) && is_daily(&placed.grid);
        if !plain || ready.last.is_some() {
            let all = format!("{column} {grid:?} {:?} {:?}", placed.grid, ready.last);
            id = format!("{id}__{}", jobs::hash(&all));
        }
        let (conf, argv) = self.look(config);
        let work = Work::Partition {
            table,
            column,
            grid,
            lag: ready.lag,
            below: ready.below.clone(),
            first: ready.first.clone(),
            last: ready.last.clone(),
            of: placed.grid.clone(),
            conf,
            argv,
        };
        Wait::Sensor(jobs::short(id), Box::new(work))
    }

    /// How the tables are cut that a config reads, where it does not say so of each.
    fn usual(&self, placed: &Placed, config: &Config) -> Cut {
        let (column, format) = self.teams.usual(&placed.team);
        let team = Cut { column, format, ..Cut::default() };
        config.facts.usual_cut.as_deref().cloned().unwrap_or_default().or(&team)
    }

    /// The partition column of a table that a config reads.
    fn column(&self, placed: &Placed, config: &Config, ready: &Ready) -> String {
        let said = ready.cut.column.clone().or_else(|| self.usual(placed, config).column);
        said.unwrap_or_else(|| COLUMN.to_owned())
    }

    /// The command that looks for partitions, and the file that it takes; empty where it is not a
    /// command of the CLI.
    fn look(&self, config: &Config) -> (String, Vec<String>) {
        match self.sensor {
            Sensor::Metastore => {
                (config.path.clone(), argv::check_partitions(self.settings, config))
            }
            Sensor::Delta | Sensor::Hive | Sensor::Command => Default::default(),
        }
    }

    /// A wait for a task of ours: directly where it is of the same run, else by a sensor.
    fn external(
        &self,
        placed: &Placed,
        config: &Config,
        producer: &Placed,
        source: &Source<'_>,
    ) -> Wait {
        let ready = &source.ready;
        if producer.dag == placed.dag && ready.lag == 0 && producer.grid == placed.grid {
            return Wait::Task(producer.task.clone());
        }
        let family = producer.dag.clone();
        let mut id = format!("wait__{family}__{}{}", producer.task, lagging(ready.lag));
        if ready.last.is_some() || !is_daily(&placed.grid) {
            let all = format!("{:?} {:?}", placed.grid, ready.last);
            id = format!("{id}__{}", jobs::hash(&all));
        }
        let writer = &self.catalog.configs[producer.index];
        let table = Some(source.table.to_owned()).filter(|it| !it.is_empty());
        let table = table.or_else(|| writer.output_table().map(Into::into)).unwrap_or_default();
        let signal = writer.facts.view.then(|| (signals_of(&table), format!("table_name={table}")));
        let (table, below) = signal.map_or((table, Vec::new()), |it| (it.0, vec![it.1]));
        // The writer's own file, whoever reads: a new reader must not change how others look.
        let (conf, argv) = self.look(writer);
        let work = Work::External {
            dag: producer.dag.clone(),
            task: producer.task.clone(),
            schedule: producer.cron.clone(),
            table,
            column: self.column(placed, config, ready),
            below,
            grid: producer.grid.clone(),
            lag: ready.lag,
            first: ready.first.clone(),
            last: ready.last.clone(),
            of: placed.grid.clone(),
            conf,
            argv,
        };
        Wait::Sensor(jobs::short(id), Box::new(work))
    }
}

/// What two tasks wait for together, that read the same from different days on: the earlier of
/// them counts, for before it nothing has to be there.
pub(super) fn join(known: &mut Work, other: &Work) {
    let (Some(known), Some(other)) = (first(known), first_of(other)) else { return };
    let earlier = match (&*known, other) {
        (Some(known), Some(other)) => other < known,
        (Some(_), None) => true,
        (None, _) => false,
    };
    if earlier {
        known.clone_from(other);
    }
}

/// Whether two waits are for the same, but for the day from which on they count and the config
/// that asks.
pub(super) fn are_alike(one: &Work, other: &Work) -> bool {
    essence(one) == essence(other)
}

/// What tells a wait from others.
pub(super) fn essence(work: &Work) -> Work {
    let mut work = work.clone();
    match &mut work {
        Work::Partition { first, conf, argv, .. } => {
            *first = None;
            conf.clear();
            argv.clear();
        }
        // One run writes all of a task's tables.
        Work::External { first, table, column, below, .. } => {
            *first = None;
            below.clear();
            [table, column].into_iter().for_each(String::clear);
        }
        Work::Job { .. } | Work::KeepAlive { .. } | Work::Publish { .. } => {}
    }
    work
}

fn first(work: &mut Work) -> Option<&mut Option<String>> {
    match work {
        Work::Partition { first, .. } | Work::External { first, .. } => Some(first),
        Work::Job { .. } | Work::KeepAlive { .. } | Work::Publish { .. } => None,
    }
}

fn first_of(work: &Work) -> Option<&Option<String>> {
    match work {
        Work::Partition { first, .. } | Work::External { first, .. } => Some(first),
        Work::Job { .. } | Work::KeepAlive { .. } | Work::Publish { .. } => None,
    }
}

fn is_daily(grid: &Grid) -> bool {
    *grid == Grid { format: "yyyy-MM-dd".to_owned(), minutes: 1440, shift: 0 }
}

fn name(wait: &Wait) -> &str {
    match wait {
        Wait::Task(name) | Wait::Sensor(name, _) => name,
    }
}

/// The signal table of a view that a read waits for.
fn view_of(ready: &Ready) -> Option<String> {
    let view = ready.below.iter().find_map(|part| part.strip_prefix("table_name="))?;
    Some(signals_of(view))
}

fn signals_of(view: &str) -> String {
    let space = view.rsplit_once('.').map_or("default", |it| it.0);
    format!("{space}.{SIGNALS}")
}

/// When what a config reads is there, its own lag included; what a query declares says it all.
fn ready(config: &Config, read: &Read) -> Ready {
    let mut ready = read.ready.as_deref().cloned().unwrap_or_default();
    if read.role != Role::Dependency {
        ready.lag += config.facts.lag * 1440;
    }
    ready
}

/// Whether only the labels of a join are read from it: those come days later, and a job of their
/// own joins them.
fn is_label(facts: &Facts, read: &Read) -> bool {
    let part = read.part.and_then(|at| facts.parts.get(usize::try_from(at).ok()?));
    part.is_some_and(|part| part.role == PartRole::Label)
}

/// Whether a config reads what it writes itself, as a join does that starts from its own logs: to
/// wait for that would be to wait for itself.
fn is_own(config: &Config, read: &Read) -> bool {
    is_self(config, &read.table)
}

fn is_self(config: &Config, table: &str) -> bool {
    let own = config.output_table().unwrap_or_default().to_lowercase();
    let table = table.to_lowercase();
    let beside = table
        .strip_prefix(&own)
        .is_some_and(|rest| rest.is_empty() || SIDE_MODES.iter().any(|row| row.0 == rest));
    !own.is_empty() && beside
}

/// A lag as a part of a name.
fn lagging(minutes: i64) -> String {
    match minutes {
        0 => String::new(),
        whole if whole % 1440 == 0 => format!("__minus_{}d", whole / 1440),
        whole if whole % 60 == 0 => format!("__minus_{}h", whole / 60),
        other => format!("__minus_{other}m"),
    }
}

/// Whether a config is of a type that jobs run for.
pub(super) fn has_jobs(kind: ConfigType) -> bool {
    matches!(kind, ConfigType::GroupBy | ConfigType::Join | ConfigType::StagingQuery)
}
