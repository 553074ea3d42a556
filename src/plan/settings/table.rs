//! TABLES of settings and of arguments, and what each takes.

use crate::model::name::Dialect;
use crate::plan::policy::WHEN_NAMES;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A string.
    Text,
    /// A string without white space: it becomes one word of a command.
    Word,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A list of strings without white space.
    Words,
    /// A command of one's own: a list of words in which these placeholders are filled in.
    Template(&'static [&'static str]),
    /// A whole number from the first to the second.
    Number(u32, u32),
    /// A date.
    Date,
    /// One of these things.
    One(Item),
    /// A list of these things, which is not empty.
    List(Item),
}

/// A thing that settings name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// An env or a team.
    Name,
    /// A label of pull requests.
    Label,
    /// Configs, by a glob over their addresses.
    Configs,
    /// Whose approvals count: `@login`, `@organization/team` or `codeowners`.
    People,
    /// An address of mail.
    Email,
    /// Who hears of failures: `email`, or a channel and the Airflow connection that it uses.
    Alert,
}

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its path; `*` stands for a name.
    pub path: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// What holds without it.
    pub default: &'static str,
    /// What it is for.
    pub does: &'static str,
}

const fn setting(
    path: &'static str,
    takes: Takes,
    default: &'static str,
    does: &'static str,
) -> Setting {
    Setting { path, takes, default, does }
}

/// What is filled in where a command of one's own names it.
const PLACEHOLDERS: &[&str] =
    &["conf", "name", "mode", "team", "ds", "start_ds", "end_ds", "operation", "table"];

/// What is filled in where a command names it that looks for a job of an earlier run.
const FIND_PLACEHOLDERS: &[&str] = &["conf", "name", "mode", "operation"];

/// What is filled in where a command archives a table.
const ARCHIVE_PLACEHOLDERS: &[&str] = &["table", "conf", "name", "operation"];

/// Minutes that a job may be given: a week at the most.
const MINUTES: Takes = Takes::Number(1, 7 * 24 * 60);

/// Every setting but the arguments of jobs.
#[rustfmt::skip] // one setting, one line
pub const SETTINGS: &[Setting] = &[
    setting("default_env", Takes::Word, "the only env", "the env that is meant when `--env` is missing"),
    setting("env.*.root", Takes::Text, "the compiled root that exists", "the compiled root, from the repository's top"),
    setting("env.*.dialect", Takes::OneOf(&["zip", "oss"]), "as the files say", "what wrote the compiled files"),
    setting("env.*.state", Takes::Text, "`.chronon-plan` at the repository's top", "where the ledger is kept: `gs://BUCKET/PREFIX`, or a folder from the repository's top; the env's name is added"),
    setting("env.*.lock.ttl", Takes::Number(2, 3600), "60", "after how many seconds without a sign of life a lock may be taken over"),
    setting("env.*.parallelism", Takes::Number(1, 256), "8", "how many jobs of an apply run at once"),
    setting("env.*.program", Takes::Words, "`zipline`, or `run.py` in dialect oss", "the CLI and arguments that always come first"),
    setting("env.*.cli", Takes::OneOf(&["current", "legacy"]), "current", "how the CLI takes the config: `legacy` is `--conf`, up to version 1.0.12"),
    setting("env.*.runner", Takes::OneOf(&["zipline", "command", "airflow"]), "zipline", "what runs jobs: the CLI, commands of your own, or the bounded DAGs of an Airflow"),
    setting("env.*.command", Takes::Template(PLACEHOLDERS), "a step by hand", "with runner `command`: the command of every mode that has none of its own; `{conf}`, `{name}`, `{mode}`, `{team}`, `{ds}`, `{start_ds}`, `{end_ds}`, `{operation}` and `{table}` are filled in, and a word whose placeholder has no value is left out"),
    setting("env.*.mode.*.command", Takes::Template(PLACEHOLDERS), "`env.*.command`", "with runner `command`: the command of this mode"),
    setting("env.*.find", Takes::Template(FIND_PLACEHOLDERS), "such a job is submitted again", "with runner `command`: prints, as its last line, what became of the job of an earlier run: `running`, `done`, `failed` or `none`; `{conf}`, `{name}`, `{mode}` and `{operation}` are filled in"),
    setting("env.*.mode.*.timeout", MINUTES, "as the table of modes says", "how many minutes a job may take"),
    setting("env.*.mode.*.retries", Takes::Number(0, 10), "as the table of modes says", "how often a job is tried again that failed"),
    setting("env.*.retry_delay", Takes::Number(0, 3600), "10", "how many seconds to wait before the first new attempt; it doubles with each"),
    setting("env.*.airflow.url", Takes::Text, "a mistake with runner `airflow`", "where Airflow's webserver is, as `https://HOST` or `https://HOST/PATH`; passwords and tokens come from the environment alone; whatever the runner, an apply publishes nothing over DAGs of the same names that another env has there, or that chronon-plan did not publish"),
    setting("env.*.airflow.api", Takes::OneOf(&["v1", "v2"]), "Airflow is asked", "with runner `airflow`: which REST API it has: `v1` up to 2.x, `v2` from 3.0 on"),
    setting("env.*.airflow.auth", Takes::OneOf(&["none", "basic", "token", "google"]), "`token` where AIRFLOW_TOKEN is set, else `basic`", "with runner `airflow`: how it is asked: `basic` with AIRFLOW_USERNAME and AIRFLOW_PASSWORD, which API v2 exchanges for a token; `token` with AIRFLOW_TOKEN; `google` with Application Default Credentials, as Cloud Composer asks for them"),
    setting("env.*.airflow.prefix", Takes::Word, "chronon", "what the names of DAGs begin with; envs that share an Airflow need different ones"),
    setting("env.*.airflow.wait", Takes::Number(0, 240), "10", "with runner `airflow`: for how many minutes a DAG is waited for that was published a moment ago"),
    setting("env.*.airflow.detach", Takes::OneOf(&["never", "ci"]), "never", "with runner `airflow`: `ci` makes `ci` leave to Airflow what it has started, as `apply --detach` does, and its `schedule` event collect it and go on, as `apply --resume` does"),
    setting("env.*.archive", Takes::Template(ARCHIVE_PLACEHOLDERS), "`--archived` says that somebody did", "the command that archives or drops a table before an `archive-first` backfill; `{table}`, `{conf}`, `{name}`, `{operation}` are filled in"),
    setting("env.*.consistency", Takes::OneOf(&["schedule", "apply"]), "schedule", "who runs consistency jobs"),
    setting("env.*.kv_upload", Takes::Words, "a step by hand", "in dialect oss: the command that loads an upload into the KV store; `{conf}`, `{name}`, `{dataset}` and `{ds}` are filled in"),
    setting("env.*.backfill.start", Takes::Date, "none", "where backfills start that no config gives a start"),
    setting("env.*.airflow.dags", Takes::Text, "no schedule is published", "where the DAGs are published: `gs://BUCKET/PREFIX` of Composer's DAGs folder, or a folder from the repository's top; with it, plans show schedules and applies publish them"),
    setting("env.*.airflow.sensor", Takes::OneOf(&["metastore", "delta", "hive", "command"]), "`metastore`, or `hive` in dialect oss", "how DAGs wait for partitions: by the CLI's `check-partitions`, the log of a Delta table, the Hive metastore, or `sensor_command`"),
    setting("env.*.airflow.delta_path", Takes::Text, "none", "with sensor `delta`: where a table lies, as `gs://BUCKET/{namespace}/{table}`"),
    setting("env.*.airflow.sensor_command", Takes::Template(&["table", "partition"]), "none", "with sensor `command`: exits with 0 where the partition is there, with 1 where it is not"),
    setting("env.*.airflow.hive_connection", Takes::Word, "metastore_default", "with sensor `hive`: the Airflow connection of the metastore"),
    setting("env.*.airflow.publish_metrics", Takes::Template(&["conf", "name", "table", "ds"]), "only whether the metrics were computed is published", "prints consistency metrics of a Join, a line `NAME VALUE` each"),
    setting("env.*.airflow.breaker_days", Takes::Number(1, 60), "3", "after how many failed days in a row a config is paused"),
    setting("env.*.airflow.compute", Takes::OneOf(&["standing", "ephemeral"]), "standing", "where scheduled jobs run: on the cluster that the CLI knows, or each on a Dataproc cluster of its own"),
    setting("env.*.airflow.cluster.workers", Takes::Number(2, 1000), "5 for `backfill` and `upload`, else 2", "with compute `ephemeral`: how many workers a cluster has"),
    setting("env.*.airflow.cluster.machine", Takes::Word, "n2-highmem-4 for `backfill` and `upload`, else n2-standard-4", "their type of machine"),
    setting("env.*.airflow.cluster.image", Takes::Word, "2.1-debian11", "the image of the cluster"),
    setting("env.*.airflow.cluster.secondary_workers", Takes::Number(0, 1000), "0", "how many spot workers it has beside them"),
    setting("env.*.airflow.cluster.autoscaling_policy", Takes::Word, "none", "a Dataproc autoscaling policy"),
    setting("env.*.mode.*.compute", Takes::OneOf(&["standing", "ephemeral"]), "`env.*.airflow.compute`", "the same, for scheduled jobs of this mode"),
    setting("env.*.mode.*.cluster.workers", Takes::Number(2, 1000), "`env.*.airflow.cluster.workers`", "the same, for this mode"),
    setting("env.*.mode.*.cluster.machine", Takes::Word, "`env.*.airflow.cluster.machine`", "the same, for this mode"),
    setting("env.*.mode.*.cluster.image", Takes::Word, "`env.*.airflow.cluster.image`", "the same, for this mode"),
    setting("env.*.mode.*.cluster.secondary_workers", Takes::Number(0, 1000), "`env.*.airflow.cluster.secondary_workers`", "the same, for this mode"),
    setting("env.*.mode.*.cluster.autoscaling_policy", Takes::Word, "`env.*.airflow.cluster.autoscaling_policy`", "the same, for this mode"),
    setting("team.*.owner", Takes::One(Item::Name), "the team's name", "who is shown as the owner of its DAGs; `[team.default]` holds for every team that does not say otherwise"),
    setting("team.*.emails", Takes::List(Item::Email), "nobody", "who gets mail, with the alert `email`"),
    setting("team.*.queue", Takes::Word, "Airflow's own", "the queue of its tasks"),
    setting("team.*.pool", Takes::Word, "default_pool", "the pool of its tasks, so that one team's backfill does not starve another's upload"),
    setting("team.*.pool_slots", Takes::Number(1, 10_000), "16", "how many slots that pool gets in `chronon_pools.json`"),
    setting("team.*.priority", Takes::Number(0, 100_000), "0", "added to the priority of its tasks"),
    setting("team.*.concurrency", Takes::Number(1, 10_000), "16", "how many tasks of one of its DAGs run at once"),
    setting("team.*.start_date", Takes::Date, "the newest day alone", "from which day on every day is run: days that were missed are made up for"),
    setting("team.*.retries", Takes::Number(0, 20), "2", "how often a failed task is tried again, with longer pauses each time"),
    setting("team.*.retry_minutes", Takes::Number(1, 1440), "5", "how many minutes before the first new attempt"),
    setting("team.*.poke_minutes", Takes::Number(1, 1440), "5", "how many minutes between two looks for a partition"),
    setting("team.*.wait_hours", Takes::Number(1, 720), "24", "how many hours a partition is waited for"),
    setting("team.*.bigtable_instance", Takes::Word, "as the config says", "the Bigtable instance of its jobs"),
    setting("team.*.staging_bucket", Takes::Word, "Dataproc's own", "the staging bucket of its ephemeral clusters"),
    setting("team.*.alerts", Takes::List(Item::Alert), "`email` where there are `emails`", "who hears of failures: `email`, `slack:CONNECTION`, `opsgenie:CONNECTION`, `pagerduty:CONNECTION`, by Airflow connections that hold address and key"),
    setting("env.*.backfill.chunk_days", Takes::Number(1, 36500), "one job for all days", "how many days one job of a backfill computes at most; an apply that was killed goes on with the next chunk, and with runner `airflow` the DAG cuts them"),
    setting("ci.envs", Takes::List(Item::Name), "all", "the envs that CI looks after"),
    setting("ci.direct_push", Takes::OneOf(&["refuse", "apply", "plan"]), "refuse", "what becomes of a push to the default branch that belongs to no pull request"),
    setting("ci.smaller", Takes::OneOf(&["refuse", "apply"]), "refuse", "what becomes of a plan that asks for strictly less than the approved one"),
    setting("ci.label.jobs", Takes::One(Item::Label), "none", "the label of pull requests whose plan has steps or schedules to publish; it is put on and taken off"),
    setting("ci.label.breaking", Takes::One(Item::Label), "none", "the same, for those that break online clients"),
    setting("ci.label.history", Takes::One(Item::Label), "none", "the same, for those that rewrite history"),
    setting("policy.*.when", Takes::OneOf(&WHEN_NAMES), "a mistake", "what a plan does that falls under the policy: see the table of policies"),
    setting("policy.*.envs", Takes::List(Item::Name), "all", "the envs whose plans fall under it"),
    setting("policy.*.days", Takes::Number(0, 1_000_000), "a mistake", "with `backfill-days` alone: it holds above so many days"),
    setting("policy.*.teams", Takes::List(Item::Name), "all; with `team`, a mistake", "it is about configs of these teams alone"),
    setting("policy.*.configs", Takes::List(Item::Configs), "all", "it is about these configs alone: globs such as `joins/risk.*`"),
    setting("policy.*.allowed", Takes::List(Item::Configs), "none", "these configs are exempt: globs such as `group_bys/ads.*`"),
    setting("policy.*.labels", Takes::List(Item::Label), "none is needed", "one of these labels must be on the pull request"),
    setting("policy.*.approvals", Takes::Number(1, 20), "1 with `from`, else none is needed", "how many reviews must approve"),
    setting("policy.*.from", Takes::List(Item::People), "anybody who may write", "whose approvals count: `@login`, `@organization/team`, or `codeowners` for the owners of the configs that make the plan fall under it"),
];

/// One argument that jobs are given.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// The setting's name.
    pub name: &'static str,
    /// The CLI's option; empty for arguments that are passed on as they are.
    pub option: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// The one dialect that has it, or both.
    pub only: Option<Dialect>,
    /// The modes that take it; empty for all.
    pub modes: &'static [&'static str],
    /// What it is for.
    pub does: &'static str,
}

const ONLINE: &[&str] = &["streaming", "metadata-upload"];
const STREAMING: &[&str] = &["streaming"];
const FLATTENER: &[&str] = &["log-flattener"];

/// Every argument; each may be set per env, mode, team, and team and mode (reference §4.2, §4.3).
#[rustfmt::skip] // one argument, one line
pub const ARGUMENTS: &[Argument] = &[
    Argument { name: "artifact_prefix", option: "--artifact-prefix", takes: Takes::Word, only: Some(Dialect::Zip), modes: &[], does: "where the jars are" },
    Argument { name: "version", option: "--version", takes: Takes::Word, only: Some(Dialect::Zip), modes: &[], does: "the version of the jars" },
    Argument { name: "additional_jars", option: "--additional-jars", takes: Takes::Word, only: Some(Dialect::Zip), modes: &[], does: "jars to add, separated by commas" },
    Argument { name: "uploader", option: "--uploader", takes: Takes::OneOf(&["spark", "bigquery"]), only: Some(Dialect::Zip), modes: &["upload-to-kv"], does: "what loads an upload into the KV store" },
    Argument { name: "kafka_bootstrap", option: "--kafka-bootstrap", takes: Takes::Word, only: None, modes: STREAMING, does: "the Kafka brokers" },
    Argument { name: "flink_state_uri", option: "--flink-state-uri", takes: Takes::Word, only: Some(Dialect::Zip), modes: STREAMING, does: "where Flink keeps checkpoints and manifests" },
    Argument { name: "online_jar", option: "--online-jar", takes: Takes::Word, only: Some(Dialect::Oss), modes: ONLINE, does: "the jar with the online implementation" },
    Argument { name: "online_class", option: "--online-class", takes: Takes::Word, only: Some(Dialect::Oss), modes: ONLINE, does: "the class of the online implementation" },
    Argument { name: "online_args", option: "--online-args", takes: Takes::Words, only: None, modes: ONLINE, does: "arguments of the online implementation, as `-Zkey=value`" },
    Argument { name: "log_table", option: "--log-table", takes: Takes::Word, only: None, modes: FLATTENER, does: "the table of logged responses" },
    Argument { name: "schema_table", option: "--schema-table", takes: Takes::Word, only: None, modes: FLATTENER, does: "the table of logged schemas" },
    Argument { name: "extra_args", option: "", takes: Takes::Words, only: None, modes: &[], does: "anything else, passed on as it is" },
];

/// The places at which arguments may stand, the most specific last.
pub const ARGUMENT_PLACES: [&str; 4] =
    ["env.*", "env.*.mode.*", "env.*.team.*", "env.*.team.*.mode.*"];

/// What the setting at this path takes; none for a path that is no setting.
pub(super) fn takes(path: &[String]) -> Option<Takes> {
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('.').collect();
        parts.len() == path.len() && parts.iter().zip(path).all(|(p, s)| *p == "*" || p == s)
    };
    let setting = SETTINGS.iter().find(|row| fits(row.path)).map(|row| row.takes);
    setting.or_else(|| {
        let (last, _) = path.split_last()?;
        let argument = ARGUMENTS.iter().find(|row| row.name == last)?;
        let here = ARGUMENT_PLACES.iter().any(|place| fits(&format!("{place}.{last}")));
        here.then_some(argument.takes)
    })
}
