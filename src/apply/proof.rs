//! What the output of the CLI proves (reference §4.4).
//!
//! # Why
//! Exit code 0 means little: it may stand for a submission alone, for a job nobody asked about,
//! for metadata of which nothing was stored. What each kind of job needs beside it is a table.
//!
//! What cannot be proven from here: on AWS the CLI itself looks at the job's state, but a stream's
//! code is the submitter's alone; on Azure every code is. Neither shows the driver's output, so
//! that a `metadata-upload` may have stored nothing there. A driver started on this machine is
//! believed, but for `metadata-upload`, which ends with 0 whatever happened.

use super::surroundings::Provider;

/// Something beside exit code 0 that must be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The submitter printed the job's id; without it the CLI waits for nothing.
    IdLine,
    /// The job's state is DONE.
    Done,
    /// The driver stored something and failed at nothing.
    Counts,
    /// The manifest of the stream names this job.
    Manifest,
}

/// What jobs of a provider and mode need; the first row that fits counts.
const NEEDS: &[(Provider, Option<&str>, &[Need])] = &[
    (Provider::Gcp, Some("streaming"), &[Need::IdLine, Need::Manifest]),
    (Provider::Gcp, Some("metadata-upload"), &[Need::IdLine, Need::Done, Need::Counts]),
    (Provider::Gcp, None, &[Need::IdLine, Need::Done]),
    (Provider::None, Some("metadata-upload"), &[Need::Counts]),
];

/// What a job needs beside exit code 0.
pub(super) fn needs(provider: Provider, mode: &str) -> &'static [Need] {
    let fits = |of: Option<&str>| of.is_none_or(|of| of == mode);
    NEEDS.iter().find(|row| row.0 == provider && fits(row.1)).map_or(&[], |row| row.2)
}

const COMMAND: &str = "Running command: ";
const SUBMITTER: &str = "ai.chronon.integrations.cloud_gcp.DataprocSubmitter";
const ID_LINE: &str = "Dataproc submitter job id";
const EMR_LINE: &str = "Job submitted with ID:";

/// What was seen in the output so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The CLI is about to start Java: its jars are on disk.
    pub(super) jars: bool,
    /// The id under which the job is about to be submitted.
    pub(super) announced: Option<String>,
    /// The id under which the submitter says that it was.
    pub(super) submitted: Option<String>,
    /// The job of which the CLI says that it is DONE.
    pub(super) done: Option<String>,
    /// The line in which the CLI says that a stream runs.
    pub(super) deployed: Option<String>,
    /// How many entries each driver says it stored, and failed to store.
    pub(super) counts: Vec<(u64, u64)>,
}

/// What the counts of a `metadata-upload` say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counts {
    /// Nothing was said.
    Missing,
    /// All is stored.
    Good,
    /// Nothing was stored, and nothing failed: the driver found no config in the file.
    Nothing,
    /// This many entries failed.
    Failed(u64),
}

impl Seen {
    /// Looks at the next line.
    pub(super) fn line(&mut self, line: &str) {
        if let Some((_, command)) = line.split_once(COMMAND) {
            self.command(command);
        } else if let Some((_, rest)) = line.split_once(ID_LINE) {
            // The CLI skips one character, whichever it is, and takes the rest.
            let id = rest.chars().skip(1).collect::<String>();
            self.submitted = self.submitted.take().or_else(|| id_of(&id));
        } else if let Some((_, rest)) = line.split_once(EMR_LINE) {
            self.submitted = id_of(rest).or(self.submitted.take());
        } else if let Some(id) = line.split_once(" is in DONE state").map(|it| it.0) {
            self.done = id.split_whitespace().next_back().and_then(id_of);
        } else if line.contains("Flink job has been deployed successfully") {
            self.deployed = Some(line.to_owned());
        } else {
            self.counts.extend(counts(line));
        }
    }

    fn command(&mut self, command: &str) {
        let mut words = command.split_whitespace();
        if words.next() != Some("java") {
            return;
        }
        self.jars = true;
        if words.clone().any(|word| word == SUBMITTER) {
            self.announced = words.find_map(|word| id_of(word.strip_prefix("--job-id=")?));
        }
    }

    /// The job's id, as well as it is known.
    pub(super) fn id(&self) -> Option<&str> {
        self.submitted.as_deref().or(self.announced.as_deref())
    }

    /// What the counts say.
    pub(super) fn stored(&self) -> Counts {
        let failed = self.counts.iter().map(|it| it.1).sum();
        match self.counts.iter().map(|it| it.0).sum::<u64>() {
            _ if self.counts.is_empty() => Counts::Missing,
            _ if failed > 0 => Counts::Failed(failed),
            0 => Counts::Nothing,
            _ => Counts::Good,
        }
    }

    /// Whether this need is met by what was seen.
    pub(super) fn meets(&self, need: Need) -> bool {
        let submitted = self.submitted.as_deref();
        match need {
            Need::IdLine => submitted.is_some(),
            Need::Done => submitted.is_some() && self.done.as_deref() == submitted,
            Need::Counts => self.stored() == Counts::Good,
            Need::Manifest => {
                let lines = submitted.zip(self.deployed.as_deref());
                lines.is_some_and(|(id, line)| line.contains(&format!("Dataproc job ID = [{id}]")))
            }
        }
    }
}

/// An id of a job, if this is one: it becomes a word of commands.
fn id_of(text: &str) -> Option<String> {
    let id = text.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_|:.".contains(c);
    let good = (1..=200).contains(&id.len()) && !id.starts_with('-') && id.chars().all(fits);
    good.then(|| id.to_owned())
}

/// `success count = 3, failure count = 0`.
fn counts(line: &str) -> Option<(u64, u64)> {
    let number = |after: &str| {
        let rest = line.split_once(after)?.1.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().ok()
    };
    Some((number("success count =")?, number("failure count =")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const JAVA: &str = "INFO:ai.chronon.logger:Running command: java -cp /tmp/zipline/x.jar";
    const ID: &str = "500c4849-d0b9-416e-bce8-227a6e823001";

    fn seen(lines: &[&str]) -> Seen {
        let mut seen = Seen::default();
        lines.iter().for_each(|line| seen.line(line));
        seen
    }

    #[test]
    fn ids_are_read_from_the_lines_that_give_them() {
        let announced = format!("{JAVA} {SUBMITTER} join --job-id={ID} --is-gcp");
        assert_eq!(seen(&[&announced]).id(), Some(ID));
        assert!(seen(&[&announced]).jars);
        let table = [
            format!("Dataproc submitter job id: {ID}"),
            format!("2026-01-01 INFO Dataproc submitter job id: {ID}  "),
            format!("Dataproc submitter job id={ID}"),
        ];
        for line in table {
            assert_eq!(seen(&[&line]).submitted.as_deref(), Some(ID), "{line}");
        }
        // The submitter has the last word, and the CLI goes by its first.
        let more =
            [announced.as_str(), "Dataproc submitter job id: a-1", "Dataproc submitter job id: b"];
        assert_eq!(seen(&more).id(), Some("a-1"));
        let emr = seen(&["x Job submitted with ID: app-1|run-2"]);
        assert_eq!(emr.id(), Some("app-1|run-2"));
    }

    #[test]
    fn other_lines_give_no_id() {
        for line in [
            &format!("{JAVA} ai.chronon.online.fetcher.FetcherMain --job-id={ID}"),
            &format!("Running command: gcloud {SUBMITTER} --job-id={ID}"),
            &format!("java -cp x {SUBMITTER} --job-id={ID}"),
            &format!("{JAVA} {SUBMITTER} --job-id=a;b"),
            &format!("{JAVA} {SUBMITTER} --job-id=--flag"),
            "Dataproc submitter job id:",
            "Dataproc submitter job id: two words",
        ] {
            assert_eq!(seen(&[line]).id(), None, "{line}");
        }
    }

    #[test]
    fn counts_tell_stored_from_failed() {
        let table: [(&[&str], Counts); 6] = [
            (&[], Counts::Missing),
            (&["success count = x, failure count = 0"], Counts::Missing),
            (&["INFO success count = 1, failure count = 0"], Counts::Good),
            (&["success count = 0, failure count = 0"], Counts::Nothing),
            (&["success count = 7, failure count = 2."], Counts::Failed(2)),
            (
                &["success count = 1, failure count = 1", "success count = 2, failure count = 0"],
                Counts::Failed(1),
            ),
        ];
        for (lines, expected) in table {
            assert_eq!(seen(lines).stored(), expected, "{lines:?}");
        }
    }

    #[test]
    fn nothing_is_proven_by_an_exit_code() {
        let id = format!("Dataproc submitter job id: {ID}");
        let done = format!("INFO:ai.chronon.logger:Job {ID} is in DONE state.");
        let other = "Job 1 is in DONE state.".to_owned();
        let not = format!("Job {ID} is not in DONE state. Current state: ERROR");
        let runs = |id| {
            format!(
                "Flink job has been deployed successfully. Flink job ID = [f]. Dataproc job ID = [{id}]"
            )
        };
        let (runs, runs_other) = (runs(ID), runs("other"));
        let good = "success count = 1, failure count = 0".to_owned();
        let table: [(Provider, &str, &[&String], bool); 15] = [
            (Provider::Gcp, "upload", &[], false),
            (Provider::Gcp, "upload", &[&id], false),
            (Provider::Gcp, "upload", &[&done], false),
            (Provider::Gcp, "upload", &[&id, &other], false),
            (Provider::Gcp, "upload", &[&id, &not], false),
            (Provider::Gcp, "upload", &[&id, &done], true),
            (Provider::Gcp, "metadata-upload", &[&id, &done], false),
            (Provider::Gcp, "metadata-upload", &[&id, &good, &done], true),
            (Provider::Gcp, "streaming", &[&id], false),
            (Provider::Gcp, "streaming", &[&id, &done], false),
            (Provider::Gcp, "streaming", &[&id, &runs_other], false),
            (Provider::Gcp, "streaming", &[&id, &runs], true),
            (Provider::None, "metadata-upload", &[], false),
            (Provider::None, "metadata-upload", &[&good], true),
            (Provider::Aws, "upload", &[], true),
        ];
        for (provider, mode, lines, expected) in table {
            let lines: Vec<&str> = lines.iter().map(|line| line.as_str()).collect();
            let seen = seen(&lines);
            let proven = needs(provider, mode).iter().all(|need| seen.meets(*need));
            assert_eq!(proven, expected, "{provider:?} {mode} {lines:?}");
        }
    }
}
