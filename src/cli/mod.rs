//! The process: arguments, environment, clock, streams, exit code.

mod args;
mod commands;
pub mod failure;
mod output;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

use args::Cli;
use args::Command;
use failure::Exit;
use output::Output;

/// Runs the program with the process's own arguments.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut output = Output::of_process();
    let outcome = match cli.command {
        Command::Plan(args) => commands::plan::run(&args, &mut output),
        Command::Diff(args) => commands::diff::run(&args, &mut output),
        Command::Show(args) => commands::show::run(&args, &mut output),
        Command::Graph(args) => commands::graph::run(&args, &mut output),
        Command::Validate(args) => commands::validate::run(&args, &mut output),
        Command::Demo(args) => commands::demo::run(&args, &mut output),
        Command::Schema(args) => commands::schema::run(&args, &mut output),
        Command::Completions(args) => commands::completions::run(&args, &mut output),
    };
    let exit = outcome.unwrap_or_else(|failure| {
        output.tell(failure);
        Exit::Error
    });
    ExitCode::from(exit.code())
}

/// The command line as a value, for tests and documents.
pub fn command() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}
