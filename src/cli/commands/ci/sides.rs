//! Which two commits stand for a pull request.
//!
//! # Why
//! What will be merged is what must be planned: GitHub's test merge of the pull request with its
//! base branch, compared with that branch. The branch alone, where it lags behind, holds old
//! versions of what others have merged since; against the ledger they would read as undone. It is
//! planned all the same where no merge is at hand, and said.

use super::super::super::failure::Failure;
use crate::model::name::CommitId;
use crate::publish::PullRef;
use crate::source::Repository;
use crate::source::Revision;

/// The commits of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) base: Revision,
    pub(super) head: Revision,
    /// The commit whose policies hold: where the base branch is, as far as the clone knows.
    pub(super) ruled: CommitId,
    /// What people should know of the choice.
    pub(super) note: Option<String>,
}

/// The commits of a pull request: `sha` is the event's.
pub(super) fn of_pull(
    repository: &Repository,
    pull: &PullRef,
    sha: Option<&str>,
) -> Result<Sides, Failure> {
    let test_merge = pull.merge_commit_sha.as_deref().filter(|_| !pull.merged);
    let named = [sha, Some("HEAD"), test_merge];
    let fetched = format!("refs/remotes/pull/{}/merge", pull.number);
    let candidates = named.into_iter().flatten().chain([fetched.as_str(), &pull.head_sha]);
    let found = candidates.filter_map(|rev| repository.revision(rev).ok());
    for candidate in found {
        let parents = repository.parents(&candidate.commit)?;
        let rev = format!("#{}", pull.number);
        let head = Revision { rev, commit: candidate.commit.clone() };
        match parents.as_slice() {
            _ if candidate.commit.0 == pull.head_sha => return branch(repository, pull, head),
            [base, merged] if merged.0 == pull.head_sha => {
                let ruled = tip(repository, pull).map_or_else(|| base.clone(), |tip| tip.commit);
                let base = Revision { rev: pull.base_ref.clone(), commit: base.clone() };
                return Ok(Sides { base, head, ruled, note: None });
            }
            _ => {}
        }
    }
    Err(Failure::new(format!(
        "neither commit {} of pull request #{} nor its merge is in this clone",
        CommitId(pull.head_sha.clone()).short(),
        pull.number
    ))
    .hint("under `with:` of actions/checkout: `fetch-depth: 0`")
    .hint(format!(
        "for events that are not the pull request's own, also `ref: refs/pull/{}/merge`",
        pull.number
    )))
}

/// The branch itself, compared with where it left the base branch.
fn branch(repository: &Repository, pull: &PullRef, head: Revision) -> Result<Sides, Failure> {
    let Some(tip) = tip(repository, pull) else {
        return Err(Failure::new(format!(
            "the base branch `{}` of pull request #{} is not in this clone",
            pull.base_ref, pull.number
        ))
        .hint("under `with:` of actions/checkout: `fetch-depth: 0`"));
    };
    let tip = Revision { rev: pull.base_ref.clone(), ..tip };
    let base = repository.merge_base(&tip, &head)?;
    let behind = (base.commit != tip.commit).then(|| {
        format!(
            "the branch lacks commits of `{}`; planned as it stands, what others changed since may show here as pending: update the branch",
            pull.base_ref
        )
    });
    Ok(Sides { base, head, ruled: tip.commit, note: behind })
}

/// Where the base branch is, as far as the clone knows.
fn tip(repository: &Repository, pull: &PullRef) -> Option<Revision> {
    let remote = format!("refs/remotes/origin/{}", pull.base_ref);
    let local = format!("refs/heads/{}", pull.base_ref);
    let names = [remote.as_str(), &local, &pull.base_sha];
    names.iter().find_map(|rev| repository.revision(rev).ok())
}
