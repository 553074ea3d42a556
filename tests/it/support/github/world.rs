//! What there is in the tests' GitHub, and how a request changes it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use super::Call;
use super::Fault;
use super::calls::Asked;
use super::calls::CALLS;
use super::description;
use super::limits::Limits;
use super::reply::Reply;
use super::reply::numbered;
use super::rules;
use super::site::Site;
use super::stage::App;
use super::stage::Check;
use super::stage::Comment;
use super::stage::Pull;
use super::stage::Status;
use super::stage::WorkflowRun;

const DOCUMENTATION: &str = "https://docs.github.com/rest";

/// Stands for a body that cannot be read, and for one that says `null`.
pub(super) const NOT_JSON: &str = "the body is not JSON";

pub(super) type Predicate = Box<dyn Fn(&Call) -> bool + Send>;
pub(super) type Lie = Box<dyn Fn(&mut Value) + Send>;

/// Whose token it is.
pub(super) enum Identity {
    /// The app that workflows act as.
    Actions,
    Person(String),
}

impl Identity {
    pub(super) fn login(&self) -> String {
        match self {
            Self::Actions => "github-actions[bot]".to_owned(),
            Self::Person(login) => login.clone(),
        }
    }

    pub(super) fn app(&self) -> Option<App> {
        match self {
            Self::Actions => Some(App::actions()),
            Self::Person(_) => None,
        }
    }

    pub(super) fn person(&self) -> Option<&str> {
        match self {
            Self::Actions => None,
            Self::Person(login) => Some(login),
        }
    }

    /// What GitHub says to a token that may not do something.
    pub(super) fn refusal(&self) -> String {
        let who = match self {
            Self::Actions => "integration",
            Self::Person(_) => "personal access token",
        };
        format!("Resource not accessible by {who}")
    }
}

pub(super) struct Rule {
    pub(super) times: usize,
    pub(super) when: Predicate,
    pub(super) fault: Fault,
}

pub(super) struct World {
    pub(super) site: Site,
    pub(super) identity: Identity,
    pub(super) token: String,
    pub(super) limits: Limits,
    pub(super) denied: BTreeSet<String>,
    pub(super) rules: Vec<Rule>,
    /// What makes answers wrong, by the call.
    pub(super) lies: BTreeMap<String, Lie>,
    pub(super) log: Vec<Call>,
    pub(super) violations: Vec<String>,
    pub(super) pulls: BTreeMap<u64, Pull>,
    pub(super) comments: BTreeMap<u64, Comment>,
    pub(super) checks: BTreeMap<u64, Check>,
    pub(super) statuses: Vec<Status>,
    pub(super) runs: BTreeMap<u64, WorkflowRun>,
    /// Commits of the default branch, and all others.
    pub(super) main: Vec<String>,
    pub(super) commits: BTreeSet<String>,
    /// The role of each login.
    pub(super) levels: BTreeMap<String, String>,
    /// The state of each membership, by team and login.
    pub(super) teams: BTreeMap<(String, String), String>,
    newest: u64,
}

impl World {
    pub(super) fn new(api: String, identity: Identity, token: &str) -> Self {
        let (who, limit) = match &identity {
            Identity::Actions => ("installation ID 1000", 1000),
            Identity::Person(_) => ("user ID 1000", 5000),
        };
        Self {
            site: Site { api },
            limits: Limits::new(who, limit),
            identity,
            token: token.to_owned(),
            denied: BTreeSet::new(),
            rules: Vec::new(),
            lies: BTreeMap::new(),
            log: Vec::new(),
            violations: Vec::new(),
            pulls: BTreeMap::new(),
            comments: BTreeMap::new(),
            checks: BTreeMap::new(),
            statuses: Vec::new(),
            runs: BTreeMap::new(),
            main: Vec::new(),
            commits: BTreeSet::new(),
            levels: BTreeMap::new(),
            teams: BTreeMap::new(),
            newest: 1_000_000,
        }
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// The commit that a reference is: one of all digits, or a branch.
    pub(super) fn commit(&self, reference: &str) -> Option<String> {
        let branch = reference.trim_start_matches("heads/");
        let own = |it: &&Pull| it.branch == branch && it.from == super::REPOSITORY;
        let known = self.commits.contains(reference) || self.main.iter().any(|it| it == reference);
        match branch {
            "main" => self.main.last().cloned(),
            _ if known => Some(reference.to_owned()),
            _ => self.pulls.values().find(own).map(|it| it.head().to_owned()),
        }
    }

    /// Open pull requests of the repository itself whose head this is.
    pub(super) fn pulls_at(&self, sha: &str) -> Vec<&Pull> {
        let own = |it: &&Pull| it.closed.is_none() && it.from == super::REPOSITORY;
        self.pulls.values().filter(own).filter(|it| it.head() == sha).collect()
    }

    pub(super) fn write_comment(
        &mut self,
        pull: u64,
        author: &str,
        body: &str,
        app: Option<App>,
    ) -> u64 {
        let (id, now) = (self.number(), Timestamp::now());
        let (author, body) = (author.to_owned(), body.to_owned());
        let (edits, reactions) = (0, Vec::new());
        let comment =
            Comment { id, author, body, edits, reactions, pull, app, created: now, updated: now };
        self.comments.insert(id, comment);
        id
    }

    pub(super) fn edit_comment(&mut self, id: u64, body: &str) {
        let comment = self.comments.get_mut(&id).unwrap();
        body.clone_into(&mut comment.body);
        comment.edits += 1;
        comment.updated = Timestamp::now();
    }

    pub(super) fn write_check(&mut self, mut check: Check) -> u64 {
        check.id = self.number();
        let id = check.id;
        self.checks.insert(id, check);
        id
    }

    pub(super) fn check(&self, id: u64) -> Value {
        let check = &self.checks[&id];
        self.site.check(check, &self.pulls_at(&check.sha))
    }

    /// Labels are the same whatever their case.
    pub(super) fn label(&mut self, pull: u64, name: &str) {
        let labels = &mut self.pulls.get_mut(&pull).unwrap().labels;
        if !labels.iter().any(|it| it.eq_ignore_ascii_case(name)) {
            labels.push(name.to_owned());
        }
    }

    /// Takes a label off; whether it was there.
    pub(super) fn unlabel(&mut self, pull: u64, name: &str) -> bool {
        let labels = &mut self.pulls.get_mut(&pull).unwrap().labels;
        let before = labels.len();
        labels.retain(|it| !it.eq_ignore_ascii_case(name));
        labels.len() < before
    }

    /// Keeps what the newest call did that it must not do.
    pub(super) fn wrong(&mut self, what: &str) {
        let about = self.log.last().map(|it| format!("call {}: {}", it.number, it.name));
        self.violations.push(format!("{}: {what}", about.unwrap_or_default()));
    }

    /// Keeps the call, and finds what is to go wrong with it.
    pub(super) fn arrive(&mut self, call: &mut Call) -> Option<Fault> {
        call.number = self.log.len() + 1;
        self.log.push(call.clone());
        let rule = self.rules.iter_mut().find(|rule| rule.times > 0 && (rule.when)(call))?;
        rule.times -= 1;
        Some(rule.fault)
    }

    /// Answers a request; what it does wrong is kept.
    pub(super) fn answer(&mut self, request: &Request<'_>) -> Reply {
        let found = description::find(request.method, request.path);
        let mut reply = match found {
            Some((operation, path)) => {
                let asked = Asked {
                    operation,
                    path,
                    query: request.query,
                    body: &request.body,
                    address: format!("{}{}", self.site.api, numbered(request.path)),
                };
                self.admit(request)
                    .and_then(|()| self.act(&asked))
                    .unwrap_or_else(|refused| refused)
            }
            None => {
                self.wrong("there is no such call, or it is not described here");
                Reply::missing(DOCUMENTATION)
            }
        };
        if request.method == "GET" && reply.status == 200 {
            reply = reply.unless_known(request.headers.get("if-none-match"));
        }
        if reply.status == 304 {
            self.limits.give();
        }
        reply
    }

    /// Whether a request may be looked at at all: who it is from, and how often they have asked.
    fn admit(&mut self, request: &Request<'_>) -> Result<(), Reply> {
        let wrong = rules::wrong_headers(request.headers, !request.body.is_null());
        for (_, what) in &wrong {
            self.wrong(what);
        }
        if let Some((status, what)) = wrong.into_iter().next() {
            return Err(Reply::error(status, &what, DOCUMENTATION));
        }
        match request.headers.get("authorization") {
            Some(given) if *given == format!("Bearer {}", self.token) => self.limits.take(),
            given => {
                let what =
                    if given.is_some() { "Bad credentials" } else { "Requires authentication" };
                self.wrong(&format!("{what}: the header `authorization` is not the token's"));
                Err(Reply::error(401, what, DOCUMENTATION))
            }
        }
    }

    /// Does what a request asks for, if its token may and it is well formed.
    fn act(&mut self, asked: &Asked) -> Result<Reply, Reply> {
        let name = asked.operation.name.as_str();
        let row = CALLS.iter().find(|row| row.0 == name);
        let (_, accepted, handler) = row.unwrap_or_else(|| panic!("nothing answers `{name}`"));
        let documentation = &asked.operation.documentation;
        if !rules::may(accepted, &self.denied) {
            let mut refused = Reply::error(403, &self.identity.refusal(), documentation);
            refused.headers.push(("x-accepted-github-permissions", (*accepted).to_owned()));
            return Err(refused);
        }
        if !asked.is_here() {
            return Err(Reply::missing(documentation));
        }
        if asked.body == NOT_JSON {
            self.wrong(NOT_JSON);
            return Err(Reply::error(400, "Problems parsing JSON", documentation));
        }
        let mut wrong = asked.operation.wrong_parameters(&asked.path, asked.query);
        for (name, most) in [("per_page", 100), ("page", u64::MAX)] {
            let given = asked.query.get(name).and_then(|it| it.parse::<u64>().ok());
            if given.is_some_and(|it| !(1..=most).contains(&it)) {
                wrong.push(format!("`{name}` is not from 1 to {most}"));
            }
        }
        wrong.extend(asked.operation.wrong_body(asked.body));
        self.well_formed(asked, &wrong)?;
        let mut reply = handler(self, asked)?;
        if let Some(lie) = self.lies.get(name) {
            lie(&mut reply.body);
        }
        if !accepted.is_empty() {
            reply.headers.push(("x-accepted-github-permissions", (*accepted).to_owned()));
        }
        Ok(reply)
    }

    /// Refuses what is wrong by the description or by a rule beyond it; all of it is kept.
    fn well_formed(&mut self, asked: &Asked, wrong: &[String]) -> Result<(), Reply> {
        let documentation = &asked.operation.documentation;
        for what in wrong {
            self.wrong(what);
        }
        let mut errors = Vec::new();
        for it in rules::broken(&asked.operation.name, asked.body) {
            self.wrong(&format!("`{}`: {}", it.field, it.message));
            errors.push(json!({"field": it.field, "code": it.code, "message": it.message}));
        }
        if !wrong.is_empty() {
            let what = format!("Invalid request.\n\n{}", wrong.join("\n"));
            return Err(Reply::error(422, &what, documentation));
        }
        if errors.is_empty() {
            return Ok(());
        }
        let mut reply = Reply::error(422, "Validation Failed", documentation);
        reply.body["errors"] = Value::Array(errors);
        Err(reply)
    }
}

/// A request, read: its body is null where there is none.
pub(super) struct Request<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a [String],
    pub(super) query: &'a BTreeMap<String, String>,
    pub(super) headers: &'a BTreeMap<String, String>,
    pub(super) body: Value,
}
