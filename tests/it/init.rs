//! `init` and the action: what is written, what is refused, and how the action gets its program.
//!
//! Whether GitHub would take the files is for the linters (`tests/lint_workflows.py`) and for a run of
//! the action (`tests/act.py`).

use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use sha2::Digest;

use crate::support::Repo;
use crate::support::Run;
use crate::support::golden;
use crate::support::project;
use crate::support::run;

const PLAN: &str = ".github/workflows/chronon-plan.yml";
const FORKS: &str = ".github/workflows/chronon-plan-forks.yml";
const SETTINGS: &str = "chronon-plan.toml";

const STATE: [&str; 2] = ["--state", "gs://acme-state/chronon-plan"];
const GOOGLE: [&str; 6] = [
    "--workload-identity-provider",
    "projects/123456789012/locations/global/workloadIdentityPools/github/providers/github",
    "--service-account",
    "apply@acme.iam.gserviceaccount.com",
    "--plan-service-account",
    "plan@acme.iam.gserviceaccount.com",
];

fn init(repo: &Repo, options: &[&str]) -> Run {
    run(repo.path(), &[&["init"][..], options].concat())
}

fn read(repo: &Repo, path: &str) -> String {
    fs::read_to_string(repo.path().join(path)).unwrap()
}

/// The files of a dry run, by path.
fn printed(text: &str) -> Vec<(&str, &str)> {
    let files = text.strip_prefix("# file: ").unwrap().split("\n# file: ");
    let mut files: Vec<(&str, &str)> = files.map(|file| file.split_once('\n').unwrap()).collect();
    // What splits them ends a line.
    files.iter_mut().for_each(|file| file.1 = file.1.trim_end());
    files
}

/// What a part of a workflow says, from its name to the next of the same depth.
fn job<'w>(workflow: &'w str, name: &str) -> &'w str {
    let start = workflow.find(&format!("\n  {name}:\n")).unwrap() + 1;
    let rest = &workflow[start..];
    let next = rest
        .match_indices("\n  ")
        .skip(1)
        .find(|(at, _)| rest[at + 3..].starts_with(|c: char| c.is_ascii_lowercase()));
    next.map_or(rest, |(at, _)| &rest[..at])
}

fn compiled() -> Repo {
    let repo = Repo::new();
    repo.copy(&project().join("fixtures/zipline/base/compiled"), "compiled");
    repo.commit("base");
    repo
}

#[test]
fn its_help_shows_how_it_is_used() {
    let help = run(&project(), &["init", "--help"]).ok();
    assert!(help.contains("EXAMPLES\n") && help.contains("\n  chronon-plan init --"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn the_workflows_of_the_documents_are_what_it_prints() {
    let repo = compiled();
    let production = [&STATE[..], &GOOGLE, &["--compile", "--forks", "--dry-run"]].concat();
    let first = init(&repo, &["--dry-run"]).ok();
    let production = init(&repo, &production).ok();
    let shown = |text: &str, path: &str, name: &str| {
        let files = printed(text);
        let file = files.iter().find(|file| file.0 == path).unwrap();
        golden(&project().join("docs/workflows").join(name), &format!("{}\n", file.1));
    };
    shown(&first, PLAN, "first-try.yml");
    shown(&production, PLAN, "google-cloud.yml");
    shown(&production, FORKS, "google-cloud-forks.yml");
    let names = |text: &str| printed(text).iter().map(|it| it.0.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&first), [SETTINGS, PLAN]);
    assert_eq!(names(&production), [SETTINGS, PLAN, FORKS]);
    assert!(!repo.path().join(".github").exists() && !repo.path().join(SETTINGS).exists());
}

#[test]
fn what_it_writes_is_what_it_printed_and_what_plan_reads() {
    let repo = compiled();
    let dry = init(&repo, &[&STATE[..], &["--dry-run", "--forks"]].concat()).ok();
    let told = init(&repo, &[&STATE[..], &["--forks"]].concat());
    assert!(told.stderr.contains("next: commit these files, and merge them into main"), "{told:?}");
    assert!(told.stderr.contains("chronon-plan state adopt --commit main"), "{told:?}");
    let lines: Vec<String> = [SETTINGS, PLAN, FORKS].map(|it| format!("{it}: written")).into();
    assert_eq!(told.ok().lines().collect::<Vec<_>>(), lines);
    for (path, text) in printed(&dry) {
        assert_eq!(read(&repo, path).trim_end(), text);
    }
    repo.commit("how it is planned");
    let plan =
        run(repo.path(), &["plan", "--base", "HEAD~1", "--no-state", "--format", "json"]).ok();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!((&plan["env"], &plan["summary"]["steps"]), (&"prod".into(), &0.into()));
    let validated = run(repo.path(), &["validate", "--env", "canary"]);
    assert!(validated.stderr.contains("has no env `canary`"), "{validated:?}");
}

#[test]
fn every_compiled_root_gets_an_env() {
    let repo = Repo::new();
    let from = project().join("fixtures/zipline/base/compiled");
    repo.copy(&from, "compiled");
    repo.commit("compiled");
    // Compiled and not committed yet.
    repo.copy(&from, "compiled_canary");
    init(&repo, &[]).ok();
    let settings = read(&repo, SETTINGS);
    assert!(settings.contains("default_env = \"prod\"\n"), "{settings}");
    assert!(settings.contains("[env.prod]\nroot = \"compiled\"\n"), "{settings}");
    assert!(settings.contains("[env.canary]\nroot = \"compiled_canary\"\n"), "{settings}");
    repo.commit("canary");
    for env in ["prod", "canary"] {
        run(repo.path(), &["plan", "--no-state", "--base", "HEAD", "--env", env]).ok();
    }
}

#[test]
fn an_empty_repository_is_enough() {
    let repo = Repo::new();
    let told = init(&repo, &["--compile"]);
    assert!(told.stderr.contains("note: there is no compiled root yet"), "{told:?}");
    told.ok();
    assert!(read(&repo, SETTINGS).contains("[env.prod]\n# root = "));
    assert!(read(&repo, PLAN).contains("for folder in .; do"));
    // And it may be called from a folder below.
    let below = Repo::new();
    below.write("some/where/file", "");
    run(&below.path().join("some/where"), &["init"]).ok();
    assert!(below.path().join(PLAN).is_file());
}

#[test]
fn compile_runs_where_the_roots_lie() {
    let repo = Repo::new();
    let from = project().join("fixtures/zipline/base/compiled");
    repo.copy(&from, "teams/ads/compiled");
    repo.copy(&from, "teams/risk/compiled");
    repo.commit("base");
    init(&repo, &["--compile"]).ok();
    assert!(read(&repo, PLAN).contains("for folder in teams/ads teams/risk; do"));
    assert!(read(&repo, SETTINGS).contains("[env.teams-risk-compiled]\n"));
}

#[test]
fn a_second_time_changes_nothing() {
    let repo = compiled();
    init(&repo, &["--forks"]).ok();
    let before = [read(&repo, PLAN), read(&repo, FORKS), read(&repo, SETTINGS)];
    let again = init(&repo, &["--forks"]).ok();
    assert_eq!(again.matches(": is there\n").count(), 3, "{again}");
    assert_eq!(before, [read(&repo, PLAN), read(&repo, FORKS), read(&repo, SETTINGS)]);
}

#[test]
fn nothing_is_overwritten_unless_forced_and_all_that_is_in_the_way_is_named() {
    let repo = compiled();
    let mine = "[env.prod]\nparallelism = 3\n";
    repo.write(PLAN, "mine");
    repo.write(SETTINGS, mine);
    let asked = [&STATE[..], &["--forks"]].concat();
    let refused = init(&repo, &asked);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    let files = format!("  {SETTINGS}\n  {PLAN}\n");
    assert!(refused.stderr.contains(&files), "{}", refused.stderr);
    assert!(refused.stderr.contains("with `--force`"), "{}", refused.stderr);
    assert_eq!((read(&repo, PLAN).as_str(), read(&repo, SETTINGS).as_str()), ("mine", mine));
    assert!(!repo.path().join(FORKS).exists(), "nothing is written where something is refused");
    let forced = init(&repo, &[&asked[..], &["--force"]].concat()).ok();
    assert_eq!(
        forced.lines().collect::<Vec<_>>(),
        [
            format!("{SETTINGS}: overwritten"),
            format!("{PLAN}: overwritten"),
            format!("{FORKS}: written")
        ]
    );
    assert!(read(&repo, SETTINGS).contains("gs://acme-state/chronon-plan"));
}

/// Settings are a person's work. They are in the way only where they do not say what was asked.
#[test]
fn settings_that_are_there_are_kept_even_by_force() {
    let repo = compiled();
    let mine = "[env.prod]\nstate = \"gs://acme-state/chronon-plan\"\nparallelism = 3\n";
    repo.write(SETTINGS, mine);
    for options in [&[][..], &["--force"], &[&STATE[..], &["--force"]].concat()] {
        let told = init(&repo, options).ok();
        assert!(told.contains("chronon-plan.toml: is there, kept as it is\n"), "{told}");
        assert_eq!(read(&repo, SETTINGS), mine);
        assert!(!read(&repo, PLAN).contains("actions/cache"), "the settings name a bucket");
    }
    repo.write(SETTINGS, "[env.prod]\nparallellism = 3\n");
    let broken = init(&repo, &["--force"]);
    assert_eq!(broken.code, 1);
    assert!(
        broken.stderr.contains("chronon-plan.toml:2: ") && broken.stderr.contains("`parallelism`"),
        "{broken:?}"
    );
    repo.write(SETTINGS, "[env.prod]\nstate = \"/mnt/ledger\"\n");
    let lost = init(&repo, &["--force"]);
    assert_eq!(lost.code, 1);
    assert!(lost.stderr.contains("`env.prod.state` is the folder `/mnt/ledger`"), "{lost:?}");
}

#[test]
fn what_airflow_is_left_to_run_is_collected_by_the_job_that_may_apply() {
    let repo = Repo::new();
    repo.write("compiled/joins/a/b.c__1", "{}");
    let settings = |more: &str| {
        let url = "url = \"https://airflow.acme.example\"\ndags = \"gs://acme-dags/chronon\"";
        format!("[env.prod]\nrunner = \"airflow\"\n[env.prod.airflow]\n{url}\n{more}\n")
    };
    let jobs = |more: &str| {
        repo.write(SETTINGS, settings(more));
        repo.commit("settings");
        init(&repo, &["--force"]).ok();
        let workflow = read(&repo, PLAN);
        assert!(!workflow.contains("pip install zipline-ai") && !workflow.contains("#["));
        let scheduled = |name| job(&workflow, name).contains("github.event_name == 'schedule'");
        let keys = workflow.matches("secrets.AIRFLOW_").count();
        (scheduled("plan"), scheduled("apply"), workflow.contains("cron: '17 * * * *'"), keys)
    };
    assert_eq!(jobs(""), (true, false, false, 3));
    assert_eq!(jobs("detach = \"ci\""), (false, true, true, 3));
    assert_eq!(jobs("detach = \"ci\"\nauth = \"google\""), (false, true, true, 0));
}

#[test]
fn jobs_of_ones_own_need_no_cli() {
    let repo = compiled();
    init(&repo, &[]).ok();
    assert!(job(&read(&repo, PLAN), "apply").contains("pip install zipline-ai=="));
    repo.write(SETTINGS, "[env.prod]\nrunner = \"command\"\ncommand = [\"./submit\"]\n");
    init(&repo, &["--force"]).ok();
    assert!(!read(&repo, PLAN).contains("pip install"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let repo = Repo::new();
    let oss = project().join("fixtures/oss/base/production");
    repo.copy(&oss, "production");
    repo.commit("base");
    let wrong = [
        "--state=ledger",
        "--workload-identity-provider=github",
        "--service-account=apply",
        "--plan-service-account=plan${{ x }}@acme.iam.gserviceaccount.com",
        "--action=./",
        "--compile",
    ];
    let refused = init(&repo, &wrong);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(
        refused.stderr.starts_with("error: this cannot be written, for 6 reasons\n"),
        "{refused:?}"
    );
    for option in wrong.map(|it| it.split('=').next().unwrap()) {
        assert!(refused.stderr.contains(&format!("\n  {option}")), "{option}: {refused:?}");
    }
    assert!(!repo.path().join(".github").exists());
    for state in ["gs://B", "gs://acme/a b", "gs://acme/a'b", "s3://acme/x", "gs://acme/${{ x }}"] {
        let refused = init(&repo, &["--state", state]);
        assert_eq!(refused.code, 1, "{state}");
        assert!(refused.stderr.contains("--state"), "{refused:?}");
    }
    // A provider without an account, or the other way round, logs nobody in.
    assert_eq!(init(&repo, &GOOGLE[..2]).code, 1);
    assert_eq!(init(&repo, &GOOGLE[2..4]).code, 1);
}

#[test]
fn where_there_is_no_work_tree_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = run(folder.path(), &["init"]);
    assert_eq!(nowhere.code, 1);
    assert!(nowhere.stderr.contains("next: or make one: `git init`"), "{nowhere:?}");
    let mut git = Command::new("git");
    assert!(git.args(["init", "-q", "--bare"]).arg(folder.path()).status().unwrap().success());
    let bare = run(folder.path(), &["init"]);
    assert_eq!(bare.code, 1);
    assert!(bare.stderr.contains("bare repository") && bare.stderr.contains("next: "), "{bare:?}");
    let repo = Repo::new();
    repo.write(".github", "a file");
    let blocked = init(&repo, &[]);
    assert_eq!(blocked.code, 1);
    assert!(blocked.stderr.contains(PLAN), "{blocked:?}");
}

#[test]
fn the_default_branch_is_the_one_that_is_applied() {
    let repo = compiled();
    repo.git(&["branch", "-m", "trunk"]);
    repo.git(&["update-ref", "refs/remotes/origin/trunk", "HEAD"]);
    repo.git(&["symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/trunk"]);
    init(&repo, &[]).ok();
    assert!(read(&repo, PLAN).contains("    branches: [trunk]\n"));
}

#[test]
fn every_option_has_its_effect_and_no_mark_is_left() {
    let repo = compiled();
    let all = [&STATE[..], &GOOGLE, &["--compile", "--forks", "--force"]].concat();
    init(&repo, &all).ok();
    let (workflow, forks) = (read(&repo, PLAN), read(&repo, FORKS));
    for text in [&workflow, &forks] {
        assert!(!text.contains("#["), "{text}");
        let values =
            ["<action>", "<branch>", "<folders>", "<zipline>", "<account>", "<plan-account>"];
        assert!(!values.iter().chain(&["<command>", "<provider>"]).any(|it| text.contains(it)));
    }
    let plan = job(&workflow, "plan");
    assert!(plan.contains("service_account: plan@acme.iam.gserviceaccount.com\n"));
    assert!(!plan.contains("apply@acme"), "who plans cannot write");
    assert!(
        job(&workflow, "apply").contains("service_account: apply@acme.iam.gserviceaccount.com\n")
    );
    assert!(!forks.contains("service_account: apply@acme"), "a fork's plan cannot write");
    assert!(forks.contains("service_account: plan@acme"));
    // What runs code of the branch has nothing that is worth stealing.
    let compile = job(&workflow, "compile");
    assert!(!compile.contains("id-token") && !compile.contains(": write"), "{compile}");
    assert!(!compile.contains("cache") && !compile.contains("secrets"), "{compile}");
    repo.remove(SETTINGS);
    let without = init(&repo, &["--force", "--action", &format!("a/b@{}", "0a".repeat(20))]);
    without.ok();
    let first = read(&repo, PLAN);
    assert!(!first.contains("id-token") && !first.contains("compile"), "{first}");
    assert!(first.contains("cache/restore@") && first.contains("cache/save@"));
    assert!(first.contains(&format!("- uses: a/b@{}\n", "0a".repeat(20))));
}

/// Rules that no linter knows, of every workflow in the documents.
#[test]
fn no_workflow_gives_more_than_it_must() {
    for name in ["first-try.yml", "google-cloud.yml", "google-cloud-forks.yml"] {
        let text = fs::read_to_string(project().join("docs/workflows").join(name)).unwrap();
        assert!(!text.contains("pull_request_target"), "{name}");
        assert!(text.contains("\npermissions: {}\n"), "{name}");
        let count = |what: &str| text.matches(what).count();
        assert_eq!(count("uses: actions/checkout@"), count("persist-credentials: false"), "{name}");
        assert_eq!(count("runs-on:"), count("timeout-minutes:"), "{name}");
        assert_eq!(count("runs-on:"), count("concurrency:"), "{name}");
        assert!(!text.contains("secrets."), "{name}");
    }
    let forks =
        fs::read_to_string(project().join("docs/workflows/google-cloud-forks.yml")).unwrap();
    assert_eq!(forks.matches("ref:").count(), 0, "the fork's commit is never checked out");
}

#[test]
fn the_readme_says_what_every_permission_is_for() {
    let readme = fs::read_to_string(project().join("README.md")).unwrap();
    let rows: Vec<&str> = readme.lines().filter(|line| line.matches(" | ").count() == 3).collect();
    let workflow = fs::read_to_string(project().join("docs/workflows/google-cloud.yml")).unwrap();
    let scopes = [": read #", ": write #"];
    let asked = workflow.lines().filter(|line| scopes.iter().any(|it| line.contains(it)));
    let asked: BTreeSet<&str> = asked.map(|line| line.split(" #").next().unwrap().trim()).collect();
    assert_eq!(asked.len(), 4, "{asked:?}");
    for permission in asked {
        assert!(
            rows.iter().any(|row| row.contains(&format!("| `{permission}` |"))),
            "{permission}"
        );
    }
}

/// The action with a stand-in for GitHub: the folder of the action, and what a runner gives it.
struct Action {
    folder: tempfile::TempDir,
    server: String,
}

const PROGRAM: &str = "#!/bin/sh\necho a program of the release\n";

impl Action {
    /// A copy of the action beside a server with these files; the path of each begins as GitHub's do.
    fn new(files: Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let action = folder.path().join("_actions/acme/chronon-plan");
        fs::create_dir_all(action.join("action")).unwrap();
        for file in ["Cargo.toml", "action/install.sh", "action/release.sh", "action/assets.txt"] {
            fs::copy(project().join(file), action.join(file)).unwrap();
        }
        Self { folder, server: serve(files) }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("_actions/acme/chronon-plan")
    }

    /// Puts a program into a folder that comes first on PATH.
    fn stand_in(&self, name: &str, script: &str) {
        let file = self.folder.path().join("bin").join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs install.sh as a runner of Linux on x86-64 does; gives what it said and the program.
    fn install(&self, variables: &[(&str, &str)]) -> (Run, Option<String>) {
        let outputs = self.folder.path().join("outputs");
        fs::write(&outputs, "").unwrap();
        let temporary = self.folder.path().join("temporary");
        fs::create_dir_all(&temporary).unwrap();
        let work = self.folder.path().join("work");
        fs::create_dir_all(&work).unwrap();
        let mut bash = Command::new("bash");
        bash.arg(self.path().join("action/install.sh")).env_clear().current_dir(&work);
        // Only the system's programs: no cargo but a stand-in's.
        let bin = self.folder.path().join("bin");
        bash.env("PATH", format!("{}:/usr/bin:/bin", bin.display()));
        bash.env("GITHUB_OUTPUT", &outputs).env("RUNNER_TEMP", &temporary);
        bash.env("GITHUB_SERVER_URL", &self.server);
        bash.envs([("RUNNER_OS", "Linux"), ("RUNNER_ARCH", "X64")]);
        bash.envs([("CHRONON_PLAN_REPOSITORY", "acme/chronon-plan"), ("CHRONON_PLAN_REF", "v0")]);
        let output = bash.envs(variables.iter().copied()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap_or(-1);
        let run = Run { code, stdout: text(output.stdout), stderr: text(output.stderr) };
        let outputs = fs::read_to_string(outputs).unwrap();
        (run, outputs.strip_prefix("binary=").map(|it| it.trim_end().to_owned()))
    }
}

/// Serves files over HTTP for as long as the test lives; any other path is not found.
fn serve(files: Vec<(String, String)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map(Result::unwrap);
            let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            let path = request[0].split(' ').nth(1).unwrap().trim_start_matches('/');
            let file = files.iter().find(|file| file.0 == path);
            let (status, body) = file.map_or(("404 Not Found", ""), |it| ("200 OK", &it.1));
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n", body.len());
            stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).unwrap();
        }
    });
    address
}

fn sha256(text: &str) -> String {
    sha2::Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The path of a file of this version's release.
fn asset(name: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!("acme/chronon-plan/releases/download/v{version}/{name}")
}

const LINUX: &str = "chronon-plan-x86_64-unknown-linux-musl";

fn released(digest: &str) -> Vec<(String, String)> {
    let sum = format!("{digest}  {LINUX}\n");
    vec![(asset(LINUX), PROGRAM.to_owned()), (asset(&format!("{LINUX}.sha256")), sum)]
}

#[test]
fn the_action_takes_the_program_of_its_release() {
    let action = Action::new(released(&sha256(PROGRAM)));
    for at in ["v0", "v0.1.0", &"0a".repeat(20)] {
        let (said, program) = action.install(&[("CHRONON_PLAN_REF", at)]);
        assert_eq!(said.code, 0, "{said:?}");
        let output = Command::new(program.unwrap()).output().unwrap();
        assert_eq!(output.stdout, b"a program of the release\n");
    }
    let pin = sha256(PROGRAM).to_uppercase();
    assert_eq!(action.install(&[("CHRONON_PLAN_SHA256", &pin)]).0.code, 0);
}

#[test]
fn a_program_with_another_checksum_is_not_run() {
    let wrong = sha256("another program");
    for (files, pin) in [(released(&wrong), ""), (released(&sha256(PROGRAM)), wrong.as_str())] {
        let action = Action::new(files);
        action.stand_in("cargo", "echo built >&2; exit 1");
        let (said, program) = action.install(&[("CHRONON_PLAN_SHA256", pin)]);
        assert_eq!((said.code, program), (1, None), "{said:?}");
        assert!(said.stdout.starts_with("::error title=chronon-plan::the SHA-256 of "), "{said:?}");
        assert!(said.stdout.contains(&sha256(PROGRAM)) && said.stdout.contains(&wrong), "{said:?}");
        assert!(!said.stderr.contains("built"), "it is an error, and no reason to build: {said:?}");
    }
}

#[test]
fn a_release_without_a_checksum_is_not_believed() {
    let action = Action::new(released("")[..1].to_vec());
    let (said, program) = action.install(&[]);
    assert_eq!((said.code, program), (1, None), "{said:?}");
    assert!(said.stdout.contains("but not its SHA-256"), "{said:?}");
}

/// A stand-in for cargo that writes down how it was called and builds a script.
const CARGO: &str = r#"
echo "cargo in $PWD: $*" >&2
while [ $# -gt 1 ]; do if [ "$1" = --target-dir ]; then target=$2; fi; shift; done
mkdir -p "$target/release" && printf '#!/bin/sh\necho built\n' >"$target/release/chronon-plan"
chmod +x "$target/release/chronon-plan"
"#;

#[test]
fn without_a_release_it_is_built_from_the_actions_own_source() {
    let action = Action::new(released(&sha256(PROGRAM)));
    action.stand_in("cargo", CARGO);
    let cases = [
        ("RUNNER_ARCH", "RISCV"),
        ("CHRONON_PLAN_REPOSITORY", "acme/elsewhere"),
        ("CHRONON_PLAN_REPOSITORY", ""),
        ("CHRONON_PLAN_REF", "main"),
        ("CHRONON_PLAN_REF", ""),
        ("GITHUB_SERVER_URL", "http://127.0.0.1:1"),
    ];
    for case in cases {
        let (said, program) = action.install(&[case]);
        assert_eq!(said.code, 0, "{case:?}: {said:?}");
        let output = Command::new(program.unwrap()).output().unwrap();
        assert_eq!(output.stdout, b"built\n", "{case:?}: {said:?}");
        // Started in the work tree, cargo would take its settings from the branch.
        let source = action.path();
        let call = format!(
            "cargo in {0}: build --release --locked --manifest-path {0}/Cargo.toml --target-dir ",
            source.display()
        );
        assert!(said.stderr.contains(&call), "{said:?}");
    }
    // A pin is a promise about what runs: a build cannot keep it.
    let pin = [("RUNNER_ARCH", "RISCV"), ("CHRONON_PLAN_SHA256", &sha256(PROGRAM))];
    let (said, program) = action.install(&pin);
    assert_eq!((said.code, program), (1, None), "{said:?}");
    action.stand_in("cargo", "exit 101");
    let (said, _) = action.install(&[("CHRONON_PLAN_REF", "main")]);
    assert!(said.code == 1 && said.stdout.contains("cannot be built on this runner"), "{said:?}");
}

#[test]
fn without_release_and_cargo_it_says_what_to_do() {
    let action = Action::new(Vec::new());
    let (said, program) = action.install(&[]);
    assert_eq!((said.code, program), (1, None), "{said:?}");
    assert!(said.stdout.contains("no cargo to build it; next: install Rust"), "{said:?}");
}

#[test]
fn a_program_that_is_given_is_taken() {
    let action = Action::new(Vec::new());
    action.stand_in("mine", "echo mine");
    let mine = action.folder.path().join("bin/mine").canonicalize().unwrap();
    for named in [mine.to_str().unwrap(), "../bin/mine"] {
        let (said, program) = action.install(&[("CHRONON_PLAN_BINARY", named)]);
        assert_eq!(said.code, 0, "{said:?}");
        assert_eq!(Path::new(&program.unwrap()).canonicalize().unwrap(), mine);
    }
    for wrong in ["/nowhere", "/tmp", "/etc/passwd"] {
        let (said, program) = action.install(&[("CHRONON_PLAN_BINARY", wrong)]);
        assert_eq!((said.code, program), (1, None), "{said:?}");
    }
    let pinned = [("CHRONON_PLAN_BINARY", "../bin/mine"), ("CHRONON_PLAN_SHA256", &sha256(""))];
    assert_eq!(action.install(&pinned).0.code, 1);
    let short = [("CHRONON_PLAN_BINARY", "../bin/mine"), ("CHRONON_PLAN_SHA256", "0a")];
    assert!(action.install(&short).0.stdout.contains("not 64 hexadecimal digits"));
}

/// What run.sh hands over, with a program that prints its arguments.
fn arguments(variables: &[(&str, &str)]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("a program");
    fs::write(&program, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut bash = Command::new("bash");
    let output = bash
        .arg(project().join("action/run.sh"))
        .env("CHRONON_PLAN_BINARY", &program)
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let code = output.status.code().unwrap_or(-1);
    Run { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}

#[test]
fn inputs_become_arguments_and_nothing_else() {
    let words = |variables: &[(&str, &str)]| -> Vec<String> {
        arguments(variables).ok().lines().map(str::to_owned).collect()
    };
    assert_eq!(words(&[]), ["ci", "--repo", "."]);
    let hostile = "$(touch x) * `y` ; \"";
    let all = [
        ("CHRONON_PLAN_REPO", "a b"),
        ("CHRONON_PLAN_ENV", "prod, canary *"),
        ("CHRONON_PLAN_ROOT", hostile),
        ("CHRONON_PLAN_SETTINGS", "my settings.toml"),
        ("CHRONON_PLAN_AS_OF", "2026-11-22"),
        ("CHRONON_PLAN_LOCK_TIMEOUT", "9"),
        ("CHRONON_PLAN_EXPLAIN", "true"),
        ("CHRONON_PLAN_CHECK_COMPILED", "false"),
    ];
    let want = [
        "ci",
        "--repo",
        "a b",
        "--env",
        "prod",
        "--env",
        "canary",
        "--env",
        "*",
        "--root",
        hostile,
        "--settings",
        "my settings.toml",
        "--as-of",
        "2026-11-22",
        "--lock-timeout",
        "9",
        "--explain",
    ];
    assert_eq!(words(&all), want);
    assert_eq!(words(&[("CHRONON_PLAN_CHECK_COMPILED", "true")])[3..], ["--check-compiled"]);
    let neither = arguments(&[("CHRONON_PLAN_EXPLAIN", "yes")]);
    assert_eq!(neither.code, 1);
    assert!(neither.stdout.contains("::input explain is neither true nor false"), "{neither:?}");
}

#[test]
fn the_release_builds_what_the_action_looks_for() {
    let release = |args: &[&str]| {
        let output =
            Command::new("bash").arg(project().join("action/release.sh")).args(args).output();
        String::from_utf8(output.unwrap().stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(release(&["version"]), env!("CARGO_PKG_VERSION"));
    let matrix: serde_json::Value = serde_json::from_str(&release(&["matrix"])).unwrap();
    let built: Vec<&str> =
        matrix.as_array().unwrap().iter().map(|it| it["asset"].as_str().unwrap()).collect();
    let runners = [("Linux", "X64"), ("Linux", "ARM64"), ("macOS", "ARM64"), ("macOS", "X64")];
    let looked_for: Vec<String> =
        runners.iter().map(|(os, arch)| release(&["asset", os, arch])).collect();
    assert_eq!(built, looked_for);
    assert_eq!(release(&["asset", "Windows", "X64"]), "");
    let workflow = fs::read_to_string(project().join(".github/workflows/release.yml")).unwrap();
    assert!(
        workflow.contains("action/release.sh matrix") && workflow.contains("cp \"target/$TARGET")
    );
}
