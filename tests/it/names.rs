//! Names and files that nobody would write on purpose, and some that somebody did.

use std::fmt::Write;
use std::fs;

use serde_json::Value;
use serde_json::json;

use crate::repositories::plan;
use crate::repositories::plan_json;
use crate::repositories::polyphony;
use crate::repositories::refused;
use crate::support::Repo;
use crate::support::run;

/// The GroupBy from which others are made; it is online and streams.
const MODEL: &str = "compiled/group_bys/listening/plays.listener_plays__1";

/// Names of configs; each is also the name of its file, as far as a file system takes it.
const NAMES: [&str; 16] = [
    "a.b.c.d__1",
    "ünï.列車__0",
    "quote\"s'.x__0",
    "new\nline.x__0",
    "-dash.x__0",
    "sp ace.x__0",
    "pi|pe.x__0",
    "```tick`.x__0",
    "\x1b[31mred.x__0",
    "\u{202e}rtl.x__0",
    "<b>@octocat<!-- #1 [x](http:e).x__0",
    "$(touch owned);'.x__0",
    "back\\slash.x__0",
    "ta\tb.x__0",
    "zero\u{200b}width.x__0",
    "#hash.x__0",
];

fn value(repo: &Repo, path: &str) -> Value {
    serde_json::from_slice(&fs::read(repo.path().join(path)).unwrap()).unwrap()
}

/// What must not reach a terminal, a log or a comment as it is.
fn deceives(c: char) -> bool {
    (c.is_control() && c != '\n') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}')
}

#[track_caller]
fn harmless(text: &str) {
    let bad: Vec<String> =
        text.lines().filter(|it| it.contains(deceives)).map(|it| format!("{it:?}")).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn hostile_names_are_planned_as_they_are_and_shown_harmlessly() {
    let repo = polyphony();
    let mut group_by = value(&repo, MODEL);
    for name in NAMES {
        group_by["metaData"]["name"] = name.into();
        repo.write(&format!("compiled/group_bys/listening/{name}"), group_by.to_string());
    }
    repo.commit("names");
    let plan_of = plan_json(repo.path(), &["--base", "HEAD~1"]);
    for name in NAMES {
        let address = format!("group_bys/{name}");
        let steps = plan_of["steps"].as_array().unwrap();
        let modes: Vec<&Value> =
            steps.iter().filter(|it| it["config"] == address).map(|it| &it["mode"]).collect();
        assert_eq!(modes, ["metadata-upload", "upload", "upload-to-kv", "streaming"], "{name:?}");
        let path = format!("compiled/group_bys/listening/{name}");
        assert!(steps.iter().any(|it| it["path"] == path && it["argv"][2] == path), "{path:?}");
        let warned = plan_of["warnings"].as_array().unwrap().iter();
        let mut warned = warned.filter(|it| it["config"] == address);
        let splits = warned.any(|it| it["code"] == "path-not-runnable");
        assert_eq!(splits, name.contains(char::is_whitespace), "{name:?}");
    }
    repo.write("plan.json", plan_of.to_string());
    for format in ["text", "markdown"] {
        let shown = plan(repo.path(), &["--base", "HEAD~1", "--format", format]).ok();
        harmless(&shown);
        assert_eq!(run(repo.path(), &["show", "plan.json", "--format", format]).ok(), shown);
        harmless(&run(repo.path(), &["diff", "HEAD~1", "--format", format]).ok());
    }
    for format in ["mermaid", "dot"] {
        harmless(&run(repo.path(), &["graph", "--format", format]).ok());
        let steps = run(repo.path(), &["graph", "--plan", "plan.json", "--format", format]).ok();
        harmless(&steps);
    }
    harmless(&run(repo.path(), &["validate"]).ok());
    let dash = plan_json(repo.path(), &["--base", "HEAD~1", "--target", "group_bys/-dash*"]);
    assert_eq!(dash["steps"].as_array().unwrap().len(), 4);
    assert!(!repo.path().join("owned").exists());
}

#[test]
fn hostile_names_are_harmless_on_standard_error() {
    let repo = polyphony();
    let name = "\x1b[31mred\u{202e}.x__0";
    let mut group_by = value(&repo, MODEL);
    group_by["metaData"]["name"] = name.into();
    repo.write("compiled/group_bys/listening/red.x__0", group_by.to_string());
    repo.write(&format!("compiled/joins/{name}"), "{");
    let noted = plan(repo.path(), &["--base", "main"]);
    assert_eq!(noted.code, 0);
    harmless(&noted.stderr);
    repo.commit("red");
    harmless(&refused(plan(repo.path(), &["--base", "main"])));
    repo.remove(&format!("compiled/joins/{name}"));
    repo.commit("no longer malformed");
    let force = format!("group_bys/{name}#nonsense");
    harmless(&refused(plan(repo.path(), &["--base", "main", "--force", &force])));
    repo.write("chronon-plan.toml", "[env.\"\\u001b[31mred\"]\n[env.other]\n");
    repo.commit("settings");
    harmless(&refused(plan(repo.path(), &["--base", "main"])));
}

#[test]
fn names_of_columns_are_harmless() {
    let repo = polyphony();
    let path = "compiled/joins/discovery/training.skip_training__0";
    let mut join = value(&repo, path);
    let derived = join["derivations"].as_array().unwrap().len();
    for (at, name) in ["\x1b[2Jone", "\u{202e}two"].into_iter().enumerate().take(derived) {
        join["derivations"][at]["name"] = name.into();
    }
    repo.write(path, join.to_string());
    repo.commit("columns");
    for format in ["text", "markdown"] {
        harmless(&plan(repo.path(), &["--base", "HEAD~1", "--format", format]).ok());
        harmless(&run(repo.path(), &["diff", "HEAD~1", "--format", format]).ok());
    }
}

/// A column that another name serves is shown by a path of its own.
#[test]
fn names_of_renamed_columns_are_harmless() {
    let repo = polyphony();
    let path = "compiled/joins/discovery/training.skip_training__0";
    let mut join = value(&repo, path);
    let list = join["derivations"].as_array_mut().unwrap();
    let at = list.iter().position(|it| it["name"] != it["expression"] && it["name"] != "*");
    list[at.unwrap()]["name"] = "\x1b[2Jgone".into();
    repo.write(path, join.to_string());
    repo.commit("renamed");
    let plan_of = plan_json(repo.path(), &["--base", "HEAD~1"]);
    let renamed = plan_of["changes"][0]["columns"]["renamed"].as_array().unwrap();
    assert_eq!(renamed.len(), 1, "{plan_of}");
    for format in ["text", "markdown"] {
        harmless(&plan(repo.path(), &["--base", "HEAD~1", "--format", format]).ok());
    }
}

#[test]
fn a_large_file_is_planned_and_not_printed() {
    let repo = polyphony();
    let mut join = value(&repo, "compiled/joins/discovery/training.skip_training__0");
    join["metaData"]["description"] = "é".repeat(5_000_000).into();
    repo.write("compiled/joins/discovery/training.skip_training__0", join.to_string());
    repo.commit("ten megabytes");
    for format in ["text", "markdown"] {
        let shown = plan(repo.path(), &["--base", "HEAD~1", "--format", format]).ok();
        assert!(shown.len() < 65_536, "{format} has {} bytes", shown.len());
    }
    assert_eq!(plan_json(repo.path(), &["--base", "HEAD~1"])["steps"], json!([]));
}

/// Files that should be configs and are not, with where each is wrong; 0 for the whole file.
const MALFORMED: [(&str, &[u8], &str); 14] = [
    ("group_bys/t/truncated", b"{\n  \"metaData\": {\n    \"name\": \"a\"", ":3:15: "),
    ("group_bys/t/empty", b"", ": the file is empty"),
    ("group_bys/t/blank", b" \n\n", ": the file is empty"),
    ("group_bys/t/conflict", b"{\n<<<<<<< HEAD\n}", ":2:1: an unresolved merge conflict"),
    ("group_bys/t/array", b"[]", ":1:"),
    ("group_bys/t/null", b"null", ":1:4: "),
    ("group_bys/t/words", b"hunter2 hunter2", ":1:1: "),
    ("group_bys/t/nameless", b"{\"metaData\": {}}", ": there is no `metaData.name`"),
    ("group_bys/t/unnamed", b"{}", ": there is no `metaData.name`"),
    ("group_bys/t/numbered", b"{\"metaData\": {\"name\": 7}}", ":1:23: "),
    ("joins/t/parts", b"{\"metaData\": {\"name\": \"b\"},\n\"joinParts\": \"hunter2\"}", ":2:22: "),
    ("joins/t/online", b"{\"metaData\": {\"name\": \"c\", \"online\": \"hunter2\"}}", ":1:46: "),
    ("models/t/binary", b"\x00\x01\xfe\xff", ":1:1: "),
    ("teams_metadata/t/team", b"{\"env\":", ":1:7: "),
];

fn with_malformed() -> Repo {
    let repo = polyphony();
    for (path, content, _) in MALFORMED {
        repo.write(&format!("compiled/{path}"), content);
    }
    repo.commit("malformed");
    repo
}

#[test]
fn malformed_files_are_all_reported_in_one_go() {
    let repo = with_malformed();
    let said = refused(plan(repo.path(), &["--base", "main"]));
    assert!(said.starts_with("error: 14 files cannot be read\n"), "{said}");
    for (path, _, place) in MALFORMED {
        assert!(said.contains(&format!("\n  compiled/{path}{place}")), "{path}{place}\n{said}");
    }
    assert!(said.contains("--keep-going"), "{said}");
    assert_eq!(refused(run(repo.path(), &["diff", "main"])), said);
    let checked = run(repo.path(), &["validate", "--format", "json"]);
    assert_eq!(checked.code, 1);
    let found: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(found["findings"].as_array().unwrap().len(), MALFORMED.len());
}

#[test]
fn what_is_wrong_with_a_file_is_said_without_its_values() {
    let repo = with_malformed();
    let secrets: [(&str, &str); 8] = [
        ("name", r#"{"metaData": {"name": ["hunter2"]}}"#),
        ("field", r#"{"metaData": {"name": "x", "name": "hunter2"}}"#),
        ("start", r#"{"metaData": {"name": "y"}, "sources": ["hunter2"]}"#),
        ("enum", r#"{"metaData": {"name": "z"}, "accuracy": "hunter2"}"#),
        ("float", r#"{"metaData": {"name": "z"}, "accuracy": 2.5}"#),
        ("open", r#"{"metaData": {"name": "hunter2"#),
        ("escape", r#"{"metaData": {"name": "hunter2\q"}}"#),
        ("bare", r#"{"metaData": {"name": hunter2}}"#),
    ];
    for (name, content) in secrets {
        repo.write(&format!("compiled/group_bys/secret/{name}"), content);
    }
    repo.commit("secrets");
    let commands = [&["plan"][..], &["validate"], &["diff", "main"], &["graph"]];
    for command in commands {
        for format in ["text", "json", "markdown"] {
            for more in [&[][..], &["--keep-going"]] {
                let answer = run(repo.path(), &[command, &["--format", format], more].concat());
                let said = format!("{}{}", answer.stdout, answer.stderr);
                assert!(!said.contains("hunter2") && !said.contains("2.5"), "{command:?}: {said}");
            }
        }
    }
}

/// Words of a parser's implementation help nobody.
#[test]
fn what_is_wrong_with_a_file_is_said_in_words_of_json() {
    let repo = with_malformed();
    repo.write("compiled/group_bys/t/accuracy", r#"{"metaData": {"name": "z"}, "accuracy": "x"}"#);
    repo.commit("more");
    let said = refused(plan(repo.path(), &["--base", "main"]));
    for jargon in ["i64", "a map", "a sequence", "struct"] {
        assert!(!said.contains(jargon), "{jargon}: {said}");
    }
}

#[test]
fn files_that_cannot_be_read_can_be_left_out() {
    let repo = with_malformed();
    let want = plan_json(repo.path(), &["--base", "main", "--head", "HEAD~1"]);
    let left = plan_json(repo.path(), &["--base", "main", "--keep-going"]);
    assert_eq!((&left["complete"], &want["complete"]), (&json!(false), &json!(true)));
    for same in ["steps", "changes", "orphans", "warnings"] {
        assert_eq!(left[same], want[same], "{same}");
    }
    assert_ne!(left["digest"], want["digest"]);
    let skipped = left["skipped_files"].as_array().unwrap();
    assert_eq!(skipped.len(), MALFORMED.len());
    assert!(skipped.iter().all(|it| it["side"] == "head"));
    let text = plan(repo.path(), &["--base", "main", "--keep-going"]).ok();
    assert!(text.ends_with(" INCOMPLETE.\n"), "{text}");
    for (path, ..) in MALFORMED {
        assert!(text.contains(&format!("compiled/{path}")), "{path}");
    }
}

#[test]
fn a_file_that_is_broken_at_one_side_looks_neither_removed_nor_new() {
    let repo = polyphony();
    let join = "compiled/joins/discovery/training.skip_training__0";
    let good = fs::read(repo.path().join(join)).unwrap();
    repo.write(join, "{");
    repo.commit("broken");
    for (base, head, side) in [("main", "HEAD", "head"), ("HEAD", "HEAD~1", "base")] {
        let args = ["--base", base, "--head", head, "--keep-going"];
        let plan_of = plan_json(repo.path(), &args);
        let shown = plan_of["changes"].to_string() + &plan_of["orphans"].to_string();
        assert!(!shown.contains(r#""config":"joins/discovery.training"#), "{side}: {shown}");
        assert_eq!(plan_of["skipped_files"][0]["side"], side);
        assert_eq!(plan_of["complete"], false);
    }
    repo.write(join, good);
    repo.commit("mended");
    let said = refused(plan(repo.path(), &["--base", "HEAD~1"]));
    assert!(said.contains("(at base)"), "{said}");
}

/// Facts skip what they do not need, so some mistakes show up only when a document is compared.
#[test]
fn mistakes_outside_the_facts_are_malformed_files_too() {
    let long = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let cases: [(&str, Vec<u8>); 4] = [
        ("number", br#"{"metaData": {"name": "m.a"}, "x": 1e999}"#.to_vec()),
        ("surrogate", br#"{"metaData": {"name": "m.b"}, "x": "\ud800"}"#.to_vec()),
        ("bytes", b"{\"metaData\": {\"name\": \"m.c\"}, \"x\": \"\xff\"}".to_vec()),
        ("deep", format!(r#"{{"metaData": {{"name": "m.d"}}, "x": {long}}}"#).into_bytes()),
    ];
    let repo = polyphony();
    for (name, content) in &cases {
        repo.write(&format!("compiled/group_bys/m/{name}"), content);
    }
    repo.commit("odd");
    let said = refused(plan(repo.path(), &["--base", "main"]));
    let checked = run(repo.path(), &["validate"]);
    assert_eq!(checked.code, 1);
    let mut lacking = String::new();
    for (name, _) in &cases {
        let path = format!("compiled/group_bys/m/{name}:1:");
        for (who, text) in [("plan", &said), ("validate", &checked.stdout)] {
            if !text.contains(&path) {
                writeln!(lacking, "{who} does not name {path}").unwrap();
            }
        }
    }
    assert_eq!(lacking, "");
    let left = plan_json(repo.path(), &["--base", "main", "--keep-going"]);
    assert_eq!(left["skipped_files"].as_array().unwrap().len(), cases.len());
}

#[test]
fn files_that_are_no_configs_are_reported_when_they_change() {
    let repo = polyphony();
    repo.write("compiled/README.md", "one");
    repo.write("compiled/joins/notes.txt", "one");
    repo.write("compiled/joins/discovery/old.bak", "one");
    repo.commit("files");
    repo.write("compiled/README.md", "two");
    repo.write("compiled/.DS_Store", "\0");
    repo.write("compiled/joins/discovery/.hidden", "");
    repo.write("compiled/docs/deep/page", "x");
    repo.remove("compiled/joins/discovery/old.bak");
    repo.commit("more");
    let plan_of = plan_json(repo.path(), &["--base", "HEAD~1"]);
    let told: Vec<String> = plan_of["other_files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{} {}", it["kind"].as_str().unwrap(), it["path"].as_str().unwrap()))
        .collect();
    let expected = [
        "added compiled/.DS_Store",
        "modified compiled/README.md",
        "added compiled/docs/deep/page",
        "added compiled/joins/discovery/.hidden",
        "removed compiled/joins/discovery/old.bak",
    ];
    assert_eq!(told, expected);
    assert_eq!((plan_of["steps"].clone(), plan_of["complete"].clone()), (json!([]), json!(true)));
    let same = plan_json(repo.path(), &["--base", "HEAD"]);
    assert_eq!(same["other_files"], json!([]));
}

#[test]
fn two_files_of_one_name_are_refused() {
    let repo = polyphony();
    let text = fs::read(repo.path().join(MODEL)).unwrap();
    repo.write("compiled/group_bys/listening/copy", text);
    repo.commit("copy");
    let said = refused(plan(repo.path(), &["--base", "HEAD~1"]));
    let what = format!(
        "compiled/group_bys/listening/copy: the name `listening.plays.listener_plays__1` is also that of {MODEL}"
    );
    assert!(said.contains(&what), "{said}");
    let left = plan_json(repo.path(), &["--base", "HEAD~1", "--keep-going"]);
    assert_eq!((&left["changes"], &left["complete"]), (&json!([]), &json!(false)));
}
