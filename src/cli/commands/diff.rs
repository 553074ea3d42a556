//! `diff`: what differs between two commits, without planning.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::args::DiffArgs;
use super::super::args::Format;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::plan::Options;
use crate::plan::contract::Change;
use crate::plan::contract::OtherFile;
use crate::plan::contract::Side;
use crate::plan::contract::SkippedFile;
use crate::render::Style;

/// What differs, as JSON: the part of a plan that is about configs and not about jobs.
#[derive(Serialize, JsonSchema)]
pub(super) struct Differences {
    /// The version of this form: that of plans.
    schema_version: u32,
    /// What is compared with.
    base: Side,
    /// What is compared.
    head: Side,
    /// The configs that differ, sorted.
    changes: Vec<Change>,
    /// Files under the root that are no configs and differ.
    other_files: Vec<OtherFile>,
    /// Files that could not be read and were left out (`--keep-going`).
    skipped_files: Vec<SkippedFile>,
}

pub(in super::super) fn run(args: &DiffArgs, output: &mut Output) -> Result<Exit, Failure> {
    let request = Request {
        base: Some(args.base.clone()),
        head: Some(args.head.clone()),
        keep_going: args.keep_going,
        ..super::request(&args.repo)
    };
    let workspace = Workspace::open(&request)?;
    workspace.notes.iter().for_each(|note| output.tell(format!("note: {note}")));
    let plan = super::plan::make(&workspace, super::plan::today(), &Options::default())?;
    let file = args.out.out.as_deref();
    let text = match args.out.format {
        Format::Text => {
            let style = Style { changes_only: true, ..output.style(file) };
            crate::render::text(&plan, style)
        }
        Format::Markdown => crate::render::markdown_changes(&plan),
        Format::Json => super::json(&Differences {
            schema_version: plan.schema_version,
            base: plan.base,
            head: plan.head,
            changes: plan.changes,
            other_files: plan.other_files,
            skipped_files: plan.skipped_files,
        })?,
    };
    output.answer(file, &text)?;
    Ok(Exit::Done)
}
