//! What GitHub Actions tells a job, and the files in which it takes answers.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::super::super::failure::Failure;
use super::super::super::state;
use crate::publish::token::Token;

/// The job that this process is part of.
pub(super) struct Actions {
    /// The event's name.
    pub(super) event: String,
    /// What the event is about.
    pub(super) payload: Value,
    /// `owner/name`.
    pub(super) repository: String,
    /// Where the API is.
    pub(super) api: String,
    /// What the job may act with.
    pub(super) token: Option<Token>,
    /// The commit of the event.
    pub(super) sha: Option<String>,
    /// The run's page; empty where there is none.
    pub(super) run: String,
    /// A folder for files that later steps may read.
    pub(super) folder: PathBuf,
    output: Option<PathBuf>,
    summary: Option<PathBuf>,
}

/// GitHub's own, where no variable says otherwise.
const USUAL_API: &str = "https://api.github.com";

impl Actions {
    /// Reads the environment and the event.
    pub(super) fn of_process() -> Result<Self, Failure> {
        let var = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let needed = ["GITHUB_EVENT_NAME", "GITHUB_EVENT_PATH", "GITHUB_REPOSITORY"];
        let missing: Vec<&str> = needed.into_iter().filter(|name| var(name).is_none()).collect();
        let (Some(event), Some(path), Some(repository)) =
            (var(needed[0]), var(needed[1]), var(needed[2]))
        else {
            return Err(Failure::new(format!(
                "this is no job of GitHub Actions: {} not set",
                missing.join(", ")
            ))
            .hint("elsewhere use `chronon-plan plan` and `chronon-plan apply`"));
        };
        let run = || {
            let server = var("GITHUB_SERVER_URL")?;
            let (run, attempt) = (var("GITHUB_RUN_ID")?, var("GITHUB_RUN_ATTEMPT"));
            let attempt = attempt.filter(|it| it != "1").map(|it| format!("/attempts/{it}"));
            let attempt = attempt.unwrap_or_default();
            Some(format!("{server}/{repository}/actions/runs/{run}{attempt}"))
        };
        let token = var("GITHUB_TOKEN").or_else(|| var("GH_TOKEN"));
        let token = token.map(|text| Token::new(&text)).transpose();
        let token = token.map_err(|error| Failure::new(&error).hint(error.next()))?;
        let temp = var("RUNNER_TEMP").map_or_else(std::env::temp_dir, PathBuf::from);
        Ok(Self {
            payload: payload(Path::new(&path))?,
            api: var("GITHUB_API_URL").unwrap_or_else(|| USUAL_API.to_owned()),
            token,
            sha: var("GITHUB_SHA"),
            run: run().unwrap_or_default(),
            folder: temp.join("chronon-plan"),
            output: var("GITHUB_OUTPUT").map(PathBuf::from),
            summary: var("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            event,
            repository,
        })
    }

    /// Hands values on to later steps.
    pub(super) fn outputs(&self, values: &BTreeMap<String, String>) -> Result<(), Failure> {
        // A value may have lines of its own, and must not be able to end early.
        let end = format!("end-{}", state::nonce());
        let each = values.iter().map(|(name, value)| format!("{name}<<{end}\n{value}\n{end}\n"));
        append(self.output.as_deref(), &each.collect::<String>())
    }

    /// Adds to the page of the job.
    pub(super) fn summarise(&self, text: &str) -> Result<(), Failure> {
        append(self.summary.as_deref(), &format!("{}\n\n", text.trim_end()))
    }
}

/// Adds to the page of the job that this process is part of, if it is part of one.
pub(super) fn page_of_process(text: &str) -> Result<(), Failure> {
    let file = std::env::var_os("GITHUB_STEP_SUMMARY").filter(|it| !it.is_empty());
    append(file.map(PathBuf::from).as_deref(), text)
}

/// A line that makes the runner annotate a file.
pub(super) fn command(level: &str, path: &str, line: u64, title: &str, message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let (path, title) = (property(path), property(title));
    format!("::{level} file={path},line={line},title={title}::{}", data(message))
}

fn payload(path: &Path) -> Result<Value, Failure> {
    let wrong = |what: String| {
        Failure::new(format!("GITHUB_EVENT_PATH: {}: {what}", path.display()))
            .hint("GitHub writes this file; run `ci` in the job itself, not in a container of it")
    };
    let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| wrong(format!("it is no JSON: {error}")))
}

fn append(file: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened
        .and_then(|mut opened| opened.write_all(text.as_bytes()))
        .map_err(|error| Failure::new(format!("{}: {error}", file.display())))
}
