//! What GitHub asks of a request beyond its description, and what a token may do.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

/// Something in a body that breaks a rule.
pub(super) struct Broken {
    pub(super) field: &'static str,
    pub(super) code: &'static str,
    pub(super) message: String,
}

/// A rule of one field: what must hold of it, and the longest that it may be.
enum Size {
    Characters(usize),
    /// Of its UTF-8, whatever the description says of characters.
    Bytes(usize),
}

/// Texts that have a length; every one of them must also say something.
#[rustfmt::skip] // one field, one line
const LENGTHS: [(&str, &str, &str, Size); 12] = [
    ("/comments", "", "body", Size::Characters(65_536)),
    ("/check-runs", "", "name", Size::Characters(255)),
    ("/check-runs", "/output", "title", Size::Characters(255)),
    ("/check-runs", "/output", "summary", Size::Bytes(65_535)),
    // GitHub cuts this one and says nothing: what was cut was not meant to be.
    ("/check-runs", "/output", "text", Size::Bytes(65_535)),
    ("/check-runs", "", "external_id", Size::Characters(255)),
    ("/annotations", "", "path", Size::Characters(4096)),
    ("/annotations", "", "message", Size::Bytes(65_536)),
    ("/annotations", "", "title", Size::Characters(255)),
    ("/annotations", "", "raw_details", Size::Bytes(65_536)),
    ("/statuses", "", "description", Size::Characters(140)),
    ("/statuses", "", "context", Size::Characters(255)),
];

/// What every request must carry besides its token: the exact words of each header.
const HEADERS: [(&str, &str, u16); 2] =
    [("accept", "application/vnd.github+json", 415), ("x-github-api-version", "2022-11-28", 400)];

/// What is missing of a request's headers, and the status that this has.
pub(super) fn wrong_headers(
    headers: &BTreeMap<String, String>,
    has_body: bool,
) -> Vec<(u16, String)> {
    let mut wrong = Vec::new();
    if headers.get("user-agent").is_none_or(|it| it.trim().is_empty()) {
        wrong.push((
            403,
            "Request forbidden by administrative rules. Please make sure your \
            request has a User-Agent header"
                .to_owned(),
        ));
    }
    for (name, value, status) in HEADERS {
        if headers.get(name).is_none_or(|it| it != value) {
            wrong.push((status, format!("the header `{name}` must be `{value}`")));
        }
    }
    let json = headers.get("content-type").is_some_and(|it| it.starts_with("application/json"));
    if has_body && !json {
        wrong.push((415, "the body is not said to be JSON".to_owned()));
    }
    wrong
}

/// What a body breaks that the description cannot say.
pub(super) fn broken(call: &str, body: &Value) -> Vec<Broken> {
    let mut found = Vec::new();
    let (_, path) = call.split_once(' ').unwrap_or_default();
    if path.contains("/check-runs") {
        conclusion(body, &mut found);
        lengths("/check-runs", body, &mut found);
        for annotation in body["output"]["annotations"].as_array().into_iter().flatten() {
            lengths("/annotations", annotation, &mut found);
            lines(annotation, &mut found);
        }
        if body["output"].is_object() && !body["output"]["title"].is_string() {
            found.push(broke("title", "missing_field", "title is needed with an output"));
        }
        address("details_url", body, &mut found);
    } else if path.contains("/statuses/") {
        lengths("/statuses", body, &mut found);
        address("target_url", body, &mut found);
    } else if path.ends_with("/comments") || path.contains("/issues/comments/") {
        lengths("/comments", body, &mut found);
    } else if path.ends_with("/labels") {
        labels(body, &mut found);
    }
    found
}

fn broke(field: &'static str, code: &'static str, message: &str) -> Broken {
    Broken { field, code, message: message.to_owned() }
}

fn lengths(thing: &str, body: &Value, found: &mut Vec<Broken>) {
    for (of, place, field, size) in &LENGTHS {
        let text = body.pointer(&format!("{place}/{field}")).and_then(Value::as_str);
        let Some(text) = text.filter(|_| *of == thing) else { continue };
        let long = match size {
            Size::Characters(most) => (text.chars().count() > *most)
                .then(|| format!("{field} is too long (maximum is {most} characters)")),
            Size::Bytes(most) => (text.len() > *most)
                .then(|| format!("{field} exceeds a maximum bytesize of {most}")),
        };
        let blank = text.trim().is_empty().then(|| format!("{field} cannot be blank"));
        let message = long.or(blank);
        found.extend(message.map(|message| Broken { field, code: "custom", message }));
    }
}

/// A check has ended if and only if it says how.
fn conclusion(body: &Value, found: &mut Vec<Broken>) {
    let completed = body["status"] == "completed";
    let concluded = body["conclusion"].is_string();
    if completed && !concluded {
        found.push(broke("conclusion", "missing_field", "conclusion is needed with completed"));
    }
    if concluded && !completed {
        found.push(broke("status", "invalid", "a conclusion is only for what is completed"));
    }
    if body["completed_at"].is_string() && !concluded {
        found.push(broke("conclusion", "missing_field", "conclusion is needed with completed_at"));
    }
    if body["conclusion"] == "stale" {
        found.push(broke("conclusion", "invalid", "only GitHub concludes that a check is stale"));
    }
}

/// An annotation is about lines that can be, and about columns of one line alone.
fn lines(annotation: &Value, found: &mut Vec<Broken>) {
    let line = |name: &str| annotation[name].as_i64().unwrap_or_default();
    if line("start_line") < 1 {
        found.push(broke("start_line", "invalid", "lines count from 1"));
    }
    if line("end_line") < line("start_line") {
        found.push(broke("end_line", "invalid", "end_line is before start_line"));
    }
    let columns = annotation["start_column"].is_i64() || annotation["end_column"].is_i64();
    if columns && line("start_line") != line("end_line") {
        found.push(broke("start_column", "invalid", "columns are only for a single line"));
    }
    if annotation["path"].as_str().is_some_and(|it| it.starts_with('/') || it.contains("..")) {
        found.push(broke("path", "invalid", "a path is relative to the repository"));
    }
}

fn address(field: &'static str, body: &Value, found: &mut Vec<Broken>) {
    let web = |it: &str| it.starts_with("https://") || it.starts_with("http://");
    if body[field].as_str().is_some_and(|it| !web(it)) {
        found.push(broke(field, "invalid", "an address must use the http(s) scheme"));
    }
}

fn labels(body: &Value, found: &mut Vec<Broken>) {
    for name in body["labels"].as_array().into_iter().flatten() {
        let name = name.as_str().or(name["name"].as_str()).unwrap_or_default();
        if name.trim().is_empty() || name.chars().count() > 50 {
            found.push(broke("name", "invalid", "a label has 1 to 50 characters"));
        }
    }
}

/// Whether a token may make a call: one of the permissions suffices, each `NAME=LEVEL`.
///
/// What is denied is `NAME`, or `NAME:write` for writes alone.
pub(super) fn may(accepted: &str, denied: &BTreeSet<String>) -> bool {
    let mut options = accepted.split("; ").filter(|it| !it.is_empty()).peekable();
    options.peek().is_none()
        || options.any(|option| {
            let (name, level) = option.split_once('=').unwrap_or((option, "read"));
            let writes = level == "write" && denied.contains(&format!("{name}:write"));
            !denied.contains(name) && !writes
        })
}
