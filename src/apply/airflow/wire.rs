//! One request to Airflow over the wire, and its answer.
//!
//! # Why
//! Redirects are not followed: a password or token must not reach another host. Nothing is repeated
//! here but what a token that has ended makes necessary, for what a lost answer means depends on the
//! call. No text that leaves this file holds a secret.

use std::io::Read;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::time::Duration;

use reqwest::Method;
use reqwest::Url;
use reqwest::blocking::Client;
use reqwest::blocking::RequestBuilder;
use reqwest::header::ACCEPT;
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use serde_json::Value;
use serde_json::json;

use super::google::Google;
use crate::apply::scrub::Scrubber;
use crate::model::causes::chain;
use crate::plan::settings::Api;

/// How long a call may take: until there is a connection, and until there is a whole answer.
const TIMES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));

/// How much of an answer is read. Only logs are longer.
const LONGEST: u64 = 16 << 20;

/// How much of what Airflow says is told, in characters.
const LONGEST_DETAIL: usize = 300;

/// With what Airflow is asked.
pub(super) enum Keys {
    /// Nothing.
    None,
    /// A name and a password.
    Basic(String, String),
    /// A token that somebody made.
    Token(String),
    /// Tokens of Google's.
    Google(Box<Google>),
}

impl Keys {
    /// Names and values that no text may show.
    fn secrets(&self) -> Vec<(String, String)> {
        match self {
            Self::Basic(_, password) => vec![("AIRFLOW_PASSWORD".to_owned(), password.clone())],
            Self::Token(token) => vec![("AIRFLOW_TOKEN".to_owned(), token.clone())],
            Self::None | Self::Google(_) => Vec::new(),
        }
    }
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether it is no answer to the question: ask again later.
    pub(super) fn is_later(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }
}

/// What to ask.
#[derive(Clone, Copy)]
pub(super) struct Ask<'a> {
    pub(super) method: Verb,
    /// The parts of the path below the base.
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) body: Option<&'a Value>,
    /// What form the answer is to have.
    pub(super) accept: &'a str,
    /// Whether it is asked without any key.
    pub(super) bare: bool,
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Post,
    Patch,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Post => Method::POST,
            Self::Patch => Method::PATCH,
        }
    }
}

impl<'a> Ask<'a> {
    pub(super) fn get(path: &'a [&'a str]) -> Self {
        let accept = "application/json";
        Self { method: Verb::Get, path, query: &[], body: None, accept, bare: false }
    }
}

/// The connection to an Airflow.
pub(super) struct Wire {
    client: Client,
    base: Url,
    keys: Keys,
    /// The token that a name and a password were exchanged for.
    token: Mutex<Option<String>>,
    scrubber: Scrubber,
}

impl Wire {
    /// Gets ready; nothing is asked yet.
    pub(super) fn open(base: Url, keys: Keys) -> Result<Self, String> {
        let builder = Client::builder()
            .user_agent(concat!("chronon-plan/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(TIMES.0)
            .timeout(TIMES.1)
            .redirect(Policy::none())
            .retry(reqwest::retry::never())
            .referer(false);
        let client = builder.build().map_err(|error| chain(&error.without_url()))?;
        let scrubber = Scrubber::new(&keys.secrets());
        Ok(Self { client, base, keys, token: Mutex::new(None), scrubber })
    }

    /// The address of a path below the base.
    pub(super) fn address(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Whether it is asked with a name and a password.
    pub(super) fn exchanges(&self) -> bool {
        matches!(self.keys, Keys::Basic(..))
    }

    /// Names and values that no text may show.
    pub(super) fn secrets(&self) -> Vec<(String, String)> {
        let token = lock(&self.token).clone();
        let token = token.map(|token| ("access_token".to_owned(), token));
        self.keys.secrets().into_iter().chain(token).collect()
    }

    /// Asks once; why there is no answer, if so.
    pub(super) fn ask(&self, api: Api, ask: Ask<'_>) -> Result<Answer, String> {
        let mut used = None;
        let answer = self.send(api, ask, &mut used)?;
        if answer.status != 401 || used.is_none() {
            return Ok(answer);
        }
        // It has ended; a new one may do. Another thread may have got that already.
        lock(&self.token).take_if(|token| Some(&*token) == used.as_ref());
        self.send(api, ask, &mut used)
    }

    /// Sends it; `used` is the token that was exchanged for it, if one was.
    fn send(&self, api: Api, ask: Ask<'_>, used: &mut Option<String>) -> Result<Answer, String> {
        let address = self.address(ask.path, ask.query);
        let request = self.client.request(ask.method.method(), address);
        let request = match &self.keys {
            _ if ask.bare => request,
            Keys::None => request,
            Keys::Token(token) => request.bearer_auth(token),
            Keys::Google(google) => request.bearer_auth(google.token()?),
            Keys::Basic(name, password) if api == Api::V1 => {
                request.basic_auth(name, Some(password))
            }
            Keys::Basic(name, password) => match self.exchanged(name, password)? {
                Ok(token) => request.bearer_auth(used.insert(token)),
                Err(refused) => return Ok(refused),
            },
        };
        let request = request.header(ACCEPT, ask.accept);
        self.answer(match ask.body {
            Some(body) => request.header(CONTENT_TYPE, "application/json").body(body.to_string()),
            None => request,
        })
    }

    /// The token that API v2 gives for a name and a password; one for all calls.
    fn exchanged(&self, name: &str, password: &str) -> Result<Result<String, Answer>, String> {
        let mut kept = lock(&self.token);
        if let Some(token) = kept.as_ref() {
            return Ok(Ok(token.clone()));
        }
        let body = json!({"username": name, "password": password}).to_string();
        let address = self.address(&["auth", "token"], &[]);
        let request = self.client.post(address).header(CONTENT_TYPE, "application/json").body(body);
        let answer = self.answer(request)?;
        let token = answer.json().and_then(|it| Some(it.get("access_token")?.as_str()?.to_owned()));
        match token.filter(|_| (200..300).contains(&answer.status)) {
            Some(token) => {
                *kept = Some(token.clone());
                Ok(Ok(token))
            }
            None if answer.is_later() => Err(format!("status {} for a token", answer.status)),
            // Whatever else it says, it gives none.
            None => Ok(Err(Answer { status: 401, body: Vec::new() })),
        }
    }

    fn answer(&self, request: RequestBuilder) -> Result<Answer, String> {
        let why = |error: reqwest::Error| self.scrubber.text(&chain(&error.without_url()));
        let response = request.send().map_err(why)?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        response.take(LONGEST).read_to_end(&mut body).map_err(|error| error.to_string())?;
        Ok(Answer { status, body })
    }

    /// What an answer says of itself, for people.
    pub(super) fn detail(&self, answer: &Answer) -> String {
        let json = answer.json().unwrap_or_default();
        let said = match &json["detail"] {
            Value::String(text) => text.clone(),
            Value::Null => json["title"].as_str().unwrap_or_default().to_owned(),
            other => other.to_string(),
        };
        let said: String =
            Scrubber::new(&self.secrets()).text(&said).chars().take(LONGEST_DETAIL).collect();
        match said.trim() {
            "" => format!("status {}", answer.status),
            said => format!("status {}: {said}", answer.status),
        }
    }
}

/// The address of an Airflow, if it is one.
pub(super) fn parsed(url: &str) -> Option<Url> {
    let url = Url::parse(url.trim()).ok()?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_comes_after_the_base_and_no_name_leaves_it() {
        for (base, path, expected) in [
            ("https://a.b", ["dags", "x"], "https://a.b/dags/x"),
            ("https://a.b/", ["dags", "x y"], "https://a.b/dags/x%20y"),
            (
                "http://a.b:8080/air/flow/",
                ["dags", "a/../b?c#d"],
                "http://a.b:8080/air/flow/dags/a%2F..%2Fb%3Fc%23d",
            ),
        ] {
            let wire = Wire::open(parsed(base).unwrap(), Keys::None).unwrap();
            assert_eq!(wire.address(&path, &[]).as_str(), expected);
        }
        let wire = Wire::open(parsed("https://a.b/x").unwrap(), Keys::None).unwrap();
        let query = [("dag_run_id", "a&b=c d")];
        assert_eq!(wire.address(&["y"], &query).as_str(), "https://a.b/x/y?dag_run_id=a%26b%3Dc+d");
    }

    #[test]
    fn what_is_no_address_or_holds_a_secret_is_none() {
        for url in [
            "",
            "a.b",
            "ftp://a.b",
            "https://",
            "https://u:p@a.b",
            "https://a.b?x",
            "https://a.b#x",
        ] {
            assert!(parsed(url).is_none(), "{url}");
        }
    }
}
