//! `demo`
use super::super::args::DemoArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;

pub(in super::super) fn run(_args: &DemoArgs, _output: &mut Output) -> Result<Exit, Failure> {
    Ok(Exit::Done)
}
