//! Writes a small repository: the only place that writes git, for the demo alone.

use std::path::Path;

use git2::Repository;
use git2::RepositoryInitOptions;
use git2::Signature;
use git2::Time;

use super::SourceError;

/// One commit: its message, and the files it writes.
pub type ExampleCommit<'a> = (&'a str, &'a [(&'a str, &'a str)]);

/// Makes a repository in `folder` with these commits: the first on `main`, the others on `branch`,
/// which is checked out. The same commits have the same ids everywhere.
///
/// # Errors
/// Where git cannot write there.
pub fn write_example(
    folder: &Path,
    branch: &str,
    commits: &[ExampleCommit<'_>],
) -> Result<(), SourceError> {
    let mut options = RepositoryInitOptions::new();
    let git = Repository::init_opts(folder, options.initial_head("main").no_reinit(true))?;
    let who =
        Signature::new("chronon-plan demo", "demo@example.com", &Time::new(1_763_769_600, 0))?;
    for (number, (message, files)) in commits.iter().enumerate() {
        let parent = git.head().ok().map(|head| head.peel_to_commit()).transpose()?;
        if let (1, Some(parent)) = (number, &parent) {
            git.branch(branch, parent, false)?;
            git.set_head(&format!("refs/heads/{branch}"))?;
        }
        let mut tree = git2::build::TreeUpdateBuilder::new();
        for (path, content) in *files {
            tree.upsert(*path, git.blob(content.as_bytes())?, git2::FileMode::Blob);
        }
        let before = match &parent {
            Some(parent) => parent.tree()?,
            None => git.find_tree(git.treebuilder(None)?.write()?)?,
        };
        let tree = git.find_tree(tree.create_updated(&git, &before)?)?;
        git.commit(Some("HEAD"), &who, &who, message, &tree, &parent.iter().collect::<Vec<_>>())?;
    }
    let mut checkout = git2::build::CheckoutBuilder::new();
    git.checkout_head(Some(checkout.force()))?;
    Ok(())
}
