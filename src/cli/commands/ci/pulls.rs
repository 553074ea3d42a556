//! Finding pull requests: that of a commit, and others that are open.

use std::cell::OnceCell;
use std::cell::RefCell;
use std::collections::BTreeMap;

use super::desk::Desk;
use super::overlap::Other;
use crate::model::name::CommitId;
use crate::publish::PullRef;
use crate::source::Repository;

/// How many other open pull requests are looked into.
const OTHERS: usize = 15;

/// How many files of one.
const FILES: usize = 100;

/// How many closed pull requests are looked through for a commit.
const CLOSED: usize = 100;

/// Finds the pull requests that commits of a branch came with.
pub(super) struct Finder<'a> {
    desk: &'a Desk<'a>,
    repository: &'a Repository,
    branch: &'a str,
    closed: OnceCell<Vec<PullRef>>,
    /// What was found of commits: every env asks for the same.
    found: RefCell<BTreeMap<CommitId, Option<PullRef>>>,
}

impl<'a> Finder<'a> {
    /// One for a branch.
    pub(super) fn of(desk: &'a Desk<'a>, repository: &'a Repository, branch: &'a str) -> Self {
        Self { desk, repository, branch, closed: OnceCell::new(), found: RefCell::default() }
    }

    /// The pull request that a commit of the branch came with, by what GitHub says of the commit,
    /// by what the commit says itself, and by what closed pull requests say. None of the three is
    /// sure to know.
    pub(super) fn of_commit(&self, commit: &CommitId, message: &str) -> Option<PullRef> {
        if let Some(found) = self.found.borrow().get(commit) {
            return found.clone();
        }
        let found = self.look_for(commit, message);
        self.found.borrow_mut().insert(commit.clone(), found.clone());
        found
    }

    fn look_for(&self, commit: &CommitId, message: &str) -> Option<PullRef> {
        let fits = |pull: &PullRef| pull.merged && pull.base_ref == self.branch;
        let what = "the pull request of a commit is not known";
        let said = self.desk.ask_list(what, |github| github.pulls_of_commit(&commit.0));
        let by_commit = said.into_iter().find(fits);
        let by_message = || {
            let pull = self.numbered(number_in(message)?)?;
            (fits(&pull) && self.brought(&pull, commit)).then_some(pull)
        };
        let by_closed = || {
            let brought = |pull: &&PullRef| pull.merge_commit_sha.as_ref() == Some(&commit.0);
            self.closed().iter().filter(|it| fits(it)).find(brought).cloned()
        };
        by_commit.or_else(by_message).or_else(by_closed)
    }

    /// The pull request that a commit of a merge queue says it is of; it is not merged yet.
    pub(super) fn of_queued(&self, message: &str) -> Option<PullRef> {
        self.numbered(number_in(message)?)
    }

    /// A pull request by its number.
    pub(super) fn numbered(&self, number: u64) -> Option<PullRef> {
        self.desk.ask("the pull request cannot be read", |github| github.pull(number))
    }

    /// Whether a commit is what a pull request became: GitHub says so. Where the commit that it
    /// names is unknown here, one that merges the branch is. Whoever merges a branch once more by
    /// hand brings what nobody has reviewed again.
    fn brought(&self, pull: &PullRef, commit: &CommitId) -> bool {
        let parents = || self.repository.parents(commit).unwrap_or_default();
        let merges = || parents().iter().skip(1).any(|it| it.0 == pull.head_sha);
        match &pull.merge_commit_sha {
            Some(named) if self.repository.has(named) => *named == commit.0,
            _ => merges(),
        }
    }

    fn closed(&self) -> &[PullRef] {
        self.closed.get_or_init(|| {
            let found = self.desk.ask("closed pull requests cannot be listed", |github| {
                github.recently_closed_pulls(self.branch, CLOSED)
            });
            found.map(|it| it.items).unwrap_or_default()
        })
    }
}

/// The number of the pull request that a commit's message names, as GitHub writes it for merges
/// and for squashed commits.
fn number_in(message: &str) -> Option<u64> {
    let first = message.lines().next()?.trim_end();
    if let Some(rest) = first.strip_prefix("Merge pull request #") {
        return rest.split_whitespace().next()?.parse().ok();
    }
    first.strip_suffix(')')?.rsplit_once("(#")?.1.parse().ok()
}

/// Other open pull requests to the same branch, each with the files that it changes.
pub(super) fn others(desk: &Desk<'_>, pull: &PullRef) -> Vec<Other> {
    let what = "other pull requests cannot be seen";
    let Some(open) = desk.ask(what, |github| github.open_pulls(&pull.base_ref, OTHERS)) else {
        return Vec::new();
    };
    if open.more {
        desk.note(&format!("only the {OTHERS} newest of the open pull requests were looked into"));
    }
    let mut others = BTreeMap::new();
    for other in open.items.into_iter().filter(|it| it.number != pull.number) {
        let files = desk.ask(what, |github| github.files(other.number, FILES));
        let Some(files) = files else { break };
        let names = files
            .items
            .into_iter()
            .flat_map(|it| it.previous_filename.into_iter().chain([it.filename]));
        let PullRef { number, title, .. } = other;
        others.insert(number, Other { number, title, files: names.collect() });
    }
    others.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_their_pull_request_as_github_writes_it() {
        assert_eq!(number_in("Merge pull request #12 from a/b\n\nTitle (#7)"), Some(12));
        assert_eq!(number_in("Fewer plays (#7)\n\n* one (#8)"), Some(7));
        assert_eq!(number_in("Revert \"x (#3)\" (#9)"), Some(9));
        assert_eq!(number_in("plain"), None);
        assert_eq!(number_in("not (#7) at the end"), None);
    }
}
