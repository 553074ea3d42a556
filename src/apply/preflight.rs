//! What would go wrong with jobs of the zipline CLI, found before anything is submitted.
//!
//! # Why
//! The CLI finds a missing region only after it has submitted the job, takes today's date where
//! one is missing, and starts a stream without brokers (reference §4.4, §8). Each check is one
//! row; all are made for every job, so that one run shows everything there is to mend.

use std::collections::BTreeMap;

use super::command::counted;
use super::command::no_program;
use super::machine::Machine;
use super::runner::Job;
use super::runner::Problem;
use super::surroundings::Provider;
use super::surroundings::Surroundings;
use super::surroundings::option;
use crate::model::name::Dialect;
use crate::plan::modes;
use crate::plan::modes::Dates;

/// What a check is given.
struct Look<'a> {
    around: &'a Surroundings<'a>,
    machine: &'a Machine,
    dialect: Dialect,
    provider: Provider,
}

type Check = fn(&Look<'_>) -> Vec<Problem>;

/// Every check of a job whose config can be read and whose provider is known.
const CHECKS: [Check; 7] = [programs, variables, options, words, dates, streaming, conf_path];

/// Options that make the CLI report success without looking at the job, or do something else
/// altogether (reference §4.4).
const REFUSED: [&str; 4] =
    ["--parallelism", "--no-cloud-logging", "--disable-cloud-logging", "--sub-help"];

/// Variables that GCP jobs cannot do without; each may have an option instead.
const GCP_VARIABLES: [(&str, &str); 4] = [
    ("GCP_PROJECT_ID", ""),
    ("GCP_REGION", ""),
    ("GCP_BIGTABLE_INSTANCE_ID", ""),
    ("ARTIFACT_PREFIX", "artifact_prefix"),
];

/// Everything that would go wrong with these jobs, each thing once.
pub(super) fn preflight(jobs: &[Job], machine: &Machine, dialect: Dialect) -> Vec<Problem> {
    let mut found: BTreeMap<Problem, usize> = BTreeMap::new();
    for job in jobs {
        for problem in problems(job, machine, dialect) {
            *found.entry(problem).or_default() += 1;
        }
    }
    counted(found)
}

/// What would go wrong with one job.
pub(super) fn problems(job: &Job, machine: &Machine, dialect: Dialect) -> Vec<Problem> {
    let around = match Surroundings::read(job, machine, dialect) {
        Ok(around) => around,
        Err(why) => return vec![problem(&why, "compile again and commit the result")],
    };
    let Some(provider) = around.provider() else {
        let next = "set CLOUD_PROVIDER to gcp, aws or azure, or leave it out";
        return vec![problem("CLOUD_PROVIDER names no provider that the CLI knows", next)];
    };
    let look = Look { around: &around, machine, dialect, provider };
    CHECKS.iter().flat_map(|check| check(&look)).collect()
}

fn problem(what: &str, next: &str) -> Problem {
    Problem { what: what.to_owned(), next: next.to_owned() }
}

fn programs(look: &Look<'_>) -> Vec<Problem> {
    let job = look.around.job;
    let missing = |name: &str| look.machine.program(name, &job.folder).is_none();
    let own = job.argv.first().map_or("", String::as_str);
    let mut found = Vec::new();
    if missing(own) {
        found.push(no_program(own, "program"));
    }
    let others: &[&str] = match look.provider {
        Provider::Gcp => &["java", "gcloud"],
        Provider::Aws | Provider::Azure => &["java"],
        Provider::None => &[],
    };
    for name in others.iter().filter(|name| missing(name)) {
        let what = format!("there is no program `{name}`, which the CLI starts");
        found.push(problem(&what, &format!("install `{name}`, or add its folder to PATH")));
    }
    found
}

fn variables(look: &Look<'_>) -> Vec<Problem> {
    let around = look.around;
    let says = |variable: &str, setting: &str| {
        let option = format!("--{}", setting.replace('_', "-"));
        match setting {
            "" => around.value(variable).is_some(),
            _ => around.option_or(&option, variable).is_some(),
        }
    };
    let mut found = Vec::new();
    let place = "the process's environment, or the env of the team in teams.py";
    match look.provider {
        Provider::Gcp => {
            for (variable, setting) in GCP_VARIABLES.iter().filter(|it| !says(it.0, it.1)) {
                let or = match *setting {
                    "" => String::new(),
                    setting => format!(", or the setting `env.*.{setting}`"),
                };
                found.push(problem(
                    &format!("{variable} is not set"),
                    &format!("set {variable} in {place}{or}"),
                ));
            }
            if !says("WAREHOUSE_BUCKET", "warehouse_bucket") && !says("CUSTOMER_ID", "") {
                let what = "neither WAREHOUSE_BUCKET nor CUSTOMER_ID is set";
                found.push(problem(what, &format!("set one of them in {place}")));
            }
        }
        Provider::None if look.dialect == Dialect::Zip => {
            if option(&around.job.argv, "--chronon-jar").is_none() {
                found.push(problem(
                    "CLOUD_PROVIDER is not set",
                    &format!("set it in {place}, or add `--chronon-jar=…` to `env.*.extra_args`"),
                ));
            }
        }
        Provider::Aws | Provider::Azure | Provider::None => {}
    }
    found
}

fn options(look: &Look<'_>) -> Vec<Problem> {
    let argv = &look.around.job.argv;
    let has = |name: &&&str| {
        argv.iter().any(|word| {
            word.strip_prefix(**name).is_some_and(|it| it.is_empty() || it.starts_with('='))
        })
    };
    let refused = REFUSED.iter().filter(has).map(|name| {
        let what = format!("with `{name}` the CLI reports success whatever becomes of the job");
        problem(&what, &format!("strike `{name}` from `env.*.extra_args`"))
    });
    let mut found: Vec<Problem> = refused.collect();
    // A newer CLI falls back on its own version; one that takes `--conf` does not.
    if option(argv, "--conf").is_some()
        && look.dialect == Dialect::Zip
        && look.around.option_or("--version", "VERSION").is_none()
    {
        let next = "set `env.*.version`, or VERSION in the environment";
        found.push(problem("nothing says of which version the jars are", next));
    }
    found
}

/// The CLI splits the command that it builds at white space.
fn words(look: &Look<'_>) -> Vec<Problem> {
    let job = look.around.job;
    let mut found = Vec::new();
    if look.dialect == Dialect::Zip {
        let spaced = |word: &&String| {
            word.contains(char::is_whitespace) && !word.starts_with("--online-args=")
        };
        for word in job.argv.iter().filter(spaced) {
            let name = word.split(['=', ' ']).next().unwrap_or_default();
            let what = format!("the argument `{name}` has white space in it");
            found.push(problem(&what, "change it: the CLI splits its commands there"));
        }
    }
    if job.folder.to_string_lossy().contains(char::is_whitespace) {
        let what = "the folder for the files of the commit has white space in its path";
        found.push(problem(
            what,
            "set TMPDIR to a folder without: the CLI splits its commands there",
        ));
    }
    found
}

fn conf_path(look: &Look<'_>) -> Vec<Problem> {
    let path = &look.around.job.path;
    let short = path.split('/').count() < 4;
    if !short && !path.contains(char::is_whitespace) {
        return Vec::new();
    }
    let what =
        format!("the CLI does not take `{path}`: it wants …/TYPE/TEAM/NAME without white space");
    vec![problem(&what, "move the compiled root one folder down, and set `env.*.root`")]
}

fn dates(look: &Look<'_>) -> Vec<Problem> {
    let job = look.around.job;
    let dates = modes::by_name(&job.mode).map_or(Dates::None, |mode| mode.dates);
    let given = |name: &str| option(&job.argv, name).is_some();
    // Dialect OSS loads an upload by a command of its own, and replaces views without dates.
    let own_command = look.dialect == Dialect::Oss && job.mode == "upload-to-kv";
    let ranged = dates == Dates::Range && look.dialect == Dialect::Zip;
    let wants_end = (dates == Dates::Day && !own_command) || ranged;
    let mut found = Vec::new();
    if wants_end && !given("--ds") && !given("--end-ds") {
        let what = format!("`{}` has no date, and the CLI would take today's", job.mode);
        found.push(problem(&what, "plan again with `--ds DATE`"));
    }
    let is_join = job.path.split('/').rev().nth(2) == Some("joins");
    if ranged && !is_join && !given("--start-ds") && !given("--force-overwrite") {
        let next = "set `env.*.backfill.start`, or the start in the config";
        found.push(problem("nothing says where a backfill starts", next));
    }
    found
}

fn streaming(look: &Look<'_>) -> Vec<Problem> {
    let around = look.around;
    let mut found = Vec::new();
    if around.job.mode != "streaming" {
        return found;
    }
    let gcp = look.provider == Provider::Gcp;
    if gcp && around.option_or("--flink-state-uri", "FLINK_STATE_URI").is_none() {
        let next = "set `env.*.flink_state_uri`, or FLINK_STATE_URI in the environment";
        found.push(problem("nothing says where Flink keeps its state", next));
    }
    if look.provider == Provider::Azure {
        let what = "the CLI does not deploy streams on Azure";
        found.push(problem(what, "run it by `env.*.runner = \"command\"`"));
    }
    if around.needs_kafka() && option(&around.job.argv, "--kafka-bootstrap").is_none() {
        let next = "set `env.*.kafka_bootstrap`, or `bootstrap=HOST:PORT` in the topic";
        found.push(problem("nothing says where the Kafka brokers of a stream are", next));
    }
    found
}
