//! The state of an env, opened: where it is, who locks it, and what is true of it now.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use super::failure::Exit;
use super::failure::Failure;
use super::workspace::Prepared;
use crate::apply::runner::Stop;
use crate::model::ledger::Ledger;
use crate::model::name::CommitId;
use crate::model::name::hex_of;
use crate::state;
use crate::state::StateError;
use crate::state::clock::Clock;
use crate::state::fold;
use crate::state::fold::Known;
use crate::state::head;
use crate::state::head::Head;
use crate::state::journal::Carried;
use crate::state::lease;
use crate::state::lease::Ask;
use crate::state::lease::Holder;
use crate::state::lease::Lease;
use crate::state::lease::Waiting;
use crate::state::location::Location;
use crate::state::objects::Objects;

/// Where state is kept when nobody says.
pub(super) const USUAL: &str = ".chronon-plan";

/// After how many seconds without a sign of life a lock may be taken over when nobody says.
const USUAL_TTL: u32 = 60;

/// How often a thread that only waits looks around.
const LOOK: Duration = Duration::from_millis(50);

/// The state of one env.
pub(super) struct State {
    pub(super) objects: Objects,
    pub(super) env: String,
    pub(super) location: String,
    ttl: Duration,
}

impl State {
    /// Opens it; nothing is read or written yet.
    pub(super) fn open(prepared: &Prepared) -> Result<Self, Failure> {
        let place = place(prepared);
        let location = Location::parse(&place, &prepared.top())?;
        let endpoint = std::env::var("STORAGE_EMULATOR_HOST").ok().filter(|it| !it.is_empty());
        let store = state::location::open(&location, &prepared.env, endpoint.as_deref())?;
        let ttl = prepared.settings.lock_ttl.unwrap_or(USUAL_TTL);
        Ok(Self {
            objects: Objects::new(store, clock()),
            env: prepared.env.clone(),
            location: place,
            ttl: Duration::from_secs(ttl.into()),
        })
    }

    /// What is true now, without the lock.
    pub(super) fn known(&self) -> Result<Known, Failure> {
        Ok(fold::known(&self.objects, &self.env)?)
    }
}

/// Where the state of an env is, as the settings name it; nobody looks there.
pub(super) fn place(prepared: &Prepared) -> String {
    let text = prepared.settings.state.as_deref().unwrap_or(USUAL);
    text.trim_end_matches('/').to_owned()
}

/// A name that nothing else has.
pub(super) fn nonce() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // A machine without randomness still has time and processes.
        let now = jiff::Timestamp::now().as_nanosecond().to_le_bytes();
        bytes.copy_from_slice(&now);
        bytes[0] ^= u8::try_from(std::process::id() & 0xff).unwrap_or_default();
    }
    hex_of(&bytes)
}

/// Now, in UTC, as RFC 3339, to the second.
pub(super) fn date() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The system's clock, its sleep, and its randomness.
pub(super) fn clock() -> Clock {
    let start = Instant::now();
    let jitter = || {
        let mut bytes = [0_u8; 4];
        getrandom::fill(&mut bytes)
            .map_or(0.5, |()| f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX))
    };
    Clock::new(move || start.elapsed(), std::thread::sleep, jitter)
}

/// A run's name: when it began, and something that no other has.
pub(super) fn run_name() -> String {
    format!("{}-{}", jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), &nonce()[..8])
}

/// Who runs this, as far as the environment tells.
fn holder(run: &str, doing: &str, commit: Option<&CommitId>) -> Holder {
    let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let url = || {
        let (server, repository) = (var("GITHUB_SERVER_URL")?, var("GITHUB_REPOSITORY")?);
        Some(format!("{server}/{repository}/actions/runs/{}", var("GITHUB_RUN_ID")?))
    };
    Holder {
        run: run.to_owned(),
        doing: doing.to_owned(),
        actor: ["GITHUB_ACTOR", "USER", "LOGNAME"]
            .iter()
            .find_map(|name| var(name))
            .unwrap_or_else(|| "somebody".to_owned()),
        host: host(),
        pid: std::process::id(),
        commit: commit.map(ToString::to_string),
        url: url(),
        since: date(),
    }
}

fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Whether a holder is gone for good: a process of this machine that is no more.
fn is_dead(holder: &Holder) -> bool {
    let pid = i32::try_from(holder.pid).ok().and_then(rustix::process::Pid::from_raw);
    let gone = |pid| {
        rustix::process::test_kill_process(pid).is_err_and(|error| error == rustix::io::Errno::SRCH)
    };
    holder.host == host() && pid.is_some_and(gone)
}

/// What to lock for.
pub(super) struct Wish<'a> {
    pub(super) doing: &'a str,
    pub(super) commit: Option<&'a CommitId>,
    /// How long to wait for another holder.
    pub(super) patience: Duration,
    /// Asked to stop, by a signal or because the lock is lost.
    pub(super) stop: &'a Arc<Stop>,
    /// Who hears whom is waited for.
    pub(super) tell: &'a dyn Fn(String),
    /// Whether a ledger that cannot be read is no obstacle: another takes its place.
    pub(super) mends: bool,
}

/// The lock held, and what was true when it was taken.
pub(super) struct Session<'a> {
    pub(super) run: String,
    pub(super) lease: &'a Lease<'a>,
    pub(super) head: Option<Head>,
    /// The ledger with what journals add.
    pub(super) ledger: Option<Arc<Ledger>>,
    pub(super) carried: Carried,
    /// Whether this run's own journal holds what the ledger does not.
    pub(super) journaled: AtomicBool,
    /// Whether everything that journals held is in the ledger now.
    pub(super) folded: AtomicBool,
}

impl Session<'_> {
    /// Writes the next ledger, after which the journals of earlier runs add nothing: what they
    /// held is in it, in this run's own journal, or meant to go.
    pub(super) fn supersede(
        &self,
        state: &State,
        before: Option<&Head>,
        ledger: Ledger,
    ) -> Result<Head, Failure> {
        let superseded = self.lease.unfinished.clone();
        self.save(state, before, Ledger { superseded, ..ledger })
    }

    /// Writes the next ledger.
    pub(super) fn save(
        &self,
        state: &State,
        before: Option<&Head>,
        ledger: Ledger,
    ) -> Result<Head, Failure> {
        if !self.lease.is_held() && self.lease.renew().is_err() {
            return Err(lost());
        }
        let head = head::save(&state.objects, &state.env, &nonce(), before, ledger)?;
        Ok(head)
    }
}

/// What is said where the lock was lost.
pub(super) fn lost() -> Failure {
    Failure::new("the lock was lost: another run has taken it over, or no answer came in time")
        .ends(Exit::Locked)
        .hint("chronon-plan lock show, to see who holds it; then apply again: nothing is lost")
}

/// Does `work` under the lock, which is renewed meanwhile and given back afterwards.
pub(super) fn locked<T>(
    state: &State,
    wish: &Wish<'_>,
    work: impl FnOnce(&Session<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let run = run_name();
    let ask = Ask {
        nonce: nonce(),
        holder: holder(&run, wish.doing, wish.commit),
        ttl: state.ttl,
        patience: wish.patience,
    };
    let mut tell = |waiting: Waiting<'_>| match waiting {
        Waiting::Held(document) => {
            (wish.tell)(format!("waiting for the lock: held by {}", lease::describe(document)))
        }
        Waiting::TakenOver(document) => (wish.tell)(format!(
            "taking over the lock of {}, which gives no sign of life",
            lease::describe(document)
        )),
    };
    let stopped = || wish.stop.is_asked();
    let lease = lease::acquire(&state.objects, &ask, &is_dead, &stopped, &mut tell)?;
    let done = AtomicBool::new(false);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| keep(&lease, &done, wish.stop));
        let _guard = Finish(&done);
        session(state, &run, &lease, wish.mends).map(|session| {
            let result = work(&session);
            let mut unfinished = match session.folded.load(Ordering::SeqCst) {
                true => Vec::new(),
                false => lease.unfinished.clone(),
            };
            if session.journaled.load(Ordering::SeqCst) {
                unfinished.push(run.clone());
            }
            (result, unfinished)
        })
    });
    let (result, unfinished) = match result {
        Ok((result, unfinished)) => (result, unfinished),
        Err(failure) => (Err(failure), lease.unfinished.clone()),
    };
    match (lease.release(unfinished), result) {
        (Err(_), Ok(_)) => Err(lost()),
        (_, result) => result,
    }
}

fn session<'a>(
    state: &State,
    run: &str,
    lease: &'a Lease<'a>,
    mends: bool,
) -> Result<Session<'a>, Failure> {
    let journals = fold::seal(&state.objects, &lease.unfinished, run)?;
    let head = match head::load(&state.objects, &state.env) {
        Err(StateError::Bad { newer: false, .. }) if mends => head::unreadable(&state.objects)?,
        other => other?,
    };
    let carried = fold::gather(journals, head.as_ref());
    let ledger = head.as_ref().map(|head| fold::onto(head, &carried));
    let (journaled, folded) = (AtomicBool::new(false), AtomicBool::new(false));
    Ok(Session { run: run.to_owned(), lease, head, ledger, carried, journaled, folded })
}

/// Ends the renewing, whatever becomes of the work: a lock must not outlive a panic.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Renews the lease until the work is done; a lock that is lost stops everything.
fn keep(lease: &Lease<'_>, done: &AtomicBool, stop: &Stop) {
    let mut last = Instant::now();
    while !done.load(Ordering::SeqCst) {
        std::thread::sleep(LOOK);
        if last.elapsed() >= lease.beat() {
            last = Instant::now();
            if lease.renew().is_err() {
                stop.ask();
                return;
            }
        }
    }
}
