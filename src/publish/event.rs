//! What happened on GitHub, read from an event's payload.
//!
//! # Why
//! A payload has hundreds of fields, a few of which decide what is done. They are taken here, once
//! and whole, so that nobody else looks into a payload. Who asks for an event by name and gets one
//! that is not handled has a mistake in the workflow, which is an error; what GitHub sends along
//! where a workflow names no types is nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pull::Fields;
use super::pull::PullRef;

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Where it happened; only a schedule's payload may not say.
    pub repository: Option<Repository>,
    /// What happened.
    pub what: What,
}

/// The repository that an event is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repository {
    /// `owner/name`.
    pub full_name: String,
    /// The branch that pull requests are merged into unless they say otherwise.
    pub default_branch: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Something about a pull request itself.
    PullRequest {
        /// What.
        action: PullAction,
        /// The pull request as it is now.
        pull: Box<PullRef>,
    },
    /// Somebody said whether a pull request may be merged.
    Review {
        /// What became of the review.
        action: ReviewAction,
        /// The pull request as it is now.
        pull: Box<PullRef>,
    },
    /// A branch or a tag moved.
    Push(Push),
    /// A merge queue asks for checks.
    MergeGroup(MergeGroup),
    /// Somebody ran the workflow by hand.
    Dispatch {
        /// The branch or tag it was run on, as `refs/heads/main`.
        reference: String,
        /// What was filled in, as text.
        inputs: BTreeMap<String, String>,
    },
    /// Somebody wrote a comment.
    CommentCreated(CommentCreated),
    /// The time has come.
    Schedule,
    /// Another workflow has ended.
    WorkflowRun(WorkflowRun),
    /// Nothing that anybody waits for.
    Nothing,
}

/// What was done to a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullAction {
    /// It is new.
    Opened,
    /// Its branch has other commits.
    Synchronize,
    /// It was closed and is open again.
    Reopened,
    /// It got a label.
    Labeled,
    /// It lost a label.
    Unlabeled,
    /// It has another title, text or base.
    Edited,
    /// It is no draft any more.
    ReadyForReview,
    /// It is a draft again.
    ConvertedToDraft,
    /// It is over.
    Closed {
        /// Whether by being merged.
        merged: bool,
    },
}

/// What became of a review.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewAction {
    /// It is new.
    Submitted,
    /// It does not count any more.
    Dismissed,
    /// It says something else.
    Edited,
}

/// A branch or a tag that moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Which, as `refs/heads/main`.
    pub reference: String,
    /// The commit it was at; zeros where it is new.
    pub before: String,
    /// The commit it is at; zeros where it is gone.
    pub after: String,
    /// Whether it is gone.
    pub deleted: bool,
    /// Whether commits were lost by it.
    pub forced: bool,
    /// The branch that is applied.
    pub default_branch: String,
    /// The messages of the commits that came, the oldest first.
    pub messages: Vec<String>,
}

/// What a merge queue wants to merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeGroup {
    /// The commit that the base would be at.
    pub head_sha: String,
    /// The queue's own branch.
    pub head_ref: String,
    /// The commit that the base is at.
    pub base_sha: String,
    /// The branch that is merged into, as `refs/heads/main`.
    pub base_ref: String,
    /// The pull requests that the branch's name tells; the queue names the last one it merges.
    pub pulls: Vec<u64>,
}

/// A comment that somebody wrote on an issue or a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommentCreated {
    /// The number of what it is on.
    pub number: u64,
    /// Whether that is a pull request.
    pub on_pull: bool,
    /// Names the comment.
    pub comment_id: u64,
    /// Who wrote it.
    pub author: String,
    /// What the author is to the repository: `OWNER`, `MEMBER`, `COLLABORATOR`, …
    pub association: String,
    /// The text.
    pub body: String,
}

/// A run of another workflow that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowRun {
    /// Names the run.
    pub id: u64,
    /// The workflow's name; empty where it has none.
    pub name: String,
    /// How it ended: `success`, `failure`, …; empty where GitHub does not say.
    pub conclusion: String,
    /// What had started it.
    pub event: String,
    /// The commit it ran on.
    pub head_sha: String,
    /// The branch it ran on, in its own repository.
    pub head_branch: Option<String>,
    /// The repository of the branch; none where it is gone.
    pub head_repository: Option<String>,
    /// The pull requests that it is of; GitHub names none of a fork.
    pub pulls: Vec<u64>,
}

/// Why an event is not dealt with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// The payload is not that of such an event.
    #[error("the payload of `{event}` lacks `{}`", .fields.join("`, `"))]
    Missing {
        /// The event's name.
        event: String,
        /// Every field that is missing or of another type.
        fields: Vec<String>,
    },
    /// An event that means nothing here.
    #[error("`{event}` is not handled")]
    UnknownEvent {
        /// Its name.
        event: String,
    },
    /// An action that means nothing here.
    #[error("`{action}` of `{event}` is not handled")]
    UnknownAction {
        /// The event's name.
        event: String,
        /// The action.
        action: String,
    },
    /// The event that gives a stranger's commit the repository's secrets.
    #[error(
        "`pull_request_target` is refused: whoever opens a pull request would have their commit \
         read with this repository's secrets and write access"
    )]
    Target,
}

impl EventError {
    /// What to do about it, in one line.
    pub fn next(&self) -> String {
        match self {
            Self::Missing { event, .. } => {
                format!("let GITHUB_EVENT_PATH name the payload that GitHub sent for `{event}`")
            }
            Self::UnknownEvent { .. } => {
                format!("in the workflow, run it on: {}", HANDLED.map(|row| row.0).join(", "))
            }
            Self::UnknownAction { event, action } => {
                format!("in the workflow, strike `{action}` from the `types:` of `{event}`")
            }
            Self::Target => "use `pull_request`; for forks add the second stage, a workflow on \
                             `workflow_run` that plans their commits as data and runs none of them"
                .to_owned(),
        }
    }
}

type Reader = fn(&mut Fields<'_>, &str) -> Option<What>;

/// Every event that is handled and who reads it; none is read of an action that is unknown.
#[rustfmt::skip] // one event, one line
const HANDLED: [(&str, Reader); 8] = [
    ("pull_request", pull_request),
    ("pull_request_review", review),
    ("push", push),
    ("merge_group", merge_group),
    ("workflow_dispatch", dispatch),
    ("issue_comment", comment),
    ("schedule", |_, _| Some(What::Schedule)),
    ("workflow_run", workflow_run),
];

impl Event {
    /// Reads the payload of an event of this name.
    ///
    /// # Errors
    /// Where the event or its action is not handled, or the payload lacks what every such event
    /// has.
    pub fn read(name: &str, payload: &Value) -> Result<Self, EventError> {
        let event = name.to_owned();
        if name == "pull_request_target" {
            return Err(EventError::Target);
        }
        let Some((_, reader)) = HANDLED.iter().find(|row| row.0 == name) else {
            return Err(EventError::UnknownEvent { event });
        };
        let mut fields = Fields::new(payload);
        let silent = name == "schedule" && fields.maybe("repository").is_none();
        let repository = (!silent).then(|| Repository {
            full_name: fields.text("repository.full_name"),
            default_branch: fields.text("repository.default_branch"),
        });
        let action = fields.maybe("action").and_then(Value::as_str).unwrap_or_default().to_owned();
        let what = reader(&mut fields, &action);
        match (what, fields.missing()) {
            (Some(what), missing) if missing.is_empty() => Ok(Self { repository, what }),
            (None, _) if !action.is_empty() => Err(EventError::UnknownAction { event, action }),
            (None, _) => Err(EventError::Missing { event, fields: vec!["action".to_owned()] }),
            (Some(_), fields) => Err(EventError::Missing { event, fields }),
        }
    }

    /// Whether the branch that is applied moved to a commit.
    pub fn is_push_to_default(&self) -> bool {
        matches!(&self.what, What::Push(push) if !push.deleted
            && push.reference.strip_prefix("refs/heads/") == Some(&push.default_branch))
    }
}

#[rustfmt::skip] // one action, one line
const PULL_ACTIONS: [(&str, PullAction); 8] = [
    ("opened", PullAction::Opened),
    ("synchronize", PullAction::Synchronize),
    ("reopened", PullAction::Reopened),
    ("labeled", PullAction::Labeled),
    ("unlabeled", PullAction::Unlabeled),
    ("edited", PullAction::Edited),
    ("ready_for_review", PullAction::ReadyForReview),
    ("converted_to_draft", PullAction::ConvertedToDraft),
];

#[rustfmt::skip] // one action, one line
const REVIEW_ACTIONS: [(&str, ReviewAction); 3] = [
    ("submitted", ReviewAction::Submitted),
    ("dismissed", ReviewAction::Dismissed),
    ("edited", ReviewAction::Edited),
];

fn known<T: Copy>(table: &[(&str, T)], action: &str) -> Option<T> {
    table.iter().find(|row| row.0 == action).map(|row| row.1)
}

fn pull_request(fields: &mut Fields<'_>, action: &str) -> Option<What> {
    let pull = Box::new(PullRef::read(fields, "pull_request."));
    let action = match action {
        "closed" => Some(PullAction::Closed { merged: pull.merged }),
        action => known(&PULL_ACTIONS, action),
    };
    Some(What::PullRequest { action: action?, pull })
}

fn review(fields: &mut Fields<'_>, action: &str) -> Option<What> {
    let pull = Box::new(PullRef::read(fields, "pull_request."));
    Some(What::Review { action: known(&REVIEW_ACTIONS, action)?, pull })
}

fn push(fields: &mut Fields<'_>, _: &str) -> Option<What> {
    let commits = fields.maybe("commits").and_then(Value::as_array);
    let message = |commit: &Value| commit["message"].as_str().map(str::to_owned);
    Some(What::Push(Push {
        reference: fields.text("ref"),
        before: fields.text("before"),
        after: fields.text("after"),
        deleted: fields.flag("deleted"),
        forced: fields.flag("forced"),
        // Its lack is told with the repository.
        default_branch: fields.maybe_text("repository.default_branch").unwrap_or_default(),
        messages: commits.into_iter().flatten().filter_map(message).collect(),
    }))
}

fn merge_group(fields: &mut Fields<'_>, action: &str) -> Option<What> {
    match action {
        "destroyed" => return Some(What::Nothing),
        "checks_requested" => {}
        _ => return None,
    }
    let head_ref = fields.text("merge_group.head_ref");
    Some(What::MergeGroup(MergeGroup {
        head_sha: fields.text("merge_group.head_sha"),
        base_sha: fields.text("merge_group.base_sha"),
        base_ref: fields.text("merge_group.base_ref"),
        pulls: queued(&head_ref),
        head_ref,
    }))
}

/// The pull requests that a queue's branch names: `gh-readonly-queue/main/pr-104-<commit>`.
fn queued(reference: &str) -> Vec<u64> {
    let Some((_, rest)) = reference.split_once("gh-readonly-queue/") else { return Vec::new() };
    let last = rest.rsplit('/').next().unwrap_or_default();
    let number = last.strip_prefix("pr-").and_then(|it| it.split('-').next());
    number.and_then(|it| it.parse().ok()).into_iter().collect()
}

fn dispatch(fields: &mut Fields<'_>, _: &str) -> Option<What> {
    let mut inputs = BTreeMap::new();
    for (name, value) in fields.maybe("inputs").and_then(Value::as_object).into_iter().flatten() {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => fields.text(&format!("inputs.{name}")),
        };
        inputs.insert(name.clone(), text);
    }
    Some(What::Dispatch { reference: fields.text("ref"), inputs })
}

fn comment(fields: &mut Fields<'_>, action: &str) -> Option<What> {
    match action {
        "edited" | "deleted" => return Some(What::Nothing),
        "created" => {}
        _ => return None,
    }
    Some(What::CommentCreated(CommentCreated {
        number: fields.number("issue.number"),
        on_pull: fields.maybe("issue.pull_request").is_some(),
        comment_id: fields.number("comment.id"),
        author: fields.author("comment."),
        association: fields.text("comment.author_association"),
        body: fields.text("comment.body"),
    }))
}

fn workflow_run(fields: &mut Fields<'_>, action: &str) -> Option<What> {
    match action {
        "requested" | "in_progress" => return Some(What::Nothing),
        "completed" => {}
        _ => return None,
    }
    let pulls = fields.maybe("workflow_run.pull_requests").and_then(Value::as_array);
    Some(What::WorkflowRun(WorkflowRun {
        id: fields.number("workflow_run.id"),
        name: fields.maybe_text("workflow_run.name").unwrap_or_default(),
        conclusion: fields.maybe_text("workflow_run.conclusion").unwrap_or_default(),
        event: fields.text("workflow_run.event"),
        head_sha: fields.text("workflow_run.head_sha"),
        head_branch: fields.maybe_text("workflow_run.head_branch"),
        head_repository: fields.maybe_text("workflow_run.head_repository.full_name"),
        pulls: pulls.into_iter().flatten().filter_map(|it| it["number"].as_u64()).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn repository() -> Value {
        json!({"full_name": "acme/features", "default_branch": "main"})
    }

    fn pull() -> Value {
        json!({
            "number": 7, "title": "Longer window", "state": "open", "draft": false,
            "user": {"login": "ada"}, "merged": false, "merge_commit_sha": "c3",
            "head": {"sha": "a1", "ref": "longer", "repo": {"full_name": "acme/features"}},
            "base": {"sha": "b2", "ref": "main", "repo": {"full_name": "acme/features"}}
        })
    }

    fn with(mut value: Value, more: &[(&str, Value)]) -> Value {
        for (at, new) in more {
            *value.pointer_mut(at).unwrap() = new.clone();
        }
        value
    }

    /// A payload of an action, with the fields of one event.
    fn payload(action: &str, name: &str, fields: &Value) -> Value {
        json!({"action": action, "repository": repository(), name: fields})
    }

    fn what(name: &str, payload: &Value) -> What {
        Event::read(name, payload).unwrap().what
    }

    fn pull_of(payload: &Value) -> PullRef {
        let What::PullRequest { pull, .. } = what("pull_request", payload) else { unreachable!() };
        *pull
    }

    #[test]
    fn a_pull_request_is_read_with_every_action() {
        let event = Event::read("pull_request", &payload("opened", "pull_request", &pull()));
        let expected = PullRef {
            number: 7,
            title: "Longer window".to_owned(),
            author: "ada".to_owned(),
            head_sha: "a1".to_owned(),
            head_ref: "longer".to_owned(),
            head_repo: Some("acme/features".to_owned()),
            base_sha: "b2".to_owned(),
            base_ref: "main".to_owned(),
            draft: false,
            open: true,
            merged: false,
            merge_commit_sha: Some("c3".to_owned()),
            is_fork: false,
        };
        let event = event.unwrap();
        assert_eq!(event.repository.unwrap().default_branch, "main");
        let expected = Box::new(expected);
        assert_eq!(event.what, What::PullRequest { action: PullAction::Opened, pull: expected });
        for (name, expected) in PULL_ACTIONS {
            let read = what("pull_request", &payload(name, "pull_request", &pull()));
            assert!(matches!(read, What::PullRequest { action, .. } if action == expected));
        }
        for merged in [false, true] {
            let pull = with(pull(), &[("/merged", merged.into()), ("/state", "closed".into())]);
            let read = what("pull_request", &payload("closed", "pull_request", &pull));
            let What::PullRequest { action, pull } = read else { unreachable!() };
            assert_eq!(action, PullAction::Closed { merged });
            assert_eq!((pull.merged, pull.open), (merged, false));
        }
    }

    #[test]
    fn a_fork_is_one_also_where_it_is_gone() {
        let stranger = json!({"full_name": "eve/features"});
        for (repo, expected) in [(stranger, Some("eve/features")), (Value::Null, None)] {
            let pull = with(pull(), &[("/head/repo", repo), ("/user", Value::Null)]);
            let read = pull_of(&payload("opened", "pull_request", &pull));
            assert_eq!((read.head_repo.as_deref(), read.is_fork), (expected, true));
            assert_eq!(read.author, "ghost");
        }
    }

    #[test]
    fn a_pull_request_of_a_list_is_merged_when_it_says_when() {
        let mut value = pull();
        value.as_object_mut().unwrap().remove("merged");
        assert!(!PullRef::try_from(value.clone()).unwrap().merged);
        value["merged_at"] = "2026-03-01T10:00:00Z".into();
        assert!(PullRef::try_from(value.clone()).unwrap().merged);
        value["head"] = json!({"sha": "a1"});
        let error = PullRef::try_from(value).unwrap_err();
        assert_eq!(error, "a pull request lacks `head.ref`");
    }

    #[test]
    fn reviews_pushes_and_queues_are_read() {
        for (name, expected) in REVIEW_ACTIONS {
            let read = what("pull_request_review", &payload(name, "pull_request", &pull()));
            assert!(matches!(read, What::Review { action, .. } if action == expected));
        }
        let push = json!({
            "repository": repository(), "ref": "refs/heads/main", "before": "a", "after": "b",
            "deleted": false, "forced": true, "commits": [{"message": "One (#1)"}, {"message": "Two"}]
        });
        let event = Event::read("push", &push).unwrap();
        assert!(event.is_push_to_default());
        let What::Push(read) = event.what else { unreachable!() };
        assert_eq!((read.forced, read.deleted), (true, false));
        assert_eq!(read.messages, ["One (#1)", "Two"]);
        for (at, value) in [("/ref", json!("refs/tags/main")), ("/deleted", json!(true))] {
            let push = with(push.clone(), &[(at, value)]);
            assert!(!Event::read("push", &push).unwrap().is_push_to_default());
        }
        let group = json!({
            "head_sha": "a", "base_sha": "b", "base_ref": "refs/heads/release/1",
            "head_ref": "refs/heads/gh-readonly-queue/release/1/pr-104-2f1e"
        });
        let read = what("merge_group", &payload("checks_requested", "merge_group", &group));
        assert!(matches!(read, What::MergeGroup(group) if group.pulls == [104]));
        assert_eq!(queued("refs/heads/pr-104-2f1e"), [0; 0]);
        assert_eq!(queued("refs/heads/gh-readonly-queue/main/other"), [0; 0]);
    }

    #[test]
    fn what_is_filled_in_by_hand_is_text() {
        let inputs =
            json!({"command": "apply", "allow-older": true, "pull-request": 7, "env": null});
        let mut dispatch =
            json!({"repository": repository(), "ref": "refs/heads/main", "inputs": inputs});
        let What::Dispatch { reference, inputs } = what("workflow_dispatch", &dispatch) else {
            unreachable!()
        };
        assert_eq!(reference, "refs/heads/main");
        let inputs: Vec<_> = inputs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(inputs, [("allow-older", "true"), ("command", "apply"), ("pull-request", "7")]);
        dispatch["inputs"]["env"] = json!(["prod"]);
        let error = Event::read("workflow_dispatch", &dispatch).unwrap_err();
        assert_eq!(error.to_string(), "the payload of `workflow_dispatch` lacks `inputs.env`");
        dispatch["inputs"] = Value::Null;
        assert!(matches!(what("workflow_dispatch", &dispatch),
            What::Dispatch { inputs, .. } if inputs.is_empty()));
    }

    #[test]
    fn comments_schedules_and_runs_are_read() {
        let mut value = payload("created", "issue", &json!({"number": 7, "pull_request": {}}));
        value["comment"] = json!({
            "id": 9, "body": "/chronon-plan plan", "author_association": "MEMBER",
            "user": {"login": "ada"}
        });
        let What::CommentCreated(read) = what("issue_comment", &value) else { unreachable!() };
        assert_eq!((read.number, read.on_pull, read.comment_id), (7, true, 9));
        assert_eq!((read.author.as_str(), read.association.as_str()), ("ada", "MEMBER"));
        value["issue"] = json!({"number": 7});
        assert!(matches!(what("issue_comment", &value), What::CommentCreated(it) if !it.on_pull));

        let bare = Event::read("schedule", &json!({"schedule": "0 6 * * *"})).unwrap();
        assert_eq!(bare, Event { repository: None, what: What::Schedule });
        let full = Event::read("schedule", &json!({"repository": repository()})).unwrap();
        assert_eq!(full.repository.unwrap().full_name, "acme/features");

        let run = json!({
            "id": 5, "name": "plan", "conclusion": "success", "event": "pull_request",
            "head_sha": "a", "head_branch": "longer", "head_repository": {"full_name": "eve/f"},
            "pull_requests": [{"number": 7}]
        });
        let read = what("workflow_run", &payload("completed", "workflow_run", &run));
        let What::WorkflowRun(read) = read else { unreachable!() };
        assert_eq!((read.id, read.pulls.as_slice()), (5, &[7][..]));
        assert_eq!(read.head_repository.as_deref(), Some("eve/f"));
    }

    #[test]
    fn what_comes_along_uncalled_is_nothing() {
        for (name, action) in [
            ("issue_comment", "edited"),
            ("issue_comment", "deleted"),
            ("merge_group", "destroyed"),
            ("workflow_run", "requested"),
            ("workflow_run", "in_progress"),
        ] {
            assert_eq!(what(name, &payload(action, "x", &Value::Null)), What::Nothing, "{name}");
        }
    }

    #[test]
    fn what_is_not_handled_says_so_and_what_to_do() {
        let unknown = Event::read("release", &json!({})).unwrap_err();
        assert_eq!(unknown.to_string(), "`release` is not handled");
        assert!(unknown.next().contains("pull_request, pull_request_review, push"));
        let read = |action| payload(action, "pull_request", &pull());
        let action = Event::read("pull_request", &read("assigned")).unwrap_err();
        assert_eq!(action.to_string(), "`assigned` of `pull_request` is not handled");
        assert!(action.next().contains("strike `assigned` from the `types:`"));
        let target = Event::read("pull_request_target", &read("opened")).unwrap_err();
        assert_eq!(target, EventError::Target);
        assert!(target.next().contains("`pull_request`") && target.next().contains("workflow_run"));
    }

    #[test]
    fn everything_that_is_missing_is_named_at_once() {
        let broken = with(pull(), &[("/head/sha", Value::Null), ("/number", "7".into())]);
        let mut value = payload("opened", "pull_request", &broken);
        value["repository"] = json!({"full_name": "acme/features"});
        let error = Event::read("pull_request", &value).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the payload of `pull_request` lacks `repository.default_branch`, \
             `pull_request.number`, `pull_request.head.sha`"
        );
        assert!(error.next().contains("GITHUB_EVENT_PATH"));
        let silent = Event::read("pull_request", &json!({"repository": repository()})).unwrap_err();
        assert!(silent.to_string().ends_with("lacks `action`"), "{silent}");
        for payload in [json!(null), json!([]), json!("text"), json!({"pull_request": 5})] {
            for (name, _) in HANDLED.iter().filter(|row| row.0 != "schedule") {
                assert!(Event::read(name, &payload).is_err(), "{name} {payload}");
            }
        }
    }
}
