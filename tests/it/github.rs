//! The tests' GitHub keeps the rules that make it worth testing against: it refuses what GitHub
//! refuses and more, remembers who broke a rule, and does not trust itself either.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;

use crate::support::github::App;
use crate::support::github::Check;
use crate::support::github::Fault;
use crate::support::github::GitHub;
use crate::support::github::Pull;
use crate::support::github::REPOSITORY;
use crate::support::github::TOKEN;
use crate::support::github::WorkflowRun;

const HEAD: &str = "1111111111111111111111111111111111111111";
const NEXT: &str = "2222222222222222222222222222222222222222";
const MERGED: &str = "3333333333333333333333333333333333333333";

/// An answer as it came over the wire; `status` is 0 where there was none.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

/// What a client that does everything right sends along.
fn manners() -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("authorization", format!("Bearer {TOKEN}")),
        ("user-agent", "test".to_owned()),
        ("accept", "application/vnd.github+json".to_owned()),
        ("x-github-api-version", "2022-11-28".to_owned()),
        ("content-type", "application/json".to_owned()),
    ])
}

/// Makes a call in the repository, or of a whole path where that begins with `//`.
fn ask_with(
    github: &GitHub,
    call: &str,
    headers: &BTreeMap<&'static str, String>,
    body: &str,
) -> Answer {
    let (method, path) = call.split_once(' ').unwrap();
    let whole = path.strip_prefix('/').filter(|it| it.starts_with('/'));
    let path = whole.map_or_else(|| format!("/repos/{REPOSITORY}{path}"), str::to_owned);
    let mut text = format!("{method} {path} HTTP/1.1\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(&github.endpoint()["http://".len()..]).unwrap();
    stream.write_all(format!("{text}\r\n{body}").as_bytes()).unwrap();
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut bytes = Vec::new();
    // A reset is one of the answers.
    drop(stream.read_to_end(&mut bytes));
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    Answer {
        status: head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0),
        headers: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        body: bytes.get(end + 4..).unwrap_or_default().to_vec(),
    }
}

fn get(github: &GitHub, path: &str) -> Answer {
    ask_with(github, &format!("GET {path}"), &manners(), "")
}

fn send(github: &GitHub, call: &str, body: &Value) -> Answer {
    ask_with(github, call, &manners(), &body.to_string())
}

/// A server with an open pull request, number 7.
fn github() -> GitHub {
    let github = GitHub::start();
    github.open(Pull::new(7, HEAD));
    github
}

/// The logins, names, bodies, … of a list.
fn texts(answer: &Answer, pointer: &str) -> Vec<String> {
    let list = answer.json();
    let list = list.as_array().unwrap().iter();
    list.map(|it| it.pointer(pointer).unwrap().to_string().replace('"', "")).collect()
}

#[test]
fn one_connection_serves_many_calls() {
    let github = github();
    let client = reqwest::blocking::Client::builder().user_agent("test").build().unwrap();
    let call = |method: reqwest::Method, path: &str| {
        let address = format!("{}/repos/{REPOSITORY}{path}", github.endpoint());
        let mut request = client.request(method, address);
        for (name, value) in manners().into_iter().filter(|(name, _)| *name != "user-agent") {
            request = request.header(name, value);
        }
        request
    };
    for at in 0..3 {
        let body = json!({"body": format!("comment {at}")}).to_string();
        let made = call(reqwest::Method::POST, "/issues/7/comments").body(body).send().unwrap();
        assert_eq!(made.status(), 201);
        let id = serde_json::from_str::<Value>(&made.text().unwrap()).unwrap()["id"].clone();
        let own = format!("/issues/comments/{id}");
        let found = call(reqwest::Method::GET, &own).send().unwrap();
        let etag = found.headers()["etag"].clone();
        assert!(found.text().unwrap().contains(&format!("comment {at}")));
        let same = call(reqwest::Method::GET, &own).header("if-none-match", etag).send().unwrap();
        assert_eq!(same.status(), 304);
    }
    assert_eq!((github.calls().len(), github.comments(7).len()), (9, 3));
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn comments_stay_and_are_edited_by_their_author() {
    let github = github();
    let made = send(&github, "POST /issues/7/comments", &json!({"body": "a plan"}));
    assert_eq!(made.status, 201);
    let id = made.json()["id"].as_u64().unwrap();
    let own = format!("/issues/comments/{id}");
    assert!(made.header("location").ends_with(&own), "{made:?}");
    assert_eq!(made.json()["user"]["login"], "github-actions[bot]");
    assert_eq!(made.json()["user"]["type"], "Bot");
    assert_eq!(made.json()["performed_via_github_app"]["id"], 15368);
    let edited = send(&github, &format!("PATCH {own}"), &json!({"body": "another"}));
    assert_eq!((edited.status, edited.json()["body"].as_str()), (200, Some("another")));
    assert_eq!(get(&github, &own).json()["body"], "another");
    github.edit(id, "tampered");
    let comments = github.comments(7);
    assert_eq!((comments[0].body.as_str(), comments[0].edits), ("tampered", 2));
    assert_eq!((comments[0].id, comments[0].author.as_str()), (id, "github-actions[bot]"));

    let react = |content| {
        let body = json!({"content": content});
        send(&github, &format!("POST {own}/reactions"), &body).status
    };
    assert_eq!((react("eyes"), react("eyes"), react("rocket")), (201, 200, 201));
    let given = github.comments(7)[0].reactions.clone();
    assert_eq!(given[0], ("github-actions[bot]".to_owned(), "eyes".to_owned()));
    assert_eq!(get(&github, &own).json()["reactions"]["total_count"], 2);
    assert_eq!(github.violations(), [""; 0]);

    let theirs = github.comment(7, "mallory", "mine");
    let call = format!("PATCH /issues/comments/{theirs}");
    assert_eq!(send(&github, &call, &json!({"body": "yours"})).status, 403);
    assert_eq!(github.violations().len(), 1);
    github.delete_comment(id);
    assert_eq!(send(&github, &format!("PATCH {own}"), &json!({"body": "x"})).status, 404);
    assert_eq!(texts(&get(&github, "/issues/7/comments"), "/user/login"), ["mallory"]);
    assert_eq!(get(&github, "/issues/8/comments").status, 404);
}

#[test]
fn a_request_without_manners_is_refused() {
    let github = github();
    let refusals = [
        ("authorization", None, 401),
        ("authorization", Some("Bearer other"), 401),
        ("authorization", Some("token of old"), 401),
        ("user-agent", None, 403),
        ("accept", None, 415),
        ("accept", Some("application/json"), 415),
        ("x-github-api-version", None, 400),
        ("x-github-api-version", Some("2026-03-10"), 400),
        ("content-type", Some("text/plain"), 415),
    ];
    for (at, (name, value, status)) in refusals.into_iter().enumerate() {
        let mut headers = manners();
        drop(headers.remove(name));
        headers.extend(value.map(|it| (name, it.to_owned())));
        let answer = ask_with(&github, "POST /issues/7/comments", &headers, "{\"body\":\"x\"}");
        assert_eq!(answer.status, status, "{name} {value:?}");
        assert_eq!(answer.json()["status"], status.to_string());
        assert_eq!(github.violations().len(), at + 1, "{name} {value:?}");
    }
    let none = ask_with(&github, "GET /pulls/7", &BTreeMap::new(), "");
    assert_eq!((none.status, none.message().contains("User-Agent")), (403, true));
    // All mistakes at once: user agent, media type and version.
    assert_eq!(github.violations().len(), refusals.len() + 3);
    assert!(github.comments(7).is_empty());
    assert!(github.violations().iter().all(|it| !it.contains(TOKEN)));
}

type Bad = (&'static str, Value, &'static str);

/// Requests that GitHub does not describe, or describes and does not take; what is said of them.
#[rustfmt::skip] // one request, one line
fn bad_requests() -> Vec<Bad> {
    let long = |length: usize| "x".repeat(length);
    vec![
        ("POST /issues/7/comments", json!({}), "body"),
        ("POST /issues/7/comments", json!({"body": 5}), "body"),
        ("POST /issues/7/comments", json!({"body": "x", "in_reply_to": 1}), "in_reply_to"),
        ("POST /issues/7/comments", json!({"body": ""}), "body cannot be blank"),
        ("POST /issues/7/comments", json!({"body": long(65_537)}), "maximum is 65536 characters"),
        ("POST /issues/7/comments", json!("not an object"), "object"),
        ("GET /pulls/7", json!({}), "takes no body"),
        ("GET /pulls/seven", Value::Null, "pull_number"),
        ("GET /pulls?labels=a", Value::Null, "`labels` is unknown"),
        ("GET /pulls?state=merged", Value::Null, "state"),
        ("GET /pulls?head=branch", Value::Null, "OWNER:BRANCH"),
        ("GET /pulls?per_page=101", Value::Null, "per_page"),
        ("GET /pulls?per_page=0", Value::Null, "per_page"),
        ("GET /pulls?page=0", Value::Null, "page"),
        ("GET /pulls?page=two", Value::Null, "page"),
        ("POST /statuses/1111111111111111111111111111111111111111", json!({"state": "success", "description": long(141)}), "140"),
        ("POST /statuses/1111111111111111111111111111111111111111", json!({"state": "good"}), "state"),
        ("POST /statuses/1111111111111111111111111111111111111111", json!({"state": "success", "target_url": "ftp://a"}), "target_url"),
        ("POST /issues/7/labels", json!({"labels": [long(51)]}), "50"),
        ("POST /issues/7/labels", json!({"labels": []}), "labels"),
        ("POST /issues/comments/1/reactions", json!({"content": "thumbs"}), "content"),
    ]
}

/// An object with more keys.
fn with(mut object: Value, more: &Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

fn note() -> Value {
    json!({"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"})
}

#[rustfmt::skip] // one request, one line
fn bad_checks() -> Vec<Bad> {
    let long = |length: usize| "x".repeat(length);
    let check = |more: Value| with(json!({"name": "plan", "head_sha": HEAD}), &more);
    let output = |more: Value| check(json!({"output": with(json!({"title": "t", "summary": "s"}), &more)}));
    let noted = |more: Value| output(json!({"annotations": [with(note(), &more)]}));
    vec![
        ("POST /check-runs", json!({"name": "plan"}), "head_sha"),
        ("POST /check-runs", check(json!({"status": "completed"})), "conclusion"),
        ("POST /check-runs", check(json!({"conclusion": "success"})), "completed"),
        ("POST /check-runs", check(json!({"status": "in_progress", "conclusion": "success"})), "completed"),
        ("POST /check-runs", check(json!({"completed_at": "2026-01-01T00:00:00Z"})), "conclusion"),
        ("POST /check-runs", check(json!({"started_at": "yesterday"})), "started_at"),
        ("POST /check-runs", check(json!({"status": "completed", "conclusion": "stale"})), "stale"),
        ("POST /check-runs", check(json!({"status": "completed", "conclusion": "good"})), "conclusion"),
        ("POST /check-runs", check(json!({"details_url": "javascript:1"})), "details_url"),
        ("POST /check-runs", check(json!({"output": {"title": "t"}})), "summary"),
        ("POST /check-runs", check(json!({"digest": "x"})), "digest"),
        ("POST /check-runs", output(json!({"summary": long(65_536)})), "summary"),
        ("POST /check-runs", output(json!({"summary": "é".repeat(32_768)})), "bytesize"),
        ("POST /check-runs", output(json!({"text": "é".repeat(32_768)})), "bytesize"),
        ("POST /check-runs", output(json!({"title": long(256)})), "title"),
        ("POST /check-runs", output(json!({"annotations": vec![note(); 51]})), "annotations"),
        ("POST /check-runs", noted(json!({"start_line": 0})), "from 1"),
        ("POST /check-runs", noted(json!({"start_line": 2})), "end_line"),
        ("POST /check-runs", noted(json!({"end_line": 2, "start_column": 1})), "columns"),
        ("POST /check-runs", noted(json!({"annotation_level": "error"})), "annotation_level"),
        ("POST /check-runs", noted(json!({"path": "/a"})), "relative"),
        ("POST /check-runs", noted(json!({"level": "notice"})), "level"),
        ("PATCH /check-runs/1", json!({"head_sha": HEAD}), "head_sha"),
        ("PATCH /check-runs/1", json!({"status": "completed"}), "conclusion"),
        ("PATCH /check-runs/1", json!({"output": {"summary": "s"}}), "title"),
    ]
}

#[test]
fn what_github_does_not_describe_is_refused_and_kept() {
    let github = github();
    for (call, body, about) in [bad_requests(), bad_checks()].concat() {
        let before = github.violations().len();
        let text = if body.is_null() { String::new() } else { body.to_string() };
        let answer = ask_with(&github, call, &manners(), &text);
        let found = github.violations()[before..].join("\n");
        assert_eq!(answer.status, 422, "{call} {found}");
        assert!(found.contains(about), "{call}: `{about}` is not in: {found}");
    }
    for broken in ["{\"body\":", "null", "x"] {
        let answer = ask_with(&github, "POST /issues/7/comments", &manners(), broken);
        assert_eq!((answer.status, answer.message().as_str()), (400, "Problems parsing JSON"));
        assert!(github.violations().last().unwrap().contains("not JSON"));
    }
    let before = github.violations().len();
    assert_eq!(ask_with(&github, "DELETE /pulls/7", &manners(), "").status, 404);
    assert_eq!(github.violations().len(), before + 1);
    assert!(github.comments(7).is_empty() && github.checks(HEAD).is_empty());
}

#[test]
fn the_longest_that_github_takes_is_taken() {
    let github = github();
    let comment = json!({"body": "é".repeat(65_536)});
    assert_eq!(send(&github, "POST /issues/7/comments", &comment).status, 201);
    let text = "x".repeat(65_535);
    let output = json!({"title": "t", "summary": text, "text": text});
    let check = json!({"name": "plan", "head_sha": HEAD, "output": output});
    assert_eq!(send(&github, "POST /check-runs", &check).status, 201);
    let status = json!({"state": "success", "description": "é".repeat(140)});
    assert_eq!(send(&github, &format!("POST /statuses/{HEAD}"), &status).status, 201);
    let label = json!({"labels": ["é".repeat(50)]});
    assert_eq!(send(&github, "POST /issues/7/labels", &label).status, 200);
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn an_answer_that_github_would_not_give_is_found() {
    let planted: [fn(&mut Value); 4] = [
        |it| drop(it.as_object_mut().unwrap().remove("title")),
        |it| it["number"] = json!("seven"),
        |it| it["invented"] = json!(1),
        |it| it["created_at"] = json!("yesterday"),
    ];
    for lie in planted {
        let github = github();
        github.lie("GET /pulls/{pull_number}", lie);
        assert_eq!(get(&github, "/pulls/7").status, 0, "no answer is better than a wrong one");
        let found = github.violations();
        assert!(found.len() == 1 && found[0].contains("this server's answer"), "{found:?}");
        // Only that thread has ended.
        assert_eq!(get(&github, "/pulls").status, 200);
    }
}

#[test]
fn lists_come_in_pages_that_link_to_each_other() {
    let github = github();
    for at in 0..250 {
        github.comment(7, "ana", &format!("comment {at}"));
    }
    let usual = get(&github, "/issues/7/comments");
    assert_eq!(texts(&usual, "/id").len(), 30);
    let mut next = "/issues/7/comments?per_page=100".to_owned();
    let mut seen = Vec::new();
    let mut links = Vec::new();
    loop {
        let page = get(&github, &next);
        seen.extend(texts(&page, "/body"));
        links.push(page.header("link").replace(&github.endpoint(), ""));
        let link = page.header("link").split(", ").find(|it| it.ends_with("rel=\"next\""));
        let Some(link) = link else { break };
        let address = link.split(['<', '>']).nth(1).unwrap();
        next = format!("/{}", address.strip_prefix(&github.endpoint()).unwrap());
    }
    let expected: Vec<String> = (0..250).map(|at| format!("comment {at}")).collect();
    assert_eq!(seen, expected);
    let page = |at: usize, rel: &str| {
        let path = "/repositories/700700/issues/7/comments";
        format!("<{path}?per_page=100&page={at}>; rel=\"{rel}\"")
    };
    assert_eq!(links[0], [page(2, "next"), page(3, "last")].join(", "));
    let middle = [page(1, "prev"), page(3, "next"), page(3, "last"), page(1, "first")];
    assert_eq!(links[1], middle.join(", "));
    assert_eq!(links[2], [page(2, "prev"), page(1, "first")].join(", "));
    assert_eq!(
        github.calls()[1].query,
        BTreeMap::from([("per_page".to_owned(), "100".to_owned())])
    );
    let beyond = get(&github, "/issues/7/comments?per_page=100&page=9");
    assert!(
        texts(&beyond, "/id").is_empty() && beyond.header("link").contains("page=3>; rel=\"prev\"")
    );
    let (id, since) = (github.comments(7)[0].id, "2099-01-01T00:00:00Z");
    assert!(texts(&get(&github, &format!("/issues/7/comments?since={since}")), "/id").is_empty());
    assert_eq!(get(&github, &format!("/issues/comments/{id}")).header("link"), "");
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn what_has_not_changed_costs_nothing() {
    let github = github();
    let first = get(&github, "/issues/7/comments");
    let remaining = |it: &Answer| it.header("x-ratelimit-remaining").parse::<u64>().unwrap();
    assert_eq!((first.header("x-ratelimit-limit"), remaining(&first)), ("1000", 999));
    assert_eq!(
        (first.header("x-ratelimit-used"), first.header("x-ratelimit-resource")),
        ("1", "core")
    );
    let mut headers = manners();
    headers.insert("if-none-match", first.header("etag").to_owned());
    let again = ask_with(&github, "GET /issues/7/comments", &headers, "");
    assert_eq!((again.status, again.body.len(), remaining(&again)), (304, 0, 999));
    assert_eq!(again.header("etag"), first.header("etag"));
    github.comment(7, "ana", "new");
    let changed = ask_with(&github, "GET /issues/7/comments", &headers, "");
    assert_eq!((changed.status, remaining(&changed)), (200, 998));
    assert_ne!(changed.header("etag"), first.header("etag"));
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn the_hourly_limit_holds_until_it_says() {
    let github = github();
    github.leave(1);
    assert_eq!(get(&github, "/pulls/7").header("x-ratelimit-remaining"), "0");
    let used_up = get(&github, "/pulls/7");
    assert_eq!((used_up.status, github.impatient()), (403, 0));
    assert!(used_up.message().starts_with("API rate limit exceeded for installation ID"));
    assert_eq!((get(&github, "/pulls/7").status, github.impatient()), (403, 1));

    let github = self::github();
    github.fail(1, Fault::Exhausted { status: 429, seconds: 1 }, |_| true);
    let comment = json!({"body": "x"});
    let refused = send(&github, "POST /issues/7/comments", &comment);
    assert_eq!((refused.status, refused.header("x-ratelimit-remaining")), (429, "0"));
    let reset: i64 = refused.header("x-ratelimit-reset").parse().unwrap();
    let now = || jiff::Timestamp::now().as_second();
    assert!((1..=2).contains(&(reset - now())));
    while now() < reset {
        std::thread::sleep(Duration::from_millis(20));
    }
    let taken = send(&github, "POST /issues/7/comments", &comment);
    assert_eq!((taken.status, taken.header("x-ratelimit-remaining")), (201, "999"));
    assert_eq!((github.comments(7).len(), github.impatient()), (1, 0));
}

#[test]
fn secondary_limits_say_how_long_or_only_that() {
    let github = github();
    github.fail(1, Fault::Secondary { status: 403, retry_after: Some(1) }, |call| call.is_write());
    let body = json!({"body": "x"});
    let call = "POST /issues/7/comments";
    assert_eq!(get(&github, "/pulls/7").status, 200);
    let refused = send(&github, call, &body);
    assert_eq!((refused.status, refused.header("retry-after")), (403, "1"));
    assert!(refused.message().starts_with("You have exceeded a secondary rate limit"));
    assert_ne!(refused.header("x-ratelimit-remaining"), "0");
    assert_eq!((send(&github, call, &body).status, github.impatient()), (403, 1));
    std::thread::sleep(Duration::from_millis(1010));
    assert_eq!(send(&github, call, &body).status, 201);

    github.fail(2, Fault::Secondary { status: 429, retry_after: None }, |call| call.is_write());
    github.fail(1, Fault::Status(429), |call| !call.is_write());
    let refused =
        [send(&github, call, &body), send(&github, call, &body), get(&github, "/pulls/7")];
    for answer in refused {
        assert_eq!((answer.status, answer.header("retry-after")), (429, ""));
        assert!(answer.message().contains("secondary rate limit"));
    }
    assert_eq!((send(&github, call, &body).status, github.impatient()), (201, 1));
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn statuses_on_demand_come_before_or_after_what_was_asked_for() {
    let comment = json!({"body": "x"});
    let call = "POST /issues/{issue_number}/comments";
    for status in [401, 403, 404, 409, 422, 500, 502, 503] {
        let github = github();
        github.fail(1, Fault::Status(status), move |it| it.is(call));
        github.fail(1, Fault::StatusAfter(status), move |it| it.is(call));
        assert_eq!(get(&github, "/pulls/7").status, 200);
        let before = send(&github, "POST /issues/7/comments", &comment);
        assert_eq!((before.status, github.comments(7).len()), (status, 0));
        let after = send(&github, "POST /issues/7/comments", &comment);
        assert_eq!((after.status, github.comments(7).len()), (status, 1));
        let is_page = serde_json::from_slice::<Value>(&after.body).is_err();
        assert_eq!(is_page, status > 500, "{status}");
        assert_eq!(send(&github, "POST /issues/7/comments", &comment).status, 201);
        let statuses: Vec<Option<u16>> = github.calls().iter().map(|it| it.status).collect();
        assert_eq!(statuses, [Some(200), Some(status), Some(status), Some(201)]);
        assert_eq!(github.violations(), [""; 0]);
    }
}

#[test]
fn connections_break_before_and_after_and_in_the_middle() {
    let github = github();
    let post = || send(&github, "POST /issues/7/comments", &json!({"body": "x"}));
    let write = |fault| github.fail(1, fault, |it| it.is_write() && it.path.ends_with("/comments"));
    write(Fault::ResetBefore);
    assert_eq!((post().status, github.comments(7).len()), (0, 0));
    write(Fault::ResetAfter);
    assert_eq!((post().status, github.comments(7).len()), (0, 1));
    write(Fault::BrokenBody);
    let broken = post();
    assert_eq!((broken.status, github.comments(7).len()), (201, 2));
    let length: usize = broken.header("content-length").parse().unwrap();
    assert!(broken.body.len() < length);
    write(Fault::NotJson);
    let page = post();
    assert_eq!((page.status, github.comments(7).len()), (201, 3));
    assert!(page.body.starts_with(b"<!DOCTYPE html>"));
    for fault in [Fault::StallBefore, Fault::StallAfter] {
        write(fault(Duration::from_millis(300)));
        let start = Instant::now();
        assert_eq!(post().status, 201);
        assert!(start.elapsed() >= Duration::from_millis(300));
    }
    write(Fault::ResetBefore);
    assert_eq!((github.heal(), post().status), (1, 201));
    let last = github.calls().pop().unwrap();
    assert_eq!((last.number, last.body), (7, json!({"body": "x"})));
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn a_token_may_what_it_was_given() {
    let github = github();
    github.role("ana", "maintain");
    github.member("platform", "ana", "active");
    let check = json!({"name": "plan", "head_sha": HEAD});
    let post = |call: &str, body: &Value| send(&github, call, body);
    github.deny("checks:write");
    let refused = post("POST /check-runs", &check);
    assert_eq!(refused.message(), "Resource not accessible by integration");
    assert_eq!(
        (refused.status, refused.header("x-accepted-github-permissions")),
        (403, "checks=write")
    );
    assert_eq!(get(&github, &format!("/commits/{HEAD}/check-runs")).status, 200);
    github.deny("checks");
    assert_eq!(get(&github, &format!("/commits/{HEAD}/check-runs")).status, 403);
    github.deny("statuses:write");
    assert_eq!(post(&format!("POST /statuses/{HEAD}"), &json!({"state": "success"})).status, 403);
    assert_eq!(get(&github, &format!("/commits/{HEAD}/statuses")).status, 200);

    // Either of the two lets a token comment.
    let comment = json!({"body": "x"});
    github.deny("issues:write");
    assert_eq!(post("POST /issues/7/comments", &comment).status, 201);
    github.deny("pull-requests:write");
    let refused = post("POST /issues/7/comments", &comment);
    let accepted = refused.header("x-accepted-github-permissions");
    assert_eq!((refused.status, accepted), (403, "issues=write; pull_requests=write"));
    assert_eq!(post("POST /issues/7/labels", &json!({"labels": ["a"]})).status, 403);
    assert_eq!(get(&github, "/pulls/7").status, 200);
    github.deny("pull-requests");
    assert_eq!(get(&github, "/pulls/7").status, 403);
    assert_eq!(get(&github, "/issues/7/comments").status, 200);
    github.deny("members");
    assert_eq!(get(&github, "//orgs/acme/teams/platform/memberships/ana").status, 403);
    github.deny("contents");
    assert_eq!(get(&github, "/collaborators/ana/permission").status, 200);
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn a_workflow_is_an_app_and_a_person_is_none() {
    let check = json!({"name": "plan", "head_sha": HEAD});
    let app = github();
    let refused = get(&app, "//user");
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (403, "Resource not accessible by integration")
    );
    assert_eq!(send(&app, "POST /check-runs", &check).json()["app"]["slug"], "github-actions");

    let person = GitHub::personal("deployer");
    person.open(Pull::new(7, HEAD));
    let myself = get(&person, "//user");
    assert_eq!((myself.status, myself.json()["login"].as_str()), (200, Some("deployer")));
    assert_eq!(myself.header("x-ratelimit-limit"), "5000");
    let refused = send(&person, "POST /check-runs", &check);
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (403, "You must authenticate via a GitHub App.")
    );
    let made = send(&person, "POST /issues/7/comments", &json!({"body": "x"})).json();
    assert_eq!(made["user"]["login"], "deployer");
    assert_eq!(made["performed_via_github_app"], Value::Null);
    person.deny("pull-requests");
    assert_eq!(
        get(&person, "/pulls/7").message(),
        "Resource not accessible by personal access token"
    );
    assert_eq!([app.violations(), person.violations()].concat(), [""; 0]);
}

#[test]
fn checks_are_updated_by_their_app_alone() {
    let github = github();
    let note = json!({"path": "a", "start_line": 1, "end_line": 2, "annotation_level": "failure", "message": "m"});
    let body = json!({
        "name": "plan", "head_sha": HEAD, "external_id": "sha256:1", "details_url": "https://example.com",
        "output": {"title": "t", "summary": "s", "text": "x", "annotations": vec![&note; 50]},
    });
    let made = send(&github, "POST /check-runs", &body).json();
    assert_eq!((&made["status"], &made["conclusion"]), (&json!("queued"), &Value::Null));
    // A workflow has no say in where details are.
    assert_eq!(made["details_url"], made["html_url"]);
    assert_eq!(made["pull_requests"][0]["number"], 7);
    let own = format!("/check-runs/{}", made["id"]);
    let body = json!({
        "status": "completed", "conclusion": "success",
        "output": {"title": "done", "summary": "s", "annotations": [note]},
    });
    let done = send(&github, &format!("PATCH {own}"), &body).json();
    assert_eq!(
        (&done["conclusion"], &done["external_id"]),
        (&json!("success"), &json!("sha256:1"))
    );
    assert_eq!(
        (&done["output"]["text"], &done["output"]["annotations_count"]),
        (&Value::Null, &json!(51))
    );
    assert!(done["completed_at"].is_string());
    let kept = &github.checks(HEAD)[0];
    assert_eq!((kept.name.as_str(), kept.status.as_str(), kept.updates), ("plan", "completed", 1));
    assert_eq!((kept.title.as_deref(), kept.annotations.len()), (Some("done"), 51));
    assert_eq!(
        (kept.conclusion.as_deref(), kept.external_id.as_deref()),
        (Some("success"), Some("sha256:1"))
    );
    assert_eq!((kept.summary.as_deref(), kept.text.as_deref()), (Some("s"), None));
    assert_eq!((&kept.app, kept.sha.as_str()), (&App::actions(), HEAD));
    assert_eq!(kept.details_url.as_deref(), Some("https://example.com"));

    let forged = Check::new(App::new(99, "mallory"), HEAD, "plan");
    let forged = github.check(forged.concluded("success", "sha256:2", "forged"));
    let refused = send(&github, &format!("PATCH /check-runs/{forged}"), &body);
    assert_eq!((refused.status, refused.message().contains("Invalid app_id `15368`")), (403, true));
    assert_eq!(github.checks(HEAD)[1].updates, 0);
    let missing = json!({"name": "plan", "head_sha": "f".repeat(40)});
    assert_eq!(send(&github, "POST /check-runs", &missing).status, 422);
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn the_checks_of_a_commit_are_picked_by_name_app_and_age() {
    let github = github();
    let plan = |app| github.check(Check::new(app, HEAD, "plan"));
    let other = App::new(99, "mallory");
    let (old, new, theirs) = (plan(App::actions()), plan(App::actions()), plan(other.clone()));
    let lint = github.check(Check::new(other, HEAD, "lint").concluded("failure", "", ""));
    let ids = |query: &str| {
        let found = get(&github, &format!("/commits/{HEAD}/check-runs{query}")).json();
        let runs = found["check_runs"].as_array().unwrap().clone();
        assert_eq!(found["total_count"], runs.len());
        runs.iter().map(|it| it["id"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(""), [lint, theirs, new]);
    assert_eq!(ids("?filter=all&check_name=plan"), [theirs, new, old]);
    assert_eq!(ids("?app_id=15368&filter=all"), [new, old]);
    assert_eq!(ids("?status=completed"), [lint]);
    let page = get(&github, &format!("/commits/{HEAD}/check-runs?per_page=1&page=2"));
    assert_eq!(
        (&page.json()["total_count"], page.json()["check_runs"][0]["id"].as_u64()),
        (&json!(3), Some(theirs))
    );
    assert_eq!(get(&github, &format!("/commits/{NEXT}/check-runs")).status, 422);
    assert_eq!(get(&github, "/commits/change-7/check-runs").json()["total_count"], 3);
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn statuses_are_listed_the_newest_first() {
    let github = github();
    let post = |state: &str| {
        let body = json!({"state": state, "context": "chronon", "description": state, "target_url": "https://a"});
        send(&github, &format!("POST /statuses/{HEAD}"), &body)
    };
    assert_eq!((post("pending").status, post("success").status), (201, 201));
    let listed = get(&github, &format!("/commits/{HEAD}/statuses"));
    assert_eq!(texts(&listed, "/state"), ["success", "pending"]);
    let kept = github.statuses(HEAD);
    let first = &kept[0];
    assert_eq!((first.state.as_str(), first.context.as_str()), ("pending", "chronon"));
    assert_eq!(
        (first.description.as_deref(), first.target_url.as_deref()),
        (Some("pending"), Some("https://a"))
    );
    assert_eq!((first.creator.as_str(), first.sha.as_str()), ("github-actions[bot]", HEAD));
    assert!(first.id < kept[1].id);
    assert_eq!(
        send(&github, &format!("POST /statuses/{NEXT}"), &json!({"state": "error"})).status,
        422
    );
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn a_pull_request_is_opened_pushed_to_reviewed_and_merged() {
    let github = GitHub::start();
    let base = "b".repeat(40);
    let pull = Pull::new(7, HEAD).title("Spend").author("bo").branch("spend").onto("main", &base);
    github.open(
        pull.draft().file("compiled/a", "modified").file("compiled/b", "removed").renamed("c", "d"),
    );
    let opened = get(&github, "/pulls/7").json();
    assert_eq!((&opened["title"], &opened["user"]["login"]), (&json!("Spend"), &json!("bo")));
    assert_eq!(
        (&opened["head"]["label"], &opened["base"]["sha"]),
        (&json!("acme:spend"), &json!(base))
    );
    assert_eq!((&opened["merged"], &opened["draft"]), (&json!(false), &json!(true)));
    // What merging it would make is not on any branch.
    let test = opened["merge_commit_sha"].as_str().unwrap();
    assert_eq!(get(&github, &format!("/commits/{test}/pulls")).status, 422);
    let files = get(&github, "/pulls/7/files");
    assert_eq!(texts(&files, "/filename"), ["compiled/a", "compiled/b", "d"]);
    assert_eq!(files.json()[2]["previous_filename"], "c");

    github.review(7, "cy", "APPROVED", HEAD);
    github.push(7, NEXT);
    github.review(7, "dee", "CHANGES_REQUESTED", NEXT);
    let reviews = get(&github, "/pulls/7/reviews");
    assert_eq!(texts(&reviews, "/commit_id"), [HEAD, NEXT]);
    assert_eq!(texts(&reviews, "/state"), ["APPROVED", "CHANGES_REQUESTED"]);
    assert_eq!(get(&github, "/pulls/7").json()["head"]["sha"], NEXT);
    let found = |sha: &str| texts(&get(&github, &format!("/commits/{sha}/pulls")), "/number");
    assert_eq!((found(HEAD), found(&base)), (vec!["7".to_owned()], vec![]));

    github.merge(7, MERGED, "cy");
    let merged = get(&github, "/pulls/7").json();
    assert_eq!((&merged["merged_by"]["login"], &merged["state"]), (&json!("cy"), &json!("closed")));
    assert_eq!(merged["merge_commit_sha"], MERGED);
    assert_eq!((found(MERGED), found(NEXT)), (vec!["7".to_owned()], vec!["7".to_owned()]));
    github.commit(&"e".repeat(40));
    assert!(found(&"e".repeat(40)).is_empty(), "a direct push has none");
    assert_eq!(get(&github, "/commits/main/pulls").json(), json!([]));
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn pull_requests_are_listed_by_state_branch_and_age() {
    let github = GitHub::start();
    github.open(Pull::new(1, HEAD).branch("a").onto("release", &"b".repeat(40)));
    github.open(Pull::new(2, NEXT).branch("a").fork("mallory/features"));
    github.open(Pull::new(3, HEAD).branch("c"));
    github.close(3);
    let found = |query: &str| texts(&get(&github, &format!("/pulls{query}")), "/number").join(" ");
    assert_eq!(found(""), "2 1");
    assert_eq!(found("?direction=asc"), "1 2");
    assert_eq!((found("?state=closed"), found("?state=all")), ("3".to_owned(), "3 2 1".to_owned()));
    assert_eq!((found("?head=acme:a"), found("?head=mallory:a")), ("1".to_owned(), "2".to_owned()));
    assert_eq!(found("?base=release"), "1");
    github.comment(1, "ana", "x");
    assert_eq!(found("?sort=popularity"), "2 1");
    github.push(1, MERGED);
    assert_eq!(found("?sort=updated&direction=desc"), "1 2");
    let fork = get(&github, "/pulls/2").json();
    assert_eq!(fork["head"]["repo"]["full_name"], "mallory/features");
    assert_eq!(
        (&fork["head"]["repo"]["fork"], &fork["base"]["repo"]["fork"]),
        (&json!(true), &json!(false))
    );
    // A check does not know the pull requests of forks.
    github.check(Check::new(App::actions(), NEXT, "plan"));
    let check = get(&github, &format!("/commits/{NEXT}/check-runs")).json();
    assert_eq!(check["check_runs"][0]["pull_requests"], json!([]));
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn labels_are_put_on_and_taken_off() {
    let github = github();
    github.label(7, "mine");
    let added =
        send(&github, "POST /issues/7/labels", &json!({"labels": ["chronon: plan", "Mine"]}));
    assert_eq!(texts(&added, "/name"), ["mine", "chronon: plan"]);
    assert_eq!(send(&github, "DELETE /issues/7/labels/chronon%3A%20plan", &json!({})).status, 422);
    let bodiless = |call: &str| ask_with(&github, call, &manners(), "");
    assert_eq!(github.violations().len(), 1, "a body where none belongs");
    assert_eq!(texts(&bodiless("DELETE /issues/7/labels/chronon%3A%20plan"), "/name"), ["mine"]);
    let gone = bodiless("DELETE /issues/7/labels/chronon%3A%20plan");
    assert_eq!((gone.status, gone.message().as_str()), (404, "Label does not exist"));
    assert_eq!(texts(&get(&github, "/issues/7/labels"), "/name"), ["mine"]);
    assert_eq!(get(&github, "/pulls/7").json()["labels"][0]["name"], "mine");
    assert_eq!(github.labels(7), ["mine"]);
    github.unlabel(7, "mine");
    assert!(github.labels(7).is_empty());
}

#[test]
fn people_have_roles_and_teams_have_members() {
    let github = github();
    for (role, permission) in [
        ("admin", "admin"),
        ("maintain", "write"),
        ("write", "write"),
        ("triage", "read"),
        ("read", "read"),
        ("none", "none"),
    ] {
        github.role("ana", role);
        let found = get(&github, "/collaborators/ana/permission").json();
        assert_eq!((&found["permission"], &found["role_name"]), (&json!(permission), &json!(role)));
        assert_eq!(
            found["user"]["permissions"]["push"],
            permission == "write" || permission == "admin"
        );
    }
    let nobody = get(&github, "/collaborators/nobody/permission");
    assert_eq!((nobody.status, nobody.message().as_str()), (404, "nobody is not a user"));
    github.member("platform", "ana", "active");
    github.member("platform", "bo", "pending");
    let state = |login: &str| {
        let found = get(&github, &format!("//orgs/acme/teams/platform/memberships/{login}"));
        (found.status, found.json()["state"].as_str().map(str::to_owned))
    };
    assert_eq!(state("ana"), (200, Some("active".to_owned())));
    assert_eq!(state("bo"), (200, Some("pending".to_owned())));
    assert_eq!(state("cy"), (404, None));
    assert_eq!(get(&github, "//orgs/other/teams/platform/memberships/ana").status, 404);
    assert_eq!(get(&github, "//repos/acme/other/pulls/7").status, 404);
    assert_eq!(github.violations(), [""; 0]);
}

#[test]
fn a_run_says_whether_it_lives() {
    let github = github();
    github.run(WorkflowRun::new(5, HEAD, "pull_request", "in_progress").attempt(2));
    github.run(WorkflowRun::new(6, HEAD, "push", "queued").concluded("cancelled"));
    let lives = get(&github, "/actions/runs/5").json();
    assert_eq!((&lives["status"], &lives["conclusion"]), (&json!("in_progress"), &Value::Null));
    assert_eq!((&lives["run_attempt"], &lives["event"]), (&json!(2), &json!("pull_request")));
    assert_eq!(lives["pull_requests"][0]["number"], 7);
    let ended = get(&github, "/actions/runs/6?exclude_pull_requests=true").json();
    assert_eq!(
        (&ended["status"], &ended["conclusion"]),
        (&json!("completed"), &json!("cancelled"))
    );
    assert_eq!(ended["pull_requests"], json!([]));
    assert_eq!(get(&github, "/actions/runs/7").status, 404);
    assert_eq!(github.violations(), [""; 0]);
}
