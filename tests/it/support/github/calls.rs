//! What each call does: one row and one function each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::OWNER;
use super::REPOSITORY;
use super::description::Operation;
use super::reply::Reply;
use super::reply::page;
use super::stage::Check;
use super::stage::Comment;
use super::stage::Pull;
use super::stage::Status;
use super::world::World;

/// A call as those that answer it see it.
pub(super) struct Asked<'a> {
    pub(super) operation: &'static Operation,
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) body: &'a Value,
    /// The address that links of its pages begin with.
    pub(super) address: String,
}

type Done = Result<Reply, Reply>;
type Handler = fn(&mut World, &Asked) -> Done;

/// Every call, what a token needs for it (one of these), and who answers.
#[rustfmt::skip] // one call, one line
pub(super) const CALLS: [(&str, &str, Handler); 22] = [
    ("GET /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues=read; pull_requests=read", comments),
    ("POST /repos/{owner}/{repo}/issues/{issue_number}/comments", "issues=write; pull_requests=write", create_comment),
    ("GET /repos/{owner}/{repo}/issues/comments/{comment_id}", "issues=read; pull_requests=read", comment),
    ("PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}", "issues=write; pull_requests=write", update_comment),
    ("POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions", "issues=write; pull_requests=write", react),
    ("GET /repos/{owner}/{repo}/issues/{issue_number}/labels", "issues=read; pull_requests=read", labels),
    ("POST /repos/{owner}/{repo}/issues/{issue_number}/labels", "issues=write; pull_requests=write", add_labels),
    ("DELETE /repos/{owner}/{repo}/issues/{issue_number}/labels/{name}", "issues=write; pull_requests=write", remove_label),
    ("POST /repos/{owner}/{repo}/check-runs", "checks=write", create_check),
    ("PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}", "checks=write", update_check),
    ("GET /repos/{owner}/{repo}/commits/{ref}/check-runs", "checks=read", checks),
    ("POST /repos/{owner}/{repo}/statuses/{sha}", "statuses=write", create_status),
    ("GET /repos/{owner}/{repo}/commits/{ref}/statuses", "statuses=read", statuses),
    ("GET /repos/{owner}/{repo}/commits/{commit_sha}/pulls", "pull_requests=read", pulls_of_commit),
    ("GET /repos/{owner}/{repo}/pulls", "pull_requests=read", pulls),
    ("GET /repos/{owner}/{repo}/pulls/{pull_number}", "pull_requests=read", pull),
    ("GET /repos/{owner}/{repo}/pulls/{pull_number}/files", "pull_requests=read", files),
    ("GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews", "pull_requests=read", reviews),
    ("GET /repos/{owner}/{repo}/collaborators/{username}/permission", "metadata=read", permission),
    ("GET /repos/{owner}/{repo}/actions/runs/{run_id}", "actions=read", run),
    ("GET /orgs/{org}/teams/{team_slug}/memberships/{username}", "members=read", membership),
    ("GET /user", "", user),
];

impl Asked<'_> {
    fn said(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    fn number(&self, name: &str) -> u64 {
        self.said(name).parse().unwrap_or_default()
    }

    fn asks(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A text of the body.
    fn text(&self, pointer: &str) -> Option<String> {
        self.body.pointer(pointer).and_then(Value::as_str).map(str::to_owned)
    }

    fn missing(&self) -> Reply {
        Reply::missing(&self.operation.documentation)
    }

    fn refused(&self, status: u16, message: &str) -> Reply {
        Reply::error(status, message, &self.operation.documentation)
    }

    /// One page of a list.
    fn list(&self, items: Vec<Value>) -> Reply {
        let (items, link) = page(items, self.query, &self.address);
        let mut reply = Reply::json(200, Value::Array(items));
        reply.headers.extend(link.map(|it| ("link", it)));
        reply
    }

    /// Whether it is about the repository that there is.
    pub(super) fn is_here(&self) -> bool {
        let (owner, name) = (self.path.get("owner"), self.path.get("repo"));
        let repository = owner.zip(name).map(|(owner, name)| format!("{owner}/{name}"));
        repository.is_none_or(|it| it == REPOSITORY)
            && self.path.get("org").is_none_or(|it| it == OWNER)
    }

    fn issue(&self, world: &World) -> Result<u64, Reply> {
        let number = self.number("issue_number");
        world.pulls.contains_key(&number).then_some(number).ok_or_else(|| self.missing())
    }

    fn pull<'w>(&self, world: &'w World) -> Result<&'w Pull, Reply> {
        world.pulls.get(&self.number("pull_number")).ok_or_else(|| self.missing())
    }

    /// The commit that a reference is, which must be there.
    fn commit(&self, world: &World, reference: &str) -> Result<String, Reply> {
        let found = world.commit(reference);
        found.ok_or_else(|| self.refused(422, &format!("No commit found for SHA: {reference}")))
    }
}

fn comments(world: &mut World, asked: &Asked) -> Done {
    let issue = asked.issue(world)?;
    let since: Option<Timestamp> = asked.asks("since").and_then(|it| it.parse().ok());
    let kept = |it: &&Comment| it.pull == issue && since.is_none_or(|since| it.updated >= since);
    let found = world.comments.values().filter(kept).map(|it| world.site.comment(it));
    Ok(asked.list(found.collect()))
}

fn create_comment(world: &mut World, asked: &Asked) -> Done {
    let pull = asked.issue(world)?;
    let (author, app) = (world.identity.login(), world.identity.app());
    let id = world.write_comment(pull, &author, &asked.text("/body").unwrap_or_default(), app);
    Ok(Reply::made(world.site.comment(&world.comments[&id])))
}

fn comment(world: &mut World, asked: &Asked) -> Done {
    let found = world.comments.get(&asked.number("comment_id")).ok_or_else(|| asked.missing())?;
    Ok(Reply::json(200, world.site.comment(found)))
}

fn update_comment(world: &mut World, asked: &Asked) -> Done {
    let id = asked.number("comment_id");
    let author = world.comments.get(&id).map(|it| it.author.clone());
    let author = author.ok_or_else(|| asked.missing())?;
    if author != world.identity.login() {
        // GitHub lets whoever may write do this; nobody here has any business to.
        world.wrong("edits a comment of somebody else");
        return Err(asked.refused(403, &world.identity.refusal()));
    }
    world.edit_comment(id, &asked.text("/body").unwrap_or_default());
    Ok(Reply::json(200, world.site.comment(&world.comments[&id])))
}

fn react(world: &mut World, asked: &Asked) -> Done {
    let given = (world.identity.login(), asked.text("/content").unwrap_or_default());
    let id = asked.number("comment_id");
    let comment = world.comments.get_mut(&id).ok_or_else(|| asked.missing())?;
    let new = !comment.reactions.contains(&given);
    if new {
        comment.reactions.push(given.clone());
    }
    let body = world.site.reaction(&given.0, &given.1, &world.comments[&id]);
    Ok(Reply::json(if new { 201 } else { 200 }, body))
}

fn labels_of(world: &World, issue: u64) -> Vec<Value> {
    world.pulls[&issue].labels.iter().map(|it| world.site.label(it)).collect()
}

fn labels(world: &mut World, asked: &Asked) -> Done {
    let issue = asked.issue(world)?;
    Ok(asked.list(labels_of(world, issue)))
}

fn add_labels(world: &mut World, asked: &Asked) -> Done {
    let issue = asked.issue(world)?;
    for it in asked.body["labels"].as_array().into_iter().flatten() {
        let name = it.as_str().or(it["name"].as_str()).unwrap_or_default();
        world.label(issue, name);
    }
    Ok(Reply::json(200, Value::Array(labels_of(world, issue))))
}

fn remove_label(world: &mut World, asked: &Asked) -> Done {
    let issue = asked.issue(world)?;
    if !world.unlabel(issue, asked.said("name")) {
        return Err(asked.refused(404, "Label does not exist"));
    }
    Ok(Reply::json(200, Value::Array(labels_of(world, issue))))
}

/// Refuses who is no app: only those write checks.
fn only_apps(world: &World, asked: &Asked) -> Result<super::stage::App, Reply> {
    let refused = || asked.refused(403, "You must authenticate via a GitHub App.");
    world.identity.app().ok_or_else(refused)
}

fn create_check(world: &mut World, asked: &Asked) -> Done {
    let app = only_apps(world, asked)?;
    let sha = asked.commit(world, &asked.text("/head_sha").unwrap_or_default())?;
    let mut check = Check::new(app, &sha, &asked.text("/name").unwrap_or_default());
    say(&mut check, asked);
    let id = world.write_check(check);
    Ok(Reply::made(world.check(id)))
}

fn update_check(world: &mut World, asked: &Asked) -> Done {
    let app = only_apps(world, asked)?;
    let id = asked.number("check_run_id");
    let check = world.checks.get_mut(&id).ok_or_else(|| asked.missing())?;
    if check.app != app {
        let what = format!(
            "Invalid app_id `{}` - check run can only be modified by the GitHub App that created it.",
            app.id
        );
        return Err(asked.refused(403, &what));
    }
    check.name = asked.text("/name").unwrap_or_else(|| check.name.clone());
    say(check, asked);
    check.updates += 1;
    Ok(Reply::json(200, world.check(id)))
}

/// Writes what a body says of a check.
fn say(check: &mut Check, asked: &Asked) {
    let time = |pointer: &str| asked.text(pointer).and_then(|it| it.parse::<Timestamp>().ok());
    if let Some(status) = asked.text("/status") {
        check.status = status;
        check.conclusion = asked.text("/conclusion");
        let now = check.conclusion.is_some().then(Timestamp::now);
        check.completed = time("/completed_at").or(now);
    }
    check.started = time("/started_at").unwrap_or(check.started);
    check.external_id = asked.text("/external_id").or(check.external_id.take());
    check.details_url = asked.text("/details_url").or(check.details_url.take());
    if asked.body["output"].is_object() {
        // An output takes the place of the one before; annotations alone add up.
        check.title = asked.text("/output/title");
        check.summary = asked.text("/output/summary");
        check.text = asked.text("/output/text");
        let more = asked.body["output"]["annotations"].as_array();
        check.annotations.extend(more.into_iter().flatten().cloned());
    }
}

fn checks(world: &mut World, asked: &Asked) -> Done {
    let sha = asked.commit(world, asked.said("ref"))?;
    let app: Option<u64> = asked.asks("app_id").and_then(|it| it.parse().ok());
    let mut found: Vec<&Check> = world.checks.values().rev().filter(|it| it.sha == sha).collect();
    found.retain(|it| asked.asks("check_name").is_none_or(|name| it.name == name));
    found.retain(|it| asked.asks("status").is_none_or(|status| it.status == status));
    found.retain(|it| app.is_none_or(|app| it.app.id == app));
    if asked.asks("filter") != Some("all") {
        let mut seen = std::collections::BTreeSet::new();
        found.retain(|it| seen.insert((it.app.id, it.name.clone())));
    }
    let total = found.len();
    let mut reply = asked.list(found.iter().map(|it| world.check(it.id)).collect());
    reply.body = json!({"total_count": total, "check_runs": reply.body});
    Ok(reply)
}

fn create_status(world: &mut World, asked: &Asked) -> Done {
    let sha = asked.commit(world, asked.said("sha"))?;
    let status = Status {
        id: world.number(),
        sha,
        context: asked.text("/context").unwrap_or_else(|| "default".to_owned()),
        state: asked.text("/state").unwrap_or_default(),
        description: asked.text("/description"),
        target_url: asked.text("/target_url"),
        creator: world.identity.login(),
        at: Timestamp::now(),
    };
    let body = world.site.status(&status);
    world.statuses.push(status);
    Ok(Reply::made(body))
}

fn statuses(world: &mut World, asked: &Asked) -> Done {
    let sha = asked.commit(world, asked.said("ref"))?;
    let found = world.statuses.iter().rev().filter(|it| it.sha == sha);
    Ok(asked.list(found.map(|it| world.site.status(it)).collect()))
}

fn pulls_of_commit(world: &mut World, asked: &Asked) -> Done {
    let sha = asked.commit(world, asked.said("commit_sha"))?;
    let merged = |it: &&Pull| it.merged.as_ref().is_some_and(|it| it.sha == sha);
    let holds =
        |it: &&Pull| it.heads.contains(&sha) && (it.closed.is_none() || it.merged.is_some());
    let pulls = || world.pulls.values();
    let found: Vec<&Pull> = if world.main.contains(&sha) {
        pulls().filter(merged).collect()
    } else {
        pulls().filter(holds).collect()
    };
    Ok(asked.list(found.into_iter().map(|it| world.site.pull(it)).collect()))
}

fn pulls(world: &mut World, asked: &Asked) -> Done {
    let mut found: Vec<&Pull> = world.pulls.values().collect();
    let state = asked.asks("state").unwrap_or("open");
    found.retain(|it| state == "all" || (state == "open") == it.closed.is_none());
    found.retain(|it| asked.asks("base").is_none_or(|base| it.base == base));
    // A head without its owner picks nothing out: GitHub then gives all.
    let head = asked.asks("head").map(str::to_owned);
    if head.as_ref().is_some_and(|it| !it.contains(':')) {
        world.wrong("the parameter `head` is not OWNER:BRANCH, which GitHub ignores");
        return Err(asked.refused(422, "Validation Failed"));
    }
    let label = |it: &Pull| format!("{}:{}", it.from.split('/').next().unwrap_or(""), it.branch);
    found.retain(|it| head.as_ref().is_none_or(|head| label(it) == *head));
    let sort = asked.asks("sort").unwrap_or("created");
    let talk = |it: &Pull| world.comments.values().filter(|one| one.pull == it.number).count();
    match sort {
        "updated" => found.sort_by_key(|it| it.updated),
        "popularity" => found.sort_by_key(|it| talk(it)),
        _ => found.sort_by_key(|it| (it.created, it.number)),
    }
    let usual = if sort == "created" { "desc" } else { "asc" };
    if asked.asks("direction").unwrap_or(usual) == "desc" {
        found.reverse();
    }
    Ok(asked.list(found.into_iter().map(|it| world.site.pull(it)).collect()))
}

fn pull(world: &mut World, asked: &Asked) -> Done {
    let pull = asked.pull(world)?;
    let comments = world.comments.values().filter(|it| it.pull == pull.number).count();
    Ok(Reply::json(200, world.site.whole_pull(pull, comments)))
}

fn files(world: &mut World, asked: &Asked) -> Done {
    let pull = asked.pull(world)?;
    // No more than these are ever listed.
    let found = pull.files.iter().take(3000).map(|it| world.site.file(pull, it));
    Ok(asked.list(found.collect()))
}

fn reviews(world: &mut World, asked: &Asked) -> Done {
    let pull = asked.pull(world)?;
    Ok(asked.list(pull.reviews.iter().map(|it| world.site.review(pull, it)).collect()))
}

fn permission(world: &mut World, asked: &Asked) -> Done {
    let login = asked.said("username");
    match world.levels.get(login) {
        Some(role) => Ok(Reply::json(200, world.site.permission(login, role))),
        None => Err(asked.refused(404, &format!("{login} is not a user"))),
    }
}

fn run(world: &mut World, asked: &Asked) -> Done {
    let run = world.runs.get(&asked.number("run_id")).ok_or_else(|| asked.missing())?;
    let hidden = asked.asks("exclude_pull_requests") == Some("true");
    let pulls = if hidden { Vec::new() } else { world.pulls_at(&run.sha) };
    Ok(Reply::json(200, world.site.run(run, &pulls)))
}

fn membership(world: &mut World, asked: &Asked) -> Done {
    let (team, login) = (asked.said("team_slug"), asked.said("username"));
    let state = world.teams.get(&(team.to_owned(), login.to_owned()));
    let state = state.ok_or_else(|| asked.missing())?;
    Ok(Reply::json(200, world.site.membership(team, login, state)))
}

fn user(world: &mut World, asked: &Asked) -> Done {
    match world.identity.person() {
        Some(login) => Ok(Reply::json(200, world.site.myself(login))),
        None => Err(asked.refused(403, &world.identity.refusal())),
    }
}
