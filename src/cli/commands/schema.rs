//! `schema`: what the JSON that this program writes looks like.

use super::super::args::Document;
use super::super::args::SchemaArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::diff::Differences;
use super::validate::Findings;
use crate::plan::contract::Plan;
use crate::render::graph::Graph;

pub(in super::super) fn run(args: &SchemaArgs, output: &mut Output) -> Result<Exit, Failure> {
    let schema = match args.of {
        Document::Plan => schemars::schema_for!(Plan),
        Document::Diff => schemars::schema_for!(Differences),
        Document::Validate => schemars::schema_for!(Findings),
        Document::Graph => schemars::schema_for!(Graph),
    };
    output.answer(None, &super::json(&schema)?)?;
    Ok(Exit::Done)
}
