//! Everything that `apply`, `state` and `lock` write as JSON is what `schema` says.

use std::path::Path;

use serde_json::Value;
use serde_json::json;

use crate::support::run;
use crate::support::stage::Stage;

/// What a published schema finds wrong with a document.
fn wrong(schema: &str, document: &Value) -> Vec<String> {
    let text = run(Path::new("/"), &["schema", schema]).ok();
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(!validator.is_valid(&json!("anything")), "the schema takes anything");
    validator.iter_errors(document).map(|it| it.to_string()).collect()
}

#[test]
fn what_is_written_is_what_the_schemas_say() {
    let stage = Stage::new(&["rename-group-by", "new-join"]);
    stage.adopt("HEAD~2");
    stage.knob("fail.catalog.tracks.track_heat__0#upload", "9");
    let progress = stage.apply(&["--format", "json"]).stdout;
    let lines: Vec<&str> = progress.lines().collect();
    assert!(lines.len() > 5, "{progress}");
    for line in lines {
        let event: Value = serde_json::from_str(line).unwrap();
        assert_eq!(wrong("progress", &event), [""; 0], "{line}");
    }
    let config = "joins/discovery.digest.weekly_digest__0";
    // Also where there is nothing to do.
    let rows: [(&str, &[&str]); 9] = [
        ("lock", &["lock", "show"]),
        ("state-list", &["state", "list"]),
        ("state-list", &["state", "show", config]),
        ("state-history", &["state", "history"]),
        ("state-change", &["state", "rm", config]),
        ("state-change", &["state", "rollback", "1"]),
        ("state-change", &["state", "adopt", "--commit", "HEAD~2"]),
        ("lock", &["lock", "release", "whichever"]),
        ("ledger", &["state", "pull"]),
    ];
    for (schema, args) in rows {
        let answer = stage.run(&[args, &["--format", "json"]].concat()).ok();
        let document: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(wrong(schema, &document), [""; 0], "{args:?}: {answer}");
    }
}
