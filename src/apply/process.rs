//! Runs a child process: its output into a log, its end in time, and nothing of it left behind.
//!
//! # Why
//! A child gets a process group of its own, so that a signal reaches all of it and Ctrl-C reaches
//! none of it by accident. Its standard input is a locked, empty file: such a lock belongs to the
//! open file and not to a process, so it holds as long as any process of the job lives, also
//! after this one was killed. A later run sees by it that the job's processes are still there.
//! A process that gives its input away, as a shell does with what it runs in the background, gives
//! the lock away too.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::Receiver;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process_group;
use rustix::process::test_kill_process_group;

use super::runner::Stop;
use super::scrub::Scrubber;

/// How many last lines are kept for people.
const TAIL: usize = 40;
/// How long a line of the tail may be, in characters.
const TAIL_WIDTH: usize = 1_000;
/// How much of a line is looked at, in bytes; the rest is dropped.
const LINE: usize = 64 * 1024;
/// How many lines may wait to be looked at.
const WAITING: usize = 1_024;
/// How often is looked whether to stop.
const TICK: Duration = Duration::from_millis(50);
/// How long a child may take to end after SIGTERM when its time is up.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// The same, when everything is to stop.
const SHORT_WORDS: Duration = Duration::from_secs(1);
/// How long a stop waits for the job's id.
const FOR_ID: Duration = Duration::from_secs(3);
/// How long output is read on that others hold open after the child's end.
const ECHO: Duration = Duration::from_millis(500);

/// What to run, and how.
#[derive(Debug)]
pub struct Call<'a> {
    /// The program and its arguments; no shell looks at them.
    pub argv: &'a [String],
    /// Where it runs.
    pub folder: &'a Path,
    /// Its whole environment.
    pub env: &'a BTreeMap<String, String>,
    /// What its output must not show.
    pub scrubber: Scrubber,
    /// Where its output is added, without what is secret.
    pub log: Option<&'a Path>,
    /// Its standard input: a file locked by [`lock`].
    pub lock: Option<Lock>,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether there is nothing to wait for when everything is to stop.
    pub id_known: bool,
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this code; none where a signal ended it.
    Exited(Option<i32>),
    /// It took too long and was ended.
    TimedOut,
    /// Everything is to stop, and it was ended.
    Stopped,
    /// It printed what was looked for, and was ended.
    Enough,
    /// It could not be started, and why.
    NotStarted(String),
}

/// A child that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How.
    pub end: End,
    /// Its last lines, without what is secret.
    pub tail: Vec<String>,
}

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// What a line means for the child that printed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// The job's id is known by now: a stop need not wait for it.
    Id,
    /// It has printed what was looked for, and may be ended.
    Enough,
}

/// Told every line as it was printed.
pub type OnLine<'a> = dyn FnMut(Stream, &str) -> Told + 'a;

/// The locked file of a job.
pub type Lock = File;

/// Locks a job's file; none where processes of the job hold it.
///
/// # Errors
/// Where the file cannot be opened or locked at all.
pub fn lock(path: &Path) -> io::Result<Option<Lock>> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// What became of waiting for a job's processes.
#[derive(Debug)]
pub enum Waited {
    /// None is left, and the lock is ours.
    Locked(Lock),
    /// They are still there.
    Held,
    /// Everything is to stop.
    Stopped,
}

/// Waits until no process of a job is left.
///
/// # Errors
/// Where its lock file cannot be asked.
pub fn wait_for_lock(path: &Path, timeout: Duration, stop: &Stop) -> io::Result<Waited> {
    let deadline = Instant::now() + timeout;
    loop {
        if let Some(file) = lock(path)? {
            return Ok(Waited::Locked(file));
        }
        if stop.is_asked() {
            return Ok(Waited::Stopped);
        }
        if Instant::now() >= deadline {
            return Ok(Waited::Held);
        }
        thread::sleep(TICK);
    }
}

/// Sleeps, but not when everything is to stop; gives whether it is.
pub fn pause(time: Duration, stop: &Stop) -> bool {
    let deadline = Instant::now() + time;
    while !stop.is_asked() && Instant::now() < deadline {
        thread::sleep(TICK.min(deadline.saturating_duration_since(Instant::now())));
    }
    stop.is_asked()
}

/// Runs a child to its end.
pub fn run(mut call: Call<'_>, on_line: &mut OnLine<'_>, stop: &Stop) -> Ran {
    let failed = |what: String| Ran { end: End::NotStarted(what), tail: Vec::new() };
    let log = match call.log.map(open_log).transpose() {
        Ok(log) => log,
        Err(error) => return failed(format!("the log file cannot be written: {error}")),
    };
    let (child, lines) = match start(&mut call) {
        Ok(started) => started,
        Err(error) => {
            let program = call.argv.first().map_or("", String::as_str);
            return failed(format!("`{program}` cannot be started: {error}"));
        }
    };
    let mut attended = Attended {
        group: Pid::from_child(&child),
        child,
        lines,
        open: true,
        on_line,
        id_known: call.id_known,
        enough: false,
        cut: call.scrubber.longest(),
        scrubber: call.scrubber,
        log,
        tail: VecDeque::new(),
    };
    let end = attended.attend(Instant::now() + call.timeout, stop);
    Ran { end, tail: attended.tail.into() }
}

/// What a short command printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Captured {
    /// How it ended.
    pub end: End,
    /// Its standard output, as it is.
    pub out: String,
    /// Its standard error, as it is.
    pub err: String,
}

/// Runs a short command for what it prints; that is not scrubbed, and is not to be shown.
pub fn capture(
    argv: &[String],
    folder: &Path,
    env: &BTreeMap<String, String>,
    timeout: Duration,
    stop: &Stop,
) -> Captured {
    let (mut out, mut err) = (String::new(), String::new());
    let mut keep = |stream: Stream, line: &str| {
        let to = if stream == Stream::Out { &mut out } else { &mut err };
        if to.len() < 64 * LINE {
            to.push_str(line);
            to.push('\n');
        }
        Told::Nothing
    };
    let scrubber = Scrubber::default();
    let call = Call { argv, folder, env, scrubber, log: None, lock: None, timeout, id_known: true };
    let end = run(call, &mut keep, stop).end;
    Captured { end, out, err }
}

fn open_log(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    OpenOptions::new().append(true).create(true).open(path)
}

/// Starts the child and a reader for each of its streams.
fn start(call: &mut Call<'_>) -> io::Result<(Child, Receiver<Line>)> {
    let Some((program, arguments)) = call.argv.split_first() else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(call.folder).process_group(0);
    // Without buffering a line is seen when it is printed, and the job's id is one.
    command.env_clear().envs(call.env).env("PYTHONUNBUFFERED", "1");
    // The lock is handed on with the file; ours is dropped with the command.
    command.stdin(call.lock.take().map_or_else(Stdio::null, Stdio::from));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let (send, lines) = mpsc::sync_channel(WAITING);
    let streams = (child.stdout.take(), child.stderr.take());
    if let (Some(out), Some(err)) = streams {
        let also = send.clone();
        // They end with the streams, which others may hold open: nobody waits for them.
        thread::spawn(move || read_lines(Stream::Out, out, &send));
        thread::spawn(move || read_lines(Stream::Err, err, &also));
    }
    Ok((child, lines))
}

/// One line, and how many of its bytes were dropped.
struct Line {
    stream: Stream,
    bytes: Vec<u8>,
    dropped: usize,
}

/// Sends every line of a stream until it ends or nobody listens.
fn read_lines(stream: Stream, from: impl Read, send: &SyncSender<Line>) {
    let mut reader = BufReader::with_capacity(LINE, from);
    let empty = || Line { stream, bytes: Vec::new(), dropped: 0 };
    let mut line = empty();
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => &[],
        };
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let kept = part.len().min(LINE - line.bytes.len());
        line.bytes.extend_from_slice(&part[..kept]);
        line.dropped += part.len() - kept;
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() && send.send(std::mem::replace(&mut line, empty())).is_err() {
            return;
        }
    }
    if !line.bytes.is_empty() {
        // Where nobody listens any more, nobody misses it.
        send.send(line).ok();
    }
}

struct Attended<'a, 'b> {
    child: Child,
    group: Pid,
    lines: Receiver<Line>,
    /// Whether more lines may come.
    open: bool,
    on_line: &'a mut OnLine<'b>,
    id_known: bool,
    enough: bool,
    /// How many bytes at a cut may belong to a secret.
    cut: usize,
    scrubber: Scrubber,
    log: Option<File>,
    tail: VecDeque<String>,
}

impl Attended<'_, '_> {
    fn attend(&mut self, deadline: Instant, stop: &Stop) -> End {
        loop {
            self.take_lines(TICK);
            if let Some(status) = self.ended() {
                self.drain();
                return End::Exited(status.code());
            }
            if self.enough {
                self.end_group(SHORT_WORDS);
                return End::Enough;
            }
            if stop.is_asked() {
                return self.stop();
            }
            if Instant::now() >= deadline {
                self.end_group(LAST_WORDS);
                return End::TimedOut;
            }
        }
    }

    /// Ends the child, but first waits a little for the job's id: without it nobody could find
    /// the job again.
    fn stop(&mut self) -> End {
        let deadline = Instant::now() + FOR_ID;
        while !self.id_known && Instant::now() < deadline {
            self.take_lines(TICK);
            if let Some(status) = self.ended() {
                self.drain();
                return End::Exited(status.code());
            }
        }
        self.end_group(SHORT_WORDS);
        End::Stopped
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Ends every process of the group.
    fn end_group(&mut self, grace: Duration) {
        let deadline = Instant::now() + grace;
        let mut left = kill_process_group(self.group, Signal::TERM).is_ok();
        while left && Instant::now() < deadline {
            self.take_lines(TICK);
            // An ended child counts as one of the group until it was waited for.
            self.ended();
            left = test_kill_process_group(self.group).is_ok();
        }
        if left {
            kill_process_group(self.group, Signal::KILL).ok();
            self.child.wait().ok();
        }
        self.drain();
    }

    /// Takes the lines that were printed before the end.
    fn drain(&mut self) {
        let deadline = Instant::now() + ECHO;
        while self.open && Instant::now() < deadline {
            self.take_lines(TICK);
        }
    }

    /// Waits for a line and takes all that are there.
    fn take_lines(&mut self, wait: Duration) {
        match self.lines.recv_timeout(wait) {
            Ok(line) => self.line(line),
            Err(RecvTimeoutError::Timeout) => return,
            Err(RecvTimeoutError::Disconnected) => {
                if self.open {
                    self.open = false;
                } else {
                    thread::sleep(wait);
                }
                return;
            }
        }
        for _ in 0..WAITING {
            match self.lines.try_recv() {
                Ok(line) => self.line(line),
                Err(_) => return,
            }
        }
    }

    fn line(&mut self, mut line: Line) {
        if line.dropped > 0 {
            // What a cut leaves of a secret must not show either.
            let kept = line.bytes.len().saturating_sub(self.cut);
            line.dropped += line.bytes.len() - kept;
            line.bytes.truncate(kept);
        }
        let raw = String::from_utf8_lossy(&line.bytes);
        let raw = raw.trim_end_matches('\r');
        match (self.on_line)(line.stream, raw) {
            Told::Nothing => {}
            Told::Id => self.id_known = true,
            Told::Enough => self.enough = true,
        }
        let mut shown = self.scrubber.line(raw);
        if line.dropped > 0 {
            shown.push_str(&format!("… ({} bytes more)", line.dropped));
        }
        if let Some(log) = &mut self.log
            && let Err(error) = writeln!(log, "{shown}")
        {
            self.log = None;
            self.keep(&format!("(the log file cannot be written: {error})"));
        }
        self.keep(&shown);
    }

    fn keep(&mut self, line: &str) {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        let cut = line.char_indices().nth(TAIL_WIDTH).map(|at| at.0);
        self.tail
            .push_back(cut.map_or_else(|| line.to_owned(), |cut| format!("{}…", &line[..cut])));
    }
}
