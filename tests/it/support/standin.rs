//! Stand-ins for the two programs that the zipline CLI starts and no test can have: the submitter
//! in Java, whose jar is not published, and `gcloud`, which needs a cloud.
//!
//! # Why
//! Everything else is real: the CLI, its HTTP to the bucket, its exit codes. What a stand-in does
//! is told per test by knobs, so that each way in which a job can end or lie has a test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use super::project;

const JAVA: &str = r#"
"""Stand-in for java in tests: plays the job submitter of the zipline CLI, and is not Java."""
import json, os, sys, time, urllib.parse, urllib.request

folder = os.path.dirname(os.path.abspath(__file__))
argv = sys.argv[1:]
with open(os.path.join(folder, "java.jsonl"), "a") as calls:
    calls.write(json.dumps(argv) + "\n")
knobs = json.load(open(os.path.join(folder, "knobs.json")))
for words, more in knobs.get("of", {}).items():
    if set(words.split()) <= set(argv):
        knobs.update(more)


def option(name):
    return next((word.split("=", 1)[1] for word in argv if word.startswith(name + "=")), None)


for name, value in os.environ.items() if knobs.get("env") else []:
    print(f"{name}={value}")
time.sleep(knobs.get("sleep", 0))
if knobs.get("exit"):
    print("Exception in thread main: made to fail", file=sys.stderr)
    sys.exit(knobs["exit"])
job = option("--job-id")
for line in knobs.get("says", []):
    print(line)
looks = option("--streaming-mode") == "check-if-job-is-running"
if looks and isinstance(knobs.get("runs"), str):
    job = knobs["runs"]
if knobs.get("id", True) and not (looks and not knobs.get("runs")):
    print(f"2026-01-01 INFO Dataproc submitter job id: {job}", flush=True)
if looks and not knobs.get("runs"):
    print("no stream of this name runs", file=sys.stderr)
    sys.exit(1)
manifests = option("--streaming-manifest-path")
if manifests and not looks and knobs.get("manifest", True):
    bucket, path = manifests.removeprefix("gs://").split("/", 1)
    name = urllib.parse.quote(f"{path}/{option('--groupby-name')}/manifest.txt", safe="")
    host = os.environ["STORAGE_EMULATOR_HOST"]
    url = f"{host}/upload/storage/v1/b/{bucket}/o?uploadType=media&name={name}"
    body = f"flinkJobId=flink-1,parentJobId={job}".encode()
    request = urllib.request.Request(url, data=body, headers={"content-type": "text/plain"})
    urllib.request.urlopen(request).read()
"#;

const GCLOUD: &str = r#"
"""Stand-in for gcloud in tests: answers about jobs as it is told, and is not gcloud."""
import json, os, sys, urllib.parse, urllib.request

folder = os.path.dirname(os.path.abspath(__file__))
argv = sys.argv[1:]
with open(os.path.join(folder, "gcloud.jsonl"), "a+") as calls:
    calls.write(json.dumps(argv) + "\n")
    calls.seek(0)
    asked = sum('"describe"' in call for call in calls)
knobs = json.load(open(os.path.join(folder, "knobs.json")))
if knobs.get("of"):
    javas = map(json.loads, open(os.path.join(folder, "java.jsonl")))
    job = next((java for java in javas if "--job-id=" + argv[3] in java), [])
    for words, more in knobs["of"].items():
        if set(words.split()) <= set(job):
            knobs.update(more)
match argv[:3]:
    case ["dataproc", "jobs", "wait"]:
        for line in knobs.get("driver", []):
            print(line, file=sys.stderr)
        sys.exit(knobs.get("wait", 0))
    case ["dataproc", "jobs", "describe"]:
        states = knobs.get("states", ["DONE"])
        state = states[min(asked, len(states)) - 1]
        if state == "NOT_FOUND":
            print("ERROR: (gcloud.dataproc.jobs.describe) NOT_FOUND: Not found: Job", file=sys.stderr)
            sys.exit(1)
        if state == "BROKEN":
            print("ERROR: (gcloud) There was a problem refreshing your tokens", file=sys.stderr)
            sys.exit(1)
        print(json.dumps({"reference": {"jobId": argv[3]}, "status": {"state": state}}, indent=1))
    case ["storage", "cat", uri]:
        bucket, name = uri.removeprefix("gs://").split("/", 1)
        name = urllib.parse.quote(name, safe="")
        host = os.environ["STORAGE_EMULATOR_HOST"]
        try:
            with urllib.request.urlopen(f"{host}/storage/v1/b/{bucket}/o/{name}?alt=media") as file:
                sys.stdout.write(file.read().decode())
        except urllib.error.HTTPError as error:
            sys.exit(f"ERROR: (gcloud.storage.cat) {error}")
    case _:
        sys.exit(f"the stand-in does not know this: {argv}")
"#;

/// The folder of the real CLI and of the Python that it runs in.
pub(crate) fn zipline() -> PathBuf {
    let bin = project().join("target/tools/zipline-1.28.0/bin");
    let missing =
        "the zipline CLI 1.28.0 is not installed: `make test` installs it, or see .ci/test";
    assert!(bin.join("zipline").exists(), "{missing}");
    bin
}

/// Programs `java` and `gcloud` in a folder of their own.
pub(crate) struct StandIns {
    folder: PathBuf,
}

impl StandIns {
    /// Writes them; the knobs say how they behave. Those under `of` hold for the jobs alone whose
    /// arguments have all these words.
    pub(crate) fn new(folder: &Path, knobs: &Value) -> Self {
        fs::create_dir_all(folder).unwrap();
        for (name, script) in [("java", JAVA), ("gcloud", GCLOUD)] {
            let file = folder.join(name);
            let python = zipline().join("python3");
            fs::write(&file, format!("#!{} -IS{script}", python.display())).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let stand_ins = Self { folder: folder.to_owned() };
        stand_ins.turn(knobs);
        stand_ins
    }

    /// Changes how they behave.
    pub(crate) fn turn(&self, knobs: &Value) {
        fs::write(self.folder.join("knobs.json"), knobs.to_string()).unwrap();
    }

    /// The arguments of every call so far.
    pub(crate) fn calls(&self, program: &str) -> Vec<Vec<String>> {
        let file = self.folder.join(format!("{program}.jsonl"));
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
