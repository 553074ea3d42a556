//! Where in the compiled files it stands what breaks clients or leaves history wrong.

use super::super::super::workspace::Workspace;
use crate::plan::contract::Plan;
use crate::plan::contract::Warning;
use crate::plan::warning::Code;
use crate::publish::objects::Annotation;
use crate::publish::objects::Level;
use crate::render::visible;

/// Warnings that are annotated.
const SEVERE: [Code; 2] = [Code::OnlineBreaking, Code::HistoryNotRewritten];

/// One annotation for each severe warning, in the order of the plan.
pub(super) fn of(plan: &Plan, workspace: &Workspace) -> Vec<Annotation> {
    let severe = |it: &&Warning| SEVERE.iter().any(|code| code.name() == it.code);
    plan.warnings.iter().filter(severe).filter_map(|it| annotation(it, plan, workspace)).collect()
}

fn annotation(warning: &Warning, plan: &Plan, workspace: &Workspace) -> Option<Annotation> {
    let head = &workspace.pair.head;
    let path = match head.get(&warning.config) {
        Some(config) => config.path.clone(),
        // Gone at head: there is no file of the pull request to point at.
        None => plan.changes.iter().find(|it| it.config == warning.config)?.path.clone(),
    };
    let text = workspace.repository.file(&head.commit, &path).ok().flatten();
    let text = String::from_utf8_lossy(&text.unwrap_or_default()).into_owned();
    let line = warning.field.as_deref().map_or(1, |field| line_of(&text, field));
    Some(Annotation {
        path,
        start_line: line,
        end_line: line,
        level: Level::Warning,
        title: format!("{}: {}", warning.code, visible(&warning.config.to_string())),
        message: visible(&warning.text),
    })
}

/// The line on which the innermost key of a field's path stands first; the first line where it
/// stands nowhere, as in a field that is gone.
fn line_of(text: &str, field: &str) -> u64 {
    let mut depth = 0_usize;
    // What stands in brackets tells list items apart and is no key.
    let outside: String = field
        .chars()
        .filter(|c| {
            depth = match c {
                '[' => depth + 1,
                ']' => depth.saturating_sub(1),
                _ => depth,
            };
            depth == 0 && *c != ']'
        })
        .collect();
    let keys = outside.split('.').filter(|key| !key.is_empty());
    // Each key is looked for behind the one that holds it.
    let mut at = 0;
    for key in keys {
        let quoted = serde_json::Value::from(key).to_string();
        let Some(found) = text.get(at..).and_then(|rest| rest.find(&quoted)) else { break };
        at += found;
    }
    let before = text.get(..at).unwrap_or_default().matches('\n').count();
    u64::try_from(before).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_keys_in_turn() {
        let text = "{\n \"metaData\": {\n  \"name\": 1\n },\n \"a\": [\n  {\"name\": 2}\n ]\n}\n";
        assert_eq!(line_of(text, "a[x.y].name"), 6);
        assert_eq!(line_of(text, "metaData.name"), 3);
        assert_eq!(line_of(text, "gone.field"), 1);
        assert_eq!(line_of(text, "a[x]"), 5);
    }
}
