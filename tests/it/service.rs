//! The tests' storage service keeps the rules that make it worth testing against: it refuses
//! what Google refuses and more, and remembers who broke a rule.

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::Value;

use crate::support::gcs::Fault;
use crate::support::gcs::Gcs;
use crate::support::gcs::Kind;
use crate::support::gcs::Moment;

/// An answer as it came over the wire; `status` is 0 where there was none.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

fn ask(server: &Gcs, call: &str, body: &[u8]) -> Answer {
    ask_with(server, call, "", body)
}

/// The same with headers, each ended by `\r\n`.
fn ask_with(server: &Gcs, call: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(&server.endpoint()["http://".len()..]).unwrap();
    let length = body.len();
    let head = format!("{call} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    // A reset is one of the answers, and may be here before all was said.
    drop(stream.shutdown(std::net::Shutdown::Write));
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes));
    let end = bytes.windows(4).position(|it| it == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).unwrap_or(0);
    Answer { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
}

fn upload(server: &Gcs, bucket: &str, name: &str, condition: &str) -> Answer {
    let target = format!("/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}{condition}");
    ask(server, &format!("POST {target}"), b"hello")
}

fn server() -> Gcs {
    let server = Gcs::start();
    server.state("state");
    server.bucket("other");
    server
}

#[test]
fn a_state_bucket_takes_conditional_writes_once_a_second() {
    let server = server();
    assert_eq!(upload(&server, "state", "a", "").status, 400);
    assert_eq!(server.violations().len(), 1);
    let first = upload(&server, "state", "a", "&ifGenerationMatch=0");
    assert_eq!(first.status, 200);
    let generation: u64 = first.json()["generation"].as_str().unwrap().parse().unwrap();
    let again = upload(&server, "state", "a", "&ifGenerationMatch=0");
    assert_eq!((again.status, again.json()["error"]["code"].as_u64()), (412, Some(412)));
    let stale = format!("&ifGenerationMatch={}", generation - 1);
    assert_eq!(upload(&server, "state", "a", &stale).status, 412);
    assert_eq!(server.violations().len(), 1);
    let next = format!("&ifGenerationMatch={generation}");
    assert_eq!(upload(&server, "state", "a", &next).status, 429);
    assert_eq!(server.violations().len(), 2);
    std::thread::sleep(Duration::from_millis(1010));
    let second = upload(&server, "state", "a", &next).json();
    let second: u64 = second["generation"].as_str().unwrap().parse().unwrap();
    assert!(second > generation);
    assert_eq!(server.object("state", "a").unwrap().writes, 2);
    assert_eq!(server.violations().len(), 2);
}

#[test]
fn another_bucket_takes_any_write() {
    let server = server();
    for _ in 0..3 {
        assert_eq!(upload(&server, "other", "jars%2Fa+b.jar", "").status, 200);
    }
    assert_eq!(server.names("other"), ["jars/a b.jar"]);
    assert_eq!(upload(&server, "other", "jars%2Fa+b.jar", "&ifGenerationMatch=0").status, 412);
    assert_eq!(server.violations(), [""; 0]);
}

#[test]
fn names_are_held_to_the_rules_and_buckets_must_exist() {
    let server = server();
    let long = "n".repeat(1025);
    for name in ["", ".", "..", "a%0Ab", "a%0Db", "%ff", &long, ".well-known/acme-challenge/x"] {
        let answer = upload(&server, "state", name, "&ifGenerationMatch=0");
        assert_eq!(answer.status, 400, "{name}");
    }
    assert_eq!(server.violations().len(), 8);
    assert_eq!(upload(&server, "state", &long[1..], "&ifGenerationMatch=0").status, 200);
    let missing = upload(&server, "nowhere", "a", "&ifGenerationMatch=0");
    let what = "The specified bucket does not exist.";
    assert_eq!((missing.status, missing.json()["error"]["message"].as_str()), (404, Some(what)));
    assert_eq!(ask(&server, "GET /storage/v1/b/nowhere", b"").status, 404);
    assert_eq!(ask(&server, "GET /storage/v1/b/other", b"").json()["name"], "other");
    assert_eq!(ask(&server, "POST /storage/v1/b?project=p", b"{\"name\":\"made\"}").status, 200);
    assert_eq!(ask(&server, "POST /storage/v1/b?project=p", b"{\"name\":\"made\"}").status, 409);
    assert_eq!(upload(&server, "made", "a", "").status, 200);
    assert_eq!(ask(&server, "DELETE /storage/v1/b/made/o/a", b"").status, 400);
}

#[test]
fn what_is_read_has_its_generation_and_checksums() {
    let server = server();
    let generation = server.put("other", "a/b", b"hello");
    for path in ["/storage/v1", "/download/storage/v1"] {
        let answer = ask(&server, &format!("GET {path}/b/other/o/a%2Fb?alt=media"), b"");
        assert_eq!(answer.body, b"hello");
        for header in [
            format!("x-goog-generation: {generation}"),
            "x-goog-hash: crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg==".to_owned(),
            "x-goog-stored-content-length: 5".to_owned(),
        ] {
            assert!(answer.head.contains(&header), "{}", answer.head);
        }
        assert!(answer.head.contains("\ndate: ") && answer.head.contains(" GMT\r\n"));
    }
    let known = ask(&server, "GET /storage/v1/b/other/o/a%2Fb?fields=name", b"").json();
    assert_eq!((&known["crc32c"], &known["size"]), (&"mnG7TA==".into(), &"5".into()));
    let old = format!("GET /storage/v1/b/other/o/a%2Fb?alt=media&generation={}", generation - 1);
    assert_eq!(ask(&server, &old, b"").status, 404);
    assert_eq!(
        ask(&server, "GET /storage/v1/b/other/o/b?alt=media", b"").body,
        b"No such object: other/b"
    );
}

#[test]
fn lists_come_in_pages() {
    let server = server();
    for name in ["a/1", "a/2", "a/3", "b"] {
        server.put("other", name, b"x");
    }
    let mut names = Vec::new();
    let mut token = String::new();
    loop {
        let call = format!("GET /storage/v1/b/other/o?prefix=a/&maxResults=2&pageToken={token}");
        let page = ask(&server, &call, b"").json();
        names.extend(page["items"].as_array().unwrap().iter().map(|it| it["name"].to_string()));
        let Some(next) = page["nextPageToken"].as_str() else { break };
        token = next.to_owned();
    }
    assert_eq!(names, ["\"a/1\"", "\"a/2\"", "\"a/3\""]);
}

#[test]
fn faults_happen_where_they_are_asked_for() {
    let done = [
        (Fault::Status(503), 503, false),
        (Fault::ResetBefore, 0, false),
        (Fault::ResetAfter, 0, true),
        (Fault::BrokenBody, 200, true),
        (Fault::StatusAfter(500), 500, true),
        (Fault::StallBefore(Duration::from_millis(50)), 200, true),
        (Fault::StallAfter(Duration::from_millis(50)), 200, true),
    ];
    for (fault, status, committed) in done {
        let server = server();
        server.fail(1, fault, |call| call.number == 2 && call.kind == Kind::Write);
        assert_eq!(upload(&server, "other", "a", "").status, 200);
        let answer = upload(&server, "other", "b", "");
        assert_eq!(answer.status, status, "{fault:?}");
        assert_eq!(server.object("other", "b").is_some(), committed, "{fault:?}");
        let whole = serde_json::from_slice::<Value>(&answer.body).is_ok();
        assert_eq!(
            whole,
            !matches!(fault, Fault::ResetBefore | Fault::ResetAfter | Fault::BrokenBody)
        );
        assert_eq!(upload(&server, "other", "c", "").status, 200, "{fault:?}");
    }
    let server = server();
    server.fail(5, Fault::Status(503), |_| true);
    assert_eq!(upload(&server, "other", "a", "").status, 503);
    server.heal();
    assert_eq!(upload(&server, "other", "a", "").status, 200);
}

#[test]
fn hooks_see_every_write_before_and_after_it_is_decided() {
    let server = server();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    server.hook(move |moment, call| {
        kept.lock().unwrap().push((moment, call.object.clone(), call.expects));
    });
    assert_eq!(upload(&server, "state", "a", "&ifGenerationMatch=0").status, 200);
    assert_eq!(ask(&server, "GET /storage/v1/b/state/o/a?alt=media", b"").status, 200);
    let expected = [Moment::Before, Moment::After].map(|it| (it, "a".to_owned(), Some(0)));
    assert_eq!(*seen.lock().unwrap(), expected);
    let calls = server.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.status == Some(200) && call.bucket == "state"));
}

#[test]
fn uploads_in_parts_carry_their_type_and_are_checked() {
    let server = server();
    let send = |crc32c: &str| {
        let body = format!(
            "--b\r\ncontent-type: application/json\r\n\r\n\
             {{\"name\":\"x\",\"contentType\":\"text/x\",\"crc32c\":\"{crc32c}\"}}\r\n\
             --b\r\n\r\nhel\r\n--lo\r\n--b--\r\n"
        );
        let call = "POST /upload/storage/v1/b/other/o?uploadType=multipart";
        let kind = "content-type: multipart/related; boundary=\"b\"\r\n";
        ask_with(&server, call, kind, body.as_bytes())
    };
    assert_eq!(send("AAAAAA==").status, 400);
    assert_eq!(server.names("other"), [""; 0]);
    let right = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        crc32c::crc32c(b"hel\r\n--lo").to_be_bytes(),
    );
    assert_eq!(send(&right).status, 200);
    let found = server.object("other", "x").unwrap();
    assert_eq!(
        (found.bytes.as_slice(), found.content_type.as_str()),
        (&b"hel\r\n--lo"[..], "text/x")
    );
    assert_eq!(
        ask(&server, "POST /upload/storage/v1/b/other/o?uploadType=resumable", b"").status,
        400
    );
}
