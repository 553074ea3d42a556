//! `init`: the settings and the workflow files, written once, for people to read and to own.
//!
//! # Why
//! What runs on GitHub with rights should be a file that a team has read, and not a service. So it
//! is written into the repository, is complete as it stands, and says why it is as it is.

mod envs;
mod found;
mod template;
mod wishes;

use std::path::Path;

use super::super::args::ACTION;
use super::super::args::InitArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use crate::plan::settings;
use crate::plan::settings::Auth;
use crate::plan::settings::EnvSettings;
use crate::render::visible;
use found::Found;

const WORKFLOW: &str = include_str!("chronon-plan.yml");
const FORKS: &str = include_str!("chronon-plan-forks.yml");

/// The version of the CLI that the workflow installs, to compile and to run jobs.
const ZIPLINE: &str = "1.28.0";

/// A file to write.
struct File {
    /// Where, from the repository's top.
    path: &'static str,
    text: String,
    /// What is there is good enough.
    keep: bool,
}

/// How a file stands to what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Missing,
    Same,
    Kept,
    InTheWay,
}

pub(in super::super) fn run(args: &InitArgs, output: &mut Output) -> Result<Exit, Failure> {
    let found = Found::look(&args.repo)?;
    wishes::check(args, &found)?;
    let files = files(args, &found);
    if args.dry_run {
        let print = |file: &File| format!("# file: {}\n{}", file.path, file.text);
        output.answer(None, &files.iter().map(print).collect::<String>())?;
        return Ok(Exit::Done);
    }
    let standings: Vec<(&File, Standing)> = files
        .iter()
        .map(|file| Ok((file, standing(&found.top, file)?)))
        .collect::<Result<_, Failure>>()?;
    if !args.force {
        refuse_conflicts(&standings)?;
    }
    let mut told = String::new();
    for (file, standing) in standings {
        told += &write(&found.top, file, standing)?;
    }
    output.answer(None, &told)?;
    notes(args, &found).iter().for_each(|note| output.tell(note));
    Ok(Exit::Done)
}

fn files(args: &InitArgs, found: &Found) -> Vec<File> {
    let mut parts = Vec::new();
    let envs = found.settings.iter().flat_map(|it| it.envs.values());
    let runs_here = |it: &EnvSettings| !it.own_commands && !it.airflow.runs;
    let collects = envs.clone().any(|it| it.airflow.runs && it.airflow.detaches_ci);
    let keyless = [Some(Auth::Google), Some(Auth::None)];
    let asks = envs.clone().any(|it| it.airflow.runs && !keyless.contains(&it.airflow.auth));
    let elsewhere = found.settings.is_some() && !envs.clone().any(runs_here);
    let zipline = found.roots.is_empty() || found.roots.iter().any(|root| wishes::is_zipline(root));
    let on = [
        ("cache", !in_bucket(args, found)),
        ("google", args.workload_identity_provider.is_some()),
        ("compile", args.compile),
        ("zipline", zipline && !elsewhere),
        ("airflow", asks),
        ("collects", collects),
        ("reports", !collects),
    ];
    parts.extend(on.iter().filter(|row| row.1).map(|row| row.0));
    let account = args.service_account.as_deref().unwrap_or_default();
    let command = command(args);
    let (action, branch) = (action(&args.action), yaml(&found.branch));
    let folders = folders(&found.roots);
    let values = [
        ("command", command.as_str()),
        ("action", &action),
        ("branch", &branch),
        ("folders", &folders),
        ("zipline", ZIPLINE),
        ("provider", args.workload_identity_provider.as_deref().unwrap_or_default()),
        ("account", account),
        ("plan-account", args.plan_service_account.as_deref().unwrap_or(account)),
    ];
    let workflow =
        |path, text| File { path, text: template::fill(text, &parts, &values), keep: false };
    let mut files = vec![
        File {
            path: settings::FILE,
            text: envs::settings(&found.roots, args.state.as_deref()),
            keep: says_enough(args, found),
        },
        workflow(".github/workflows/chronon-plan.yml", WORKFLOW),
    ];
    if args.forks {
        files.push(workflow(".github/workflows/chronon-plan-forks.yml", FORKS));
    }
    files
}

/// Whether the ledger is kept in a bucket, by what is asked for or what the settings say.
fn in_bucket(args: &InitArgs, found: &Found) -> bool {
    let envs = found.settings.iter().flat_map(|it| it.envs.values());
    let mut states = envs.filter_map(|env| env.state.as_deref());
    args.state.is_some() || states.any(|state| state.starts_with("gs://"))
}

/// Whether settings are there that need no change: they are a person's.
fn says_enough(args: &InitArgs, found: &Found) -> bool {
    let asked = args.state.as_deref();
    found.settings.as_ref().is_some_and(|settings| {
        let says = |state: Option<&str>| asked.is_none() || state == asked;
        settings.envs.values().all(|env| says(env.state.as_deref()))
            && (asked.is_none() || !settings.envs.is_empty())
    })
}

/// The command that writes these files, but for where, as lines of a comment.
fn command(args: &InitArgs) -> String {
    let mut words = vec!["chronon-plan init".to_owned()];
    let options = [
        ("--state", args.state.as_deref()),
        ("--workload-identity-provider", args.workload_identity_provider.as_deref()),
        ("--service-account", args.service_account.as_deref()),
        ("--plan-service-account", args.plan_service_account.as_deref()),
        ("--action", (args.action != ACTION).then_some(args.action.as_str())),
    ];
    words.extend(options.iter().filter_map(|(name, it)| Some(format!("{name} {}", (*it)?))));
    let switches = [("--compile", args.compile), ("--forks", args.forks)];
    words.extend(switches.iter().filter(|row| row.1).map(|row| row.0.to_owned()));
    words.join(" \\\n#         ")
}

/// The action as the workflow names it. A tag can move; who wants more names a commit.
fn action(action: &str) -> String {
    match wishes::is_pinned(action) {
        true => action.to_owned(),
        false => format!(
            "{action} # zizmor: ignore[unpinned-uses] a release; `init --action OWNER/NAME@COMMIT` pins it"
        ),
    }
}

/// A text as one value of YAML.
fn yaml(text: &str) -> String {
    let digits = text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let plain = wishes::is_plain(text) && !digits && !text.starts_with(['-', ':', '.']);
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "''")) }
}

/// The folders to compile in: those that the roots lie in.
fn folders(roots: &[String]) -> String {
    let zipline = roots.iter().filter(|root| wishes::is_zipline(root));
    let mut folders: Vec<&str> =
        zipline.map(|root| root.rsplit_once('/').map_or(".", |it| it.0)).collect();
    folders.sort_unstable();
    folders.dedup();
    if folders.is_empty() { ".".to_owned() } else { folders.join(" ") }
}

fn standing(top: &Path, file: &File) -> Result<Standing, Failure> {
    let path = top.join(file.path);
    match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Standing::Missing),
        Err(error) => Err(unusable(&path, &error)),
        Ok(there) if there == file.text.as_bytes() => Ok(Standing::Same),
        Ok(_) if file.keep => Ok(Standing::Kept),
        Ok(_) => Ok(Standing::InTheWay),
    }
}

fn refuse_conflicts(standings: &[(&File, Standing)]) -> Result<(), Failure> {
    let in_the_way: Vec<String> = standings
        .iter()
        .filter(|(_, standing)| *standing == Standing::InTheWay)
        .map(|(file, _)| file.path.to_owned())
        .collect();
    let what = match in_the_way.len() {
        0 => return Ok(()),
        1 => "a file is there already and says something else".to_owned(),
        count => format!("{count} files are there already and say something else"),
    };
    Err(Failure::new(what)
        .lines(in_the_way)
        .hint("see what would be written: the same command with `--dry-run`")
        .hint("overwrite what is there: the same command with `--force`"))
}

/// Writes a file where that is needed; says what became of it.
fn write(top: &Path, file: &File, standing: Standing) -> Result<String, Failure> {
    let path = top.join(file.path);
    let what = match standing {
        Standing::Same => "is there",
        Standing::Kept => "is there, kept as it is",
        Standing::Missing => "written",
        Standing::InTheWay => "overwritten",
    };
    if matches!(standing, Standing::Missing | Standing::InTheWay) {
        let folder = path.parent().unwrap_or(top);
        let written =
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &file.text));
        written.map_err(|error| unusable(&path, &error))?;
    }
    Ok(format!("{}: {what}\n", file.path))
}

fn unusable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", path.display()))
        .hint("make it a file that can be written, in a folder that can be written")
}

/// What people should know, and do next.
fn notes(args: &InitArgs, found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    let google = args.workload_identity_provider.is_some();
    if found.roots.is_empty() {
        notes.push(
            "note: there is no compiled root yet; compile, commit, and it is found".to_owned(),
        );
    }
    match in_bucket(args, found) {
        false => notes.push(
            "note: the ledger lies in a cache of GitHub's, for a first try; the workflow says what to do for production"
                .to_owned(),
        ),
        true if !google => notes.push(
            "note: the ledger is in a bucket and the workflow logs in nowhere; give --workload-identity-provider and --service-account, or use runners that are logged in"
                .to_owned(),
        ),
        true => {}
    }
    if google && args.plan_service_account.is_none() {
        notes.push(
            "note: plans use the account that applies; --plan-service-account names one that may only read"
                .to_owned(),
        );
    }
    let branch = visible(&found.branch);
    notes.push(format!("next: commit these files, and merge them into {branch}"));
    if in_bucket(args, found) {
        notes.push(format!(
            "next: say once what runs today: chronon-plan state adopt --commit {branch}"
        ));
    }
    notes
}
