//! `graph`: lineage or steps as a picture.

use wildmatch::WildMatch;

use super::super::args::GraphArgs;
use super::super::args::GraphFormat;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use super::super::workspace::Request;
use super::super::workspace::Workspace;
use crate::plan::PlanError;
use crate::render::graph;
use crate::render::graph::Graph;

pub(in super::super) fn run(args: &GraphArgs, output: &mut Output) -> Result<Exit, Failure> {
    let graph = match &args.plan {
        Some(file) => graph::steps(&super::show::read(file)?),
        None => lineage(args)?,
    };
    let text = match args.format {
        GraphFormat::Mermaid => graph::mermaid(&graph),
        GraphFormat::Dot => graph::dot(&graph),
        GraphFormat::Json => super::json(&graph)?,
    };
    output.answer(args.out.as_deref(), &text)?;
    Ok(Exit::Done)
}

fn lineage(args: &GraphArgs) -> Result<Graph, Failure> {
    let request =
        Request { head: Some(args.head.clone()), one_commit: true, ..super::request(&args.repo) };
    let workspace = Workspace::open(&request)?;
    let globs: Vec<WildMatch> = args.of.iter().map(|glob| WildMatch::new(glob)).collect();
    let wanted = |address: &str| globs.is_empty() || globs.iter().any(|glob| glob.matches(address));
    let graph = graph::lineage(&workspace.pair.head, &wanted);
    match args.of.first() {
        Some(target) if graph.nodes.is_empty() => {
            Err(PlanError::UnknownTarget { target: target.clone() }.into())
        }
        _ => Ok(graph),
    }
}
