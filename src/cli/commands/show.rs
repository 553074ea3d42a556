//! `show`: a saved plan in any format.

use std::io::Read;
use std::path::Path;

use super::super::args::ShowArgs;
use super::super::failure::Exit;
use super::super::failure::Failure;
use super::super::output::Output;
use crate::plan::contract::Plan;
use crate::plan::contract::SCHEMA_VERSION;
use crate::plan::modes;
use crate::plan::warning::CODES;

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
    let plan: Plan = serde_json::from_str(&text).map_err(|error| {
        let place = format!("{shown}:{}:{}", error.line(), error.column());
        let what = error.to_string();
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |split| split.0);
        Failure::new(format!("{place}: this is no saved plan: {what}")).hint(how)
    })?;
    match unknown_word(&plan) {
        None => Ok(plan),
        Some(word) => {
            let what = format!("{shown}: this version knows no {word}");
            Err(Failure::new(what).hint("use the chronon-plan that made it, or plan again"))
        }
    }
}

/// A word of a plan that only programs write, and that is none of this program's.
fn unknown_word(plan: &Plan) -> Option<String> {
    let digest = plan.digest.strip_prefix("sha256:").unwrap_or_default();
    let mode = plan.steps.iter().find(|it| modes::by_name(&it.mode).is_none());
    let known = |code: &str| CODES.iter().any(|row| row.1 == code);
    let code = plan.warnings.iter().find(|it| !known(&it.code));
    let side = plan.skipped_files.iter().find(|it| !["base", "head"].contains(&it.side.as_str()));
    let hex = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    mode.map(|it| format!("mode `{}`", it.mode))
        .or_else(|| code.map(|it| format!("warning `{}`", it.code)))
        .or_else(|| side.map(|it| format!("side `{}`", it.side)))
        .or_else(|| (!hex).then(|| format!("digest `{}`", plan.digest)))
}
