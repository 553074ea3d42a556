//! GitHub's REST API: one call, asked until there is an answer or none to be had.
//!
//! # Why
//! A call that writes and is sent twice makes two comments, so what a lost answer means is decided
//! here: a call that may be repeated is, any other only where it surely was not done, and else
//! whoever called is told that it must look.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::answer::Answer;
use super::answer::Meaning;
use super::answer::short;
use super::error::PublishError;
use super::http::Astray;
use super::http::Proxies;
use super::http::Silence;
use super::http::Timeouts;
use super::http::Verb;
use super::http::Wire;
use super::token::Token;

/// How many items a page of a list has; GitHub gives no more.
pub(super) const PAGE: usize = 100;

/// How long to wait before a call is repeated that got no answer.
const BACKOFF: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];

/// How often one call is sent on.
const HOPS: usize = 5;

/// So many calls that write go out as they come. GitHub asks for a second between any two and
/// shuts out those who never wait, but a run that writes a comment and a check would only be
/// slower.
const BURST: usize = 5;

/// How long to wait before each that writes after those.
const PACE: Duration = Duration::from_secs(1);

/// Statuses that send a call on, and whether only one that reads: another would lose its body.
#[rustfmt::skip] // one status, one line
const SENT_ON: [(u16, bool); 4] = [
    (301, true),
    (302, true),
    (307, false),
    (308, false),
];

/// Waits; false where the process was asked to end, and the wait was cut short.
pub type Pause = Box<dyn Fn(Duration) -> bool + Send + Sync>;

/// What asking needs.
pub struct Settings {
    /// Where the API is: `https://api.github.com`, or `https://HOST/api/v3`.
    pub base: String,
    /// Who asks.
    pub token: Token,
    /// How calls leave this machine.
    pub proxies: Proxies,
    /// How long one may take.
    pub timeouts: Timeouts,
    /// How long one call may wait for limits, all in all.
    pub patience: Duration,
    /// Waits.
    pub pause: Pause,
}

/// Whether a call may be sent again when it is not known whether it was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// Twice would be once too often.
    Never,
}

/// What is found in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// Whether there are more that were not asked for.
    pub more: bool,
}

/// GitHub's API, asked with one token.
pub struct Api {
    wire: Wire,
    token: Token,
    patience: Duration,
    pause: Pause,
    /// What was read, by its address.
    kept: Mutex<BTreeMap<String, Kept>>,
    /// How many calls that write there were.
    writes: AtomicUsize,
}

/// An answer that is used again where GitHub says that nothing has changed.
struct Kept {
    tag: String,
    answer: Answer,
}

/// A call, the same however often it is sent.
struct Call<'a> {
    verb: Verb,
    /// Verb and path, as errors name it.
    what: String,
    address: String,
    body: Option<&'a Value>,
    repeat: Repeat,
}

impl Api {
    /// Gets ready; nothing is asked yet.
    ///
    /// # Errors
    /// Where an address is none, or this machine trusts nobody.
    pub fn open(settings: Settings) -> Result<Self, PublishError> {
        let Settings { base, token, proxies, timeouts, patience, pause } = settings;
        let wire = Wire::open(&base, &token, &proxies, timeouts)?;
        let (kept, writes) = (Mutex::default(), AtomicUsize::new(0));
        Ok(Self { wire, token, patience, pause, kept, writes })
    }

    /// Reads something. `path` begins with `/` and comes after the base; the names in it are
    /// percent-encoded.
    ///
    /// # Errors
    /// Where there is no answer, or another than expected.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, PublishError> {
        let call = self.call(Verb::Get, path, None, Repeat::Safe)?;
        self.parse(&call, &self.read(&call)?)
    }

    /// Reads a list, at most so many pages of it. `key` names the list where it is inside an
    /// object.
    ///
    /// # Errors
    /// Where there is no answer, or another than expected.
    pub fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        pages: usize,
    ) -> Result<List<T>, PublishError> {
        let mark = if path.contains('?') { '&' } else { '?' };
        let first = format!("{path}{mark}per_page={PAGE}");
        let mut call = self.call(Verb::Get, &first, None, Repeat::Safe)?;
        let mut found = List { items: Vec::new(), more: true };
        for _ in 0..pages {
            let answer = self.read(&call)?;
            found.items.append(&mut self.page(&call, &answer, key)?);
            match answer.next_page() {
                Some(next) => call.address = self.onward(&call, &call.address, &next)?,
                None => return Ok(List { more: false, ..found }),
            }
        }
        Ok(found)
    }

    fn page<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        answer: &Answer,
        key: Option<&str>,
    ) -> Result<Vec<T>, PublishError> {
        let Some(key) = key else { return self.parse(call, answer) };
        let mut page: BTreeMap<String, Value> = self.parse(call, answer)?;
        let items = page.remove(key).unwrap_or_default();
        serde_json::from_value(items).map_err(|error| self.senseless(call, &error))
    }

    /// Makes something.
    ///
    /// # Errors
    /// Where there is no answer, or another than expected; [`PublishError::Unclear`] where it may
    /// have been made and must not be repeated.
    pub fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        repeat: Repeat,
    ) -> Result<T, PublishError> {
        self.write(Verb::Post, path, Some(body), repeat)
    }

    /// Changes something.
    ///
    /// # Errors
    /// As for [`Self::post`].
    pub fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &Value,
        repeat: Repeat,
    ) -> Result<T, PublishError> {
        self.write(Verb::Patch, path, Some(body), repeat)
    }

    /// Removes something.
    ///
    /// # Errors
    /// Where there is no answer, or another than expected.
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, PublishError> {
        self.write(Verb::Delete, path, None, Repeat::Safe)
    }

    fn write<T: DeserializeOwned>(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&Value>,
        repeat: Repeat,
    ) -> Result<T, PublishError> {
        let call = self.call(verb, path, body, repeat)?;
        if self.writes.fetch_add(1, Ordering::Relaxed) >= BURST {
            // A run that is asked to end has no time for this courtesy, and something left to say.
            (self.pause)(PACE);
        }
        self.parse(&call, &self.ask(&call, None)?)
    }

    /// Reads; what was read before is taken where nothing has changed.
    fn read(&self, call: &Call<'_>) -> Result<Answer, PublishError> {
        let tag = self.kept().get(&call.address).map(|kept| kept.tag.clone());
        let answer = self.ask(call, tag.as_deref())?;
        if answer.status == 304 {
            let kept = self.kept().get(&call.address).map(|kept| kept.answer.clone());
            return kept.ok_or_else(|| self.bad(call, "nothing has changed since nothing"));
        }
        if let Some(tag) = answer.header("etag") {
            let kept = Kept { tag: tag.to_owned(), answer: answer.clone() };
            self.kept().insert(call.address.clone(), kept);
        }
        Ok(answer)
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until there is an answer that nothing has to be waited for.
    fn ask(&self, call: &Call<'_>, tag: Option<&str>) -> Result<Answer, PublishError> {
        let mut address = call.address.clone();
        let (mut hops, mut failures, mut limited) = (0, 0, 0);
        let mut patience = self.patience;
        loop {
            let body = call.body.map(Value::to_string);
            let answer = match self.wire.send(call.verb, &address, tag, body) {
                Ok(answer) => answer,
                Err(silence) => {
                    self.again(call, &mut failures, silence)?;
                    continue;
                }
            };
            match answer.meaning(limited) {
                Meaning::Done | Meaning::Unchanged => return Ok(answer),
                Meaning::Refused => return Err(self.refused(call, &answer)),
                Meaning::Elsewhere => {
                    address = self.elsewhere(call, &address, &answer, hops)?;
                    hops += 1;
                }
                Meaning::NotNow(wait) if wait > patience => {
                    let (what, seconds) = (call.what.clone(), wait.as_secs());
                    return Err(PublishError::Limited { what, seconds });
                }
                Meaning::NotNow(wait) => {
                    self.pause(call, wait)?;
                    patience -= wait;
                    limited += 1;
                }
                Meaning::Failed => {
                    let why = format!("{} {}", answer.status, self.said(&answer));
                    let why = why.trim_end().to_owned();
                    let silence = Silence { arrived: true, distrust: false, why };
                    self.again(call, &mut failures, silence)?;
                }
            }
        }
    }

    /// Waits until a call that got no answer may be repeated.
    fn again(
        &self,
        call: &Call<'_>,
        failures: &mut usize,
        silence: Silence,
    ) -> Result<(), PublishError> {
        let (what, why) = (call.what.clone(), silence.why);
        if silence.distrust {
            return Err(PublishError::NoCertificates { what, why });
        }
        if silence.arrived && call.repeat == Repeat::Never {
            return Err(PublishError::Unclear { what, why });
        }
        let Some(wait) = BACKOFF.get(*failures) else {
            return Err(PublishError::NoAnswer { what, why });
        };
        *failures += 1;
        self.pause(call, *wait)
    }

    fn pause(&self, call: &Call<'_>, wait: Duration) -> Result<(), PublishError> {
        match (self.pause)(wait) {
            true => Ok(()),
            false => Err(PublishError::Stopped { what: call.what.clone() }),
        }
    }

    /// Where an answer sends a call on that may be sent there.
    fn elsewhere(
        &self,
        call: &Call<'_>,
        from: &str,
        answer: &Answer,
        hops: usize,
    ) -> Result<String, PublishError> {
        let known = SENT_ON.iter().find(|row| row.0 == answer.status);
        let followed = known.is_some_and(|row| !row.1 || call.verb == Verb::Get);
        match answer.header("location") {
            Some(to) if followed && hops < HOPS => self.onward(call, from, to),
            Some(_) if followed => {
                let to = format!("the {HOPS}th other place");
                Err(PublishError::Redirected { what: call.what.clone(), to })
            }
            _ => Err(PublishError::Redirected {
                what: call.what.clone(),
                to: format!("another place by {}", answer.status),
            }),
        }
    }

    /// An address that an answer gives, if the token may go there.
    fn onward(&self, call: &Call<'_>, from: &str, to: &str) -> Result<String, PublishError> {
        self.wire.onward(from, to).map_err(|astray| match astray {
            Astray::Nowhere(why) => self.bad(call, &why),
            Astray::Abroad(host) => {
                let to = short(&self.token.cover(&host));
                PublishError::Redirected { what: call.what.clone(), to }
            }
        })
    }

    fn call<'a>(
        &self,
        verb: Verb,
        path: &str,
        body: Option<&'a Value>,
        repeat: Repeat,
    ) -> Result<Call<'a>, PublishError> {
        let bare = path.split('?').next().unwrap_or(path);
        let what = self.token.cover(&format!("{} {bare}", verb.name()));
        match self.wire.address(path) {
            Some(address) => Ok(Call { verb, what, address, body, repeat }),
            None => {
                let message = "a name in it cannot stand in an address".to_owned();
                Err(PublishError::Invalid { what, message })
            }
        }
    }

    fn parse<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        answer: &Answer,
    ) -> Result<T, PublishError> {
        let body = if answer.body.is_empty() { b"null" } else { answer.body.as_slice() };
        serde_json::from_slice(body).map_err(|error| self.senseless(call, &error))
    }

    /// A call that was done, with an answer that does not say what came of it.
    fn senseless(&self, call: &Call<'_>, error: &serde_json::Error) -> PublishError {
        let why = short(&self.token.cover(&error.to_string()));
        match call.repeat {
            Repeat::Safe => self.bad(call, &why),
            Repeat::Never => PublishError::Unclear { what: call.what.clone(), why },
        }
    }

    fn bad(&self, call: &Call<'_>, why: &str) -> PublishError {
        let why = short(&self.token.cover(why));
        PublishError::BadAnswer { what: call.what.clone(), why }
    }

    fn said(&self, answer: &Answer) -> String {
        short(&self.token.cover(&answer.message()))
    }

    fn refused(&self, call: &Call<'_>, answer: &Answer) -> PublishError {
        let (what, message) = (call.what.clone(), self.said(answer));
        match answer.status {
            401 => PublishError::Unauthorized { what, message },
            403 => {
                let permission = answer.permission();
                PublishError::Forbidden { what, message, permission }
            }
            404 | 410 => PublishError::NotFound { what, message },
            407 => {
                let why = "the proxy wants to know who asks".to_owned();
                PublishError::NoAnswer { what, why }
            }
            409 => PublishError::Conflict { what, message },
            _ => PublishError::Invalid { what, message },
        }
    }
}
