//! Puts the DAGs together.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use super::by_hand::by_hand;
use super::commands;
use super::cron;
use super::cycle::cycle;
use super::jobs;
use super::jobs::Placed;
use super::jobs::Places;
use super::jobs::team_of;
use super::notes;
use super::priority::Priorities;
use super::spec;
use super::spec::Dag;
use super::spec::Kind;
use super::spec::Metadata;
use super::spec::Task;
use super::spec::Work;
use super::teams;
use super::teams::Teams;
use super::waits;
use super::waits::Wait;
use super::waits::Waits;
use crate::model::catalog::Catalog;
use crate::model::catalog::Config;
use crate::model::lineage::Lineage;
use crate::model::name::Address;
use crate::model::name::Dialect;
use crate::model::name::Resource;
use crate::model::resource::resources;
use crate::plan::argv;
use crate::plan::argv::Span;
use crate::plan::modes;
use crate::plan::settings::EnvSettings;
use crate::plan::settings::dags::Sensor;

/// After how many failed days in a row a config is paused where nobody says.
const BREAKER_DAYS: u32 = 3;

/// Everything that schedules are made of.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// The env's name.
    pub env: &'a str,
    /// The configs.
    pub catalog: &'a Catalog,
    /// Who reads whom.
    pub lineage: &'a Lineage,
    /// The env's settings.
    pub settings: &'a EnvSettings,
    /// The teams.
    pub teams: &'a Teams,
    /// Where workers find ledger and run log; none where they could not read them.
    pub state: Option<&'a str>,
}

/// The schedules of an env.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The manifest; digest and files are filled in once the files are packed.
    pub manifest: spec::Manifest,
    /// What people should know, each with the DAG that it is about; sorted.
    pub notes: Vec<(String, String)>,
    /// What may be run by hand of each config, by its file.
    pub jobs: BTreeMap<String, spec::Jobs>,
    /// The pools that Airflow must have beside its own, with their slots.
    pub pools: BTreeMap<String, u32>,
    /// Configs whose tasks wait for each other, each for the next: such schedules would never run.
    pub cycle: Vec<Address>,
}

/// Makes the schedules.
pub fn build(inputs: &Inputs<'_>) -> Built {
    let mut builder = Builder::new(inputs);
    builder.jobs();
    builder.metadata();
    builder.bounded();
    builder.finish()
}

/// The mode that computes offline what was logged online, in the dialect that has one.
const COMPARES: &str = "build-comparison-table";

struct Builder<'a> {
    inputs: &'a Inputs<'a>,
    prefix: &'a str,
    places: Places,
    sensor: Sensor,
    dags: BTreeMap<String, Dag>,
    notes: BTreeSet<(String, String)>,
}

impl<'a> Builder<'a> {
    fn new(inputs: &'a Inputs<'a>) -> Self {
        let prefix = inputs.settings.airflow.prefix();
        let usual = match inputs.catalog.dialect {
            Dialect::Zip => Sensor::Metastore,
            Dialect::Oss => Sensor::Hive,
        };
        Self {
            inputs,
            prefix,
            places: Places::of(prefix, inputs.catalog, inputs.lineage),
            sensor: inputs.settings.dags.sensor.unwrap_or(usual),
            dags: BTreeMap::new(),
            notes: BTreeSet::new(),
        }
    }

    fn config(&self, placed: &Placed) -> &'a Config {
        &self.inputs.catalog.configs[placed.index]
    }

    /// The DAGs whose tasks run jobs, and what these wait for.
    fn jobs(&mut self) {
        let mut places = std::mem::replace(&mut self.places, Places::none());
        let works: Vec<Option<Work>> = places.all().iter().map(|it| self.work(it)).collect();
        places.retain(|at| works[at].is_some());
        let priorities = Priorities::of(self.inputs);
        let waits = Waits {
            catalog: self.inputs.catalog,
            lineage: self.inputs.lineage,
            places: &places,
            settings: self.inputs.settings,
            teams: self.inputs.teams,
            sensor: self.sensor,
        };
        for (placed, work) in places.all().iter().zip(works) {
            let Some(work) = work else { continue };
            let team = self.inputs.teams.resolved(&placed.team);
            let priority = priorities.of_config(placed.index) + team.priority;
            let (found, timed) = self.before(placed, &places, &waits);
            let config = self.config(placed);
            for what in notes::of_waits(&waits, placed, config, &found, &timed) {
                self.note(&placed.dag, what);
            }
            let after: BTreeSet<String> =
                found.iter().map(|wait| self.wait(placed, wait, priority)).collect();
            let after = after.into_iter().collect();
            self.dag(placed, &team)
                .tasks
                .insert(placed.task.clone(), Task { after, priority, work });
            if placed.mode.name == "consistency-metrics-compute" {
                self.publish(placed, priority);
            }
        }
        for (index, said) in &places.odd {
            let config = &self.inputs.catalog.configs[*index];
            let dag = places.all().iter().find(|it| it.index == *index).map(|it| it.dag.clone());
            let what = format!(
                "{} has the schedule `{said}`, which Airflow does not know: it runs daily",
                config.address
            );
            self.note(&dag.unwrap_or_default(), what);
        }
    }

    fn note(&mut self, dag: &str, what: String) {
        self.notes.insert((dag.to_owned(), what));
    }

    /// What a task waits for.
    fn before(
        &self,
        placed: &Placed,
        places: &Places,
        waits: &Waits<'_>,
    ) -> (Vec<Wait>, Vec<String>) {
        let of = |mode| places.find(placed.index, mode).map(|it| vec![Wait::Task(it.task.clone())]);
        let before = match placed.mode.name {
            "streaming" => Some(Vec::new()),
            "upload-to-kv" => of("upload"),
            "log-flattener" => Some(waits.logs(placed)),
            "consistency-metrics-compute" if places.find(placed.index, COMPARES).is_some() => {
                of(COMPARES)
            }
            // What is logged is computed again, from the sources of the join.
            COMPARES | "consistency-metrics-compute" => {
                let (found, timed) = waits.of(placed);
                let logged = of("log-flattener").into_iter().flatten();
                return (found.into_iter().chain(logged).collect(), timed);
            }
            _ => None,
        };
        // Where nothing runs what comes before, its sources are what can be waited for.
        before.map_or_else(|| waits.of(placed), |found| (found, Vec::new()))
    }

    /// The task that stands for a wait, made where there is none yet.
    fn wait(&mut self, placed: &Placed, wait: &Wait, priority: u32) -> String {
        let (name, work) = match wait {
            Wait::Task(name) => return name.clone(),
            Wait::Sensor(name, work) => (name, work),
        };
        let team = self.inputs.teams.resolved(&placed.team);
        let tasks = &mut self.dag(placed, &team).tasks;
        let mut name = name.clone();
        // Names of two tables may become alike, their waits never: one would not be there.
        while tasks.get(&name).is_some_and(|it| !waits::are_alike(&it.work, work)) {
            let what = format!("{name} {:?}", waits::essence(work));
            name = format!("{}__{}", jobs::short(name), jobs::hash(&what));
        }
        let fresh = || Task { after: Vec::new(), priority, work: Work::clone(work) };
        let task = tasks.entry(name.clone()).or_insert_with(fresh);
        task.priority = task.priority.max(priority);
        waits::join(&mut task.work, work);
        name
    }

    fn dag(&mut self, placed: &Placed, team: &spec::Team) -> &mut Dag {
        let streaming = placed.mode.resource == Resource::Stream;
        let kind = if streaming { Kind::Streaming } else { Kind::Batch };
        let tags = vec![
            "chronon".to_owned(),
            format!("env:{}", self.inputs.env),
            format!("team:{}", placed.team),
        ];
        self.dags.entry(placed.dag.clone()).or_insert_with(|| Dag {
            team: Some(placed.team.clone()),
            schedule: Some(placed.cron.clone()),
            concurrency: team.concurrency,
            tags,
            ..empty(kind)
        })
    }

    /// What a task runs; none where no command does that.
    fn work(&mut self, placed: &Placed) -> Option<Work> {
        let (config, mode, settings) = (self.config(placed), placed.mode, self.inputs.settings);
        let dialect = self.inputs.catalog.dialect;
        let span = jobs::span(config, dialect);
        let argv = argv::scheduled(dialect, settings, config, mode, span);
        let Some(argv) = argv else {
            let what = format!(
                "no command runs `{}` (setting `{}`)",
                mode.name,
                commands::setting(mode.name, settings)
            );
            self.note(&placed.dag, what);
            return None;
        };
        let (conf, blob) = (config.path.clone(), config.blob.to_string());
        let (address, minutes) = (config.address.clone(), settings.timeout(mode));
        if mode.resource == Resource::Stream {
            if settings.own_commands {
                self.note(&placed.dag, "streams are not kept alive: with runner `command` nothing says whether one runs".to_owned());
                return None;
            }
            let check = commands::check(&argv);
            let mode = mode.name.to_owned();
            return Some(Work::KeepAlive {
                config: address,
                conf,
                blob,
                mode,
                check,
                argv,
                minutes,
            });
        }
        Some(Work::Job {
            config: address,
            conf,
            blob,
            mode: mode.name.to_owned(),
            argv,
            grid: placed.grid.clone(),
            minutes,
            proof: commands::proof(self.inputs, mode.name),
        })
    }

    /// The last task of a join's consistency jobs.
    fn publish(&mut self, placed: &Placed, priority: u32) {
        let config = self.config(placed);
        let Some(table) = config.output_table() else { return };
        let work = Work::Publish {
            config: config.address.clone(),
            conf: config.path.clone(),
            table: format!("{table}_consistency"),
            grid: placed.grid.clone(),
        };
        let name = placed.task.replacen(placed.mode.name, "publish-metrics", 1);
        let task = Task { after: vec![placed.task.clone()], priority, work };
        if let Some(dag) = self.dags.get_mut(&placed.dag) {
            dag.tasks.insert(name, task);
        }
    }

    /// The DAG that uploads metadata which the ledger does not call current.
    fn metadata(&mut self) {
        let Inputs { catalog, lineage, settings, .. } = *self.inputs;
        let Some(mode) = modes::by_name("metadata-upload") else { return };
        let mut configs = BTreeMap::new();
        for (index, config) in catalog.configs.iter().enumerate() {
            if !resources(catalog, lineage, index).contains(&Resource::Metadata) {
                continue;
            }
            let argv = argv::scheduled(catalog.dialect, settings, config, mode, Span::UpTo);
            let Some(argv) = argv else { continue };
            configs.insert(
                config.address.to_string(),
                Metadata {
                    conf: config.path.clone(),
                    argv,
                    blob: config.blob.to_string(),
                    team: team_of(config),
                    minutes: settings.timeout(mode),
                    proof: commands::proof(self.inputs, mode.name),
                },
            );
        }
        let name = format!("{}_metadata", self.prefix);
        if configs.is_empty() {
            return;
        }
        if self.inputs.state.is_none() {
            self.note(&name, "metadata is not looked after: no worker could read the ledger (setting `state`, as gs://BUCKET/PREFIX)".to_owned());
            return;
        }
        let schedule = Some(cron::OFTEN.to_owned());
        self.dags
            .insert(name, Dag { schedule, configs, tags: self.tags(), ..empty(Kind::Metadata) });
    }

    fn tags(&self) -> Vec<String> {
        vec!["chronon".to_owned(), format!("env:{}", self.inputs.env)]
    }

    /// The DAGs of one job each, for people and for applies.
    fn bounded(&mut self) {
        let others = modes::MODES.iter().map(|it| it.name).filter(|it| *it != "backfill");
        let all = ["group_bys", "joins"];
        // Joins archive as a whole, and a query may read what it wrote the day before: in order.
        let rows: [(&str, Vec<&str>, &[&str], u32); 4] = [
            ("gb_backfill", vec!["backfill"], &["group_bys"], 4),
            ("join_backfill", vec!["backfill"], &["joins"], 1),
            ("staging_query_backfill", vec!["backfill"], &["staging_queries"], 1),
            ("job", others.collect(), &all, 1),
        ];
        for (name, modes, types, parallel) in rows {
            let words = |it: &[&str]| it.iter().map(|it| (*it).to_owned()).collect();
            let dag = Dag {
                modes: words(&modes),
                types: words(types),
                parallel,
                tags: self.tags(),
                ..empty(Kind::Bounded)
            };
            self.dags.insert(format!("{}_{name}", self.prefix), dag);
        }
    }

    fn finish(mut self) -> Built {
        let Inputs { env, catalog, settings, teams, state, .. } = *self.inputs;
        let jobs = by_hand(self.inputs);
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for (id, dag) in &self.dags {
            names.extend(dag.team.iter().map(|team| (team.clone(), id.clone())));
            names.extend(dag.configs.values().map(|it| (it.team.clone(), id.clone())));
        }
        names.extend(
            jobs.values()
                .map(|it| it.team.clone())
                .filter(|it| !names.contains_key(it))
                .map(|it| (it, String::new()))
                .collect::<Vec<_>>(),
        );
        let of_configs = names.keys().map(String::as_str).collect();
        let idle = teams.idle(&of_configs).into_iter().map(|what| (String::new(), what));
        self.notes.extend(idle);
        for (team, dag) in &names {
            if let Some(what) = teams.stranger(team) {
                self.note(dag, what);
            }
        }
        let clusters = modes::MODES.iter().filter_map(|mode| {
            let it = settings.cluster(mode)?;
            Some((
                mode.name.to_owned(),
                spec::Cluster {
                    workers: it.workers,
                    machine: it.machine,
                    image: it.image,
                    secondary_workers: it.secondary_workers,
                    autoscaling_policy: it.autoscaling_policy,
                },
            ))
        });
        let (pools, cycle) = (teams.pools(names.keys()), cycle(&self.dags));
        let named = names.keys().map(|name| (name.clone(), teams.resolved(name)));
        // What is of no team is run with what holds for all.
        let all = (teams::ALL.to_owned(), teams.resolved("chronon"));
        let resolved = std::iter::once(all).chain(named).collect();
        let manifest = spec::Manifest {
            format: spec::FORMAT,
            digest: String::new(),
            over: None,
            env: env.to_owned(),
            dialect: catalog.dialect.name().to_owned(),
            commit: catalog.commit.to_string(),
            files: String::new(),
            state: state.map(str::to_owned),
            teams: resolved,
            sensor: self.sensor(),
            cluster: clusters.collect(),
            publish_metrics: settings.dags.publish_metrics.clone(),
            breaker_days: settings.dags.breaker_days.unwrap_or(BREAKER_DAYS),
            dags: self.dags,
        };
        Built { manifest, notes: self.notes.into_iter().collect(), jobs, pools, cycle }
    }

    fn sensor(&self) -> spec::Sensor {
        let airflow = &self.inputs.settings.dags;
        match self.sensor {
            Sensor::Metastore => spec::Sensor::Metastore,
            Sensor::Delta => {
                spec::Sensor::Delta { path: airflow.delta_path.clone().unwrap_or_default() }
            }
            Sensor::Hive => {
                let connection = airflow.hive_connection.as_deref().unwrap_or("metastore_default");
                spec::Sensor::Hive { connection: connection.to_owned() }
            }
            Sensor::Command => {
                spec::Sensor::Command { argv: airflow.sensor_command.clone().unwrap_or_default() }
            }
        }
    }
}

fn empty(kind: Kind) -> Dag {
    Dag {
        kind,
        team: None,
        schedule: None,
        concurrency: 16,
        tags: Vec::new(),
        tasks: BTreeMap::new(),
        configs: BTreeMap::new(),
        modes: Vec::new(),
        types: Vec::new(),
        parallel: 0,
    }
}
