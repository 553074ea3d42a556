//! The lock: a lease on one object, held by whoever wrote it last.
//!
//! # Why
//! A killed run must not lock an env for ever, and clocks of machines disagree, so no time of day
//! is ever compared: whoever waits watches the object, and takes over once it has seen no renewal
//! for as long as the lease lasts, by its own clock. A holder counts from before its last renewal
//! was sent, so it always gives up before anybody takes over. A holder that was paused and wakes
//! too late is stopped by the fences: the ledger's generation and the sealed journal.
//!
//! The lease also names the runs whose journals are not in the ledger yet. Whoever takes it
//! carries those names on in the same write, so no run is ever forgotten.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::StateError;
use super::objects::Objects;
use super::store::Expect;
use super::store::Generation;
use super::store::Put;

/// The lock's object.
const KEY: &str = "lock.json";

/// The version of this form.
const FORMAT_VERSION: u32 = 1;

/// How often one that waits looks, at most.
const LOOK: Duration = Duration::from_secs(1);

/// Who holds the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The run; also the name of its journal.
    pub run: String,
    /// What it does: `apply`, or a command that changes the ledger.
    pub doing: String,
    /// The person or the bot.
    pub actor: String,
    /// The machine.
    pub host: String,
    /// The process on that machine.
    pub pid: u32,
    /// The commit that it applies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Where to watch it: the page of the CI run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// When it took the lock, in UTC, as RFC 3339. For people; nothing is decided by it.
    pub since: String,
}

/// The lock, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The version of this form.
    pub format_version: u32,
    /// Who wrote it: the same for all writes of one holder, and of no other.
    pub nonce: String,
    /// How many writes of this holder came before.
    pub beat: u64,
    /// How long the lease lasts after each write, in seconds.
    pub ttl_seconds: u64,
    /// Who holds it; null where it is free.
    pub holder: Option<Holder>,
    /// Runs whose journals hold what the ledger does not, oldest first.
    pub unfinished: Vec<String>,
}

/// What to lock with.
#[derive(Clone, Debug)]
pub struct Ask {
    /// A name that no other holder shares.
    pub nonce: String,
    /// Who asks.
    pub holder: Holder,
    /// How long the lease lasts without renewal.
    pub ttl: Duration,
    /// How long to wait for another holder.
    pub patience: Duration,
}

/// What is told while waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting<'a> {
    /// Somebody else holds the lock.
    Held(&'a Document),
    /// They have not renewed it, and it is taken over.
    TakenOver(&'a Document),
}

/// Why the lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody else holds it and renews it.
    #[error("the lock is held by {}", describe(.0))]
    Held(Box<Document>),
    /// Whoever asked no longer wants it.
    #[error("interrupted while waiting for the lock")]
    Interrupted,
    /// The store gave no answer.
    #[error(transparent)]
    State(#[from] StateError),
}

/// Who holds a lock, in a few words.
pub fn describe(document: &Document) -> String {
    let Some(holder) = &document.holder else { return "nobody".to_owned() };
    let Holder { run, doing, actor, host, pid, since, .. } = holder;
    let url = holder.url.as_ref().map(|url| format!(", {url}")).unwrap_or_default();
    format!("{actor} on {host} (`{doing}`, run {run}, process {pid}, since {since}{url})")
}

/// The lock as it stands; none where nobody ever took it.
///
/// # Errors
/// Where the store gives no answer, or the object is no lock.
pub fn look(objects: &Objects) -> Result<Option<(Generation, Document)>, StateError> {
    let Some(object) = objects.get(KEY)? else { return Ok(None) };
    let document = super::parse(objects, KEY, FORMAT_VERSION, &object.bytes)?;
    Ok(Some((object.generation, document)))
}

/// Takes the lock: at once where it is free, else when its holder releases it, or has died.
/// `is_dead` may know that a holder is gone for good; `tell` hears who is waited for.
///
/// # Errors
/// Where it stays held for longer than the asker is patient.
pub fn acquire<'a>(
    objects: &'a Objects,
    ask: &Ask,
    is_dead: &dyn Fn(&Holder) -> bool,
    stopped: &dyn Fn() -> bool,
    tell: &mut dyn FnMut(Waiting<'_>),
) -> Result<Lease<'a>, LockError> {
    let clock = objects.clock();
    let started = clock.now();
    // Others are told whole seconds, and this lease lasts no longer than they think.
    let ttl = Duration::from_secs(ask.ttl.as_secs());
    let mut watched: Option<(Generation, Duration)> = None;
    loop {
        let (expect, unfinished) = match look(objects)? {
            None => (Expect::Absent, Vec::new()),
            Some((generation, Document { holder: None, unfinished, .. })) => {
                (Expect::At(generation), unfinished)
            }
            Some((generation, document)) => {
                let now = clock.now();
                let since = match watched {
                    Some((seen, since)) if seen == generation => since,
                    _ => now,
                };
                if watched.is_none_or(|it| it.0 != generation) {
                    tell(Waiting::Held(&document));
                }
                watched = Some((generation, since));
                let theirs = Duration::from_secs(document.ttl_seconds);
                let dead = document.holder.as_ref().is_some_and(is_dead);
                if !dead && now.saturating_sub(since) <= theirs {
                    if stopped() {
                        return Err(LockError::Interrupted);
                    }
                    if now.saturating_sub(started) >= ask.patience {
                        return Err(LockError::Held(Box::new(document)));
                    }
                    clock.sleep(LOOK.min(theirs / 4).mul_f64(0.5 + clock.jitter() / 2.0));
                    continue;
                }
                tell(Waiting::TakenOver(&document));
                (Expect::At(generation), inherited(document))
            }
        };
        let document = Document {
            format_version: FORMAT_VERSION,
            nonce: ask.nonce.clone(),
            beat: 0,
            ttl_seconds: ttl.as_secs(),
            holder: Some(ask.holder.clone()),
            unfinished: unfinished.clone(),
        };
        let sent = clock.now();
        if let Put::Written(generation) = objects.put(KEY, expect, &bytes(&document))? {
            let state = Held { generation, document, valid_until: sent + ttl, lost: false };
            return Ok(Lease { objects, ttl, unfinished, held: Mutex::new(state) });
        }
    }
}

/// The runs that whoever takes over a lock must look at: those it named, and its holder's own.
pub(super) fn inherited(document: Document) -> Vec<String> {
    let mut unfinished = document.unfinished;
    let run = document.holder.map(|holder| holder.run);
    if let Some(run) = run.filter(|run| !unfinished.contains(run)) {
        unfinished.push(run);
    }
    unfinished
}

fn bytes(document: &Document) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(document).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// The lock, held.
pub struct Lease<'a> {
    objects: &'a Objects,
    ttl: Duration,
    /// Runs whose journals were not in the ledger when the lock was taken, oldest first.
    pub unfinished: Vec<String>,
    held: Mutex<Held>,
}

struct Held {
    generation: Generation,
    document: Document,
    /// Until when nobody can have taken over, by this process's clock.
    valid_until: Duration,
    lost: bool,
}

/// The lock is no longer held.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lock was lost: another run has taken it over")]
pub struct Lost;

impl Lease<'_> {
    /// The name that no other holder shares.
    pub fn nonce(&self) -> String {
        self.held().document.nonce.clone()
    }

    /// Whether nobody else can have the lock now.
    pub fn is_held(&self) -> bool {
        let held = self.held();
        !held.lost && self.objects.clock().now() < held.valid_until
    }

    /// How long to wait from one renewal to the next: a quarter of the lease, but no less than the
    /// store wants between two writes. A renewal that waits for its turn wears the lease down.
    pub fn beat(&self) -> Duration {
        (self.ttl / 4).max(self.objects.pace()).min(self.ttl / 2)
    }

    /// Renews the lease. A store that gives no answer is no loss yet: the lease lasts until it
    /// runs out.
    ///
    /// # Errors
    /// Where somebody else has taken it.
    pub fn renew(&self) -> Result<(), Lost> {
        let mut held = self.held();
        let mut document = held.document.clone();
        document.beat += 1;
        self.write(&mut held, document, true)
    }

    /// Gives the lock back, naming the runs whose journals are still needed.
    ///
    /// # Errors
    /// Where somebody else has taken it; there is nothing to give back then.
    pub fn release(self, unfinished: Vec<String>) -> Result<(), Lost> {
        let mut held = self.held();
        let mut document = held.document.clone();
        document.beat += 1;
        document.holder = None;
        document.unfinished = unfinished;
        self.write(&mut held, document, false)
    }

    fn write(&self, held: &mut Held, document: Document, keep: bool) -> Result<(), Lost> {
        if held.lost {
            return Err(Lost);
        }
        let sent = self.objects.clock().now();
        let bytes = bytes(&document);
        let mut written = self.objects.put(KEY, Expect::At(held.generation), &bytes);
        if matches!(written, Ok(Put::Conflict))
            && let Ok(Some((generation, there))) = look(self.objects)
            && there.nonce == document.nonce
        {
            // An earlier write of ours, whose answer never came.
            held.generation = generation;
            written = self.objects.put(KEY, Expect::At(generation), &bytes);
        }
        match written {
            Ok(Put::Written(generation)) => {
                held.generation = generation;
                held.valid_until = if keep { sent + self.ttl } else { sent };
                held.document = document;
                Ok(())
            }
            Ok(Put::Conflict) => {
                held.lost = true;
                Err(Lost)
            }
            // It may have been written: the next write finds out. It must not be the same one, or
            // this one, done long ago, would count as done then.
            Err(_) => {
                held.document.beat = document.beat;
                Ok(())
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Frees a lock that somebody else holds, keeping the names of the runs that are not finished.
///
/// # Errors
/// Where the store gives no answer.
pub fn break_open(
    objects: &Objects,
    nonce: &str,
    (generation, document): (Generation, Document),
) -> Result<Put, StateError> {
    let free = Document {
        format_version: FORMAT_VERSION,
        nonce: nonce.to_owned(),
        beat: 0,
        ttl_seconds: document.ttl_seconds,
        holder: None,
        unfinished: inherited(document),
    };
    objects.put(KEY, Expect::At(generation), &bytes(&free))
}
