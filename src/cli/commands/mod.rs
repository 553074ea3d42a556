//! One file per subcommand: wiring from arguments to the layers below and back.

mod adopt;
pub(super) mod airflow;
pub(super) mod apply;
mod checks;
pub(super) mod ci;
pub(super) mod completions;
mod correct;
pub(super) mod demo;
pub(super) mod diff;
mod example;
pub(super) mod graph;
mod ground;
pub(super) mod history;
pub(super) mod init;
pub(super) mod lock;
pub(super) mod plan;
mod published;
mod resume;
pub(super) mod schema;
pub(super) mod show;
pub(super) mod state;
pub(super) mod validate;

use std::path::Path;

use super::args::Format;
use super::args::OutArgs;
use super::args::RepoArgs;
use super::failure::Failure;
use super::output::Output;
use super::workspace::Request;
use super::workspace::Workspace;
use crate::apply::airflow::AirflowRunner;
use crate::apply::machine::Machine;
use crate::apply::runner::Runner;
use crate::apply::zipline::ZiplineRunner;
use crate::plan::contract::Plan;
use crate::render;
use crate::render::Style;

/// What a command looks at, from the arguments that all share.
fn request(args: &RepoArgs) -> Request {
    Request {
        repo: args.repo.clone(),
        env: args.env.clone(),
        root: args.root.clone(),
        settings: args.settings.clone(),
        cached: !args.no_cache,
        ..Request::default()
    }
}

/// Tells what people should know before they read the answer.
fn tell_notes(workspace: &Workspace, output: &mut Output) {
    workspace.notes.iter().for_each(|note| output.tell(format!("note: {note}")));
}

/// Makes a folder that git ignores, with those above it.
fn make_folder(folder: &Path) -> Result<(), Failure> {
    let unusable = |error: std::io::Error| {
        Failure::new(format!("{}: {error}", folder.display()))
            .hint("make the folder writable; jobs' outputs and locks are kept there")
    };
    std::fs::create_dir_all(folder).map_err(unusable)?;
    std::fs::write(folder.join(".gitignore"), "*\n").map_err(unusable)
}

/// What runs the jobs of an env; none where all are commands of the settings. `files` names the
/// index of the commit's files, where they are published for Airflow.
fn runner(
    workspace: &Workspace,
    machine: &Machine,
    files: Option<String>,
) -> Option<Box<dyn Runner>> {
    let settings = &workspace.settings;
    if settings.own_commands {
        return None;
    }
    let machine = machine.clone();
    if settings.airflow.runs {
        return Some(Box::new(AirflowRunner::new(
            machine,
            settings.airflow.clone(),
            &workspace.env,
            files,
        )));
    }
    Some(Box::new(ZiplineRunner::new(machine, workspace.pair.head.dialect)))
}

/// Writes a plan the way it was asked for.
fn write_plan(plan: &Plan, out: &OutArgs, output: &mut Output) -> Result<(), Failure> {
    let file = out.out.as_deref();
    let text = rendered(plan, out.format, output.style(file))?;
    output.answer(file, &text)
}

/// A plan in a format.
pub(super) fn rendered(plan: &Plan, format: Format, style: Style) -> Result<String, Failure> {
    match format {
        Format::Text => Ok(render::text(plan, style)),
        Format::Markdown => Ok(render::markdown(plan)),
        Format::Json => json(plan),
    }
}

/// A document as JSON.
fn json(document: &impl serde::Serialize) -> Result<String, Failure> {
    render::json::pretty(document).map_err(Failure::new)
}
