//! `completions`: what shells need to complete commands and options.

use super::super::args::CompletionsArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;

pub(in super::super) fn run(args: &CompletionsArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    let mut command = crate::cli::command();
    clap_complete::generate(args.shell, &mut command, "chronon-plan", &mut script);
    output.answer(None, &String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
