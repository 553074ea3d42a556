//! What tests share: repositories to plan, and the binary in a clean environment.

pub(crate) mod airflow;
pub(crate) mod clock;
pub(crate) mod forge;
pub(crate) mod gcs;
pub(crate) mod github;
pub(crate) mod interleave;
pub(crate) mod memory;
mod repo;
pub(crate) mod script;
pub(crate) mod stage;
pub(crate) mod standin;

pub(crate) use repo::Repo;
pub(crate) use repo::files;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The project's top.
pub(crate) fn project() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The shared corpus, where this machine has it; the project must pass without.
pub(crate) fn corpus() -> Option<PathBuf> {
    let corpus = project().join("../shared/corpus");
    corpus.is_dir().then_some(corpus)
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The answer, of a run that must have ended with 0.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }
}

/// The binary, with nothing of this process's environment but where programs are.
pub(crate) fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chronon-plan"));
    command.current_dir(dir).env_clear();
    for name in ["PATH", "HOME", "LLVM_PROFILE_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}

/// Runs the binary in a folder.
pub(crate) fn run(dir: &Path, args: &[&str]) -> Run {
    let output = command(dir).args(args).output().unwrap();
    Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Compares text with a golden file; `BLESS=1` writes it anew.
pub(crate) fn golden(file: &Path, text: &str) {
    if std::env::var_os("BLESS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(file).unwrap_or_default();
    if expected != text {
        let diff = similar::TextDiff::from_lines(&expected, text);
        let diff = diff.unified_diff().header("golden", "now").to_string();
        panic!("{} differs; BLESS=1 accepts it\n{diff}", file.display());
    }
}

/// Whether processes of a job hold its lock still.
pub(crate) fn still_running(lock: &Path) -> bool {
    lock.exists() && chronon_plan::apply::process::lock(lock).unwrap().is_none()
}
