//! Writes the files of a commit into a folder, for jobs to run from.
//!
//! # Why
//! Jobs must see what was planned: neither what lies in the work tree nor what is committed later.
//! So files come from the commit itself, whatever the work tree looks like or whether there is one.

use std::collections::BTreeMap;
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
    make(folder)?;
    let mut place = |name: &[u8], mode: i32, content: &[u8]| {
        write(&folder.join(OsStr::from_bytes(name)), mode, content)
    };
    walk(repository, commit, keep, &mut place)
}

/// A file of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it can be started.
    pub executable: bool,
}

/// Reads those files of a commit that `keep` wants, by their paths from the repository's top.
/// Links and submodules are left out.
///
/// # Errors
/// Where git cannot read.
pub fn held(
    repository: &Repository,
    commit: &CommitId,
    keep: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, Held>, CheckoutError> {
    let mut files = BTreeMap::new();
    let mut place = |name: &[u8], mode: i32, content: &[u8]| {
        if mode != LINK {
            let held = Held { content: content.to_vec(), executable: mode == PROGRAM };
            files.insert(String::from_utf8_lossy(name).into_owned(), held);
        }
        Ok(())
    };
    walk(repository, commit, keep, &mut place)?;
    Ok(files)
}

/// How git marks a link, and a file that can be started.
const LINK: i32 = 0o120_000;
const PROGRAM: i32 = 0o100_755;

/// Told the name of a file, its mode and its content.
type Place<'a> = &'a mut dyn FnMut(&[u8], i32, &[u8]) -> Result<(), CheckoutError>;

fn walk(
    repository: &Repository,
    commit: &CommitId,
    keep: &dyn Fn(&str) -> bool,
    place: Place<'_>,
) -> Result<(), CheckoutError> {
    let top = repository
        .tree(commit, "")?
        .ok_or_else(|| SourceError::NoRoot { root: String::new(), commit: commit.clone() })?;
    Walker { repository, keep, place }.tree(&top, b"")
}

struct Walker<'a> {
    repository: &'a Repository,
    keep: &'a dyn Fn(&str) -> bool,
    place: Place<'a>,
}

impl Walker<'_> {
    fn tree(&mut self, tree: &Tree<'_>, prefix: &[u8]) -> Result<(), CheckoutError> {
        for entry in tree {
            let file = [prefix, entry.name_bytes()].concat();
            // Not every name is text; the file gets its own all the same.
            let (name, path) =
                (String::from_utf8_lossy(entry.name_bytes()), String::from_utf8_lossy(&file));
            let git = |error: git2::Error| CheckoutError::Source(error.into());
            match entry.kind() {
                Some(ObjectType::Tree) => {
                    check(&name, &path)?;
                    let below = self.repository.git.find_tree(entry.id()).map_err(git)?;
                    self.tree(&below, &[&file, &b"/"[..]].concat())?;
                }
                Some(ObjectType::Blob) if (self.keep)(&path) => {
                    check(&name, &path)?;
                    let blob = self.repository.git.find_blob(entry.id()).map_err(git)?;
                    (self.place)(&file, entry.filemode(), blob.content())?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn write(file: &Path, mode: i32, content: &[u8]) -> Result<(), CheckoutError> {
    make(file.parent().unwrap_or(file))?;
    let written = if mode == LINK {
        std::os::unix::fs::symlink(OsStr::from_bytes(content), file)
    } else {
        let mode = if mode == PROGRAM { 0o755 } else { 0o644 };
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
