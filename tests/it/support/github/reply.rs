//! Answers: values, errors as GitHub words them, pages of lists, and what has not changed.

use std::collections::BTreeMap;

use base64::Engine;
use serde_json::Value;
use serde_json::json;
use sha2::Digest;

use super::super::gcs::http;
use super::ID;

/// An answer, before it is written.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    /// Null where there is none.
    pub(super) body: Value,
    /// What is sent instead of a body in JSON.
    pub(super) page: Option<&'static str>,
}

/// What the proxies before GitHub say when nobody behind them answers.
pub(super) const UNICORN: &str = "<!DOCTYPE html>\n<html>\n<head><title>Unicorn! &middot; GitHub</title></head>\n\
    <body>\n<p><strong>We had issues producing the response to your request.</strong></p>\n\
    <p>Sorry about that. Please try refreshing and contact us if the problem persists.</p>\n\
    </body>\n</html>\n";

impl Reply {
    pub(super) fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body, page: None }
    }

    /// Something that was made, and where it is.
    pub(super) fn made(body: Value) -> Self {
        let place = body["url"].as_str().map(str::to_owned);
        let mut reply = Self::json(201, body);
        reply.headers.extend(place.map(|it| ("location", it)));
        reply
    }

    pub(super) fn error(status: u16, message: &str, documentation: &str) -> Self {
        let mut body = json!({"message": message, "documentation_url": documentation});
        // What is invalid is described without it.
        if status != 422 {
            body["status"] = json!(status.to_string());
        }
        Self::json(status, body)
    }

    pub(super) fn missing(documentation: &str) -> Self {
        Self::error(404, "Not Found", documentation)
    }

    /// The answer of a service that fails with this status.
    pub(super) fn failure(status: u16, documentation: &str) -> Self {
        let message = match status {
            401 => "Bad credentials",
            403 => "Resource not accessible by integration",
            404 => "Not Found",
            409 => "Conflict",
            422 => "Validation Failed",
            500 => "Server Error",
            _ => {
                let page = Some(UNICORN);
                return Self { page, ..Self::json(status, Value::Null) };
            }
        };
        Self::error(status, message, documentation)
    }

    /// Answers that nothing has changed to who has it already.
    pub(super) fn unless_known(mut self, known: Option<&String>) -> Self {
        let etag = format!("W/\"{}\"", digest(&self.body.to_string(), 32));
        let same = known.is_some_and(|it| it.split(',').any(|one| one.trim() == etag));
        self.headers.push(("etag", etag));
        self.headers.push(("cache-control", "private, max-age=60, s-maxage=60".to_owned()));
        if same {
            self.status = 304;
            self.body = Value::Null;
        }
        self
    }

    pub(super) fn written(self) -> http::Answer {
        let (kind, body) = match (self.page, &self.body) {
            (Some(page), _) => ("text/html; charset=utf-8", page.as_bytes().to_vec()),
            (None, Value::Null) => ("", Vec::new()),
            (None, body) => ("application/json; charset=utf-8", body.to_string().into_bytes()),
        };
        let mut headers = self.headers;
        if !kind.is_empty() {
            headers.push(("content-type", kind.to_owned()));
        }
        http::Answer { status: self.status, headers, body }
    }
}

/// The page of a list that is asked for, and the links to its neighbours.
pub(super) fn page<T>(
    items: Vec<T>,
    query: &BTreeMap<String, String>,
    address: &str,
) -> (Vec<T>, Option<String>) {
    let number =
        |name: &str, usual: usize| query.get(name).and_then(|it| it.parse().ok()).unwrap_or(usual);
    let (size, at) = (number("per_page", 30), number("page", 1));
    let last = items.len().div_ceil(size).max(1);
    let items: Vec<T> = items.into_iter().skip((at - 1) * size).take(size).collect();
    let mut links = Vec::new();
    let mut link = |page: usize, rel: &str| {
        let rest = query.iter().filter(|(name, _)| *name != "page");
        let rest = rest.map(|(name, value)| format!("{name}={}&", encoded(value)));
        let rest: String = rest.collect();
        links.push(format!("<{address}?{rest}page={page}>; rel=\"{rel}\""));
    };
    if at > 1 {
        link((at - 1).min(last), "prev");
    }
    if at < last {
        link(at + 1, "next");
    }
    if at != last {
        link(last, "last");
    }
    if at > 1 {
        link(1, "first");
    }
    (items, (!links.is_empty()).then(|| links.join(", ")))
}

/// A path as it stands in links: GitHub names the repository by its number.
pub(super) fn numbered(path: &[String]) -> String {
    let rest = match path {
        [repos, _, _, rest @ ..] if repos == "repos" => {
            [&["repositories".to_owned(), ID.to_string()], rest].concat()
        }
        other => other.to_vec(),
    };
    rest.iter().map(|part| format!("/{}", encoded(part))).collect()
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
        .to_string()
        .replace("%2D", "-")
        .replace("%2E", ".")
        .replace("%5F", "_")
}

/// The first digits of a hash, for whatever needs a name of its own.
pub(super) fn digest(text: &str, bytes: usize) -> String {
    let hash = sha2::Sha256::digest(text.as_bytes());
    hash.iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a thing in GitHub's other API.
pub(super) fn node(kind: &str, id: u64) -> String {
    let engine = base64::engine::general_purpose::STANDARD;
    format!("{kind}_{}", engine.encode(id.to_string()).trim_end_matches('='))
}
