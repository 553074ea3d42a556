"""The whole story in a real Airflow: an apply publishes its files, has its jobs run by the DAGs that it published,
and publishes the daily ones, which then run by themselves.

    CHRONON_PLAN=target/debug/chronon-plan AIRFLOW/bin/python tests/airflow/story.py

Everything is real, the CLI of zipline too; only java, gcloud and the bucket are stand-ins. The jobs of this file are
those of one change of the fixtures, so that what the loader reads is what the program writes.
"""

import datetime
import json
import subprocess
import tempfile
import unittest
from pathlib import Path

import rest
import support
from rest import DAY, Server, Stage, until

TABLES = ("raw_audio.play_log",)


def option(call, name):
    return next((it.split("=", 1)[1] for it in call["argv"] if it.startswith(f"{name}=")), None)


class Story(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.bucket, cls.programs = support.Bucket(), support.StandIns()
        for jar in ("cloud_gcp_lib", "service_assembly", "flink_assembly", "connectors_pubsub"):
            name = f"release/1.28.0/jars/{jar}_deploy.jar"
            cls.bucket.put("zipline-artifacts-acme", name, b"PK no jar " + jar.encode())
        more = {
            "STORAGE_EMULATOR_HOST": cls.bucket.url,
            "CLOUD_PROVIDER": "gcp", "GCP_PROJECT_ID": "test-proj", "GCP_REGION": "us-central1",
            "GCP_BIGTABLE_INSTANCE_ID": "bt", "CUSTOMER_ID": "acme", "VERSION": "1.28.0",
            "ARTIFACT_PREFIX": "gs://zipline-artifacts-acme",
            "WAREHOUSE_BUCKET": "zipline-warehouse-acme",
        }  # fmt: skip
        path = f"{cls.programs.folder}:{support.zipline()}:"
        cls.server = Server(Path(cls.folder.name), path, more)
        cls.tables = Path(cls.folder.name) / "tables"
        cls.write_tables()
        cls.stage = Stage(
            cls.server, "new-join",
            f'sensor = "delta"\ndelta_path = "{cls.tables}/{{namespace}}/{{table}}"\n'
            "[env.prod.backfill]\nchunk_days = 200\n[team.default]\nretries = 0\n",
            dags=cls.server.dags,
        )  # fmt: skip

    @classmethod
    def write_tables(cls):
        """What the staging queries read of yesterday; all else that is waited for never comes."""
        import pyarrow
        from deltalake import write_deltalake

        today = datetime.datetime.now(datetime.timezone.utc).date()
        # Until today's run is due, the newest is yesterday's, of the day before that.
        days = [str(today - datetime.timedelta(days=it)) for it in (1, 2)]
        rows = pyarrow.table({"ds": days, "v": [1, 1]})
        for table in TABLES:
            place = cls.tables / table.replace(".", "/")
            place.mkdir(parents=True)
            write_deltalake(str(place), rows, partition_by=["ds"])

    @classmethod
    def tearDownClass(cls):
        cls.server.end()
        cls.folder.cleanup()

    def jobs(self, *words):
        """The submissions whose arguments have all these words."""
        return [it for it in self.programs.calls("java") if set(words) <= set(it["argv"])]

    def published(self):
        file = self.server.dags / "published" / "chronon_dags.json"
        return json.loads(file.read_text()) if file.exists() else {"dags": {}}

    def spans(self):
        """The days of the backfills that were submitted."""
        jobs = self.jobs("--original-mode=backfill", "--conf-path=digest.weekly_digest__0")
        return [(option(it, "--start-partition"), option(it, "--end-date")) for it in jobs]

    def test_1_a_failing_chunk_stops_the_rest_and_publishes_no_schedule(self):
        self.programs.turn(of={"--start-partition=2026-03-20": {"state": "ERROR"}})
        code, said = self.stage.apply()
        self.assertEqual(code, 5, said)
        self.assertIn("ended as ERROR", said)
        self.assertIn(f"{self.server.url}/dags/chronon_join_backfill/", said, "the page of the run")
        self.assertEqual(self.spans(), [("2025-09-01", "2026-03-19"), ("2026-03-20", "2026-10-05")])
        kinds = {it["kind"] for it in self.published()["dags"].values()}
        self.assertEqual(kinds, {"bounded"}, "only what the apply itself needs")

    def test_2_all_chunks_in_order_and_the_schedules_follow(self):
        self.programs.forget()
        code, said = self.stage.apply()
        self.assertEqual(code, 0, said)
        self.assertIn("Planned again: no changes.", said)
        last = str(datetime.date.fromisoformat(DAY) - datetime.timedelta(days=1))
        spans = [("2025-09-01", "2026-03-19"), ("2026-03-20", "2026-10-05"), ("2026-10-06", last)]
        self.assertEqual(self.spans(), spans)
        # A job finds its own config, and of the others nothing.
        (files,) = {tuple(it["files"]) for it in self.jobs("--original-mode=backfill")}
        configs = [it for it in files if "/teams_metadata/" not in it]
        self.assertEqual(configs, ["compiled/joins/discovery/digest.weekly_digest__0"])
        kinds = {it["kind"] for it in self.published()["dags"].values()}
        self.assertEqual(kinds, {"bounded", "batch", "streaming", "metadata"})

    def test_3_airflow_imports_them_all_and_runs_what_is_due(self):
        command = ["airflow", "dags", "list-import-errors", "--output", "json"]
        ran = subprocess.run(command, env=self.server.env, capture_output=True, text=True)
        self.assertTrue(ran.stdout.strip().splitlines()[-1:] in ([], ["[]"], ["No data found"]), ran.stdout)
        log = Path(self.stage.folder) / "state" / "prod" / "runs"

        def rows():
            files = log.glob("chronon_staging_query_catalog*/*.jsonl")
            return [json.loads(line) for file in files for line in file.read_text().splitlines()]

        until("a daily job runs by itself", rows)
        row = rows()[0]
        self.assertEqual((row["state"], row["mode"]), ("success", "backfill"), row)
        self.assertTrue(row["config"].startswith("staging_queries/catalog."), row)
        code, said = self.stage.run("history", "--format", "json")
        self.assertEqual(code, 0, said)
        self.assertIn(row["job"], said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
