//! A fake Airflow for tests: the REST API of 2.x or of 3.x, as far as a runner needs it, and stricter
//! than either.
//!
//! # Why
//! A real one takes a minute to start and never loses an answer. This one is at once there, breaks on
//! demand, and remembers every request that a real one would refuse. `tests/airflow/rest.py` runs the
//! same program against the real ones.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::BufReader;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use serde_json::json;
use socket2::SockRef;

use super::gcs::http::Answer;
use super::gcs::http::Request;

pub(crate) const USER: &str = "ada";
pub(crate) const PASSWORD: &str = "hunter2-of-ada";
pub(crate) const TOKEN: &str = "hunter3-made-by-hand";
/// What Google gives; the fake is also the metadata server.
pub(crate) const GOOGLE: &str = "ya29.hunter4-of-google";

/// Which API it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    Two,
    Three,
}

/// Whom it lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Open,
    /// By name and password: in 3.x by a token for those.
    Password,
    /// By name and password, which what stands in front of it wants of everybody.
    Front,
    /// By a token that somebody made.
    Token,
    Google,
}

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It never arrives.
    Lost,
    /// It is done, and the answer is lost.
    Unanswered,
    /// It is answered with this status.
    Status(u16),
    /// What stands in front of it answers.
    Proxy(u16),
}

/// A run of a DAG.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    pub(crate) dag: String,
    pub(crate) id: String,
    pub(crate) conf: Value,
    /// In which state it is, where it is to stay so.
    state: &'static str,
}

type Which = Box<dyn Fn(&Request) -> bool + Send>;

struct World {
    version: Version,
    door: Door,
    /// Whether each DAG is paused.
    dags: BTreeMap<String, bool>,
    runs: Vec<Run>,
    tokens: BTreeSet<String>,
    given: usize,
    faults: Vec<(usize, Which, Fault)>,
    /// Runs whose conf says one of these fail.
    failing: Vec<String>,
    /// Whether runs stay as they are.
    held: bool,
    /// Whether its scheduler gives no sign of life.
    asleep: bool,
    /// The env whose DAGs they are; none where somebody else made them.
    env: Option<&'static str>,
    /// Whether the files of all DAGs are gone.
    stale: bool,
    log: Vec<String>,
    violations: Vec<String>,
}

/// The fake.
pub(crate) struct Airflow {
    endpoint: String,
    world: Arc<Mutex<World>>,
}

/// The bounded DAGs.
const DAGS: [&str; 4] = [
    "chronon_gb_backfill",
    "chronon_join_backfill",
    "chronon_staging_query_backfill",
    "chronon_job",
];

/// What a run may be told.
const CONF: [&str; 9] =
    ["conf", "mode", "start_ds", "end_ds", "ds", "files", "chunk_days", "parallel", "step"];

impl Airflow {
    pub(crate) fn start(version: Version, door: Door) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let world = World {
            version,
            door,
            dags: DAGS.iter().map(|dag| ((*dag).to_owned(), false)).collect(),
            runs: Vec::new(),
            tokens: BTreeSet::new(),
            given: 0,
            faults: Vec::new(),
            failing: Vec::new(),
            held: false,
            asleep: false,
            env: Some("prod"),
            stale: false,
            log: Vec::new(),
            violations: Vec::new(),
        };
        let world = Arc::new(Mutex::new(world));
        let served = Arc::clone(&world);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let world = Arc::clone(&served);
                thread::spawn(move || serve(&world, stream));
            }
        });
        Self { endpoint, world }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// Its address; the webserver is below a path, as behind a proxy.
    pub(crate) fn url(&self) -> String {
        format!("{}/air", self.endpoint)
    }

    /// `HOST:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.endpoint["http://".len()..]
    }

    pub(crate) fn runs(&self) -> Vec<Run> {
        self.world().runs.clone()
    }

    /// Runs stay as they are until they are let go.
    pub(crate) fn hold(&self, held: bool) {
        self.world().held = held;
    }

    /// All runs that there are come to their ends; those to come stay as they are.
    pub(crate) fn finish(&self) {
        let mut world = self.world();
        let failing = world.failing.clone();
        for run in world.runs.iter_mut().filter(|it| ["queued", "running"].contains(&it.state)) {
            let told = run.conf.to_string();
            let fails = failing.iter().any(|it| told.contains(it));
            run.state = if fails { "failed" } else { "success" };
        }
        world.held = true;
    }

    /// Runs whose conf says this fail.
    pub(crate) fn fail(&self, word: &str) {
        self.world().failing.push(word.to_owned());
    }

    pub(crate) fn heal(&self) {
        let mut world = self.world();
        world.failing.clear();
        world.faults.clear();
    }

    /// What the log of a failed task says.
    pub(crate) fn log(&self, lines: &[&str]) {
        self.world().log = lines.iter().map(|it| (*it).to_owned()).collect();
    }

    /// The next so many requests that fit go wrong.
    pub(crate) fn fault(
        &self,
        times: usize,
        fault: Fault,
        which: impl Fn(&Request) -> bool + Send + 'static,
    ) {
        self.world().faults.push((times, Box::new(which), fault));
    }

    pub(crate) fn remove_dag(&self, dag: &str) {
        self.world().dags.remove(dag);
    }

    pub(crate) fn add_dag(&self, dag: &str, paused: bool) {
        self.world().dags.insert(dag.to_owned(), paused);
    }

    /// Its scheduler gives no sign of life.
    pub(crate) fn sleep(&self) {
        self.world().asleep = true;
    }

    /// Its DAGs are those of this env; none where somebody else made them.
    pub(crate) fn belongs_to(&self, env: Option<&'static str>) {
        self.world().env = env;
    }

    /// The files of its DAGs are gone: it knows them still, and runs them no more.
    pub(crate) fn forget_files(&self, stale: bool) {
        self.world().stale = stale;
    }

    pub(crate) fn is_paused(&self, dag: &str) -> bool {
        self.world().dags[dag]
    }

    /// All tokens that it gave end.
    pub(crate) fn forget_tokens(&self) {
        self.world().tokens.clear();
    }

    /// Requests that no Airflow would take, or that go where a secret must not.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.world().violations.clone()
    }
}

/// Whether a request triggers a run.
pub(crate) fn triggers(request: &Request) -> bool {
    request.method == "POST" && request.path.last().is_some_and(|it| it == "dagRuns")
}

fn serve(world: &Mutex<World>, mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    while let Some(request) = Request::read(&mut reader, &mut stream)? {
        let (answer, reset) = {
            let mut world = world.lock().unwrap();
            world.handle(&request)
        };
        if reset {
            return SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        answer.send(&mut stream, false, false)?;
    }
    Ok(())
}

fn json_of(status: u16, body: &Value) -> Answer {
    let headers = vec![("content-type", "application/json".to_owned())];
    Answer { status, headers, body: body.to_string().into_bytes() }
}

fn no(status: u16, detail: &str) -> Answer {
    json_of(status, &json!({"title": "no", "detail": detail, "status": status}))
}

fn page(status: u16) -> Answer {
    let body = b"<html>what stands in front</html>".to_vec();
    Answer { status, headers: vec![("content-type", "text/html".to_owned())], body }
}

impl World {
    fn handle(&mut self, request: &Request) -> (Answer, bool) {
        let fits = |it: &(usize, Which, Fault)| it.0 > 0 && (it.1)(request);
        let fault = self.faults.iter_mut().find(|it| fits(it)).map(|it| {
            it.0 -= 1;
            it.2
        });
        let answer = match fault {
            Some(Fault::Lost) => return (page(500), true),
            Some(Fault::Status(status)) => no(status, "made to fail"),
            Some(Fault::Proxy(status)) => page(status),
            Some(Fault::Unanswered) | None => self.answer(request),
        };
        (answer, fault == Some(Fault::Unanswered))
    }

    fn wrong(&mut self, request: &Request, what: &str) {
        let (method, path) = (&request.method, request.path.join("/"));
        self.violations.push(format!("{method} /{path}: {what}"));
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        if path.starts_with(&["computeMetadata"]) {
            return self.metadata(request);
        }
        let Some((&"air", below)) = path.split_first() else {
            self.wrong(request, "not below the base");
            return page(404);
        };
        let Some((&"api", [version, rest @ ..])) = below.split_first() else {
            if below == ["auth", "token"] && self.version == Version::Three {
                return self.token(request);
            }
            self.wrong(request, "no such page");
            return page(404);
        };
        if let Some(refused) = self.refused(request).filter(|_| self.door == Door::Front) {
            return refused;
        }
        match (self.version, *version) {
            (Version::Two, "v1") | (Version::Three, "v2") => {}
            (Version::Two, _) if rest == ["version"] => return page(404),
            (Version::Three, _) if rest == ["version"] => {
                return no(404, "/api/v1 has been removed in Airflow 3");
            }
            _ => {
                self.wrong(request, "another API");
                return page(404);
            }
        }
        if rest == ["version"] {
            let version = if self.version == Version::Two { "2.11.2" } else { "3.3.2" };
            return json_of(200, &json!({"version": version, "git_version": null}));
        }
        let health =
            json!({"scheduler": {"status": if self.asleep { "unhealthy" } else { "healthy" }}});
        match (self.version, rest) {
            (Version::Two, ["health"]) | (Version::Three, ["monitor", "health"]) => {
                return json_of(200, &health);
            }
            _ => {}
        }
        if let Some(refused) = self.refused(request) {
            return refused;
        }
        match (request.method.as_str(), rest) {
            ("GET", ["dags", dag]) => self.dag(dag),
            ("PATCH", ["dags", dag]) => self.patch(request, dag),
            ("POST", ["dags", dag, "dagRuns"]) => self.trigger(request, dag),
            ("GET", ["dags", dag, "dagRuns", id]) => self.run(dag, id),
            ("GET", ["dags", dag, "dagRuns", id, "taskInstances"]) => self.tasks(request, dag, id),
            ("GET", ["dags", _, "dagRuns", _, "taskInstances", "job", "logs", "2"]) => {
                self.task_log(request)
            }
            _ => {
                self.wrong(request, "no such call");
                no(404, "no such call")
            }
        }
    }

    fn metadata(&mut self, request: &Request) -> Answer {
        if request.headers.get("metadata-flavor").is_none_or(|it| it != "Google") {
            self.wrong(request, "no metadata-flavor");
            return page(403);
        }
        let scopes = request.query.get("scopes").cloned().unwrap_or_default();
        if request.path.last().is_some_and(|it| it == "token") && !scopes.contains("cloud-platform")
        {
            self.wrong(request, "another scope");
        }
        json_of(200, &json!({"access_token": GOOGLE, "expires_in": 3600, "token_type": "Bearer"}))
    }

    fn token(&mut self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        if request.method != "POST" || request.headers.contains_key("authorization") {
            self.wrong(request, "how a token is asked for");
        }
        if body != json!({"username": USER, "password": PASSWORD}) {
            return no(401, "Invalid credentials");
        }
        self.given += 1;
        let token = format!("hunter5-exchanged-{}", self.given);
        self.tokens.insert(token.clone());
        json_of(201, &json!({"access_token": token}))
    }

    /// Whether who asks is not let in.
    fn refused(&mut self, request: &Request) -> Option<Answer> {
        let basic = format!("Basic {}", STANDARD.encode(format!("{USER}:{PASSWORD}")));
        let said = request.headers.get("authorization").map(String::as_str).unwrap_or_default();
        let bearer = said.strip_prefix("Bearer ").unwrap_or_default();
        let lets = match (self.door, self.version) {
            (Door::Open, _) => said.is_empty(),
            (Door::Password | Door::Front, Version::Two) => said == basic,
            (Door::Front, Version::Three) => false,
            (Door::Password, Version::Three) => self.tokens.contains(bearer),
            (Door::Token, _) => bearer == TOKEN,
            (Door::Google, _) => bearer == GOOGLE,
        };
        (!lets).then(|| no(401, "Unauthorized"))
    }

    fn dag(&self, dag: &str) -> Answer {
        let Some(paused) = self.dags.get(dag) else {
            return no(404, &format!("The DAG with dag_id: {dag} was not found"));
        };
        let mut there = match self.version {
            Version::Two => json!({"dag_id": dag, "is_paused": paused, "is_active": !self.stale}),
            Version::Three => json!({"dag_id": dag, "is_paused": paused, "is_stale": self.stale}),
        };
        let tags = self.env.map(|env| json!([{"name": "chronon"}, {"name": format!("env:{env}")}]));
        there["tags"] = tags.unwrap_or_else(|| json!([{"name": "env:prod"}]));
        json_of(200, &there)
    }

    fn patch(&mut self, request: &Request, dag: &str) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let mask = request.query.get("update_mask").map(String::as_str);
        if body != json!({"is_paused": false}) || mask != Some("is_paused") {
            self.wrong(request, "what is patched");
            return no(400, "no");
        }
        match self.dags.get_mut(dag) {
            Some(paused) => *paused = false,
            None => return no(404, "no such DAG"),
        }
        self.dag(dag)
    }

    fn trigger(&mut self, request: &Request, dag: &str) -> Answer {
        if request.headers.get("content-type").is_none_or(|it| it != "application/json") {
            self.wrong(request, "no JSON");
            return no(415, "no JSON");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let known = ["dag_run_id", "conf", "logical_date"];
        let fields: Vec<&String> = body.as_object().into_iter().flat_map(|it| it.keys()).collect();
        if fields.iter().any(|it| !known.contains(&it.as_str())) {
            self.wrong(request, "an unknown field");
            return no(400, "unknown field");
        }
        if self.version == Version::Three && body.get("logical_date").is_none() {
            self.wrong(request, "no logical_date");
            return no(422, "logical_date: field required");
        }
        let id = body["dag_run_id"].as_str().unwrap_or_default().to_owned();
        let conf = body["conf"].clone();
        let told: Vec<&String> = conf.as_object().into_iter().flat_map(|it| it.keys()).collect();
        if id.is_empty() || told.iter().any(|it| !CONF.contains(&it.as_str())) {
            self.wrong(request, "what the run is told");
        }
        if !self.dags.contains_key(dag) {
            return no(404, &format!("DAG with dag_id: '{dag}' not found"));
        }
        if self.runs.iter().any(|it| it.dag == dag && it.id == id) {
            return no(409, "DAGRun with this ID already exists");
        }
        self.runs.push(Run { dag: dag.to_owned(), id: id.clone(), conf, state: "queued" });
        self.run(dag, &id)
    }

    fn run(&mut self, dag: &str, id: &str) -> Answer {
        let paused = self.dags.get(dag).copied().unwrap_or(true);
        let moves = !self.held && !paused;
        let failing = self.failing.clone();
        let Some(run) = self.runs.iter_mut().find(|it| it.dag == dag && it.id == id) else {
            return no(404, "DAGRun not found");
        };
        let told = run.conf.to_string();
        run.state = match run.state {
            "queued" if moves => "running",
            "running" if moves && failing.iter().any(|it| told.contains(it)) => "failed",
            "running" if moves => "success",
            same => same,
        };
        json_of(200, &json!({"dag_id": dag, "dag_run_id": id, "state": run.state}))
    }

    fn tasks(&self, request: &Request, dag: &str, id: &str) -> Answer {
        let state = self.runs.iter().find(|it| it.dag == dag && it.id == id).map(|it| it.state);
        let task = |name: &str, state: &str, index: i64, end: &str| {
            json!({
                "task_id": name, "state": state, "try_number": 2, "map_index": index,
                "end_date": end,
            })
        };
        let mut tasks = vec![task("chunks", "success", -1, "2026-11-22T01:00:00Z")];
        // More of them than a page holds.
        tasks.extend((2..150).map(|at| task("job", "success", at, "2026-11-22T01:30:00Z")));
        if state == Some("failed") {
            tasks.push(task("job", "failed", 1, "2026-11-22T03:00:00Z"));
            tasks.push(task("job", "failed", 0, "2026-11-22T02:00:00Z"));
        }
        tasks.retain(|it| request.query.get("state").is_none_or(|state| it["state"] == **state));
        let total = tasks.len();
        tasks.truncate(100);
        json_of(200, &json!({"task_instances": tasks, "total_entries": total}))
    }

    fn task_log(&mut self, request: &Request) -> Answer {
        if request.query.get("map_index").map(String::as_str) != Some("0") {
            self.wrong(request, "which of the tasks");
        }
        let accept = request.headers.get("accept").map(String::as_str);
        let text = self.log.join("\n");
        match (self.version, accept) {
            (Version::Two, Some("text/plain")) => Answer {
                status: 200,
                headers: vec![("content-type", "text/plain".to_owned())],
                body: text.into_bytes(),
            },
            (Version::Three, Some("application/json")) => {
                let event = |line: &String| json!({"event": line, "timestamp": null});
                let content: Vec<Value> = self.log.iter().map(event).collect();
                json_of(200, &json!({"content": content, "continuation_token": null}))
            }
            _ => {
                self.wrong(request, "in which form");
                no(406, "no such form")
            }
        }
    }
}
