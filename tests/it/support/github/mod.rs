//! A GitHub for tests: the part of its REST API that the program uses, with one repository in it,
//! stricter than the real one and held to GitHub's own published description on both sides.
//!
//! # Why
//! Mock servers that can be installed keep nothing: what was posted cannot be read back, edited by
//! somebody else or found twice. Here comments, checks and labels stay; every request must be what
//! GitHub describes and more; every answer is what GitHub describes, or the server stops. Whatever
//! breaks a rule is kept as a violation for the test to look at.
//!
//! What is stricter than GitHub: unknown keys and parameters, missing headers and pages out of range
//! are refused; nobody edits a comment of somebody else; a check's text may not be cut silently.

mod calls;
mod description;
mod limits;
mod reply;
mod rules;
mod serve;
mod site;
mod stage;
mod world;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use self::world::Identity;
use self::world::Rule;
use self::world::World;

pub(crate) use self::stage::App;
pub(crate) use self::stage::Check;
pub(crate) use self::stage::Comment;
pub(crate) use self::stage::Pull;
pub(crate) use self::stage::Status;
pub(crate) use self::stage::WorkflowRun;

/// The repository that there is.
pub(crate) const REPOSITORY: &str = "acme/features";
const OWNER: &str = "acme";
/// Its number, which stands in the links of pages.
const ID: u64 = 700_700;

/// The token, which no output may ever contain.
pub(crate) const TOKEN: &str = "ghs_0123456789abcdefghijABCDEFGHIJklmnop";

/// A way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status instead of doing anything.
    Status(u16),
    /// It was done, and the answer is this status.
    StatusAfter(u16),
    /// The connection is reset; nothing was done.
    ResetBefore,
    /// The connection is reset; it was done.
    ResetAfter,
    /// It is done this much later.
    StallBefore(Duration),
    /// It was done, and the answer comes this much later.
    StallAfter(Duration),
    /// It was done, and the answer breaks off in the middle of its body.
    BrokenBody,
    /// It was done, and the answer's body is a page for people.
    NotJson,
    /// The hourly limit is used up, for so many seconds from now.
    Exhausted { status: u16, seconds: u64 },
    /// A secondary limit, which may say for how many seconds.
    Secondary { status: u16, retry_after: Option<u64> },
}

/// A call, as faults see it and as the log keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Counts all calls of the server, from 1.
    pub(crate) number: usize,
    /// `METHOD /path/{template}`; with the path itself where no template fits.
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) query: BTreeMap<String, String>,
    /// Null where there is none.
    pub(crate) body: Value,
    /// The status of the answer; none where there was none, or none yet.
    pub(crate) status: Option<u16>,
}

impl Call {
    /// Whether it is this call; `/repos/{owner}/{repo}` may be left out. A call that the
    /// description does not have is a mistake of the test.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.name == description::full(name)
    }

    /// Whether it would change something.
    pub(crate) fn is_write(&self) -> bool {
        !self.name.starts_with("GET ")
    }
}

struct Shared {
    world: Mutex<World>,
    stopped: AtomicBool,
    /// Those that are open, by the address of their client.
    connections: Mutex<BTreeMap<SocketAddr, TcpStream>>,
}

/// A running server; it stops when this is dropped.
pub(crate) struct GitHub {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What a lock holds, also after a server thread panicked while it held it.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GitHub {
    /// A server whose token is a workflow's: that of the app `github-actions`.
    pub(crate) fn start() -> Self {
        Self::serving(Identity::Actions)
    }

    /// A server whose token is a person's: they have a login, and cannot write checks.
    pub(crate) fn personal(login: &str) -> Self {
        Self::serving(Identity::Person(login.to_owned()))
    }

    fn serving(identity: Identity) -> Self {
        // What is missing shows in the test, not in a thread of its own.
        let mut described: Vec<&str> = description::names().collect();
        let mut answered: Vec<&str> = calls::CALLS.iter().map(|row| row.0).collect();
        described.sort_unstable();
        answered.sort_unstable();
        assert_eq!(described, answered, "tests/openapi.mjs and CALLS list the same calls");
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let world = World::new(format!("http://{address}"), identity, TOKEN);
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            stopped: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                thread::spawn(move || served.serve(stream));
            }
        });
        Self { shared, address }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        held(&self.shared.world)
    }

    /// What `GITHUB_API_URL` is to say.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets the next `times` calls that `when` picks go wrong. Rules are asked in their order,
    /// and the first one that picks a call has it.
    pub(crate) fn fail(
        &self,
        times: usize,
        fault: Fault,
        when: impl Fn(&Call) -> bool + Send + 'static,
    ) {
        self.world().rules.push(Rule { times, when: Box::new(when), fault });
    }

    /// Forgets all faults that have not happened yet; gives how many those were.
    pub(crate) fn heal(&self) -> usize {
        self.world().rules.drain(..).map(|rule| rule.times).sum()
    }

    /// Leaves so many calls until the hourly limit, which refuses with 403 then.
    pub(crate) fn leave(&self, calls: u64) {
        self.world().limits.leave(calls);
    }

    /// Takes a permission from the token: `checks` with all reading, or `checks:write` alone.
    /// Whatever may be done under another permission as well can still be done: to comment and to
    /// label, `issues` or `pull-requests` suffices. `contents` is taken too, but no call needs it.
    pub(crate) fn deny(&self, permission: &str) {
        let permission = permission.replace('-', "_");
        let name = permission.trim_end_matches(":write");
        let known = calls::CALLS.iter().any(|row| row.1.contains(&format!("{name}=")));
        assert!(known || name == "contents", "no call needs `{permission}`");
        self.world().denied.insert(permission);
    }

    /// Makes the answers of a call wrong, to see that this is found.
    pub(crate) fn lie(&self, name: &str, lie: impl Fn(&mut Value) + Send + 'static) {
        self.world().lies.insert(description::full(name), Box::new(lie));
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.world().log.clone()
    }

    /// What clients did that they must not do, and answers of this server that GitHub would not give.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.world().violations.clone()
    }

    /// How many calls came although the client had been told to wait longer.
    pub(crate) fn impatient(&self) -> usize {
        self.world().limits.impatient
    }
}

/// What a test puts there, as others would.
impl GitHub {
    /// A commit of the default branch.
    pub(crate) fn commit(&self, sha: &str) {
        self.world().main.push(sha.to_owned());
    }

    pub(crate) fn open(&self, pull: Pull) {
        let mut world = self.world();
        world.commits.extend(pull.heads.iter().cloned());
        if !world.main.contains(&pull.base_sha) {
            world.main.push(pull.base_sha.clone());
        }
        world.pulls.insert(pull.number, pull);
    }

    fn change(&self, pull: u64, change: impl FnOnce(&mut Pull)) {
        let mut world = self.world();
        let pull = world.pulls.get_mut(&pull).unwrap();
        change(pull);
        pull.updated = Timestamp::now();
    }

    pub(crate) fn push(&self, pull: u64, head: &str) {
        self.change(pull, |it| it.heads.push(head.to_owned()));
        self.world().commits.insert(head.to_owned());
    }

    pub(crate) fn merge(&self, pull: u64, sha: &str, by: &str) {
        let (at, sha, by) = (Timestamp::now(), sha.to_owned(), by.to_owned());
        self.world().main.push(sha.clone());
        self.change(pull, |it| {
            it.closed = Some(at);
            it.merged = Some(stage::Merged { sha, by, at });
        });
    }

    pub(crate) fn close(&self, pull: u64) {
        self.change(pull, |it| it.closed = Some(Timestamp::now()));
    }

    pub(crate) fn label(&self, pull: u64, name: &str) {
        self.world().label(pull, name);
    }

    pub(crate) fn unlabel(&self, pull: u64, name: &str) {
        assert!(self.world().unlabel(pull, name), "{name} is not there");
    }

    /// A review, in the state that it has now: `APPROVED`, `CHANGES_REQUESTED`, `DISMISSED`, …
    pub(crate) fn review(&self, pull: u64, login: &str, state: &str, commit: &str) {
        let (id, at) = (self.world().number(), Timestamp::now());
        let (login, state, commit) = (login.to_owned(), state.to_owned(), commit.to_owned());
        self.change(pull, |it| it.reviews.push(stage::Review { id, login, state, commit, at }));
    }

    /// A comment by somebody; gives its id.
    pub(crate) fn comment(&self, pull: u64, author: &str, body: &str) -> u64 {
        self.world().write_comment(pull, author, body, None)
    }

    /// Edits a comment, whosoever it is: its author stays.
    pub(crate) fn edit(&self, comment: u64, body: &str) {
        self.world().edit_comment(comment, body);
    }

    pub(crate) fn delete_comment(&self, comment: u64) {
        assert!(self.world().comments.remove(&comment).is_some());
    }

    /// A check by any app; gives its id.
    pub(crate) fn check(&self, check: Check) -> u64 {
        let mut world = self.world();
        world.commits.insert(check.sha.clone());
        world.write_check(check)
    }

    pub(crate) fn run(&self, run: WorkflowRun) {
        self.world().runs.insert(run.id, run);
    }

    /// The role of a login: `admin`, `maintain`, `write`, `triage`, `read` or `none`. Who has none
    /// at all is nobody that GitHub knows.
    pub(crate) fn role(&self, login: &str, role: &str) {
        self.world().levels.insert(login.to_owned(), role.to_owned());
    }

    /// A membership that is `active` or, as long as an invitation is not accepted, `pending`.
    pub(crate) fn member(&self, team: &str, login: &str, state: &str) {
        self.world().teams.insert((team.to_owned(), login.to_owned()), state.to_owned());
    }
}

/// What a test finds there.
impl GitHub {
    /// The comments of a pull request, the oldest first.
    pub(crate) fn comments(&self, pull: u64) -> Vec<Comment> {
        self.world().comments.values().filter(|it| it.pull == pull).cloned().collect()
    }

    /// The checks of a commit, the oldest first.
    pub(crate) fn checks(&self, sha: &str) -> Vec<Check> {
        self.world().checks.values().filter(|it| it.sha == sha).cloned().collect()
    }

    /// The statuses of a commit, the oldest first.
    pub(crate) fn statuses(&self, sha: &str) -> Vec<Status> {
        self.world().statuses.iter().filter(|it| it.sha == sha).cloned().collect()
    }

    pub(crate) fn labels(&self, pull: u64) -> Vec<String> {
        self.world().pulls[&pull].labels.clone()
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.address));
        for stream in held(&self.shared.connections).values() {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}
