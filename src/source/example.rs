//! Writes a small repository: the only place that writes git, for the demo alone.

use std::path::Path;

use git2::FileMode;
use git2::Repository;
use git2::RepositoryInitOptions;
use git2::Signature;
use git2::Time;

use super::SourceError;

/// One commit.
#[derive(Clone, Copy, Debug)]
pub struct ExampleCommit<'a> {
    /// Its message.
    pub message: &'a str,
    /// The files that it writes, by path; a script is one that can be run.
    pub files: &'a [(&'a str, &'a str)],
    /// The files that it removes.
    pub removed: &'a [&'a str],
}

/// A repository that is written commit by commit. The same commits have the same ids everywhere.
pub struct Example {
    git: Repository,
}

impl Example {
    /// Makes an empty repository on branch `main`.
    ///
    /// # Errors
    /// Where git cannot write there.
    pub fn new(folder: &Path) -> Result<Self, SourceError> {
        let mut options = RepositoryInitOptions::new();
        let git = Repository::init_opts(folder, options.initial_head("main").no_reinit(true))?;
        Ok(Self { git })
    }

    /// Makes a branch of what is there and goes on with it.
    ///
    /// # Errors
    /// Where git cannot write there.
    pub fn branch(&self, name: &str) -> Result<(), SourceError> {
        self.git.branch(name, &self.git.head()?.peel_to_commit()?, false)?;
        self.git.set_head(&format!("refs/heads/{name}"))?;
        Ok(())
    }

    /// Adds a commit and checks it out.
    ///
    /// # Errors
    /// Where git cannot write there.
    pub fn commit(&self, commit: &ExampleCommit<'_>) -> Result<(), SourceError> {
        let git = &self.git;
        let who =
            Signature::new("chronon-plan demo", "demo@example.com", &Time::new(1_763_769_600, 0))?;
        let parent = git.head().ok().map(|head| head.peel_to_commit()).transpose()?;
        let mut tree = git2::build::TreeUpdateBuilder::new();
        for (path, content) in commit.files {
            let script = content.starts_with("#!");
            let mode = if script { FileMode::BlobExecutable } else { FileMode::Blob };
            tree.upsert(*path, git.blob(content.as_bytes())?, mode);
        }
        for path in commit.removed {
            tree.remove(*path);
        }
        let before = match &parent {
            Some(parent) => parent.tree()?,
            None => git.find_tree(git.treebuilder(None)?.write()?)?,
        };
        let tree = git.find_tree(tree.create_updated(git, &before)?)?;
        let parents: Vec<_> = parent.iter().collect();
        git.commit(Some("HEAD"), &who, &who, commit.message, &tree, &parents)?;
        let mut checkout = git2::build::CheckoutBuilder::new();
        git.checkout_head(Some(checkout.force()))?;
        Ok(())
    }
}
