//! What went wrong, what to do about it, and the exit code: one table for all of it.

use std::fmt;

use crate::model::catalog::Malformed;
use crate::model::causes::chain;
use crate::plan::PlanError;
use crate::plan::settings::FILE;
use crate::plan::settings::Mistake;
use crate::render::visible;
use crate::source::SourceError;
use crate::state::StateError;
use crate::state::head::SaveError;
use crate::state::journal::JournalError;
use crate::state::lease::LockError;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done,
    /// It failed.
    Error,
    /// There are changes, and the caller asked to be told.
    Changes,
    /// The plan differs from the approved one.
    PlanDiffers,
    /// The lock is held or was lost.
    Locked,
    /// Partly applied; run again to resume.
    Partial,
    /// A policy or an approval is missing.
    Policy,
    /// The plan is stale and cannot be applied.
    Stale,
    /// Interrupted cleanly.
    Interrupted,
}

/// Every exit code with its meaning.
#[rustfmt::skip] // one code, one line
pub const EXITS: [(Exit, u8, &str); 9] = [
    (Exit::Done, 0, "done, or nothing to do"),
    (Exit::Error, 1, "an error; nothing was changed"),
    (Exit::Changes, 2, "with `--detailed-exitcode`: there are changes"),
    (Exit::PlanDiffers, 3, "the plan differs from the approved one"),
    (Exit::Locked, 4, "the lock is held, or was lost"),
    (Exit::Partial, 5, "partly applied; run again to resume"),
    (Exit::Policy, 6, "a policy or an approval is missing"),
    (Exit::Stale, 7, "the plan is stale and cannot be applied"),
    (Exit::Interrupted, 130, "interrupted cleanly"),
];

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        EXITS[self as usize].1
    }
}

/// A failure: what happened, and what to run next.
#[derive(Debug)]
pub struct Failure {
    /// What happened, one line each.
    pub what: Vec<String>,
    /// What to do next.
    pub hints: Vec<String>,
    /// What the process ends with.
    pub exit: Exit,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, rest) = self.what.split_first().map_or(("failed", &[][..]), |it| (it.0, it.1));
        writeln!(f, "error: {}", visible(first))?;
        rest.iter().try_for_each(|line| writeln!(f, "  {}", visible(line)))?;
        self.hints.iter().try_for_each(|hint| writeln!(f, "next: {}", visible(hint)))
    }
}

impl Failure {
    /// A failure with one line and no more than that to say.
    pub fn new(what: impl fmt::Display) -> Self {
        Self { what: vec![what.to_string()], hints: Vec::new(), exit: Exit::Error }
    }

    /// The same, with something to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same, ending with another code than 1.
    #[must_use]
    pub fn ends(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The same, with more lines.
    #[must_use]
    pub fn lines(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.what.extend(lines);
        self
    }

    /// Files that cannot be read, all at once.
    pub fn malformed(side: &str, files: &[Malformed], others: &[Malformed]) -> Self {
        let count = files.len() + others.len();
        let mut what = vec![match count {
            1 => "1 file cannot be read".to_owned(),
            count => format!("{count} files cannot be read"),
        }];
        let line = |side: &str, file: &Malformed| match file.line {
            0 => format!("{}: {} (at {side})", file.path, file.what),
            line => format!("{}:{line}:{}: {} (at {side})", file.path, file.column, file.what),
        };
        what.extend(files.iter().map(|file| line(side, file)));
        what.extend(others.iter().map(|file| line("base", file)));
        Self { what, hints: Vec::new(), exit: Exit::Error }
            .hint("compile again and commit the result (`zipline compile --force`)")
            .hint("or plan without these files: `chronon-plan plan --keep-going`")
    }

    /// Mistakes in the settings, all at once.
    pub fn settings(place: &str, mistakes: &[Mistake]) -> Self {
        let mut what = vec![format!("{place} has {} mistakes", mistakes.len())];
        if mistakes.len() == 1 {
            what = vec![format!("{place} has 1 mistake")];
        }
        what.extend(mistakes.iter().map(|it| match it.setting.as_str() {
            "" => format!("{place}:{}: {}", it.line, it.what),
            setting => format!("{place}:{}: `{setting}`: {}", it.line, it.what),
        }));
        Self { what, hints: Vec::new(), exit: Exit::Error }
            .hint(format!("the README lists every setting of {FILE}"))
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        let hints: &[&str] = match &error {
            SourceError::NoRepository { .. } => {
                &["run it in a clone of the feature repository, or name one with `--repo DIR`"]
            }
            SourceError::NotTrusted { .. } => {
                &["git config --global --add safe.directory DIR (with the folder's full path)"]
            }
            SourceError::Shallow { .. } => &[
                "git fetch --unshallow",
                "in GitHub Actions: `fetch-depth: 0` under `with:` of actions/checkout",
            ],
            SourceError::NoRevision { .. } => {
                &["git fetch --all, and `git branch --all` to see which there are"]
            }
            SourceError::NoDefaultBranch => &["name the commit to compare with: `--base REV`"],
            SourceError::NoMergeBase { .. } => &["name the commit to compare with: `--base REV`"],
            SourceError::NoRoot { .. } => &[
                "name the compiled root with `--root DIR`; `git ls-tree -d -r --name-only HEAD` lists folders",
            ],
            SourceError::NoCommit => {
                &["commit the compiled files, or name another repository with `--repo DIR`"]
            }
            SourceError::NoConfigs { .. } => {
                &["name the folder that holds group_bys/ and joins/ with `--root DIR`"]
            }
            SourceError::MissingBlobs { .. } | SourceError::MissingObject => {
                &["fetch them: `git fetch --refetch --no-filter`, or clone without `--filter`"]
            }
            SourceError::Document { .. } => {
                &["compile again and commit the result (`zipline compile --force`)"]
            }
            SourceError::Git(_) => &["git fsck"],
        };
        let failure = Self::new(chain(&error));
        hints.iter().fold(failure, |failure, hint| failure.hint(*hint))
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        let failure = Self::new(chain(&error));
        match error {
            PlanError::Cycle { .. } => failure.hint("chronon-plan graph --format mermaid, to see who reads whom"),
            PlanError::UnknownStep { known, .. } if !known.is_empty() => {
                failure.hint(format!("its steps are {}", known.join(", ")))
            }
            PlanError::UnknownStep { .. } => failure.hint("a step is named like `group_bys/team.file.name__1#upload`"),
            PlanError::UnknownTarget { .. } => failure.hint("a target is matched against addresses like `group_bys/team.*`; chronon-plan graph lists them"),
            PlanError::LedgerVersion { .. } => failure,
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::new(&error).hint(error.next())
    }
}

impl From<LockError> for Failure {
    fn from(error: LockError) -> Self {
        match error {
            LockError::Held(ref document) => Self::new(&error)
                .ends(Exit::Locked)
                .hint("wait until it is done, or give it longer with `--lock-timeout SECONDS`")
                .hint(format!(
                    "if that run is surely dead: chronon-plan lock release {}",
                    document.nonce
                )),
            LockError::Interrupted => Self::new(&error).ends(Exit::Interrupted),
            LockError::State(error) => error.into(),
        }
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Sealed => Self::new(&error)
                .ends(Exit::Locked)
                .hint("chronon-plan lock show, to see who holds the lock; then run it again"),
            JournalError::State(error) => error.into(),
        }
    }
}

impl From<SaveError> for Failure {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Changed => Self::new(&error)
                .ends(Exit::Locked)
                .hint("run it again: it starts from what is there now"),
            SaveError::State(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_its_own_variants() {
        for (index, row) in EXITS.iter().enumerate() {
            assert_eq!(row.0 as usize, index);
        }
    }
}
