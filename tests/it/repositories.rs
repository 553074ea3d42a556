//! Repositories of every kind, in every state, and what is said where one cannot be planned.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Repo;
use crate::support::Run;
use crate::support::corpus;
use crate::support::project;
use crate::support::run;

/// The change of which most tests make their second commit.
const CHANGE: &str = "fixtures/zipline/changes/add-aggregation";

/// The Polyphony repository: `main` holds the base, `change` is checked out and adds a feature.
pub(crate) fn polyphony() -> Repo {
    polyphony_at("compiled")
}

fn polyphony_at(root: &str) -> Repo {
    let repo = Repo::new();
    repo.copy(&project().join("fixtures/zipline/base/compiled"), root);
    repo.commit("base");
    repo.git(&["checkout", "-q", "-b", "change"]);
    repo.copy(&project().join(CHANGE).join("compiled"), root);
    repo.commit("change");
    repo
}

/// A plan of a fixed day, as it is run.
pub(crate) fn plan(dir: &Path, args: &[&str]) -> Run {
    run(dir, &[&["plan", "--as-of", "2026-11-22"], args].concat())
}

/// The same as JSON.
pub(crate) fn plan_json(dir: &Path, args: &[&str]) -> Value {
    let args = [&["--format", "json"], args].concat();
    serde_json::from_str(&plan(dir, &args).ok()).unwrap()
}

pub(crate) fn digest(dir: &Path, args: &[&str]) -> String {
    plan_json(dir, args)["digest"].as_str().unwrap().to_owned()
}

/// The digest in the golden plan of the change, which other tests hold against its reasons.
fn golden_digest() -> String {
    let file = project().join(CHANGE).join("expected/plan.json");
    let plan: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    plan["digest"].as_str().unwrap().to_owned()
}

/// What a run says that must have failed, without a panic and without an answer.
pub(crate) fn refused(run: Run) -> String {
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    assert!(run.stderr.contains("\nnext: "), "no hint: {}", run.stderr);
    run.stderr
}

/// Clones with git itself, into a folder beside nothing else.
fn clone(repo: &Repo, args: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("clone");
    let from = format!("file://{}", repo.path().display());
    let from = if args.contains(&"--shared") { repo.path().to_str().unwrap() } else { &from };
    repo.git(&[&["clone", "-q"], args, &[from, to.to_str().unwrap()]].concat());
    (folder, to)
}

fn git(dir: &Path, args: &[&str]) -> String {
    let dir = dir.to_str().unwrap();
    Repo::new().git(&[&["-C", dir], args].concat()).trim().to_owned()
}

#[test]
fn every_kind_of_repository_gives_the_same_plan() {
    let repo = polyphony();
    let want = golden_digest();
    let packs = || fs::read_dir(repo.path().join(".git/objects/pack")).unwrap().count();
    assert_eq!(packs(), 0);
    assert_eq!(digest(repo.path(), &["--base", "main"]), want, "loose objects");
    assert_eq!(digest(&repo.path().join("compiled/joins"), &[]), want, "a folder of it");
    repo.git(&["gc", "-q", "--prune=now"]);
    assert!(packs() > 0);
    assert_eq!(digest(repo.path(), &["--base", "main", "--no-cache"]), want, "packed");
    repo.git(&["checkout", "-q", "--detach"]);
    assert_eq!(digest(repo.path(), &["--base", "main"]), want, "a detached HEAD");

    let linked = tempfile::tempdir().unwrap();
    let linked = linked.path().join("linked");
    repo.git(&["worktree", "add", "-q", linked.to_str().unwrap(), "change"]);
    assert_eq!(digest(&linked, &[]), want, "a linked work tree");

    for args in [&["--shared", "-b", "change"][..], &["-b", "change"], &["--bare"], &["--mirror"]] {
        let (_folder, to) = clone(&repo, args);
        let base = if args.len() > 1 { "origin/main" } else { "main" };
        assert_eq!(digest(&to, &["--base", base, "--head", "change"]), want, "{args:?}");
        let here = ["--repo", to.to_str().unwrap(), "--base", base, "--head", "change"];
        assert_eq!(digest(Path::new("/"), &here), want, "{args:?} from elsewhere");
    }
}

#[test]
fn any_syntax_of_git_names_a_commit() {
    let repo = polyphony();
    let sha = repo.git(&["rev-parse", "main"]).trim().to_owned();
    repo.git(&["tag", "light", "main"]);
    repo.git(&["tag", "-a", "-m", "heavy", "heavy", "main"]);
    let names = ["main", "heads/main", "refs/heads/main", "HEAD~1", "HEAD^", "@~", "main@{0}"];
    let others = [":/base", &sha, &sha[..8], "light", "heavy", "heavy^{commit}", "heavy^{}"];
    for rev in names.into_iter().chain(others) {
        let plan = plan_json(repo.path(), &["--base", rev]);
        assert_eq!(plan["base"]["commit"], sha.as_str(), "{rev}");
        assert_eq!(plan["base"]["rev"], rev);
        assert_eq!(plan["digest"], golden_digest().as_str(), "{rev}");
    }
    for rev in ["nosuch", "deadbeef", "HEAD~99", "", "main:compiled", "main..HEAD", "main@{99}"] {
        let said = refused(plan(repo.path(), &["--base", rev]));
        assert!(said.contains(&format!("`{rev}`")), "{said}");
    }
}

#[test]
fn a_shallow_clone_that_lacks_the_base_says_how_to_get_it() {
    let repo = polyphony();
    repo.git(&["checkout", "-q", "main"]);
    let sha = repo.git(&["rev-parse", "main"]).trim().to_owned();
    let (_folder, shallow) = clone(&repo, &["--depth", "1", "-b", "change"]);
    for base in ["origin/main", "main", "HEAD~1", &sha, &sha[..8]] {
        let said = refused(plan(&shallow, &["--base", base]));
        assert!(said.contains("fetch-depth: 0"), "{base}: {said}");
        assert!(said.contains("git fetch --unshallow"), "{base}: {said}");
    }
    let (_folder, shallow) = clone(&repo, &["--depth", "2", "-b", "change"]);
    for base in ["HEAD~1", &sha] {
        assert_eq!(digest(&shallow, &["--base", base]), golden_digest(), "{base}");
    }
}

#[test]
fn a_shallow_clone_without_the_default_branch_says_how_to_get_it() {
    let repo = polyphony();
    repo.git(&["checkout", "-q", "main"]);
    let (_folder, shallow) = clone(&repo, &["--depth", "1", "-b", "change"]);
    let said = refused(plan(&shallow, &[]));
    assert!(said.contains("fetch-depth: 0"), "{said}");
}

/// The branch may have moved on since head left it; a clone that cannot tell must not guess, for
/// the other branch's work would read as undone.
#[test]
fn a_shallow_clone_that_cannot_tell_where_branches_parted_does_not_guess() {
    let repo = polyphony();
    repo.git(&["checkout", "-q", "main"]);
    repo.remove("compiled/group_bys/catalog/tracks.artist_market__0");
    repo.commit("main moves on");
    let (_folder, shallow) = clone(&repo, &["--depth", "1", "--no-single-branch", "-b", "change"]);
    for args in [&[][..], &["--base", "origin/main"]] {
        let said = refused(plan(&shallow, args));
        assert!(said.contains("fetch-depth: 0"), "{args:?}: {said}");
    }
}

#[test]
fn a_partial_clone_is_an_error_whose_hint_helps() {
    let repo = polyphony();
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    for filter in ["blob:none", "tree:0"] {
        let args = [&format!("--filter={filter}"), "--no-checkout", "-b", "change"];
        let (_folder, partial) = clone(&repo, &args);
        let said = refused(plan(&partial, &["--base", "origin/main"]));
        assert!(said.contains("git fetch --refetch --no-filter"), "{filter}: {said}");
        git(&partial, &["fetch", "-q", "--refetch", "--no-filter"]);
        assert_eq!(digest(&partial, &["--base", "origin/main"]), golden_digest(), "{filter}");
    }
}

#[test]
fn missing_content_is_named_from_the_repositorys_top() {
    let repo = polyphony();
    repo.git(&["config", "uploadpack.allowFilter", "true"]);
    let (_folder, partial) = clone(&repo, &["--filter=blob:none", "--no-checkout"]);
    let said = refused(plan(&partial, &["--base", "origin/main"]));
    assert!(said.contains("`compiled/"), "{said}");
}

#[test]
fn formats_that_cannot_be_read_are_errors() {
    for format in ["--object-format=sha256", "--ref-format=reftable"] {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        Repo::new().git(&["init", "-q", format, dir]);
        refused(plan(folder.path(), &[]));
    }
}

#[test]
fn a_base_that_is_newer_is_compared_the_way_it_was_asked_for() {
    let repo = polyphony();
    let newer = repo.git(&["rev-parse", "change"]).trim().to_owned();
    repo.git(&["checkout", "-q", "main"]);
    let answer = plan(repo.path(), &["--base", "change", "--format", "json"]);
    assert_eq!(answer.stderr, "");
    let plan: Value = serde_json::from_str(&answer.stdout).unwrap();
    assert_eq!(plan["base"]["commit"], newer.as_str());
    let gone = &plan["changes"][0]["columns"]["removed"];
    assert_eq!(gone[0], "ms_played_count_7d");
    assert_eq!(plan["warnings"][0]["code"], "online-breaking");
}

#[test]
fn a_branch_that_moved_on_means_where_head_left_it_and_a_commit_means_itself() {
    let repo = polyphony();
    let parted = repo.git(&["rev-parse", "main"]).trim().to_owned();
    repo.git(&["checkout", "-q", "main"]);
    repo.remove("compiled/group_bys/catalog/tracks.artist_market__0");
    let tip = repo.commit("main moves on");
    repo.git(&["checkout", "-q", "change"]);
    let answer = plan(repo.path(), &["--base", "main", "--format", "json"]);
    let note = format!(
        "note: main has commits that HEAD lacks; compared with where they parted, {}\n",
        &parted[..7]
    );
    assert_eq!(answer.stderr, note);
    let plan_of_branch: Value = serde_json::from_str(&answer.ok()).unwrap();
    assert_eq!(plan_of_branch["base"]["commit"], parted.as_str());
    assert_eq!(plan_of_branch["digest"], golden_digest().as_str());
    assert_eq!(plan_json(repo.path(), &[])["base"]["commit"], parted.as_str());

    repo.git(&["tag", "moved", "main"]);
    for exact in [tip.as_str(), &tip[..9], "main~0", "main^{commit}", "moved"] {
        let answer = plan(repo.path(), &["--base", exact, "--format", "json"]);
        assert_eq!(answer.stderr, "", "{exact}");
        let plan: Value = serde_json::from_str(&answer.ok()).unwrap();
        assert_eq!(plan["base"]["commit"], tip.as_str(), "{exact}");
        let added = plan["changes"].as_array().unwrap().iter().filter(|it| it["kind"] == "added");
        assert_eq!(added.count(), 1, "{exact}");
    }
}

#[test]
fn without_a_base_the_default_branch_is_compared_with() {
    let repo = polyphony();
    let base = repo.git(&["rev-parse", "main"]).trim().to_owned();
    assert_eq!(plan_json(repo.path(), &[])["base"]["rev"], "main");
    repo.git(&["branch", "-q", "-m", "main", "master"]);
    assert_eq!(plan_json(repo.path(), &[])["base"]["rev"], "master");
    repo.git(&["branch", "-q", "-m", "master", "trunk"]);
    let said = refused(plan(repo.path(), &[]));
    assert!(said.contains("--base REV"), "{said}");

    repo.git(&["branch", "-q", "main", "change"]);
    repo.git(&["checkout", "-q", "trunk"]);
    let (_folder, to) = clone(&repo, &[]);
    git(&to, &["checkout", "-q", "change"]);
    let plan = plan_json(&to, &[]);
    assert_eq!(plan["base"]["rev"], "origin/trunk", "what origin/HEAD says wins");
    assert_eq!(plan["base"]["commit"], base.as_str());
}

#[test]
fn no_repository_is_said_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("nowhere");
    for command in [&["plan"][..], &["validate"], &["graph"], &["diff", "main"]] {
        let said = refused(run(folder.path(), command));
        assert!(said.contains("not in a git repository"), "{said}");
        let there = [command, &["--repo", nowhere.to_str().unwrap()]].concat();
        assert!(refused(run(folder.path(), &there)).contains("nowhere"));
    }
}

#[test]
fn a_repository_without_a_commit_is_said_plainly() {
    let repo = Repo::new();
    for command in [&["plan"][..], &["validate"], &["graph"]] {
        let said = refused(run(repo.path(), command));
        assert!(said.contains("no commit yet"), "{said}");
    }
}

#[test]
fn a_commit_without_a_compiled_root_says_what_one_is() {
    let repo = Repo::new();
    repo.write("README.md", "nothing compiled");
    repo.commit("one");
    let said = refused(plan(repo.path(), &["--base", "HEAD"]));
    assert!(said.contains("no compiled root") && said.contains("--root DIR"), "{said}");
    for root in ["compiled", "README.md"] {
        let said = refused(plan(repo.path(), &["--base", "HEAD", "--root", root]));
        assert!(said.contains(&format!("no folder `{root}`")), "{said}");
    }
}

#[test]
fn a_root_is_found_at_any_usual_depth() {
    for root in ["compiled", "features/compiled", "a/b/chronon/compiled"] {
        let repo = polyphony_at(root);
        let plan = plan_json(repo.path(), &[]);
        assert_eq!(plan["summary"]["steps"], 7, "{root}");
        let path = plan["steps"][0]["path"].as_str().unwrap();
        assert!(path.starts_with(&format!("{root}/group_bys/")), "{path}");
        let below = repo.path().join(root);
        assert_eq!(plan_json(&below, &["--root", root])["digest"], plan["digest"]);
    }
}

#[test]
fn a_root_may_be_spelt_in_every_way() {
    let repo = polyphony_at("one/two/three/four/five/six/features");
    let six = "one/two/three/four/five/six/features";
    let want = plan_json(repo.path(), &["--root", six]);
    assert_eq!(want["summary"]["steps"], 7);
    for root in [format!("{six}/"), format!("./{six}"), format!("./{six}//"), format!("/{six}")] {
        assert_eq!(plan_json(repo.path(), &["--root", &root]), want, "{root}");
    }
    let repo = polyphony();
    let absolute = repo.path().canonicalize().unwrap().join("compiled");
    for root in [".//compiled", "compiled/./", absolute.to_str().unwrap()] {
        assert_eq!(plan_json(repo.path(), &["--root", root])["digest"], golden_digest().as_str());
    }
    let repo = polyphony_at(".");
    for root in [".", "./", "/"] {
        assert_eq!(plan_json(repo.path(), &["--root", root])["summary"]["steps"], 7, "{root}");
    }
}

#[test]
fn a_root_that_git_cannot_name_is_an_error_about_the_root() {
    let repo = polyphony();
    for root in ["../compiled", "compiled/../compiled", "a//b", "/tmp"] {
        let said = refused(plan(repo.path(), &["--root", root]));
        assert!(said.contains("--root DIR"), "{root}: {said}");
    }
}

/// A wrong `--root` must not read as a commit that needs nothing.
#[test]
fn a_root_without_configs_is_an_error() {
    let repo = polyphony();
    for root in [".", "compiled/joins", "compiled/joins/discovery"] {
        let said = refused(plan(repo.path(), &["--root", root]));
        assert!(said.contains("--root DIR"), "{root}: {said}");
    }
}

/// A link is not followed, and what lies behind it must not read as removed.
#[test]
fn a_root_that_became_a_link_is_an_error() {
    let repo = polyphony();
    repo.git(&["mv", "compiled", "real"]);
    symlink("real", repo.path().join("compiled")).unwrap();
    repo.commit("moved");
    let said = refused(plan(repo.path(), &["--base", "HEAD~1"]));
    assert!(said.contains("compiled"), "{said}");
}

/// A root that moved reads as everything removed or everything new, so it is said.
#[test]
fn a_root_that_one_side_lacks_is_noted() {
    let repo = polyphony();
    repo.git(&["mv", "compiled", "moved"]);
    repo.commit("moved");
    for (root, note) in [
        ("compiled", "note: HEAD has no folder `compiled`: everything reads as removed\n"),
        ("moved", "note: main has no folder `moved`: everything reads as new\n"),
    ] {
        assert_eq!(plan(repo.path(), &["--base", "main", "--root", root]).stderr, note);
    }
}

#[test]
fn several_roots_are_all_named() {
    let repo = polyphony();
    repo.copy(&project().join("fixtures/oss/base"), ".");
    repo.copy(&project().join("fixtures/zipline/base/compiled_canary"), "compiled_canary");
    repo.commit("roots");
    let said = refused(plan(repo.path(), &[]));
    assert!(said.contains("compiled, production, compiled_canary"), "{said}");
    let canary = plan_json(repo.path(), &["--env", "canary"]);
    assert_eq!(canary["env"], "canary");
    assert_eq!(
        canary["steps"][0]["path"].as_str().unwrap().split('/').next(),
        Some("compiled_canary")
    );
    assert_eq!(plan_json(repo.path(), &["--root", "production"])["dialect"], "oss");
    assert_eq!(plan_json(repo.path(), &["--root", "compiled"])["env"], "prod");
    assert_eq!(plan_json(repo.path(), &["--root", "compiled_canary"])["env"], "canary");
}

#[test]
fn the_canary_root_is_an_env_of_its_own() {
    let repo = polyphony();
    let canary = project().join("fixtures/zipline/base/compiled_canary");
    repo.copy(&canary, "compiled_canary");
    repo.commit("canary");
    let main = plan_json(repo.path(), &["--base", "HEAD~1"]);
    assert_eq!((&main["env"], main["steps"].as_array().unwrap().len()), (&"prod".into(), 0));
    let new = plan_json(repo.path(), &["--base", "HEAD~1", "--env", "canary"]);
    assert_eq!(new["env"], "canary");
    assert!(new["steps"].as_array().unwrap().iter().all(|it| it["cause"] == "new"));
}

/// Two envs with roots of their own, one of them with a start for backfills and a program.
const TWO_ENVS: &str = "default_env = 'live'\n\n[env.live]\nroot = 'compiled/'\n\n\
    [env.test]\nroot = './compiled_canary'\nprogram = ['python', '-m', 'zipline']\n\
    version = '9.9.9'\n";

#[test]
fn envs_of_the_settings_have_roots_of_their_own() {
    let repo = polyphony();
    repo.copy(&project().join("fixtures/zipline/base/compiled_canary"), "compiled_canary");
    repo.write("chronon-plan.toml", TWO_ENVS);
    repo.commit("settings");
    assert_eq!(plan_json(repo.path(), &["--base", "main"])["env"], "live");
    let test = plan_json(repo.path(), &["--base", "main", "--env", "test"]);
    assert_eq!(test["env"], "test");
    let argv = test["steps"][0]["argv"].as_array().unwrap();
    assert_eq!(argv[..4], ["python", "-m", "zipline", "run"].map(Value::from));
    assert!(argv[4].as_str().unwrap().starts_with("compiled_canary/"));
    assert!(argv.contains(&"--version=9.9.9".into()));
    let said = refused(plan(repo.path(), &["--base", "main", "--env", "prod"]));
    assert!(said.contains("`prod`") && said.contains("`live`, `test`"), "{said}");

    repo.write("chronon-plan.toml", TWO_ENVS.split_once('\n').unwrap().1);
    repo.commit("no default");
    let said = refused(plan(repo.path(), &["--base", "main"]));
    assert!(said.contains("`live`, `test`") && said.contains("default_env"), "{said}");
}

#[test]
fn what_is_not_committed_is_noted_and_not_planned() {
    let repo = polyphony();
    let want = plan(repo.path(), &["--base", "main"]).ok();
    let noted = |repo: &Repo, first: &str, more: &str| {
        let answer = plan(repo.path(), &["--base", "main"]);
        assert_eq!(answer.stdout, want);
        let note = format!("note: the work tree differs from HEAD in {first}{more}; ");
        assert!(answer.stderr.starts_with(&note), "{}", answer.stderr);
        let explicit = plan(repo.path(), &["--base", "main", "--head", "change"]);
        assert_eq!(explicit.stderr, "", "the checkout does not matter to a named commit");
    };
    let join = "compiled/joins/discovery/training.skip_training__0";
    repo.write(join, "{ not even JSON");
    noted(&repo, join, "");
    repo.write("compiled/joins/discovery/untracked", "");
    noted(&repo, join, " and 1 more");
    repo.git(&["checkout", "-q", "."]);
    repo.git(&["clean", "-qfd"]);
    repo.remove(join);
    noted(&repo, join, "");
    repo.git(&["checkout", "-q", "."]);
    repo.write("chronon-plan.toml", "no settings at all");
    noted(&repo, "chronon-plan.toml", "");
    repo.remove("chronon-plan.toml");
    repo.write("README.md", "elsewhere");
    assert_eq!(plan(repo.path(), &["--base", "main"]).stderr, "");
}

#[test]
fn settings_come_from_the_head_commit_or_from_a_named_file() {
    let repo = polyphony();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.toml");
    let with = file.to_str().unwrap();
    fs::write(&file, "\u{feff}[env.mine]\r\nversion = '7'\r\n").unwrap();
    let mine = plan_json(repo.path(), &["--settings", with]);
    assert_eq!(mine["env"], "mine");
    assert!(mine["steps"][0]["argv"].as_array().unwrap().contains(&"--version=7".into()));
    repo.write("chronon-plan.toml", "[env.committed]\n");
    repo.commit("settings");
    assert_eq!(plan_json(repo.path(), &["--base", "main"])["env"], "committed");
    assert_eq!(plan_json(repo.path(), &["--base", "main", "--settings", with])["env"], "mine");
    let old = plan_json(repo.path(), &["--base", "main", "--head", "HEAD~1"]);
    assert_eq!(old["env"], "prod", "the file of the commit that is planned counts");
    for text in ["", "[env]\n", "# nothing\n"] {
        fs::write(&file, text).unwrap();
        assert_eq!(plan_json(repo.path(), &["--base", "main", "--settings", with])["env"], "prod");
    }
    fs::write(&file, b"\xff\xfe").unwrap();
    assert!(refused(plan(repo.path(), &["--settings", with])).contains("not UTF-8"));
    let nowhere = folder.path().join("nowhere");
    for path in [&nowhere, folder.path()] {
        let said = refused(plan(repo.path(), &["--settings", path.to_str().unwrap()]));
        assert!(said.contains("--settings FILE"), "{said}");
    }
}

#[test]
fn a_file_that_was_named_is_the_one_that_is_talked_about() {
    let repo = polyphony();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.toml");
    fs::write(&file, "[env.one]\n[env.two]\n").unwrap();
    let with = file.to_str().unwrap();
    for args in [&["--settings", with][..], &["--settings", with, "--env", "three"]] {
        let said = refused(plan(repo.path(), args));
        assert!(said.starts_with(&format!("error: {with} has ")), "{said}");
    }
    repo.write("chronon-plan.toml", "not the one that is used");
    let answer = plan(repo.path(), &["--settings", with, "--env", "one"]);
    assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
}

#[test]
fn all_mistakes_of_the_settings_are_told_at_once() {
    let repo = polyphony();
    let text = "[env.prod]\nrot = 'compiled'\ndialect = 'zipp'\nprogram = 'zipline'\n\
        artifact_prefix = 'a b'\n[env.prod.backfill]\nstart = 'yesterday'\n\
        [env.prod.mode.bakfill]\nx = 1\n[other]\ny = 1\n";
    repo.write("chronon-plan.toml", text);
    repo.commit("settings");
    let said = refused(plan(repo.path(), &["--base", "main"]));
    assert!(said.starts_with("error: chronon-plan.toml has 7 mistakes\n"), "{said}");
    for (line, what) in [
        (2, "`env.prod.rot`: no such setting; did you mean `root`?"),
        (3, "`env.prod.dialect`: `zipp` is none of `zip`, `oss`"),
        (4, "`env.prod.program`: expected a list of strings"),
        (5, "`env.prod.artifact_prefix`: `a b` has white space"),
        (7, "`env.prod.backfill.start`: `yesterday` is not a date"),
        (8, "`env.prod.mode.bakfill`: there is no mode `bakfill`; did you mean `backfill`?"),
        (10, "`other`: no such table"),
    ] {
        assert!(said.contains(&format!("\n  chronon-plan.toml:{line}: {what}")), "{what}\n{said}");
    }
    assert_eq!(refused(run(repo.path(), &["validate"])), said);
    repo.write("chronon-plan.toml", "a = [\n\n[env.prod\n");
    repo.commit("no TOML");
    let said = refused(plan(repo.path(), &["--base", "main"]));
    assert!(said.contains("chronon-plan.toml:"), "{said}");
}

#[test]
fn a_default_env_that_is_missing_is_one_of_the_mistakes() {
    let repo = polyphony();
    repo.write("chronon-plan.toml", "# first\ndefault_env = 'nope'\n[env.prod]\nrot = 'x'\n");
    repo.commit("settings");
    let said = refused(plan(repo.path(), &["--base", "main"]));
    assert!(said.contains("chronon-plan.toml:4: `env.prod.rot`"), "{said}");
    assert!(
        said.contains("chronon-plan.toml:2: `default_env`: there is no `[env.nope]`"),
        "{said}"
    );
}

#[test]
fn links_and_submodules_under_the_root_are_other_files() {
    let repo = polyphony();
    let joins = repo.path().join("compiled/joins/discovery");
    symlink("training.skip_training__0", joins.join("link__0")).unwrap();
    symlink("/etc", joins.join("outside")).unwrap();
    symlink("joins", repo.path().join("compiled/group_bys2")).unwrap();
    let sha = repo.commit("links");
    let module = format!("160000,{sha},compiled/joins/module");
    repo.git(&["update-index", "--add", "--cacheinfo", &module]);
    repo.git(&["commit", "-q", "-m", "submodule"]);
    let plan = plan_json(repo.path(), &["--base", "main"]);
    let others: Vec<(&str, &str)> = plan["other_files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["path"].as_str().unwrap(), it["why"].as_str().unwrap()))
        .collect();
    let why = "not an ordinary file";
    let paths =
        ["group_bys2", "joins/discovery/link__0", "joins/discovery/outside", "joins/module"];
    let paths = paths.map(|it| format!("compiled/{it}"));
    assert_eq!(others, paths.iter().map(|it| (it.as_str(), why)).collect::<Vec<_>>());
    assert_eq!(plan["summary"]["steps"], 7);
}

/// Every compiled file of the work tree, rewritten.
pub(crate) fn rewrite(repo: &Repo, with: impl Fn(Vec<u8>) -> Vec<u8>) {
    let files = repo.git(&["ls-files", "compiled"]);
    assert!(files.lines().count() > 10);
    for path in files.lines() {
        repo.write(path, with(fs::read(repo.path().join(path)).unwrap()));
    }
}

#[test]
fn line_ends_are_no_change() {
    let repo = polyphony();
    rewrite(&repo, |bytes| String::from_utf8(bytes).unwrap().replace('\n', "\r\n").into_bytes());
    repo.commit("CRLF");
    let plan = plan_json(repo.path(), &["--base", "HEAD~1"]);
    assert_eq!(plan["changes"].as_array().unwrap().len(), 0);
    assert_eq!(plan["summary"]["unchanged"], 14);
}

/// Chronon's own parser takes no byte order mark, so a plan must not pass over one either.
#[test]
fn a_byte_order_mark_is_called_by_its_name() {
    let repo = polyphony();
    rewrite(&repo, |bytes| [b"\xef\xbb\xbf", bytes.as_slice()].concat());
    repo.commit("BOM");
    let said = refused(plan(repo.path(), &["--base", "HEAD~1"]));
    assert!(said.contains("tracks.artist_market__0:1:1: "), "{said}");
    assert!(said.contains("byte order mark"), "{said}");
}

#[test]
fn a_cache_never_changes_an_answer() {
    let repo = polyphony();
    let ask = |args: &[&str]| {
        let args = [&["--base", "main", "--format", "json"], args].concat();
        let answer = plan(repo.path(), &args);
        assert_eq!((answer.code, answer.stderr.as_str()), (0, ""));
        answer.stdout
    };
    let want = ask(&["--no-cache"]);
    let folder = repo.path().join(".git/chronon-plan");
    assert!(!folder.exists(), "nobody asked for one");
    assert_eq!(ask(&[]), want);
    let file = folder.join("facts");
    let good = fs::read(&file).unwrap();
    assert_eq!(ask(&[]), want);
    assert_eq!(fs::read(&file).unwrap(), good, "a second run writes nothing");
    for at in (0..good.len()).step_by(good.len() / 40 + 1).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0xff;
        fs::write(&file, &bad).unwrap();
        assert_eq!(ask(&[]), want, "byte {at} flipped");
        fs::write(&file, &good[..at]).unwrap();
        assert_eq!(ask(&[]), want, "cut at {at}");
    }
    for garbage in [&b""[..], b"\0", b"chronon-plan facts\n", &[0xff; 4096]] {
        fs::write(&file, garbage).unwrap();
        assert_eq!(ask(&[]), want);
        assert_eq!(fs::read(&file).unwrap(), good, "it is made anew");
    }
    fs::write(&file, [&good[..], b"more"].concat()).unwrap();
    assert_eq!(ask(&[]), want);
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert_eq!(ask(&[]), want, "a folder in its place");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "no draft is left");
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&folder, "a file in the place of its folder").unwrap();
    assert_eq!(ask(&[]), want);
    fs::remove_file(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    let mut mode = fs::metadata(&folder).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(&folder, mode).unwrap();
    assert_eq!(ask(&[]), want, "a folder that nobody may write to");
}

/// The addresses of a plan's list.
fn configs<'a>(plan: &'a Value, list: &str) -> Vec<&'a str> {
    plan[list].as_array().unwrap().iter().map(|it| it["config"].as_str().unwrap()).collect()
}

/// From nothing everything is new, to nothing everything is left behind.
fn from_nothing_and_back(tree: &Path, root: &str, idle: &[&str]) {
    let repo = Repo::new();
    repo.write("README.md", "nothing yet");
    repo.commit("nothing");
    repo.copy(tree, root);
    repo.commit("everything");
    let all = plan_json(repo.path(), &["--base", "HEAD~1", "--root", root]);
    let (changes, steps) = (configs(&all, "changes"), configs(&all, "steps"));
    let kinds = ["group_bys/", "joins/", "staging_queries/"];
    let files = repo.git(&["ls-files", root]);
    let is = |it: &&str| kinds.iter().any(|kind| it.starts_with(kind));
    let there = files.lines().filter_map(|it| it.strip_prefix(root)?.strip_prefix('/')).filter(is);
    assert_eq!(changes.iter().copied().filter(|it| is(it)).count(), there.count());
    assert!(all["changes"].as_array().unwrap().iter().all(|it| it["kind"] == "added"));
    let mut without: Vec<&str> =
        changes.iter().copied().filter(|it| is(it) && !steps.contains(it)).collect();
    without.sort_unstable();
    assert_eq!(without, idle, "{root}: only what is never scheduled needs no job");

    let none = plan_json(repo.path(), &["--base", "HEAD", "--head", "HEAD~1", "--root", root]);
    assert_eq!(configs(&none, "steps"), [""; 0]);
    assert_eq!(configs(&none, "changes"), changes);
    assert!(none["changes"].as_array().unwrap().iter().all(|it| it["kind"] == "removed"));
    let left = configs(&none, "orphans");
    for config in changes.iter().filter(|it| is(it) && !idle.contains(it)) {
        assert!(left.contains(config), "{config} leaves something behind");
    }
    for format in ["text", "markdown"] {
        plan(repo.path(), &["--base", "HEAD~1", "--root", root, "--format", format]).ok();
        let back = ["--base", "HEAD", "--head", "HEAD~1", "--root", root, "--format", format];
        plan(repo.path(), &back).ok();
    }
}

#[test]
fn from_nothing_everything_is_new_and_to_nothing_everything_is_left() {
    let idle = ["group_bys/discovery.taste.track_mood__0"];
    from_nothing_and_back(&project().join("fixtures/zipline/base/compiled"), "compiled", &idle);
    let never = ["joins/ranking.scratch.never"];
    from_nothing_and_back(&project().join("fixtures/oss/base/production"), "production", &never);
}

#[test]
fn the_corpus_can_be_planned_from_nothing() {
    let Some(corpus) = corpus() else { return };
    let idle = ["joins/sample_team.sample_join.never"];
    for root in ["production", "airbnb-production"] {
        from_nothing_and_back(&corpus.join("airbnb-production"), root, &idle);
    }
}
