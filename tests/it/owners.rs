//! CODEOWNERS: read as GitHub documents it, matched as git itself matches, and asked for configs.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use chronon_plan::model::name::Address;
use chronon_plan::publish::owners::Owners;
use chronon_plan::publish::owners::PLACES;
use chronon_plan::publish::owners::paths;
use chronon_plan::publish::owners::usual_path;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::sample::select;

use crate::laws::check;
use crate::support::corpus;
use crate::support::project;

/// The owners of a file by a CODEOWNERS in which nothing is wrong.
fn owners_of(text: &str, path: &str) -> Vec<String> {
    let (owners, mistakes) = Owners::read(text);
    assert_eq!(mistakes, []);
    owners.owners_of(path).to_vec()
}

fn mistakes(text: &str) -> Vec<String> {
    Owners::read(text).1.iter().map(|it| format!("{} {}", it.line, it.what)).collect()
}

/// Each kind of line that GitHub's documentation of CODEOWNERS explains.
const DOCUMENTED: &str = "\
# Everything that no later line matches.
*       @all-one @all-two

*.js    @js #a word about it
*.go    go@acme.example
*.txt   @acme/writers

/build/logs/ @logs
docs/*  @docs
apps/   @apps
/scripts/ @scripts-one @scripts-two
**/nested @nested
/tools/ @tools
/tools/github
/services/ @services
/services/vendored @vendor
";

#[test]
fn lines_mean_what_github_documents() {
    let expected: &[(&str, &[&str])] = &[
        ("README", &["@all-one", "@all-two"]),
        ("a/b/README.md", &["@all-one", "@all-two"]),
        ("x.js", &["@js"]),
        ("a/b/x.js", &["@js"]),
        ("a/main.go", &["go@acme.example"]),
        ("notes/x.txt", &["@acme/writers"]),
        // At the top alone, with everything below.
        ("build/logs/x", &["@logs"]),
        ("build/logs/deep/er/x.js", &["@logs"]),
        ("other/build/logs/x", &["@all-one", "@all-two"]),
        // What is directly there and no more.
        ("docs/start.md", &["@docs"]),
        ("docs/build/trouble.md", &["@all-one", "@all-two"]),
        // A folder anywhere.
        ("apps/x", &["@apps"]),
        ("a/apps/b/x", &["@apps"]),
        ("a/apps", &["@all-one", "@all-two"]),
        ("scripts/x.go", &["@scripts-one", "@scripts-two"]),
        ("a/scripts/x", &["@all-one", "@all-two"]),
        ("nested/x", &["@nested"]),
        ("build/nested/x", &["@nested"]),
        ("deep/er/nested/x/y", &["@nested"]),
        // The last line wins, and one without owners means nobody.
        ("tools/x", &["@tools"]),
        ("tools/github/x", &[]),
        ("tools/github", &[]),
        ("services/x", &["@services"]),
        ("services/vendored/x", &["@vendor"]),
        // A path is not a prefix.
        ("toolsmith/x", &["@all-one", "@all-two"]),
        ("services/vendored2/x", &["@services"]),
    ];
    for (path, owners) in expected {
        assert_eq!(owners_of(DOCUMENTED, path), *owners, "{path}");
    }
}

#[test]
fn the_last_line_wins_however_deep_it_matches() {
    let text = "/a/b/c.sql @one\n/a/ @two\n*.sql @three\n/a/b @four\n/x @five\n";
    assert_eq!(owners_of(text, "a/b/c.sql"), ["@four"]);
    assert_eq!(owners_of(text, "a/c.sql"), ["@three"]);
    assert_eq!(owners_of(text, "a/c"), ["@two"]);
    assert_eq!(owners_of(text, "c"), Vec::<String>::new());
    let again = "/a @one\n*.md @two\n/a @three\n";
    assert_eq!(owners_of(again, "a/x.md"), ["@three"]);
}

#[test]
fn paths_are_told_apart_by_case_and_spelt_with_escapes() {
    let text = "/Docs/ @upper\nmy\\ file.md @space\n/a#b @hash\n/c\\#d @sharp\n/e{f,g} @braces\n/h\\*i @star\n";
    assert_eq!(owners_of(text, "docs/x"), Vec::<String>::new());
    assert_eq!(owners_of(text, "Docs/x"), ["@upper"]);
    assert_eq!(owners_of(text, "a/my file.md"), ["@space"]);
    assert_eq!(owners_of(text, "a#b"), ["@hash"]);
    assert_eq!(owners_of(text, "c#d"), ["@sharp"]);
    assert_eq!(owners_of(text, "e{f,g}"), ["@braces"]);
    assert_eq!(owners_of(text, "ef"), Vec::<String>::new());
    assert_eq!(owners_of(text, "h*i"), ["@star"]);
    assert_eq!(owners_of(text, "hxi"), Vec::<String>::new());
}

#[test]
fn spaces_ends_of_lines_and_comments_do_not_matter() {
    let text = "\u{feff}  *.a\t@one \t @two   # and why\r\n\r\n\t# nothing\r\n#*.a @three\r\n*.b #@four\r\n/ @five";
    assert_eq!(owners_of(text, "x/y.a"), ["@one", "@two"]);
    assert_eq!(owners_of(text, "y.b"), Vec::<String>::new());
    assert_eq!(owners_of(text, "/y.a"), ["@one", "@two"]);
    assert_eq!(owners_of("", "x"), Vec::<String>::new());
}

#[test]
fn lines_that_github_skips_are_skipped_and_told() {
    let text = "* @all\n!*.md @a\n*.[ch] @b\n\\#x @c\n[Docs]\n/d alice\n/e @a/b/c\n/f @f,@g\n/g\\\n^[Opt][2] @h\n";
    let expected = [
        "2 in CODEOWNERS `!` negates nothing",
        "3 in CODEOWNERS `[ ]` is no range of characters",
        "4 in CODEOWNERS no pattern can start with `#`",
        "5 CODEOWNERS of GitHub has no sections",
        "6 `alice` is no owner: neither `@login`, nor `@organization/team`, nor an address of e-mail",
        "7 `@a/b/c` is no owner: neither `@login`, nor `@organization/team`, nor an address of e-mail",
        "8 `@f,@g` is no owner: neither `@login`, nor `@organization/team`, nor an address of e-mail",
        "9 nothing follows the last `\\`",
        "10 CODEOWNERS of GitHub has no sections",
    ];
    assert_eq!(mistakes(text), expected);
    let owners = Owners::read(text).0;
    for path in ["x.md", "x.c", "#x", "d", "e", "f", "g"] {
        assert_eq!(owners.owners_of(path), ["@all"], "{path}");
    }
    let long = format!("* @all\n{}", "#".repeat(3_000_000));
    assert_eq!(mistakes(&long), ["1 GitHub does not load a CODEOWNERS of more than 3 MB"]);
}

#[test]
fn a_file_of_a_great_repository_is_read_and_asked_quickly() {
    let mut text = String::from("* @all\n");
    for at in 0..20_000 {
        text += &format!("/teams/t{at}/**/x?_{at}_*.sql @t{at}\n/group_bys/t{at}/ @acme/t{at}\n");
    }
    let (owners, mistakes) = Owners::read(&text);
    assert_eq!(mistakes, []);
    for at in [0, 1, 499, 500, 9_999, 19_999] {
        assert_eq!(owners.owners_of(&format!("group_bys/t{at}/a/b.py")), [format!("@acme/t{at}")]);
        assert_eq!(
            owners.owners_of(&format!("teams/t{at}/a/b/xy_{at}_z.sql")),
            [format!("@t{at}")]
        );
        assert_eq!(owners.owners_of(&format!("teams/t{at}/a/b/xyz_{at}_z.sql")), ["@all"]);
    }
}

/// Which paths git itself ignores by one pattern.
fn ignored(folder: &Path, pattern: &str, paths: &[&str]) -> Vec<String> {
    fs::write(folder.join(".gitignore"), format!("{pattern}\n")).unwrap();
    let mut git = Command::new("git")
        .args(["-c", "core.excludesFile=", "check-ignore", "--no-index", "-z", "--stdin"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input: Vec<u8> = paths.iter().flat_map(|it| [it.as_bytes(), b"\0"].concat()).collect();
    git.stdin.take().unwrap().write_all(&input).unwrap();
    let output = git.wait_with_output().unwrap();
    assert!(matches!(output.status.code(), Some(0 | 1)), "{output:?}");
    let found = String::from_utf8(output.stdout).unwrap();
    found.split_terminator('\0').map(str::to_owned).collect()
}

const FILES: [&str; 14] = [
    "a",
    "b/a",
    "b/c",
    "b/a/c",
    "b/a/b/a",
    "c/b/a/x.md",
    "x.md",
    "b/x.md",
    "a b/c",
    "c/{a,b}",
    "c/#a",
    "c/b#",
    "aa/ab/ac",
    "c/ca/cb",
];

fn any_pattern() -> impl Strategy<Value = String> {
    let parts = [
        "a", "b", "c", "x", "*", "*", "**", "?", "/", "/", "/", ".md", "\\ ", "{a,b}", "#", "/**/",
        "\\*",
    ];
    vec(select(parts.to_vec()), 1..7).prop_map(|it| it.concat())
}

#[test]
fn patterns_match_what_git_matches() {
    let folder = tempfile::tempdir().unwrap();
    let git = Command::new("git").args(["init", "-q"]).current_dir(folder.path()).status().unwrap();
    assert!(git.success());
    // Git looks whether a path is a folder; a name cannot be both here.
    let files: Vec<&str> = FILES.into_iter().filter(|it| *it != "a" && *it != "b/a").collect();
    for file in &files {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let seen = std::cell::RefCell::new(BTreeMap::<usize, usize>::new());
    check(800, &any_pattern(), |pattern| {
        // What CODEOWNERS means otherwise: a star at the end of a folder, comments, slashes in a row.
        let other = pattern.ends_with("/*") || pattern.starts_with('#') || pattern.contains("//");
        // Inside a name two stars should be one; git itself is at odds with its manual there.
        let odd =
            pattern.split('/').any(|it| it.contains("**") && !it.trim_matches('*').is_empty());
        if other || odd {
            return Ok(());
        }
        let (owners, mistakes) = Owners::read(&format!("{pattern} @x\n"));
        if !mistakes.is_empty() {
            return Ok(());
        }
        let owned: Vec<&str> =
            files.iter().copied().filter(|it| !owners.owners_of(it).is_empty()).collect();
        *seen.borrow_mut().entry(owned.len().min(2)).or_default() += 1;
        assert_eq!(owned, ignored(folder.path(), &pattern, &files), "{pattern}");
        Ok(())
    });
    assert!((0..=2).all(|it| seen.borrow().get(&it).is_some_and(|it| *it > 10)), "{seen:?}");
}

#[test]
fn no_text_makes_reading_codeowners_panic() {
    let parts = [
        "*", "/", "\\", " ", "\n", "[", "]", "!", "#", "@a", "{", "}", "**", "a", "é", "\u{feff}",
        "\t", "\r\n", "?", "^", ",",
    ];
    check(2000, &vec(select(parts.to_vec()), 0..24), |words| {
        let text = words.concat();
        let (owners, mistakes) = Owners::read(&text);
        assert!(mistakes.is_sorted());
        assert!(mistakes.iter().all(|it| (1..=text.lines().count()).contains(&it.line)));
        for path in ["a", "a/b", "", "/", "é/a", " ", "a//b"] {
            assert!(owners.owners_of(path).len() <= words.len());
        }
        Ok(())
    });
}

#[test]
fn a_line_more_decides_only_what_it_matches() {
    let line = || (any_pattern(), select(vec!["@one", "@two", ""]));
    check(1500, &(vec(line(), 0..6), line()), |(lines, (pattern, owner))| {
        let text: String = lines.iter().map(|it| format!("{} {}\n", it.0, it.1)).collect();
        let one = format!("{pattern} @it\n");
        let (before, alone) = (Owners::read(&text).0, Owners::read(&one).0);
        let after = Owners::read(&format!("{text}{pattern} {owner}\n")).0;
        for path in FILES {
            let expected: Vec<String> = match alone.owners_of(path) {
                [] => before.owners_of(path).to_vec(),
                _ => owner.split_whitespace().map(str::to_owned).collect(),
            };
            assert_eq!(after.owners_of(path), expected, "{text}{pattern} {owner}: {path}");
        }
        Ok(())
    });
}

#[test]
fn a_config_is_asked_for_by_its_compiled_file_and_then_by_its_source() {
    let expected: &[(&str, &str, &[&str])] = &[
        (
            "compiled",
            "group_bys/payments/txn_features.user_txn__1",
            &["group_bys/payments/txn_features.py"],
        ),
        (
            "production",
            "joins/ads/user.stats.v1",
            &["joins/ads/user/stats.py", "joins/ads/user.py"],
        ),
        (
            "compiled",
            "joins/ads/a.b.c.v__0",
            &["joins/ads/a/b/c.py", "joins/ads/a/b.py", "joins/ads/a.py"],
        ),
        ("features/compiled", "staging_queries/x/q.v__0", &["features/staging_queries/x/q.py"]),
        ("a/b/compiled_canary", "models/x/m.v__0", &["a/b/models/x/m.py"]),
        ("production", "group_bys/unit_test/user_inline", &["group_bys/unit_test/user_inline.py"]),
        ("compiled", "teams_metadata/ads/ads_team_metadata", &["teams.py"]),
    ];
    for (root, below, sources) in expected {
        let path = format!("{root}/{below}");
        let found = paths(root, &path);
        assert_eq!(found[0], path);
        assert_eq!(found[1..], **sources, "{path}");
    }
    // A root is a folder, not a prefix of names.
    assert_eq!(paths("compiled", "compiled_canary/joins/a/b.c"), ["compiled_canary/joins/a/b.c"]);
    assert_eq!(paths("", "joins/a/b.c")[1], "joins/a/b.py");
}

#[test]
fn the_compiled_file_comes_before_the_source() {
    let path = "compiled/group_bys/payments/txn_features.user_txn__1";
    let of = |text: &str| Owners::read(text).0.owners_of_config("compiled", path).to_vec();
    assert_eq!(of("/group_bys/payments/ @pay\n"), ["@pay"]);
    assert_eq!(of("* @all\n/group_bys/payments/ @pay\n"), ["@all"]);
    // What is compiled belongs to nobody, as many repositories say.
    assert_eq!(of("* @all\n/group_bys/payments/ @pay\n/compiled/\n"), ["@pay"]);
    assert_eq!(of("*.py @all\n/group_bys/payments/other.py @pay\n"), ["@all"]);
    assert_eq!(of("/compiled/group_bys/payments/txn_features.* @txn\n"), ["@txn"]);
    assert_eq!(of("/joins/ @joins\n"), Vec::<String>::new());
}

/// The compiled files below a root.
fn compiled(root: &Path) -> Vec<String> {
    let mut open = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_none_or(|it| it != "json") {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn addresses_and_sources_of_real_configs_are_found() {
    let mut seen = 0;
    let roots = [
        "fixtures/zipline/base/compiled",
        "fixtures/zipline/base/compiled_canary",
        "fixtures/oss/base/production",
    ];
    let roots = roots.map(|it| project().join(it)).into_iter().chain(
        corpus()
            .into_iter()
            .flat_map(|it| [it.join("marketplace/base/compiled"), it.join("airbnb-production")]),
    );
    for root in roots.filter(|it| it.exists()) {
        for file in compiled(&root) {
            let text = fs::read_to_string(root.join(&file)).unwrap();
            let body: serde_json::Value = serde_json::from_str(&text).unwrap();
            let Some(name) = body["metaData"]["name"].as_str() else { continue };
            let folder = file.split('/').next().unwrap();
            let address: Address = format!("{folder}/{name}").parse().unwrap();
            assert_eq!(usual_path("x/compiled", &address), format!("x/compiled/{file}"));
            if let Some(source) = body["metaData"]["sourceFile"].as_str() {
                assert_eq!(paths("compiled", &format!("compiled/{file}"))[1], source);
                seen += 1;
            }
        }
    }
    assert!(seen >= 15, "{seen}");
    let team = usual_path("compiled", &"teams_metadata/ads".parse().unwrap());
    assert_eq!(team, "compiled/teams_metadata/ads/ads_team_metadata");
    assert!(project().join("fixtures/zipline/base").join(team.replace("ads", "catalog")).exists());
    assert_eq!(usual_path("", &"joins/a.b.c".parse().unwrap()), "joins/a/b.c");
}

#[test]
fn github_looks_in_three_places() {
    assert_eq!(PLACES, [".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS"]);
}
