//! How GitHub writes what it has: people, apps, the repository and what lies in it, in full.

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::ID;
use super::OWNER;
use super::REPOSITORY;
use super::reply::digest;
use super::reply::node;
use super::stage::App;
use super::stage::Check;
use super::stage::Comment;
use super::stage::File;
use super::stage::Pull;
use super::stage::Review;
use super::stage::Status;
use super::stage::WorkflowRun;

const WEB: &str = "https://github.com";
const REACTIONS: [&str; 8] = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];

/// Addresses that every repository has, after its own.
#[rustfmt::skip] // one address, one line
const ADDRESSES: [(&str, &str); 38] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
    ("url", ""),
    ("private", ""),
];

/// Where this GitHub is.
pub(super) struct Site {
    pub(super) api: String,
}

/// A time as GitHub writes it.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A number that is a name's own.
fn number(name: &str) -> u64 {
    u64::from_str_radix(&digest(name, 4), 16).unwrap()
}

/// Adds the keys of one object to another.
fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

impl Site {
    /// The address of something in the repository.
    fn at(&self, rest: &str) -> String {
        format!("{}/repos/{REPOSITORY}{rest}", self.api)
    }

    pub(super) fn user(&self, login: &str) -> Value {
        let bot = login.strip_suffix("[bot]");
        let id = if login == "github-actions[bot]" { 41_898_282 } else { number(login) };
        let encoded = login.replace('[', "%5B").replace(']', "%5D");
        let own = format!("{}/users/{encoded}", self.api);
        let page = bot.map_or_else(|| format!("{WEB}/{login}"), |it| format!("{WEB}/apps/{it}"));
        json!({
            "login": login, "id": id, "node_id": node("U", id), "gravatar_id": "",
            "avatar_url": format!("https://avatars.githubusercontent.com/u/{id}?v=4"),
            "url": own, "html_url": page,
            "followers_url": format!("{own}/followers"),
            "following_url": format!("{own}/following{{/other_user}}"),
            "gists_url": format!("{own}/gists{{/gist_id}}"),
            "starred_url": format!("{own}/starred{{/owner}}{{/repo}}"),
            "subscriptions_url": format!("{own}/subscriptions"),
            "organizations_url": format!("{own}/orgs"),
            "repos_url": format!("{own}/repos"),
            "events_url": format!("{own}/events{{/privacy}}"),
            "received_events_url": format!("{own}/received_events"),
            "type": if bot.is_some() { "Bot" } else { "User" },
            "user_view_type": "public", "site_admin": false,
        })
    }

    /// Whose token it is, as only they see themselves.
    pub(super) fn myself(&self, login: &str) -> Value {
        let more = json!({
            "user_view_type": "private", "name": login, "company": null, "blog": "",
            "location": null, "email": null, "hireable": null, "bio": null, "public_repos": 1,
            "public_gists": 0, "followers": 2, "following": 3, "private_gists": 0,
            "total_private_repos": 1, "owned_private_repos": 1, "disk_usage": 10,
            "collaborators": 0, "two_factor_authentication": true,
            "created_at": "2019-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        with(self.user(login), more)
    }

    pub(super) fn app(&self, app: &App) -> Value {
        json!({
            "id": app.id, "slug": app.slug, "node_id": node("A", app.id),
            "client_id": format!("Iv1.{}", digest(&app.slug, 8)),
            "owner": self.user("github"), "name": app.slug, "description": "",
            "external_url": format!("{WEB}/{}", app.slug),
            "html_url": format!("{WEB}/apps/{}", app.slug),
            "created_at": "2018-07-30T09:30:17Z", "updated_at": "2025-07-30T09:30:17Z",
            "permissions": {"checks": "write", "metadata": "read"}, "events": ["check_run"],
        })
    }

    /// A repository as others name it.
    fn small(&self, full_name: &str) -> Value {
        let (owner, name) = full_name.split_once('/').unwrap_or_default();
        let id = if full_name == REPOSITORY { ID } else { number(full_name) };
        let mut repository = json!({
            "id": id, "node_id": node("R", id), "name": name, "full_name": full_name,
            "owner": self.user(owner), "html_url": format!("{WEB}/{full_name}"),
            "description": null, "fork": full_name != REPOSITORY,
        });
        for (key, rest) in ADDRESSES {
            repository[key] = json!(format!("{}/repos/{full_name}{rest}", self.api));
        }
        repository["private"] = json!(true);
        repository
    }

    fn repository(&self, full_name: &str) -> Value {
        let more = json!({
            "clone_url": format!("{WEB}/{full_name}.git"), "default_branch": "main", "forks": 1,
            "forks_count": 1, "git_url": format!("git://github.com/{full_name}.git"),
            "has_downloads": true, "has_issues": true, "has_projects": true, "has_wiki": true,
            "has_pages": false, "homepage": null, "language": "Python", "archived": false,
            "disabled": false, "mirror_url": null, "open_issues": 1, "open_issues_count": 1,
            "license": null, "size": 100, "ssh_url": format!("git@github.com:{full_name}.git"),
            "stargazers_count": 0, "svn_url": format!("{WEB}/{full_name}"), "watchers": 0,
            "watchers_count": 0, "pushed_at": "2026-01-01T00:00:00Z",
            "created_at": "2020-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z",
        });
        with(self.small(full_name), more)
    }

    fn side(&self, full_name: &str, branch: &str, sha: &str) -> Value {
        let owner = full_name.split('/').next().unwrap_or_default();
        json!({
            "label": format!("{owner}:{branch}"), "ref": branch, "sha": sha,
            "user": self.user(owner), "repo": self.repository(full_name),
        })
    }

    /// A pull request as lists have it.
    pub(super) fn pull(&self, pull: &Pull) -> Value {
        let number = pull.number;
        let own = self.at(&format!("/pulls/{number}"));
        let page = format!("{WEB}/{REPOSITORY}/pull/{number}");
        let id = 2_000_000 + number;
        let label = |it: &String| {
            let mut label = self.label(it);
            label["description"] = json!("");
            label
        };
        let whole = json!({
            "id": id, "node_id": node("PR", id), "number": number, "url": own, "html_url": page,
            "diff_url": format!("{page}.diff"), "patch_url": format!("{page}.patch"),
            "issue_url": self.at(&format!("/issues/{number}")),
            "commits_url": format!("{own}/commits"),
            "review_comments_url": format!("{own}/comments"),
            "review_comment_url": self.at("/pulls/comments{/number}"),
            "comments_url": self.at(&format!("/issues/{number}/comments")),
            "statuses_url": self.at(&format!("/statuses/{}", pull.head())),
            "state": if pull.closed.is_some() { "closed" } else { "open" },
            "locked": false, "active_lock_reason": null, "title": pull.title, "body": null,
            "user": self.user(&pull.author), "author_association": "CONTRIBUTOR",
            "labels": pull.labels.iter().map(label).collect::<Vec<_>>(),
            "milestone": null, "assignee": null, "assignees": [], "requested_reviewers": [],
            "requested_teams": [], "auto_merge": null, "draft": pull.draft,
            "created_at": time(pull.created), "updated_at": time(pull.updated),
            "closed_at": pull.closed.map(time), "merged_at": pull.merged.as_ref().map(|it| time(it.at)),
            "merge_commit_sha": pull.merge_commit(),
            "head": self.side(&pull.from, &pull.branch, pull.head()),
            "base": self.side(REPOSITORY, &pull.base, &pull.base_sha),
        });
        let links = json!({
            "self": {"href": own}, "html": {"href": page},
            "issue": {"href": self.at(&format!("/issues/{number}"))},
            "comments": {"href": self.at(&format!("/issues/{number}/comments"))},
            "review_comments": {"href": format!("{own}/comments")},
            "review_comment": {"href": self.at("/pulls/comments{/number}")},
            "commits": {"href": format!("{own}/commits")},
            "statuses": {"href": self.at(&format!("/statuses/{}", pull.head()))},
        });
        with(whole, json!({"_links": links}))
    }

    /// A pull request alone, with what lists leave out.
    pub(super) fn whole_pull(&self, pull: &Pull, comments: usize) -> Value {
        let open = pull.closed.is_none();
        let more = json!({
            "merged": pull.merged.is_some(), "mergeable": open.then_some(true),
            "mergeable_state": if open { "clean" } else { "unknown" }, "rebaseable": open.then_some(true),
            "merged_by": pull.merged.as_ref().map(|it| self.user(&it.by)),
            "comments": comments, "review_comments": 0, "maintainer_can_modify": false,
            "commits": pull.heads.len(), "additions": pull.files.len(),
            "deletions": pull.files.len(), "changed_files": pull.files.len(),
        });
        with(self.pull(pull), more)
    }

    pub(super) fn label(&self, name: &str) -> Value {
        let id = 3_000_000_000 + number(name);
        json!({
            "id": id, "node_id": node("LA", id), "url": self.at(&format!("/labels/{}", digest(name, 4))),
            "name": name, "description": null, "color": "ededed", "default": false,
        })
    }

    pub(super) fn file(&self, pull: &Pull, file: &File) -> Value {
        let place = format!("{}/{}", pull.head(), file.path);
        let (additions, deletions) = match file.status.as_str() {
            "added" => (1, 0),
            "removed" => (0, 1),
            "renamed" => (0, 0),
            _ => (1, 1),
        };
        let mut entry = json!({
            "sha": digest(&place, 20), "filename": file.path, "status": file.status,
            "additions": additions, "deletions": deletions, "changes": additions + deletions,
            "blob_url": format!("{WEB}/{REPOSITORY}/blob/{place}"),
            "raw_url": format!("{WEB}/{REPOSITORY}/raw/{place}"),
            "contents_url": self.at(&format!("/contents/{}?ref={}", file.path, pull.head())),
        });
        if additions + deletions > 0 {
            entry["patch"] = json!(format!("@@ -1,{deletions} +1,{additions} @@"));
        }
        if let Some(previous) = &file.previous {
            entry["previous_filename"] = json!(previous);
        }
        entry
    }

    pub(super) fn review(&self, pull: &Pull, review: &Review) -> Value {
        let page =
            format!("{WEB}/{REPOSITORY}/pull/{}#pullrequestreview-{}", pull.number, review.id);
        let pull = self.at(&format!("/pulls/{}", pull.number));
        json!({
            "id": review.id, "node_id": node("PRR", review.id), "user": self.user(&review.login),
            "body": "", "state": review.state, "html_url": page, "pull_request_url": pull,
            "author_association": "MEMBER", "submitted_at": time(review.at),
            "commit_id": review.commit, "_links": {"html": {"href": page}, "pull_request": {"href": pull}},
        })
    }

    pub(super) fn comment(&self, it: &Comment) -> Value {
        let own = self.at(&format!("/issues/comments/{}", it.id));
        let mut reactions =
            json!({"url": format!("{own}/reactions"), "total_count": it.reactions.len()});
        for content in REACTIONS {
            let count = it.reactions.iter().filter(|(_, given)| given == content).count();
            reactions[content] = json!(count);
        }
        json!({
            "id": it.id, "node_id": node("IC", it.id), "url": own,
            "html_url": format!("{WEB}/{REPOSITORY}/pull/{}#issuecomment-{}", it.pull, it.id),
            "issue_url": self.at(&format!("/issues/{}", it.pull)), "body": it.body,
            "user": self.user(&it.author), "author_association": "NONE",
            "created_at": time(it.created), "updated_at": time(it.updated),
            "reactions": reactions, "performed_via_github_app": it.app.as_ref().map(|app| self.app(app)),
        })
    }

    pub(super) fn reaction(&self, login: &str, content: &str, comment: &Comment) -> Value {
        let id = number(&format!("{login} {content} {}", comment.id));
        json!({
            "id": id, "node_id": node("REA", id), "user": self.user(login), "content": content,
            "created_at": time(comment.created),
        })
    }

    pub(super) fn check(&self, it: &Check, pulls: &[&Pull]) -> Value {
        let own = self.at(&format!("/check-runs/{}", it.id));
        let page = format!("{WEB}/{REPOSITORY}/runs/{}", it.id);
        let pulls: Vec<Value> = pulls.iter().map(|pull| self.tiny(pull)).collect();
        // What a workflow sends as the address of its details is not kept.
        let details = it.details_url.as_ref().filter(|_| it.app != App::actions());
        json!({
            "id": it.id, "node_id": node("CR", it.id), "head_sha": it.sha, "name": it.name,
            "external_id": it.external_id.as_deref().unwrap_or_default(), "url": own,
            "html_url": page, "details_url": details.unwrap_or(&page), "status": it.status,
            "conclusion": it.conclusion, "started_at": time(it.started),
            "completed_at": it.completed.map(time), "check_suite": {"id": number(&it.sha)},
            "output": {
                "title": it.title, "summary": it.summary, "text": it.text,
                "annotations_count": it.annotations.len(),
                "annotations_url": format!("{own}/annotations"),
            },
            "app": self.app(&it.app), "pull_requests": pulls,
        })
    }

    /// A pull request as checks and runs name it.
    fn tiny(&self, pull: &Pull) -> Value {
        let name = REPOSITORY.split('/').next_back().unwrap_or_default();
        let repo = json!({"id": ID, "url": self.at(""), "name": name});
        json!({
            "id": 2_000_000 + pull.number, "number": pull.number,
            "url": self.at(&format!("/pulls/{}", pull.number)),
            "head": {"ref": pull.branch, "sha": pull.head(), "repo": repo},
            "base": {"ref": pull.base, "sha": pull.base_sha, "repo": repo},
        })
    }

    pub(super) fn status(&self, it: &Status) -> Value {
        json!({
            "url": self.at(&format!("/statuses/{}", it.sha)), "id": it.id, "node_id": node("SC", it.id),
            "avatar_url": "https://avatars.githubusercontent.com/in/15368?v=4", "state": it.state,
            "description": it.description, "target_url": it.target_url, "context": it.context,
            "created_at": time(it.at), "updated_at": time(it.at), "creator": self.user(&it.creator),
        })
    }

    pub(super) fn permission(&self, login: &str, role: &str) -> Value {
        // Of the newer roles this field knows only what they may do to code.
        let permission = match role {
            "maintain" => "write",
            "triage" => "read",
            other => other,
        };
        let rank = ["none", "read", "triage", "write", "maintain", "admin"];
        let has = |at: usize| rank.iter().position(|it| *it == role) >= Some(at);
        let more = json!({
            "role_name": role, "permissions": {"pull": has(1), "triage": has(2), "push": has(3),
                "maintain": has(4), "admin": has(5)},
        });
        json!({"permission": permission, "role_name": role, "user": with(self.user(login), more)})
    }

    pub(super) fn membership(&self, team: &str, login: &str, state: &str) -> Value {
        let url = format!("{}/organizations/1/team/{}/memberships/{login}", self.api, number(team));
        json!({"url": url, "role": "member", "state": state})
    }

    pub(super) fn run(&self, it: &WorkflowRun, pulls: &[&Pull]) -> Value {
        let own = self.at(&format!("/actions/runs/{}", it.id));
        let branch = pulls.first().map_or("main", |pull| pull.branch.as_str());
        let pulls: Vec<Value> = pulls.iter().map(|pull| self.tiny(pull)).collect();
        let person = json!({"name": OWNER, "email": "someone@example.com"});
        json!({
            "id": it.id, "node_id": node("WFR", it.id), "name": "chronon", "display_title": "A change",
            "head_branch": branch, "head_sha": it.sha, "path": ".github/workflows/chronon.yml",
            "run_number": 1, "run_attempt": it.attempt, "event": it.event, "status": it.status,
            "conclusion": it.conclusion, "workflow_id": 1, "check_suite_id": number(&it.sha), "url": own,
            "html_url": format!("{WEB}/{REPOSITORY}/actions/runs/{}", it.id),
            "created_at": time(it.at), "updated_at": time(it.at), "run_started_at": time(it.at),
            "jobs_url": format!("{own}/jobs"), "logs_url": format!("{own}/logs"),
            "check_suite_url": self.at(&format!("/check-suites/{}", number(&it.sha))),
            "artifacts_url": format!("{own}/artifacts"), "cancel_url": format!("{own}/cancel"),
            "rerun_url": format!("{own}/rerun"), "workflow_url": self.at("/actions/workflows/1"),
            "pull_requests": pulls, "actor": self.user("ana"), "triggering_actor": self.user("ana"),
            "head_commit": {
                "id": it.sha, "tree_id": digest(&it.sha, 20), "message": "A change",
                "timestamp": time(it.at), "author": person, "committer": person,
            },
            "repository": self.small(REPOSITORY), "head_repository": self.small(REPOSITORY),
        })
    }
}
