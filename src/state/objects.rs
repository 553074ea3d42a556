//! Reads and writes that end with an answer: what is busy is tried again, what is unclear is
//! resolved by reading.
//!
//! # Why
//! A write whose answer got lost may have happened, or may happen still. Guessing loses a lock or
//! takes one that is not ours, so nobody guesses: the object is read, and if it holds what was
//! written, it was written. This needs one thing of every caller: **no two writers ever write the
//! same bytes to one object**, nor one writer twice. Leases hold a nonce, ledgers a serial and a
//! nonce, journals the run.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use super::StateError;
use super::clock::Clock;
use super::store::Expect;
use super::store::Object;
use super::store::Put;
use super::store::Store;
use super::store::StoreError;

/// How long a call is tried when nobody says.
const DEADLINE: Duration = Duration::from_secs(60);

/// The first wait between two attempts; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// The longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// How often somebody who waits looks whether to go on.
const LOOK: Duration = Duration::from_millis(50);

/// The objects of one store, for any number of threads; a clone is the same store.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn Store>,
    clock: Clock,
    deadline: Duration,
    turns: Arc<Mutex<HashMap<String, Turn>>>,
}

/// Whose turn it is to write an object.
#[derive(Clone, Copy)]
enum Turn {
    /// A thread is writing it.
    Taken,
    /// The last write ended then.
    Free(Duration),
}

/// What one call knows of itself.
struct Attempts<'a> {
    objects: &'a Objects,
    key: &'a str,
    start: Duration,
    wait: Duration,
    /// Whether a write may have happened.
    unclear: bool,
}

impl Objects {
    /// The objects of a store; each call is tried for a minute.
    pub fn new(store: Box<dyn Store>, clock: Clock) -> Self {
        let turns = Arc::new(Mutex::new(HashMap::new()));
        Self { store: Arc::from(store), clock, deadline: DEADLINE, turns }
    }

    /// The same objects, each call tried for this long: no attempt begins later, and the last one
    /// may take a call's own timeout.
    #[must_use]
    pub fn within(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The clock that they wait by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How long to wait between two writes of one object.
    pub fn pace(&self) -> Duration {
        self.store.pace()
    }

    /// Where they are, as a person writes it.
    pub fn location(&self) -> String {
        self.store.location()
    }

    /// The object of this name; none where there is none.
    ///
    /// # Errors
    /// Where the store refuses, or gives no answer in time.
    pub fn get(&self, key: &str) -> Result<Option<Object>, StateError> {
        self.attempts(key).read()
    }

    /// Writes an object whole, if the condition holds. `Conflict` means that the object is not
    /// what this call wrote: somebody else wrote it, before or after.
    ///
    /// # Errors
    /// Where the store refuses, or gives no clear answer in time.
    pub fn put(&self, key: &str, expect: Expect, bytes: &[u8]) -> Result<Put, StateError> {
        let mut attempts = self.attempts(key);
        loop {
            match attempts.write(expect, bytes)? {
                Ok(Put::Written(generation)) => return Ok(Put::Written(generation)),
                // Also when nothing was unclear: a proxy may have sent it twice.
                Ok(Put::Conflict) => return Ok(ours(attempts.read()?, bytes)),
                Err(StoreError::Refused { what, next }) => {
                    return Err(StateError::Refused { what, next });
                }
                Err(StoreError::Busy(why)) => attempts.pause(&why)?,
                Err(StoreError::Unclear(why)) => {
                    attempts.unclear = true;
                    let found = attempts.read()?;
                    if !is_at(found.as_ref(), expect) {
                        return Ok(ours(found, bytes));
                    }
                    attempts.pause(&why)?;
                }
            }
        }
    }

    fn attempts<'a>(&'a self, key: &'a str) -> Attempts<'a> {
        let start = self.clock.now();
        Attempts { objects: self, key, start, wait: FIRST_WAIT, unclear: false }
    }

    fn turns(&self) -> MutexGuard<'_, HashMap<String, Turn>> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether an object is still what a write expects it to be.
fn is_at(found: Option<&Object>, expect: Expect) -> bool {
    match expect {
        Expect::Absent => found.is_none(),
        Expect::At(generation) => found.is_some_and(|found| found.generation == generation),
    }
}

/// How a write ended, by what is there now.
fn ours(found: Option<Object>, bytes: &[u8]) -> Put {
    match found {
        Some(found) if found.bytes == bytes => Put::Written(found.generation),
        _ => Put::Conflict,
    }
}

impl Attempts<'_> {
    fn read(&mut self) -> Result<Option<Object>, StateError> {
        loop {
            match self.objects.store.get(self.key) {
                Ok(found) => return Ok(found),
                Err(StoreError::Refused { what, next }) => {
                    return Err(StateError::Refused { what, next });
                }
                Err(StoreError::Busy(why) | StoreError::Unclear(why)) => self.pause(&why)?,
            }
        }
    }

    /// One attempt to write, when it is this call's turn.
    fn write(&self, expect: Expect, bytes: &[u8]) -> Result<Result<Put, StoreError>, StateError> {
        let objects = self.objects;
        if objects.store.pace().is_zero() {
            return Ok(objects.store.put(self.key, expect, bytes));
        }
        while let Some(time) = self.ahead() {
            self.sleep(time, "another write of it is under way")?;
        }
        let put = objects.store.put(self.key, expect, bytes);
        let ended = Turn::Free(objects.clock.now());
        objects.turns().insert(self.key.to_owned(), ended);
        Ok(put)
    }

    /// Takes the turn to write, or says how long to wait before asking again.
    fn ahead(&self) -> Option<Duration> {
        let mut turns = self.objects.turns();
        let (now, pace) = (self.objects.clock.now(), self.objects.store.pace());
        match turns.get(self.key) {
            Some(Turn::Taken) => return Some(LOOK),
            Some(Turn::Free(last)) if *last + pace > now => return Some(*last + pace - now),
            _ => {}
        }
        turns.insert(self.key.to_owned(), Turn::Taken);
        None
    }

    /// Waits before the next attempt: longer each time, and never as long as somebody else.
    fn pause(&mut self, why: &str) -> Result<(), StateError> {
        let time = self.wait.mul_f64(0.5 + self.objects.clock.jitter() / 2.0);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        self.sleep(time, why)
    }

    /// Waits, unless the time is over before that.
    fn sleep(&self, time: Duration, why: &str) -> Result<(), StateError> {
        let clock = &self.objects.clock;
        let end = clock.now() + time;
        if end > self.start + self.objects.deadline {
            return Err(StateError::NoAnswer {
                place: self.place(),
                why: why.to_owned(),
                after: clock.now().saturating_sub(self.start),
                unclear: self.unclear,
            });
        }
        while let Some(left) = end.checked_sub(clock.now()).filter(|left| !left.is_zero()) {
            clock.sleep(left);
        }
        Ok(())
    }

    fn place(&self) -> String {
        format!("{} in {}", self.key, self.objects.store.location())
    }
}
