//! What an answer of GitHub's means: its status and headers, and nothing else.
//!
//! # Why
//! GitHub says «not now» in six ways, and a client that takes one of them for «never», or asks
//! again at once, is shut out for longer. So all of them are told apart in one place, from the
//! answer alone: how long to wait is counted from the answer's own date, because the clocks of
//! build machines are not GitHub's.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use serde_json::Value;

/// How much of a message is told, in characters.
const LONGEST_MESSAGE: usize = 500;

/// How long to wait where a limit is not told: what GitHub asks for in its documentation.
const UNTOLD: Duration = Duration::from_secs(60);

/// What GitHub says where it is asked too fast, beside the limit that is counted in headers.
const TOO_FAST: [&str; 3] = ["secondary rate limit", "abuse detection", "submitted too quickly"];

/// An answer, whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// By names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It was done.
    Done,
    /// What was read before is still so.
    Unchanged,
    /// It is somewhere else.
    Elsewhere,
    /// It was not done, and may be after this long.
    NotNow(Duration),
    /// GitHub failed, and it is not known how far it came.
    Failed,
    /// It was not done and will not be.
    Refused,
}

impl Answer {
    /// What it means, after so many answers of [`Meaning::NotNow`] to the same call.
    pub(super) fn meaning(&self, limited: u32) -> Meaning {
        match self.status {
            200..=299 => Meaning::Done,
            304 => Meaning::Unchanged,
            300..=399 => Meaning::Elsewhere,
            403 | 422 | 429 | 503 => match self.limit(limited) {
                Some(wait) => Meaning::NotNow(wait),
                None if self.status == 503 => Meaning::Failed,
                None => Meaning::Refused,
            },
            500.. => Meaning::Failed,
            _ => Meaning::Refused,
        }
    }

    /// How long to wait where this is a limit.
    fn limit(&self, limited: u32) -> Option<Duration> {
        let least = Duration::from_secs(1 << limited.min(12));
        if let Some(told) = self.seconds("retry-after") {
            return Some(told.max(least));
        }
        let words = self.message().to_lowercase();
        if TOO_FAST.iter().any(|it| words.contains(it)) || self.status == 429 && !self.is_spent() {
            return Some(UNTOLD * (1 << limited.min(6)));
        }
        // The last call that was free may be refused for another reason.
        if self.is_spent() && !words.contains("not accessible") {
            return Some(self.until_reset().unwrap_or(UNTOLD).max(least));
        }
        None
    }

    /// Whether the calls of this hour are used up.
    fn is_spent(&self) -> bool {
        matches!(self.status, 403 | 429) && self.header("x-ratelimit-remaining") == Some("0")
    }

    /// From the answer's own date to when calls are free again, and a second more.
    fn until_reset(&self) -> Option<Duration> {
        let reset: i64 = self.header("x-ratelimit-reset")?.parse().ok()?;
        let now = DateTimeParser::new().parse_timestamp(self.header("date")?).ok()?.as_second();
        let wait = reset.checked_sub(now)?.checked_add(1)?;
        u64::try_from(wait).ok().map(Duration::from_secs)
    }

    fn seconds(&self, name: &str) -> Option<Duration> {
        self.header(name)?.parse().ok().map(Duration::from_secs)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|it| it.trim())
    }

    /// What GitHub says, in its own words and one line; empty where it says nothing.
    pub(super) fn message(&self) -> String {
        let body: Option<Value> = serde_json::from_slice(&self.body).ok();
        let said = match &body {
            Some(body) => said(body),
            None => {
                let text = String::from_utf8_lossy(&self.body).into_owned();
                // The page of a proxy or a load balancer says nothing in one line.
                if text.trim_start().starts_with('<') { String::new() } else { text }
            }
        };
        said.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// The permissions that it takes, as a workflow spells them.
    pub(super) fn permission(&self) -> Option<String> {
        let header = self.header("x-accepted-github-permissions")?;
        let spelled = |one: &str| -> Option<String> {
            let (name, level) = one.trim().split_once('=')?;
            // Nothing else is a permission, and it is shown as it is.
            let is_word = |it: &str| it.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
            (is_word(name) && is_word(level)).then_some(())?;
            Some(format!("{}: {level}", name.replace('_', "-")))
        };
        let all = |set: &str| set.split(',').map(spelled).collect::<Option<Vec<_>>>();
        let sets: Vec<String> =
            header.split(';').map(|it| all(it).map(|it| it.join(", "))).collect::<Option<_>>()?;
        Some(sets.join(" or "))
    }

    /// The address of the next page of a list.
    pub(super) fn next_page(&self) -> Option<String> {
        let links = self.header("link")?.split(',');
        let next = links.filter_map(|link| {
            let (address, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            let is_next = |it: &str| matches!(it.trim(), "rel=\"next\"" | "rel=next");
            parameters.split(';').any(is_next).then(|| address.to_owned())
        });
        next.into_iter().next()
    }
}

/// A message of which only so much is told.
pub(super) fn short(text: &str) -> String {
    let mut chars = text.chars();
    let mut told: String = chars.by_ref().take(LONGEST_MESSAGE).collect();
    if chars.next().is_some() {
        told.push('…');
    }
    told
}

/// The message of an answer and the errors behind it.
fn said(body: &Value) -> String {
    let errors = body["errors"].as_array().into_iter().flatten().map(|error| match error {
        Value::String(text) => text.clone(),
        error => match error["message"].as_str() {
            Some(text) => text.to_owned(),
            None => {
                let part = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
                [part("resource"), part("field"), part("code")].join(" ")
            }
        },
    });
    let message = body["message"].as_str().unwrap_or_default().to_owned();
    let all = std::iter::once(message).chain(errors).filter(|it| !it.trim().is_empty());
    all.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Tue, 03 Mar 2026 10:00:00 GMT";
    const DATE_SECONDS: i64 = 1_772_532_000;

    fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
        let headers = headers.iter().map(|(name, it)| ((*name).to_owned(), (*it).to_owned()));
        Answer { status, headers: headers.collect(), body: body.as_bytes().to_vec() }
    }

    fn not_now(seconds: u64) -> Meaning {
        Meaning::NotNow(Duration::from_secs(seconds))
    }

    #[test]
    fn statuses_mean_what_they_mean() {
        for (status, meaning) in [
            (200, Meaning::Done),
            (201, Meaning::Done),
            (204, Meaning::Done),
            (301, Meaning::Elsewhere),
            (304, Meaning::Unchanged),
            (307, Meaning::Elsewhere),
            (400, Meaning::Refused),
            (401, Meaning::Refused),
            (403, Meaning::Refused),
            (404, Meaning::Refused),
            (409, Meaning::Refused),
            (422, Meaning::Refused),
            (500, Meaning::Failed),
            (502, Meaning::Failed),
            (503, Meaning::Failed),
            (504, Meaning::Failed),
        ] {
            assert_eq!(answer(status, &[], "").meaning(0), meaning, "{status}");
        }
    }

    #[test]
    fn a_spent_limit_is_waited_for_by_the_answers_own_date() {
        let reset = (DATE_SECONDS + 40).to_string();
        let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", &reset), ("date", DATE)];
        for status in [403, 429] {
            assert_eq!(answer(status, &spent, "").meaning(0), not_now(41), "{status}");
        }
        // Without a date, or with a time that is over, something is waited all the same.
        assert_eq!(answer(403, &spent[..2], "").meaning(0), not_now(60));
        let over = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000"), ("date", DATE)];
        assert_eq!(answer(403, &over, "").meaning(0), not_now(60));
        let body = r#"{"message": "Resource not accessible by integration"}"#;
        assert_eq!(answer(403, &spent, body).meaning(0), Meaning::Refused);
        assert_eq!(answer(404, &spent, "").meaning(0), Meaning::Refused);
        assert_eq!(answer(200, &spent, "").meaning(0), Meaning::Done);
    }

    #[test]
    fn asking_too_fast_is_waited_for_ever_longer() {
        let told = [("retry-after", "7")];
        for status in [403, 429, 503] {
            assert_eq!(answer(status, &told, "").meaning(0), not_now(7), "{status}");
            assert_eq!(answer(status, &told, "").meaning(4), not_now(16), "{status}");
        }
        let words = r#"{"message": "You have exceeded a secondary rate limit. Please wait."}"#;
        for (limited, seconds) in [(0, 60), (1, 120), (2, 240), (6, 3840), (60, 3840)] {
            assert_eq!(answer(403, &[], words).meaning(limited), not_now(seconds));
            assert_eq!(answer(429, &[], "").meaning(limited), not_now(seconds));
        }
        let spam = r#"{"message": "Validation Failed", "errors": [{"message": "was submitted too quickly"}]}"#;
        assert_eq!(answer(422, &[], spam).meaning(0), not_now(60));
        assert_eq!(answer(400, &told, "").meaning(0), Meaning::Refused);
    }

    #[test]
    fn what_github_says_is_told_in_one_line() {
        let body = r#"{"message": "Validation\nFailed", "documentation_url": "https://x",
            "errors": ["one", {"message": "two"}, {"resource": "CheckRun", "field": "name", "code": "missing"}]}"#;
        let said = answer(422, &[], body).message();
        assert_eq!(said, "Validation Failed; one; two; CheckRun name missing");
        assert_eq!(answer(502, &[], "<html>Unicorn!</html>").message(), "");
        assert_eq!(answer(502, &[], "upstream\r\nfailed").message(), "upstream failed");
        assert_eq!(answer(500, &[], "").message(), "");
        assert_eq!(answer(422, &[], r#"[{"message": 5}]"#).message(), "");
        let long = short(&"ä".repeat(501));
        assert_eq!((long.chars().count(), long.ends_with('…')), (501, true));
        assert_eq!(short(&"ä".repeat(500)), "ä".repeat(500));
    }

    #[test]
    fn permissions_are_spelled_as_a_workflow_does() {
        for (header, expected) in [
            ("checks=write", Some("checks: write")),
            ("issues=write; pull_requests=write", Some("issues: write or pull-requests: write")),
            ("pull_requests=read,contents=read", Some("pull-requests: read, contents: read")),
            ("", None),
            ("nonsense", None),
            ("Bearer ghs_16C7=write", None),
        ] {
            let answer = answer(403, &[("x-accepted-github-permissions", header)], "");
            assert_eq!(answer.permission().as_deref(), expected, "{header}");
        }
        assert_eq!(answer(403, &[], "").permission(), None);
    }

    #[test]
    fn the_next_page_is_found_among_the_links() {
        let links = "<https://x/a?page=1>; rel=\"prev\", <https://x/a?page=3>; rel=\"next\", \
                     <https://x/a?page=9>; rel=\"last\"";
        let next = answer(200, &[("link", links)], "").next_page();
        assert_eq!(next.as_deref(), Some("https://x/a?page=3"));
        for links in ["<https://x/a?page=1>; rel=\"prev\"", "", "nonsense", "<https://x"] {
            assert_eq!(answer(200, &[("link", links)], "").next_page(), None, "{links}");
        }
    }
}
