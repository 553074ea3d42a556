//! `apply FILE`: a saved plan is applied as it was read, or not at all.

use serde_json::Value;
use serde_json::json;

use crate::support::Run;
use crate::support::stage::DAY;
use crate::support::stage::Stage;

const DIGEST: &str = "discovery.digest.weekly_digest__0#backfill";
const TAGS: &str = "listening.plays.listener_plays__1#metadata-upload";
const RADIO: &str = "joins/discovery.radio.radio_rank__3";

/// Base applied, a commit that adds a join and one that changes a tag; the plan of both is saved.
struct Saved {
    stage: Stage,
    file: String,
}

impl Saved {
    fn new(changes: &[&str]) -> Self {
        let stage = Stage::new(changes);
        stage.adopt(&format!("HEAD~{}", changes.len()));
        let file = stage.path("plan.json").display().to_string();
        let saved = Self { stage, file };
        saved.save(&[]);
        saved
    }

    fn save(&self, args: &[&str]) {
        let plan = ["plan", "--as-of", DAY, "--format", "json", "--out", &self.file];
        self.stage.run(&[&plan[..], args].concat()).ok();
    }

    fn apply(&self, args: &[&str]) -> Run {
        self.stage.run(&[&["apply", &self.file, "--yes"], args].concat())
    }

    fn stale(&self, args: &[&str], why: &str) {
        let before = (self.stage.submissions(), self.stage.resources());
        let run = self.apply(args);
        assert_eq!((run.code, run.stdout.as_str()), (7, ""), "{}", run.stderr);
        assert!(run.stderr.contains(why), "{}", run.stderr);
        assert!(run.stderr.contains("\nnext: "), "{}", run.stderr);
        assert_eq!((self.stage.submissions(), self.stage.resources()), before);
    }
}

fn sorted(mut steps: Vec<String>) -> Vec<String> {
    steps.sort();
    steps
}

#[test]
fn a_saved_plan_is_applied() {
    let saved = Saved::new(&["new-join", "tags-only"]);
    // A later commit is none of its business, nor is another day.
    saved.stage.commit("offline-schedule-never");
    saved.apply(&[]).ok();
    assert_eq!(sorted(saved.stage.submitted()), [DIGEST, TAGS]);
    let dates = &saved.stage.submissions().into_iter().find(|it| it.step == DIGEST).unwrap().dates;
    assert!(dates.contains("--end-ds=2026-11-21"), "{dates}");
    assert_eq!(saved.stage.steps(), [""; 0]);
    // Applied, it asks for nothing more.
    saved.apply(&[]).ok();
    assert_eq!(saved.stage.submissions().len(), 2);
}

#[test]
fn a_saved_plan_brings_only_its_own_steps() {
    let saved = Saved::new(&["new-join", "tags-only"]);
    saved.save(&["--target", "joins/*"]);
    saved.apply(&[]).ok();
    assert_eq!(saved.stage.submitted(), [DIGEST]);
    assert_eq!(saved.stage.steps().len(), 1);
}

#[test]
fn what_was_applied_meanwhile_leaves_the_rest_of_a_saved_plan_good() {
    let saved = Saved::new(&["new-join", "tags-only"]);
    saved.stage.apply(&["--target", "joins/*"]).ok();
    assert_eq!(saved.stage.submitted(), [DIGEST]);
    saved.apply(&[]).ok();
    assert_eq!(saved.stage.submitted(), [DIGEST, TAGS]);
    assert_eq!(saved.stage.steps(), [""; 0]);
}

#[test]
fn an_interrupted_saved_plan_is_carried_on_by_the_same_file() {
    let saved = Saved::new(&["rename-group-by"]);
    saved.stage.knob("fail.catalog.tracks.track_heat__0#upload", "2");
    assert_eq!(saved.apply(&[]).code, 5);
    let before = saved.stage.submissions().len();
    saved.apply(&[]).ok();
    assert_eq!(saved.stage.submissions().len(), before + 2);
    assert_eq!(saved.stage.steps(), [""; 0]);
}

#[test]
fn a_step_that_would_run_differently_makes_a_saved_plan_stale() {
    let saved = Saved::new(&["join-derivation-renamed"]);
    saved.stage.settings("", "[env.prod.mode.backfill]\ncommand = [\"true\", \"{conf}\"]\n");
    saved.stale(&[], &format!("{RADIO}#backfill: it would run differently now"));
    saved.stage.settings("", "");
    // Not in the ledger any more, so nothing would notice what the table holds.
    saved.stage.run(&["state", "rm", &format!("{RADIO}#table")]).ok();
    saved.stale(&[], &format!("{RADIO}#backfill: it would run differently now"));
    saved.save(&[]);
    saved.apply(&[]).ok();
    assert_eq!(saved.stage.steps(), [""; 0]);
}

#[test]
fn a_saved_plan_belongs_to_one_ledger_env_and_place() {
    let saved = Saved::new(&["new-join"]);
    let stage = &saved.stage;
    let pulled = stage.run(&["state", "pull"]).ok();
    let mut other: Value = serde_json::from_str(&pulled).unwrap();
    other["lineage"] = json!("0123456789abcdef0123456789abcdef");
    std::fs::write(stage.path("other.json"), other.to_string()).unwrap();
    let push = stage.path("other.json").display().to_string();
    stage.run(&["state", "push", "--force", &push]).ok();
    saved.stale(&[], "another ledger");
    saved.save(&[]);

    let settings = std::fs::read_to_string(stage.path("settings.toml")).unwrap();
    let two = format!(
        "default_env = \"prod\"\n{settings}\n{}",
        settings.replace("env.prod", "env.other")
    );
    std::fs::write(stage.path("settings.toml"), two).unwrap();
    saved.stale(&["--env", "other"], "the plan is for env `prod`, not `other`");
    let state = stage.path("state").display().to_string();
    let moved = settings.replace(&state, &format!("{state}-moved"));
    std::fs::write(stage.path("settings.toml"), moved).unwrap();
    let run = saved.apply(&[]);
    assert_eq!(run.code, 7);
    assert!(run.stderr.contains(&format!("the plan was made for the state in {state}, not in")));
    std::fs::write(stage.path("settings.toml"), settings).unwrap();
    saved.apply(&[]).ok();
}

#[test]
fn what_does_not_contain_the_applied_commit_is_stale_unless_asked_for() {
    let saved = Saved::new(&["new-join"]);
    let stage = &saved.stage;
    stage.commit("tags-only");
    stage.apply(&[]).ok();
    saved.stale(&[], "which was applied last: applying it would undo that");
    let older = stage.apply(&["--head", "HEAD~1"]);
    assert_eq!((older.code, older.stdout.as_str()), (7, ""), "{}", older.stderr);
    assert!(older.stderr.contains("`--allow-older`"), "{}", older.stderr);
    assert_eq!(stage.submissions().len(), 2);
    // Asked for, it undoes the tag.
    stage.apply(&["--head", "HEAD~1", "--allow-older"]).ok();
    assert_eq!(stage.submitted()[2..], [TAGS]);
    // And the newer commit is applied on it as ever.
    assert_eq!(stage.steps(), [format!("group_bys/{TAGS}")]);
    stage.apply(&[]).ok();
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn a_clone_without_the_applied_commit_is_told_to_fetch_it() {
    let saved = Saved::new(&["new-join"]);
    let stage = &saved.stage;
    let mut ledger: Value = serde_json::from_str(&stage.run(&["state", "pull"]).ok()).unwrap();
    ledger["commit"] = json!("1234567890123456789012345678901234567890");
    std::fs::write(stage.path("other.json"), ledger.to_string()).unwrap();
    let push = stage.path("other.json").display().to_string();
    stage.run(&["state", "push", "--force", &push]).ok();
    let run = stage.apply(&[]);
    assert_eq!((run.code, run.stdout.as_str()), (7, ""), "{}", run.stderr);
    assert!(run.stderr.contains("is not in this clone"), "{}", run.stderr);
    assert!(run.stderr.contains("git fetch --unshallow"), "{}", run.stderr);
    assert_eq!(stage.submissions(), []);
    // Where history was rewritten, somebody says what to compare with.
    stage.apply(&["--base", "HEAD~1", "--allow-older"]).ok();
    assert_eq!(stage.steps(), [""; 0]);
}

#[test]
fn a_file_that_is_no_plan_is_refused() {
    let saved = Saved::new(&["new-join"]);
    for (content, why) in [("{", "plan.json"), ("{\"schema_version\": 99}", "plan.json")] {
        std::fs::write(&saved.file, content).unwrap();
        let run = saved.apply(&[]);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        assert!(run.stderr.contains(why) && run.stderr.contains("next: "), "{}", run.stderr);
    }
    assert_eq!(saved.stage.submissions(), []);
}

#[test]
fn what_a_saved_plan_forces_is_run_though_nothing_asks_for_it() {
    let saved = Saved::new(&["new-join"]);
    saved.stage.apply(&[]).ok();
    let before = saved.stage.submissions().len();
    saved.save(&["--base", "HEAD~1", "--force", &format!("joins/{DIGEST}")]);
    saved.apply(&[]).ok();
    assert_eq!(saved.stage.submissions().len(), before + 1);
}
