//! `schema`: what the JSON that this program writes looks like.

use super::super::args::Document;
use super::super::args::SchemaArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::progress::Line;
use super::airflow::Differences as Schedules;
use super::airflow::Rendered;
use super::airflow::Seen;
use super::correct::Changed;
use super::diff::Differences;
use super::history::History;
use super::lock::LockState;
use super::state::Listing;
use super::state::Write;
use super::validate::Findings;
use crate::plan::contract::Plan;
use crate::render::graph::Graph;
use crate::schedule::spec::Manifest;
use crate::state::ledger::Document as Ledger;

pub(in super::super) fn run(args: &SchemaArgs, output: &mut Output) -> Result<Exit, Failure> {
    let schema = match args.of {
        Document::Plan => schemars::schema_for!(Plan),
        Document::Diff => schemars::schema_for!(Differences),
        Document::Validate => schemars::schema_for!(Findings),
        Document::Graph => schemars::schema_for!(Graph),
        Document::Progress => schemars::schema_for!(Line),
        Document::Ledger => schemars::schema_for!(Ledger),
        Document::StateList => schemars::schema_for!(Listing),
        Document::StateChange => schemars::schema_for!(Changed),
        Document::StateHistory => schemars::schema_for!(Vec<Write>),
        Document::Lock => schemars::schema_for!(LockState),
        Document::Schedules => schemars::schema_for!(Manifest),
        Document::AirflowRender => schemars::schema_for!(Rendered),
        Document::AirflowDiff => schemars::schema_for!(Schedules<'_>),
        Document::AirflowCheck => schemars::schema_for!(Seen),
        Document::History => schemars::schema_for!(History),
    };
    output.answer(None, &super::json(&schema)?)?;
    Ok(Exit::Done)
}
