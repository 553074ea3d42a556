//! The runner for Chronon's own CLIs: `zipline`, and `run.py` of dialect OSS.
//!
//! # Why
//! The CLI's exit code proves nothing (reference §4.4), so a job is done only if all that its kind
//! needs is known (`proof.rs`). And a job must never be submitted twice: its id is known and
//! kept before Java starts, and whatever goes wrong after that, the service is asked what became
//! of it. Where that cannot be learned, somebody has to look, and the error says where.

use std::time::Duration;
use std::time::Instant;

use super::command::ended;
use super::command::failure;
use super::command::minutes;
use super::command::own;
use super::dataproc::Dataproc;
use super::dataproc::State;
use super::gate::Gate;
use super::machine::Machine;
use super::preflight;
use super::process;
use super::process::Call;
use super::process::End;
use super::process::Ran;
use super::process::Told;
use super::proof;
use super::proof::Counts;
use super::proof::Need;
use super::proof::Seen;
use super::runner::Context;
use super::runner::Found;
use super::runner::Job;
use super::runner::Outcome;
use super::runner::Problem;
use super::runner::Runner;
use super::scrub::Scrubber;
use super::surroundings::ELSEWHERE;
use super::surroundings::Provider;
use super::surroundings::Surroundings;
use crate::model::name::Dialect;

/// How long a stream of an earlier run may take until its manifest names it.
const MANIFEST: Duration = Duration::from_secs(300);

const DEPLOY: &str = "--streaming-mode=deploy";
const CHECK: &str = "--streaming-mode=check-if-job-is-running";

/// Words of a deployment that mean nothing where a stream is only looked at.
const SAVEPOINTS: [&str; 3] = ["--no-savepoint", "--latest-savepoint", "--custom-savepoint="];

/// Runs jobs by the CLI.
#[derive(Debug)]
pub struct ZiplineRunner {
    machine: Machine,
    dialect: Dialect,
    gate: Gate,
}

impl ZiplineRunner {
    /// A runner for the CLI of this dialect. One runner sees to it that its jobs do not disturb
    /// each other, so there must be only one per machine.
    pub fn new(mut machine: Machine, dialect: Dialect) -> Self {
        // The CLI must read the files of the commit, and no others.
        ELSEWHERE.iter().for_each(|name| drop(machine.env.remove(*name)));
        Self { machine, dialect, gate: Gate::default() }
    }

    fn attempt<'a>(
        &'a self,
        around: &'a Surroundings<'a>,
        context: Context<'a>,
    ) -> Result<Attempt<'a>, Outcome> {
        let provider = around
            .provider()
            .ok_or_else(|| failure("CLOUD_PROVIDER names no provider that the CLI knows", false))?;
        let scrubber = around.scrubber();
        Ok(Attempt { runner: self, around, job: around.job, context, provider, scrubber })
    }
}

impl Runner for ZiplineRunner {
    fn preflight(&self, jobs: &[Job]) -> Vec<Problem> {
        preflight::preflight(jobs, &self.machine, self.dialect)
    }

    fn run(&self, job: &Job, context: Context<'_>) -> Outcome {
        // Whoever did not ask before is told now: some of it the CLI would answer with exit code 0.
        let problems = preflight::problems(job, &self.machine, self.dialect);
        if !problems.is_empty() {
            let told = problems.iter().map(|it| format!("{}: {}", it.what, it.next));
            return failure(&told.collect::<Vec<_>>().join("; "), false);
        }
        let around = match Surroundings::read(job, &self.machine, self.dialect) {
            Ok(around) => around,
            Err(why) => return failure(&why, false),
        };
        match self.attempt(&around, context) {
            Ok(attempt) => attempt.run(),
            Err(outcome) => outcome,
        }
    }

    fn find(&self, job: &Job, id: &str, context: Context<'_>) -> Found {
        let around = match Surroundings::read(job, &self.machine, self.dialect) {
            Ok(around) => around,
            Err(why) => return Found::Ended(failure(&why, false)),
        };
        match self.attempt(&around, context) {
            Ok(attempt) => attempt.find(id),
            Err(outcome) => Found::Ended(outcome),
        }
    }
}

/// One attempt at a job.
struct Attempt<'a> {
    runner: &'a ZiplineRunner,
    around: &'a Surroundings<'a>,
    job: &'a Job,
    context: Context<'a>,
    provider: Provider,
    scrubber: Scrubber,
}

/// What a child is started for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum For {
    /// To submit the job.
    Work,
    /// To look whether the stream runs.
    Look,
}

impl Attempt<'_> {
    fn run(&self) -> Outcome {
        if self.job.may_be_running && self.is_gcp_stream() {
            match self.runs_already() {
                Ok(Some(id)) => {
                    // The ledger must go on naming the job that runs.
                    (self.context.job_id)(&id);
                    return Outcome::Done;
                }
                Ok(None) => {}
                Err(outcome) => return outcome,
            }
        }
        let started = Instant::now();
        let (ran, seen) = match self.child(&self.job.argv, For::Work) {
            Ok(done) => done,
            Err(outcome) => return outcome,
        };
        let left = self.job.timeout.saturating_sub(started.elapsed());
        match &ran.end {
            End::Stopped => Outcome::Left,
            End::NotStarted(why) => self.failed(why, &ran.tail, false),
            End::Exited(Some(0)) => self.proven(seen, &ran.tail, left),
            End::TimedOut => self.after_failure(&ran, seen, Duration::ZERO),
            End::Exited(_) | End::Enough => self.after_failure(&ran, seen, left),
        }
    }

    fn find(&self, id: &str) -> Found {
        match own(&self.runner.machine, self.job, self.context) {
            Ok(lock) => drop(lock),
            Err(outcome) => return Found::Ended(outcome),
        }
        match self.provider {
            Provider::Gcp => {}
            Provider::None => return Found::Nothing,
            Provider::Aws | Provider::Azure => {
                let what = format!(
                    "an earlier run submitted this job as {id}, and only GCP can be asked what \
                     became of it: see to it that it has ended, then apply again"
                );
                return Found::Ended(self.failed(&what, &[], false));
            }
        }
        let patience = if self.is_gcp_stream() { MANIFEST } else { self.job.timeout };
        let before = "an earlier run submitted it";
        match self.settle(id, patience.min(self.job.timeout), Seen::default(), before, &[]) {
            Some(outcome) => Found::Ended(outcome),
            None => Found::Nothing,
        }
    }

    fn is_gcp_stream(&self) -> bool {
        self.provider == Provider::Gcp && self.job.mode == "streaming"
    }

    /// Runs the CLI; gives how it ended and what it said.
    fn child(&self, argv: &[String], what: For) -> Result<(Ran, Seen), Outcome> {
        let lock = own(&self.runner.machine, self.job, self.context)?;
        let pass = match self.gate_keys() {
            None => None,
            Some((jars, name)) => {
                let pass = self.runner.gate.enter(&jars, name, self.context.stop);
                Some(pass.ok_or(Outcome::Left)?)
            }
        };
        let mut seen = Seen::default();
        let mut told: Option<String> = None;
        let mut on_line = |_, line: &str| {
            seen.line(line);
            if let Some(pass) = pass.as_ref().filter(|_| seen.jars) {
                pass.settle();
            }
            if what == For::Look {
                return if seen.submitted.is_some() { Told::Enough } else { Told::Nothing };
            }
            let Some(id) = seen.id() else { return Told::Nothing };
            if told.as_deref() != Some(id) {
                (self.context.job_id)(id);
                told = Some(id.to_owned());
            }
            Told::Id
        };
        let call = Call {
            argv,
            folder: &self.job.folder,
            env: &self.runner.machine.env,
            scrubber: self.scrubber.clone(),
            log: Some(&self.job.log),
            lock: Some(lock),
            timeout: self.job.timeout,
            // What is only looked at, or runs on this machine, has no id to wait for.
            id_known: what == For::Look || self.provider == Provider::None,
        };
        let ran = process::run(call, &mut on_line, self.context.stop);
        Ok((ran, seen))
    }

    /// Which jars the job uses, and which name nobody else may have meanwhile.
    fn gate_keys(&self) -> Option<(String, Option<&str>)> {
        let of = |option, variable| self.around.option_or(option, variable).unwrap_or_default();
        let jars = format!(
            "{} {}",
            of("--artifact-prefix", "ARTIFACT_PREFIX"),
            of("--version", "VERSION")
        );
        let name = self.job.path.rsplit('/').next();
        match self.provider {
            Provider::None => None,
            Provider::Gcp => Some((jars, None)),
            Provider::Aws | Provider::Azure => Some((jars, name)),
        }
    }

    /// The job of the stream, if it runs, so that there is nothing to deploy.
    fn runs_already(&self) -> Result<Option<String>, Outcome> {
        let kept = |word: &&String| !SAVEPOINTS.iter().any(|it| word.starts_with(it));
        let look = |word: &String| if word == DEPLOY { CHECK.to_owned() } else { word.clone() };
        let argv: Vec<String> = self.job.argv.iter().filter(kept).map(look).collect();
        let (ran, seen) = self.child(&argv, For::Look)?;
        if ran.end == End::Stopped {
            return Err(Outcome::Left);
        }
        // The CLI would wait for the end of what it found; the service says at once.
        let found =
            seen.submitted.filter(|_| matches!(ran.end, End::Enough | End::Exited(Some(0))));
        let (Some(id), Some(dataproc)) = (found, self.dataproc()) else { return Ok(None) };
        match dataproc.state(&id) {
            State::Live => Ok(Some(id)),
            State::Missing | State::Done | State::Ended(_) => Ok(None),
            State::Stopped => Err(Outcome::Left),
            State::Unknown(why) => {
                let what =
                    format!("whether the stream runs cannot be learned: {why}; {}", by_hand(&id));
                Err(self.failed(&what, &ran.tail, false))
            }
        }
    }

    fn dataproc(&self) -> Option<Dataproc<'_>> {
        Some(Dataproc {
            env: &self.runner.machine.env,
            folder: &self.job.folder,
            region: self.around.value("GCP_REGION")?,
            project: self.around.value("GCP_PROJECT_ID")?,
            stop: self.context.stop,
        })
    }

    /// What a run proves that ended with exit code 0.
    fn proven(&self, seen: Seen, tail: &[String], left: Duration) -> Outcome {
        let needs = proof::needs(self.provider, &self.job.mode);
        let missing = needs.iter().find(|need| !seen.meets(**need));
        let id = seen.id().unwrap_or("(unknown)").to_owned();
        match missing {
            None => Outcome::Done,
            Some(Need::IdLine) => {
                let what = format!(
                    "the CLI ended with exit code 0 but did not say that a job was submitted \
                     (no line `Dataproc submitter job id`), so it waited for none; {}",
                    by_hand(&id)
                );
                self.failed(&what, tail, false)
            }
            Some(Need::Manifest) => {
                let what = format!(
                    "the CLI ended with exit code 0 but did not confirm that the stream runs; {}",
                    by_hand(&id)
                );
                self.failed(&what, tail, false)
            }
            Some(Need::Counts) => self.counted(&id, seen, tail),
            Some(Need::Done) => {
                let before = "the CLI did not say that it is done";
                let settled = self.settle(&id, left, seen, before, tail);
                settled.unwrap_or_else(|| {
                    self.failed(&format!("{before}, and there is no job {id}"), tail, true)
                })
            }
        }
    }

    /// What became of a job whose CLI failed, which may have been submitted all the same.
    fn after_failure(&self, ran: &Ran, seen: Seen, left: Duration) -> Outcome {
        let what = ended(&ran.end, self.job.timeout);
        let Some(id) = seen.id().map(str::to_owned) else {
            // A usage error stays one.
            return self.failed(&what, &ran.tail, ran.end != End::Exited(Some(2)));
        };
        if self.provider != Provider::Gcp {
            let gave_up = ran.end == End::TimedOut
                || ran.tail.iter().any(|line| line.contains("Timed out waiting for"));
            let hand = "; see to it that the job has ended, then apply again";
            let what = format!("{what} (job {id}){}", if gave_up { hand } else { "" });
            return self.failed(&what, &ran.tail, !gave_up);
        }
        // The CLI has waited for a manifest long enough.
        let left = if self.is_gcp_stream() { Duration::ZERO } else { left };
        let settled = self.settle(&id, left, seen, &what, &ran.tail);
        settled.unwrap_or_else(|| self.failed(&what, &ran.tail, true))
    }

    /// Asks the service what became of a job, for as long as it runs and patience lasts; none
    /// where there is no such job.
    fn settle(
        &self,
        id: &str,
        patience: Duration,
        seen: Seen,
        before: &str,
        tail: &[String],
    ) -> Option<Outcome> {
        let stream = self.is_gcp_stream();
        let mut named = false;
        let state = match self.dataproc() {
            None => State::Unknown("GCP_REGION or GCP_PROJECT_ID is not set".to_owned()),
            Some(dataproc) => dataproc.follow(id, patience, || {
                named = stream && self.manifest_names(&dataproc, id);
                named
            }),
        };
        let failed = |what: String, again| Some(self.failed(&what, tail, again));
        match state {
            State::Missing => None,
            State::Stopped => Some(Outcome::Left),
            State::Live if named => Some(Outcome::Done),
            State::Live if stream => failed(
                format!("{before}; job {id} runs, but no manifest names it; {}", by_hand(id)),
                false,
            ),
            State::Live => failed(
                format!(
                    "{before}; job {id} still runs after {}: wait for its end or end it, then \
                     apply again (setting `timeout` of its mode); {}",
                    minutes(self.job.timeout),
                    by_hand(id)
                ),
                false,
            ),
            State::Done if stream => failed(format!("{before}; the stream {id} has ended"), true),
            State::Done if self.job.mode == "metadata-upload" => Some(self.counted(id, seen, tail)),
            State::Done => Some(Outcome::Done),
            State::Ended(state) => failed(format!("{before}; job {id} ended as {state}"), true),
            State::Unknown(why) => failed(
                format!(
                    "{before}; what became of job {id} cannot be learned: {why}; {}",
                    by_hand(id)
                ),
                false,
            ),
        }
    }

    /// Whether the stream's manifest was written by this job.
    fn manifest_names(&self, dataproc: &Dataproc<'_>, id: &str) -> bool {
        let Some(state) = self.around.option_or("--flink-state-uri", "FLINK_STATE_URI") else {
            return false;
        };
        let uri =
            format!("{}/manifests/{}/manifest.txt", state.trim_end_matches('/'), self.job.name);
        let manifest = dataproc.file(&uri).unwrap_or_default();
        manifest.trim().split(',').any(|it| it.strip_prefix("parentJobId=") == Some(id))
    }

    /// What the counts of a `metadata-upload` say whose job is done.
    fn counted(&self, id: &str, mut seen: Seen, tail: &[String]) -> Outcome {
        if seen.stored() == Counts::Missing
            && let Some(dataproc) = self.dataproc().filter(|_| self.provider == Provider::Gcp)
        {
            dataproc.output(id).lines().for_each(|line| seen.line(line));
        }
        match seen.stored() {
            Counts::Good => Outcome::Done,
            Counts::Failed(entries) => {
                let what = format!("{entries} entries of the metadata could not be stored");
                self.failed(&what, tail, true)
            }
            Counts::Nothing => {
                let what = "the driver stored nothing: it found no config in the file; compile \
                            again with the CLI whose jars run";
                self.failed(what, tail, false)
            }
            Counts::Missing if self.context.stop.is_asked() => Outcome::Left,
            Counts::Missing => {
                let what = "the driver's output does not say how many entries it stored (no line \
                            `success count = …, failure count = …`), so nothing proves that the \
                            metadata is there; let the driver log at level INFO, or fetch it by hand";
                self.failed(what, tail, false)
            }
        }
    }

    fn failed(&self, what: &str, tail: &[String], again: bool) -> Outcome {
        Outcome::Failed { what: self.scrubber.text(what), tail: tail.to_vec(), again }
    }
}

/// Where to look.
fn by_hand(id: &str) -> String {
    format!(
        "look by hand: `gcloud dataproc jobs describe {id} --region=$GCP_REGION \
         --project=$GCP_PROJECT_ID`"
    )
}
