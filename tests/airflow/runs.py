"""Runs every kind of task in a real Airflow, with the real zipline CLI; only java, gcloud and the
bucket are stand-ins.

    <python of an Airflow> tests/airflow/runs.py [names of tests]

DAGs run in this process by `dag.test`, which is what `airflow dags test` calls; one goes through
the command itself.
"""

import contextlib
import copy
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from datetime import datetime, timezone
from unittest import mock

import support
from support import DAILY, HOURLY, TEAM, config, dag, external, job, partition

HOME = support.airflow_home()
DAGS = os.path.join(HOME, "dags")
BUCKET, RECEIVER, PROGRAMS = support.Bucket(), support.Receiver(), support.StandIns()
os.environ.update({
    "PATH": os.pathsep.join([PROGRAMS.folder, support.zipline(), os.environ["PATH"]]),
    "STORAGE_EMULATOR_HOST": BUCKET.url,
    "CLOUD_PROVIDER": "gcp", "GCP_PROJECT_ID": "test-proj", "GCP_REGION": "us-central1",
    "GCP_BIGTABLE_INSTANCE_ID": "bt-worker", "CUSTOMER_ID": "acme", "VERSION": "1.28.0",
    "ARTIFACT_PREFIX": "gs://zipline-artifacts-acme", "WAREHOUSE_BUCKET": "zipline-warehouse-acme",
    "AIRFLOW_CONN_SLACK": json.dumps(
        {"conn_type": "http", "host": f"{RECEIVER.url}/services", "password": "T0/B0/slack-secret"}
    ),
    "AIRFLOW_CONN_OPSGENIE": json.dumps(
        {"conn_type": "http", "host": RECEIVER.url, "password": "genie-secret"}
    ),
    "AIRFLOW_CONN_PAGERDUTY": json.dumps(
        {"conn_type": "http", "host": RECEIVER.url, "password": "pager-secret"}
    ),
    "CHRONON_ROOT": "/nowhere",
})  # fmt: skip
for jar in ("cloud_gcp_lib", "service_assembly", "flink_assembly", "connectors_pubsub"):
    name = f"release/1.28.0/jars/{jar}_deploy.jar"
    BUCKET.put("zipline-artifacts-acme", name, b"PK no jar " + jar.encode())

subprocess.run(
    [sys.executable, "-m", "airflow", "db", "migrate"], check=True, stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)  # fmt: skip

import airflow  # noqa: E402: after the home is made

THREE = int(airflow.__version__.split(".")[0]) >= 3
if THREE:
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
else:
    from airflow.models import DagBag
from airflow.models import DagRun, TaskInstance, Variable  # noqa: E402
from airflow.utils.session import create_session  # noqa: E402

# The name of the column of a run's date.
WHEN = "logical_date" if THREE else "execution_date"

GB = "compiled/group_bys/payments/features.clicks__1"
STREAM = "compiled/group_bys/payments/features.live__1"
JOIN = "compiled/joins/payments/training.all__1"
FILES = {
    GB: config("payments.features.clicks__1", API_TOKEN="hunter2-listens"),
    STREAM: config("payments.features.live__1"),
    JOIN: config("payments.training.all__1"),
    "compiled/teams_metadata/payments/payments_team_metadata": {"name": "payments"},
    "compiled/group_bys/payments/features.other__1": config("payments.features.other__1"),
}
SHARED = ["compiled/teams_metadata/payments/payments_team_metadata"]
DAY = datetime(2026, 3, 4, tzinfo=timezone.utc)


def run_argv(conf, mode, *more):
    return ["zipline", "run", conf, f"--mode={mode}", *more]


def jobs():
    """The jobs of the index."""
    of = {
        GB: {
            "backfill": run_argv(GB, "backfill", "--start-ds={start_ds}", "--end-ds={end_ds}"),
            "upload": run_argv(GB, "upload", "--ds={ds}"),
            "metadata-upload": run_argv(GB, "metadata-upload"),
        },
        JOIN: {"backfill": run_argv(JOIN, "backfill", "--start-ds={start_ds}", "--end-ds={end_ds}")},
    }
    return {
        conf: {
            "config": conf.split("/", 1)[1], "team": "payments", "grid": DAILY, "modes": modes,
            "minutes": dict.fromkeys(modes, 5), "proof": "cli",
        }
        for conf, modes in of.items()
    }  # fmt: skip


class Ran:
    """What became of a run."""

    def __init__(self, run, log):
        self.log = log
        with create_session() as session:
            found = session.query(TaskInstance).filter(
                TaskInstance.dag_id == run.dag_id, TaskInstance.run_id == run.run_id
            )
            self.tasks = {}
            for ti in found:
                mapped = f"[{ti.map_index}]" if ti.map_index >= 0 else ""
                self.tasks[ti.task_id + mapped] = ti.state and str(getattr(ti.state, "value", ti.state))
            state = session.query(DagRun).filter(
                DagRun.dag_id == run.dag_id, DagRun.run_id == run.run_id
            ).one().state
        self.state = str(getattr(state, "value", state))


@contextlib.contextmanager
def captured():
    """All that goes to the log and the standard streams, by file descriptor."""
    with tempfile.TemporaryFile("w+b") as file:
        sys.stdout.flush()
        sys.stderr.flush()
        kept = os.dup(1), os.dup(2)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        box = []
        try:
            yield box
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os.dup2(kept[0], 1)
            os.dup2(kept[1], 2)
            os.close(kept[0])
            os.close(kept[1])
            file.seek(0)
            box.append(file.read().decode(errors="replace"))


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        PROGRAMS.forget()
        RECEIVER.posts.clear()
        RECEIVER.code = 200
        self.state = support.temporary("state-")
        self.forget_jobs()

    def kept(self, kind="job"):
        """The Variables of a kind that are left: each names a job whose end nobody has seen, or the
        chunk with which a run goes on."""
        with create_session() as session:
            names = session.query(Variable.key).filter(Variable.key.like(f"chronon_{kind}.%"))
            return [it[0] for it in names]

    def forget_jobs(self):
        """What earlier tests left of runs that have the same id."""
        for name in [*self.kept(), *self.kept("chunks")]:
            Variable.delete(name)

    def published(self, dags, steps=None, **more):
        """Publishes a manifest and gives the DAGs that Airflow makes of it."""
        digest = support.publish(DAGS, FILES, jobs(), shared=SHARED, steps=steps)
        teams = {"default": TEAM, "payments": TEAM, **more.pop("teams", {})}
        document = support.manifest(dags, digest, state=self.state, teams=teams, **more)
        support.write_manifest(DAGS, document)
        with captured():
            self.bag = bag = DagBag(DAGS)
            self.modules = dict(sys.modules)
            if THREE:
                DagBundlesManager().sync_bundles_to_db()
                sync_bag_to_db(bag, "dags-folder", None)
            else:
                bag.sync_to_db()
        self.assertEqual(bag.import_errors, {})
        # The module that these DAGs come from: each run in 3.x loads another one beside it.
        dag = next(iter(bag.dags.values()))
        self.loader = self.modules[dag.default_args["on_failure_callback"].__module__]
        return bag.dags

    def run_dag(self, dag_id, day=DAY, conf=None, **more):
        """Runs a DAG to its end."""
        dag = self.bag.dags[dag_id]
        when = {WHEN: day}
        with captured() as box:
            run = dag.test(**when, run_conf=conf, **more)
        return Ran(run, box[0])

    def java(self, number=-1):
        return PROGRAMS.calls("java")[number]["argv"]

    def gcloud(self, verb):
        return [it for it in PROGRAMS.calls("gcloud") if verb in it]

    def rows(self, dag_id, day="2026-03-04"):
        with open(os.path.join(self.state, "runs", dag_id, f"{day}.jsonl")) as file:
            return [json.loads(line) for line in file]


@contextlib.contextmanager
def scheduled(case):
    """Runs look as if the scheduler had made them: `dag.test` only makes manual ones. Their
    interval ends at the day that is asked for, so that they are about the day before."""
    with mock.patch.object(case.loader, "kind_of_run", lambda context: "scheduled"):
        yield


class Jobs(Case):
    def upload(self, **more):
        argv = run_argv(GB, "upload", "--ds={ds}")
        tasks = {"upload": job(GB, "upload", argv)}
        return self.published({"gb": dag(tasks)}, **more)

    def test_a_job_runs_its_commit_s_files_and_is_proven(self):
        self.upload(teams={"payments": {**TEAM, "bigtable_instance": "bt-team"}})
        PROGRAMS.turn(env=True)
        ran = self.run_dag("gb")
        self.assertEqual((ran.state, ran.tasks), ("success", {"upload": "success"}), ran.log)
        call = PROGRAMS.calls("java")[0]
        self.assertIn("--end-date=2026-03-04", call["argv"])
        self.assertEqual(call["files"], sorted([*SHARED, GB]))
        self.assertEqual(call["env"]["GCP_BIGTABLE_INSTANCE_ID"], "bt-team")
        self.assertIn("runs: zipline run", ran.log)
        self.assertIn("--ds=2026-03-04", ran.log)
        # The stand-in prints its whole environment: nothing secret of it may be seen.
        self.assertIn("GCP_REGION=us-central1", ran.log)
        for secret in ("hunter2", "slack-secret", "genie-secret", "CHRONON_ROOT"):
            self.assertNotIn(secret, ran.log)
        (row,) = self.rows("gb")
        self.assertEqual(
            (row["state"], row["mode"], row["date"], row["try"], row["config"], row["dag"]),
            ("success", "upload", "2026-03-04", 1, GB.split("/", 1)[1], "gb"),
        )
        self.assertEqual(f"--job-id={row['job']}" in call["argv"], True)
        self.assertLess(row["start"], row["end"])

    def test_exit_code_0_proves_nothing(self):
        self.upload()
        for knobs, why in (
            ({"id": False}, "did not say that a job was submitted"),
            ({"exit": 3, "state": "NOT_FOUND"}, "there is no job"),
            ({"state": "ERROR"}, "ended as ERROR"),
            ({"wait": 1, "state": "BROKEN"}, "cannot be learned"),
        ):
            with self.subTest(knobs):
                PROGRAMS.forget()
                PROGRAMS.turn(**knobs)
                self.forget_jobs()
                ran = self.run_dag("gb")
                self.assertEqual(ran.state, "failed")
                self.assertIn(why, ran.log)
        self.assertEqual({it["state"] for it in self.rows("gb")}, {"failed"})

    def test_a_job_whose_cli_dies_is_asked_for(self):
        self.upload()
        PROGRAMS.turn(wait=1, state="DONE")
        self.assertEqual(self.run_dag("gb").state, "success")

    def test_a_job_that_takes_too_long_is_killed_with_its_job(self):
        argv = run_argv(GB, "upload", "--ds={ds}")
        self.published({"gb": dag({"upload": job(GB, "upload", argv, minutes=0.12)})})
        PROGRAMS.turn(sleep=60, state="RUNNING")
        started = time.monotonic()
        ran = self.run_dag("gb")
        self.assertLess(time.monotonic() - started, 40)
        self.assertEqual(ran.state, "failed")
        self.assertIn("took longer than", ran.log)
        (kill,) = self.gcloud("kill")
        self.assertEqual(kill[2:3], ["kill"])
        self.assertIn(f"--job-id={kill[3]}", self.java())
        with open(os.path.join(PROGRAMS.folder, "pid")) as file:
            self.assertFalse(os.path.exists(f"/proc/{file.read()}"), "java lives on")

    def test_what_airflow_kills_leaves_nothing_behind(self):
        self.upload()
        PROGRAMS.turn(sleep=60)

        def kill_soon():
            while not os.path.exists(os.path.join(PROGRAMS.folder, "pid")):
                time.sleep(0.1)
            time.sleep(0.3)
            os.kill(os.getpid(), signal.SIGTERM)  # as Airflow ends a task

        thread = threading.Thread(target=kill_soon)
        thread.start()
        started = time.monotonic()
        ran = self.run_dag("gb")
        thread.join()
        self.assertLess(time.monotonic() - started, 40)
        self.assertEqual(ran.state, "failed")
        self.assertEqual([it["state"] for it in self.rows("gb")], ["failed"])
        while not self.gcloud("kill"):  # it is not waited for
            self.assertLess(time.monotonic() - started, 40)
            time.sleep(0.1)
        self.assertIn(f"--job-id={self.gcloud('kill')[0][3]}", self.java())
        with open(os.path.join(PROGRAMS.folder, "pid")) as file:
            self.assertFalse(os.path.exists(f"/proc/{file.read()}"), "java lives on")

    def test_a_try_after_a_failed_one_is_told_apart(self):
        self.upload(teams={"payments": {**TEAM, "retries": 1}})
        PROGRAMS.turn(state="ERROR")
        ran = self.run_dag("gb")
        self.assertEqual(ran.state, "failed")
        self.assertEqual(
            [(it["state"], it["try"]) for it in self.rows("gb")], [("retry", 1), ("failed", 2)]
        )

    def test_metadata_is_stored_or_not(self):
        argv = run_argv(GB, "metadata-upload")
        self.published({"gb": dag({"m": job(GB, "metadata-upload", argv)})})
        for lines, state in (
            (["success count = 2, failure count = 0"], "success"),
            (["success count = 0, failure count = 0"], "failed"),
            (["success count = 2, failure count = 1"], "failed"),
            ([], "failed"),
        ):
            with self.subTest(lines):
                PROGRAMS.turn(driver=lines)
                self.assertEqual(self.run_dag("gb").state, state)

    def test_the_command_line_of_airflow_runs_it_too(self):
        self.upload()
        done = subprocess.run(
            [sys.executable, "-m", "airflow", "dags", "test", "gb", "2026-03-04"],
            capture_output=True, text=True,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        self.assertIn("--end-date=2026-03-04", self.java())

    def test_days_of_a_run(self):
        argv = run_argv(GB, "backfill", "--start-ds={start_ds}", "--end-ds={end_ds}")
        tasks = {"b": job(GB, "backfill", argv)}
        self.published({"gb": dag(tasks), "weekly": dag(tasks, schedule="0 0 * * 0")})
        ran = self.run_dag("gb", conf={"start_ds": "2026-02-01", "end_ds": "2026-02-03"})
        self.assertEqual(ran.state, "success", ran.log)
        self.assertIn("--start-partition=2026-02-01", self.java())
        self.assertIn("--end-date=2026-02-03", self.java())
        ran = self.run_dag("gb", conf={"ds": "yesterday"})
        self.assertEqual(ran.state, "failed")
        self.assertIn("the run's conf asks for the days", ran.log)


class Deaths(Case):
    """A worker that dies hard while it waits for a job: what a node does that is lost."""

    BOUNDED = {"modes": ["backfill"], "types": ["group_bys"], "parallel": 1}

    def setUp(self):
        super().setUp()
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        bounded = dag({}, kind="bounded", schedule=None, team=None, **self.BOUNDED)
        self.published({"gb": dag(tasks), "chronon_gb_backfill": bounded})

    def again(self, dag_id="gb", **more):
        """The run of the worker that died, once more; its id holds its time in 3.x."""
        with create_session() as session:
            if THREE:
                found = session.query(DagRun).filter(
                    DagRun.dag_id == dag_id, DagRun.logical_date == DAY
                )
                more["run_after"] = found.one().run_after
        return self.run_dag(dag_id, **more)

    def dies(self, dag_id="gb", conf=None):
        """A run whose worker dies when its job is submitted; gives the job."""
        PROGRAMS.turn(sleep=300)
        command = [sys.executable, "-W", "ignore", "-m", "airflow", "dags", "test", dag_id]
        child = subprocess.Popen(
            [*command, "2026-03-04", *(["--conf", json.dumps(conf)] if conf else [])],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while not self.kept() or not PROGRAMS.pid():
            self.assertLess(time.monotonic(), deadline, "nothing was submitted")
            self.assertIsNone(child.poll(), "the run ended by itself")
            time.sleep(0.1)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(os.getpgid(PROGRAMS.pid()), signal.SIGKILL)
        PROGRAMS.turn()
        return self.job_id()

    def job_id(self):
        return next(it[9:] for it in self.java() if it.startswith("--job-id="))

    def test_what_still_runs_is_waited_for(self):
        lost = self.dies()
        PROGRAMS.turn(state="RUNNING")
        threading.Timer(5, PROGRAMS.turn, (), {"state": "DONE"}).start()
        ran = self.again()
        self.assertEqual(ran.state, "success", ran.log)
        self.assertIn(f"an earlier try submitted job {lost}", ran.log)
        self.assertEqual(len(PROGRAMS.calls("java")), 1, "a second one was submitted")
        self.assertEqual((self.rows("gb")[-1]["job"], self.gcloud("kill")), (lost, []))
        self.assertEqual(self.kept(), [])
        # Nothing is left over of it: the same run once more does its work.
        self.assertEqual(self.again().state, "success")
        self.assertEqual(len(PROGRAMS.calls("java")), 2)
        self.assertEqual(self.kept(), [])

    def test_what_ended_otherwise_is_submitted_anew(self):
        for state in ("ERROR", "CANCELLED", "NOT_FOUND"):
            with self.subTest(state):
                PROGRAMS.forget()
                lost = self.dies()
                PROGRAMS.turn(of={f"--job-id={lost}": {"state": state}})
                # What is not there is looked for until it cannot be on its way any more.
                with mock.patch.object(self.loader, "SUBMITTING", 0):
                    ran = self.again()
                self.assertEqual(ran.state, "success", ran.log)
                self.assertEqual(len(PROGRAMS.calls("java")), 2)
                self.assertNotEqual(self.job_id(), lost)
                self.assertEqual(self.kept(), [])

    def test_nothing_is_submitted_where_nobody_can_tell(self):
        lost = self.dies()
        PROGRAMS.turn(state="BROKEN")
        ran = self.again()
        self.assertEqual(ran.state, "failed")
        self.assertIn("so that nothing was submitted", ran.log)
        self.assertIn(f"delete the Airflow Variable `{self.kept()[0]}`", ran.log)
        self.assertEqual((len(PROGRAMS.calls("java")), self.gcloud("kill")), (1, []))
        PROGRAMS.turn(state="DONE")
        ran = self.again()
        self.assertEqual((ran.state, self.rows("gb")[-1]["job"]), ("success", lost))

    def test_other_work_kills_the_lost_job_and_waits_for_its_end(self):
        lost = self.dies()
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}", "--other"))}
        self.published({"gb": dag(tasks)})  # other work, as where a task is cleared
        own = f"--job-id={lost}"
        PROGRAMS.turn(of={own: {"state": "RUNNING"}})
        threading.Timer(6, PROGRAMS.turn, (), {"of": {own: {"state": "CANCELLED"}}}).start()
        ran = self.again()
        self.assertEqual(ran.state, "success", ran.log)
        self.assertEqual([it[3] for it in self.gcloud("kill")], [lost])
        self.assertEqual(len(PROGRAMS.calls("java")), 2)

    def test_a_service_that_does_not_answer_is_asked_again_by_the_next_try(self):
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        self.published({"gb": dag(tasks)}, teams={"payments": {**TEAM, "retries": 1}})
        PROGRAMS.turn(wait=1, state="BROKEN")
        stop = threading.Event()

        def answers_later():
            while not stop.wait(0.2):
                with contextlib.suppress(FileNotFoundError, ValueError):
                    if self.rows("gb"):
                        return PROGRAMS.turn()

        thread = threading.Thread(target=answers_later)
        thread.start()
        ran = self.run_dag("gb")
        stop.set()
        thread.join()
        self.assertEqual(ran.state, "success", ran.log)
        self.assertEqual([it["state"] for it in self.rows("gb")], ["retry", "success"])
        self.assertEqual((len(PROGRAMS.calls("java")), self.kept()), (1, []))

    def test_a_chunk_goes_on(self):
        conf = {"conf": GB, "start_ds": "2026-01-01", "end_ds": "2026-01-20", "chunk_days": 10}
        lost = self.dies("chronon_gb_backfill", conf=conf)
        ran = self.again("chronon_gb_backfill", conf=conf)
        self.assertEqual(ran.state, "success", ran.log)
        self.assertIn(f"job {lost} is done", ran.log)
        self.assertEqual(len(PROGRAMS.calls("java")), 2, "one for each chunk")
        self.assertEqual(self.kept(), [])

    def test_a_try_that_airflow_ends_kills_the_job_it_waits_for(self):
        lost = self.dies()
        PROGRAMS.turn(state="RUNNING")

        def kill_soon():
            deadline = time.monotonic() + 60
            while not self.gcloud("describe") and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(0.5)
            if self.gcloud("describe"):
                os.kill(os.getpid(), signal.SIGTERM)

        thread = threading.Thread(target=kill_soon)
        thread.start()
        timer = threading.Timer(8, PROGRAMS.turn, (), {"state": "CANCELLED"})
        timer.start()
        with contextlib.suppress(BaseException):  # 2.x ends the try by one that nobody catches here
            self.again()
        thread.join()
        timer.join()
        self.assertEqual(self.rows("gb")[-1]["state"], "failed")
        self.assertEqual([it[3] for it in self.gcloud("kill")][:1], [lost])
        self.assertEqual(len(PROGRAMS.calls("java")), 1)


def arrays(rows):
    from arro3.core import Array, DataType

    kinds = {str: DataType.string(), int: DataType.int64()}
    return {name: Array(column, type=kinds[type(column[0])]) for name, column in rows.items()}


class Sensors(Case):
    def setUp(self):
        super().setUp()
        from arro3.core import Table
        from deltalake import write_deltalake

        self.tables = support.temporary("tables-")
        self.write = lambda name, rows: write_deltalake(
            os.path.join(self.tables, *name.split(".")), Table.from_pydict(arrays(rows)),
            partition_by=[it for it in rows if it != "v"], mode="append",
        )  # fmt: skip

    def waiting(self, **spec):
        """A DAG that waits for a partition; nobody waits for long here."""
        sensor = {"kind": "delta", "path": self.tables + "/{namespace}/{table}"}
        sensor = spec.pop("sensor", sensor)
        team = {**TEAM, "poke_minutes": 0.005, "wait_hours": 2 / 3600}
        self.published(
            {"gb": dag({"wait": partition(**{"table": "raw.x", **spec})})}, sensor=sensor,
            teams={"payments": team},
        )  # fmt: skip
        return self.run_dag("gb")

    def test_a_partition_is_there_or_not(self):
        from deltalake import DeltaTable

        self.assertEqual(self.waiting().state, "failed", "no table")
        self.write("raw.x", {"ds": ["2026-03-03"], "v": [1]})
        self.assertEqual(self.waiting().state, "failed", "no partition")
        self.write("raw.x", {"ds": ["2026-03-04"], "v": [1]})
        self.assertEqual(self.waiting().state, "success")
        DeltaTable(os.path.join(self.tables, "raw", "x")).delete("ds = '2026-03-04'")
        left = os.listdir(os.path.join(self.tables, "raw", "x", "ds=2026-03-04"))
        self.assertTrue(left, "the files of a deleted partition stay")
        ran = self.waiting()
        self.assertEqual(ran.state, "failed", "deleted")
        self.assertIn("missing: 2026-03-04", ran.log)
        self.assertEqual(self.waiting(lag=1440).state, "success")
        self.assertEqual(self.waiting(last="2026-03-03").state, "success")
        self.assertEqual(self.waiting(first="2026-03-05").state, "success")

    def test_hours_of_a_day(self):
        names = [f"2026-03-04-{hour:02}" for hour in range(24)]
        self.write("raw.x", {"ds": names[:23], "v": [1] * 23})
        self.assertEqual(self.waiting(grid=HOURLY).state, "failed")
        self.write("raw.x", {"ds": names[23:], "v": [1]})
        self.assertEqual(self.waiting(grid=HOURLY).state, "success")

    def test_sub_partitions(self):
        self.write("raw.x", {"ds": ["2026-03-04"], "hr": ["22"], "v": [1]})
        self.assertEqual(self.waiting(below=["hr=23"]).state, "failed")
        self.assertEqual(self.waiting(below=["hr=22"]).state, "success")

    def test_a_table_without_partitions_fails_at_once(self):
        self.write("raw.x", {"v": [1]})
        ran = self.waiting()
        self.assertEqual(ran.state, "failed")
        self.assertIn("raw.x has no partition column ds", ran.log)
        self.write("raw.y", {"hr": ["22"], "v": [1]})
        ran = self.waiting(table="raw.y")
        self.assertIn("raw.y has no partition column ds (its own: hr)", ran.log)

    def test_a_partition_that_comes_later(self):
        team = {**TEAM, "poke_minutes": 0.01, "wait_hours": 1}
        sensor = {"kind": "delta", "path": self.tables + "/{namespace}/{table}"}
        tasks = {"wait": partition("raw.x")}
        self.published({"gb": dag(tasks)}, sensor=sensor, teams={"payments": team})
        timer = threading.Timer(3, self.write, ("raw.x", {"ds": ["2026-03-04"], "v": [1]}))
        timer.start()
        self.assertEqual(self.run_dag("gb").state, "success")
        timer.join()

    def test_the_metastore_is_asked_by_the_cli(self):
        words = ["check-partitions", "--partition-names={partitions}"]
        spec = {"conf": GB, "argv": run_argv(GB, "metastore", *words), "below": ["hr=23"]}
        for knobs, state, text in (
            ({"state": "DONE"}, "success", "needs 2026-03-04"),
            ({"wait": 1, "state": "ERROR"}, "failed", "timed out|Sensor has timed out|timeout"),
            ({"id": False}, "failed", "cannot be learned"),
            ({"exit": 1}, "failed", "cannot be learned"),
            ({"wait": 1, "state": "CANCELLED"}, "failed", "cannot be learned"),
        ):
            with self.subTest(knobs):
                PROGRAMS.forget()
                PROGRAMS.turn(**knobs)
                ran = self.waiting(sensor={"kind": "metastore"}, **spec)
                self.assertEqual(ran.state, state, ran.log)
                self.assertRegex(ran.log, text)
                names = "--partition-names=raw.x/ds=2026-03-04/hr=23"
                self.assertIn(names, self.java())

    def test_a_command_is_asked(self):
        for code, state in ((0, "success"), (1, "failed"), (2, "failed")):
            argv = [sys.executable, "-c", f"import sys; print(sys.argv[1:]); sys.exit({code})",
                    "{table}", "{partition}"]  # fmt: skip
            ran = self.waiting(sensor={"kind": "command", "argv": argv})
            self.assertEqual(ran.state, state, ran.log)
            self.assertIn("['raw.x', 'ds=2026-03-04']", ran.log)
            self.assertEqual(code == 2, "neither 0 nor 1" in ran.log)

    def test_another_dag_s_task(self):
        query = "compiled/group_bys/payments/features.other__1"
        make = {"make": job(query, "upload", run_argv(query, "upload", "--ds={ds}"))}
        read = {
            "wait": external("producer", "make", table=""),
            "job": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"), ["wait"]),
        }
        old = {"wait": external("producer", "make", table="", last="2026-01-31")}
        team = {**TEAM, "poke_minutes": 0.005, "wait_hours": 2 / 3600}
        dags = {"producer": dag(make), "reader": dag(read), "old": dag(old)}
        self.published(dags, teams={"payments": team})
        self.assertEqual(self.run_dag("reader").state, "failed", "nothing was made")
        self.assertEqual(self.run_dag("producer").state, "success")
        self.assertEqual(self.run_dag("reader").state, "success")
        PROGRAMS.turn(state="ERROR")
        self.assertEqual(self.run_dag("producer").state, "failed")
        started = time.monotonic()
        ran = self.run_dag("reader")
        self.assertEqual(ran.tasks, {"wait": "failed", "job": "upstream_failed"})
        self.assertIn("failed.", ran.log)
        self.assertLess(time.monotonic() - started, 60)
        self.assertEqual(self.run_dag("old").state, "success")
        if THREE:  # a run by hand need not have a date
            self.assertEqual(self.run_dag("old", None).state, "success")
            ran = self.run_dag("reader", None)
            self.assertIn("poking for", ran.log.lower())
            self.assertEqual(ran.tasks["wait"], "failed", ran.log)

    def test_a_run_that_its_dag_never_made_is_looked_for_as_a_table(self):
        team = {**TEAM, "poke_minutes": 0.005, "wait_hours": 2 / 3600}
        query = "compiled/group_bys/payments/features.other__1"
        make = {"make": job(query, "upload", run_argv(query, "upload", "--ds={ds}"))}
        read = {
            "wait": external("younger", "make", table="raw.x", lag=1440),
            "job": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"), ["wait"]),
        }
        delta = {"kind": "delta", "path": self.tables + "/{namespace}/{table}"}
        self.published({"younger": dag(make), "reader": dag(read)}, teams={"payments": team},
                       sensor=delta)  # fmt: skip
        self.assertEqual(self.run_dag("younger").state, "success")
        ran = self.run_dag("reader")
        self.assertEqual(ran.tasks, {"wait": "failed", "job": "upstream_failed"}, "no table")
        self.write("raw.x", {"ds": ["2026-03-03"], "v": [1]})
        ran = self.run_dag("reader")
        self.assertEqual(ran.state, "success", ran.log)
        self.assertIn("younger never made the runs that write this", ran.log)


    def ends(self, dag_id, day, state):
        """A task of a run ends so."""
        with create_session() as session:
            run = session.query(DagRun).filter(
                DagRun.dag_id == dag_id, getattr(DagRun, WHEN) == DAY.replace(day=day)
            ).one()  # fmt: skip
            session.query(TaskInstance).filter(
                TaskInstance.dag_id == dag_id, TaskInstance.run_id == run.run_id
            ).update({"state": state})

    def test_a_run_that_ended_badly_is_looked_for_as_a_table(self):
        team = {**TEAM, "poke_minutes": 0.005, "wait_hours": 2 / 3600}
        query = "compiled/group_bys/payments/features.other__1"
        make = {"make": job(query, "upload", run_argv(query, "upload", "--ds={ds}"))}
        two_days = {"format": "yyyy-MM-dd", "minutes": 2880}
        read = {
            "wait": external("weekly", "make", table="raw.y", of=two_days),
            "job": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"), ["wait"]),
        }
        delta = {"kind": "delta", "path": self.tables + "/{namespace}/{table}"}
        self.published({"weekly": dag(make), "reader": dag(read)}, teams={"payments": team},
                       sensor=delta)  # fmt: skip
        first, second = 4, 5
        self.write("raw.y", {"ds": ["2026-03-01"], "v": [1]})
        for day in (first, second):
            self.assertEqual(self.run_dag("weekly", DAY.replace(day=day)).state, "success")
        waited = lambda: self.run_dag("reader", DAY.replace(day=first))  # noqa: E731
        self.assertEqual(waited().tasks["wait"], "success", "runs that did well are not looked at")
        for state in ("failed", "upstream_failed", "skipped"):
            with self.subTest(state):
                self.ends("weekly", second, state)
                ran = waited()
                lacks = "skipped" if state == "skipped" else "failed"
                self.assertEqual(ran.tasks["wait"], lacks, ran.log)
        self.ends("weekly", first, "failed")
        self.write("raw.y", {"ds": ["2026-03-04"], "v": [1]})
        ran = waited()
        self.assertEqual(ran.tasks["wait"], "skipped", ran.log)
        self.write("raw.y", {"ds": ["2026-03-05"], "v": [1]})
        ran = waited()
        self.assertEqual(ran.tasks["wait"], "success", ran.log)
        self.assertIn("ended as skipped, and what they should write is there", ran.log)
        self.ends("weekly", first, None)
        self.assertEqual(waited().tasks["wait"], "failed", "one has not ended")


class Streams(Case):
    def keep(self, **knobs):
        PROGRAMS.forget()
        PROGRAMS.turn(**knobs)
        more = ["--kafka-bootstrap=k:9092", "--flink-state-uri=gs://flink-state/flink"]
        start = run_argv(STREAM, "streaming", *more)
        task = {
            "kind": "keep-alive", "config": STREAM.split("/", 1)[1], "conf": STREAM,
            "mode": "streaming", "check": [*start, "--streaming-mode=check-if-job-is-running"],
            "argv": [*start, "--streaming-mode=deploy", "--latest-savepoint"], "minutes": 5,
            "after": [], "priority": 1,
        }  # fmt: skip
        spec = dag({"alive": task}, kind="streaming", schedule="*/10 * * * *")
        self.published({"live": spec})
        return self.run_dag("live")

    def deploys(self):
        return sum("--streaming-mode=deploy" in it["argv"] for it in PROGRAMS.calls("java"))

    def test_a_running_stream_is_left_alone(self):
        ran = self.keep(runs="job-7", state="RUNNING", sleep=0)
        self.assertEqual((ran.state, self.deploys()), ("success", 0), ran.log)
        self.assertEqual(self.rows("live")[0]["job"], "job-7")

    def test_a_dead_stream_is_deployed(self):
        with self.subTest("never deployed"):
            BUCKET.objects.pop(("flink-state", MANIFEST), None)
            ran = self.keep(of={"--streaming-mode=deploy": {"state": "RUNNING"}})
            self.assertEqual((ran.state, self.deploys()), ("success", 1), ran.log)
            self.assertIn("--latest-savepoint", self.java())
        with self.subTest("its job has ended"):
            BUCKET.put("flink-state", MANIFEST, b"flinkJobId=f,parentJobId=job-6")
            deploy = {"--streaming-mode=deploy": {"state": "RUNNING"}}
            ran = self.keep(state="ERROR", of=deploy)
            self.assertEqual((ran.state, self.deploys()), ("success", 1), ran.log)
        with self.subTest("the check names a job that has ended"):
            ran = self.keep(runs="job-6", state="CANCELLED", of=deploy)
            self.assertEqual((ran.state, self.deploys()), ("success", 1), ran.log)

    def test_nothing_is_deployed_on_doubt(self):
        BUCKET.put("flink-state", MANIFEST, b"flinkJobId=f,parentJobId=job-6")
        for knobs in (
            {"runs": "job-6", "state": "BROKEN"},
            {"state": "BROKEN"},
            {"cat": "BROKEN"},
            {"exit": 1, "cat": "BROKEN"},
        ):
            with self.subTest(knobs):
                ran = self.keep(**knobs)
                self.assertEqual((ran.state, self.deploys()), ("failed", 0), ran.log)
                self.assertIn("nothing was deployed", ran.log)
        with self.subTest("the check says no, and the job of the manifest runs"):
            ran = self.keep(state="RUNNING")
            self.assertEqual((ran.state, self.deploys()), ("success", 0), ran.log)


    def test_a_stream_whose_deployer_died_is_not_deployed_beside_it(self):
        BUCKET.put("flink-state", MANIFEST, b"flinkJobId=f,parentJobId=job-6")
        self.keep(runs="job-6", state="RUNNING")
        words = hashlib.sha256(b"live||alive|-1").hexdigest()[:32]
        name = f"chronon_job.prod.{words}"
        deployed = {"--streaming-mode=deploy": {"state": "RUNNING"}}
        for state, named, expected in (
            ("RUNNING", b"job-6", ("failed", 0)),
            ("RUNNING", b"job-9", ("success", 0)),
            ("BROKEN", b"job-6", ("failed", 0)),
            ("ERROR", b"job-6", ("success", 1)),
        ):
            with self.subTest(state=state, named=named), mock.patch.object(self.loader, "NAMING", 3):
                Variable.set(name, json.dumps({"job": "job-9", "what": "x", "at": 0}))
                BUCKET.put("flink-state", MANIFEST, b"flinkJobId=f,parentJobId=" + named)
                PROGRAMS.forget()
                PROGRAMS.turn(state=state, of=deployed if expected[1] else {})
                ran = self.run_dag("live")
                self.assertEqual((ran.state, self.deploys()), expected, ran.log)
                left = Variable.get(name, default_var=None)
                self.assertEqual(left is None, expected[0] == "success")


MANIFEST = "flink/manifests/payments.features.live__1/manifest.txt"


class Failures(Case):
    TARGETS = {**TEAM, "alerts": ["slack:slack", "opsgenie:opsgenie", "pagerduty:pagerduty"]}

    def upload(self, **more):
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        self.published({"gb": dag(tasks)}, teams={"payments": self.TARGETS}, **more)

    def test_a_failure_is_told_to_every_target(self):
        self.upload()
        PROGRAMS.turn(state="ERROR", says=["hunter2-listens"])
        ran = self.run_dag("gb")
        self.assertEqual(ran.state, "failed")
        slack, genie, pager = RECEIVER.posts
        self.assertEqual(slack[0], "/services/T0/B0/slack-secret")
        self.assertEqual(genie[0], "/v2/alerts")
        self.assertEqual(genie[1]["Authorization"], "GenieKey genie-secret")
        self.assertEqual(pager[0], "/v2/enqueue")
        self.assertEqual(pager[2]["routing_key"], "pager-secret")
        text = slack[2]["text"]
        for part in ("dag: gb", "team: payments", "config: group_bys/payments", "task: upload",
                     "date: 2026-03-04", "log: http", "ended as ERROR"):  # fmt: skip
            self.assertIn(part, text)
        self.assertEqual(genie[2]["details"]["task"], "upload")
        self.assertEqual(pager[2]["payload"]["custom_details"]["dag"], "gb")
        for secret in ("slack-secret", "genie-secret", "pager-secret", "hunter2"):
            self.assertNotIn(secret, ran.log)

    def test_an_alert_that_cannot_be_sent_hides_nothing(self):
        self.upload()
        RECEIVER.code = 500
        PROGRAMS.turn(state="ERROR")
        ran = self.run_dag("gb")
        self.assertEqual(ran.state, "failed")
        self.assertEqual(len(RECEIVER.posts), 3)
        self.assertIn("could not be told: HTTPError 500", ran.log)
        self.assertNotIn("slack-secret", ran.log)

    def test_a_sensor_that_fails_is_told_too(self):
        team = {**self.TARGETS, "poke_minutes": 0.005, "wait_hours": 1 / 3600}
        sensor = {"kind": "delta", "path": "/nowhere/{table}"}
        tasks = {"wait": partition("raw.x")}
        self.published({"gb": dag(tasks)}, sensor=sensor, teams={"payments": team})
        self.assertEqual(self.run_dag("gb").state, "failed")
        self.assertIn("task: wait", RECEIVER.posts[0][2]["text"])

    def test_a_config_is_paused_after_failed_days(self):
        self.upload(breaker_days=2)
        name = "chronon_paused.prod.group_bys.payments.features.clicks__1"
        Variable.delete(name)
        days = [DAY.replace(day=number) for number in (4, 5, 6, 7, 8)]
        PROGRAMS.turn(state="ERROR")
        with scheduled(self):
            self.run_dag("gb", days[0])
            self.run_dag("gb", days[0])  # the same day counts once
            self.assertFalse(self.paused(name))
            PROGRAMS.turn(state="DONE")
            self.run_dag("gb", days[1])  # a success ends the row
            PROGRAMS.turn(state="ERROR")
            self.run_dag("gb", days[1])
            self.assertFalse(self.paused(name))
            RECEIVER.posts.clear()
            self.run_dag("gb", days[2])
            self.assertTrue(self.paused(name))
            self.assertIn("is paused", RECEIVER.posts[0][2]["text"])
            self.assertIn(f"delete the Airflow Variable `{name}`", RECEIVER.posts[0][2]["text"])
            self.assertEqual(len(RECEIVER.posts), 3)
            PROGRAMS.forget()
            RECEIVER.posts.clear()
            ran = self.run_dag("gb", days[3])
        self.assertEqual(ran.tasks, {"upload": "skipped"}, ran.log)
        self.assertIn("paused since 2026-03-05, after 2 failed days in a row", ran.log)
        self.assertEqual((PROGRAMS.calls("java"), RECEIVER.posts), ([], []))
        ran = self.run_dag("gb", days[4], conf={"despite_pause": True})
        self.assertEqual(ran.tasks, {"upload": "success"}, ran.log)
        self.assertFalse(self.paused(name))
        self.assertEqual([it["state"] for it in self.rows("gb", "2026-03-06")][-1], "skipped")

    def paused(self, name):
        kept = json.loads(Variable.get(name, default_var=None) or "{}")
        return any(len(it) >= 2 for it in kept.values())


class Clusters(Case):
    SIZES = {"workers": 5, "machine": "n2-highmem-4", "image": "2.1-debian11",
             "secondary_workers": 2, "autoscaling_policy": "p"}  # fmt: skip

    def upload(self, name=None):
        tasks = {
            "upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}")),
            "load": job(GB, "upload-to-kv", run_argv(GB, "upload-to-kv", "--ds={ds}"), ["upload"]),
        }
        team = {**TEAM, "staging_bucket": "b"}
        self.published(
            {"gb": dag(tasks)}, cluster={"upload": self.SIZES}, teams={"payments": team}
        )
        named = (lambda *_: name) if name else self.loader.cluster_name
        with mock.patch.object(self.loader, "cluster_name", named):
            return self.run_dag("gb")

    def test_a_job_has_its_cluster(self):
        ran = self.upload()
        self.assertEqual(set(ran.tasks.values()), {"success"}, ran.log)
        self.assertEqual(set(ran.tasks), {"upload", "create__upload", "delete__upload", "load"})
        (create,), (delete,) = self.gcloud("create"), self.gcloud("delete")
        self.assertEqual(create[3], delete[3])
        self.assertRegex(create[3], r"^[a-z]([-a-z0-9]{0,49}[a-z0-9])$")
        for word in ("--region=us-central1", "--project=test-proj", "--num-workers=5",
                     "--worker-machine-type=n2-highmem-4", "--master-machine-type=n2-highmem-4",
                     "--image-version=2.1-debian11", "--num-secondary-workers=2",
                     "--secondary-worker-type=spot", "--autoscaling-policy=p", "--bucket=b"):  # fmt: skip
            self.assertIn(word, create)
        names = [it["env"]["GCP_DATAPROC_CLUSTER_NAME"] for it in PROGRAMS.calls("java")]
        self.assertEqual(names, [create[3], None])
        self.assertEqual(PROGRAMS.clusters(), {})

    def test_a_run_with_nothing_to_compute_makes_no_cluster(self):
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        self.published({"gb": dag(tasks, schedule="0 * * * *")}, cluster={"upload": self.SIZES})
        with scheduled(self):
            ran = self.run_dag("gb", DAY.replace(hour=5))
        self.assertEqual(set(ran.tasks.values()), {"skipped"}, ran.log)
        self.assertEqual(self.gcloud("clusters"), [])

    def test_a_failing_job_deletes_its_cluster_and_fails_the_run(self):
        PROGRAMS.turn(of={"--original-mode=upload": {"state": "ERROR"}})
        ran = self.upload()
        self.assertEqual(ran.state, "failed")
        self.assertEqual(
            ran.tasks,
            {"create__upload": "success", "upload": "failed", "delete__upload": "success",
             "load": "upstream_failed"},
        )  # fmt: skip
        self.assertEqual(PROGRAMS.clusters(), {})

    def test_a_cluster_that_fails_is_deleted(self):
        PROGRAMS.turn(create="ERROR")
        ran = self.upload()
        self.assertEqual(ran.state, "failed")
        self.assertEqual(ran.tasks["create__upload"], "failed")
        self.assertEqual(PROGRAMS.clusters(), {})
        self.assertEqual(PROGRAMS.calls("java"), [])

    def test_a_cluster_of_an_earlier_try_is_taken(self):
        with open(os.path.join(PROGRAMS.folder, "clusters.json"), "w") as out:
            json.dump({"chronon-earlier": "RUNNING"}, out)
        ran = self.upload(name="chronon-earlier")
        self.assertEqual(ran.state, "success", ran.log)
        self.assertEqual(self.gcloud("create"), [])
        self.assertEqual(PROGRAMS.clusters(), {})


class Bounded(Case):
    def bounded(self, parallel=4, **more):
        spec = {"modes": ["backfill"], "types": ["group_bys", "joins"], "parallel": parallel}
        spec = dag({}, kind="bounded", schedule=None, team=None, **spec)
        other = {"modes": ["upload", "metadata-upload"], "types": ["group_bys"], "parallel": 1}
        other = dag({}, kind="bounded", schedule=None, team=None, **other)
        self.published({"chronon_gb_backfill": spec, "chronon_job": other}, **more)

    CONF = {"conf": GB, "start_ds": "2026-01-01", "end_ds": "2026-03-01", "chunk_days": 30}

    def chunks(self):
        return [
            tuple(it.split("=")[1] for it in call["argv"] if it.startswith(("--start-p", "--end-d")))
            for call in PROGRAMS.calls("java")
        ]

    def test_chunks_run(self):
        self.bounded()
        ran = self.run_dag("chronon_gb_backfill", conf=self.CONF)
        self.assertEqual(
            (ran.state, ran.tasks),
            ("success", {"chunks": "success", "job[0]": "success", "job[1]": "success"}), ran.log,
        )  # fmt: skip
        self.assertEqual(
            sorted(self.chunks()), [("2026-01-30", "2026-01-01"), ("2026-03-01", "2026-01-31")]
        )
        (first,) = self.rows("chronon_gb_backfill", "2026-01-30")
        self.assertEqual((first["config"], first["mode"]), (GB.split("/", 1)[1], "backfill"))

    def test_in_order_a_failing_chunk_stops_those_after_it_and_is_gone_on_with(self):
        # The next try begins with the chunk that failed.
        teams = {"payments": TEAM, "default": {**TEAM, "retries": 1}}
        self.bounded(parallel=1, teams=teams)
        PROGRAMS.turn(of={"--start-partition=2026-01-21": {"state": "ERROR"}})
        ran = self.run_dag("chronon_gb_backfill", conf={**self.CONF, "chunk_days": 20})
        self.assertEqual((ran.state, ran.tasks), ("failed", {"chunks": "success", "job[0]": "failed"}))
        starts = [it[1] for it in self.chunks()]
        self.assertEqual(starts, ["2026-01-01", "2026-01-21", "2026-01-21"])

    def test_a_run_that_wants_less_at_once_gets_it(self):
        self.bounded()
        ran = self.run_dag("chronon_gb_backfill", conf={**self.CONF, "chunk_days": 10, "parallel": 2})
        self.assertEqual((ran.state, sorted(ran.tasks)), ("success", ["chunks", "job[0]", "job[1]"]))
        self.assertEqual(len(self.chunks()), 6)

    def test_in_parallel_a_failing_chunk_stops_nobody(self):
        self.bounded()
        PROGRAMS.turn(of={"--start-partition=2026-01-01": {"state": "ERROR"}})
        ran = self.run_dag("chronon_gb_backfill", conf=self.CONF)
        self.assertEqual(
            ran.tasks, {"chunks": "success", "job[0]": "failed", "job[1]": "success"}
        )
        self.assertEqual(ran.state, "failed")

    def test_a_cluster_per_chunk(self):
        self.bounded(cluster={"backfill": Clusters.SIZES})
        PROGRAMS.turn(of={"--start-partition=2026-01-01": {"state": "ERROR"}})
        ran = self.run_dag("chronon_gb_backfill", conf=self.CONF)
        self.assertEqual(ran.state, "failed")
        self.assertEqual(len({it[3] for it in self.gcloud("create")}), 2)
        self.assertEqual(PROGRAMS.clusters(), {})

    def test_a_cluster_that_cannot_be_deleted_is_told_and_the_job_is_done(self):
        self.bounded(cluster={"backfill": Clusters.SIZES}, teams={"payments": Failures.TARGETS})
        PROGRAMS.turn(delete="BROKEN")
        conf = {**self.CONF, "end_ds": "2026-01-02"}
        ran = self.run_dag("chronon_gb_backfill", conf=conf)
        self.assertEqual((ran.state, len(PROGRAMS.calls("java"))), ("success", 1), ran.log)
        (name,) = PROGRAMS.clusters()
        for part in ("a cluster was left behind", f"cluster {name} could not be deleted", "team: payments"):
            self.assertIn(part, RECEIVER.posts[0][2]["text"])

    def test_the_team_of_the_config_is_told_of_a_failing_chunk(self):
        self.bounded(teams={"payments": Failures.TARGETS})
        PROGRAMS.turn(state="ERROR")
        self.run_dag("chronon_gb_backfill", conf={**self.CONF, "end_ds": "2026-01-02"})
        self.assertEqual(len(RECEIVER.posts), 3)
        for part in ("team: payments", "config: group_bys/payments/features.clicks__1",
                     "date: 2026-01-02", "task: job[0]"):  # fmt: skip
            self.assertIn(part, RECEIVER.posts[0][2]["text"])

    def test_every_mistake_is_told_at_once(self):
        self.bounded()
        conf = {"conf": "rm -rf /", "command": "x", "chunk_days": 0, "parallel": 9, "mode": "fetch"}
        ran = self.run_dag("chronon_gb_backfill", conf=conf)
        self.assertEqual(ran.state, "failed")
        for part in ("unknown: command", "`conf` must be", "`chunk_days` must be", "at most 4",
                     "`mode` must be one of backfill"):  # fmt: skip
            self.assertIn(part, ran.log)
        self.assertEqual(PROGRAMS.calls("java"), [])

    def test_a_step_of_a_plan_runs_the_command_of_that_plan(self):
        step = f"{GB.split('/', 1)[1]}#backfill"
        argv = run_argv(GB, "backfill", "--start-ds={start_ds}", "--end-ds={end_ds}", "--extra")
        self.bounded(steps={step: argv})
        conf = {**self.CONF, "step": step}
        self.assertEqual(self.run_dag("chronon_gb_backfill", conf=conf).state, "success")
        self.assertTrue(all("--extra" in it["argv"] for it in PROGRAMS.calls("java")))
        for other in ("group_bys/payments.other#backfill", f"{GB.split('/', 1)[1]}#upload"):
            PROGRAMS.forget()
            ran = self.run_dag("chronon_gb_backfill", conf={**conf, "step": other})
            self.assertEqual((ran.state, PROGRAMS.calls("java")), ("failed", []))
            self.assertIn("`step` is none of", ran.log)

    def test_a_run_in_which_no_partition_becomes_complete_computes_nothing(self):
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        self.published({"gb": dag(tasks, schedule="0 * * * *")})
        with scheduled(self):
            ran = self.run_dag("gb", DAY.replace(hour=5))
        self.assertEqual((ran.tasks, PROGRAMS.calls("java")), ({"upload": "skipped"}, []), ran.log)

    def test_one_job_of_another_mode(self):
        self.bounded()
        ran = self.run_dag("chronon_job", conf={"conf": GB, "mode": "upload", "ds": "2026-02-01"})
        self.assertEqual(ran.state, "success", ran.log)
        self.assertIn("--end-date=2026-02-01", self.java())
        PROGRAMS.turn(driver=["success count = 1, failure count = 0"])
        ran = self.run_dag("chronon_job", conf={"conf": GB, "mode": "metadata-upload"})
        self.assertEqual(ran.state, "success", ran.log)


class Metadata(Case):
    teams = {}
    CONFIGS = {
        f"group_bys/payments.features.{name}__1": {
            "conf": f"compiled/group_bys/payments/features.{name}__1",
            "argv": run_argv(f"compiled/group_bys/payments/features.{name}__1", "metadata-upload"),
            "blob": digit * 40, "team": "payments", "minutes": 5, "proof": "cli",
        }
        for name, digit in (("clicks", "a"), ("live", "b"), ("other", "c"))
    }  # fmt: skip

    def row(self, name, **more):
        address = f"group_bys/payments.features.{name}__1"
        config = self.CONFIGS[address]
        return {
            "config": address, "resource": "metadata", "blob": config["blob"], **more,
        }  # fmt: skip

    def run_with(self, rows):
        if rows is not None:
            document = {"format_version": 1, "env": "prod", "resources": rows}
            with open(os.path.join(self.state, "state.json"), "w") as out:
                json.dump(document, out)
        spec = dag({}, kind="metadata", team=None, schedule="*/10 * * * *", configs=self.CONFIGS)
        self.published({"chronon_metadata": spec}, teams=self.teams)
        PROGRAMS.forget()
        PROGRAMS.turn(**self.knobs)
        ran = self.run_dag("chronon_metadata")
        uploaded = [
            word.split(".")[1].split("__")[0]
            for call in PROGRAMS.calls("java")
            for word in call["argv"]
            if word.startswith("--conf-path=")
        ]
        return ran, sorted(uploaded)

    def test_what_is_not_current_is_uploaded_once(self):
        Variable.delete("chronon_metadata.prod")
        self.knobs = {"driver": ["success count = 1, failure count = 0"]}
        rows = [
            self.row("clicks"),
            self.row("live", begun=True),
            self.row("other", blob="d" * 40),
        ]
        ran, uploaded = self.run_with(rows)
        self.assertEqual((ran.state, uploaded), ("success", ["live", "other"]), ran.log)
        ran, uploaded = self.run_with(rows)
        self.assertEqual((ran.state, uploaded), ("success", []), ran.log)
        self.assertEqual(ran.tasks["metadata_upload"], "skipped")
        Variable.delete("chronon_metadata.prod")
        self.assertEqual(self.run_with([])[1], ["clicks", "live", "other"])

    def test_the_team_of_a_config_is_told(self):
        Variable.delete("chronon_metadata.prod")
        self.knobs = {"state": "ERROR"}
        self.teams = {"payments": Failures.TARGETS}
        self.run_with([self.row("clicks"), self.row("live")])
        self.assertEqual(len(RECEIVER.posts), 3)
        for part in ("team: payments", "config: group_bys/payments.features.other__1"):
            self.assertIn(part, RECEIVER.posts[0][2]["text"])

    def test_what_fails_is_tried_again_and_fails_the_run(self):
        Variable.delete("chronon_metadata.prod")
        self.knobs = {"of": {"--conf-path=features.live__1": {"state": "ERROR"}}}
        self.knobs["driver"] = ["success count = 1, failure count = 0"]
        ran, uploaded = self.run_with(None)
        self.assertEqual((ran.state, uploaded), ("failed", ["clicks", "live", "other"]), ran.log)
        self.knobs = {"driver": ["success count = 1, failure count = 0"]}
        ran, uploaded = self.run_with(None)
        self.assertEqual((ran.state, uploaded), ("success", ["live"]), ran.log)


class Consistency(Case):
    def test_the_pipeline_ends_in_metrics(self):
        modes = ("log-flattener", "build-comparison-table", "consistency-metrics-compute")
        tasks, last = {}, []
        for mode in modes:
            tasks[mode] = job(JOIN, mode, run_argv(JOIN, mode, "--ds={ds}"), last)
            last = [mode]
        tasks["publish"] = {
            "kind": "publish", "config": JOIN.split("/", 1)[1], "table": "p.all_consistency",
            "conf": JOIN, "grid": DAILY, "after": last, "priority": 1,
        }  # fmt: skip
        code = "import sys; print('mismatch_rate 0.25'); print('noise'); print(*sys.argv[1:])"
        command = [sys.executable, "-c", code, "{name}", "{table}", "{ds}"]
        self.published({"ooc": dag(tasks)}, publish_metrics=command)
        sent = []
        with mock.patch.object(self.loader, "send_metric", lambda *args: sent.append(args[1:])):
            ran = self.run_dag("ooc")
        self.assertEqual((ran.state, set(ran.tasks.values())), ("success", {"success"}), ran.log)
        asked = [re.search(r"--original-mode=(\S+)", " ".join(it["argv"]))[1]
                 for it in PROGRAMS.calls("java")]  # fmt: skip
        self.assertEqual(asked, list(modes))
        gauges = [it for it in sent if it[0] == "gauge"]
        told = [it[1:3] for it in gauges]
        computed = ("chronon.consistency.computed", 1)
        self.assertEqual(told, [computed, ("chronon.consistency.mismatch_rate", 0.25)])
        self.assertIn("p.all_consistency 2026-03-04", ran.log)


class Metrics(Case):
    def test_a_run_is_measured(self):
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        self.published({"gb": dag(tasks)})
        client = mock.Mock()
        with mock.patch.object(self.loader, "stats", lambda: client):
            self.run_dag("gb")
        (name, seconds), more = client.timing.call_args
        self.assertEqual(name, "chronon.job.duration")
        self.assertGreater(seconds.total_seconds(), 0)
        tags = more["tags"]
        self.assertEqual(
            (tags["team"], tags["mode"], tags["state"], tags["date"]),
            ("payments", "upload", "success", "2026-03-04"),
        )
        self.assertEqual(client.incr.call_args[0], ("chronon.job.success", 1))
        self.assertTrue(hasattr(self.loader.stats(), "timing"))


class Structure(Case):
    def test_only_the_dag_asked_for_is_made(self):
        tasks = {"upload": job(GB, "upload", run_argv(GB, "upload", "--ds={ds}"))}
        dags = {"a": dag(tasks), "b": dag(tasks, schedule="0 6 * * *")}
        self.assertEqual(set(self.published(copy.deepcopy(dags))), {"a", "b"})
        with mock.patch.dict(os.environ, {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "b"}), captured():
            made = DagBag(DAGS).dags
        self.assertEqual(set(made), {"b"})
        task = made["b"].get_task("upload")
        self.assertEqual((task.owner, task.pool, task.retries), ("payments", "default_pool", 0))
        self.assertTrue(made["b"].catchup, "the team says from which day on")

    def test_a_broken_manifest_is_an_import_error_that_helps(self):
        self.published({"a": dag({})})
        path = os.path.join(DAGS, "chronon_dags.json")
        with open(path) as file:
            good = file.read()
        newer = json.loads(good)
        newer["format"] = 2
        for content, text in (
            (good.replace("prod", "test"), "was changed or cut off"),
            (good[:-5], "is not JSON"),
            (json.dumps(newer), "is of format 2, and this loader knows 1"),
            (None, "is missing"),
        ):
            os.remove(path)
            if content is not None:
                with open(path, "w") as out:
                    out.write(content)
            with captured():
                errors = DagBag(DAGS).import_errors
            with open(path, "w") as out:
                out.write(good)
            self.assertEqual(len(errors), 1, text)
            told = next(iter(errors.values()))
            self.assertIn(text, told)
            self.assertIn("chronon_dags.json", told)


if __name__ == "__main__":
    unittest.main(verbosity=2)
