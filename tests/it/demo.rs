//! The demo: it works with nothing else installed, shows the whole story, and what it suggests to
//! try works as it is typed.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::support::Run;
use crate::support::command;
use crate::support::run;

/// The demo with no program along `PATH` but a shell's own.
fn demo(folder: &Path) -> Run {
    let mut command = command(Path::new("/"));
    command.args(["demo", "--dir"]).arg(folder).env("PATH", "/bin").env_remove("HOME");
    finished(&mut command)
}

fn finished(command: &mut Command) -> Run {
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    Run { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

fn place() -> (TempDir, std::path::PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("a new folder");
    (place, folder)
}

#[test]
fn it_adopts_plans_and_applies_twice() {
    let (_place, folder) = place();
    let told = demo(&folder);
    assert_eq!(told.code, 0, "{}", told.stderr);
    let typed: Vec<&str> = told.stderr.lines().filter_map(|it| it.strip_prefix("$ ")).collect();
    let day = "--as-of 2026-11-22";
    assert_eq!(
        typed,
        [
            "chronon-plan state adopt --commit main".to_owned(),
            format!("chronon-plan plan --base main {day}"),
            format!("chronon-plan apply --yes {day}"),
            "chronon-plan state list 'joins/*' 'staging_queries/*'".to_owned(),
            format!("chronon-plan plan --base HEAD~1 {day}"),
            format!("chronon-plan apply --yes {day}"),
            format!("chronon-plan airflow render --out '{}'", folder.join("rendered").display()),
        ]
    );
    for said in [
        "Applied 12 steps in ",
        "Applied 1 step in ",
        "\n  ~ chronon_join_discovery  daily, 11 tasks (+2 ~1)\n",
        "\n8 resources; serial 2, ",
    ] {
        assert!(told.stdout.contains(said), "{said}: {}", told.stdout);
    }
    assert_eq!(told.stdout.matches("\nPlanned again: no changes.\n").count(), 2);
    // What is planned is what is applied.
    let digests = |mark: &str| -> Vec<String> {
        let lines = told.stdout.lines();
        let after = lines.filter_map(|line| line.split_once(mark).map(|it| it.1.to_owned()));
        after.filter(|it| it.starts_with("sha256:")).collect()
    };
    assert_eq!(digests("digest "), digests(" Plan: "));
    // The archive-first join was archived, by the same stand-in, before it was computed.
    let logs = crate::support::files(&folder.join(".chronon-plan/logs"));
    let log = logs.iter().find(|it| it.to_string_lossy().contains("skip_training")).unwrap();
    let log = std::fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines.len(), 2, "{log}");
    let stand_in = "stand-in: no job was run: ";
    assert!(lines[0].starts_with(&format!("{stand_in}archive discovery_features.")), "{log}");
    assert!(lines[1].starts_with(&format!("{stand_in}backfill discovery.training.")), "{log}");
}

#[test]
fn two_demos_differ_in_nothing_but_times_and_names_of_runs() {
    let tellings = [place(), place()].map(|(_place, folder)| {
        let told = demo(&folder);
        let plain = |line: &str| match line.split_once("  ") {
            // A row of the ledger ends with a time and a run.
            Some((resource, _)) if resource.contains('#') => resource.to_owned(),
            _ => line.split(" in ").next().unwrap_or_default().to_owned(),
        };
        told.stdout.lines().map(plain).collect::<Vec<_>>()
    });
    assert!(tellings[0].len() > 50);
    assert_eq!(tellings[0], tellings[1]);
}

#[test]
fn what_it_suggests_works_as_it_is_typed() {
    let (_place, folder) = place();
    let told = demo(&folder);
    let next = told.stderr.split_once("\nTry next:\n").unwrap().1;
    let suggested: Vec<&str> = next.lines().filter_map(|it| it.strip_prefix("  ")).collect();
    assert!(suggested[0].starts_with("cd '"), "{suggested:?}");
    let mut codes = BTreeMap::new();
    for line in &suggested[1..] {
        // Nobody is there to be asked.
        let line = line.replace(" apply ", " apply --yes ");
        let mut shell = Command::new("/bin/sh");
        shell.env_clear().args(["-c", &format!("{}\n{line}", suggested[0])]);
        let run = finished(&mut shell);
        let known = run.stderr.contains("next: ") || run.stdout.len() > 20;
        assert!(known, "{line}: {run:?}");
        codes.insert(line.split("chronon-plan ").last().unwrap().to_owned(), run.code);
        if line.starts_with("STAND_IN_FAILS") {
            assert_eq!(run.code, 5, "{line}: {run:?}");
            assert!(run.stderr.contains("stand-in: upload was made to fail"), "{run:?}");
        }
    }
    let code = |words: &str| codes.iter().find(|it| it.0.starts_with(words)).map(|it| *it.1);
    for done in ["state show", "diff", "graph", "airflow diff", "plan --base main"] {
        assert_eq!(code(done), Some(0), "{done}: {codes:?}");
    }
    assert_eq!(code("apply --yes --head main "), Some(7), "{codes:?}");
    assert_eq!(code("apply --yes --head main --allow-older"), Some(0), "{codes:?}");
    let again = run(&folder, &["plan", "--head", "main", "--base", "main"]).ok();
    assert!(again.contains("Plan: nothing to do"), "{again}");
}

#[test]
fn a_folder_that_is_in_use_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("mine"), "text").unwrap();
    let told = demo(place.path());
    assert_eq!((told.code, told.stdout.as_str()), (1, ""));
    assert!(told.stderr.contains("is not empty\nnext: "), "{}", told.stderr);
    assert_eq!(crate::support::files(place.path()).len(), 1);
}
