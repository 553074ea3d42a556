//! What belongs to a command: the setting that gives it, the one that looks first, and the proof
//! that its job is done.

use super::build::Inputs;
use super::spec::Proof;
use crate::model::name::Dialect;
use crate::plan::settings::EnvSettings;

/// What proves that jobs of a mode are done.
pub(super) fn proof(inputs: &Inputs<'_>, mode: &str) -> Proof {
    let oss = inputs.catalog.dialect == Dialect::Oss;
    match inputs.settings.own_commands || (oss && mode == "upload-to-kv") {
        true => Proof::Exit,
        false => Proof::Cli,
    }
}

/// The setting that would give a mode a command.
pub(super) fn setting(mode: &str, settings: &EnvSettings) -> &'static str {
    match (settings.own_commands, mode) {
        (false, "upload-to-kv") => "env.*.kv_upload",
        _ => "env.*.mode.*.command",
    }
}

const DEPLOY: &str = "--streaming-mode=deploy";
const CHECK: &str = "--streaming-mode=check-if-job-is-running";

/// The command that looks whether a stream runs; empty where the deploy itself looks (dialect OSS,
/// reference §4.2).
pub(super) fn check(argv: &[String]) -> Vec<String> {
    if !argv.iter().any(|word| word == DEPLOY) {
        return Vec::new();
    }
    let savepoint = |word: &&String| !word.ends_with("-savepoint");
    let look = |word: &String| if word == DEPLOY { CHECK.to_owned() } else { word.clone() };
    argv.iter().filter(savepoint).map(look).collect()
}
