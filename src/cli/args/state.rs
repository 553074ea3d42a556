//! The command lines of `state` and `lock`; the doc comments are the help texts.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use super::RepoArgs;

/// How an answer about state looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(in super::super) enum StateFormat {
    /// For people at a terminal.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// What all commands on state share.
#[derive(Clone, Debug, Args)]
pub(in super::super) struct StateCommon {
    #[command(flatten)]
    pub(in super::super) repo: RepoArgs,
    /// How the answer looks.
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub(in super::super) format: StateFormat,
    /// How many seconds to wait for the lock, where it is needed.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub(in super::super) lock_timeout: u64,
}

/// Look at the ledger of what has been applied, and correct it.
#[derive(Debug, Args)]
pub(in super::super) struct StateArgs {
    #[command(subcommand)]
    pub(in super::super) command: StateCommand,
}

/// What to do with the ledger.
#[derive(Debug, Subcommand)]
pub(in super::super) enum StateCommand {
    /// List the resources that were applied.
    List {
        /// Only those of configs that match.
        #[arg(value_name = "GLOB")]
        of: Vec<String>,
        #[command(flatten)]
        common: StateCommon,
    },
    /// Show everything that is known of one config's resources.
    Show {
        /// The config, as `group_bys/team.file.name__1`.
        config: String,
        #[command(flatten)]
        common: StateCommon,
    },
    /// Print the ledger as it is kept.
    Pull {
        /// Write it to this file instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        common: StateCommon,
    },
    /// Put a ledger in the place of the one that is kept.
    ///
    /// Refuses an older one, one of another lineage, and one of the same serial with other content.
    Push {
        /// A file as `state pull` prints it; `-` for standard input.
        file: PathBuf,
        /// Push it whatever it is.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        common: StateCommon,
    },
    /// Forget resources: somebody removed them, or they are nobody's business any more.
    Rm {
        /// Configs, as `group_bys/team.file.name__1`, or single resources, as `…__1#stream`.
        #[arg(value_name = "CONFIG", required = true)]
        of: Vec<String>,
        #[command(flatten)]
        common: StateCommon,
    },
    /// Record a commit as applied without running anything: how a team starts.
    Adopt {
        /// The commit.
        #[arg(long, value_name = "REV")]
        commit: String,
        /// Only configs that match. May be repeated.
        #[arg(long, value_name = "GLOB")]
        target: Vec<String>,
        /// Where the ledger says otherwise, overwrite what it says.
        #[arg(long)]
        force: bool,
        #[command(flatten)]
        common: StateCommon,
    },
    /// List earlier ledgers, the newest first.
    History {
        /// How many.
        #[arg(long, value_name = "N", default_value_t = 20)]
        limit: usize,
        #[command(flatten)]
        common: StateCommon,
    },
    /// Restore an earlier ledger, and say what that means for the world.
    Rollback {
        /// Its serial, as `state history` lists it.
        serial: u64,
        #[command(flatten)]
        common: StateCommon,
    },
}

/// Look at the lock, and free it.
#[derive(Debug, Args)]
pub(in super::super) struct LockArgs {
    #[command(subcommand)]
    pub(in super::super) command: LockCommand,
}

/// What to do with the lock.
#[derive(Debug, Subcommand)]
pub(in super::super) enum LockCommand {
    /// Show who holds it.
    Show {
        #[command(flatten)]
        common: StateCommon,
    },
    /// Free a lock whose holder is surely dead.
    Release {
        /// The id that `lock show` prints: so that no other lock is freed than the one you saw.
        id: String,
        #[command(flatten)]
        common: StateCommon,
    },
}
