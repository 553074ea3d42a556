//! Lineage and steps as graphs: Mermaid, DOT, JSON. Edges point the way data flows.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::dot as dot_text;
use super::escape::mermaid as mermaid_text;
use crate::model::catalog::Catalog;
use crate::model::lineage::Lineage;
use crate::model::name::ConfigType;
use crate::plan::contract::Plan;

/// A graph as a value, and as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Graph {
    /// The version of this form.
    pub schema_version: u32,
    /// `lineage` or `steps`.
    pub of: String,
    /// The nodes, sorted by id for a lineage, in order for steps.
    pub nodes: Vec<Node>,
    /// The edges, sorted.
    pub edges: Vec<Edge>,
}

/// A config or a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Node {
    /// The address or the step's id.
    pub id: String,
    /// The type of config, or the mode.
    pub kind: String,
    /// The file.
    pub path: String,
}

/// What flows from one to another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Edge {
    /// Upstream.
    pub from: String,
    /// Downstream.
    pub to: String,
    /// How the one depends on the other; for steps, `before`.
    pub kind: String,
    /// Whether it was found by reading SQL, and so may be wrong.
    pub inferred: bool,
}

/// The lineage of a catalog; with `of`, only those configs, what they depend on and what depends
/// on them.
pub fn lineage(catalog: &Catalog, of: &dyn Fn(&str) -> bool) -> Graph {
    let lineage = Lineage::of(catalog);
    let count = catalog.configs.len();
    let named = (0..count).filter(|&at| of(&catalog.configs[at].address.to_string()));
    let named: Vec<usize> = named.collect();
    let mut shown: BTreeSet<usize> = named.iter().copied().collect();
    let up = |at: usize| lineage.upstream(at).iter().map(|edge| edge.upstream).collect::<Vec<_>>();
    let down = |at: usize| lineage.downstream(at).to_vec();
    for next in [&up as &dyn Fn(usize) -> Vec<usize>, &down] {
        let mut open = named.clone();
        let mut seen: BTreeSet<usize> = open.iter().copied().collect();
        while let Some(at) = open.pop() {
            open.extend(next(at).into_iter().filter(|it| seen.insert(*it)));
        }
        shown.extend(seen);
    }
    let node = |at: &usize| {
        let config = &catalog.configs[*at];
        Node {
            id: config.address.to_string(),
            kind: config.address.kind.word().to_owned(),
            path: config.path.clone(),
        }
    };
    let isolated = |at: &usize| catalog.configs[*at].address.kind == ConfigType::Team;
    let mut edges = BTreeSet::new();
    for &at in &shown {
        for edge in lineage.upstream(at).iter().filter(|edge| shown.contains(&edge.upstream)) {
            edges.insert(Edge {
                from: catalog.configs[edge.upstream].address.to_string(),
                to: catalog.configs[at].address.to_string(),
                kind: edge.kind.word().to_owned(),
                inferred: edge.kind.is_inferred(),
            });
        }
    }
    Graph {
        schema_version: 1,
        of: "lineage".to_owned(),
        nodes: shown.iter().filter(|at| !isolated(at)).map(node).collect(),
        edges: edges.into_iter().collect(),
    }
}

/// The steps of a plan.
pub fn steps(plan: &Plan) -> Graph {
    let node = |step: &crate::plan::contract::Step| Node {
        id: step.id.clone(),
        kind: step.mode.clone(),
        path: step.path.clone(),
    };
    let edge = |step: &crate::plan::contract::Step| {
        let edges = step.after.iter().map(|before| Edge {
            from: before.clone(),
            to: step.id.clone(),
            kind: "before".to_owned(),
            inferred: false,
        });
        edges.collect::<Vec<_>>()
    };
    let mut edges: Vec<Edge> = plan.steps.iter().flat_map(edge).collect();
    edges.sort();
    let nodes = plan.steps.iter().map(node).collect();
    Graph { schema_version: 1, of: "steps".to_owned(), nodes, edges }
}

/// The steps of a plan as Mermaid.
pub(super) fn steps_mermaid(plan: &Plan) -> String {
    mermaid(&steps(plan))
}

/// A graph as Mermaid.
pub fn mermaid(graph: &Graph) -> String {
    let mut text = String::from("graph LR\n");
    let ids: BTreeMap<&str, usize> =
        graph.nodes.iter().enumerate().map(|(at, node)| (node.id.as_str(), at)).collect();
    for (at, node) in graph.nodes.iter().enumerate() {
        let _ = writeln!(text, "  n{at}[\"{}\"]", mermaid_text(&node.id));
    }
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (ids.get(edge.from.as_str()), ids.get(edge.to.as_str())) {
            let arrow = if edge.inferred { "-.->" } else { "-->" };
            let label =
                if edge.kind == "before" { String::new() } else { format!("|{}|", edge.kind) };
            let _ = writeln!(text, "  n{from} {arrow}{label} n{to}");
        }
    }
    text
}

/// A graph as DOT.
pub fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph {\n  rankdir=LR;\n  node [shape=box];\n");
    for node in &graph.nodes {
        let _ = writeln!(text, "  \"{}\";", dot_text(&node.id));
    }
    for edge in &graph.edges {
        let style = if edge.inferred { ", style=dashed" } else { "" };
        let _ = writeln!(
            text,
            "  \"{}\" -> \"{}\" [label=\"{}\"{style}];",
            dot_text(&edge.from),
            dot_text(&edge.to),
            dot_text(&edge.kind)
        );
    }
    text + "}\n"
}
