//! A Google Cloud Storage for tests: the part of its JSON API that the Rust SDK and the Python
//! client use, stricter than the real one, and able to fail in every way that a network can.
//!
//! # Why
//! The emulators that can be installed ignore preconditions, so nothing that is about racing,
//! lost answers or locks can be tested on them. Here every write of a state bucket must carry its
//! precondition, one object takes one write a second, and whatever breaks one of those rules is
//! kept as a violation for the test to look at.

// Paths, so that they are found also where an example includes this file.
#[path = "buckets.rs"]
mod buckets;
#[path = "http.rs"]
pub(crate) mod http;

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::json;

use self::buckets::Upload;
use self::buckets::crc32c;
use self::buckets::md5;
use self::buckets::no_bucket;
use self::http::Answer;
use self::http::Request;
use self::http::http_date;

/// How often one object of a state bucket may be written.
const PACE: Duration = Duration::from_secs(1);

/// A way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status instead of doing anything.
    Status(u16),
    /// The connection is reset; nothing was done.
    ResetBefore,
    /// The connection is reset; it was done.
    ResetAfter,
    /// It was done, and the answer breaks off in the middle of its body.
    BrokenBody,
    /// It was done, and the answer is this status.
    StatusAfter(u16),
    /// It is done this much later.
    StallBefore(Duration),
    /// It was done, and the answer comes this much later.
    StallAfter(Duration),
}

/// What a call wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The content of an object.
    Read,
    /// To write an object.
    Write,
    /// What is known of an object, or which there are.
    Look,
    /// Something about a bucket.
    Bucket,
    /// Nothing that is known here.
    Unknown,
}

/// A call, as faults and hooks see it and as the log keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// Counts all calls of the server, from 1.
    pub(crate) number: usize,
    pub(crate) kind: Kind,
    pub(crate) method: String,
    pub(crate) bucket: String,
    pub(crate) object: String,
    /// The precondition that it carries.
    pub(crate) expects: Option<u64>,
    /// The status of the answer; none where there was none, or none yet.
    pub(crate) status: Option<u16>,
}

impl Call {
    pub(crate) fn is_write(&self) -> bool {
        self.kind == Kind::Write
    }

    pub(crate) fn is_read(&self) -> bool {
        self.kind == Kind::Read
    }
}

/// When a hook is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The write has arrived; nothing is done yet.
    Before,
    /// The write is decided; nothing is answered yet.
    After,
}

type Predicate = Box<dyn Fn(&Call) -> bool + Send>;
type Hook = Arc<dyn Fn(Moment, &Call) + Send + Sync>;

/// An object as it is kept.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) generation: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) content_type: String,
    /// How many writes it has seen.
    pub(crate) writes: usize,
    at: Instant,
    updated: Timestamp,
}

#[derive(Default)]
struct Bucket {
    state: bool,
    objects: BTreeMap<String, Stored>,
}

struct Rule {
    times: usize,
    when: Predicate,
    fault: Fault,
}

#[derive(Default)]
struct World {
    buckets: BTreeMap<String, Bucket>,
    rules: Vec<Rule>,
    log: Vec<Call>,
    violations: Vec<String>,
    newest: u64,
    unlimited: bool,
}

#[derive(Default)]
struct Shared {
    world: Mutex<World>,
    hook: Mutex<Option<Hook>>,
    stopped: AtomicBool,
    /// Those that are open, by the address of their client.
    connections: Mutex<BTreeMap<SocketAddr, TcpStream>>,
}

/// A running server; it stops when this is dropped.
pub(crate) struct Gcs {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// What a lock holds, also after a test panicked while it held it.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gcs {
    /// A server without a bucket, on a free port of this machine.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let served = Arc::clone(&served);
                thread::spawn(move || served.serve(stream));
            }
        });
        Self { shared, address }
    }

    /// What `STORAGE_EMULATOR_HOST` is to say.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Opens a bucket for state: every write must carry its precondition, one a second.
    pub(crate) fn state(&self, bucket: &str) {
        held(&self.shared.world).open(bucket, true);
    }

    /// Opens a bucket for anything.
    pub(crate) fn bucket(&self, bucket: &str) {
        held(&self.shared.world).open(bucket, false);
    }

    /// Lifts the limit of one write a second, for tests that are about something else.
    pub(crate) fn unlimited(&self) {
        held(&self.shared.world).unlimited = true;
    }

    /// Lets the next `times` calls that `when` picks go wrong. Rules are asked in their order,
    /// and the first one that picks a call has it.
    pub(crate) fn fail(
        &self,
        times: usize,
        fault: Fault,
        when: impl Fn(&Call) -> bool + Send + 'static,
    ) {
        held(&self.shared.world).rules.push(Rule { times, when: Box::new(when), fault });
    }

    /// Forgets all faults that have not happened yet.
    pub(crate) fn heal(&self) {
        held(&self.shared.world).rules.clear();
    }

    /// Calls this for every write that a client makes, before and after it is decided. The hook
    /// may use the server.
    pub(crate) fn hook(&self, hook: impl Fn(Moment, &Call) + Send + Sync + 'static) {
        *held(&self.shared.hook) = Some(Arc::new(hook));
    }

    /// Writes an object past every rule, as somebody else would; gives its generation.
    pub(crate) fn put(&self, bucket: &str, object: &str, bytes: &[u8]) -> u64 {
        held(&self.shared.world).commit(bucket, object, bytes, "application/octet-stream")
    }

    /// An object, as it is now.
    pub(crate) fn object(&self, bucket: &str, object: &str) -> Option<Stored> {
        held(&self.shared.world).buckets.get(bucket)?.objects.get(object).cloned()
    }

    /// The names in a bucket.
    pub(crate) fn names(&self, bucket: &str) -> Vec<String> {
        let world = held(&self.shared.world);
        world.buckets.get(bucket).map_or_else(Vec::new, |it| it.objects.keys().cloned().collect())
    }

    /// All calls so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        held(&self.shared.world).log.clone()
    }

    /// What clients did that they must not do.
    pub(crate) fn violations(&self) -> Vec<String> {
        held(&self.shared.world).violations.clone()
    }
}

impl Drop for Gcs {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for connections.
        drop(TcpStream::connect(self.address));
        for stream in held(&self.shared.connections).values() {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

impl World {
    fn open(&mut self, bucket: &str, state: bool) {
        self.buckets.entry(bucket.to_owned()).or_default().state = state;
    }

    fn commit(&mut self, bucket: &str, object: &str, bytes: &[u8], content_type: &str) -> u64 {
        let now = u64::try_from(Timestamp::now().as_microsecond()).unwrap();
        self.newest = now.max(self.newest + 1);
        let objects = &mut self.buckets.get_mut(bucket).unwrap().objects;
        let writes = objects.get(object).map_or(0, |it| it.writes) + 1;
        let stored = Stored {
            generation: self.newest,
            bytes: bytes.to_vec(),
            content_type: content_type.to_owned(),
            writes,
            at: Instant::now(),
            updated: Timestamp::now(),
        };
        objects.insert(object.to_owned(), stored);
        self.newest
    }

    /// Keeps the call, and finds what is to go wrong with it.
    fn arrive(&mut self, call: &mut Call) -> Option<Fault> {
        call.number = self.log.len() + 1;
        self.log.push(call.clone());
        let rule = self.rules.iter_mut().find(|rule| rule.times > 0 && (rule.when)(call))?;
        rule.times -= 1;
        Some(rule.fault)
    }

    fn violation(&mut self, call: &Call, what: &str) {
        self.violations.push(format!(
            "call {}: {} {}/{}: {what}",
            call.number, call.method, call.bucket, call.object
        ));
    }
}

impl Answer {
    fn json(status: u16, body: &Value) -> Self {
        let kind = ("content-type", "application/json; charset=UTF-8".to_owned());
        Self { status, headers: vec![kind], body: body.to_string().into_bytes() }
    }

    fn error(status: u16, reason: &str, what: &str) -> Self {
        let one = json!({"message": what, "domain": "global", "reason": reason});
        Self::json(status, &json!({"error": {"code": status, "message": what, "errors": [one]}}))
    }

    /// An error as a download has it: the sentence alone.
    fn plain(self) -> Self {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        let text = body["error"]["message"].as_str().unwrap_or_default();
        let headers = vec![("content-type", "text/html; charset=UTF-8".to_owned())];
        Self { headers, body: text.as_bytes().to_vec(), ..self }
    }

    /// The answer of a service that fails with this status.
    fn failure(status: u16, call: &Call) -> Self {
        let denied = match call.kind {
            Kind::Write => "storage.objects.create",
            _ => "storage.objects.get",
        };
        let what = match status {
            401 => format!("Anonymous caller does not have {denied} access."),
            403 => format!("The caller does not have {denied} access to the object."),
            408 => "The request timed out.".to_owned(),
            429 => "The rate of requests is too high.".to_owned(),
            _ => "We encountered an internal error. Please try again.".to_owned(),
        };
        let reason = match status {
            401 => "required",
            403 => "forbidden",
            429 => "rateLimitExceeded",
            _ => "backendError",
        };
        let answer = Self::error(status, reason, &what);
        if call.is_read() { answer.plain() } else { answer }
    }

    fn media(found: &Stored) -> Self {
        let hashes = format!("crc32c={},md5={}", crc32c(&found.bytes), md5(&found.bytes));
        let headers = vec![
            ("content-type", found.content_type.clone()),
            ("x-goog-generation", found.generation.to_string()),
            ("x-goog-metageneration", "1".to_owned()),
            ("x-goog-stored-content-encoding", "identity".to_owned()),
            ("x-goog-stored-content-length", found.bytes.len().to_string()),
            ("x-goog-storage-class", "STANDARD".to_owned()),
            ("x-goog-hash", hashes),
            ("etag", format!("C{}=", found.generation)),
            ("last-modified", http_date(found.updated)),
        ];
        Self { status: 200, headers, body: found.bytes.clone() }
    }
}

impl Shared {
    /// Serves one connection to its end.
    fn serve(&self, stream: TcpStream) {
        let (Ok(client), Ok(kept)) = (stream.peer_addr(), stream.try_clone()) else { return };
        held(&self.connections).insert(client, kept);
        // A client that goes away in the middle of a call ends its connection, no more.
        drop(self.converse(stream));
        // The last handle of it: now it is closed, or reset.
        drop(held(&self.connections).remove(&client));
    }

    /// Answers the calls of one connection until either side ends it.
    fn converse(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = Request::read(&mut reader, &mut stream)? {
            let upload = request.upload();
            let mut call = request.call(upload.as_ref().ok());
            let fault = held(&self.world).arrive(&mut call);
            let Some((answer, broken)) = self.outcome(&request, &call, upload, fault) else {
                // Without lingering, closing is a reset.
                return socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            };
            held(&self.world).log[call.number - 1].status = Some(answer.status);
            answer.send(&mut stream, request.method == "HEAD", broken)?;
            if broken {
                return stream.shutdown(std::net::Shutdown::Both);
            }
        }
        Ok(())
    }

    /// What is answered, and whether the answer breaks off; none where there is none.
    fn outcome(
        &self,
        request: &Request,
        call: &Call,
        upload: Result<Upload, Answer>,
        fault: Option<Fault>,
    ) -> Option<(Answer, bool)> {
        self.tell(Moment::Before, call);
        match fault {
            Some(Fault::Status(status)) => return Some((Answer::failure(status, call), false)),
            Some(Fault::ResetBefore) => return None,
            Some(Fault::StallBefore(time)) => thread::sleep(time),
            _ => {}
        }
        let answer = self.answer(request, call, upload);
        self.tell(Moment::After, call);
        match fault {
            Some(Fault::ResetAfter) => return None,
            Some(Fault::StatusAfter(status)) => {
                return Some((Answer::failure(status, call), false));
            }
            Some(Fault::StallAfter(time)) => thread::sleep(time),
            _ => {}
        }
        Some((answer, fault == Some(Fault::BrokenBody)))
    }

    fn tell(&self, moment: Moment, call: &Call) {
        let hook = held(&self.hook).clone();
        if let Some(hook) = hook.filter(|_| call.is_write()) {
            hook(moment, call);
        }
    }

    fn answer(&self, request: &Request, call: &Call, upload: Result<Upload, Answer>) -> Answer {
        let mut world = held(&self.world);
        match call.kind {
            Kind::Write => match upload {
                Ok(upload) => world.write(call, &upload),
                Err(answer) => answer,
            },
            Kind::Read => world.find(call, request).map_or_else(Answer::plain, Answer::media),
            Kind::Look if call.object.is_empty() => world.list(call, request),
            Kind::Look => match world.find(call, request).map(drop) {
                Err(answer) => answer,
                Ok(()) => match world.resource(&call.bucket, &call.object) {
                    Some(found) => Answer::json(200, &found),
                    None => no_bucket(),
                },
            },
            Kind::Bucket => world.bucket(call, request),
            Kind::Unknown => Answer::error(400, "invalid", "This server does not know that call."),
        }
    }
}

impl Request {
    /// Which call this is. Everything that the answer depends on is in it.
    fn call(&self, upload: Option<&Upload>) -> Call {
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        let get = self.method == "GET" || self.method == "HEAD";
        let media = self.query.get("alt").is_some_and(|it| it == "media");
        let (kind, bucket, object) = match path.as_slice() {
            ["upload", "storage", "v1", "b", bucket, "o"] if self.method == "POST" => {
                (Kind::Write, *bucket, upload.map_or("", |it| &it.name))
            }
            ["download", "storage", "v1", "b", bucket, "o", object] if get && media => {
                (Kind::Read, *bucket, *object)
            }
            ["storage", "v1", "b", bucket, "o", object] if get && media => {
                (Kind::Read, *bucket, *object)
            }
            ["storage", "v1", "b", bucket, "o", object] if get => (Kind::Look, *bucket, *object),
            ["storage", "v1", "b", bucket, "o"] if get => (Kind::Look, *bucket, ""),
            ["storage", "v1", "b", bucket] if get => (Kind::Bucket, *bucket, ""),
            ["storage", "v1", "b"] if self.method == "POST" => (Kind::Bucket, "", ""),
            _ => (Kind::Unknown, "", ""),
        };
        Call {
            number: 0,
            kind,
            method: self.method.clone(),
            bucket: bucket.to_owned(),
            object: object.to_owned(),
            expects: self.query.get("ifGenerationMatch").and_then(|it| it.parse().ok()),
            status: None,
        }
    }
}
