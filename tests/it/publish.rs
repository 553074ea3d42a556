//! What goes over the wire to GitHub, and what becomes of everything that can come back.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use chronon_plan::publish::api::Api;
use chronon_plan::publish::api::List;
use chronon_plan::publish::api::Repeat;
use chronon_plan::publish::api::Settings;
use chronon_plan::publish::error::PublishError;
use chronon_plan::publish::github::GitHub;
use chronon_plan::publish::github::Reaction;
use chronon_plan::publish::http::Proxies;
use chronon_plan::publish::http::Timeouts;
use chronon_plan::publish::objects::Annotation;
use chronon_plan::publish::objects::CheckState;
use chronon_plan::publish::objects::Conclusion;
use chronon_plan::publish::objects::Level;
use chronon_plan::publish::objects::NewCheck;
use chronon_plan::publish::objects::Permission;
use chronon_plan::publish::objects::StatusState;
use chronon_plan::publish::token::Token;
use jiff::Timestamp;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::json;

use crate::support::gcs::http::Answer;
use crate::support::gcs::http::Request;
use crate::support::script::Script;
use crate::support::script::Step;
use crate::support::script::answer;
use crate::support::script::just;
use crate::support::script::with;

const TOKEN: &str = "ghs_16C7e42F292c6912E7710c838347Ae178B4a";

/// The seconds that a client waited, in order.
type Waits = Arc<Mutex<Vec<u64>>>;

fn settings(base: &str, waits: &Waits) -> Settings {
    let waits = Arc::clone(waits);
    Settings {
        base: base.to_owned(),
        token: Token::new(TOKEN).unwrap(),
        proxies: Proxies::Direct,
        timeouts: Timeouts { connect: Duration::from_secs(5), call: Duration::from_secs(5) },
        patience: Duration::from_secs(600),
        pause: Box::new(move |wait| {
            waits.lock().unwrap().push(wait.as_secs());
            true
        }),
    }
}

fn api(server: &Script) -> (Api, Waits) {
    let waits = Waits::default();
    (Api::open(settings(server.endpoint(), &waits)).unwrap(), waits)
}

fn github(server: &Script) -> GitHub {
    GitHub::new(api(server).0, "acme/features").unwrap()
}

fn waited(waits: &Waits) -> Vec<u64> {
    waits.lock().unwrap().clone()
}

fn post(api: &Api, repeat: Repeat) -> Result<Value, PublishError> {
    api.post("/things", &json!({"secret": "of the body"}), repeat)
}

fn path(request: &Request) -> String {
    request.path.join("/")
}

fn body(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

#[test]
fn every_call_says_who_asks_and_in_which_version() {
    let server = Script::start(|_| vec![just(200, "{}"), just(201, "{}"), just(204, "")]);
    let waits = Waits::default();
    let base = format!("{}/api/v3/", server.endpoint());
    let api = Api::open(settings(&base, &waits)).unwrap();
    api.get::<Value>("/user").unwrap();
    post(&api, Repeat::Never).unwrap();
    api.delete::<IgnoredAny>("/things/5").unwrap();
    let requests = server.requests();
    let calls: Vec<_> = requests.iter().map(|it| (it.method.as_str(), path(it))).collect();
    let expected =
        [("GET", "api/v3/user"), ("POST", "api/v3/things"), ("DELETE", "api/v3/things/5")];
    assert_eq!(calls, expected.map(|(method, path)| (method, path.to_owned())));
    for request in &requests {
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        assert_eq!(header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        assert_eq!(header("accept"), Some("application/vnd.github+json"));
        assert_eq!(header("x-github-api-version"), Some("2022-11-28"));
        assert_eq!(header("user-agent"), Some(concat!("chronon-plan/", env!("CARGO_PKG_VERSION"))));
        let written = (request.method == "POST").then_some("application/json");
        assert_eq!(header("content-type"), written);
    }
    assert_eq!(body(&requests[1]), json!({"secret": "of the body"}));
    assert_eq!(waited(&waits), [0; 0]);
}

#[test]
fn what_is_refused_is_told_once_in_githubs_words() {
    let told = r#"{"message": "Not today", "errors": [{"message": "nor tomorrow"}]}"#;
    for (status, kind) in [
        (400, "Invalid"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (407, "NoAnswer"),
        (409, "Conflict"),
        (410, "NotFound"),
        (413, "Invalid"),
        (422, "Invalid"),
    ] {
        for repeat in [Repeat::Safe, Repeat::Never] {
            let server = Script::start(|_| vec![just(status, told)]);
            let (api, waits) = api(&server);
            let error = post(&api, repeat).unwrap_err();
            assert!(format!("{error:?}").starts_with(kind), "{status}: {error:?}");
            let said = error.to_string();
            assert!(said.starts_with("POST /things: "), "{said}");
            assert!(status == 407 || said.ends_with("(Not today; nor tomorrow)"), "{said}");
            assert!(!said.contains("of the body") && !error.next().is_empty());
            assert_eq!((server.requests().len(), waited(&waits)), (1, vec![]));
        }
    }
}

#[test]
fn a_missing_permission_is_named() {
    let body = r#"{"message": "Resource not accessible by integration"}"#;
    // The last call of the hour, refused for another reason, is not worth waiting for.
    let headers =
        [("x-accepted-github-permissions", "checks=write"), ("x-ratelimit-remaining", "0")];
    let server = Script::start(|_| vec![with(403, &headers, body)]);
    let error = post(&api(&server).0, Repeat::Never).unwrap_err();
    assert_eq!(
        (error.to_string().as_str(), error.next().as_str()),
        (
            "POST /things: the token may not do this (Resource not accessible by integration)",
            "grant `checks: write` to the job, under `permissions:` in the workflow"
        )
    );
}

#[test]
fn what_may_be_repeated_is_until_there_is_an_answer() {
    let lost = || {
        vec![
            Step::Reset,
            just(502, "<html>"),
            Step::Broken(answer(200, &[], "[1, 2, 3, 4, 5]")),
            just(200, "[1, 2, 3, 4, 5]"),
        ]
    };
    type Asks = fn(&Api) -> Result<Value, PublishError>;
    let calls: [Asks; 4] = [
        |api| api.get("/things"),
        |api| post(api, Repeat::Safe),
        |api| api.patch("/things", &json!({}), Repeat::Safe),
        |api| api.delete("/things"),
    ];
    for call in calls {
        let server = Script::start(|_| lost());
        let (api, waits) = api(&server);
        assert_eq!(call(&api).unwrap(), json!([1, 2, 3, 4, 5]));
        assert_eq!((server.requests().len(), waited(&waits)), (4, vec![1, 2, 4]));
        // The fourth failure is the last.
        let server = Script::start(|_| (500..504).map(|it| just(it, "oops")).collect());
        let (api, waits) = self::api(&server);
        let error = call(&api).unwrap_err();
        assert!(
            matches!(&error, PublishError::NoAnswer { why, .. } if why == "503 oops"),
            "{error}"
        );
        assert_eq!((server.requests().len(), waited(&waits)), (4, vec![1, 2, 4]));
    }
}

#[test]
fn what_must_not_be_repeated_is_unclear_where_it_may_be_done() {
    let endings: [fn() -> Step; 9] = [
        || Step::Reset,
        || Step::Stall(Duration::from_secs(2)),
        || Step::Broken(answer(201, &[], r#"{"id": 12345678}"#)),
        || just(201, "<html>who are you?</html>"),
        || just(201, ""),
        || just(500, ""),
        || just(502, "<html>"),
        || just(503, ""),
        || just(504, ""),
    ];
    for ending in endings {
        for patch in [false, true] {
            let server = Script::start(|_| vec![ending()]);
            let waits = Waits::default();
            let mut settings = settings(server.endpoint(), &waits);
            settings.timeouts.call = Duration::from_millis(300);
            let api = Api::open(settings).unwrap();
            let (body, never) = (json!({"secret": 5}), Repeat::Never);
            let made: Result<Vec<u8>, _> = match patch {
                true => api.patch("/things", &body, never),
                false => api.post("/things", &body, never),
            };
            let error = made.unwrap_err();
            assert!(matches!(error, PublishError::Unclear { .. }), "{error}");
            assert!(error.to_string().contains("may have been done") && !error.next().is_empty());
            assert_eq!((server.requests().len(), waited(&waits)), (1, vec![]));
        }
    }
}

#[test]
fn what_never_left_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let waits = Waits::default();
    let api = Api::open(settings(&base, &waits)).unwrap();
    let error = post(&api, Repeat::Never).unwrap_err();
    assert!(matches!(error, PublishError::NoAnswer { .. }), "{error}");
    assert_eq!(waited(&waits), [1, 2, 4]);
}

#[test]
fn limits_are_waited_for_whatever_the_call() {
    let reset = (Timestamp::now().as_second() + 40).to_string();
    let spent = [("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", reset.as_str())];
    let slower = r#"{"message": "You have exceeded a secondary rate limit."}"#;
    let server = Script::start(|_| {
        vec![
            with(403, &spent, r#"{"message": "API rate limit exceeded"}"#),
            with(429, &spent, ""),
            with(429, &[("retry-after", "3")], ""),
            with(503, &[("retry-after", "20")], ""),
            just(403, slower),
            just(201, r#""made""#),
        ]
    });
    let waits = Waits::default();
    let mut settings = settings(server.endpoint(), &waits);
    settings.patience = Duration::from_secs(2000);
    let made = post(&Api::open(settings).unwrap(), Repeat::Never).unwrap();
    assert_eq!((made, server.requests().len()), (json!("made"), 6));
    let waited = waited(&waits);
    assert!((36..=41).contains(&waited[0]) && (36..=41).contains(&waited[1]), "{waited:?}");
    assert_eq!(waited[2..], [4, 20, 960]);
}

#[test]
fn patience_has_an_end() {
    // Of 200 seconds, the second wait would leave none.
    let server = Script::start(|_| vec![just(429, ""), just(429, ""), just(429, "")]);
    let waits = Waits::default();
    let mut settings = settings(server.endpoint(), &waits);
    settings.patience = Duration::from_secs(200);
    let error = Api::open(settings).unwrap().get::<Value>("/things").unwrap_err();
    let seconds = 240;
    assert_eq!(error, PublishError::Limited { what: "GET /things".to_owned(), seconds });
    assert_eq!(error.next(), "run the job again in 4 minutes");
    assert_eq!(waited(&waits), [60, 120]);
    server.requests();
}

#[test]
fn who_is_asked_to_end_waits_for_nothing() {
    let limits: [fn() -> Step; 3] = [|| just(429, ""), || just(500, ""), || Step::Reset];
    for limit in limits {
        let server = Script::start(|_| vec![limit()]);
        let mut settings = settings(server.endpoint(), &Waits::default());
        settings.pause = Box::new(|_| false);
        let error = Api::open(settings).unwrap().get::<Value>("/things").unwrap_err();
        assert_eq!(error, PublishError::Stopped { what: "GET /things".to_owned() });
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn many_calls_that_write_are_a_second_apart() {
    let server = Script::start(|_| (0..20).map(|_| just(200, "{}")).collect());
    let (api, waits) = api(&server);
    for _ in 0..8 {
        api.get::<Value>("/things").unwrap();
        post(&api, Repeat::Never).unwrap();
    }
    assert_eq!(waited(&waits), [1, 1, 1], "five are free");
    for _ in 0..4 {
        api.get::<Value>("/things").unwrap();
    }
    assert_eq!(waited(&waits).len(), 3, "reading is");
    server.requests();
}

/// Three pages of numbers, the list inside an object or not.
fn pages(server: &str, key: Option<&str>) -> Vec<Step> {
    let page = |number: usize, links: &str| {
        let items = json!([number * 2, number * 2 + 1]);
        let body = key.map_or(items.clone(), |key| json!({"total_count": 6, key: items}));
        with(200, &[("link", links)], &body.to_string())
    };
    let link = |number: usize, rel: &str| format!("<{server}/things?page={number}>; rel=\"{rel}\"");
    vec![
        page(0, &[link(2, "next"), link(3, "last")].join(", ")),
        page(1, &[link(1, "prev"), link(3, "next"), link(3, "last")].join(", ")),
        page(2, &[link(2, "prev"), link(1, "first")].join(", ")),
    ]
}

#[test]
fn lists_are_read_page_by_page_and_say_whether_that_was_all() {
    for key in [None, Some("check_runs")] {
        let server = Script::start(|at| pages(at, key));
        let found: List<u64> = api(&server).0.list("/things?a=b", key, 9).unwrap();
        assert_eq!(found, List { items: (0..6).collect(), more: false });
        let asked: Vec<Vec<String>> = server
            .requests()
            .iter()
            .map(|it| it.query.iter().map(|(name, value)| format!("{name}={value}")).collect())
            .collect();
        assert_eq!(asked, [vec!["a=b", "per_page=100"], vec!["page=2"], vec!["page=3"]]);
    }
    let server = Script::start(|at| pages(at, None).into_iter().take(2).collect());
    let found: List<u64> = api(&server).0.list("/things", None, 2).unwrap();
    assert_eq!(found, List { items: (0..4).collect(), more: true });
    server.requests();
}

#[test]
fn what_has_not_changed_is_not_sent_again() {
    let server = Script::start(|at| {
        let next = format!("<{at}/things?page=2>; rel=\"next\"");
        vec![
            with(200, &[("etag", "W/\"one\""), ("link", &next)], "[1]"),
            with(200, &[("etag", "\"two\"")], "[2]"),
            with(304, &[], ""),
            with(200, &[("etag", "\"new\"")], "[3]"),
            with(304, &[], ""),
            with(304, &[], ""),
        ]
    });
    let (api, _) = api(&server);
    let list = || api.list::<u64>("/things", None, 9).unwrap().items;
    assert_eq!((list(), list(), list()), (vec![1, 2], vec![1, 3], vec![1, 3]));
    let tags: Vec<Option<String>> =
        server.requests().iter().map(|it| it.headers.get("if-none-match").cloned()).collect();
    let expected =
        [None, None, Some("W/\"one\""), Some("\"two\""), Some("W/\"one\""), Some("\"new\"")];
    assert_eq!(tags, expected.map(|tag| tag.map(str::to_owned)));
    let server = Script::start(|_| vec![with(304, &[], "")]);
    let error = self::api(&server).0.get::<Value>("/things").unwrap_err();
    assert!(matches!(error, PublishError::BadAnswer { .. }), "{error}");
}

#[test]
fn a_call_is_sent_on_within_the_host_as_it_was() {
    for status in [301, 302, 307, 308] {
        let server = Script::start(|at| {
            vec![
                with(status, &[("location", &format!("{at}/repositories/5"))], ""),
                with(status, &[("location", "/repositories/6?a=b")], ""),
                just(200, r#""found""#),
            ]
        });
        assert_eq!(api(&server).0.get::<String>("/things").unwrap(), "found");
        let paths: Vec<String> = server.requests().iter().map(path).collect();
        assert_eq!(paths, ["things", "repositories/5", "repositories/6"]);
    }
    for status in [307, 308] {
        let moved = || with(status, &[("location", "/elsewhere")], "");
        let server = Script::start(|_| vec![moved(), just(201, r#""made""#)]);
        assert_eq!(post(&api(&server).0, Repeat::Never).unwrap(), "made");
        let last = server.requests().pop().unwrap();
        assert_eq!((last.method.as_str(), path(&last).as_str()), ("POST", "elsewhere"));
        assert_eq!(body(&last), json!({"secret": "of the body"}));
        assert_eq!(last.headers["authorization"], format!("Bearer {TOKEN}"));
    }
}

#[test]
fn a_call_is_not_sent_where_it_should_not_go() {
    let abroad = Script::start(|_| Vec::new());
    let host = abroad.endpoint().to_owned();
    for status in [301, 302, 307, 308] {
        let to = format!("{host}/steal");
        let server = Script::start(|_| vec![with(status, &[("location", &to)], "")]);
        let error = api(&server).0.get::<Value>("/things").unwrap_err();
        let expected =
            PublishError::Redirected { what: "GET /things".to_owned(), to: host.clone() };
        assert_eq!(error, expected);
        server.requests();
    }
    let next = format!("<{host}/steal>; rel=\"next\"");
    let server = Script::start(|_| vec![with(200, &[("link", &next)], "[1]")]);
    let error = api(&server).0.list::<u64>("/things", None, 9).unwrap_err();
    assert!(matches!(error, PublishError::Redirected { .. }), "{error}");
    assert_eq!(abroad.requests().len(), 0);
    // A call that writes would become one that reads.
    for status in [301, 302, 303] {
        let server = Script::start(|_| vec![with(status, &[("location", "/elsewhere")], "")]);
        let error = post(&api(&server).0, Repeat::Never).unwrap_err();
        assert!(matches!(error, PublishError::Redirected { .. }), "{error}");
        assert_eq!(server.requests().len(), 1);
    }
    let round = |_: &str| (0..6).map(|_| with(302, &[("location", "/things")], "")).collect();
    let server = Script::start(round);
    let error = api(&server).0.get::<Value>("/things").unwrap_err();
    assert!(matches!(error, PublishError::Redirected { .. }), "{error}");
    assert_eq!(server.requests().len(), 6);
    let server = Script::start(|_| vec![with(307, &[("location", "http://[oops")], "")]);
    let error = api(&server).0.get::<Value>("/things").unwrap_err();
    assert!(matches!(error, PublishError::BadAnswer { .. }), "{error}");
}

/// Answers that give back what they were sent.
fn echo(status: u16, request: &Request) -> Answer {
    let sent = request.headers["authorization"].clone();
    let body = json!({"message": sent, "errors": [sent, {"message": sent}]}).to_string();
    let permission = format!("{sent}=write");
    answer(status, &[("x-accepted-github-permissions", &permission)], &body)
}

#[test]
fn the_token_is_in_no_error_though_it_be_sent_back() {
    let echoes: [fn(&Request) -> Answer; 12] = [
        |request| echo(400, request),
        |request| echo(401, request),
        |request| echo(403, request),
        |request| echo(404, request),
        |request| echo(409, request),
        |request| echo(422, request),
        |request| answer(500, &[], &request.headers["authorization"]),
        |request| answer(422, &[], &request.headers["authorization"]),
        |request| answer(200, &[], &json!(request.headers["authorization"]).to_string()),
        |request| {
            let token = request.headers["authorization"].replace("Bearer ", "");
            answer(307, &[("location", &format!("http://{token}.example/"))], "")
        },
        |request| {
            let token = request.headers["authorization"].replace("Bearer ", "");
            answer(307, &[("location", &format!("http://ada:{token}@127.0.0.1/"))], "")
        },
        |request| {
            // So that the cut would leave half of it.
            let filler = "x".repeat(480);
            let body = json!({"message": filler + &request.headers["authorization"]});
            answer(422, &[], &body.to_string())
        },
    ];
    for (number, made) in echoes.into_iter().enumerate() {
        let times = if number == 6 { 4 } else { 1 };
        let server = Script::start(|_| (0..times).map(|_| Step::Made(made)).collect());
        let error = api(&server).0.get::<Vec<u64>>("/things").unwrap_err();
        for said in [error.to_string(), format!("{error:?}"), error.next()] {
            let lower = said.to_lowercase();
            assert!(!lower.contains(&TOKEN[4..12].to_lowercase()), "{number}: {said}");
            assert!(!said.contains("of the body"));
        }
        server.requests();
    }
    // Also where it stands in what is asked for.
    let server = Script::start(|_| vec![just(404, "")]);
    let error = api(&server).0.get::<Value>(&format!("/things/{TOKEN}")).unwrap_err();
    assert!(error.to_string().starts_with("GET /things/***: "), "{error}");
    let settings = settings("http://127.0.0.1", &Waits::default());
    assert_eq!(format!("{:?}", settings.token), "***");
}

#[test]
fn answers_that_github_does_not_give_are_named() {
    for body in ["<html>log in here</html>", "", "5", "{\"id\":", "[{}]"] {
        let server = Script::start(|_| vec![just(200, body)]);
        let error = github(&server).comments(7).unwrap_err();
        assert!(matches!(error, PublishError::BadAnswer { .. }), "{body}: {error}");
        assert!(error.to_string().starts_with("GET /repos/acme/features/issues/7/comments: "));
        assert!(error.next().contains("GITHUB_API_URL"));
    }
}

#[test]
fn a_proxy_is_asked_where_one_is_given() {
    let proxy = Script::start(|_| vec![just(200, r#""by proxy""#)]);
    let mut settings = settings("http://github.invalid/api/v3", &Waits::default());
    settings.proxies = Proxies::Through(proxy.endpoint().to_owned());
    assert_eq!(Api::open(settings).unwrap().get::<String>("/user").unwrap(), "by proxy");
    // The whole address, as a proxy needs it.
    assert_eq!(path(&proxy.requests()[0]), "/github.invalid/api/v3/user");
}

const BASE: &str = "CHRONON_PLAN_TEST_BASE";
const FOLDER: &str = "CHRONON_PLAN_TEST_FOLDER";

/// What the hidden test below says, in a process with this environment.
fn asked(base: &str, folder: &Path, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["publish::process_asks", "--exact", "--ignored", "--quiet"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.env(BASE, base).env(FOLDER, folder).envs(environment.iter().copied());
    assert!(command.output().unwrap().status.success());
    std::fs::read_to_string(folder.join("said")).unwrap()
}

#[test]
#[ignore = "another test runs this one as a process"]
fn process_asks() {
    let folder = std::env::var(FOLDER).expect("another test runs this one as a process");
    let mut settings = settings(&std::env::var(BASE).unwrap(), &Waits::default());
    settings.proxies = Proxies::Environment;
    let said = match Api::open(settings).and_then(|api| api.get::<String>("/user")) {
        Ok(answer) => answer,
        Err(error) => format!("{error:?}\n{error}\n{}", error.next()),
    };
    std::fs::write(Path::new(&folder).join("said"), said).unwrap();
}

#[test]
fn the_environment_names_the_proxy_and_its_password_is_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let base = "http://github.invalid";
    let proxy = Script::start(|_| vec![just(200, r#""by proxy""#)]);
    let through = [("HTTP_PROXY", proxy.endpoint())];
    assert_eq!(asked(base, folder.path(), &through), "by proxy");
    assert_eq!(path(&proxy.requests()[0]), "/github.invalid/user");

    let server = Script::start(|_| vec![just(200, r#""itself""#)]);
    let around = [("HTTP_PROXY", proxy.endpoint()), ("NO_PROXY", "127.0.0.1")];
    assert_eq!(asked(server.endpoint(), folder.path(), &around), "itself");

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://ada:hunter2@{}", listener.local_addr().unwrap());
    drop(listener);
    for (base, name) in [(base, "HTTP_PROXY"), ("https://github.invalid", "HTTPS_PROXY")] {
        let said = asked(base, folder.path(), &[(name, &gone)]);
        assert!(said.starts_with("NoAnswer") && said.contains("HTTPS_PROXY"), "{said}");
        assert!(!said.contains("hunter2") && !said.contains(TOKEN), "{said}");
    }
}

#[test]
fn a_machine_that_trusts_nobody_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.pem");
    std::fs::write(&none, "").unwrap();
    let trust = [("SSL_CERT_FILE", none.to_str().unwrap())];
    let said = asked("https://github.invalid", folder.path(), &trust);
    assert!(said.starts_with("NoCertificates") && said.contains("ca-certificates"), "{said}");
}

fn check(annotations: usize) -> NewCheck {
    let annotation = |line: u64| Annotation {
        path: "compiled/joins/risk.v1".to_owned(),
        start_line: line,
        end_line: line,
        level: Level::Warning,
        title: "online-breaking".to_owned(),
        message: "a served column is gone".to_owned(),
    };
    NewCheck {
        name: "chronon-plan/prod".to_owned(),
        head_sha: "a1".to_owned(),
        state: CheckState::Completed(Conclusion::Success),
        external_id: "sha256:1".to_owned(),
        details_url: None,
        title: "3 steps".to_owned(),
        summary: "all of them".to_owned(),
        text: String::new(),
        annotations: (1..).map(annotation).take(annotations).collect(),
    }
}

const CHECK: &str = r#"{"id": 5, "name": "chronon-plan/prod", "status": "completed",
    "conclusion": "success", "external_id": "sha256:1", "head_sha": "a1",
    "app": {"id": 15368, "slug": "github-actions"}, "output": {"text": null}}"#;

/// How many annotations each request carries.
fn annotations(requests: &[Request]) -> Vec<usize> {
    let count = |it: &Request| body(it)["output"]["annotations"].as_array().map_or(0, Vec::len);
    requests.iter().map(count).collect()
}

#[test]
fn a_check_carries_fifty_annotations_at_a_time() {
    let server = Script::start(|_| vec![just(201, CHECK), just(200, CHECK), just(200, CHECK)]);
    let made = github(&server).create_check(&check(120)).unwrap();
    assert_eq!((made.id, made.app_slug.as_deref()), (5, Some("github-actions")));
    let requests = server.requests();
    assert_eq!(annotations(&requests), [50, 50, 20]);
    let expected = json!({
        "name": "chronon-plan/prod", "head_sha": "a1", "status": "completed",
        "conclusion": "success", "external_id": "sha256:1"
    });
    let mut first = body(&requests[0]);
    let output = first.as_object_mut().unwrap().remove("output").unwrap();
    assert_eq!((&first, &output["title"]), (&expected, &json!("3 steps")));
    assert_eq!(body(&requests[2])["output"]["annotations"][0]["start_line"], 101);
    assert_eq!(path(&requests[2]), "repos/acme/features/check-runs/5");

    // The state is safe before anything that must not be sent twice.
    let server = Script::start(|_| vec![just(502, ""), just(200, CHECK), just(502, "")]);
    let error = github(&server).update_check(5, &check(2)).unwrap_err();
    assert!(matches!(error, PublishError::Unclear { .. }), "{error}");
    let requests = server.requests();
    assert_eq!(annotations(&requests), [0, 0, 2]);
    assert_eq!(body(&requests[1])["conclusion"], "success");
    assert!(requests.iter().all(|it| body(it).get("head_sha").is_none()));
}

#[test]
fn a_check_that_is_not_over_has_no_conclusion() {
    for (state, status) in [(CheckState::Queued, "queued"), (CheckState::InProgress, "in_progress")]
    {
        let server = Script::start(|_| vec![just(201, CHECK)]);
        github(&server).create_check(&NewCheck { state, ..check(0) }).unwrap();
        let sent = body(&server.requests()[0]);
        assert_eq!((&sent["status"], sent.get("conclusion")), (&json!(status), None));
    }
}

#[test]
fn checks_come_newest_first_whoever_made_them() {
    let run = |id: u64, app: Value| {
        json!({"id": id, "name": "plan", "status": "queued", "conclusion": null,
            "external_id": null, "head_sha": "a1", "app": app, "output": {"text": "kept"}})
    };
    let page = json!({"total_count": 3, "check_runs": [
        run(3, json!({"id": 1, "slug": "other"})), run(9, Value::Null), run(5, json!({"id": 2}))
    ]});
    let server = Script::start(|_| vec![just(200, &page.to_string())]);
    let found = github(&server).checks("a1", "chronon-plan/prod & more").unwrap();
    let ids: Vec<u64> = found.items.iter().map(|it| it.id).collect();
    assert_eq!((ids, found.more), (vec![9, 5, 3], false));
    assert_eq!((found.items[0].app_id, found.items[0].text.as_str()), (None, "kept"));
    let request = server.requests().pop().unwrap();
    assert_eq!(path(&request), "repos/acme/features/commits/a1/check-runs");
    assert_eq!(request.query["check_name"], "chronon-plan/prod & more");
    assert_eq!(request.query["filter"], "all");
}

#[test]
fn names_with_slashes_and_spaces_stay_whole() {
    let server = Script::start(|_| vec![just(200, "[]"), just(404, ""), just(200, "[]")]);
    let github = github(&server);
    github.remove_label(7, "data/risk: high?#").unwrap();
    github.remove_label(7, "not there").unwrap();
    github.add_labels(7, &["data/risk: high?#"]).unwrap();
    // An address would take these for a folder and its parent, and lose all labels.
    for label in [".", ".."] {
        let error = github.remove_label(7, label).unwrap_err();
        assert!(matches!(error, PublishError::Invalid { .. }), "{error}");
    }
    let requests = server.requests();
    let expected = ["repos", "acme", "features", "issues", "7", "labels", "data/risk: high?#"];
    assert_eq!(
        (requests[0].method.as_str(), requests[0].path.as_slice()),
        ("DELETE", &expected.map(str::to_owned)[..])
    );
    assert_eq!(body(&requests[2]), json!({"labels": ["data/risk: high?#"]}));
}

#[test]
fn comments_are_written_changed_and_answered() {
    let comment = r#"{"id": 9, "body": "hello", "html_url": "https://x/9",
        "user": {"login": "github-actions[bot]", "type": "Bot"}}"#;
    let server = Script::start(|_| vec![just(201, comment), just(200, comment), just(200, "{}")]);
    let github = github(&server);
    let made = github.create_comment(7, "hello").unwrap();
    assert_eq!((made.id, made.author.as_str(), made.is_bot), (9, "github-actions[bot]", true));
    github.update_comment(9, "hello").unwrap();
    github.react(9, Reaction::Rocket).unwrap();
    let requests = server.requests();
    let calls: Vec<String> =
        requests.iter().map(|it| format!("{} {}", it.method, path(it))).collect();
    assert_eq!(
        calls,
        [
            "POST repos/acme/features/issues/7/comments",
            "PATCH repos/acme/features/issues/comments/9",
            "POST repos/acme/features/issues/comments/9/reactions",
        ]
    );
    assert_eq!(body(&requests[2]), json!({"content": "rocket"}));
}

#[test]
fn statuses_fit_and_are_read() {
    let status = json!({"context": "c", "state": "success", "description": null,
        "target_url": null, "creator": null, "created_at": "2026-03-01T10:00:00Z"});
    let server = Script::start(|_| {
        vec![just(201, &status.to_string()), just(200, &json!([status]).to_string())]
    });
    let github = github(&server);
    let long = "ä".repeat(300);
    github.create_status("a1", "c", StatusState::Success, &long, Some("https://x")).unwrap();
    assert_eq!(github.statuses("a1").unwrap().items[0].author, "ghost");
    let sent = body(&server.requests()[0]);
    assert_eq!(sent["description"].as_str().unwrap().chars().count(), 140);
    assert_eq!((&sent["state"], &sent["target_url"]), (&json!("success"), &json!("https://x")));
}

#[test]
fn lists_of_pull_requests_stop_where_they_should() {
    let pull = |number: u64| {
        json!({"number": number, "title": "t", "state": "closed", "draft": false,
            "user": {"login": "ada"}, "merged_at": "2026-03-01T10:00:00Z", "merge_commit_sha": "c3",
            "head": {"sha": "a1", "ref": "b", "repo": null},
            "base": {"sha": "b2", "ref": "main", "repo": {"full_name": "acme/features"}}})
    };
    let page: Vec<Value> = (1..=100).map(pull).collect();
    let page = json!(page).to_string();
    let server = Script::start(|at| {
        let next = format!("<{at}/next>; rel=\"next\"");
        vec![with(200, &[("link", &next)], &page), just(200, &page), just(200, &page)]
    });
    let github = github(&server);
    let some = github.recently_closed_pulls("release/1 & 2", 150).unwrap();
    assert_eq!((some.items.len(), some.more), (150, true));
    assert!(some.items[0].merged && some.items[0].is_fork && !some.items[0].open);
    let few = github.open_pulls("main", 100).unwrap();
    assert_eq!((few.items.len(), few.more), (100, false));
    let requests = server.requests();
    assert_eq!(requests[0].query["base"], "release/1 & 2");
    assert_eq!(
        (requests[0].query["sort"].as_str(), requests[2].query["state"].as_str()),
        ("updated", "open")
    );
}

#[test]
fn who_somebody_is_is_asked_and_not_guessed() {
    let denied = r#"{"message": "Resource not accessible by integration"}"#;
    let server = Script::start(|_| {
        vec![
            just(200, r#"{"permission": "write", "role_name": "maintain", "user": null}"#),
            just(404, ""),
            just(200, r#"{"state": "active", "role": "member"}"#),
            just(200, r#"{"state": "pending", "role": "member"}"#),
            just(404, ""),
            just(403, denied),
            just(403, denied),
            just(200, r#"{"login": "ada", "id": 1}"#),
            just(401, r#"{"message": "Bad credentials"}"#),
        ]
    });
    let github = github(&server);
    assert_eq!(github.permission("ada").unwrap(), Permission::Maintain);
    assert_eq!(github.permission("dependabot[bot]").unwrap(), Permission::None);
    let teams: Vec<Option<bool>> =
        (0..4).map(|_| github.in_team("acme", "data-platform", "ada").unwrap()).collect();
    assert_eq!(teams, [Some(true), Some(false), Some(false), None]);
    assert_eq!(github.whoami().unwrap(), None);
    assert_eq!(github.whoami().unwrap().as_deref(), Some("ada"));
    assert!(matches!(github.whoami(), Err(PublishError::Unauthorized { .. })));
    let requests = server.requests();
    assert_eq!(path(&requests[1]), "repos/acme/features/collaborators/dependabot[bot]/permission");
    assert_eq!(path(&requests[2]), "orgs/acme/teams/data-platform/memberships/ada");
}

#[test]
fn a_repository_has_an_owner_and_a_name() {
    for name in ["", "features", "acme/", "/features", "acme/features/x"] {
        let server = Script::start(|_| Vec::new());
        let error = GitHub::new(api(&server).0, name).err().unwrap();
        assert!(error.next().contains("GITHUB_REPOSITORY"), "{name}: {error}");
    }
}
