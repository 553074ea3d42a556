//! The command line: help, exit codes, outputs, and what the answers have in common.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use crate::repositories::digest;
use crate::repositories::plan;
use crate::repositories::plan_json;
use crate::repositories::polyphony;
use crate::repositories::refused;
use crate::repositories::rewrite;
use crate::support::Repo;
use crate::support::Run;
use crate::support::command;
use crate::support::project;
use crate::support::run;

const COMMANDS: [&str; 8] =
    ["plan", "diff", "show", "graph", "validate", "demo", "schema", "completions"];

#[test]
fn every_subcommand_shows_how_it_is_used() {
    let here = Path::new("/");
    let all = run(here, &["--help"]).ok();
    assert!(all.contains("EXIT CODES"));
    let mut without: Vec<&str> = Vec::new();
    for name in COMMANDS {
        assert!(all.contains(&format!("\n  {name} ")), "{name}");
        let help = run(here, &[name, "--help"]).ok();
        if !help.contains("EXAMPLES\n") || !help.contains(&format!("\n  chronon-plan {name}")) {
            without.push(name);
        }
        assert!(help.lines().all(|line| line.chars().count() <= 100), "{name}");
        run(here, &[name, "-h"]).ok();
    }
    assert_eq!(without, [""; 0], "no EXAMPLES");
}

#[test]
fn what_clap_does_not_know_ends_with_1() {
    let here = Path::new("/");
    let wrong = [&["bogus"][..], &["plan", "--bogus"], &["plan", "main"], &[], &["schema", "x"]];
    let more = [&["plan", "--as-of", "2026-02-30"][..], &["diff"], &["plan", "--format", "yaml"]];
    for args in wrong.into_iter().chain(more) {
        let answer = run(here, args);
        assert_eq!((answer.code, answer.stdout.as_str()), (1, ""), "{args:?}");
        assert!(answer.stderr.contains("Usage") || answer.stderr.contains("--help"), "{args:?}");
    }
    assert!(run(here, &["--version"]).ok().starts_with("chronon-plan "));
}

#[test]
fn a_detailed_exit_code_tells_changes_from_none() {
    let repo = polyphony();
    let code = |args: &[&str]| plan(repo.path(), args).code;
    assert_eq!(code(&["--detailed-exitcode"]), 2);
    assert_eq!(code(&[]), 0);
    assert_eq!(code(&["--detailed-exitcode", "--base", "HEAD"]), 0);
    assert_eq!(code(&["--detailed-exitcode", "--base", "nosuch"]), 1);
    let file = repo.path().join("plan.json");
    let out = ["--detailed-exitcode", "--out", file.to_str().unwrap()];
    assert_eq!(code(&out), 2);
    assert!(file.is_file());
    let force = "staging_queries/catalog.plays.clean_plays__0#backfill";
    assert_eq!(code(&["--detailed-exitcode", "--base", "HEAD", "--force", force]), 2);
}

#[test]
fn out_takes_the_whole_answer() {
    let repo = polyphony();
    let file = repo.path().join("answer");
    let out = file.to_str().unwrap();
    let commands =
        [&["plan", "--as-of", "2026-11-22"][..], &["diff", "main"], &["validate"], &["graph"]];
    for args in commands {
        let want = run(repo.path(), args).ok();
        fs::write(&file, "an older answer").unwrap();
        let answer = run(repo.path(), &[args, &["--out", out]].concat());
        assert_eq!((answer.code, answer.stdout.as_str(), answer.stderr.as_str()), (0, "", ""));
        assert_eq!(fs::read_to_string(&file).unwrap(), want);
    }
    let others: Vec<_> =
        fs::read_dir(repo.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(others.iter().all(|it| !it.to_string_lossy().contains("draft")), "{others:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    let repo = polyphony();
    let folder = repo.path().to_str().unwrap();
    for out in ["/nowhere/at/all", "/proc/nothing", folder] {
        let said = refused(plan(repo.path(), &["--out", out]));
        assert!(said.starts_with(&format!("error: {out}: ")), "{said}");
    }
    assert_eq!(fs::read_dir(repo.path()).unwrap().count(), 2, "no draft is left");
}

/// Devices, pipes and links must not be replaced by a file of their name: root could do that even
/// to `/dev/null`.
#[test]
fn what_is_no_ordinary_file_is_written_through() {
    let repo = polyphony();
    let (link, target) = (repo.path().join("link"), repo.path().join("target"));
    fs::write(&target, "an older answer").unwrap();
    std::os::unix::fs::symlink("target", &link).unwrap();
    let want = plan(repo.path(), &[]).ok();
    plan(repo.path(), &["--out", link.to_str().unwrap()]).ok();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&target).unwrap(), want);
}

#[test]
fn a_saved_plan_is_shown_as_it_was_made() {
    let repo = polyphony();
    let saved = plan(repo.path(), &["--format", "json"]).ok();
    repo.write("plan.json", &saved);
    for format in ["text", "markdown", "json"] {
        let made = plan(repo.path(), &["--format", format]).ok();
        let show = ["show", "plan.json", "--format", format];
        assert_eq!(run(repo.path(), &show).ok(), made, "{format}");
        let out = repo.path().join("shown");
        let show = [&show[..], &["--out", out.to_str().unwrap()]].concat();
        assert_eq!(run(repo.path(), &show).ok(), "");
        assert_eq!(fs::read_to_string(out).unwrap(), made);
    }
    let mut piped = command(repo.path());
    piped.args(["show", "-"]).stdin(fs::File::open(repo.path().join("plan.json")).unwrap());
    let piped = String::from_utf8(piped.output().unwrap().stdout).unwrap();
    assert_eq!(piped, plan(repo.path(), &[]).ok());
}

#[test]
fn what_is_no_saved_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let wrong = [&b"garbage"[..], b"", b"[]", b"{}", b"{\"schema_version\": 1}", b"\xff", b"null"];
    for text in wrong {
        fs::write(&file, text).unwrap();
        let said = refused(run(folder.path(), &["show", "file"]));
        assert!(said.contains("plan --format json --out"), "{said}");
        assert!(!said.contains("struct"), "{said}");
        refused(run(folder.path(), &["graph", "--plan", "file"]));
    }
    refused(run(folder.path(), &["show", "missing"]));
    refused(run(folder.path(), &["show", "."]));
    fs::write(&file, "{\"schema_version\": 2, \"more\": []}").unwrap();
    let said = refused(run(folder.path(), &["show", "file"]));
    assert!(said.contains("newer chronon-plan"), "{said}");
}

#[test]
fn an_older_program_reads_a_plan_that_has_more_keys() {
    let repo = polyphony();
    let mut saved = plan_json(repo.path(), &[]);
    saved["later"] = json!({"a": 1});
    saved["steps"][0]["later"] = json!(true);
    repo.write("plan.json", saved.to_string());
    assert_eq!(run(repo.path(), &["show", "plan.json"]).ok(), plan(repo.path(), &[]).ok());
}

/// The nodes and edges of a graph in JSON.
fn graph(repo: &Repo, args: &[&str]) -> (Vec<String>, usize) {
    let text = run(repo.path(), &[&["graph", "--format", "json"], args].concat()).ok();
    let graph: Value = serde_json::from_str(&text).unwrap();
    let nodes: Vec<String> = graph["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap().to_owned())
        .collect();
    let known: BTreeSet<&String> = nodes.iter().collect();
    let edges = graph["edges"].as_array().unwrap();
    for end in edges.iter().flat_map(|it| [&it["from"], &it["to"]]) {
        assert!(known.contains(&end.as_str().unwrap().to_owned()), "{end} is no node");
    }
    (nodes, edges.len())
}

#[test]
fn a_graph_has_the_same_nodes_and_edges_in_every_form() {
    let repo = polyphony();
    repo.write("plan.json", plan(repo.path(), &["--format", "json"]).ok());
    for args in [&[][..], &["--of", "joins/*"], &["--head", "main"], &["--plan", "plan.json"]] {
        let (nodes, edges) = graph(&repo, args);
        assert!(!nodes.is_empty() && edges > 0);
        let form = |form| run(repo.path(), &[&["graph", "--format", form], args].concat()).ok();
        let (mermaid, dot) = (form("mermaid"), form("dot"));
        assert_eq!(run(repo.path(), &[&["graph"], args].concat()).ok(), mermaid);
        assert!(mermaid.starts_with("graph LR\n"));
        assert!(dot.starts_with("digraph {\n") && dot.ends_with("}\n"));
        assert_eq!(mermaid.matches("[\"").count(), nodes.len());
        assert_eq!(mermaid.matches("->").count(), edges);
        assert_eq!(dot.matches(" -> ").count(), edges);
        for node in nodes {
            assert!(dot.contains(&format!("\n  \"{node}\";\n")), "{node}");
        }
    }
}

#[test]
fn a_lineage_can_be_cut_out_by_a_glob() {
    let repo = polyphony();
    let (all, _) = graph(&repo, &[]);
    assert_eq!(all.len(), 14);
    let (some, edges) = graph(&repo, &["--of", "staging_queries/catalog.plays.track_daily__0"]);
    let expected = [
        "group_bys/catalog.tracks.track_popularity__0",
        "joins/discovery.training.skip_training__0",
        "staging_queries/catalog.plays.clean_plays__0",
        "staging_queries/catalog.plays.track_daily__0",
    ];
    assert_eq!(some, expected);
    assert!(edges >= 3);
    let said = refused(run(repo.path(), &["graph", "--of", "joins/nosuch*"]));
    assert!(said.contains("`joins/nosuch*`"), "{said}");
}

/// What `validate` finds: severity, code and path.
fn findings(repo: &Repo) -> (i32, Vec<(String, String, String)>) {
    let answer = run(repo.path(), &["validate", "--format", "json"]);
    let found: Value = serde_json::from_str(&answer.stdout).unwrap();
    let text = |it: &Value, key: &str| it[key].as_str().unwrap().to_owned();
    let list = found["findings"].as_array().unwrap().iter();
    let list = list.map(|it| (text(it, "severity"), text(it, "code"), text(it, "path")));
    let list: Vec<_> = list.collect();
    let shown = run(repo.path(), &["validate"]);
    assert_eq!(shown.code, answer.code);
    for (severity, code, path) in &list {
        assert!(shown.stdout.contains(&format!("{severity} {code}  {path}")), "{}", shown.stdout);
    }
    (answer.code, list)
}

#[test]
fn a_sound_commit_has_no_findings() {
    let repo = polyphony();
    assert_eq!(findings(&repo), (0, Vec::new()));
    let said = run(repo.path(), &["validate"]).ok();
    assert_eq!(said, "18 configs checked: 0 errors, 0 warnings.\n");
    let oss = Repo::new();
    oss.copy(&project().join("fixtures/oss/base"), ".");
    oss.commit("oss");
    assert_eq!(findings(&oss), (0, Vec::new()));
}

/// A staging query that reads one table.
fn query(name: &str, reads: &str) -> String {
    json!({
        "metaData": {"name": format!("t.{name}__0"), "outputNamespace": "ns", "team": "t"},
        "query": format!("SELECT * FROM {reads}"),
        "tableDependencies": [{"tableInfo": {"table": reads}}],
    })
    .to_string()
}

#[test]
fn every_kind_of_finding_is_found() {
    let error = |code: &str, path: &str| ("error".to_owned(), code.to_owned(), path.to_owned());
    let finds = |change: &dyn Fn(&Repo), expected: &[(String, String, String)], code: i32| {
        let repo = polyphony();
        change(&repo);
        repo.commit("broken");
        assert_eq!(findings(&repo), (code, expected.to_vec()));
    };
    let listener = "compiled/group_bys/listening/plays.listener_plays__1";
    let read = |repo: &Repo, path: &str| -> Value {
        serde_json::from_slice(&fs::read(repo.path().join(path)).unwrap()).unwrap()
    };

    let path = "compiled/joins/t/half";
    finds(&|repo| repo.write(path, "{"), &[error("malformed-file", path)], 1);

    let path = "compiled/group_bys/listening/twin";
    let twin = |repo: &Repo| repo.write(path, fs::read(repo.path().join(listener)).unwrap());
    finds(&twin, &[error("malformed-file", path)], 1);

    let stale = |repo: &Repo| {
        let mut group_by = read(repo, listener);
        group_by["keyColumns"] = json!(["another_key"]);
        repo.write(listener, group_by.to_string());
    };
    let joins = ["radio.radio_rank__3", "training.skip_training__0"];
    let expected =
        joins.map(|it| error("embedded-copy-differs", &format!("compiled/joins/discovery/{it}")));
    finds(&stale, &expected, 1);

    let path = "compiled/group_bys/listening/plays_listener.plays__1";
    let collides = |repo: &Repo| {
        let mut group_by = read(repo, listener);
        group_by["metaData"]["name"] = "listening.plays_listener.plays__1".into();
        repo.write(path, group_by.to_string());
    };
    finds(&collides, &[error("job-label-collision", path), error("name-collision", path)], 1);

    let cycle = |repo: &Repo| {
        repo.write("compiled/staging_queries/t/a__0", query("a", "ns.t_b__0"));
        repo.write("compiled/staging_queries/t/b__0", query("b", "ns.t_a__0"));
    };
    finds(&cycle, &[error("cycle", "compiled/staging_queries/t/a__0")], 1);

    let unknown = |repo: &Repo| {
        let mut group_by = read(repo, "compiled/group_bys/catalog/tracks.artist_market__0");
        group_by["brandNew"] = json!(1);
        repo.write("compiled/group_bys/catalog/tracks.artist_market__0", group_by.to_string());
    };
    let path = "compiled/group_bys/catalog/tracks.artist_market__0".to_owned();
    finds(&unknown, &[("warning".to_owned(), "unknown-field".to_owned(), path)], 0);
}

#[test]
fn a_cycle_cannot_be_planned() {
    let repo = polyphony();
    repo.write("compiled/staging_queries/t/a__0", query("a", "ns.t_b__0"));
    repo.write("compiled/staging_queries/t/b__0", query("b", "ns.t_a__0"));
    repo.commit("cycle");
    let said = refused(plan(repo.path(), &["--base", "HEAD~1"]));
    assert!(said.contains("staging_queries/t.a__0, staging_queries/t.b__0"), "{said}");
}

#[test]
fn validate_offers_only_the_forms_it_has() {
    let repo = polyphony();
    let help = run(repo.path(), &["validate", "--help"]).ok();
    assert!(!help.to_lowercase().contains("markdown"), "it offers what it refuses");
}

#[test]
fn there_are_completions_for_shells() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(Path::new("/"), &["completions", shell]).ok();
        assert!(script.contains("chronon-plan") && script.contains("detailed-exitcode"), "{shell}");
    }
}

/// Every change of the fixtures, as a repository whose `main` holds the base.
fn fixtures() -> Vec<(String, Repo)> {
    let roots = ["compiled", "compiled_canary", "production"];
    let mut all = Vec::new();
    for fixture in ["zipline", "oss"] {
        let fixture = project().join("fixtures").join(fixture);
        let changes = fs::read_dir(fixture.join("changes")).unwrap();
        let mut changes: Vec<PathBuf> = changes.map(|it| it.unwrap().path()).collect();
        changes.sort();
        for change in changes {
            let repo = Repo::new();
            roots.iter().for_each(|root| repo.copy(&fixture.join("base").join(root), root));
            repo.commit("base");
            repo.git(&["checkout", "-q", "-b", "change"]);
            roots.iter().for_each(|root| repo.copy(&change.join(root), root));
            let removed = fs::read_to_string(change.join("removed.json")).unwrap();
            let removed: Vec<String> = serde_json::from_str(&removed).unwrap();
            removed.iter().for_each(|path| repo.remove(path));
            repo.commit("change");
            all.push((change.file_name().unwrap().to_string_lossy().into_owned(), repo));
        }
    }
    all
}

#[test]
fn published_schemas_hold_of_what_is_written() {
    let names = ["plan", "diff", "validate", "graph"];
    let validators = names.map(|name| {
        let schema = run(Path::new("/"), &["schema", name]).ok();
        let schema: Value = serde_json::from_str(&schema).unwrap();
        jsonschema::meta::validate(&schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    });
    let fixtures = fixtures();
    assert!(fixtures.len() >= 35);
    for (name, repo) in fixtures {
        let env = if name == "canary-conf-changed" { "canary" } else { "prod" };
        let commands =
            [&["plan", "--base", "main"][..], &["diff", "main", "HEAD"], &["validate"], &["graph"]];
        for (args, validator) in commands.into_iter().zip(&validators) {
            let answer = run(repo.path(), &[args, &["--format", "json", "--env", env]].concat());
            assert!(answer.stderr.is_empty(), "{name}: {}", answer.stderr);
            let document: Value = serde_json::from_str(&answer.stdout).unwrap();
            let wrong: Vec<String> =
                validator.iter_errors(&document).map(|it| it.to_string()).collect();
            assert_eq!(wrong, [""; 0], "{name}: {args:?}");
            let strict = json!({"schema_version": "1"});
            assert!(!validator.is_valid(&strict), "the schema of {args:?} takes anything");
        }
        repo.write("plan.json", plan(repo.path(), &["--base", "main", "--format", "json"]).stdout);
    }
}

#[test]
fn a_pipe_gets_no_escape_codes() {
    let repo = polyphony();
    let commands = [&["plan"][..], &["diff", "main"], &["validate"], &["graph"], &["--help"]];
    for args in commands.into_iter().chain([&["plan", "--format", "markdown"][..], &["bogus"]]) {
        let Run { stdout, stderr, .. } = run(repo.path(), args);
        assert!(!stdout.contains('\x1b') && !stderr.contains('\x1b'), "{args:?}");
    }
}

/// Runs the binary with a terminal as its standard output, where this machine can make one.
fn on_a_terminal(repo: &Repo, line: &str, env: &[(&str, &str)]) -> Option<String> {
    let mut script = std::process::Command::new("script");
    let line = format!("{} {line}", env!("CARGO_BIN_EXE_chronon-plan"));
    script.args(["-qec", &line, "/dev/null"]).current_dir(repo.path());
    script.env_remove("NO_COLOR").env("TERM", "xterm").envs(env.iter().copied());
    let output = script.stdin(std::process::Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_terminal_gets_colour_unless_it_asks_for_none() {
    let repo = polyphony();
    let line = "plan --base main --as-of 2026-11-22";
    let Some(coloured) = on_a_terminal(&repo, line, &[]) else { return };
    assert!(coloured.contains("\x1b[32m"), "{coloured:?}");
    for env in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&repo, line, &[env]).unwrap();
        assert!(!plain.contains('\x1b'), "{env:?}");
    }
    let markdown = on_a_terminal(&repo, &format!("{line} --format markdown"), &[]).unwrap();
    assert!(!markdown.contains('\x1b'));
}

/// The ids of a plan's steps.
fn ids(plan: &Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

#[test]
fn a_target_keeps_its_steps_and_what_they_wait_for() {
    let repo = polyphony();
    let all = plan_json(repo.path(), &[]);
    let radio = plan_json(repo.path(), &["--target", "joins/discovery.radio.*"]);
    assert_eq!(
        ids(&radio),
        [
            "group_bys/listening.plays.listener_plays__1#upload",
            "group_bys/listening.plays.listener_plays__1#upload-to-kv",
            "group_bys/listening.plays.listener_plays__1#streaming",
            "joins/discovery.radio.radio_rank__3#backfill",
            "joins/discovery.radio.radio_rank__3#metadata-upload",
        ]
    );
    assert_eq!((&radio["complete"], &all["complete"]), (&json!(false), &json!(true)));
    assert_ne!(radio["digest"], all["digest"]);
    for whole in [&["--target", "*"][..], &["--target", "joins/*", "--target", "group_bys/*"]] {
        assert_eq!(plan_json(repo.path(), whole), all);
    }
    let said = refused(plan(repo.path(), &["--target", "*", "--target", "joins/nosuch"]));
    assert!(said.contains("`joins/nosuch`"), "{said}");
}

/// A config whose jobs were left out by a target still needs them.
#[test]
fn a_target_does_not_make_other_configs_look_done() {
    let repo = polyphony();
    for target in ["joins/discovery.radio.*", "joins/listening.*"] {
        for format in ["text", "markdown"] {
            let shown = plan(repo.path(), &["--target", target, "--format", format]).ok();
            assert!(!shown.contains("it keeps no table"), "{target}: {shown}");
            assert!(!shown.contains("none needs a job"), "{target}: {shown}");
        }
    }
}

#[test]
fn a_step_can_be_forced() {
    let repo = polyphony();
    let step = "staging_queries/catalog.plays.clean_plays__0#backfill";
    let forced = plan_json(repo.path(), &["--base", "HEAD", "--force", step]);
    assert_eq!(ids(&forced), [step]);
    assert_eq!(forced["steps"][0]["cause"], "forced");
    let asked = "joins/discovery.training.skip_training__0#backfill";
    let both = plan_json(repo.path(), &["--force", step, "--force", asked, "--force", asked]);
    assert_eq!(ids(&both).len(), 8);
    for unknown in ["x", "joins/nosuch#backfill", "joins/discovery.training.skip_training__0"] {
        let said = refused(plan(repo.path(), &["--force", unknown]));
        assert!(said.contains(&format!("`{unknown}` is no step")), "{said}");
    }
}

#[test]
fn an_unknown_step_lists_those_of_its_config() {
    let repo = polyphony();
    let config = "group_bys/listening.plays.listener_plays__1";
    let said = refused(plan(repo.path(), &["--force", &format!("{config}#stream")]));
    for mode in ["upload", "upload-to-kv", "streaming", "metadata-upload"] {
        assert!(said.contains(&format!("{config}#{mode}")), "{mode}: {said}");
    }
}

#[test]
fn the_digest_is_that_of_the_change_alone() {
    let repo = polyphony();
    let want = digest(repo.path(), &["--base", "main"]);
    let sha = repo.git(&["rev-parse", "main"]).trim().to_owned();
    for args in [
        &["--as-of", "2027-01-01", "--base", "main"][..],
        &["--base", &sha],
        &["--base", "HEAD~1", "--head", "change"],
        &["--no-cache"],
        &["--root", "compiled/"],
    ] {
        let args = [&["plan", "--format", "json"], args].concat();
        let plan: Value = serde_json::from_str(&run(repo.path(), &args).ok()).unwrap();
        assert_eq!(plan["digest"], want.as_str(), "{args:?}");
    }
    let elsewhere = tempfile::tempdir().unwrap();
    let to = elsewhere.path().join("other name");
    repo.git(&["clone", "-q", "-b", "change", ".", to.to_str().unwrap()]);
    assert_eq!(digest(&to, &["--base", "origin/main"]), want);
    assert_ne!(
        digest(repo.path(), &["--base", "main", "--env", "other", "--root", "compiled"]),
        want
    );
    assert_ne!(digest(repo.path(), &["--base", "HEAD"]), want);
}

#[test]
fn another_secret_is_another_digest_and_no_other_text() {
    let change = project().join("fixtures/zipline/changes/team-env-changed/compiled");
    let repo = polyphony();
    repo.git(&["checkout", "-q", "-b", "secret", "main"]);
    repo.copy(&change, "compiled");
    repo.commit("one");
    rewrite(&repo, |bytes| {
        String::from_utf8(bytes).unwrap().replace("hunter3-listens", "hunter4-listens").into()
    });
    repo.commit("two");
    let of = |head| plan_json(repo.path(), &["--base", "main", "--head", head]);
    let (mut one, mut two) = (of("HEAD~1"), of("HEAD"));
    assert_ne!(one["digest"], two["digest"]);
    for plan in [&mut one, &mut two] {
        plan["digest"].take();
        plan["head"].take();
        // The name of a file's content is another, and says nothing of it.
        for step in plan["steps"].as_array_mut().unwrap() {
            step["blob"].take();
        }
        assert!(!plan.to_string().contains("hunter"));
    }
    assert_eq!(one, two);
}

/// A value with the keys of every object in another order.
fn shuffled(value: &Value, indent: usize) -> String {
    let space = "\n".repeat(indent % 2) + &" \t".repeat(indent % 5);
    match value {
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{space}{}:{space}{}", json!(key), shuffled(value, indent + 1))
            };
            let turned: Vec<String> = map.iter().rev().map(entry).collect();
            format!("{{{}{space}}}", turned.join(","))
        }
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|it| shuffled(it, indent + 1)).collect();
            format!("[{}{space}]", items.join(&format!("{space},")))
        }
        other => other.to_string(),
    }
}

#[test]
fn the_order_of_keys_and_white_space_are_no_change() {
    let repo = polyphony();
    let want = plan(repo.path(), &["--base", "main"]).ok();
    rewrite(&repo, |bytes| shuffled(&serde_json::from_slice(&bytes).unwrap(), 1).into());
    let head = repo.commit("shuffled");
    let empty = plan_json(repo.path(), &["--base", "HEAD~1"]);
    for list in ["changes", "steps", "orphans", "warnings", "other_files"] {
        assert_eq!(empty[list], json!([]), "{list}");
    }
    assert_eq!(empty["summary"]["unchanged"], 14);
    let same = plan(repo.path(), &["--base", "main"]).ok();
    let commit = |sha: &str| format!("HEAD ({})", &sha[..7]);
    let before = repo.git(&["rev-parse", "HEAD~1"]);
    assert_eq!(same, want.replace(&commit(&before), &commit(&head)));
}
