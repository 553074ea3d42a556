//! The command lines of `airflow` and `history`; the doc comments are the help texts.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;

use super::OutArgs;
use super::RepoArgs;
use super::StateFormat;
use crate::model::day::Day;

/// Derive the DAGs that run every day, and look at them before an apply publishes them.
///
/// The DAGs come from the compiled configs of a commit and from chronon-plan.toml alone. `plan`
/// shows what of them differs, and `apply` publishes them, once `env.*.airflow.dags` says where.
#[derive(Debug, Args)]
pub(in super::super) struct AirflowArgs {
    #[command(subcommand)]
    pub(in super::super) command: AirflowCommand,
}

/// What to do with the DAGs.
#[derive(Debug, Subcommand)]
pub(in super::super) enum AirflowCommand {
    Render(RenderArgs),
    Diff(AirflowDiffArgs),
    Check(CheckArgs),
}

/// Write the DAGs of a commit into a folder, as an apply would publish them.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan airflow render --out dags/chronon\n  \
    chronon-plan airflow render --head v1.5 --out /tmp/dags --format json")]
pub(in super::super) struct RenderArgs {
    #[command(flatten)]
    pub(in super::super) repo: RepoArgs,
    /// The commit. Without it: HEAD.
    #[arg(long, value_name = "REV")]
    pub(in super::super) head: Option<String>,
    /// The folder; it is made where there is none.
    #[arg(long, value_name = "DIR")]
    pub(in super::super) out: PathBuf,
    /// How the summary looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(in super::super) format: StateFormat,
}

/// Show which DAGs and tasks a commit adds, removes and changes.
///
/// Compares with what is published, as the ledger says; without a ledger, or with `--no-state`, with
/// what base asks for.
#[derive(Debug, Args)]
pub(in super::super) struct AirflowDiffArgs {
    #[command(flatten)]
    pub(in super::super) repo: RepoArgs,
    /// The commit to compare with; see `plan --help`.
    #[arg(long, value_name = "REV")]
    pub(in super::super) base: Option<String>,
    /// The commit. Without it: HEAD.
    #[arg(long, value_name = "REV")]
    pub(in super::super) head: Option<String>,
    /// Compare with base alone and read no ledger.
    #[arg(long)]
    pub(in super::super) no_state: bool,
    /// Exit with 2 where something differs.
    #[arg(long)]
    pub(in super::super) detailed_exitcode: bool,
    #[command(flatten)]
    pub(in super::super) out: OutArgs,
}

/// Import the DAGs of a commit with an Airflow that is installed here.
///
/// Says which DAGs it sees, how long that takes, and every error of import; fails where there is
/// one, or where a DAG or a task is missing.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan airflow check\n  \
    chronon-plan airflow check --python ~/airflow/bin/python --dir dags/chronon")]
pub(in super::super) struct CheckArgs {
    #[command(flatten)]
    pub(in super::super) repo: RepoArgs,
    /// The commit. Without it: HEAD.
    #[arg(long, value_name = "REV")]
    pub(in super::super) head: Option<String>,
    /// A folder that `airflow render` wrote, instead of a commit.
    #[arg(long, value_name = "DIR", conflicts_with = "head")]
    pub(in super::super) dir: Option<PathBuf>,
    /// The Python that has Airflow.
    #[arg(long, value_name = "PYTHON", default_value = "python3")]
    pub(in super::super) python: PathBuf,
    /// How the answer looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(in super::super) format: StateFormat,
}

/// List the task runs of published DAGs: what ran, how long, and how it ended.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan history\n  \
    chronon-plan history --days 30 --failed 'joins/risk.*'\n  \
    chronon-plan history --format json")]
pub(in super::super) struct HistoryArgs {
    #[command(flatten)]
    pub(in super::super) repo: RepoArgs,
    /// Only runs of configs that match.
    #[arg(value_name = "GLOB")]
    pub(in super::super) of: Vec<String>,
    /// How many days back.
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(in super::super) days: u32,
    /// The last day. Without it: today, in UTC.
    #[arg(long, value_name = "DATE")]
    pub(in super::super) until: Option<Day>,
    /// Only what failed.
    #[arg(long)]
    pub(in super::super) failed: bool,
    /// How the answer looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(in super::super) format: StateFormat,
}
