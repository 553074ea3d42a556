//! A pull request as GitHub tells of it, in events and in its API alike.

use serde::Deserialize;
use serde_json::Value;

/// What GitHub shows for somebody who is not there any more.
pub(super) const GHOST: &str = "ghost";

/// A pull request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct PullRef {
    /// Its number in the repository.
    pub number: u64,
    /// Its title.
    pub title: String,
    /// Who opened it.
    pub author: String,
    /// The newest commit of its branch.
    pub head_sha: String,
    /// Its branch.
    pub head_ref: String,
    /// The repository of its branch, `owner/name`; none where a fork is gone.
    pub head_repo: Option<String>,
    /// The commit that its base was at.
    pub base_sha: String,
    /// The branch it is to be merged into.
    pub base_ref: String,
    /// Whether it is a draft.
    pub draft: bool,
    /// Whether it is open.
    pub open: bool,
    /// Whether it was merged.
    pub merged: bool,
    /// The commit that it became, or while it is open the one it would become.
    pub merge_commit_sha: Option<String>,
    /// Whether its branch is not of this repository.
    pub is_fork: bool,
}

impl TryFrom<Value> for PullRef {
    type Error = String;

    /// Reads one as the API gives it; else what it lacks.
    fn try_from(value: Value) -> Result<Self, String> {
        let mut fields = Fields::new(&value);
        let pull = Self::read(&mut fields, "");
        let missing = fields.missing();
        if missing.is_empty() {
            Ok(pull)
        } else {
            Err(format!("a pull request lacks `{}`", missing.join("`, `")))
        }
    }
}

impl PullRef {
    /// Reads the one below a path.
    pub(super) fn read(fields: &mut Fields<'_>, at: &str) -> Self {
        let head_repo = fields.maybe_text(&format!("{at}head.repo.full_name"));
        let ours = fields.text(&format!("{at}base.repo.full_name"));
        // In lists there is no `merged`.
        let merged = fields.flag(&format!("{at}merged"))
            || fields.maybe(&format!("{at}merged_at")).is_some();
        Self {
            number: fields.number(&format!("{at}number")),
            title: fields.text(&format!("{at}title")),
            author: fields.author(at),
            head_sha: fields.text(&format!("{at}head.sha")),
            head_ref: fields.text(&format!("{at}head.ref")),
            is_fork: head_repo.as_deref() != Some(&ours),
            head_repo,
            base_sha: fields.text(&format!("{at}base.sha")),
            base_ref: fields.text(&format!("{at}base.ref")),
            draft: fields.flag(&format!("{at}draft")),
            open: fields.text(&format!("{at}state")) == "open",
            merged,
            merge_commit_sha: fields.maybe_text(&format!("{at}merge_commit_sha")),
        }
    }
}

/// A payload that is read by paths like `pull_request.head.sha`; what is missing is collected.
pub(super) struct Fields<'a> {
    payload: &'a Value,
    missing: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(payload: &'a Value) -> Self {
        Self { payload, missing: Vec::new() }
    }

    /// Every path that was asked for in vain, each once.
    pub(super) fn missing(self) -> Vec<String> {
        self.missing
    }

    /// What is there; null is nothing.
    pub(super) fn maybe(&self, path: &str) -> Option<&'a Value> {
        let found = path.split('.').try_fold(self.payload, |value, name| value.get(name));
        found.filter(|value| !value.is_null())
    }

    pub(super) fn maybe_text(&self, path: &str) -> Option<String> {
        self.maybe(path)?.as_str().map(str::to_owned)
    }

    pub(super) fn text(&mut self, path: &str) -> String {
        let found = self.maybe_text(path);
        self.needed(path, found)
    }

    pub(super) fn number(&mut self, path: &str) -> u64 {
        let found = self.maybe(path).and_then(Value::as_u64);
        self.needed(path, found)
    }

    /// Whether something is said to be so.
    pub(super) fn flag(&self, path: &str) -> bool {
        self.maybe(path).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The login of whoever made what is below a path.
    pub(super) fn author(&mut self, at: &str) -> String {
        match self.maybe(&format!("{at}user")) {
            Some(_) => self.text(&format!("{at}user.login")),
            None => GHOST.to_owned(),
        }
    }

    fn needed<T: Default>(&mut self, path: &str, found: Option<T>) -> T {
        if found.is_none() && !self.missing.iter().any(|it| it == path) {
            self.missing.push(path.to_owned());
        }
        found.unwrap_or_default()
    }
}
