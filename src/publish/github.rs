//! A repository on GitHub: everything that is asked of it, and everything that is said there.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::json;

use super::api::Api;
use super::api::List;
use super::api::PAGE;
use super::api::Repeat;
use super::error::PublishError;
use super::objects::Annotation;
use super::objects::Check;
use super::objects::Comment;
use super::objects::File;
use super::objects::NewCheck;
use super::objects::Permission;
use super::objects::RawPermission;
use super::objects::Review;
use super::objects::Status;
use super::objects::StatusState;
use super::objects::WorkflowRun;
use super::pull::PullRef;

/// How many pages are read of a list that is wanted whole.
const ALL: usize = 50;

/// How many annotations one call may carry.
const ANNOTATIONS: usize = 50;

/// How many characters the description of a status may have.
const DESCRIPTION: usize = 140;

/// How to answer a comment without words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It is seen.
    Eyes,
    /// It is done.
    Rocket,
    /// It is not understood.
    Confused,
}

impl Reaction {
    fn name(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Rocket => "rocket",
            Self::Confused => "confused",
        }
    }
}

/// A repository.
pub struct GitHub {
    api: Api,
    repository: String,
}

/// A label, as lists name it.
#[derive(Deserialize)]
struct Label {
    name: String,
}

impl GitHub {
    /// The repository `owner/name`; nothing is asked yet.
    ///
    /// # Errors
    /// Where that is no such name.
    pub fn new(api: Api, repository: &str) -> Result<Self, PublishError> {
        match repository.split('/').collect::<Vec<_>>().as_slice() {
            [owner, name] if !owner.is_empty() && !name.is_empty() => {
                Ok(Self { api, repository: repository.to_owned() })
            }
            _ => Err(PublishError::Setup {
                what: format!("`{repository}` is no repository of GitHub's"),
                next: "let GITHUB_REPOSITORY name it as `owner/name`".to_owned(),
            }),
        }
    }

    /// Its name, `owner/name`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The comments of an issue or a pull request, the oldest first.
    ///
    /// # Errors
    /// As for every call: see [`PublishError`].
    pub fn comments(&self, number: u64) -> Result<List<Comment>, PublishError> {
        self.api.list(&self.at(&["issues", &number.to_string(), "comments"]), None, ALL)
    }

    /// Writes a comment.
    ///
    /// # Errors
    /// [`PublishError::Unclear`] where it may be written: look at the comments first.
    pub fn create_comment(&self, number: u64, body: &str) -> Result<Comment, PublishError> {
        let path = self.at(&["issues", &number.to_string(), "comments"]);
        self.api.post(&path, &json!({"body": body}), Repeat::Never)
    }

    /// Gives a comment another text.
    ///
    /// # Errors
    /// As for every call.
    pub fn update_comment(&self, id: u64, body: &str) -> Result<Comment, PublishError> {
        let path = self.at(&["issues", "comments", &id.to_string()]);
        self.api.patch(&path, &json!({"body": body}), Repeat::Safe)
    }

    /// Answers a comment without words; a second time changes nothing.
    ///
    /// # Errors
    /// As for every call.
    pub fn react(&self, comment: u64, reaction: Reaction) -> Result<(), PublishError> {
        let path = self.at(&["issues", "comments", &comment.to_string(), "reactions"]);
        self.api
            .post::<IgnoredAny>(&path, &json!({"content": reaction.name()}), Repeat::Safe)
            .map(drop)
    }

    /// The checks of a commit that are called so, the newest first, whoever made them.
    ///
    /// # Errors
    /// As for every call.
    pub fn checks(&self, sha: &str, name: &str) -> Result<List<Check>, PublishError> {
        let path = self.at(&["commits", sha, "check-runs"]);
        let path = format!("{path}?check_name={}&filter=all", encoded(name));
        let mut found: List<Check> = self.api.list(&path, Some("check_runs"), ALL)?;
        found.items.sort_by_key(|check| std::cmp::Reverse(check.id));
        Ok(found)
    }

    /// Makes a check.
    ///
    /// # Errors
    /// [`PublishError::Unclear`] where it may be made: look at the checks first. Annotations that
    /// one call cannot carry follow in others, so that an error may leave a check with fewer.
    pub fn create_check(&self, check: &NewCheck) -> Result<Check, PublishError> {
        let (first, rest) = check.annotations.split_at(check.annotations.len().min(ANNOTATIONS));
        let mut body = check.body();
        body["head_sha"] = check.head_sha.as_str().into();
        body["output"] = check.output(first);
        let made: Check = self.api.post(&self.at(&["check-runs"]), &body, Repeat::Never)?;
        self.annotate(made.id, check, rest)?;
        Ok(made)
    }

    /// Gives a check another state and other texts; its annotations are added to those it has.
    ///
    /// # Errors
    /// As for every call. The state and the texts are written first, so that an error of the
    /// annotations leaves those right.
    pub fn update_check(&self, id: u64, check: &NewCheck) -> Result<Check, PublishError> {
        let path = self.at(&["check-runs", &id.to_string()]);
        let changed: Check = self.api.patch(&path, &check.body(), Repeat::Safe)?;
        self.annotate(id, check, &check.annotations)?;
        Ok(changed)
    }

    fn annotate(
        &self,
        id: u64,
        check: &NewCheck,
        annotations: &[Annotation],
    ) -> Result<(), PublishError> {
        let path = self.at(&["check-runs", &id.to_string()]);
        for some in annotations.chunks(ANNOTATIONS) {
            // Sent twice they would stand there twice.
            let body = json!({"output": check.output(some)});
            let _changed: IgnoredAny = self.api.patch(&path, &body, Repeat::Never)?;
        }
        Ok(())
    }

    /// Gives a commit a status; the last of a context counts. A description that is too long is
    /// cut.
    ///
    /// # Errors
    /// As for every call.
    pub fn create_status(
        &self,
        sha: &str,
        context: &str,
        state: StatusState,
        description: &str,
        target_url: Option<&str>,
    ) -> Result<Status, PublishError> {
        let mut body = json!({
            "context": context,
            "state": state.name(),
            "description": cut(description, DESCRIPTION),
        });
        if let Some(url) = target_url {
            body["target_url"] = url.into();
        }
        self.api.post(&self.at(&["statuses", sha]), &body, Repeat::Safe)
    }

    /// The statuses of a commit, the newest first.
    ///
    /// # Errors
    /// As for every call.
    pub fn statuses(&self, sha: &str) -> Result<List<Status>, PublishError> {
        self.api.list(&self.at(&["commits", sha, "statuses"]), None, ALL)
    }

    /// A pull request.
    ///
    /// # Errors
    /// As for every call.
    pub fn pull(&self, number: u64) -> Result<PullRef, PublishError> {
        self.api.get(&self.at(&["pulls", &number.to_string()]))
    }

    /// The pull requests that brought a commit or hold it.
    ///
    /// # Errors
    /// As for every call.
    pub fn pulls_of_commit(&self, sha: &str) -> Result<List<PullRef>, PublishError> {
        self.api.list(&self.at(&["commits", sha, "pulls"]), None, ALL)
    }

    /// The open pull requests into a branch, the newest first, at most so many.
    ///
    /// # Errors
    /// As for every call.
    pub fn open_pulls(&self, base: &str, most: usize) -> Result<List<PullRef>, PublishError> {
        let query = format!("?state=open&base={}", encoded(base));
        self.some(&format!("{}{query}", self.at(&["pulls"])), most)
    }

    /// The open pull requests of a branch, in whosever repository it is.
    ///
    /// # Errors
    /// As for every call.
    pub fn pulls_of_branch(
        &self,
        owner: &str,
        branch: &str,
    ) -> Result<List<PullRef>, PublishError> {
        let head = encoded(&format!("{owner}:{branch}"));
        let query = format!("?state=open&head={head}");
        self.api.list(&format!("{}{query}", self.at(&["pulls"])), None, ALL)
    }

    /// The closed pull requests into a branch, the last touched first, at most so many.
    ///
    /// # Errors
    /// As for every call.
    pub fn recently_closed_pulls(
        &self,
        base: &str,
        most: usize,
    ) -> Result<List<PullRef>, PublishError> {
        let query = format!("?state=closed&base={}&sort=updated&direction=desc", encoded(base));
        self.some(&format!("{}{query}", self.at(&["pulls"])), most)
    }

    /// The files that a pull request changes, at most so many; GitHub tells of 3000.
    ///
    /// # Errors
    /// As for every call.
    pub fn files(&self, number: u64, most: usize) -> Result<List<File>, PublishError> {
        self.some(&self.at(&["pulls", &number.to_string(), "files"]), most)
    }

    /// The labels of an issue or a pull request.
    ///
    /// # Errors
    /// As for every call.
    pub fn labels(&self, number: u64) -> Result<List<String>, PublishError> {
        let path = self.at(&["issues", &number.to_string(), "labels"]);
        let found: List<Label> = self.api.list(&path, None, ALL)?;
        let items = found.items.into_iter().map(|label| label.name).collect();
        Ok(List { items, more: found.more })
    }

    /// Adds labels; those that are there stay.
    ///
    /// # Errors
    /// As for every call.
    pub fn add_labels(&self, number: u64, labels: &[&str]) -> Result<(), PublishError> {
        let path = self.at(&["issues", &number.to_string(), "labels"]);
        self.api.post::<IgnoredAny>(&path, &json!({"labels": labels}), Repeat::Safe).map(drop)
    }

    /// Removes a label, if it is there.
    ///
    /// # Errors
    /// As for every call.
    pub fn remove_label(&self, number: u64, label: &str) -> Result<(), PublishError> {
        let path = self.at(&["issues", &number.to_string(), "labels", label]);
        found(self.api.delete::<IgnoredAny>(&path)).map(drop)
    }

    /// The reviews of a pull request.
    ///
    /// # Errors
    /// As for every call.
    pub fn reviews(&self, number: u64) -> Result<List<Review>, PublishError> {
        self.api.list(&self.at(&["pulls", &number.to_string(), "reviews"]), None, ALL)
    }

    /// What somebody may do here; nothing, where GitHub knows nobody of that name.
    ///
    /// # Errors
    /// As for every call.
    pub fn permission(&self, login: &str) -> Result<Permission, PublishError> {
        let path = self.at(&["collaborators", login, "permission"]);
        let known: Option<RawPermission> = found(self.api.get(&path))?;
        Ok(known.map_or(Permission::None, Permission::from))
    }

    /// Whether somebody is in a team; none where the token may not know.
    ///
    /// # Errors
    /// As for every call.
    pub fn in_team(
        &self,
        org: &str,
        slug: &str,
        login: &str,
    ) -> Result<Option<bool>, PublishError> {
        let path = path(&["orgs", org, "teams", slug, "memberships", login]);
        let Some(membership) = allowed(found(self.api.get::<Value>(&path)))? else {
            return Ok(None);
        };
        // Who is asked to join is not in it yet.
        Ok(Some(membership.is_some_and(|it| it["state"] == "active")))
    }

    /// The login of the token; none where it is of an app, which has none to ask for.
    ///
    /// # Errors
    /// As for every call.
    pub fn whoami(&self) -> Result<Option<String>, PublishError> {
        #[derive(Deserialize)]
        struct Me {
            login: String,
        }
        Ok(allowed(self.api.get::<Me>("/user"))?.map(|me| me.login))
    }

    /// A run of a workflow.
    ///
    /// # Errors
    /// As for every call.
    pub fn run(&self, id: u64) -> Result<WorkflowRun, PublishError> {
        self.api.get(&self.at(&["actions", "runs", &id.to_string()]))
    }

    fn some<T: DeserializeOwned>(&self, path: &str, most: usize) -> Result<List<T>, PublishError> {
        let mut found: List<T> = self.api.list(path, None, most.div_ceil(PAGE))?;
        found.more = found.more || found.items.len() > most;
        found.items.truncate(most);
        Ok(found)
    }

    /// The path of something in the repository.
    fn at(&self, names: &[&str]) -> String {
        let repository: Vec<&str> = self.repository.split('/').collect();
        path(&[&["repos"], repository.as_slice(), names].concat())
    }
}

/// Nothing, where there is no such thing.
fn found<T>(answer: Result<T, PublishError>) -> Result<Option<T>, PublishError> {
    match answer {
        Err(PublishError::NotFound { .. }) => Ok(None),
        answer => answer.map(Some),
    }
}

/// Nothing, where the token may not know.
fn allowed<T>(answer: Result<T, PublishError>) -> Result<Option<T>, PublishError> {
    match answer {
        Err(PublishError::Forbidden { .. }) => Ok(None),
        answer => answer.map(Some),
    }
}

fn path(names: &[&str]) -> String {
    names.iter().map(|name| format!("/{}", encoded(name))).collect()
}

/// A name as it stands in an address, whatever is in it.
fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A text that is no longer than so many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_whatever_is_in_them() {
        assert_eq!(path(&["labels", "data/risk: high?#"]), "/labels/data%2Frisk%3A%20high%3F%23");
        assert_eq!(path(&["users", "dependabot[bot]"]), "/users/dependabot%5Bbot%5D");
        assert_eq!(encoded("ä-._~Z9%"), "%C3%A4-._~Z9%25");
    }

    #[test]
    fn a_description_is_cut_by_characters() {
        assert_eq!(cut(&"ä".repeat(140), DESCRIPTION), "ä".repeat(140));
        let long = cut(&"ä".repeat(141), DESCRIPTION);
        assert_eq!((long.chars().count(), long.ends_with('…')), (140, true));
    }
}
