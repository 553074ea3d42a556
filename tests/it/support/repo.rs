//! A git repository that a test makes and loses.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use git2::IndexAddOption;
use git2::Repository;
use git2::Signature;
use git2::Time;
use tempfile::TempDir;

/// A repository with a work tree; commits are the same bytes on every machine.
pub(crate) struct Repo {
    folder: TempDir,
    git: Repository,
}

impl Repo {
    /// An empty repository on branch `main`.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = git2::RepositoryInitOptions::new();
        let git = Repository::init_opts(folder.path(), options.initial_head("main")).unwrap();
        Self { folder, git }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file of the work tree.
    pub(crate) fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let file = self.path().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    /// Removes a file of the work tree.
    pub(crate) fn remove(&self, path: &str) {
        fs::remove_file(self.path().join(path)).unwrap();
    }

    /// Copies a folder over one of the work tree.
    pub(crate) fn copy(&self, from: &Path, to: &str) {
        for file in files(from) {
            let below = file.strip_prefix(from).unwrap();
            let to = Path::new(to).join(below);
            self.write(to.to_str().unwrap(), fs::read(&file).unwrap());
        }
    }

    /// Commits the whole work tree; gives the commit's id.
    pub(crate) fn commit(&self, message: &str) -> String {
        let mut index = self.git.index().unwrap();
        index.add_all(["*"], IndexAddOption::FORCE, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = self.git.find_tree(index.write_tree().unwrap()).unwrap();
        let who = Signature::new("Test", "test@example.com", &Time::new(1_700_000_000, 0)).unwrap();
        let parent = self.git.head().ok().map(|head| head.peel_to_commit().unwrap());
        let parents: Vec<&git2::Commit<'_>> = parent.iter().collect();
        self.git.commit(Some("HEAD"), &who, &who, message, &tree, &parents).unwrap().to_string()
    }

    /// Runs git itself, for what only it can do; gives what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        git(self.path(), args)
    }
}

/// Runs git in a folder.
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .current_dir(dir)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
        .args(["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"])
        .args(args)
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every file below a folder, sorted.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}
