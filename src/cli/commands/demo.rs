//! `demo`: the bundled example end to end on this machine.

use std::path::Path;
use std::path::PathBuf;

use super::super::args::DemoArgs;
use super::super::args::Format;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use super::example;
use crate::model::day::Day;
use crate::plan::Options;
use crate::render::Style;
use crate::source;

/// The day of the example's plan, so that everybody sees the same.
const AS_OF: &str = "2026-11-22";

pub(in super::super) fn run(args: &DemoArgs, output: &mut Output) -> Result<Exit, Failure> {
    let folder = folder(args)?;
    let shown = folder.display().to_string();
    let commits = [
        ("Features of a music-streaming company", example::BASE),
        ("Count fewer plays, drop a feature", example::CHANGE),
    ];
    source::write_example(&folder, "try-a-change", &commits)?;
    let request = Request {
        repo: folder.clone(),
        base: Some("main".to_owned()),
        head: Some("try-a-change".to_owned()),
        ..Request::default()
    };
    let workspace = Workspace::open(&request)?;
    let as_of: Day = AS_OF.parse().map_err(Failure::new)?;
    let plan = super::plan::make(&workspace, as_of, &Options::default())?;
    for (name, format) in [("plan.md", Format::Markdown), ("plan.json", Format::Json)] {
        let text = super::rendered(&plan, format, Style::default())?;
        output.answer(Some(&folder.join(name)), &text)?;
    }
    let text = super::rendered(&plan, Format::Text, output.style(None))?;
    output.answer(None, &text)?;
    let program = std::env::current_exe()
        .map_or_else(|_| "chronon-plan".into(), |it| it.display().to_string());
    output.tell(format!(
        "\nThis was `chronon-plan plan --base main` in {shown}: two commits of compiled configs.\n\
         The same plan as a pull request comment: {shown}/plan.md; for programs: {shown}/plan.json\n\n\
         Try next:\n  \
         cd {shown}\n  \
         {program} diff main HEAD\n  \
         {program} graph --of 'joins/*radio*'\n  \
         {program} plan --base HEAD --head main    # the way back\n\
         Then edit a file under compiled/, commit, and plan again; or go to your own repository and run\n  \
         {program} plan --base main"
    ));
    Ok(Exit::Done)
}

/// The folder of the example: the one that was asked for, which must be empty or missing, else a
/// new one for temporary files.
fn folder(args: &DemoArgs) -> Result<PathBuf, Failure> {
    let Some(dir) = &args.dir else { return fresh(&std::env::temp_dir()) };
    let occupied = std::fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || dir.is_file() {
        return Err(Failure::new(format!("{} is not empty", dir.display()))
            .hint("name a folder that does not exist yet with `--dir DIR`"));
    }
    std::fs::create_dir_all(dir).map_err(|error| unusable(dir, &error))?;
    dir.canonicalize().map_err(|error| unusable(dir, &error))
}

/// A folder below `parent` that nobody has used yet.
fn fresh(parent: &Path) -> Result<PathBuf, Failure> {
    for number in 1..10_000 {
        let dir = parent.join(format!("chronon-plan-demo-{}-{number}", std::process::id()));
        match std::fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(unusable(&dir, &error)),
        }
    }
    Err(Failure::new(format!("no free name below {}", parent.display()))
        .hint("name one with `--dir DIR`"))
}

fn unusable(dir: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{}: {error}", dir.display()))
        .hint("name a folder that can be made with `--dir DIR`")
}
