"""What the tests of the Airflow loader need: manifests and packs by the published form, a bucket,
stand-ins for java and gcloud, and a receiver of alerts.

Nothing here depends on the Rust side: the form is written down here a second time, so that the two
check each other. A test file runs under the Python of the Airflow that it is to test.
"""

import atexit
import contextlib
import hashlib
import http.server
import json
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
import urllib.parse
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECT = os.path.dirname(os.path.dirname(HERE))
LOADER = os.path.join(PROJECT, "src", "schedule", "airflow", "chronon_dags.py")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
DAILY = {"format": "yyyy-MM-dd", "minutes": 1440}
HOURLY = {"format": "yyyy-MM-dd-HH", "minutes": 60}


def scratch(prefix="chronon-airflow-"):
    """The one folder of all that these tests and their programs write: it is gone when they are
    over, and when they were killed the next ones remove it."""
    system, owner = tempfile.gettempdir(), os.getpid()
    for name in os.listdir(system):
        pid = name[len(prefix) :].partition("-")[0] if name.startswith(prefix) else ""
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(system, name), ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{prefix}{owner}-")

    def remove():
        # What was forked from here ends too, and others may write to the very end.
        for _ in range(5 if os.getpid() == owner else 0):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.5)

    atexit.register(remove)
    tempfile.tempdir = os.environ["TMPDIR"] = folder
    return folder


SCRATCH = scratch()


def temporary(prefix):
    """A folder that is gone when the tests are over."""
    return tempfile.mkdtemp(prefix=prefix, dir=SCRATCH)


def canonical(document):
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode()


def digest(content):
    return hashlib.sha256(content).hexdigest()


# --- What is published ---------------------------------------------------------------------------

TEAM = {
    "owner": "payments", "emails": [], "queue": None, "pool": "default_pool", "priority": 0,
    "concurrency": 16, "start": "2026-01-01", "retries": 0, "retry_minutes": 0.001,
    "poke_minutes": 0.01, "wait_hours": 24, "bigtable_instance": None, "staging_bucket": None,
    "alerts": [],
}  # fmt: skip


def config(name, **env):
    """A compiled config with settings."""
    settings = {"env": {"common": env}, "conf": {"common": {"spark.secret": "conf-hunter2"}}}
    return {"metaData": {"name": name, "executionInfo": settings}, "sources": []}


def publish(folder, files, jobs, dialect="zip", shared=(), steps=None, programs=()):
    """Writes a pack and its index; gives the index's digest."""
    pack, index = b"", {}
    for path, content in sorted(files.items()):
        plain = content if isinstance(content, bytes) else json.dumps(content).encode()
        packed = zlib.compress(plain)
        index[path] = [len(pack), len(packed), digest(plain), path in programs]
        pack += packed
    place = os.path.join(folder, "chronon_files")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, f"{digest(pack)}.pack"), "wb") as out:
        out.write(pack)
    document = canonical({
        "format": 1, "pack": digest(pack), "commit": COMMIT, "dialect": dialect, "files": index,
        "shared": sorted(shared), "jobs": jobs, "steps": steps or {},
    })  # fmt: skip
    with open(os.path.join(place, f"{digest(document)}.json"), "wb") as out:
        out.write(document)
    return digest(document)


def manifest(dags, files="0" * 64, **more):
    document = {
        "format": 1, "env": "prod", "dialect": "zip", "commit": COMMIT, "files": files,
        "state": None, "teams": {"payments": TEAM}, "sensor": {"kind": "metastore"},
        "cluster": {}, "publish_metrics": None, "breaker_days": 3, "dags": dags,
    }  # fmt: skip
    return {**document, **more}


def write_manifest(folder, document):
    """Writes a manifest with its digest, and the loader beside it."""
    os.makedirs(folder, exist_ok=True)
    shutil.copy(LOADER, folder)
    told = {**document, "digest": f"sha256:{digest(canonical(document))}"}
    with open(os.path.join(folder, "chronon_dags.json"), "wb") as out:
        out.write(canonical(told))


def dag(tasks, kind="batch", schedule="0 0 * * *", team="payments", **more):
    return {
        "kind": kind, "team": team, "schedule": schedule, "concurrency": 16,
        "tags": ["chronon", "env:prod"], "tasks": tasks, **more,
    }  # fmt: skip


def job(conf, mode, argv, after=(), **more):
    return {
        "kind": "job", "config": conf.split("/", 1)[1], "conf": conf, "mode": mode, "argv": argv,
        "grid": DAILY, "minutes": 5, "proof": "cli", "after": list(after), "priority": 1, **more,
    }  # fmt: skip


def partition(table, **more):
    return {
        "kind": "partition", "table": table, "column": "ds", "grid": DAILY, "lag": 0,
        "below": [], "first": None, "last": None, "of": DAILY, "after": [], "priority": 1,
        **more,
    }  # fmt: skip


def external(dag_id, task, **more):
    return {
        "kind": "external", "dag": dag_id, "task": task, "schedule": "0 0 * * *",
        "table": f"ns.{task}", "column": "ds", "below": [], "grid": DAILY, "lag": 0, "first": None, "last": None, "of": DAILY, "after": [],
        "priority": 1, **more,
    }  # fmt: skip


# --- A bucket ------------------------------------------------------------------------------------


class Bucket(http.server.ThreadingHTTPServer):
    """As much of Cloud Storage's JSON API as the CLI and the loader use, in memory."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), BucketHandler)
        self.objects, self.lock, self.serial = {}, threading.Lock(), 0
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def put(self, bucket, name, content, match=None):
        """Writes an object; gives none where it is not of the generation asked for."""
        with self.lock:
            current = self.objects.get((bucket, name), (b"", 0))[1]
            if match is not None and int(match) != current:
                return None
            self.serial += 1
            self.objects[bucket, name] = (content, self.serial)
            return self.describe(bucket, name)

    def describe(self, bucket, name):
        content, generation = self.objects[bucket, name]
        return {
            "kind": "storage#object", "bucket": bucket, "name": name, "size": str(len(content)),
            "generation": str(generation), "metageneration": "1", "contentType": "text/plain",
            "id": f"{bucket}/{name}/{generation}", "crc32c": crc32c(content),
        }  # fmt: skip

    def text(self, bucket, name):
        return self.objects[bucket, name][0].decode()


def crc32c(content):
    """The checksum that the bucket tells, as base64."""
    import base64

    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return base64.b64encode((crc ^ 0xFFFFFFFF).to_bytes(4, "big")).decode()


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, code, body=b"", kind="application/json", **headers):
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


class BucketHandler(Quiet):
    def parts(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        words = [urllib.parse.unquote(it) for it in url.path.strip("/").split("/")]
        return words, query

    def do_GET(self):
        words, query = self.parts()
        words = words[1:] if words[0] == "download" else words  # /download/storage/v1/b/…
        if words[:3] != ["storage", "v1", "b"] or len(words) < 6:
            return self.answer(404, {"error": {"code": 404, "message": "Not Found"}})
        bucket, name = words[3], words[5]
        found = self.server.objects.get((bucket, name))
        if not found:
            return self.answer(404, {"error": {"code": 404, "message": "Not Found"}})
        if query.get("ifGenerationMatch") not in (None, str(found[1])):
            return self.answer(412, {"error": {"code": 412, "message": "Precondition Failed"}})
        if query.get("alt") == "media":
            sums = {"X_Goog_Hash": f"crc32c={crc32c(found[0])}", "X_Goog_Generation": str(found[1])}
            return self.answer(200, found[0], "application/octet-stream", **sums)
        self.answer(200, self.server.describe(bucket, name))

    def do_POST(self):
        words, query = self.parts()
        body = self.body()
        bucket, name, content = words[4], query.get("name"), body
        if query.get("uploadType") == "multipart":
            mark = b"--" + self.headers["Content-Type"].split("boundary=")[1].strip('"').encode()
            pieces = body.split(mark)
            meta, content = (it.split(b"\r\n\r\n", 1)[1] for it in pieces[1:3])
            content = content[:-2]
            name = name or json.loads(meta)["name"]
        told = self.server.put(bucket, name, content, query.get("ifGenerationMatch"))
        if told is None:
            return self.answer(412, {"error": {"code": 412, "message": "Precondition Failed"}})
        self.answer(200, told)


# --- Who receives alerts -------------------------------------------------------------------------


class Receiver(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), ReceiverHandler)
        self.posts, self.code = [], 200
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"


class ReceiverHandler(Quiet):
    def do_POST(self):
        body = json.loads(self.body())
        self.server.posts.append((self.path, dict(self.headers), body))
        self.answer(self.server.code, {})


# --- Stand-ins for programs that no test can have ------------------------------------------------

JAVA = '''
"""Stand-in for java in tests: plays the job submitter of the zipline CLI, and is not Java."""
import json, os, sys, time, urllib.parse, urllib.request

folder = os.path.dirname(os.path.abspath(__file__))
argv = sys.argv[1:]
with open(os.path.join(folder, "java.jsonl"), "a") as calls:
    told = {k: os.environ.get(k) for k in ("GCP_DATAPROC_CLUSTER_NAME", "GCP_BIGTABLE_INSTANCE_ID")}
    files = sorted(os.path.join(at, it)[2:] for at, _, names in os.walk(".") for it in names)
    calls.write(json.dumps({"argv": argv, "env": told, "files": files}) + "\\n")
knobs = json.load(open(os.path.join(folder, "knobs.json")))
for words, more in knobs.get("of", {}).items():
    if set(words.split()) <= set(argv):
        knobs.update(more)


def option(name):
    return next((word.split("=", 1)[1] for word in argv if word.startswith(name + "=")), None)


job = option("--job-id")
open(os.path.join(folder, "pid"), "w").write(str(os.getpid()))
for name, value in os.environ.items() if knobs.get("env") else []:
    print(f"{name}={value}", flush=True)
looks = option("--streaming-mode") == "check-if-job-is-running"
if looks and isinstance(knobs.get("runs"), str):
    job = knobs["runs"]
if knobs.get("exit"):
    print("Exception in thread main: made to fail", file=sys.stderr)
    sys.exit(knobs["exit"])
for line in knobs.get("says", []):
    print(line)
time.sleep(knobs.get("sleep", 0))
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
'''

GCLOUD = '''
"""Stand-in for gcloud in tests: answers about jobs and clusters as it is told."""
import json, os, sys, urllib.error, urllib.parse, urllib.request

folder = os.path.dirname(os.path.abspath(__file__))
argv = sys.argv[1:]
with open(os.path.join(folder, "gcloud.jsonl"), "a") as calls:
    calls.write(json.dumps(argv) + "\\n")
knobs = json.load(open(os.path.join(folder, "knobs.json")))
javas = os.path.join(folder, "java.jsonl")
if knobs.get("of") and os.path.exists(javas):
    for java in map(json.loads, open(javas)):
        if any("--job-id=" + it in java["argv"] for it in argv[3:4]):
            for words, more in knobs["of"].items():
                if set(words.split()) <= set(java["argv"]):
                    knobs.update(more)


def fail(text):
    print("ERROR: (gcloud) " + text, file=sys.stderr)
    sys.exit(1)


clusters = os.path.join(folder, "clusters.json")


def known():
    return json.load(open(clusters)) if os.path.exists(clusters) else {}


def keep(state):
    json.dump(state, open(clusters, "w"))


match argv[:3]:
    case ["dataproc", "jobs", "wait"]:
        for line in knobs.get("driver", []):
            print(line, file=sys.stderr)
        sys.exit(knobs.get("wait", 0))
    case ["dataproc", "jobs", "kill"]:
        pass
    case ["dataproc", "jobs", "describe"]:
        state = knobs.get("state", "DONE")
        if state == "NOT_FOUND":
            fail("NOT_FOUND: Not found: Job")
        if state == "BROKEN":
            fail("There was a problem refreshing your tokens")
        print(json.dumps({"reference": {"jobId": argv[3]}, "status": {"state": state}}, indent=1))
    case ["dataproc", "clusters", "describe"]:
        if argv[3] not in known():
            fail("NOT_FOUND: Not found: Cluster")
        print(json.dumps({"status": {"state": known()[argv[3]]}}))
    case ["dataproc", "clusters", "create"]:
        if argv[3] in known():
            fail("ALREADY_EXISTS: Already exists")
        state = knobs.get("create", "RUNNING")
        keep({**known(), argv[3]: state})
        if state == "ERROR":
            fail("quota of CPUS is exceeded")
    case ["dataproc", "clusters", "delete"]:
        if argv[3] not in known():
            fail("NOT_FOUND: Not found: Cluster")
        if knobs.get("delete") == "BROKEN":
            fail("There was a problem refreshing your tokens")
        keep({k: v for k, v in known().items() if k != argv[3]})
    case ["storage", "cat", uri]:
        if knobs.get("cat") == "BROKEN":
            fail("HTTPError 403: no access")
        bucket, name = uri.removeprefix("gs://").split("/", 1)
        name = urllib.parse.quote(name, safe="")
        host = os.environ["STORAGE_EMULATOR_HOST"]
        try:
            with urllib.request.urlopen(f"{host}/storage/v1/b/{bucket}/o/{name}?alt=media") as file:
                sys.stdout.write(file.read().decode())
        except urllib.error.HTTPError as error:
            fail("The following URLs matched no objects or files: " + uri)
    case _:
        sys.exit(f"the stand-in does not know this: {argv}")
'''


class StandIns:
    """Programs `java` and `gcloud` in a folder of their own; knobs say how they behave. Those
    under `of` hold for the jobs alone whose arguments have all these words."""

    def __init__(self):
        self.folder = temporary("stand-ins-")
        for name, script in (("java", JAVA), ("gcloud", GCLOUD)):
            file = os.path.join(self.folder, name)
            with open(file, "w") as out:
                out.write(f"#!{sys.executable} -IS{script}")
            os.chmod(file, os.stat(file).st_mode | stat.S_IXUSR)
        self.turn()

    def turn(self, **knobs):
        with open(os.path.join(self.folder, "knobs.json"), "w") as out:
            json.dump(knobs, out)

    def forget(self):
        for name in ("java.jsonl", "gcloud.jsonl", "clusters.json", "pid"):
            if os.path.exists(os.path.join(self.folder, name)):
                os.remove(os.path.join(self.folder, name))
        self.turn()

    def calls(self, program):
        file = os.path.join(self.folder, f"{program}.jsonl")
        if not os.path.exists(file):
            return []
        with open(file) as lines:
            return [json.loads(line) for line in lines]

    def pid(self):
        """The process of the newest java; none before the first."""
        with contextlib.suppress(FileNotFoundError, ValueError):
            with open(os.path.join(self.folder, "pid")) as file:
                return int(file.read())

    def clusters(self):
        file = os.path.join(self.folder, "clusters.json")
        return json.load(open(file)) if os.path.exists(file) else {}


def zipline():
    """The folder of the real CLI."""
    for place in (os.environ.get("ZIPLINE_BIN"), f"{PROJECT}/target/tools/zipline-1.28.0/bin"):
        if place and os.path.exists(os.path.join(place, "zipline")):
            return place
    sys.exit("the zipline CLI 1.28.0 is not installed: set ZIPLINE_BIN to the folder of it")


# --- Airflow -------------------------------------------------------------------------------------


def airflow_home():
    """A fresh home for Airflow; it must be made before Airflow is imported."""
    home = temporary("airflow-home-")
    os.makedirs(os.path.join(home, "dags"))
    os.environ.update({
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__DAGS_FOLDER": os.path.join(home, "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "0",
    })  # fmt: skip
    return home
