//! A git repository: revisions, merge bases, compiled roots, single files.

use std::path::Path;

use git2::ErrorClass;
use git2::ErrorCode;
use git2::ObjectType;
use git2::Oid;
use git2::Tree;

use super::SourceError;
use crate::model::name::CommitId;
use crate::model::name::ConfigType;

/// Names that compile gives its output folder, first the one that wins (reference §1.1).
pub const ROOT_NAMES: [&str; 3] = ["compiled", "production", "compiled_canary"];

/// How deep under the top a compiled root is looked for when nobody names one.
pub const ROOT_DEPTH: usize = 4;

/// A revision and the commit it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// As the user wrote it.
    pub rev: String,
    /// What it means.
    pub commit: CommitId,
}

/// An open repository, of whatever kind: ordinary, bare, shallow, or a linked work tree.
pub struct Repository {
    pub(super) git: git2::Repository,
}

impl Repository {
    /// Opens the repository that `path` lies in.
    ///
    /// # Errors
    /// Where there is none, or git refuses to read it.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        // What git itself does: content is checked when it is written and fetched, not each time
        // it is read.
        git2::opts::strict_hash_verification(false);
        let shown = || path.display().to_string();
        match git2::Repository::discover(path) {
            Ok(git) => Ok(Self { git }),
            Err(error) if error.code() == ErrorCode::Owner => {
                Err(SourceError::NotTrusted { path: shown() })
            }
            Err(error) if error.code() == ErrorCode::NotFound => {
                Err(SourceError::NoRepository { path: shown() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Where the cache of this repository lives: with its objects, shared by its work trees.
    pub fn cache_dir(&self) -> std::path::PathBuf {
        self.git.commondir().join("chronon-plan")
    }

    /// The top of the work tree; none in a bare repository.
    pub fn top(&self) -> Option<&Path> {
        self.git.workdir()
    }

    /// The commit that a revision means, in any syntax git takes.
    ///
    /// # Errors
    /// Where there is no such commit, with its own error in a shallow clone.
    pub fn revision(&self, rev: &str) -> Result<Revision, SourceError> {
        let object = self.git.revparse_single(rev).map_err(|error| self.missing(rev, error))?;
        let commit = object.peel(ObjectType::Commit).map_err(|error| self.missing(rev, error))?;
        Ok(Revision { rev: rev.to_owned(), commit: CommitId(commit.id().to_string()) })
    }

    /// The commit to compare `head` with when nobody says: where it left the default branch.
    ///
    /// # Errors
    /// Where no default branch is known, or the clone does not reach far enough back.
    pub fn default_base(&self, head: &Revision) -> Result<Revision, SourceError> {
        let branch = self.default_branch().ok_or_else(|| match self.git.is_shallow() {
            true => SourceError::Shallow { what: "the default branch".to_owned() },
            false => SourceError::NoDefaultBranch,
        })?;
        let tip = self.revision(&branch)?;
        self.merge_base(&tip, head)
    }

    /// Where `head` left `base`, under the name of `base`.
    ///
    /// # Errors
    /// Where they share no history, or the clone does not reach far enough back.
    pub fn merge_base(&self, base: &Revision, head: &Revision) -> Result<Revision, SourceError> {
        let found = self.git.merge_base(oid(&base.commit)?, oid(&head.commit)?);
        match found {
            Ok(commit) => {
                Ok(Revision { rev: base.rev.clone(), commit: CommitId(commit.to_string()) })
            }
            Err(error) if self.is_missing(&error) && self.git.is_shallow() => {
                Err(SourceError::Shallow { what: format!("the merge base with `{}`", base.rev) })
            }
            Err(error) if error.code() == ErrorCode::NotFound => {
                Err(SourceError::NoMergeBase { base: base.rev.clone(), head: head.rev.clone() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The commit to compare with when the user names `base`: a branch that `head` has left
    /// behind means the point where `head` left it, else the other branch's work would read as
    /// undone.
    ///
    /// # Errors
    /// As [`Self::revision`].
    pub fn base(&self, rev: &str, head: &Revision) -> Result<Revision, SourceError> {
        let base = self.revision(rev)?;
        if !self.is_branch(rev) || self.related(&base, head)? {
            return Ok(base);
        }
        match self.merge_base(&base, head) {
            Err(SourceError::NoMergeBase { .. }) => Ok(base),
            found => found,
        }
    }

    fn is_branch(&self, rev: &str) -> bool {
        let reference = self.git.resolve_reference_from_short_name(rev);
        reference.is_ok_and(|found| found.is_branch() || found.is_remote())
    }

    /// Whether one of two commits is an ancestor of the other.
    fn related(&self, one: &Revision, other: &Revision) -> Result<bool, SourceError> {
        let (one, other) = (oid(&one.commit)?, oid(&other.commit)?);
        let descends = |a, b| self.git.graph_descendant_of(a, b).unwrap_or(false);
        Ok(one == other || descends(one, other) || descends(other, one))
    }

    /// Whether a commit is `ancestor` or descends from it.
    ///
    /// # Errors
    /// Where one of them is not in this clone.
    pub fn descends(&self, commit: &CommitId, ancestor: &CommitId) -> Result<bool, SourceError> {
        let (one, other) = (oid(commit)?, oid(ancestor)?);
        if one == other {
            return Ok(true);
        }
        let missing = |error: git2::Error| self.missing(&ancestor.0, error);
        self.git.find_commit(other).map_err(missing)?;
        self.git.graph_descendant_of(one, other).map_err(missing)
    }

    /// Whether a commit is in this clone.
    pub fn has(&self, commit: &str) -> bool {
        git2::Oid::from_str(commit).is_ok_and(|oid| self.git.find_commit(oid).is_ok())
    }

    /// Whether a commit holds a file or a folder at a path.
    ///
    /// # Errors
    /// Where git cannot read the commit.
    pub fn holds(&self, commit: &CommitId, path: &Path) -> Result<bool, SourceError> {
        let top = self.git.find_commit(oid(commit)?)?.tree()?;
        Ok(top.get_path(path).is_ok())
    }

    /// The parents of a commit, in their order.
    ///
    /// # Errors
    /// Where git cannot read it.
    pub fn parents(&self, commit: &CommitId) -> Result<Vec<CommitId>, SourceError> {
        let found = self.git.find_commit(oid(commit)?)?;
        Ok(found.parent_ids().map(|id| CommitId(id.to_string())).collect())
    }

    /// A commit and those before it along first parents, the newest first, each with its message:
    /// until one that `until` contains, and no more than `most`.
    ///
    /// # Errors
    /// Where git cannot read one of them.
    pub fn line(
        &self,
        from: &CommitId,
        until: Option<&CommitId>,
        most: usize,
    ) -> Result<Vec<(CommitId, String)>, SourceError> {
        let mut line = Vec::new();
        let mut next = Some(oid(from)?);
        while let Some(id) = next.filter(|_| line.len() < most) {
            let commit = CommitId(id.to_string());
            if until.is_some_and(|until| self.descends(until, &commit).unwrap_or(false)) {
                break;
            }
            let found = self.git.find_commit(id)?;
            line.push((commit, String::from_utf8_lossy(found.message_bytes()).into_owned()));
            next = found.parent_id(0).ok().filter(|parent| self.git.find_commit(*parent).is_ok());
        }
        Ok(line)
    }

    /// The default branch under the name that this clone has for it, such as `origin/main`.
    pub fn default_branch(&self) -> Option<String> {
        let remote = self.git.find_reference("refs/remotes/origin/HEAD").ok();
        let target = remote.and_then(|head| Some(head.symbolic_target().ok()??.to_owned()));
        let short = target.and_then(|name| Some(name.strip_prefix("refs/remotes/")?.to_owned()));
        let usual = ["origin/main", "origin/master", "main", "master"];
        short.into_iter().chain(usual.map(str::to_owned)).find(|name| self.is_branch(name))
    }

    fn missing(&self, rev: &str, error: git2::Error) -> SourceError {
        let rev = rev.to_owned();
        match error.code() {
            _ if !self.is_missing(&error) => error.into(),
            _ if self.git.is_shallow() => SourceError::Shallow { what: format!("`{rev}`") },
            _ if self.has_no_reference() => SourceError::NoCommit,
            _ => SourceError::NoRevision { rev },
        }
    }

    /// Whether nothing was ever committed; a new repository has no branch yet.
    fn has_no_reference(&self) -> bool {
        self.git.references().is_ok_and(|mut all| all.next().is_none())
    }

    /// Whether an error means that something is not there. A commit whose parents a shallow clone
    /// cut off fails as a generic error of the object database.
    fn is_missing(&self, error: &git2::Error) -> bool {
        let cut_off = error.code() == ErrorCode::GenericError && error.class() == ErrorClass::Odb;
        let spelling = matches!(error.code(), ErrorCode::InvalidSpec | ErrorCode::Peel);
        error.code() == ErrorCode::NotFound || spelling || (cut_off && self.git.is_shallow())
    }

    /// The tree at `path` of a commit; none where there is no such folder.
    pub(super) fn tree(
        &self,
        commit: &CommitId,
        path: &str,
    ) -> Result<Option<Tree<'_>>, SourceError> {
        let top = self.git.find_commit(oid(commit)?)?.tree()?;
        if path.is_empty() {
            return Ok(Some(top));
        }
        match top.get_path(Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Tree) => {
                Ok(Some(self.git.find_tree(entry.id())?))
            }
            // A link is not followed; nor may what lies behind it read as removed.
            Ok(_) => Err(SourceError::NoRoot { root: path.to_owned(), commit: commit.clone() }),
            Err(error) if is_no_entry(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The content of one file of a commit; none where there is no such file.
    ///
    /// # Errors
    /// Where git cannot read it.
    pub fn file(&self, commit: &CommitId, path: &str) -> Result<Option<Vec<u8>>, SourceError> {
        let top = self.git.find_commit(oid(commit)?)?.tree()?;
        match top.get_path(Path::new(path)) {
            Ok(entry) if entry.kind() == Some(ObjectType::Blob) => {
                Ok(Some(self.git.find_blob(entry.id())?.content().to_vec()))
            }
            Ok(_) => Ok(None),
            Err(error) if is_no_entry(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The compiled roots of a commit, the likeliest first: those at the top, else those below.
    ///
    /// # Errors
    /// Where git cannot read the commit.
    pub fn roots(&self, commit: &CommitId) -> Result<Vec<String>, SourceError> {
        let top = self.git.find_commit(oid(commit)?)?.tree()?;
        let mut level = vec![(String::new(), top)];
        for _ in 0..ROOT_DEPTH {
            let mut found = Vec::new();
            let mut below = Vec::new();
            for (path, tree) in &level {
                for entry in tree.iter().filter(|it| it.kind() == Some(ObjectType::Tree)) {
                    let Ok(name) = entry.name() else { continue };
                    let path =
                        if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
                    let tree = self.git.find_tree(entry.id())?;
                    let rank = ROOT_NAMES.iter().position(|known| *known == name);
                    match rank.filter(|_| holds_configs(&tree)) {
                        Some(rank) => found.push((rank, path)),
                        None => below.push((path, tree)),
                    }
                }
            }
            if !found.is_empty() {
                found.sort();
                return Ok(found.into_iter().map(|root| root.1).collect());
            }
            level = below;
        }
        Ok(Vec::new())
    }

    /// The files under `root` or at `extra`, if any, that differ between a commit and the work tree.
    ///
    /// # Errors
    /// Where git cannot compare.
    pub fn uncommitted(
        &self,
        commit: &CommitId,
        root: &str,
        extra: Option<&str>,
    ) -> Result<Vec<String>, SourceError> {
        if self.git.workdir().is_none() {
            return Ok(Vec::new());
        }
        let tree = self.git.find_commit(oid(commit)?)?.tree()?;
        let mut options = git2::DiffOptions::new();
        options.include_untracked(true).recurse_untracked_dirs(true).disable_pathspec_match(true);
        options.skip_binary_check(true).pathspec(root);
        if let Some(extra) = extra {
            options.pathspec(extra);
        }
        let diff = self.git.diff_tree_to_workdir_with_index(Some(&tree), Some(&mut options))?;
        let path = |delta: git2::DiffDelta<'_>| {
            delta.new_file().path().map(|path| path.to_string_lossy().into_owned())
        };
        Ok(diff.deltas().filter_map(path).collect())
    }
}

/// Whether a path does not exist, which is another thing than an object that git does not have.
fn is_no_entry(error: &git2::Error) -> bool {
    error.code() == ErrorCode::NotFound && error.class() == ErrorClass::Tree
}

fn holds_configs(tree: &Tree<'_>) -> bool {
    let is_type_dir = |name: &str| ConfigType::of_dir(name).is_some();
    tree.iter()
        .any(|entry| entry.kind() == Some(ObjectType::Tree) && entry.name().is_ok_and(is_type_dir))
}

pub(super) fn oid(commit: &CommitId) -> Result<Oid, git2::Error> {
    Oid::from_str(&commit.0)
}
