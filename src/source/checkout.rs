//! Writes the files of a commit into a folder, for jobs to run from.
//!
//! # Why
//! Jobs must see what was planned: neither what lies in the work tree nor what is committed later.
//! So files come from the commit itself, whatever the work tree looks like or whether there is one.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use git2::ObjectType;
use git2::Tree;

use super::Repository;
use super::SourceError;
use crate::model::name::CommitId;

/// Why files could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// Git cannot read the commit.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The folder cannot be written.
    #[error("{path}: {error}")]
    Folder {
        /// The file or folder.
        path: String,
        /// What the system says.
        error: io::Error,
    },
    /// A name that no file may have.
    #[error("the commit holds a file called `{path}`")]
    Name {
        /// The name.
        path: String,
    },
}

/// Writes those files of a commit that `keep` wants, by their paths from the repository's top.
/// Links are written as links, submodules not at all.
///
/// # Errors
/// Where git cannot read, or the folder cannot be written.
pub fn checkout(
    repository: &Repository,
    commit: &CommitId,
    folder: &Path,
    keep: &dyn Fn(&str) -> bool,
) -> Result<(), CheckoutError> {
    let top = repository
        .tree(commit, "")?
        .ok_or_else(|| SourceError::NoRoot { root: String::new(), commit: commit.clone() })?;
    make(folder)?;
    Writer { repository, keep }.tree(&top, "", folder)
}

struct Writer<'a> {
    repository: &'a Repository,
    keep: &'a dyn Fn(&str) -> bool,
}

impl Writer<'_> {
    fn tree(&self, tree: &Tree<'_>, prefix: &str, place: &Path) -> Result<(), CheckoutError> {
        for entry in tree {
            // Not every name is text; the file gets its own all the same.
            let name = String::from_utf8_lossy(entry.name_bytes());
            let path = format!("{prefix}{name}");
            let file = place.join(OsStr::from_bytes(entry.name_bytes()));
            let git = |error: git2::Error| CheckoutError::Source(error.into());
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    check(&name, &path)?;
                    let below = self.repository.git.find_tree(entry.id()).map_err(git)?;
                    self.tree(&below, &format!("{path}/"), &file)?;
                }
                Some(ObjectType::Blob) if (self.keep)(&path) => {
                    check(&name, &path)?;
                    let blob = self.repository.git.find_blob(entry.id()).map_err(git)?;
                    write(&file, entry.filemode(), blob.content())?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn write(file: &Path, mode: i32, content: &[u8]) -> Result<(), CheckoutError> {
    make(file.parent().unwrap_or(file))?;
    let written = if mode == 0o120_000 {
        std::os::unix::fs::symlink(OsStr::from_bytes(content), file)
    } else {
        let mode = if mode == 0o100_755 { 0o755 } else { 0o644 };
        let mut options = fs::OpenOptions::new();
        // Never through a link that another file of the commit has put there.
        options.write(true).create_new(true).mode(mode);
        options.open(file).and_then(|mut it| io::Write::write_all(&mut it, content))
    };
    written.map_err(|error| CheckoutError::Folder { path: file.display().to_string(), error })
}

/// A tree can hold names that would lead out of the folder.
fn check(name: &str, path: &str) -> Result<(), CheckoutError> {
    let harmful = ["", ".", "..", ".git"].contains(&name.to_lowercase().as_str());
    if harmful || name.contains(['/', '\0']) {
        return Err(CheckoutError::Name { path: path.to_owned() });
    }
    Ok(())
}

/// Configs may hold secrets, and folders for temporary files are everybody's: nobody else looks in.
fn make(folder: &Path) -> Result<(), CheckoutError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder
        .create(folder)
        .map_err(|error| CheckoutError::Folder { path: folder.display().to_string(), error })
}
