//! The digest: what a reviewer approves.
//!
//! # Why
//! It covers what would be done and why, and nothing that varies without meaning: not the time,
//! the run, the state's serial, the tool's version or wording, nor the as-of day and the dates
//! that follow from it. Hidden values are not in it either; the id of the file that holds them is,
//! so that another secret is another digest. So is that of a file that is new as a whole.

use serde_json::Value;
use serde_json::json;
use sha2::Digest;
use sha2::Sha256;

use super::Inputs;
use super::contract::Plan;
use super::contract::Step;
use crate::diff::FieldChange;
use crate::model::name::Resource;
use crate::model::name::hex_of;

pub(super) fn digest(inputs: &Inputs<'_>, plan: &Plan) -> String {
    let steps: Vec<Value> = plan.steps.iter().map(|step| covered(inputs, plan, step)).collect();
    let warnings: Vec<Value> =
        plan.warnings.iter().map(|it| json!([it.code, it.config, it.field, it.affects])).collect();
    let orphans: Vec<Value> =
        plan.orphans.iter().map(|it| json!([it.config, it.resource, it.what])).collect();
    let all = json!({
        "schema_version": plan.schema_version,
        "env": plan.env,
        "complete": plan.complete,
        "steps": steps,
        "warnings": warnings,
        "orphans": orphans,
    });
    let hash = Sha256::digest(all.to_string());
    format!("sha256:{}", hex_of(&hash))
}

fn covered(inputs: &Inputs<'_>, plan: &Plan, step: &Step) -> Value {
    let dated = ["--ds=", "--start-ds=", "--end-ds="];
    let argv: Vec<&String> =
        step.argv.iter().filter(|word| !dated.iter().any(|it| word.starts_with(it))).collect();
    let change = plan.changes.iter().find(|it| it.config == step.config);
    let reason = |because: &super::contract::Because| {
        let field = change
            .and_then(|it| it.fields.iter().find(|f| Some(&f.path) == because.field.as_ref()));
        // Where no values tell what is new, the file does.
        let bare = because.field.is_none() && because.upstream.is_none();
        let file = Some(&step.blob).filter(|_| bare || field.is_some_and(|field| field.hidden));
        let values = earlier_values(inputs, step, because.field.as_deref())
            .or_else(|| field.map(|field| json!([field.before, field.after])));
        json!([because.field, because.upstream, values, file])
    };
    let because: Vec<Value> = step.because.iter().map(reason).collect();
    // A backfill of the newest day alone moves with the as-of day.
    let start =
        step.range.as_ref().and_then(|it| it.start.filter(|start| *start != inputs.newest()));
    json!({
        "id": step.id,
        "path": step.path,
        "cause": step.cause,
        "scope": step.scope,
        "trigger": step.trigger,
        "because": because,
        "after": step.after,
        "start": start,
        "rewrite": step.rewrite,
        "argv": argv,
        "manual": step.manual,
    })
}

/// The values of a field where the step's resource was applied from another commit than base.
fn earlier_values(inputs: &Inputs<'_>, step: &Step, field: Option<&str>) -> Option<Value> {
    let resource = Resource::by_name(&step.resource)?;
    let (change, _) = inputs.earlier(&step.config, resource)?.change.as_ref()?;
    let named = |it: &&FieldChange| Some(it.path.to_string().as_str()) == field;
    let found = change.fields.iter().find(named).filter(|it| !it.is_hidden())?;
    Some(json!([found.before(), found.after()]))
}
