"""The runner for Airflow against a real one: `apply` triggers, follows, finds and collects its runs.

Run it with the Python of the Airflow that is to be tested, 2.11 or 3.x:

    CHRONON_PLAN=target/debug/chronon-plan AIRFLOW/bin/python tests/airflow/rest.py

It starts that Airflow in a folder of its own, with small DAGs that have the ids of the bounded ones and
do as files in a folder say, and ends all of it.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import airflow

PROJECT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("CHRONON_PLAN", PROJECT / "target/debug/chronon-plan")).resolve()
THREE = not airflow.__version__.startswith("2.")
DAY = "2026-11-22"
USER, PASSWORD = "ci", "hunter2-of-ci"
# How long anything may take before a test gives up on it, in seconds.
PATIENCE = 150

DAGS = '''
"""Stand-ins for the bounded DAGs: they take the same conf, and do as files in a folder say."""
import datetime, os, pathlib, time

from airflow import DAG

try:
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.python import PythonOperator

KNOBS = pathlib.Path(os.environ["TEST_KNOBS"])


def job(chunk, **context):
    conf = context["dag_run"].conf
    with open(KNOBS / "ran", "a") as ran:
        ran.write(context["run_id"] + " " + conf["conf"] + " " + conf["mode"] + "\\n")
    while (KNOBS / "hold").exists():
        time.sleep(0.1)
    if (KNOBS / "fail").exists():
        print("Spark says no, AIRFLOW_PASSWORD=" + os.environ["TEST_SECRET"])
        raise RuntimeError("made to fail")


for name in ["gb_backfill", "join_backfill", "staging_query_backfill", "job"]:
    with DAG(
        "chronon_" + name,
        schedule=None,
        start_date=datetime.datetime(2026, 1, 1),
        catchup=False,
        is_paused_upon_creation=True,
        tags=["chronon", "env:prod"],
    ) as dag:
        PythonOperator.partial(task_id="job", python_callable=job).expand(op_kwargs=[{"chunk": 0}])
    globals()[dag.dag_id] = dag
'''


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def until(what, holds, patience=PATIENCE):
    start = time.monotonic()
    while True:
        found = holds()
        if found:
            return found
        if time.monotonic() - start > patience:
            raise AssertionError(f"never happened: {what}")
        time.sleep(0.2)


class Server:
    """A real Airflow in a folder of its own."""

    def __init__(self, folder, path="", more=None):
        """`path` are folders of programs, `more` is added to its environment."""
        self.folder = folder
        self.dags = folder / "dags"
        self.knobs = folder / "knobs"
        for below in [self.dags, self.knobs]:
            below.mkdir()
        self.url = f"http://127.0.0.1:{free_port()}"
        port = self.url.rsplit(":", 1)[1]
        self.env = {
            **(more or {}),
            "PATH": f"{path}{sys.prefix}/bin:/usr/bin:/bin",
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self.dags),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PARALLELISM": "4",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "TEST_KNOBS": str(self.knobs),
            "TEST_SECRET": PASSWORD,
            "NO_PROXY": "127.0.0.1",
        }
        if THREE:
            passwords = folder / "passwords.json"
            passwords.write_text(json.dumps({USER: PASSWORD}))
            self.env |= {
                "AIRFLOW__API__PORT": port,
                "AIRFLOW__API__HOST": "127.0.0.1",
                "AIRFLOW__API__BASE_URL": self.url,
                "AIRFLOW__API__WORKERS": "1",
                "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
                "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
                "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "3",
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "3",
            }
            commands = [["airflow", "standalone"]]
        else:
            self.env |= {
                "AIRFLOW__API__AUTH_BACKENDS": "airflow.api.auth.backend.basic_auth",
                "AIRFLOW__SCHEDULER__DAG_DIR_LIST_INTERVAL": "3",
                "AIRFLOW__SCHEDULER__MIN_FILE_PROCESS_INTERVAL": "3",
                "AIRFLOW__WEBSERVER__BASE_URL": self.url,
                "AIRFLOW__WEBSERVER__WORKERS": "1",
            }
            self.once("airflow", "db", "migrate")
            who = ["--username", USER, "--password", PASSWORD, "--role", "Admin"]
            who += ["--firstname", "c", "--lastname", "i", "--email", "ci@example.com"]
            self.once("airflow", "users", "create", *who)
            commands = [["airflow", "webserver", "--port", port], ["airflow", "scheduler"]]
        self.processes = []
        for number, command in enumerate(commands):
            with open(folder / f"server{number}.log", "w") as log:
                started = subprocess.Popen(
                    command,
                    env=self.env,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self.processes.append(started)
        try:
            until("Airflow answers", self.answers)
        except BaseException:
            self.end()
            raise

    def once(self, *command):
        done = subprocess.run(command, env=self.env, capture_output=True, text=True)
        if done.returncode:
            raise AssertionError(f"{command}: {done.stdout}{done.stderr}"[-3000:])

    def answers(self):
        if any(it.poll() is not None for it in self.processes):
            logs = [log.read_text()[-3000:] for log in self.folder.glob("server*.log")]
            raise AssertionError("Airflow has ended: " + "\n".join(logs))
        version = "v2" if THREE else "v1"
        try:
            with urllib.request.urlopen(f"{self.url}/api/{version}/version", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def ran(self):
        """The runs that have begun so far: id, conf and mode."""
        file = self.knobs / "ran"
        return [line.split() for line in file.read_text().splitlines()] if file.exists() else []

    def turn(self, knob, on):
        file = self.knobs / knob
        file.touch() if on else file.unlink(missing_ok=True)

    def end(self):
        for sign in [signal.SIGTERM, signal.SIGKILL]:
            for process in self.processes:
                try:
                    os.killpg(process.pid, sign)
                except ProcessLookupError:
                    pass
            end = time.monotonic() + 15
            while time.monotonic() < end and any(it.poll() is None for it in self.processes):
                time.sleep(0.2)


class Stage:
    """A repository with one change to apply, and a place for its state."""

    def __init__(self, server, change, more="", dags=None):
        """`more` are settings that stand below `[env.prod.airflow]`."""
        self.server = server
        self.folder = Path(tempfile.mkdtemp(dir=server.folder))
        self.repo = self.folder / "repo"
        fixtures = PROJECT / "fixtures/zipline"
        shutil.copytree(fixtures / "base/compiled", self.repo / "compiled")
        self.git("init", "-q", "-b", "main")
        self.commit("base")
        changed = fixtures / "changes" / change
        # Of the time of now: to git, a file of the same time and size is the same.
        place, copy = self.repo / "compiled", shutil.copyfile
        shutil.copytree(changed / "compiled", place, copy_function=copy, dirs_exist_ok=True)
        removed = changed / "removed.json"
        for path in json.loads(removed.read_text()) if removed.exists() else []:
            (self.repo / path).unlink()
        self.commit(change)
        self.settings = self.folder / "settings.toml"
        self.settings.write_text(
            f'[env.prod]\nroot = "compiled"\nstate = "{self.folder}/state"\nrunner = "airflow"\n'
            f'retry_delay = 0\n[env.prod.mode.backfill]\nretries = 0\n'
            f'[env.prod.airflow]\ndags = "{dags or self.folder}/published"\nurl = "{server.url}"\n'
            + more
        )
        self.run("state", "adopt", "--commit", "HEAD~1")

    def git(self, *words):
        names = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", *names, *words], cwd=self.repo, check=True, capture_output=True)

    def commit(self, message):
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", message)

    def start(self, *words):
        env = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "NO_PROXY": "127.0.0.1",
            "AIRFLOW_USERNAME": USER,
            "AIRFLOW_PASSWORD": PASSWORD,
        }
        log = open(self.folder / f"said{time.monotonic()}", "w+")
        command = [str(PROGRAM), *words, "--settings", str(self.settings)]
        process = subprocess.Popen(
            command, cwd=self.repo, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        process.log = log
        return process

    def end(self, process):
        process.wait(PATIENCE)
        process.log.seek(0)
        said = process.log.read()
        process.log.close()
        assert PASSWORD not in said, "a secret is told"
        return process.returncode, said

    def run(self, *words):
        return self.end(self.start(*words))

    def apply(self, *words):
        return self.run("apply", "--yes", "--as-of", DAY, *words)

    def row(self):
        """The job of the one row that the apply has written."""
        _, said = self.run("state", "list", "--format", "json")
        rows = json.loads(said)["resources"]
        return [it["job"] for it in rows if it.get("job")]


class Rest(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.server = Server(Path(cls.folder.name))

    @classmethod
    def tearDownClass(cls):
        cls.server.end()
        cls.folder.cleanup()

    def setUp(self):
        for knob in ["hold", "fail", "ran"]:
            self.server.turn(knob, False)

    def pages(self, said):
        return [word for word in said.split() if word.startswith(self.server.url)]

    def reachable(self, page):
        # 2.x sends strangers to its login page, which is a page all the same.
        with urllib.request.urlopen(page, timeout=30) as answer:
            self.assertEqual(answer.status, 200, page)

    def test_1_a_dag_is_waited_for_unpaused_and_run(self):
        stage = Stage(self.server, "new-join")
        process = stage.start("apply", "--yes", "--as-of", DAY)
        time.sleep(2)
        (self.server.dags / "bounded.py").write_text(DAGS)
        code, said = stage.end(process)
        self.assertEqual(code, 0, said)
        self.assertIn("Applied 1 step", said)
        ran = self.server.ran()
        self.assertEqual(len(ran), 1, ran)
        self.assertEqual(stage.row(), [f"chronon_join_backfill/{ran[0][0]}"])
        self.reachable(self.pages(said)[0])
        code, said = stage.apply()
        self.assertEqual((code, len(self.server.ran())), (0, 1), said)

    def test_2_a_failure_has_its_task_its_log_and_a_link(self):
        stage = Stage(self.server, "new-join")
        self.server.turn("fail", True)
        code, said = stage.apply()
        self.assertEqual(code, 5, said)
        self.assertIn("task `job[0]` at attempt 1", said)
        self.assertIn("Spark says no, AIRFLOW_PASSWORD=***", said)
        self.assertIn("RuntimeError: made to fail", said)
        page = next(it for it in self.pages(said) if "job" in it.rsplit("chronon-plan__", 1)[-1])
        self.reachable(page)
        self.server.turn("fail", False)
        code, said = stage.apply()
        self.assertEqual((code, len(self.server.ran())), (0, 2), said)

    def test_3_a_killed_apply_finds_its_run(self):
        stage = Stage(self.server, "new-join")
        self.server.turn("hold", True)
        process = stage.start("apply", "--yes", "--as-of", DAY)
        until("the run begins", self.server.ran)
        process.kill()
        stage.end(process)
        self.server.turn("hold", False)
        code, said = stage.apply()
        self.assertEqual(code, 0, said)
        self.assertIn("looking for the job that an earlier run submitted", said)
        self.assertEqual(len(self.server.ran()), 1)

    def test_4_what_is_left_to_run_is_collected(self):
        stage = Stage(self.server, "new-join")
        self.server.turn("hold", True)
        code, said = stage.apply("--detach")
        self.assertEqual(code, 5, said)
        self.assertIn("1 left to run", said)
        code, said = stage.run("apply", "--yes", "--resume", "--detach")
        self.assertEqual(code, 5, said)
        until("the run begins", self.server.ran)
        self.server.turn("hold", False)
        code, said = stage.run("apply", "--yes", "--resume")
        self.assertEqual(code, 0, said)
        self.assertEqual(len(self.server.ran()), 1)
        code, said = stage.run("apply", "--yes", "--resume")
        self.assertEqual(code, 0, said)
        self.assertIn("Nothing to resume", said)

    def test_5_steps_run_in_their_order(self):
        stage = Stage(self.server, "tags-only")
        code, said = stage.apply()
        self.assertEqual(code, 0, said)
        self.assertEqual([it[2] for it in self.server.ran()], ["metadata-upload"])

    def test_6_a_wrong_password_is_refused_before_anything_runs(self):
        stage = Stage(self.server, "new-join")
        stage.settings.write_text(stage.settings.read_text() + 'auth = "token"\n')
        os.environ.pop("AIRFLOW_TOKEN", None)
        code, said = stage.apply()
        self.assertEqual(code, 1, said)
        self.assertIn("AIRFLOW_TOKEN is not set", said)
        stage.settings.write_text(stage.settings.read_text().replace('"token"', '"none"'))
        code, said = stage.apply()
        self.assertEqual(code, 1, said)
        self.assertIn("Airflow refuses to be asked", said)
        self.assertEqual(self.server.ran(), [])

    def test_7_the_dags_that_an_apply_publishes_run_the_job_of_its_plan(self):
        stage = Stage(self.server, "new-join")
        program = stage.folder / "zipline"
        # Stands in for the CLI: it keeps what it was called with and found, and says what the real one
        # says of a job that is done.
        program.write_text(
            f'#!/bin/sh\ntest -f "$2" || exit 3\necho "$@" >> {stage.folder}/called\n'
            "echo Dataproc submitter job id: job-1\necho Job job-1 is in DONE state.\n"
        )
        program.chmod(0o755)
        text = stage.settings.read_text()
        text = text.replace(f"{stage.folder}/published", str(self.server.dags / "real"))
        text = text.replace('runner = "airflow"', f'runner = "airflow"\nprogram = ["{program}"]')
        text += 'prefix = "real"\n[env.prod.backfill]\nchunk_days = 400\n'
        stage.settings.write_text(text)
        code, said = stage.apply()
        self.assertEqual(code, 0, said)
        self.assertIn("job real_join_backfill/chronon-plan__", said)
        conf = "compiled/joins/discovery/digest.weekly_digest__0"
        days = [("2025-09-01", "2026-10-05"), ("2026-10-06", "2026-11-21")]
        self.assertEqual(
            (stage.folder / "called").read_text().splitlines(),
            [f"run {conf} --mode=backfill --start-ds={a} --end-ds={b}" for a, b in days],
        )
        self.assertEqual(self.server.ran(), [], "none of the stand-ins ran")


if __name__ == "__main__":
    unittest.main(verbosity=2)
