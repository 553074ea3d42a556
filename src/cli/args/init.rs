//! The command line of `init`; the doc comments are the help texts.

use std::path::PathBuf;

use clap::Args;

/// The action in the version of this program.
pub(in super::super) const ACTION: &str =
    concat!("chronon-plan/chronon-plan@v", env!("CARGO_PKG_VERSION"));

/// Write the settings and the GitHub workflow: plans on pull requests, applies what is merged.
///
/// Writes chronon-plan.toml, with an env for each compiled root, where there is none, and
/// .github/workflows/chronon-plan.yml. They are yours to read and change; nothing that is there is
/// overwritten without --force. Without --state, the ledger lies in a cache of GitHub's: a first
/// try that needs no cloud.
#[derive(Debug, Args)]
#[command(after_long_help = "EXAMPLES\n  \
    chronon-plan init --dry-run\n  \
    chronon-plan init --compile --forks\n  \
    chronon-plan init --state gs://acme-state/chronon-plan \\\n    \
    --workload-identity-provider \\\n      \
    projects/123/locations/global/workloadIdentityPools/github/providers/github \\\n    \
    --service-account apply@acme.iam.gserviceaccount.com \\\n    \
    --plan-service-account plan@acme.iam.gserviceaccount.com")]
pub(in super::super) struct InitArgs {
    /// The repository, or any folder in it.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(in super::super) repo: PathBuf,
    /// Where the ledger is kept, as gs://BUCKET/PREFIX. Without it: a cache of GitHub's.
    #[arg(long, value_name = "LOCATION")]
    pub(in super::super) state: Option<String>,
    /// What workflows log in through at Google, as projects/N/locations/global/….
    #[arg(long, value_name = "PROVIDER", requires = "service_account")]
    pub(in super::super) workload_identity_provider: Option<String>,
    /// The account that applies.
    #[arg(long, value_name = "ACCOUNT", requires = "workload_identity_provider")]
    pub(in super::super) service_account: Option<String>,
    /// The account that plans, which need not be able to write. Without it: the one that applies.
    #[arg(long, value_name = "ACCOUNT", requires = "workload_identity_provider")]
    pub(in super::super) plan_service_account: Option<String>,
    /// Add a job that compiles, and checks that the compiled files of a pull request are up to date.
    #[arg(long)]
    pub(in super::super) compile: bool,
    /// Add a second workflow that plans pull requests of forks against the ledger, and comments.
    #[arg(long)]
    pub(in super::super) forks: bool,
    /// The action that the workflow uses: a release, or a commit that pins it.
    #[arg(long, value_name = "OWNER/NAME@REF", default_value = ACTION)]
    pub(in super::super) action: String,
    /// Overwrite files that are there and say something else.
    #[arg(long)]
    pub(in super::super) force: bool,
    /// Print the files instead of writing them.
    #[arg(long)]
    pub(in super::super) dry_run: bool,
}
