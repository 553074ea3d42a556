//! The whole story with the real zipline CLI: plan, apply, fail, mend, resume, redeploy, remove.
//! State is in the tests' storage service; only `java` and `gcloud` are stand-ins.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::support;
use crate::support::Repo;
use crate::support::Run;
use crate::support::forge::APPLY;
use crate::support::forge::Forge;
use crate::support::forge::PLAN;
use crate::support::forge::Site;
use crate::support::gcs::Gcs;
use crate::support::github::GitHub;
use crate::support::project;
use crate::support::standin::StandIns;
use crate::support::standin::zipline;

const CLEAN: &str = "staging_queries/catalog/plays.clean_plays__0";
const DAILY: &str = "staging_queries/catalog/plays.track_daily__0";
const POPULARITY: &str = "group_bys/catalog/tracks.track_popularity__0";
const PLAYS: &str = "group_bys/listening/plays.listener_plays__1";
const RADIO: &str = "joins/discovery/radio.radio_rank__3";

const STREAM: &str = "group_bys/listening.plays.listener_plays__1#streaming";

/// Values of conf and cluster settings, made easy to find; those of env have theirs already.
const PLANTED: [(&str, &str); 2] = [
    ("\"120\"", "\"hunter5-conf\""),
    ("\"dataproc.config\": \"", "\"dataproc.config\": \"hunter6 "),
];

/// What nobody may see.
const SECRETS: [&str; 3] = ["hunter", "masterConfig", "CUSTOMER_ID=polyphony"];

/// What the drivers print that store metadata.
const GOOD: &str = "INFO success count = 1, failure count = 0";

/// A feature repository, a machine to apply it from, and the services it talks to.
struct World {
    repo: Repo,
    machine: TempDir,
    gcs: Gcs,
    stand_ins: StandIns,
    env: Vec<(&'static str, String)>,
}

/// A repository with these configs of the fixtures at its first commit.
fn world(configs: &[&str], knobs: &Value) -> World {
    let machine = tempfile::tempdir().unwrap();
    let gcs = Gcs::start();
    gcs.state("state");
    ["artifacts", "warehouse", "flink"].iter().for_each(|bucket| gcs.bucket(bucket));
    for jar in ["cloud_gcp_lib_deploy", "service_assembly_deploy", "flink_assembly_deploy"] {
        // The same bytes in every test: the CLI keeps jars in one folder of the machine.
        gcs.put("artifacts", &format!("release/1.28.0/jars/{jar}.jar"), b"not a jar");
    }
    let bin = machine.path().join("bin");
    let stand_ins = StandIns::new(&bin, knobs);
    let env = vec![
        ("PATH", format!("{}:/usr/bin:/bin", bin.display())),
        ("HOME", machine.path().display().to_string()),
        ("TMPDIR", machine.path().join("tmp").display().to_string()),
        ("STORAGE_EMULATOR_HOST", gcs.endpoint()),
        ("GCP_PROJECT_ID", "proj-1".to_owned()),
        ("GCP_REGION", "region-1".to_owned()),
        ("GCP_BIGTABLE_INSTANCE_ID", "instance-1".to_owned()),
        ("WAREHOUSE_BUCKET", "warehouse".to_owned()),
    ];
    fs::create_dir(machine.path().join("tmp")).unwrap();
    let world = World { repo: Repo::new(), machine, gcs, stand_ins, env };
    world.repo.write("chronon-plan.toml", settings());
    world.take("base", configs);
    world.repo.commit("base");
    world
}

/// Settings without retries: a test that wants one to fail should not wait for the next.
fn settings() -> String {
    let program = zipline().join("zipline").display().to_string();
    let modes = ["backfill", "upload", "upload-to-kv", "metadata-upload"];
    let retries: String =
        modes.iter().map(|mode| format!("[env.prod.mode.{mode}]\nretries = 0\n")).collect();
    format!(
        // A program of several words, as `uvx zipline` is.
        "[env.prod]\nstate = \"gs://state/chronon\"\nprogram = [\"env\", \"{program}\"]\n\
         artifact_prefix = \"gs://artifacts\"\nversion = \"1.28.0\"\n\
         [env.prod.backfill]\nstart = \"2025-01-01\"\n{retries}\
         [env.prod.mode.streaming]\nretries = 0\nflink_state_uri = \"gs://flink/state\"\n"
    )
}

impl Site for World {
    fn repo(&self) -> &Repo {
        &self.repo
    }

    fn folder(&self) -> PathBuf {
        self.machine.path().join("ci")
    }

    fn equip(&self, command: &mut Command) {
        command.envs(self.env.iter().map(|it| (it.0, it.1.as_str())));
    }
}

impl World {
    /// Writes these compiled files, as `base` or a change of the fixtures has them.
    fn take(&self, from: &str, configs: &[&str]) {
        let folder = match from {
            "base" => "fixtures/zipline/base/compiled".to_owned(),
            change => format!("fixtures/zipline/changes/{change}/compiled"),
        };
        for config in configs {
            let text = fs::read_to_string(project().join(&folder).join(config)).unwrap();
            let text = PLANTED.iter().fold(text, |text, it| text.replace(it.0, it.1));
            self.repo.write(&format!("compiled/{config}"), text);
        }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = support::command(self.repo.path());
        command.args(args).envs(self.env.iter().map(|it| (it.0, it.1.as_str())));
        command
    }

    fn run(&self, args: &[&str]) -> Run {
        let output = self.command(args).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (stdout, stderr) = (text(output.stdout), text(output.stderr));
        Run { code: output.status.code().unwrap_or(-1), stdout, stderr }
    }

    /// Writes these compiled files and commits them.
    fn commit_now(&self, from: &str, configs: &[&str]) {
        self.take(from, configs);
        self.repo.commit(from);
    }

    /// Commits the work tree; gives the plan from the commit before.
    fn commit(&self, message: &str) -> Value {
        self.repo.commit(message);
        self.plan(&["--base", "HEAD~1"])
    }

    fn plan(&self, more: &[&str]) -> Value {
        let args = [&["plan", "--format", "json", "--as-of", DAY], more].concat();
        serde_json::from_str(&self.run(&args).ok()).unwrap()
    }

    fn adopt(&self) {
        self.run(&["state", "adopt", "--commit", "HEAD"]).ok();
    }

    fn apply(&self, more: &[&str]) -> Run {
        self.run(&[&["apply", "--yes", "--as-of", DAY], more].concat())
    }

    /// The files of the work tree become garbage; the commit has others.
    fn spoil(&self) {
        for file in support::files(&self.repo.path().join("compiled")) {
            fs::write(file, "garbage").unwrap();
        }
    }

    /// What the ledger says of one resource.
    fn applied(&self, config: &str, resource: &str) -> Value {
        let shown = self.run(&["state", "show", config, "--format", "json"]).ok();
        let shown: Value = serde_json::from_str(&shown).unwrap();
        let rows = shown["resources"].as_array().unwrap();
        rows.iter().find(|row| row["resource"] == resource).unwrap().clone()
    }

    /// Every text that a run left anywhere: outputs of jobs, state objects, temporary files.
    fn left(&self) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let folders = [self.repo.path().join(".chronon-plan"), self.machine.path().join("tmp")];
        let files = folders.iter().flat_map(|folder| support::files(folder));
        let files = files.map(|it| (it.display().to_string(), text(&fs::read(&it).unwrap())));
        let objects = self.gcs.names("state").into_iter().map(|name| {
            let object = self.gcs.object("state", &name).unwrap();
            (name, text(&object.bytes))
        });
        files.chain(objects).collect()
    }
}

const DAY: &str = "2026-11-22";

fn ids(plan: &Value) -> Vec<&str> {
    plan["steps"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap()).collect()
}

/// What java must be told so that a step's command is done: the same in the words of the drivers.
fn java_words(step: &Value) -> Vec<String> {
    let said = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "--mode" => format!("--original-mode={value}"),
            "--ds" | "--end-ds" => format!("--end-date={value}"),
            "--start-ds" => format!("--start-partition={value}"),
            "--version" => format!("--zipline-version={value}"),
            "--flink-state-uri" => format!("--streaming-manifest-path={value}/manifests"),
            "--artifact-prefix" => {
                format!("--jar-uri={value}/release/1.28.0/jars/cloud_gcp_lib_deploy.jar")
            }
            _ => word.to_owned(),
        }
    };
    // Behind `env`, the program, `run` and the config.
    step["argv"].as_array().unwrap()[4..].iter().map(|it| said(it.as_str().unwrap())).collect()
}

/// Which call of java was for a step.
fn call_of(calls: &[Vec<String>], step: &Value) -> usize {
    let file = format!("/{}", step["argv"][3].as_str().unwrap());
    let wanted = java_words(step);
    let fits = |call: &&Vec<String>| {
        let conf = call.iter().find_map(|word| word.strip_prefix("--local-conf-path="));
        conf.is_some_and(|it| it.ends_with(&file)) && wanted.iter().all(|it| call.contains(it))
    };
    let found: Vec<&Vec<String>> = calls.iter().filter(fits).collect();
    assert_eq!(found.len(), 1, "{}: {wanted:?}\n{calls:#?}", step["id"]);
    calls.iter().position(|call| call == found[0]).unwrap()
}

/// Java was called for each of these steps, once, after those that it waits for, and for no other.
fn assert_done(calls: &[Vec<String>], plan: &Value) {
    let steps = plan["steps"].as_array().unwrap();
    assert_eq!(calls.len(), steps.len(), "{calls:#?}");
    let at = |id: &Value| {
        steps.iter().find(|step| step["id"] == *id).map(|step| call_of(calls, step)).unwrap()
    };
    for step in steps {
        for before in step["after"].as_array().unwrap() {
            assert!(at(before) < at(&step["id"]), "{} runs before {before}", step["id"]);
        }
        // Nothing that a driver is not asked for: no date, no overwriting.
        let call = &calls[at(&step["id"])];
        let asked = java_words(step);
        for word in ["--end-date=", "--start-partition=", "--force-overwrite", "--no-savepoint"] {
            let has = |words: &[String]| words.iter().any(|it| it.starts_with(word));
            assert_eq!(has(call), has(&asked), "{word} {call:?}");
        }
    }
}

fn job_id(call: &[String]) -> &str {
    call.iter().find_map(|word| word.strip_prefix("--job-id=")).unwrap()
}

/// The files of the commit went to the drivers, not the garbage beside them.
fn assert_of_the_commit(world: &World, calls: &[Vec<String>]) {
    let value = |call: &[String], name: &str| {
        call.iter().find_map(|word| word.strip_prefix(name).map(str::to_owned))
    };
    let mut staged = 0;
    for call in calls {
        let Some(object) = value(call, "--files=gs://warehouse/") else { continue };
        let conf = value(call, "--local-conf-path=").unwrap();
        let committed = format!("HEAD:{}", &conf[conf.find("compiled/").unwrap()..]);
        let bytes = world.gcs.object("warehouse", &object).unwrap().bytes;
        assert_eq!(String::from_utf8(bytes).unwrap(), world.repo.git(&["show", &committed]));
        staged += 1;
    }
    assert_eq!(staged, calls.len() - 1, "all but the stream's");
}

/// What is secret in the configs stands in no output and in nothing that is left.
fn assert_no_secrets(world: &World, runs: &[&Run]) {
    let config = world.repo.git(&["show", &format!("HEAD:compiled/{PLAYS}")]);
    assert_eq!(config.matches("hunter").count(), 6, "{config}");
    let left = world.left();
    for name in ["LISTENS_API_TOKEN", "PLAYS_BROKER_PASSWORD"] {
        let shown = format!("{name}=***");
        assert!(left.iter().any(|it| it.0.ends_with(".log") && it.1.contains(&shown)), "{name}");
    }
    assert!(left.iter().any(|it| it.0.ends_with("state.json")));
    assert!(!left.iter().any(|it| it.0.contains("/tmp/chronon-plan-")), "temporary files are left");
    let said =
        runs.iter().map(|run| ("output".to_owned(), format!("{}{}", run.stdout, run.stderr)));
    for (place, text) in left.into_iter().chain(said) {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{place}: {text}");
        }
    }
}

/// Knobs for drivers that show their environment, and for jobs of some kinds.
fn knobs(of: &Value) -> Value {
    json!({"driver": [GOOD], "env": true, "of": of})
}

fn streams_run() -> Value {
    knobs(&json!({"--original-mode=streaming": {"states": ["RUNNING"]}}))
}

fn set<'a>(ids: &[&'a str]) -> BTreeSet<&'a str> {
    ids.iter().copied().collect()
}

#[test]
fn a_change_is_applied_and_what_failed_is_applied_once_mended() {
    let world = world(&[CLEAN, DAILY, POPULARITY, PLAYS, RADIO], &streams_run());
    world.adopt();
    world.take("staging-sql-changed", &[CLEAN]);
    world.take("remove-aggregation", &[PLAYS, RADIO]);
    let plan = world.commit("fewer plays, one feature less");
    assert_eq!(ids(&plan).len(), 11);
    world.spoil();
    let applied = world.apply(&["--approved", plan["digest"].as_str().unwrap()]);
    assert_eq!(applied.code, 0, "{}{}", applied.stdout, applied.stderr);
    assert!(applied.stdout.contains("Applied 11 steps"), "{}", applied.stdout);
    assert!(applied.stdout.contains("Planned again: no changes."), "{}", applied.stdout);
    let first = world.stand_ins.calls("java");
    assert_done(&first, &plan);
    assert_of_the_commit(&world, &first);
    assert_eq!(ids(&world.plan(&[])), [""; 0]);

    world.take("base", &[DAILY, POPULARITY]);
    world.take("staging-sql-changed", &[CLEAN]);
    world.take("topic-changed", &[PLAYS, RADIO]);
    let plan = world.commit("another topic");
    world.stand_ins.turn(&knobs(&json!({"--original-mode=upload": {"states": ["ERROR"]}})));
    world.spoil();
    let approved = plan["digest"].as_str().unwrap();
    let failed = world.apply(&["--approved", approved]);
    assert_eq!(failed.code, 5, "{}{}", failed.stdout, failed.stderr);
    assert!(failed.stderr.contains("ended as ERROR"), "{}", failed.stderr);
    assert!(failed.stdout.contains("2 steps done, 1 failed, 3 not started"), "{}", failed.stdout);
    let rest = world.plan(&["--base", "HEAD~1"]);
    let (all, left) = (set(&ids(&plan)), set(&ids(&rest)));
    let kept: Vec<&str> = all.difference(&left).copied().collect();
    assert!(left.is_subset(&all) && left.len() == 4, "{left:?}");
    assert!(kept[0].ends_with("listener_plays__1#metadata-upload"), "{kept:?}");
    assert!(kept[1].ends_with("radio_rank__3#backfill"), "{kept:?}");

    world.stand_ins.turn(&streams_run());
    let before = world.stand_ins.calls("java").len();
    // What is left of an approved plan is approved.
    let mended = world.apply(&["--approved", approved]);
    assert_eq!(mended.code, 0, "{}{}", mended.stdout, mended.stderr);
    assert!(mended.stdout.contains("Planned again: no changes."), "{}", mended.stdout);
    let calls = world.stand_ins.calls("java").split_off(before);
    assert_done(&calls, &rest);
    assert_no_secrets(&world, &[&applied, &failed, &mended]);
    // One process knows nothing of the last write of another; within one, the pace is kept.
    let only_locks = |it: &String| it.contains("/lock.json: more than one write a second");
    assert!(world.gcs.violations().iter().all(only_locks), "{:?}", world.gcs.violations());
}

/// Every word that was said in jobs and on GitHub.
fn assert_said_no_secrets(forge: &Forge<World>) {
    let folder = forge.stage.folder();
    let files = support::files(&folder).into_iter().filter(|it| !it.ends_with("event.json"));
    let read =
        |it: PathBuf| (it.display().to_string(), fs::read_to_string(&it).unwrap_or_default());
    let sent = forge.github.calls().into_iter().map(|it| (it.name, it.body.to_string()));
    for (place, text) in files.map(read).chain(sent) {
        for secret in SECRETS {
            assert!(!text.contains(secret), "{place}: {text}");
        }
    }
}

#[test]
fn a_pull_request_is_reviewed_merged_applied_fails_and_is_carried_on() {
    let world = world(&[CLEAN, DAILY, POPULARITY, PLAYS, RADIO], &streams_run());
    world.repo.write(
        "chronon-plan.toml",
        settings() + "[policy.breaking]\nwhen = \"online-breaking\"\napprovals = 1\n",
    );
    world.repo.commit("a policy");
    world.adopt();
    let forge = Forge::of(world, GitHub::start());
    let first =
        forge.open_by(7, &|| forge.stage.commit_now("staging-sql-changed", &[CLEAN]), |it| it);
    let opened = forge.pull_request(7, "opened").ended(0);
    assert_eq!(opened.outputs["breaking"], "false");
    let head = forge.push_by(7, &|| forge.stage.commit_now("remove-aggregation", &[PLAYS, RADIO]));
    let unapproved = forge.pull_request(7, "synchronize").ended(6);
    assert_eq!(forge.conclusion(&first, PLAN), "success");
    assert_eq!(forge.conclusion(&head, PLAN), "action_required");
    assert!(forge.comment(7).edits == 1 && forge.comment(7).body.contains("online-breaking"));
    forge.github.role("rolf", "write");
    forge.github.review(7, "rolf", "APPROVED", &head);
    let planned = forge.pull_request(7, "edited").ended(0);
    assert_eq!(planned.outputs["steps"], "11");

    // Merged; an upload fails.
    let landed = forge.squash(7);
    let error = json!({"--original-mode=upload": {"states": ["ERROR"]}});
    forge.stage.stand_ins.turn(&knobs(&error));
    let failed = forge.pushed(&landed).ended(5);
    let body = forge.comment(7).body;
    assert!(body.contains("ended as ERROR") && body.contains("/chronon-plan apply"), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "failure");

    // Mended, and run again: the rest is done, nothing twice.
    forge.stage.stand_ins.turn(&streams_run());
    let again = forge.pushed(&landed).ended(0);
    let body = forge.comment(7).body;
    assert!(body.contains("✅") && body.contains("re-plan: no changes"), "{body}");
    assert_eq!(forge.conclusion(&landed.1, APPLY), "success");
    assert_eq!(ids(&forge.stage.plan(&[])), [""; 0]);
    let mut done: Vec<String> = Vec::new();
    for call in forge.stage.stand_ins.calls("java") {
        let of = |name: &str| call.iter().find_map(|it| it.strip_prefix(name)).unwrap_or_default();
        let conf = of("--local-conf-path=").rsplit('/').next().unwrap_or_default().to_owned();
        done.push(format!("{conf} {}", of("--original-mode=")));
    }
    let uploads = done.iter().filter(|it| it.ends_with(" upload")).count();
    done.sort();
    done.dedup();
    assert_eq!(done.len(), 11, "{done:#?}");
    assert_eq!(uploads, 4, "two uploads failed, and were done again");
    forge.assert_clean(&[&opened, &unapproved, &planned, &failed, &again]);
    assert_said_no_secrets(&forge);
    assert_no_secrets(&forge.stage, &[&failed.run, &again.run]);
}

#[test]
fn a_stream_is_known_by_its_job_and_only_looked_at_while_it_runs() {
    let world = world(&[PLAYS], &json!({"states": ["RUNNING"]}));
    world.adopt();
    // Nobody knows yet which job it is, and none runs: it is deployed.
    let forced = world.apply(&["--force", STREAM]);
    assert_eq!(forced.code, 0, "{}{}", forced.stdout, forced.stderr);
    let calls = world.stand_ins.calls("java");
    let modes: Vec<&str> = calls
        .iter()
        .map(|call| call.iter().find_map(|it| it.strip_prefix("--streaming-mode=")).unwrap())
        .collect();
    assert_eq!(modes, ["check-if-job-is-running", "deploy"]);
    let job = job_id(&calls[1]).to_owned();
    let config = STREAM.split('#').next().unwrap();
    assert_eq!(world.applied(config, "stream")["job"], job.as_str());
    assert!(world.run(&["state", "show", config]).ok().contains(&job));
    // It runs: it stays, and the ledger goes on knowing it.
    world.stand_ins.turn(&json!({"runs": job, "states": ["RUNNING"]}));
    let again = world.apply(&["--force", STREAM]);
    assert_eq!(again.code, 0, "{}{}", again.stdout, again.stderr);
    assert_eq!(world.stand_ins.calls("java").len(), 3);
    assert_eq!(world.applied(config, "stream")["job"], job.as_str());
    // Nor is it forgotten where somebody says once more that this is what runs.
    let adopted = world.run(&["state", "adopt", "--commit", "HEAD"]);
    assert_eq!((adopted.code, adopted.stdout.as_str()), (0, ""), "{}", adopted.stderr);
    assert!(adopted.stderr.contains("nothing was written"), "{}", adopted.stderr);
    assert_eq!(world.applied(config, "stream")["job"], job.as_str());
    // Without its config the job is an orphan that somebody can stop.
    world.repo.remove(&format!("compiled/{PLAYS}"));
    world.take("base", &[POPULARITY]);
    let plan = world.commit("no more plays");
    let orphans = plan["orphans"].as_array().unwrap();
    let orphan = orphans.iter().find(|it| it["resource"] == "stream").unwrap();
    assert!(orphan["what"].as_str().unwrap().contains(&job), "{orphan}");
    let stop = format!("gcloud dataproc jobs kill '{job}'");
    assert!(orphan["remove_with"].to_string().contains(&stop), "{orphan}");
}

#[test]
fn the_job_of_a_killed_apply_is_waited_for_and_not_submitted_again() {
    let world = world(&[CLEAN], &json!({"sleep": 4}));
    world.adopt();
    world.take("staging-sql-changed", &[CLEAN]);
    assert_eq!(ids(&world.commit("more plays")).len(), 1);
    let mut killed = world
        .command(&["apply", "--yes", "--as-of", DAY, "--format", "json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(killed.stdout.take().unwrap()).lines();
    let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let submitted = lines.find(|it| it["event"] == "submitted").unwrap();
    let job = submitted["job"].as_str().unwrap();
    killed.kill().unwrap();
    killed.wait().unwrap();
    // What it could not tidy up any more is for nobody else's eyes: configs hold secrets.
    let folders = fs::read_dir(world.machine.path().join("tmp")).unwrap();
    let mode = |it: fs::DirEntry| it.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(folders.map(|it| mode(it.unwrap())).collect::<Vec<_>>(), [0o700]);
    let begin = Instant::now();
    let next = world.apply(&[]);
    assert_eq!(next.code, 0, "{}{}", next.stdout, next.stderr);
    assert!(begin.elapsed() > Duration::from_secs(2), "the CLI was still there");
    let found = format!("looking for the job that an earlier run submitted as {job}");
    assert!(next.stderr.contains(&found), "{}", next.stderr);
    let calls = world.stand_ins.calls("java");
    assert_eq!(calls.len(), 1, "{calls:#?}");
    assert_eq!(job_id(&calls[0]), job);
    assert_eq!(world.applied("staging_queries/catalog.plays.clean_plays__0", "table")["job"], job);
    assert_eq!(ids(&world.plan(&[])), [""; 0]);
}

#[test]
fn metadata_that_could_not_be_stored_is_not_applied() {
    let world = world(&[PLAYS], &json!({"driver": ["success count = 3, failure count = 2"]}));
    world.adopt();
    world.take("tags-only", &[PLAYS]);
    let plan = world.commit("a tag");
    let step = "group_bys/listening.plays.listener_plays__1#metadata-upload";
    assert_eq!(ids(&plan), [step]);
    let failed = world.apply(&[]);
    assert_eq!(failed.code, 5, "{}{}", failed.stdout, failed.stderr);
    let said = format!("✗ {step}: 2 entries of the metadata could not be stored");
    assert!(failed.stderr.contains(&said), "{}", failed.stderr);
    assert_eq!(ids(&world.plan(&[])), [step]);
}

#[test]
fn what_would_go_wrong_is_said_before_anything_is_journaled() {
    let mut world = world(&[PLAYS], &json!({}));
    world.adopt();
    world.take("topic-changed", &[PLAYS]);
    world.repo.write("chronon-plan.toml", settings().replace("flink_state_uri", "kafka_bootstrap"));
    world.commit("another topic");
    world.env.retain(|it| it.0 != "GCP_REGION");
    let before = world.gcs.names("state");
    let refused = world.apply(&[]);
    assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
    for said in ["GCP_REGION is not set (4 jobs)", "nothing says where Flink keeps its state"] {
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    for next in ["next: set GCP_REGION in", "next: set `env.*.flink_state_uri`"] {
        assert!(refused.stderr.contains(next), "{}", refused.stderr);
    }
    for (option, what) in [("--archived", "joins/nosuch"), ("--done", "joins/nosuch#backfill")] {
        let refused = world.apply(&[option, what]);
        assert_eq!(refused.code, 1, "{}{}", refused.stdout, refused.stderr);
        let says = |it: &str| refused.stderr.contains(it);
        assert!(says(option) && says(what) && says("\nnext: "), "{}", refused.stderr);
    }
    assert_eq!(world.stand_ins.calls("java").len(), 0);
    let after = world.gcs.names("state");
    let new: Vec<&String> = after.iter().filter(|it| !before.contains(it)).collect();
    assert!(!new.iter().any(|it| it.contains("journal")), "{new:?}");
    assert_eq!(world.run(&["lock", "show"]).ok(), "The lock is free.\n");
}

#[test]
fn the_plan_of_what_is_merged_is_the_plan_that_is_applied() {
    let world = world(&[PLAYS], &json!({}));
    world.adopt();
    world.take("tags-only", &[PLAYS]);
    world.repo.commit("a tag, on main");
    let shown = world.plan(&[]);
    let dry = world.run(&["apply", "--dry-run", "--format", "json", "--as-of", DAY]).ok();
    let applied: Value = serde_json::from_str(&dry).unwrap();
    assert_eq!(ids(&shown).len(), 1);
    assert_eq!(shown, applied);
    // A branch is still compared with the point where it left main.
    world.repo.git(&["checkout", "-q", "-b", "branch"]);
    world.take("topic-changed", &[PLAYS]);
    let before = world.repo.git(&["rev-parse", "main"]);
    world.repo.commit("another topic");
    assert_eq!(world.plan(&[])["base"]["commit"], before.trim());
}
