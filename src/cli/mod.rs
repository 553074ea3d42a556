//! The process: arguments, environment, clock, streams, exit code.

mod args;
mod basis;
mod commands;
mod ending;
pub mod failure;
mod output;
mod progress;
mod publishing;
mod schedules;
mod signals;
mod state;
mod tasks;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use args::Command;
use failure::Exit;
use failure::Failure;
use output::Output;

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let mut output = Output::of_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(asked_or_wrong) => return ExitCode::from(tell(&asked_or_wrong, &mut output).code()),
    };
    let outcome = dispatch(&cli.command, &mut output);
    let exit = outcome.unwrap_or_else(|failure| {
        let exit = failure.exit;
        output.tell(failure);
        exit
    });
    ExitCode::from(exit.code())
}

/// Runs one command.
fn dispatch(command: &Command, output: &mut Output) -> Result<Exit, Failure> {
    match command {
        Command::Plan(args) => commands::plan::run(args, output),
        Command::Apply(args) => commands::apply::run(args, output),
        Command::State(args) => commands::state::run(args, output),
        Command::Lock(args) => commands::lock::run(args, output),
        Command::Airflow(args) => commands::airflow::run(args, output),
        Command::History(args) => commands::history::run(args, output),
        Command::Diff(args) => commands::diff::run(args, output),
        Command::Show(args) => commands::show::run(args, output),
        Command::Graph(args) => commands::graph::run(args, output),
        Command::Validate(args) => commands::validate::run(args, output),
        Command::Init(args) => commands::init::run(args, output),
        Command::Ci(args) => commands::ci::run(args, output),
        Command::Demo(args) => commands::demo::run(args, output),
        Command::Schema(args) => commands::schema::run(args, output),
        Command::Completions(args) => commands::completions::run(args, output),
    }
}

/// Shows help to those who asked, and a mistake to those who made one. A mistake ends with 1:
/// clap's own 2 would read as «there are changes».
fn tell(error: &clap::Error, output: &mut Output) -> Exit {
    let text = output.clap_text(error);
    if error.use_stderr() {
        output.tell(text);
        return Exit::Error;
    }
    match output.answer(None, &text) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Error,
    }
}

/// The command line as a value, for tests and documents.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
