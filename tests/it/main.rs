//! One binary for all integration tests; a test of its own sees that no file is forgotten.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod action;
mod airflow_runner;
mod applying;
mod approvals;
mod ci;
mod cli;
mod columns;
mod comments;
mod demo;
mod docs;
mod documents;
mod fence;
mod forms;
mod github;
mod guards;
mod holding;
mod hostile;
mod init;
mod kills;
mod landings;
mod laws;
mod layering;
mod ledger;
mod ledgers;
mod lock;
mod names;
mod objects;
mod owners;
mod pending;
mod policies;
mod processes;
mod publish;
mod publishing;
mod repositories;
mod rules;
mod runners;
mod saved;
mod scenarios;
mod schedules;
mod service;
mod stores;
mod story;
mod support;
mod verdicts;
mod waits;

#[test]
fn every_file_is_a_module() {
    let folder = support::project().join("tests/it");
    let main = std::fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let module = name.trim_end_matches(".rs");
        let declared = main.contains(&format!("\nmod {module};"));
        assert!(module == "main" || declared, "{name} is not declared in main.rs");
    }
}
