//! Git objects to catalogs: the only user of git.
//!
//! Everything is read from commits, never from the checkout, so a plan says what a commit needs
//! and not what happens to lie in a folder.

mod blobs;
mod cache;
mod catalogs;
mod checkout;
mod documents;
mod example;
mod packs;
mod repository;

pub use cache::Cache;
pub use catalogs::Pair;
pub use catalogs::Sides;
pub use catalogs::catalogs;
pub use checkout::CheckoutError;
pub use checkout::Held;
pub use checkout::checkout;
pub use checkout::held;
pub use documents::Content;
pub use documents::Wanted;
pub use documents::configs_of;
pub use documents::documents;
pub use example::Example;
pub use example::ExampleCommit;
pub use repository::ROOT_DEPTH;
pub use repository::ROOT_NAMES;
pub use repository::Repository;
pub use repository::Revision;

use git2::ErrorClass;
use git2::ErrorCode;

use crate::model::name::CommitId;

/// What went wrong while reading git.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No repository there.
    #[error("`{path}` is not in a git repository")]
    NoRepository {
        /// The folder that was looked at.
        path: String,
    },
    /// The repository belongs to somebody else, and git refuses to read it.
    #[error("git does not trust `{path}`: it belongs to another user")]
    NotTrusted {
        /// The repository.
        path: String,
    },
    /// A revision that a full clone may have, but this shallow one does not.
    #[error("{what} is not in this clone, which is shallow")]
    Shallow {
        /// The revision.
        what: String,
    },
    /// A repository without any commit.
    #[error("the repository has no commit yet")]
    NoCommit,
    /// A revision that does not exist.
    #[error("`{rev}` is no commit of this repository")]
    NoRevision {
        /// The revision.
        rev: String,
    },
    /// No branch that could be the default one.
    #[error("no default branch found to compare with")]
    NoDefaultBranch,
    /// Two commits that share no history.
    #[error("`{base}` and `{head}` share no history")]
    NoMergeBase {
        /// One of them.
        base: String,
        /// The other.
        head: String,
    },
    /// The compiled root is missing.
    #[error("commit {} has no folder `{root}`", commit.short())]
    NoRoot {
        /// The root that was asked for.
        root: String,
        /// The commit that lacks it.
        commit: CommitId,
    },
    /// A root that holds no config in either commit.
    #[error("there are no configs in folder `{root}`")]
    NoConfigs {
        /// The root that was asked for.
        root: String,
    },
    /// A folder that git does not have, as in a partial clone.
    #[error("a folder of the repository is not in this clone")]
    MissingObject,
    /// A file whose content git does not have, as in a partial clone.
    #[error("the content of {count} files is not in this clone, `{path}` for one")]
    MissingBlobs {
        /// How many.
        count: usize,
        /// The first of them.
        path: String,
    },
    /// A document that holds something no parser takes, though its facts could be read.
    #[error("`{path}`, line {line}, column {column}: {what}")]
    Document {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong, without quoting the file.
        what: String,
    },
    /// Anything else git says.
    #[error("git: {}", .0.message())]
    Git(git2::Error),
}

impl From<git2::Error> for SourceError {
    fn from(error: git2::Error) -> Self {
        let missing = error.code() == ErrorCode::NotFound && error.class() == ErrorClass::Odb;
        if missing { Self::MissingObject } else { Self::Git(error) }
    }
}
