//! What GitHub keeps, as far as anybody here looks at it, and what it is given to keep.

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use super::pull::GHOST;

/// Somebody, as objects name them; nobody where the account is gone.
#[derive(Deserialize)]
struct User {
    login: String,
    #[serde(default, rename = "type")]
    kind: String,
}

fn login(user: Option<&User>) -> String {
    user.map_or_else(|| GHOST.to_owned(), |user| user.login.clone())
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawComment")]
pub struct Comment {
    /// Names it; a later one has a greater one.
    pub id: u64,
    /// The text.
    pub body: String,
    /// Who wrote it.
    pub author: String,
    /// Whether that is no person.
    pub is_bot: bool,
    /// Where a person finds it.
    pub html_url: String,
}

#[derive(Deserialize)]
struct RawComment {
    id: u64,
    body: Option<String>,
    user: Option<User>,
    html_url: String,
}

impl From<RawComment> for Comment {
    fn from(raw: RawComment) -> Self {
        Self {
            id: raw.id,
            body: raw.body.unwrap_or_default(),
            author: login(raw.user.as_ref()),
            is_bot: raw.user.is_some_and(|user| user.kind == "Bot"),
            html_url: raw.html_url,
        }
    }
}

/// A check run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawCheck")]
pub struct Check {
    /// Names it; a later one has a greater one.
    pub id: u64,
    /// What it is called on the pull request.
    pub name: String,
    /// `queued`, `in_progress`, `completed`, or what GitHub adds to these.
    pub status: String,
    /// How it ended, where it did.
    pub conclusion: Option<String>,
    /// What whoever made it calls it; empty where they do not.
    pub external_id: String,
    /// The commit it is of.
    pub head_sha: String,
    /// The app that made it.
    pub app_id: Option<u64>,
    /// The app's short name.
    pub app_slug: Option<String>,
    /// The text below the summary; empty where there is none.
    pub text: String,
    /// Where the details are.
    pub details_url: Option<String>,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub completed_at: Option<String>,
}

#[derive(Deserialize)]
struct RawCheck {
    id: u64,
    name: String,
    status: String,
    conclusion: Option<String>,
    external_id: Option<String>,
    head_sha: String,
    app: Option<RawApp>,
    output: Option<RawOutput>,
    details_url: Option<String>,
    started_at: Option<String>,
    completed_at: Option<String>,
}

#[derive(Deserialize)]
struct RawApp {
    id: u64,
    slug: Option<String>,
}

#[derive(Deserialize)]
struct RawOutput {
    text: Option<String>,
}

impl From<RawCheck> for Check {
    fn from(raw: RawCheck) -> Self {
        Self {
            id: raw.id,
            name: raw.name,
            status: raw.status,
            conclusion: raw.conclusion,
            external_id: raw.external_id.unwrap_or_default(),
            head_sha: raw.head_sha,
            app_id: raw.app.as_ref().map(|app| app.id),
            app_slug: raw.app.and_then(|app| app.slug),
            text: raw.output.and_then(|output| output.text).unwrap_or_default(),
            details_url: raw.details_url,
            started_at: raw.started_at,
            completed_at: raw.completed_at,
        }
    }
}

/// How far a check is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckState {
    /// Nothing has begun.
    Queued,
    /// It is going on.
    InProgress,
    /// It has ended.
    Completed(Conclusion),
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// All is well.
    Success,
    /// Something is not.
    Failure,
    /// There is something to look at, and nothing is held up.
    Neutral,
    /// It was stopped.
    Cancelled,
    /// There was nothing to do.
    Skipped,
    /// It took too long.
    TimedOut,
    /// Somebody must do something.
    ActionRequired,
}

impl Conclusion {
    /// As GitHub spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Neutral => "neutral",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::TimedOut => "timed_out",
            Self::ActionRequired => "action_required",
        }
    }
}

/// A check run to be kept. Texts are at most 65535 bytes long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCheck {
    /// What it is called on the pull request.
    pub name: String,
    /// The commit it is of; never another once it is made.
    pub head_sha: String,
    /// How far it is.
    pub state: CheckState,
    /// What it is called by who makes it.
    pub external_id: String,
    /// Where the details are.
    pub details_url: Option<String>,
    /// One line.
    pub title: String,
    /// What is read first.
    pub summary: String,
    /// All the rest; where it is empty, an update leaves what is there.
    pub text: String,
    /// What is said of lines of files.
    pub annotations: Vec<Annotation>,
}

impl NewCheck {
    /// What GitHub is sent, but for the commit and the annotations.
    pub(super) fn body(&self) -> Value {
        let (status, conclusion) = match self.state {
            CheckState::Queued => ("queued", None),
            CheckState::InProgress => ("in_progress", None),
            CheckState::Completed(conclusion) => ("completed", Some(conclusion.name())),
        };
        let mut body = json!({
            "name": self.name,
            "status": status,
            "output": self.output(&[]),
        });
        // GitHub takes neither null nor an empty text for these.
        if !self.external_id.is_empty() {
            body["external_id"] = self.external_id.as_str().into();
        }
        if let Some(conclusion) = conclusion {
            body["conclusion"] = conclusion.into();
        }
        if let Some(url) = &self.details_url {
            body["details_url"] = url.as_str().into();
        }
        body
    }

    /// The texts, with some of the annotations: each call of this adds to those that are there.
    pub(super) fn output(&self, annotations: &[Annotation]) -> Value {
        let mut output = json!({"title": cut(&self.title), "summary": self.summary});
        if !self.text.is_empty() {
            output["text"] = self.text.as_str().into();
        }
        if !annotations.is_empty() {
            output["annotations"] = annotations.iter().map(Annotation::body).collect();
        }
        output
    }
}

/// How many characters the title of a check or an annotation may have.
const TITLE: usize = 255;

/// A title that GitHub takes: a check whose end is refused would stay open for ever.
fn cut(title: &str) -> String {
    match title.char_indices().nth(TITLE - 1) {
        Some((at, _)) if title.chars().count() > TITLE => format!("{}…", &title[..at]),
        _ => title.to_owned(),
    }
}

/// Something that is said of lines of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The file, from the repository's top.
    pub path: String,
    /// The first line, from 1.
    pub start_line: u64,
    /// The last line.
    pub end_line: u64,
    /// How bad it is.
    pub level: Level,
    /// One line.
    pub title: String,
    /// The text.
    pub message: String,
}

/// How bad it is what an annotation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// It is worth knowing.
    Notice,
    /// It is worth looking at.
    Warning,
    /// It is wrong.
    Failure,
}

impl Annotation {
    fn body(&self) -> Value {
        let level = match self.level {
            Level::Notice => "notice",
            Level::Warning => "warning",
            Level::Failure => "failure",
        };
        json!({
            "path": self.path,
            "start_line": self.start_line,
            "end_line": self.end_line,
            "annotation_level": level,
            "title": cut(&self.title),
            "message": self.message,
        })
    }
}

/// The status of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawStatus")]
pub struct Status {
    /// What it is called.
    pub context: String,
    /// `error`, `failure`, `pending` or `success`.
    pub state: String,
    /// One line; empty where there is none.
    pub description: String,
    /// Where the details are.
    pub target_url: Option<String>,
    /// Who made it.
    pub author: String,
    /// When.
    pub created_at: String,
}

#[derive(Deserialize)]
struct RawStatus {
    context: String,
    state: String,
    description: Option<String>,
    target_url: Option<String>,
    creator: Option<User>,
    created_at: String,
}

impl From<RawStatus> for Status {
    fn from(raw: RawStatus) -> Self {
        Self {
            context: raw.context,
            state: raw.state,
            description: raw.description.unwrap_or_default(),
            target_url: raw.target_url,
            author: login(raw.creator.as_ref()),
            created_at: raw.created_at,
        }
    }
}

/// What a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusState {
    /// It could not be found out.
    Error,
    /// Something is not well.
    Failure,
    /// It is going on.
    Pending,
    /// All is well.
    Success,
}

impl StatusState {
    /// As GitHub spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Failure => "failure",
            Self::Pending => "pending",
            Self::Success => "success",
        }
    }
}

/// A file that a pull request changes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct File {
    /// Its path.
    pub filename: String,
    /// `added`, `removed`, `modified`, `renamed`, `copied`, `changed` or `unchanged`.
    pub status: String,
    /// Its path before, where it has another now.
    pub previous_filename: Option<String>,
}

/// A review of a pull request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "RawReview")]
pub struct Review {
    /// Names it.
    pub id: u64,
    /// Who wrote it.
    pub login: String,
    /// What it says.
    pub state: ReviewState,
    /// The commit that was looked at.
    pub commit: Option<String>,
    /// When, in UTC; empty where it is still being written.
    pub submitted_at: String,
    /// What its author is to the repository.
    pub association: String,
}

#[derive(Deserialize)]
struct RawReview {
    id: u64,
    user: Option<User>,
    state: ReviewState,
    commit_id: Option<String>,
    submitted_at: Option<String>,
    author_association: String,
}

impl From<RawReview> for Review {
    fn from(raw: RawReview) -> Self {
        Self {
            id: raw.id,
            login: login(raw.user.as_ref()),
            state: raw.state,
            commit: raw.commit_id,
            submitted_at: raw.submitted_at.unwrap_or_default(),
            association: raw.author_association,
        }
    }
}

/// What a review says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReviewState {
    /// It may be merged.
    Approved,
    /// It may not be merged.
    ChangesRequested,
    /// What it said does not count any more.
    Dismissed,
    /// Neither: a comment, or one that is still being written.
    #[serde(other)]
    Commented,
}

/// A run of a workflow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct WorkflowRun {
    /// Names it.
    pub id: u64,
    /// The workflow's file.
    pub path: String,
    /// The commit it runs on.
    pub head_sha: String,
    /// What started it.
    pub event: String,
}

/// What somebody may do in a repository; more is greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing.
    None,
    /// See it.
    Read,
    /// Also sort issues and pull requests.
    Triage,
    /// Also push.
    Write,
    /// Also settings that are not dangerous.
    Maintain,
    /// Everything.
    Admin,
}

/// What GitHub says of what somebody may do: a coarse word, and the name of a role, which may be
/// one of the organisation's own and then says nothing.
#[derive(Deserialize)]
pub(super) struct RawPermission {
    permission: String,
    #[serde(default)]
    role_name: String,
}

impl From<RawPermission> for Permission {
    fn from(raw: RawPermission) -> Self {
        match (raw.permission.as_str(), raw.role_name.as_str()) {
            ("admin", _) => Self::Admin,
            ("maintain", _) | ("write", "maintain") => Self::Maintain,
            ("write", _) => Self::Write,
            ("triage", _) | ("read", "triage") => Self::Triage,
            ("read", _) => Self::Read,
            _ => Self::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_of_the_organisations_own_gives_no_more_than_the_coarse_word() {
        for (permission, role, expected) in [
            ("admin", "admin", Permission::Admin),
            ("write", "maintain", Permission::Maintain),
            ("write", "admin", Permission::Write),
            ("write", "release-manager", Permission::Write),
            ("read", "triage", Permission::Triage),
            ("read", "maintain", Permission::Read),
            ("none", "admin", Permission::None),
            ("owner", "owner", Permission::None),
        ] {
            let raw = json!({"permission": permission, "role_name": role});
            let raw: RawPermission = serde_json::from_value(raw).unwrap();
            assert_eq!(Permission::from(raw), expected, "{permission} {role}");
        }
        assert!(Permission::Maintain > Permission::Write && Permission::Write > Permission::Triage);
    }

    #[test]
    fn accounts_that_are_gone_leave_their_comments_and_reviews() {
        let comment = json!({"id": 1, "user": null, "html_url": "https://x"});
        let comment: Comment = serde_json::from_value(comment).unwrap();
        assert_eq!(
            (comment.author.as_str(), comment.is_bot, comment.body),
            ("ghost", false, "".into())
        );
        let review = json!({
            "id": 1, "user": null, "state": "A_NEW_ONE", "commit_id": null,
            "author_association": "NONE"
        });
        let review: Review = serde_json::from_value(review).unwrap();
        assert_eq!((review.login.as_str(), review.state), ("ghost", ReviewState::Commented));
    }
}
