//! The things that lie in the tests' GitHub: what a test puts there, and what it finds.

use jiff::Timestamp;
use serde_json::Value;

use super::REPOSITORY;
use super::reply::digest;

/// A pull request.
#[derive(Clone, Debug)]
pub(crate) struct Pull {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) author: String,
    pub(super) branch: String,
    /// The repository of its head.
    pub(super) from: String,
    pub(super) base: String,
    pub(super) base_sha: String,
    /// Every head that it has had; the last one is the head.
    pub(super) heads: Vec<String>,
    pub(super) draft: bool,
    pub(super) files: Vec<File>,
    pub(super) labels: Vec<String>,
    pub(super) reviews: Vec<Review>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) closed: Option<Timestamp>,
    pub(super) merged: Option<Merged>,
}

#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) sha: String,
    pub(super) by: String,
    pub(super) at: Timestamp,
}

#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) status: String,
    pub(super) previous: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Review {
    pub(super) id: u64,
    pub(super) login: String,
    pub(super) state: String,
    pub(super) commit: String,
    pub(super) at: Timestamp,
}

impl Pull {
    /// An open pull request of a branch of the repository itself onto `main`.
    pub(crate) fn new(number: u64, head: &str) -> Self {
        let now = Timestamp::now();
        Self {
            number,
            title: format!("Change {number}"),
            author: "ana".to_owned(),
            branch: format!("change-{number}"),
            from: REPOSITORY.to_owned(),
            base: "main".to_owned(),
            base_sha: digest("where main began", 20),
            heads: vec![head.to_owned()],
            draft: false,
            files: Vec::new(),
            labels: Vec::new(),
            reviews: Vec::new(),
            created: now,
            updated: now,
            closed: None,
            merged: None,
        }
    }

    pub(crate) fn title(mut self, title: &str) -> Self {
        title.clone_into(&mut self.title);
        self
    }

    pub(crate) fn author(mut self, login: &str) -> Self {
        login.clone_into(&mut self.author);
        self
    }

    pub(crate) fn branch(mut self, name: &str) -> Self {
        name.clone_into(&mut self.branch);
        self
    }

    /// Its head lies in this fork, `OWNER/NAME`.
    pub(crate) fn fork(mut self, from: &str) -> Self {
        from.clone_into(&mut self.from);
        self
    }

    /// The branch that it goes to, and where that stands.
    pub(crate) fn onto(mut self, branch: &str, sha: &str) -> Self {
        branch.clone_into(&mut self.base);
        sha.clone_into(&mut self.base_sha);
        self
    }

    pub(crate) fn draft(mut self) -> Self {
        self.draft = true;
        self
    }

    /// A file that it touches: `added`, `modified` or `removed`.
    pub(crate) fn file(mut self, path: &str, status: &str) -> Self {
        let (path, status) = (path.to_owned(), status.to_owned());
        self.files.push(File { path, status, previous: None });
        self
    }

    /// A file that it moves.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        let previous = Some(from.to_owned());
        self.files.push(File { path: to.to_owned(), status: "renamed".to_owned(), previous });
        self
    }

    pub(super) fn head(&self) -> &str {
        self.heads.last().map_or("", String::as_str)
    }

    /// The commit that it made, or that merging it would make.
    pub(super) fn merge_commit(&self) -> String {
        let test = || digest(&format!("merging {} into {}", self.head(), self.base_sha), 20);
        self.merged.as_ref().map_or_else(test, |it| it.sha.clone())
    }
}

/// A comment, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    /// How often it was edited, by whomever, whether that changed it or not.
    pub(crate) edits: usize,
    /// Who has reacted how.
    pub(crate) reactions: Vec<(String, String)>,
    pub(super) pull: u64,
    /// The app that wrote it.
    pub(super) app: Option<App>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// An app that writes checks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) id: u64,
    pub(crate) slug: String,
}

impl App {
    pub(crate) fn new(id: u64, slug: &str) -> Self {
        Self { id, slug: slug.to_owned() }
    }

    /// The app whose token a workflow gets.
    pub(crate) fn actions() -> Self {
        Self::new(15368, "github-actions")
    }
}

/// A check run, as it is now.
#[derive(Clone, Debug)]
pub(crate) struct Check {
    pub(crate) id: u64,
    pub(crate) app: App,
    pub(crate) name: String,
    pub(crate) sha: String,
    pub(crate) status: String,
    pub(crate) conclusion: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) details_url: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) summary: Option<String>,
    pub(crate) text: Option<String>,
    /// As they were sent, those of all requests.
    pub(crate) annotations: Vec<Value>,
    /// How often it was updated.
    pub(crate) updates: usize,
    pub(super) started: Timestamp,
    pub(super) completed: Option<Timestamp>,
}

impl Check {
    /// A check that was only begun.
    pub(crate) fn new(app: App, sha: &str, name: &str) -> Self {
        Self {
            id: 0,
            app,
            name: name.to_owned(),
            sha: sha.to_owned(),
            status: "queued".to_owned(),
            conclusion: None,
            external_id: None,
            details_url: None,
            title: None,
            summary: None,
            text: None,
            annotations: Vec::new(),
            updates: 0,
            started: Timestamp::now(),
            completed: None,
        }
    }

    /// It has ended, and says so much.
    pub(crate) fn concluded(mut self, conclusion: &str, external_id: &str, text: &str) -> Self {
        "completed".clone_into(&mut self.status);
        self.conclusion = Some(conclusion.to_owned());
        self.external_id = Some(external_id.to_owned());
        self.text = Some(text.to_owned());
        self.completed = Some(Timestamp::now());
        self
    }
}

/// A commit status.
#[derive(Clone, Debug)]
pub(crate) struct Status {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) context: String,
    pub(crate) state: String,
    pub(crate) description: Option<String>,
    pub(crate) target_url: Option<String>,
    pub(crate) creator: String,
    pub(super) at: Timestamp,
}

/// A run of a workflow.
#[derive(Clone, Debug)]
pub(crate) struct WorkflowRun {
    pub(super) id: u64,
    pub(super) sha: String,
    pub(super) event: String,
    pub(super) status: String,
    pub(super) conclusion: Option<String>,
    pub(super) attempt: u64,
    pub(super) at: Timestamp,
}

impl WorkflowRun {
    /// A first attempt that is `in_progress`, `queued`, …
    pub(crate) fn new(id: u64, sha: &str, event: &str, status: &str) -> Self {
        Self {
            id,
            sha: sha.to_owned(),
            event: event.to_owned(),
            status: status.to_owned(),
            conclusion: None,
            attempt: 1,
            at: Timestamp::now(),
        }
    }

    /// It has ended.
    pub(crate) fn concluded(mut self, conclusion: &str) -> Self {
        "completed".clone_into(&mut self.status);
        self.conclusion = Some(conclusion.to_owned());
        self
    }

    pub(crate) fn attempt(mut self, attempt: u64) -> Self {
        self.attempt = attempt;
        self
    }
}
