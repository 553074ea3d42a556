//! Who may name whom, and what may touch the world, held by a scan of the sources.
//!
//! Two tables: `LAYERS` orders the modules, `EDGES` says which files may use which outside things.
//! A fence, not a wall: a macro could climb it, a review catches that. For a scan to be enough,
//! imports stand one to a line.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::support::project;

/// Every top-level module with its rank: it may name those of lower ranks, and itself.
#[rustfmt::skip] // one module, one line
const LAYERS: [(&str, usize); 11] = [
    ("model", 0),
    ("source", 1),
    ("diff", 1),
    ("impact", 2),
    ("plan", 3),
    ("schedule", 4),
    ("render", 5),
    ("state", 5),
    ("publish", 5),
    ("apply", 6),
    ("cli", 7),
];

/// Outside things, and the files or folders of `src` that may name them; an empty list forbids.
/// Every dependency has a row here or in `EVERYWHERE`, and every place in a row uses it.
#[rustfmt::skip] // one thing, one line
const EDGES: &[(&str, &[&str])] = &[
    // Git is read in one place.
    ("git2", &["source/"]),
    // Disk, environment, processes, streams and clock belong to the outermost layer.
    ("std::fs", &["source/cache.rs", "source/checkout.rs", "source/packs.rs", "state/local.rs", "apply/machine.rs", "apply/process.rs", "apply/surroundings.rs", "cli/"]),
    ("std::env", &["cli/"]),
    ("std::process", &["source/cache.rs", "apply/process.rs", "cli/", "main.rs"]),
    ("std::io", &["source/cache.rs", "source/checkout.rs", "source/packs.rs", "schedule/pack.rs", "state/local.rs", "publish/record.rs", "apply/airflow/wire.rs", "apply/process.rs", "cli/"]),
    ("std::io::stdin", &["cli/commands/"]),
    ("std::io::stdout", &["cli/output.rs"]),
    ("std::io::stderr", &["cli/output.rs", "cli/commands/apply.rs"]),
    ("std::net", &[]),
    ("std::os", &["source/checkout.rs", "apply/machine.rs", "apply/process.rs"]),
    // Spans of time are values; clocks are not.
    ("std::time", &["state/", "publish/", "apply/", "cli/"]),
    ("std::time::Instant", &["apply/airflow/attempt.rs", "apply/command.rs", "apply/dataproc.rs", "apply/process.rs", "apply/zipline.rs", "cli/"]),
    ("std::time::SystemTime", &[]),
    ("std::thread", &["source/", "plan/inputs.rs", "apply/engine.rs", "apply/gate.rs", "apply/process.rs", "cli/"]),
    ("jiff", &["model/day.rs", "publish/answer.rs", "cli/state.rs", "cli/commands/plan.rs"]),
    ("jiff::Timestamp", &["cli/state.rs", "cli/commands/plan.rs"]),
    ("jiff::Zoned", &[]),
    ("terminal_size", &["cli/output.rs"]),
    // Each of these crates serves one purpose.
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("comfy_table", &["render/text.rs"]),
    ("similar", &["render/sql.rs"]),
    ("toml", &["plan/settings/read.rs", "plan/settings/takes.rs"]),
    ("strsim", &["plan/settings/takes.rs", "cli/commands/state.rs"]),
    ("mimalloc", &["main.rs"]),
    ("rustc_hash", &["source/", "model/lineage.rs"]),
    ("wildmatch", &["plan/mod.rs", "cli/commands/history.rs", "plan/policy/falls.rs", "cli/commands/graph.rs", "cli/commands/state.rs", "cli/commands/correct.rs"]),
    ("ignore", &["publish/owners.rs"]),
    ("sha2", &["source/cache.rs", "impact/fingerprint.rs", "plan/digest.rs", "plan/schedules.rs", "schedule/", "apply/machine.rs", "apply/work.rs", "state/ledger.rs"]),
    ("indicatif", &["cli/progress.rs"]),
    ("signal_hook", &["cli/signals.rs"]),
    ("getrandom", &["cli/state.rs"]),
    ("regex", &["apply/scrub.rs"]),
    ("rustix", &["apply/process.rs", "cli/state.rs"]),
    ("postcard", &["source/cache.rs"]),
    ("google_cloud_storage", &["state/gcs.rs"]),
    ("google_cloud_auth", &["state/gcs.rs", "apply/airflow/google.rs"]),
    ("google_cloud_gax", &["state/gcs.rs"]),
    ("tokio", &["state/gcs.rs", "apply/airflow/google.rs"]),
    ("bytes", &["state/gcs.rs"]),
    ("reqwest", &["publish/http.rs", "apply/airflow/wire.rs"]),
    ("flate2", &["schedule/pack.rs", "publish/record.rs"]),
    ("base64", &["publish/record.rs"]),
    ("schemars", &["plan/contract.rs", "plan/schedules.rs", "schedule/spec.rs", "render/graph.rs", "state/", "apply/progress.rs", "cli/commands/", "cli/progress.rs"]),
];

/// Dependencies that any module may use.
const EVERYWHERE: [&str; 3] = ["serde", "serde_json", "thiserror"];

/// No file is longer than this, its tests not counted.
const LONGEST: usize = 500;

/// Tables may be: a table is not read from top to bottom.
const TABLES: [&str; 2] = ["model/schema.rs", "impact/rules.rs"];

/// Files that are longer and should not be, with the length they have grown to: none may grow
/// further, and none is added.
const TOO_LONG: [(&str, usize); 0] = [];

/// A source without its comments and its texts, line by line, so that only code is left.
fn code(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let skipped = match c {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            '"' => quoted(rest),
            'r' if !code.ends_with(is_word) => raw(rest),
            '\'' => character(rest),
            _ => 0,
        };
        // Line ends are kept, so that places stay where they are.
        let kept = if skipped == 0 { c.len_utf8() } else { 0 };
        code.push_str(&rest[..kept]);
        code.extend(rest[kept..skipped.max(kept)].chars().filter(|c| *c == '\n'));
        rest = &rest[skipped.max(kept)..];
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How long a text in quotes is.
fn quoted(source: &str) -> usize {
    let mut escaped = false;
    for (at, c) in source.char_indices().skip(1) {
        match c {
            '"' if !escaped => return at + 1,
            '\\' => escaped = !escaped,
            _ => escaped = false,
        }
    }
    source.len()
}

/// How long a raw text is; 0 where there is none.
fn raw(source: &str) -> usize {
    let hashes = source[1..].bytes().take_while(|b| *b == b'#').count();
    if !source[1 + hashes..].starts_with('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = 2 + hashes;
    source[body..].find(&end).map_or(source.len(), |at| body + at + end.len())
}

/// How long a character in quotes is; 0 for a lifetime.
fn character(source: &str) -> usize {
    let mut chars = source.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), _) => {
            let escaped = &source[3..];
            escaped.find('\'').map_or(0, |at| at + 4)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 0,
    }
}

/// A path that code names: its segments, and the line it stands on.
type Named = (Vec<String>, usize);

/// Every path with `::` in some code.
fn paths(code: &str) -> Vec<Named> {
    let mut paths = Vec::new();
    for (number, line) in code.lines().enumerate() {
        for word in line.split(|c: char| !(is_word(c) || c == ':')) {
            let segments: Vec<String> =
                word.split("::").map(|it| it.trim_matches(':').to_owned()).collect();
            // An import without `::` names a whole crate.
            if segments.len() > 1 || line.trim() == format!("use {word};") {
                paths.push((segments, number + 1));
            }
        }
    }
    paths
}

/// The module that a file is: `plan/mod.rs` is `plan`, `plan/steps.rs` is `plan::steps`.
fn module(file: &str) -> Vec<&str> {
    let bare = file.trim_end_matches(".rs");
    let bare = bare.strip_suffix("/mod").unwrap_or(bare);
    bare.split('/').filter(|part| !["lib", "main"].contains(part)).collect()
}

/// The lines of modules that stand inside a file.
fn inner_modules(code: &str) -> BTreeSet<usize> {
    let mut inner = BTreeSet::new();
    let mut open = false;
    for (number, line) in code.lines().enumerate() {
        let opens = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        open = open || (opens.starts_with("mod ") && line.ends_with('{'));
        if open {
            inner.insert(number + 1);
        }
        open = open && line != "}";
    }
    inner
}

/// The top-level modules that a file names, with lines: by `crate::`, by the library's name, or by
/// climbing with `super::` above its own.
fn names(file: &str, code: &str) -> Vec<(String, usize)> {
    let here = module(file);
    let inner = inner_modules(code);
    let mut named = Vec::new();
    for (path, line) in paths(code) {
        let depth = here.len() + usize::from(inner.contains(&line));
        let ups = path.iter().take_while(|it| *it == "super").count();
        let top = match path[0].as_str() {
            "crate" | "chronon_plan" => path.get(1),
            "super" if ups >= depth => path.get(ups),
            _ => None,
        };
        named.extend(top.map(|top| (top.clone(), line)));
    }
    named
}

fn rank(module: &str) -> Option<usize> {
    LAYERS.iter().find(|row| row.0 == module).map(|row| row.1)
}

/// What a file breaks, each with its line.
fn violations(file: &str, source: &str) -> Vec<String> {
    let code = code(source);
    let mut found = Vec::new();
    let mut say = |line: usize, what: String| found.push(format!("src/{file}:{line}: {what}"));
    let own = module(file).first().map(|it| (*it).to_owned());
    for (top, line) in names(file, &code) {
        let Some(theirs) = rank(&top) else {
            say(line, format!("`{top}` has no row in LAYERS"));
            continue;
        };
        let ours = own.as_deref().map_or(Some(usize::MAX), rank).unwrap_or(0);
        if own.as_ref() != Some(&top) && theirs >= ours {
            say(line, format!("names `{top}`, which is not below it"));
        }
    }
    for (path, line) in paths(&code) {
        for (thing, places) in EDGES {
            let parts: Vec<&str> = thing.split("::").collect();
            if path.iter().map(String::as_str).take(parts.len()).eq(parts)
                && !places.iter().any(|place| is_in(file, place))
            {
                say(line, format!("uses `{thing}`, which is not its business"));
            }
        }
    }
    for (number, line) in code.lines().enumerate() {
        let import = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        if import.starts_with("use ") && import.contains('{') {
            say(number + 1, "imports several things in one line".to_owned());
        }
    }
    if !source.starts_with("//! ") {
        say(1, "does not say what it is for".to_owned());
    }
    found
}

fn is_in(file: &str, place: &str) -> bool {
    file == place || (place.ends_with('/') && file.starts_with(place))
}

/// Every Rust file below a folder of the project, by its path in it.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(top: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(top, &path, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(top).unwrap().to_str().unwrap().replace('\\', "/");
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let top = project().join(folder);
    let mut found = BTreeMap::new();
    walk(&top, &top, &mut found);
    assert!(!found.is_empty());
    found
}

#[test]
fn modules_name_only_what_is_below_them() {
    let sources = sources("src");
    let found: Vec<String> =
        sources.iter().flat_map(|(file, source)| violations(file, source)).collect();
    assert!(found.is_empty(), "{found:#?}");
    for file in sources.keys() {
        let known = module(file).first().is_none_or(|top| rank(top).is_some());
        assert!(known, "src/{file} belongs to no layer: give its module a row in LAYERS");
    }
}

#[test]
fn the_library_declares_its_modules_from_the_lowest_up() {
    let library = fs::read_to_string(project().join("src/lib.rs")).unwrap();
    let declared = library.lines().filter_map(|it| it.strip_prefix("pub mod ")?.strip_suffix(';'));
    let ranks: Vec<Option<usize>> = declared.map(rank).collect();
    assert!(ranks.len() >= 7 && ranks.iter().all(Option::is_some));
    assert!(ranks.is_sorted(), "{ranks:?}");
}

#[test]
fn every_dependency_has_its_place_and_every_place_its_use() {
    let manifest = fs::read_to_string(project().join("Cargo.toml")).unwrap();
    let below = manifest.split("\n[dependencies]\n").nth(1).unwrap();
    let lines = below.lines().take_while(|line| !line.starts_with('['));
    let dependencies = lines.filter_map(|line| line.split_once(" = "));
    let listed: BTreeSet<&str> = EDGES.iter().map(|row| row.0).chain(EVERYWHERE).collect();
    for (name, _) in dependencies.filter(|(name, _)| !name.starts_with('#')) {
        assert!(listed.contains(name.replace('-', "_").as_str()), "`{name}` has no row in EDGES");
    }
    let sources = sources("src");
    for (thing, places) in EDGES {
        let parts: Vec<&str> = thing.split("::").collect();
        for place in *places {
            let used = sources.iter().filter(|(file, _)| is_in(file, place)).any(|(_, source)| {
                let paths = paths(&code(source));
                paths
                    .iter()
                    .any(|it| it.0.iter().map(String::as_str).take(parts.len()).eq(parts.clone()))
            });
            assert!(used, "nothing in src/{place} uses `{thing}`: strike it from EDGES");
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    for (file, source) in sources("src") {
        let body = source.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
        let length = body.lines().count();
        let grown = TOO_LONG.iter().find(|row| row.0 == file).map(|row| row.1);
        assert!(
            length <= grown.unwrap_or(LONGEST) || TABLES.contains(&file.as_str()),
            "src/{file} has {length} lines: split it"
        );
        assert!(
            grown.is_none() || length > LONGEST,
            "src/{file} is short again: strike it from TOO_LONG"
        );
    }
}

#[test]
fn every_test_file_says_what_it_is_for() {
    for (file, source) in sources("tests") {
        assert!(source.starts_with("//! "), "tests/{file}");
    }
}

#[test]
fn planted_violations_are_found() {
    let planted = [
        ("model/x.rs", "use crate::plan::Plan;"),
        ("diff/x.rs", "use crate::source::Pair;"),
        ("source/x.rs", "fn f() { crate::diff::changes(); }"),
        ("render/x.rs", "use crate::state::Ledger;"),
        ("plan/steps.rs", "use super::super::render::text;"),
        ("plan/mod.rs", "use super::render::text;"),
        ("plan/x.rs", "mod tests {\n    use super::super::super::cli::main;\n}"),
        ("model/x.rs", "pub(in super::super::cli) fn f() {}"),
        ("model/x.rs", "use crate::unheard_of::Thing;"),
        ("impact/x.rs", "use git2::Oid;"),
        ("plan/x.rs", "use std::fs;"),
        ("plan/x.rs", "let home = std::env::var(\"HOME\");"),
        ("model/x.rs", "let now = std::time::SystemTime::now();"),
        ("plan/x.rs", "let now = jiff::Timestamp::now();"),
        ("cli/args.rs", "let mut out = std::io::stdout();"),
        ("plan/x.rs", "use comfy_table::Table;"),
        ("state/x.rs", "use clap::Parser;"),
        ("plan/x.rs", "use crate::model::{day, name};"),
        ("plan/x.rs", "let a = 'a'; let b = '\"'; use std::net::TcpStream; // \""),
    ];
    for (file, line) in planted {
        let found = violations(file, &format!("//! Planted.\n\n{line}\n"));
        assert!(!found.is_empty(), "{file}: {line}");
    }
    assert_eq!(violations("plan/x.rs", "fn f() {}\n").len(), 1, "a file without a word");
}

#[test]
fn harmless_code_is_left_alone() {
    let harmless = [
        ("plan/x.rs", "use crate::model::day::Day;"),
        ("plan/x.rs", "use crate::plan::contract::Plan;"),
        ("plan/x.rs", "use super::contract::Plan;"),
        ("model/lineage.rs", "mod tests {\n    use super::super::facts;\n}"),
        ("cli/commands/plan.rs", "use super::super::output::Output;"),
        ("model/x.rs", "// use git2::Oid;"),
        ("model/x.rs", "/// See `crate::plan::steps`."),
        ("model/x.rs", "let text = \"use crate::plan::\\\"x\\\" std::fs\";"),
        ("model/x.rs", "let text = r#\"crate::cli::\"main\"\"#;"),
        ("model/x.rs", "fn f<'a>(x: &'a str) -> std::fmt::Result { g::<'a>(x) }"),
        ("main.rs", "fn main() { chronon_plan::cli::main() }"),
        ("lib.rs", "pub mod model;"),
    ];
    for (file, line) in harmless {
        let found = violations(file, &format!("//! Harmless.\n\n{line}\n"));
        assert!(found.is_empty(), "{found:?}");
    }
}
