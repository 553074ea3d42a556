//! The command line; the doc comments are the help texts.

mod airflow;
mod init;
mod state;

pub(super) use airflow::AirflowArgs;
pub(super) use airflow::AirflowCommand;
pub(super) use airflow::AirflowDiffArgs;
pub(super) use airflow::CheckArgs;
pub(super) use airflow::HistoryArgs;
pub(super) use airflow::RenderArgs;
pub(super) use init::ACTION;
pub(super) use init::InitArgs;
pub(super) use state::LockArgs;
pub(super) use state::LockCommand;
pub(super) use state::StateArgs;
pub(super) use state::StateCommand;
pub(super) use state::StateCommon;
pub(super) use state::StateFormat;

use std::path::PathBuf;

use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

use crate::model::day::Day;

/// Says which jobs a commit of a Chronon feature repository needs, in which order, over which
/// dates and why, and what it breaks; and runs them.
///
/// chronon-plan compares the compiled configs of commits, never those of the checkout. `plan` takes
/// no lock and changes nothing; `apply` runs the jobs under a lock and keeps in a ledger what is
/// applied.
#[derive(Debug, Parser)]
#[command(
    name = "chronon-plan",
    version,
    max_term_width = 100,
    after_long_help = "EXAMPLES\n  \
        See the whole thing work, with nothing else installed:\n    chronon-plan demo\n\n  \
        What does my branch need?\n    chronon-plan plan --base main\n\n  \
        The same as a pull request comment, and as JSON for a script:\n    \
        chronon-plan plan --base main --format markdown\n    \
        chronon-plan plan --base main --format json --out plan.json\n\n  \
        Say once what runs today, then apply what has changed since:\n    \
        chronon-plan state adopt --commit main && chronon-plan apply\n\n\
        EXIT CODES\n  \
        0 done or nothing to do, 1 error, 5 partly applied; the README lists all.\n\n\
        Colour: only on a terminal, never with NO_COLOR set."
)]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Plan(PlanArgs),
    Apply(ApplyArgs),
    State(StateArgs),
    Lock(LockArgs),
    Airflow(AirflowArgs),
    History(HistoryArgs),
    Diff(DiffArgs),
    Show(ShowArgs),
    Graph(GraphArgs),
    Validate(ValidateArgs),
    Init(InitArgs),
    Ci(CiArgs),
    Demo(DemoArgs),
    Schema(SchemaArgs),
    Completions(CompletionsArgs),
}

/// Which repository, env and files.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct RepoArgs {
    /// The repository, or any folder in it; bare ones too.
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = "Repository")]
    pub(super) repo: PathBuf,
    /// The env of chronon-plan.toml. Without the file: `prod`, or `canary` for compiled_canary.
    #[arg(long, value_name = "ENV", help_heading = "Repository")]
    pub(super) env: Option<String>,
    /// The compiled root, from the repository's top. Without it: the one that exists.
    #[arg(long, value_name = "DIR", help_heading = "Repository")]
    pub(super) root: Option<String>,
    /// Settings to use instead of chronon-plan.toml of the head commit.
    #[arg(long, value_name = "FILE", help_heading = "Repository")]
    pub(super) settings: Option<PathBuf>,
    /// Read every file anew instead of using what the last run learnt of it.
    #[arg(long, help_heading = "Repository")]
    pub(super) no_cache: bool,
}

/// How the answer looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people at a terminal.
    #[default]
    Text,
    /// For a pull request comment.
    Markdown,
    /// For programs; `chronon-plan schema plan` describes it.
    Json,
}

/// Where the answer goes.
#[derive(Clone, Debug, Args)]
pub(super) struct OutArgs {
    /// How the answer looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: Format,
    /// Write the answer to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// Say which jobs a commit needs, in which order, and why.
///
/// Compares the compiled configs of two commits and follows their lineage: a staging query's SQL
/// reaches the online GroupBy two hops away though no file of it changed. Each step comes with the
/// fields that cause it, its dates, what it does to old partitions, and the exact command.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan plan --base main\n  \
    chronon-plan plan --base v1.4 --head v1.5 --as-of 2026-11-22\n  \
    chronon-plan plan --base main --target 'group_bys/payments.*'\n  \
    chronon-plan plan --base main --force joins/ads.ctr.train__1#backfill\n  \
    chronon-plan plan --base main --format json --out plan.json --detailed-exitcode")]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub(super) repo: RepoArgs,
    /// The commit to compare with; of a branch that has moved on, the point where head left it.
    /// Without it: where head left the default branch; if it did not, what was applied last.
    #[arg(long, value_name = "REV")]
    pub(super) base: Option<String>,
    /// The commit to plan. Without it: HEAD.
    #[arg(long, value_name = "REV")]
    pub(super) head: Option<String>,
    /// The day of the plan; backfills end the day before. Without it: today, in UTC.
    #[arg(long, value_name = "DATE")]
    pub(super) as_of: Option<Day>,
    /// Only steps of configs whose address matches, and what they wait for. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(super) target: Vec<String>,
    /// A step to run although nothing asks for it, as `joins/a.b.c__1#backfill`. May be repeated.
    #[arg(long, value_name = "STEP")]
    pub(super) force: Vec<String>,
    /// Go on without files that cannot be read; the plan is marked incomplete.
    #[arg(long)]
    pub(super) keep_going: bool,
    /// Do not read the ledger: what stands at base counts as applied. Needs no credentials.
    #[arg(long)]
    pub(super) no_state: bool,
    #[command(flatten)]
    pub(super) out: OutArgs,
    /// End with 2 where there is anything to do.
    #[arg(long)]
    pub(super) detailed_exitcode: bool,
}

/// How progress looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ProgressFormat {
    /// For people: a live view on a terminal, lines elsewhere.
    #[default]
    Text,
    /// For programs: one event to a line; `chronon-plan schema progress` describes it.
    Json,
}

/// Run the jobs that a commit needs, in order, and keep what was applied in the ledger.
///
/// Plans again under the lock and runs exactly that. A run that failed, was killed or was
/// interrupted is carried on by the next: what is done is not done again, and a job that is still
/// running is found instead of submitted twice. A failed job holds up what waits for it and
/// nothing else.
#[derive(Clone, Debug, Default, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan state adopt --commit main    # once: what runs today is what main says\n  \
    chronon-plan apply\n  \
    chronon-plan apply --yes --approved sha256:…\n  \
    chronon-plan plan --format json --out plan.json && chronon-plan apply plan.json --yes\n  \
    chronon-plan apply --target 'group_bys/payments.*'\n  \
    chronon-plan apply --yes --detach    # and later: apply --yes --resume\n\n\
    EXIT CODES\n  \
    0 all is applied, 3 not the approved plan, 4 lock held or lost, 5 a job failed: run again to\n  \
    resume, 6 a table must be archived first, 7 the plan or commit is out of date, 130 interrupted.")]
pub(super) struct ApplyArgs {
    /// A plan saved with `plan --format json`: apply its commit, and no step that it lacks.
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) repo: RepoArgs,
    /// The commit to compare with. Without it: the one that was applied last. Without a ledger, it
    /// counts as applied.
    #[arg(long, value_name = "REV")]
    pub(super) base: Option<String>,
    /// The commit to apply. Without it: HEAD.
    #[arg(long, value_name = "REV", conflicts_with = "file")]
    pub(super) head: Option<String>,
    /// The day of the apply; backfills end the day before. Without it: today, in UTC.
    #[arg(long, value_name = "DATE", conflicts_with = "file")]
    pub(super) as_of: Option<Day>,
    /// Only steps of configs whose address matches, and what they wait for. May be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(super) target: Vec<String>,
    /// A step to run although nothing asks for it. May be repeated.
    #[arg(long, value_name = "STEP")]
    pub(super) force: Vec<String>,
    /// Do not ask. Needed where there is no terminal.
    #[arg(long)]
    pub(super) yes: bool,
    /// The digest of the plan that was approved; another plan is not applied.
    #[arg(long, value_name = "DIGEST")]
    pub(super) approved: Option<String>,
    /// Only say what would be run.
    #[arg(long)]
    pub(super) dry_run: bool,
    /// Start what can be started and leave it to run; ends with 5 while anything is left. Only for
    /// runners whose jobs go on without this process: `airflow`.
    #[arg(long)]
    pub(super) detach: bool,
    /// Go on with the apply that was begun last: its commit, its day, its steps and no others. What
    /// it left running is collected, and a job that failed is not started again.
    #[arg(long, conflicts_with_all = ["file", "head", "base", "as_of", "target", "force", "approved"])]
    pub(super) resume: bool,
    /// How many jobs run at once.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(super) parallelism: Option<u32>,
    /// The table of this config has been archived or dropped. May be repeated.
    #[arg(long, value_name = "CONFIG")]
    pub(super) archived: Vec<String>,
    /// What this step asks for by hand has been done. May be repeated.
    #[arg(long, value_name = "STEP")]
    pub(super) done: Vec<String>,
    /// Apply a commit that does not descend from the one that was applied last.
    #[arg(long)]
    pub(super) allow_older: bool,
    /// How many seconds to wait for the lock.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(super) lock_timeout: u64,
    /// How progress looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: ProgressFormat,
}

/// Show which fields and feature columns differ between two commits, without planning.
///
/// Formatting, key order and bookkeeping are no differences; list items are matched by what they
/// are; SQL is compared word by word.
#[derive(Debug, Args)]
#[command(
    after_long_help = "EXAMPLES\n  chronon-plan diff main HEAD\n  chronon-plan diff v1.4 v1.5 --format json"
)]
pub(super) struct DiffArgs {
    /// The commit to compare with.
    pub(super) base: String,
    /// The commit that is compared.
    #[arg(default_value = "HEAD")]
    pub(super) head: String,
    #[command(flatten)]
    pub(super) repo: RepoArgs,
    /// Go on without files that cannot be read.
    #[arg(long)]
    pub(super) keep_going: bool,
    #[command(flatten)]
    pub(super) out: OutArgs,
}

/// Render a saved plan in any format.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan plan --base main --format json --out plan.json\n  \
    chronon-plan show plan.json\n  \
    chronon-plan show plan.json --format markdown")]
pub(super) struct ShowArgs {
    /// A plan saved with `--format json`; `-` for standard input.
    pub(super) file: PathBuf,
    #[command(flatten)]
    pub(super) out: OutArgs,
}

/// How a graph looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum GraphFormat {
    /// For Markdown that renders Mermaid, as GitHub does.
    #[default]
    Mermaid,
    /// For Graphviz.
    Dot,
    /// For programs.
    Json,
}

/// Draw who depends on whom, or which step waits for which.
///
/// Without --plan: the lineage of one commit. Edges point from what is read to who reads it.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan graph --of 'joins/payments.*' --format dot | dot -Tsvg > lineage.svg\n  \
    chronon-plan graph --plan plan.json")]
pub(super) struct GraphArgs {
    #[command(flatten)]
    pub(super) repo: RepoArgs,
    /// The commit whose lineage is drawn.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub(super) head: String,
    /// Only configs that match, what they depend on and what depends on them.
    #[arg(long, value_name = "GLOB")]
    pub(super) of: Vec<String>,
    /// Draw the steps of this saved plan instead.
    #[arg(long, value_name = "FILE", conflicts_with = "of")]
    pub(super) plan: Option<PathBuf>,
    /// How the graph looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: GraphFormat,
    /// Write the graph to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// Check one commit: files, embedded copies, collisions, cycles, settings.
///
/// Ends with 1 where something is wrong. Reports everything at once.
#[derive(Debug, Args)]
#[command(
    after_long_help = "EXAMPLES\n  chronon-plan validate\n  chronon-plan validate --head origin/main --format json"
)]
pub(super) struct ValidateArgs {
    #[command(flatten)]
    pub(super) repo: RepoArgs,
    /// The commit to check.
    #[arg(long, value_name = "REV", default_value = "HEAD")]
    pub(super) head: String,
    /// How the answer looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(super) format: ValidateFormat,
    /// Write the answer to this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub(super) out: Option<PathBuf>,
}

/// Do what the event of a GitHub Actions job asks for: plan a pull request, apply a merge.
///
/// On a pull request: plan, one comment and one check per env, edited in place. On a push to the
/// default branch: apply, if the plan is the one that was approved, and turn the comment into the
/// receipt. On a merge queue's commit: plan again and compare. By hand and by comment: plan again,
/// or carry an apply on. What to do is read from GITHUB_EVENT_NAME and GITHUB_EVENT_PATH.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan init        # writes the workflow that runs it\n  \
    chronon-plan ci\n  \
    chronon-plan ci --explain\n  \
    zipline compile --force && chronon-plan ci --check-compiled\n\n\
    ENVIRONMENT\n  \
    GITHUB_TOKEN is what it writes with. GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_SHA, GITHUB_OUTPUT\n  \
    and GITHUB_STEP_SUMMARY are set by GitHub. HTTPS_PROXY and NO_PROXY are honoured.\n\n\
    EXIT CODES\n  \
    0 done, 3 not the approved plan, 4 lock held or lost, 5 a job failed, 6 a label or an approval is\n  \
    missing, 7 the commit is out of date, 130 interrupted.")]
pub(super) struct CiArgs {
    /// The repository, or any folder in it.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(super) repo: PathBuf,
    /// Only this env. May be repeated. Without it: those of `ci.envs`, or all of chronon-plan.toml.
    #[arg(long, value_name = "ENV")]
    pub(super) env: Vec<String>,
    /// The compiled root, from the repository's top. Without it: the one that exists.
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<String>,
    /// Settings to use instead of chronon-plan.toml of the commits.
    #[arg(long, value_name = "FILE")]
    pub(super) settings: Option<PathBuf>,
    /// Read every file anew instead of using what the last run learnt of it.
    #[arg(long)]
    pub(super) no_cache: bool,
    /// The day of the plan; backfills end the day before. Without it: today, in UTC.
    #[arg(long, value_name = "DATE")]
    pub(super) as_of: Option<Day>,
    /// Only say what the event asks for.
    #[arg(long)]
    pub(super) explain: bool,
    /// Only check that the compiled files in the work tree are those of HEAD: for a job that has just
    /// compiled them.
    #[arg(long, conflicts_with = "explain")]
    pub(super) check_compiled: bool,
    /// How many seconds to wait for the lock.
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    pub(super) lock_timeout: u64,
}

/// How findings look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ValidateFormat {
    /// For people at a terminal.
    #[default]
    Text,
    /// For programs; `chronon-plan schema validate` describes it.
    Json,
}

/// Plan and apply a bundled example: a small repository, made in a temporary folder.
///
/// The jobs are played by a script in the example that says so; all else is real.
#[derive(Debug, Args)]
#[command(
    after_long_help = "EXAMPLES\n  chronon-plan demo\n  chronon-plan demo --dir /tmp/example"
)]
pub(super) struct DemoArgs {
    /// Where the example is made. Without it: a new folder for temporary files.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

/// A document that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Document {
    /// `plan --format json`
    Plan,
    /// `diff --format json`
    Diff,
    /// `validate --format json`
    Validate,
    /// `graph --format json`
    Graph,
    /// A line of `apply --format json`
    Progress,
    /// The ledger: `state.json`, `history/…`, `state pull`
    Ledger,
    /// `state list --format json` and `state show --format json`
    StateList,
    /// What the commands that correct the ledger print with `--format json`
    StateChange,
    /// `state history --format json`
    StateHistory,
    /// `lock show --format json`
    Lock,
    /// A manifest of schedules: `chronon_dags.json`
    Schedules,
    /// `airflow render --format json`
    AirflowRender,
    /// `airflow diff --format json`
    AirflowDiff,
    /// `airflow check --format json`
    AirflowCheck,
    /// `history --format json`
    History,
}

/// Print the JSON Schema of a document that this program writes.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  chronon-plan schema plan > plan.schema.json")]
pub(super) struct SchemaArgs {
    /// Which document.
    #[arg(value_enum)]
    pub(super) of: Document,
}

/// Print completions for a shell.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan completions bash > /etc/bash_completion.d/chronon-plan\n  \
    chronon-plan completions zsh > ~/.zfunc/_chronon-plan")]
pub(super) struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub(super) shell: clap_complete::Shell,
}
