//! `show`: a saved plan in any format.

use std::io::Read;
use std::path::Path;

use super::super::args::ShowArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use crate::plan::contract::Plan;
use crate::plan::contract::SCHEMA_VERSION;

pub(in super::super) fn run(args: &ShowArgs, output: &mut Output) -> Result<Exit, Failure> {
    let plan = read(&args.file)?;
    super::write_plan(&plan, &args.out, output)?;
    Ok(Exit::Done)
}

/// A plan that was saved with `--format json`.
pub(super) fn read(path: &Path) -> Result<Plan, Failure> {
    let shown = path.display();
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        _ => std::fs::read_to_string(path).map(|file| text = file),
    };
    let how = "save one with `chronon-plan plan --format json --out plan.json`";
    read.map_err(|error| Failure::new(format!("{shown}: {error}")).hint(how))?;
    let json = serde_json::from_str::<serde_json::Value>(&text).ok();
    if json.as_ref().is_some_and(|json| !json.is_object()) {
        let what = format!("{shown}: this is no saved plan: it is no JSON object");
        return Err(Failure::new(what).hint(how));
    }
    let version =
        json.and_then(|json| json.get("schema_version").and_then(serde_json::Value::as_u64));
    if version.is_some_and(|version| version > u64::from(SCHEMA_VERSION)) {
        return Err(Failure::new(format!("{shown} was saved by a newer chronon-plan"))
            .hint("use the chronon-plan that made it, or plan again"));
    }
    serde_json::from_str(&text).map_err(|error| {
        let place = format!("{shown}:{}:{}", error.line(), error.column());
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |split| split.0);
        Failure::new(format!("{place}: this is no saved plan: {what}")).hint(how)
    })
}
