//! A repository on a GitHub of the tests' own, with a cluster and a bucket behind it: pull requests
//! are opened, merged and queued as git does it, and the binary is run as a workflow would run it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use serde_json::Value;
use serde_json::json;

use super::Repo;
use super::Run;
use super::command;
use super::github::Check;
use super::github::Comment;
use super::github::GitHub;
use super::github::Pull;
use super::github::REPOSITORY;
use super::github::TOKEN;
use super::stage::DAY;
use super::stage::Running;
use super::stage::Stage;

/// The check of the env that most tests have.
pub(crate) const PLAN: &str = "chronon-plan: prod";
pub(crate) const APPLY: &str = "chronon-plan apply: prod";

/// No commit.
const ZEROS: &str = "0000000000000000000000000000000000000000";

/// Where jobs of a workflow run: a clone, a machine around it, and what is behind both.
pub(crate) trait Site {
    fn repo(&self) -> &Repo;
    /// A folder beside the clone, for this purpose alone.
    fn folder(&self) -> PathBuf;
    /// Gives a command the machine's environment.
    fn equip(&self, command: &mut Command);
}

impl Site for Stage {
    fn repo(&self) -> &Repo {
        &self.repo
    }

    fn folder(&self) -> PathBuf {
        self.path("ci")
    }

    fn equip(&self, command: &mut Command) {
        if let Some(gcs) = &self.gcs {
            command.env("STORAGE_EMULATOR_HOST", gcs.endpoint());
        }
    }
}

/// Everything that a workflow meets.
pub(crate) struct Forge<S = Stage> {
    pub(crate) stage: S,
    pub(crate) github: GitHub,
    jobs: AtomicUsize,
}

/// A job that ended, with what it left.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) run: Run,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) summary: String,
}

/// A job that runs.
pub(crate) struct Working {
    running: Running,
    folder: PathBuf,
}

impl Forge {
    /// The fixture repository with these settings added to the usual ones; what `main` says runs.
    pub(crate) fn new(more: &str) -> Self {
        Self::on(GitHub::start(), more)
    }

    /// The same on a GitHub that knows the token otherwise.
    pub(crate) fn on(github: GitHub, more: &str) -> Self {
        let forge = Self::bare(github, more);
        forge.stage.adopt("main");
        forge
    }

    /// The same without a ledger.
    pub(crate) fn bare(github: GitHub, more: &str) -> Self {
        let stage = Stage::in_bucket(&[]);
        stage.settings("", more);
        let settings = fs::read_to_string(stage.path("settings.toml")).unwrap();
        stage.repo.write("chronon-plan.toml", settings);
        stage.repo.commit("settings");
        Self::of(stage, github)
    }

    /// Opens a pull request with one change of the fixtures, and GitHub's test merge of it.
    pub(crate) fn open(&self, number: u64, change: &str) -> String {
        self.open_by(number, &|| drop(self.stage.commit(change)), |pull| pull)
    }

    /// Pushes one more change of the fixtures to a pull request.
    pub(crate) fn push(&self, number: u64, change: &str) -> String {
        self.push_by(number, &|| drop(self.stage.commit(change)))
    }

    /// Commits a change of the fixtures to main, past every pull request.
    pub(crate) fn push_to_main(&self, change: &str) -> (String, String) {
        self.git(&["checkout", "-q", "main"]);
        let before = self.commit_of("main");
        let after = self.stage.commit(change);
        self.github.commit(&after);
        (before, after)
    }
}

impl<S: Site> Forge<S> {
    /// A site whose commits GitHub has.
    pub(crate) fn of(stage: S, github: GitHub) -> Self {
        let commits = stage.repo().git(&["rev-list", "--reverse", "main"]);
        commits.lines().for_each(|commit| github.commit(commit));
        fs::create_dir(stage.folder()).unwrap();
        Self { stage, github, jobs: AtomicUsize::new(0) }
    }

    pub(crate) fn git(&self, args: &[&str]) -> String {
        self.stage.repo().git(args).trim().to_owned()
    }

    /// The commit of a revision.
    pub(crate) fn commit_of(&self, rev: &str) -> String {
        self.git(&["rev-parse", &format!("{rev}^{{commit}}")])
    }

    /// Opens a pull request with whatever `commit` commits; `with` says what is special about it.
    pub(crate) fn open_by(
        &self,
        number: u64,
        commit: &dyn Fn(),
        with: impl FnOnce(Pull) -> Pull,
    ) -> String {
        let base = self.commit_of("main");
        self.git(&["checkout", "-q", "-B", &branch(number), "main"]);
        commit();
        let head = self.commit_of("HEAD");
        let files = self.git(&["diff", "--name-status", "--no-renames", &base, &head]);
        let mut pull = Pull::new(number, &head).onto("main", &base);
        for line in files.lines() {
            let (kind, path) = line.split_once('\t').unwrap();
            let status = match kind {
                "A" => "added",
                "D" => "removed",
                _ => "modified",
            };
            pull = pull.file(path, status);
        }
        self.github.open(with(pull));
        self.test_merge(number);
        head
    }

    /// Pushes what `commit` commits to a pull request.
    pub(crate) fn push_by(&self, number: u64, commit: &dyn Fn()) -> String {
        self.git(&["checkout", "-q", &branch(number)]);
        commit();
        let head = self.commit_of("HEAD");
        self.github.push(number, &head);
        self.test_merge(number);
        head
    }

    /// Merges a pull request into main for a try, as GitHub does at every push.
    pub(crate) fn test_merge(&self, number: u64) -> String {
        self.git(&["checkout", "-q", "--detach", "main"]);
        self.git(&["merge", "-q", "--no-ff", "-m", "test merge", &branch(number)]);
        let merge = self.commit_of("HEAD");
        self.git(&["update-ref", &format!("refs/remotes/pull/{number}/merge"), &merge]);
        self.git(&["checkout", "-q", "main"]);
        merge
    }

    /// Merges a pull request by squashing it; gives the commits before and after.
    pub(crate) fn squash(&self, number: u64) -> (String, String) {
        let before = self.commit_of("main");
        self.git(&["checkout", "-q", "main"]);
        self.git(&["merge", "-q", "--squash", &branch(number)]);
        self.git(&["commit", "-q", "-m", &format!("Change (#{number})")]);
        let after = self.commit_of("main");
        self.github.merge(number, &after, "rita");
        (before, after)
    }

    /// Merges a pull request by a merge commit; gives the commits before and after.
    pub(crate) fn merge(&self, number: u64) -> (String, String) {
        let before = self.commit_of("main");
        self.git(&["checkout", "-q", "main"]);
        let message = format!("Merge pull request #{number} from acme/{}", branch(number));
        self.git(&["merge", "-q", "--no-ff", "-m", &message, &branch(number)]);
        let after = self.commit_of("main");
        self.github.merge(number, &after, "rita");
        (before, after)
    }

    /// What an event's payload says of a pull request.
    pub(crate) fn pull(&self, number: u64, more: &Value) -> Value {
        let merge = self.commit_of(&format!("refs/remotes/pull/{number}/merge"));
        let mut pull = json!({
            "number": number,
            "title": format!("Change {number}"),
            "user": {"login": "ana"},
            "state": "open",
            "draft": false,
            "merged": false,
            "merge_commit_sha": merge,
            "head": {
                "sha": self.commit_of(&branch(number)),
                "ref": branch(number),
                "repo": {"full_name": REPOSITORY},
            },
            "base": {
                "sha": self.commit_of("main"),
                "ref": "main",
                "repo": {"full_name": REPOSITORY},
            },
        });
        for (name, value) in more.as_object().unwrap() {
            pull[name] = value.clone();
        }
        pull
    }

    /// Runs the job of a pull request's event on its test merge.
    pub(crate) fn pull_request(&self, number: u64, action: &str) -> Job {
        self.pull_request_with(number, action, &json!({}))
    }

    /// The same, where the event says something else of the pull request.
    pub(crate) fn pull_request_with(&self, number: u64, action: &str, more: &Value) -> Job {
        let payload = json!({
            "action": action,
            "number": number,
            "pull_request": self.pull(number, more),
        });
        self.check_out(&format!("refs/remotes/pull/{number}/merge"));
        self.job("pull_request", payload)
    }

    /// Runs the job of a push to main.
    pub(crate) fn pushed(&self, (before, after): &(String, String)) -> Job {
        self.start_pushed(before, after).end()
    }

    /// Starts it.
    pub(crate) fn start_pushed(&self, before: &str, after: &str) -> Working {
        self.check_out(after);
        self.start("push", self.push_payload(before, after))
    }

    /// What an event's payload says of a push to main.
    pub(crate) fn push_payload(&self, before: &str, after: &str) -> Value {
        json!({
            "ref": "refs/heads/main", "before": before, "after": after,
            "deleted": false, "forced": false, "commits": [],
        })
    }

    /// Runs the job of a merge queue's commit: that of a pull request on top of another commit.
    pub(crate) fn queued(&self, number: u64, base: &str) -> (String, Job) {
        let (head, payload) = self.queue(number, base);
        (head, self.job("merge_group", payload))
    }

    /// Puts a pull request into the queue and checks its commit out; gives that and the payload.
    pub(crate) fn queue(&self, number: u64, base: &str) -> (String, Value) {
        self.git(&["checkout", "-q", "--detach", base]);
        let message = format!("Merge pull request #{number} from acme/{}", branch(number));
        self.git(&["merge", "-q", "--no-ff", "-m", &message, &branch(number)]);
        let head = self.commit_of("HEAD");
        self.github.commit(&head);
        let payload = json!({
            "action": "checks_requested",
            "merge_group": {
                "head_sha": head,
                "head_ref": format!("refs/heads/gh-readonly-queue/main/pr-{number}-{base}"),
                "base_sha": base,
                "base_ref": "refs/heads/main",
            },
        });
        (head, payload)
    }

    /// Runs the workflow by hand on main.
    pub(crate) fn dispatch(&self, inputs: &Value) -> Job {
        self.check_out("main");
        self.job("workflow_dispatch", json!({"ref": "refs/heads/main", "inputs": inputs}))
    }

    /// Somebody writes a comment on a pull request; gives the job and the comment.
    pub(crate) fn commented(&self, number: u64, author: &str, body: &str, at: &str) -> (u64, Job) {
        let id = self.github.comment(number, author, body);
        self.check_out(at);
        let payload = json!({
            "action": "created",
            "issue": {"number": number, "pull_request": {"url": "x"}},
            "comment": {
                "id": id, "body": body, "user": {"login": author}, "author_association": "NONE",
            },
        });
        (id, self.job("issue_comment", payload))
    }

    fn check_out(&self, rev: &str) {
        self.git(&["checkout", "-q", "--detach", rev]);
    }

    /// Runs `ci` for an event to its end.
    pub(crate) fn job(&self, event: &str, payload: Value) -> Job {
        self.start(event, payload).end()
    }

    /// Starts `ci` for an event on what is checked out.
    pub(crate) fn start(&self, event: &str, payload: Value) -> Working {
        let (command, folder) = self.command(event, payload, &[]);
        Working { running: Running::reading(command, &folder, "/dev/null".as_ref()), folder }
    }

    /// The command of a job, and the folder with what it is told and says.
    pub(crate) fn command(
        &self,
        event: &str,
        mut payload: Value,
        args: &[&str],
    ) -> (Command, PathBuf) {
        payload["repository"] = json!({"full_name": REPOSITORY, "default_branch": "main"});
        let number = self.jobs.fetch_add(1, Ordering::SeqCst) + 1;
        let folder = self.stage.folder().join(number.to_string());
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("event.json"), payload.to_string()).unwrap();
        let mut command = command(self.stage.repo().path());
        command.args(["ci", "--as-of", DAY, "--lock-timeout", "60"]).args(args);
        let path = |name: &str| folder.join(name).display().to_string();
        command.envs([
            ("CI", "true"),
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", event),
            ("GITHUB_EVENT_PATH", &path("event.json")),
            ("GITHUB_REPOSITORY", REPOSITORY),
            ("GITHUB_API_URL", &self.github.endpoint()),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_SHA", &self.commit_of("HEAD")),
            ("GITHUB_RUN_ID", &format!("{}", 1_000 + number)),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_ACTOR", "ana"),
            ("GITHUB_TOKEN", TOKEN),
            ("GITHUB_OUTPUT", &path("output")),
            ("GITHUB_STEP_SUMMARY", &path("summary")),
            ("RUNNER_TEMP", &path("temp")),
        ]);
        self.stage.equip(&mut command);
        (command, folder)
    }

    /// The one comment of the program on a pull request.
    pub(crate) fn comment(&self, number: u64) -> Comment {
        let comments = self.github.comments(number);
        let ours: Vec<Comment> =
            comments.into_iter().filter(|it| it.body.starts_with("<!-- chronon-plan")).collect();
        assert_eq!(ours.len(), 1, "{ours:#?}");
        ours.into_iter().next().unwrap()
    }

    /// The newest check of a name on a commit.
    pub(crate) fn check(&self, sha: &str, name: &str) -> Check {
        let checks = self.github.checks(sha);
        let found = checks.into_iter().rfind(|it| it.name == name);
        found.unwrap_or_else(|| panic!("no check `{name}` on {sha}"))
    }

    /// The conclusion of that check.
    pub(crate) fn conclusion(&self, sha: &str, name: &str) -> String {
        self.check(sha, name).conclusion.unwrap_or_default()
    }

    /// Whether every request was one that GitHub takes, and every answer one that it gives; and no
    /// text that was sent anywhere holds a secret.
    pub(crate) fn assert_clean(&self, jobs: &[&Job]) {
        assert_eq!(self.github.violations(), [""; 0]);
        let sent = self.github.calls().into_iter().map(|it| it.body.to_string());
        let said = jobs.iter().flat_map(|job| {
            let outputs = format!("{:?}", job.outputs);
            [job.run.stdout.clone(), job.run.stderr.clone(), job.summary.clone(), outputs]
        });
        for text in sent.chain(said) {
            for secret in ["hunter2", "hunter3", TOKEN] {
                assert!(!text.contains(secret), "{secret}: {text}");
            }
        }
    }
}

/// The branch of a pull request.
pub(crate) fn branch(number: u64) -> String {
    format!("change-{number}")
}

impl Working {
    /// Waits for its end.
    pub(crate) fn end(self) -> Job {
        let run = self.running.end();
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        Job { run, outputs: outputs(&read("output")), summary: read("summary") }
    }

    pub(crate) fn running(&self) -> &Running {
        &self.running
    }
}

/// Values as GitHub reads them from the file.
fn outputs(text: &str) -> BTreeMap<String, String> {
    let mut outputs = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, end) = line.split_once("<<").unwrap();
        let value: Vec<&str> = lines.by_ref().take_while(|it| *it != end).collect();
        outputs.insert(name.to_owned(), value.join("\n"));
    }
    outputs
}

impl Job {
    /// It ended with this code.
    pub(crate) fn ended(self, code: i32) -> Self {
        let Run { code: found, stdout, stderr } = &self.run;
        assert_eq!(*found, code, "{stdout}\n{stderr}");
        self
    }
}

/// A push of a branch that is new.
pub(crate) fn new_branch(after: &str) -> Value {
    json!({
        "ref": "refs/heads/main", "before": ZEROS, "after": after,
        "deleted": false, "forced": false, "commits": [],
    })
}
