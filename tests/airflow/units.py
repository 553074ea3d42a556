"""Tests the parts of the Airflow loader that need no run: days, proof, what logs may not show,
files, the breaker, the run log.

    <python of an Airflow> tests/airflow/units.py [names of tests]
"""

import contextlib
import importlib.util
import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from unittest import mock

import support
from support import DAILY, HOURLY, TEAM

HOME = support.airflow_home()
DAGS = os.path.join(HOME, "dags")
UTC = timezone.utc


def load(document=None):
    """The loader as a module, beside this manifest."""
    support.write_manifest(DAGS, document or support.manifest({}))
    path = os.path.join(DAGS, "chronon_dags.py")
    spec = importlib.util.spec_from_file_location("chronon_dags", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["chronon_dags"] = module
    spec.loader.exec_module(module)
    return module


L = load(support.manifest({}, teams={"payments": {**TEAM, "emails": ["a@b"], "alerts": ["email"]}}))
L.ARRIVING = 0  # nothing is on its way here
WEEKLY = {"format": "yyyyMMdd", "minutes": 10080}
LOG = logging.getLogger("units")


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def context(kind="manual", start=None, end=None, logical=None, conf=None, **more):
    run = SimpleNamespace(
        dag_id="d", run_id="r", run_type=kind, conf=conf, start_date=at("2026-03-09T09:09"),
        data_interval_start=start and at(start), data_interval_end=end and at(end),
        logical_date=logical and at(logical), run_after=None, **more,
    )  # fmt: skip
    ti = SimpleNamespace(
        dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, max_tries=0,
        log_url="http://log", task=None,
    )  # fmt: skip
    return {"dag_run": run, "ti": ti}


class Days(unittest.TestCase):
    def test_patterns(self):
        moment = at("2026-03-04T05:06:07")
        for pattern, text in (
            ("yyyy-MM-dd", "2026-03-04"),
            ("yyyyMMdd", "20260304"),
            ("yyyy-MM-dd-HH", "2026-03-04-05"),
            ("yy/MM/dd HH:mm:ss", "26/03/04 05:06:07"),
            ("yyyy-MM-dd'T'HH", "2026-03-04T05"),
            ("'day=%d 'dd.MM.yyyy", "day=%d 04.03.2026"),
        ):
            self.assertEqual(L.show(moment, pattern), text)
            again = L.read_moment(text, pattern)
            self.assertEqual(L.show(again, pattern), text)
        for text in ("2026-3-4", "2026-02-30", "x2026-03-04", "", None, 20260304):
            self.assertIsNone(L.read_moment(text, "yyyy-MM-dd"))

    def ds(self, grid=DAILY, **more):
        return [L.show(it, grid["format"]) for it in L.slots_of_run(context(**more), grid)]

    def test_scheduled_runs(self):
        def run(start, end, grid=DAILY):
            found = self.ds(grid, kind="scheduled", start=start, end=end)
            return found[0], found[-1], len(found)

        one = ("2026-03-04", "2026-03-04", 1)
        self.assertEqual(run("2026-03-04", "2026-03-05"), one)
        self.assertEqual(run("2026-03-04T06:00", "2026-03-05T06:00"), one)
        self.assertEqual(run("2026-03-04T23:50", "2026-03-05"), one)
        with self.assertRaises(L.AirflowSkipException):
            L.slots_due(context(kind="scheduled", start="2026-03-04T10:00", end="2026-03-04T10:10"), DAILY)
        self.assertEqual(run("2026-03-01", "2026-03-08"), ("2026-03-01", "2026-03-07", 7))
        hours = ("2026-03-04-00", "2026-03-04-23", 24)
        self.assertEqual(run("2026-03-04", "2026-03-05", HOURLY), hours)
        hours = ("2026-03-04-05", "2026-03-04-05", 1)
        self.assertEqual(run("2026-03-04T05:00", "2026-03-04T06:00", HOURLY), hours)
        hours = ("2026-03-04-05", "2026-03-04-05", 1)
        self.assertEqual(run("2026-03-04T05:30", "2026-03-04T06:30", HOURLY), hours)
        # Weeks begin on Thursdays, as 1970 did: each is complete in one run of seven.
        weeks = [
            self.ds(WEEKLY, kind="scheduled", start=f"2026-03-{day:02}", end=f"2026-03-{day + 1:02}")
            for day in range(1, 8)
        ]
        self.assertEqual(sorted(map(len, weeks)), [0, 0, 0, 0, 0, 0, 1])

    def test_runs_by_hand(self):
        self.assertEqual(self.ds(conf={"ds": "2026-02-01"}), ["2026-02-01"])
        conf = {"start_ds": "2026-02-01", "end_ds": "2026-02-03"}
        self.assertEqual(self.ds(conf=conf, logical="2026-03-04")[::2], ["2026-02-01", "2026-02-03"])
        self.assertEqual(len(self.ds(HOURLY, conf=conf)), 72)
        self.assertEqual(self.ds(HOURLY, conf={"ds": "2026-02-01-07"}), ["2026-02-01-07"])
        self.assertEqual(self.ds(logical="2026-03-04"), ["2026-03-04"])
        # The interval of a run by hand differs from version to version, and says nothing.
        more = {"start": "2026-03-03", "end": "2026-03-04"}
        self.assertEqual(self.ds(logical="2026-03-04", **more), ["2026-03-04"])
        self.assertEqual(len(self.ds(HOURLY, logical="2026-03-04")), 24)
        self.assertEqual(self.ds(logical="2026-03-04T11:11"), ["2026-03-03"])
        self.assertEqual(self.ds(HOURLY, logical="2026-03-04T11:11"), ["2026-03-04-10"])
        self.assertEqual(self.ds(), ["2026-03-08"])
        for conf in (
            {"ds": "soon"}, {"start_ds": "2026-02-01"}, {"end_ds": "2026-02-01"},
            {"start_ds": "2026-02-02", "end_ds": "2026-02-01"}, {"ds": ""},
        ):  # fmt: skip
            with self.assertRaisesRegex(L.AirflowFailException, "the run's conf asks for"):
                self.ds(conf=conf)

    def needed(self, *slots, **more):
        spec = support.partition("a.b", **more)
        return L.shown(spec, L.slots_read(spec, [at(it) for it in slots]))

    def test_partitions(self):
        self.assertEqual(self.needed("2026-03-03", "2026-03-04"), ["2026-03-03", "2026-03-04"])
        self.assertEqual(self.needed("2026-03-04", lag=1440), ["2026-03-03"])
        self.assertEqual(self.needed("2026-03-04", lag=720), ["2026-03-03", "2026-03-04"])
        self.assertEqual(len(self.needed("2026-03-04", grid=HOURLY)), 24)
        self.assertEqual(self.needed("2026-03-04T05:00", of=HOURLY), ["2026-03-04"])
        hour = self.needed("2026-03-04T05:00", of=HOURLY, grid=HOURLY, lag=360)
        self.assertEqual(hour, ["2026-03-03-23"])
        self.assertEqual(self.needed("2026-03-04", last="2026-03-01"), ["2026-03-01"])
        self.assertEqual(self.needed("2026-03-04", last="2026-03-04"), ["2026-03-04"])
        self.assertEqual(self.needed("2026-03-04", first="2026-03-05"), [])
        self.assertEqual(self.needed("2026-03-04", first="2026-03-04"), ["2026-03-04"])
        compact = {"format": "yyyyMMdd", "minutes": 1440}
        self.assertEqual(self.needed("2026-03-04", grid=compact, last="20260301"), ["20260301"])
        with self.assertRaisesRegex(L.AirflowFailException, "last"):
            self.needed("2026-03-04", last="March")

    def external(self, *slots, **more):
        runs = L.runs_read(support.external("p", "t", **more), [at(it) for it in slots])
        return [it.strftime("%Y-%m-%dT%H:%M") for it in runs]

    def test_runs_of_other_dags(self):
        self.assertEqual(self.external("2026-03-04"), ["2026-03-04T00:00"])
        six = self.external("2026-03-04", schedule="0 6 * * *")
        self.assertEqual(six, ["2026-03-04T06:00"])  # it ends on the 5th at 6, the first after
        self.assertEqual(self.external("2026-03-04", lag=1440), ["2026-03-03T00:00"])
        week = self.external("2026-03-04", schedule="0 0 * * 0")  # Sundays: the 8th ends the run
        self.assertEqual(week, ["2026-03-01T00:00"])
        hour = self.external("2026-03-04T05:00", of=HOURLY, grid=HOURLY, schedule="0 * * * *")
        self.assertEqual(hour, ["2026-03-04T05:00"])
        self.assertEqual(self.external("2026-03-04", last="2026-03-03"), [])
        self.assertEqual(self.external("2026-03-04", last="2026-03-04"), ["2026-03-04T00:00"])
        self.assertEqual(self.external("2026-03-04", first="2026-03-05"), [])
        self.assertEqual(self.external("2026-03-04", first="2026-03-04"), ["2026-03-04T00:00"])

    def test_every_run_that_writes_something_of_what_is_read(self):
        hours = self.external("2026-03-04", grid=HOURLY, schedule="0 * * * *")
        self.assertEqual((len(hours), hours[0], hours[-1]), (24, "2026-03-04T00:00", "2026-03-04T23:00"))
        # A partition a day, whatever ticks in between.
        day = self.external("2026-03-04", schedule="0 * * * *")
        self.assertEqual(day, ["2026-03-04T23:00"])
        day = self.external("2026-03-04T05:00", of=HOURLY)
        self.assertEqual(day, ["2026-03-04T00:00"])
        week = self.external(*(f"2026-03-{it:02}" for it in range(1, 8)))
        self.assertEqual((len(week), week[0], week[-1]), (7, "2026-03-01T00:00", "2026-03-07T00:00"))
        once = self.external(*(f"2026-03-{it:02}" for it in range(1, 8)), schedule="0 0 * * 0")
        self.assertEqual(once, ["2026-03-01T00:00"])

    def awaited(self, made, day="2026-03-04", conf=None, **more):
        """Runs to wait for, and partitions to look for, where these runs were made."""
        made = [at(it) for it in made]
        ti = mock.Mock(get_dr_count=lambda dag_id, logical_dates: len(set(made) & set(logical_dates)))
        spec = support.external("p", "t", **more)
        runs, slots = L.awaited(spec, {**context(logical=day, conf=conf), "ti": ti})
        return [it.strftime("%dT%H") for it in runs], L.shown(spec, slots)

    def test_a_run_that_was_never_made_is_not_waited_for(self):
        self.assertEqual(self.awaited(["2026-03-04"]), (["04T00"], []))
        self.assertEqual(self.awaited([]), (["04T00"], []), "it may come yet")
        self.assertEqual(self.awaited(["2026-03-03"]), (["04T00"], []), "it may come yet")
        self.assertEqual(self.awaited(["2026-03-05"]), ([], ["2026-03-04"]))
        late = self.awaited(["2026-03-04"], lag=2880)
        self.assertEqual(late, ([], ["2026-03-02"]), "its DAG is younger")
        hours = [f"2026-03-04T{it:02}:00" for it in range(24)]
        hourly = {"grid": HOURLY, "schedule": "0 * * * *"}
        self.assertEqual(len(self.awaited(hours, **hourly)[0]), 24)
        runs, slots = self.awaited(hours[3:20], **hourly)
        self.assertEqual((len(runs), runs[-1]), (21, "04T23"), "the last four may come yet")
        self.assertEqual(slots, ["2026-03-04-00", "2026-03-04-01", "2026-03-04-02"])
        # Of a range that somebody asks for, only the end.
        history = {"start_ds": "2023-01-01", "end_ds": "2026-03-04"}
        self.assertEqual(self.awaited(["2026-03-04"], conf=history), (["04T00"], []))

    def test_a_look_is_at_the_runs_that_it_worked_out(self):
        """What a second answer would be is no matter: another DAG may make runs meanwhile."""
        day, kind = at("2026-03-04"), L.external_wait()
        sensor = kind(task_id="w", spec=support.external("p", "t"), team="payments")
        answers = mock.Mock(side_effect=[({day: [day]}, []), ({}, []), AssertionError])
        more = {**context(logical="2026-03-04"), "logical_date": day}
        more["ti"].get_ti_count = lambda **_: 0
        looked = mock.Mock(side_effect=lambda self, _: sensor._get_dttm_filter(more) and False)
        base = kind.__bases__[1]
        with mock.patch.object(L, "awaited", answers), mock.patch.object(
            base, "poke", lambda *it: looked(*it)
        ):
            self.assertFalse(sensor.poke(more))
            self.assertEqual((looked.call_count, answers.call_count), (1, 1))
            self.assertEqual(sensor._get_dttm_filter(more), [day])
            self.assertTrue(sensor.poke(more), "none is waited for")
            self.assertEqual((looked.call_count, answers.call_count), (1, 2), "none means any in 3.x")

    def test_a_run_that_ended_badly_counts_where_nothing_else_can_be_learned(self):
        """So it is off GCP, where the CLI's check says no and nothing else."""
        day, kind = at("2026-03-04"), L.external_wait()
        sensor = kind(task_id="w", spec=support.external("p", "t"), team="payments")
        more = {**context(logical="2026-03-04"), "logical_date": day}
        more["ti"].get_ti_count = lambda **it: int(it["states"] == ["skipped"])
        doubt = mock.Mock(side_effect=L.AirflowException("cannot be learned"))
        with mock.patch.object(L, "awaited", lambda *_: ({day: [day]}, [])), mock.patch.object(
            kind.__bases__[1], "poke", mock.Mock(side_effect=L.AirflowSkipException)
        ), mock.patch.object(kind, "there", doubt):
            with self.assertRaises(L.AirflowSkipException):
                sensor.poke(more)
            doubt.assert_called_once_with([day])
            sensor.killed = True
            with self.assertRaisesRegex(L.AirflowException, "cannot be learned"):
                sensor.poke(more)

    def test_words_are_filled_once(self):
        argv = L.fill(["{a}", "x{b}{c}", "{a"], a="{b}", b="2")
        self.assertEqual(argv, ["{b}", "x2{c}", "{a"])


class Hidden(unittest.TestCase):
    SECRETS = (
        ("TOKEN", "hunter2-listens"), ("PIN", "17"), ("LONGER", "hunter2-listens-more"),
        ("NOTE", "first line\nsecond line"), ("QUOTED", 'say "friend"'), ("EMPTY", ""),
    )  # fmt: skip

    def test_every_shape_of_a_secret_is_covered(self):
        for line, expected in (
            ("TOKEN=hunter2-listens", "TOKEN=***"),
            ("PIN=17 of 17", "PIN=*** of 17"),
            ("PIN: 17", "PIN: ***"),
            ("{'PIN': '17', 'X': '17'}", "{'PIN': '***', 'X': '17'}"),
            ('{"PIN": "17"} {"PIN":"17"}', '{"PIN": "***"} {"PIN":"***"}'),
            ("xhunter2-listensx", "x***x"),
            ("hunter2-listens-more!", "***!"),
            ("hunter2-listenshunter2-listens", "******"),
            ("  second line", "  ***"),
            ('json: say \\"friend\\".', "json: ***."),
            ("auth ya29.a0AfH6SMBx-y_z end", "auth *** end"),
            ("was=1//0hunter9_hunter9-hunter9&x", "was=***&x"),
            ("secret GOCSPX-hunter9-hunter9.", "secret ***."),
            ("id eyJhbGciOiJSUzI1.eyJzdWIiOiIxMjM0.hunter9_x-y end", "id *** end"),
            ("ghp_abcdefghij0123456789 ghs_abcdefghij0123456789", "*** ***"),
            ("github_pat_11ABCDEFG0abcdefghij_x", "***"),
            ("key AKIAIOSFODNN7EXAMPLE.", "key ***."),
            ("Authorization: Bearer abc.def-ghi", "Authorization: ***"),
            ("a -----BEGIN RSA PRIVATE KEY-----\\nMII\\n-----END RSA PRIVATE KEY----- b", "a *** b"),
            ("17 EMPTY= nothing here", "17 EMPTY= nothing here"),
            ("größe hunter2-listens größe", "größe *** größe"),
        ):
            self.assertEqual(L.Scrubber(self.SECRETS).line(line), expected)

    def test_a_private_key_over_several_lines_is_covered(self):
        scrubber = L.Scrubber()
        for line, expected in (
            ("x -----BEGIN PRIVATE KEY-----", "x ***"),
            ("MIIEvQIBADANBgkq", "***"),
            ("hkiG9w0BAQEFAASC", "***"),
            ("-----END PRIVATE KEY-----", "***"),
            ("after", "after"),
            ("-----BEGIN PRIVATE KEY-----", "***"),
            ("never ends", "never ends"),
            ("MIIEvQIBADANBgkq", "MIIEvQIBADANBgkq"),
        ):
            self.assertEqual(scrubber.line(line), expected)

    def test_secrets_are_found_at_any_depth(self):
        execution = {
            "env": {"common": {"A": "s-1"}, "modeEnvironments": {"upload": {"B": "s-2"}}},
            "conf": {"common": {"c": "s-3"}},
            "clusterConf": {"common": {"d": '{"deep": {"e": "s-4"}}'}},
        }
        group_by = {"metaData": {"name": "open", "executionInfo": execution}}
        custom = '{"additional_env": {"F": "s-5"}, "additional_args": ["s-7"], "lag": "open"}'
        join = {
            "metaData": {"name": "open", "customJson": custom, "modeToEnvMap": {"x": {"G": "s-6"}}},
            "joinParts": [{"groupBy": group_by}], "environments": ["open"], "my_password": 17,
        }  # fmt: skip
        found = set(L.secrets_of(join))
        values = {value for _, value in found}
        self.assertLessEqual({f"s-{n}" for n in range(1, 8)} | {"17"}, values)
        self.assertNotIn("open", values)
        self.assertIn(("A", "s-1"), found)
        broken = {"metaData": {"customJson": '{"additional_env": {"F": "s-5"'}}
        self.assertEqual(len(list(L.secrets_of(broken))), 1)

    def test_the_worker_s_own_secrets_are_covered(self):
        names = ("AIRFLOW_CONN_X", "AIRFLOW__CORE__FERNET_KEY", "DB_PASSWORD", "SLACK_TOKEN",
                 "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN")  # fmt: skip
        for name in names:
            self.assertTrue(L.PRIVATE.search(name), name)
        for name in ("PATH", "GCP_REGION", "VERSION", "HOME"):
            self.assertFalse(L.PRIVATE.search(name), name)


class Around(unittest.TestCase):
    def around(self, env=(), mode="upload", argv=(), dialect="zip", **settings):
        content = json.dumps({"metaData": {"executionInfo": {"env": settings}}})
        return L.Surroundings(content, mode, list(argv), dict(env), dialect)

    def test_the_env_of_the_mode_replaces_the_common_one(self):
        common = {"A": "common", "B": "common"}
        modes = {"upload": {"A": "upload", "C": None, "D": 1}, "streaming": {}}
        around = self.around(common=common, modeEnvironments=modes)
        self.assertEqual([around.value(it) for it in "ABCD"], ["upload", None, None, "1"])
        around = self.around(common=common, modeEnvironments=modes, mode="streaming")
        self.assertEqual(around.value("B"), "common")
        around = self.around(env={"A": "process", "B": ""}, common=common)
        self.assertEqual([around.value(it) for it in "AB"], ["process", None])

    def test_providers(self):
        self.assertEqual(self.around(env={"CLOUD_PROVIDER": "GCP"}).provider(), "gcp")
        self.assertIsNone(self.around().provider())
        self.assertIsNone(self.around(env={"CLOUD_PROVIDER": "gcp"}, dialect="oss").provider())
        with self.assertRaises(L.AirflowFailException):
            self.around(env={"CLOUD_PROVIDER": "moon"}).provider()

    def test_options_are_read_in_both_spellings(self):
        argv = ["--version=1=2", "--ds", "2026-01-01", "--versions=3"]
        around = self.around(argv=argv, env={"DS": "x", "V": "env"})
        self.assertEqual(around.option_or("--version", "V"), "1=2")
        self.assertEqual(around.option_or("--ds", "DS"), "2026-01-01")
        self.assertEqual(around.option_or("--end-ds", "V"), "env")

    def test_a_team_s_instance_and_no_other_folder(self):
        with mock.patch.dict(os.environ, {"CHRONON_ROOT": "/x", "CHRONON_REPO_PATH": "/x", "A": "b"}):
            env = L.job_env({**TEAM, "bigtable_instance": "bt"}, {"C": "d"})
        self.assertEqual((env["GCP_BIGTABLE_INSTANCE_ID"], env["A"], env["C"]), ("bt", "b", "d"))
        self.assertNotIn("CHRONON_ROOT", env)
        self.assertNotIn("CHRONON_REPO_PATH", env)


class Proof(unittest.TestCase):
    ID = "500c4849-d0b9-416e-bce8-227a6e823001"
    JAVA = "INFO:ai.chronon.logger:Running command: java -cp /tmp/zipline/x.jar"

    def seen(self, *lines):
        seen = L.Seen()
        for line in lines:
            seen.line(line)
        return seen

    def test_ids(self):
        announced = f"{self.JAVA} {L.SUBMITTER} join --job-id={self.ID} --is-gcp"
        self.assertEqual(self.seen(announced).id, self.ID)
        self.assertTrue(self.seen(announced).jars)
        for line in (
            f"Dataproc submitter job id: {self.ID}",
            f"2026-01-01 INFO Dataproc submitter job id: {self.ID}  ",
            f"Dataproc submitter job id={self.ID}",
        ):
            self.assertEqual(self.seen(line).submitted, self.ID)
        more = "Dataproc submitter job id: a-1", "Dataproc submitter job id: b"
        self.assertEqual(self.seen(announced, *more).id, "a-1")
        self.assertEqual(self.seen("x Job submitted with ID: app-1|run-2").id, "app-1|run-2")
        for line in (
            f"{self.JAVA} ai.chronon.online.fetcher.FetcherMain --job-id={self.ID}",
            f"Running command: gcloud {L.SUBMITTER} --job-id={self.ID}",
            f"java -cp x {L.SUBMITTER} --job-id={self.ID}",
            f"{self.JAVA} {L.SUBMITTER} --job-id=a;b",
            f"{self.JAVA} {L.SUBMITTER} --job-id=--flag",
            "Dataproc submitter job id:",
            "Dataproc submitter job id: two words",
        ):
            self.assertIsNone(self.seen(line).id, line)

    def test_counts(self):
        for lines, expected in (
            ((), None),
            (("success count = x, failure count = 0",), None),
            (("INFO success count = 1, failure count = 0",), "good"),
            (("success count = 0, failure count = 0",), "nothing"),
            (("success count = 7, failure count = 2.",), 2),
            (("success count = 1, failure count = 1", "success count = 2, failure count = 0"), 1),
        ):
            self.assertEqual(self.seen(*lines).stored(), expected)

    def test_nothing_is_proven_by_an_exit_code(self):
        submitted = f"Dataproc submitter job id: {self.ID}"
        done = f"INFO:ai.chronon.logger:Job {self.ID} is in DONE state."
        other = "Job 1 is in DONE state."
        ended = f"Job {self.ID} is not in DONE state. Current state: ERROR"
        deployed = "Flink job has been deployed successfully. Flink job ID = [f]. Dataproc job ID = [{}]"
        runs, runs_other = deployed.format(self.ID), deployed.format("other")
        good = "success count = 1, failure count = 0"
        for provider, mode, lines, expected in (
            ("gcp", "upload", (), False),
            ("gcp", "upload", (submitted,), False),
            ("gcp", "upload", (done,), False),
            ("gcp", "upload", (submitted, other), False),
            ("gcp", "upload", (submitted, ended), False),
            ("gcp", "upload", (submitted, done), True),
            ("gcp", "metadata-upload", (submitted, done), False),
            ("gcp", "metadata-upload", (submitted, good, done), True),
            ("gcp", "streaming", (submitted,), False),
            ("gcp", "streaming", (submitted, done), False),
            ("gcp", "streaming", (submitted, runs_other), False),
            ("gcp", "streaming", (submitted, runs), True),
            (None, "metadata-upload", (), False),
            (None, "metadata-upload", (good,), True),
            ("aws", "upload", (), True),
        ):
            seen = self.seen(*lines)
            proven = all(seen.meets(it) for it in L.needs(provider, mode))
            self.assertEqual(proven, expected, (provider, mode, lines))

    def test_every_answer_of_the_service_has_its_meaning(self):
        dataproc = L.Dataproc({}, "r", "p")
        said = lambda state: json.dumps({"status": {"state": state}})  # noqa: E731
        for answer, expected in (
            ((0, said("DONE"), ""), "DONE"),
            ((0, said("RUNNING"), ""), "live"),
            ((0, said("CANCEL_STARTED"), ""), "live"),
            ((0, said("ERROR"), ""), "ERROR"),
            ((0, said("CANCELLED"), ""), "CANCELLED"),
            ((1, "", "ERROR: (gcloud) NOT_FOUND: Job x"), "missing"),
            ((0, "", ""), " "),
            ((0, "{}", ""), " "),
            ((0, said("NEW"), ""), " "),
            ((1, "PERMISSION_DENIED", "PERMISSION_DENIED"), " "),
            ((None, "", ""), " "),
        ):
            with mock.patch.object(L, "capture", lambda *_, answer=answer: answer):
                state = dataproc.state("x", tries=1)
            self.assertEqual(" " if " " in state else state, expected, answer)


class Files(unittest.TestCase):
    def setUp(self):
        self.folder = os.path.join(DAGS, "chronon_files")
        files = {"compiled/a/b/c.d__1": b"one", "compiled/shared": b"two", "other": b"three"}
        self.digest = support.publish(DAGS, files, {}, shared=["compiled/shared"])
        self.pack = os.path.join(self.folder, L.read_index(self.digest)["pack"] + ".pack")
        L.read_index.cache_clear()

    def test_a_job_s_folder_has_what_it_needs_and_is_gone_afterwards(self):
        with L.job_folder(L.read_index(self.digest), "compiled/a/b/c.d__1") as folder:
            found = [os.path.join(at, it) for at, _, names in os.walk(folder) for it in names]
            names = sorted(os.path.relpath(it, folder) for it in found)
            self.assertEqual(names, ["compiled/a/b/c.d__1", "compiled/shared"])
            self.assertEqual(open(os.path.join(folder, "compiled/shared"), "rb").read(), b"two")
        self.assertFalse(os.path.exists(folder))

    def test_what_a_dead_worker_left_is_removed(self):
        index = L.read_index(self.digest)
        with tempfile.TemporaryDirectory() as system, mock.patch.object(
            L.tempfile, "tempdir", system
        ):
            left, new, other = (os.path.join(system, it) for it in ("chronon-job-a", "chronon-job-b", "x"))
            for place in (left, new, other):
                os.mkdir(place)
            with L.job_folder(index, "other") as held:
                for place in (left, other, held):
                    os.utime(place, (1, 1))
                with L.job_folder(index, "other") as folder:
                    self.assertEqual(
                        set(os.listdir(system)),
                        {os.path.basename(it) for it in (new, other, held, folder)},
                    )
            self.assertEqual(set(os.listdir(system)), {"chronon-job-b", "x"})

    def test_what_was_changed_is_refused(self):
        index = L.read_index(self.digest)
        with open(self.pack, "rb") as file:
            good = file.read()
        offset, length, *_ = index["files"]["other"]
        swapped = support.zlib.compress(b"thrae")
        for content, why in (
            (good[:offset], "damaged"),
            (good[:offset] + b"x" * length, "damaged"),
            (good[:offset] + swapped + good[offset + len(swapped) :], "not what was deployed"),
            (None, "is missing"),
        ):
            os.remove(self.pack)
            if content is not None:
                with open(self.pack, "wb") as out:
                    out.write(content)
            with self.assertRaisesRegex(L.Broken, why):
                L.read_file(index, "other")
            with open(self.pack, "wb") as out:
                out.write(good)
        self.assertEqual(L.read_file(index, "other"), b"three")
        with self.assertRaisesRegex(L.Broken, "has no file"):
            L.read_file(index, "nothing")

    def test_an_index_is_verified(self):
        path = os.path.join(self.folder, f"{self.digest}.json")
        with open(path, "ab") as out:
            out.write(b" ")
        with self.assertRaisesRegex(L.Broken, "hash does not fit"):
            L.read_index(self.digest)
        with self.assertRaisesRegex(L.Broken, "is missing"):
            L.read_index("0" * 64)

    def test_a_file_that_arrives_later_is_waited_for(self):
        path = os.path.join(self.folder, f"{self.digest}.json")
        os.rename(path, f"{path}.later")
        L.read_index.cache_clear()
        threading.Timer(1.2, os.rename, (f"{path}.later", path)).start()
        with mock.patch.object(L, "ARRIVING", 30):
            self.assertIn("files", L.read_index(self.digest))

    def test_no_file_leaves_the_folder(self):
        digest = support.publish(DAGS, {"../evil": b"x"}, {})
        with self.assertRaisesRegex(L.Broken, "not below the folder"):
            with L.job_folder(L.read_index(digest), "../evil"):
                pass


class Pauses(unittest.TestCase):
    def setUp(self):
        self.kept = {}
        patch = mock.patch.multiple(
            L,
            read_variable=self.kept.get,
            write_variable=lambda name, value: (
                self.kept.update({name: value}) if value else self.kept.pop(name, None)
            ),
        )
        patch.start()
        self.addCleanup(patch.stop)
        self.breaker = L.Breaker("joins/a.b", "backfill")

    def fail(self, day, mode="backfill", kind="scheduled"):
        start = at(day)
        more = context(kind, day, (start + timedelta(days=1)).strftime("%Y-%m-%d"))
        return L.Breaker("joins/a.b", mode).failed(more)

    def test_failed_days_pause(self):
        self.assertEqual(self.fail("2026-03-01"), (False, True))
        self.assertEqual(self.fail("2026-03-01"), (False, False))
        self.assertEqual(self.fail("2026-03-02"), (False, True))
        self.breaker.check(context())
        self.assertEqual(self.fail("2026-03-04"), (True, True))
        told = "paused since 2026-03-04, after 3 failed days in a row .* `chronon_paused.prod.joins"
        with self.assertRaisesRegex(L.AirflowSkipException, told):
            self.breaker.check(context())
        self.breaker.check(context(conf={"despite_pause": True}))
        self.assertEqual(self.fail("2026-03-05"), (False, True), "it was told once")
        self.breaker.succeeded()
        self.breaker.check(context())
        self.assertEqual(self.kept, {})

    def test_what_does_not_count(self):
        for day in ("2026-03-01", "2026-03-02", "2026-03-03"):
            self.fail(day, kind="manual")
        self.assertEqual(self.kept, {})
        self.fail("2026-03-01")
        self.fail("2026-03-02")
        L.Breaker("joins/a.b", "log-flattener").succeeded()  # another mode than the one that fails
        self.assertEqual(self.fail("2026-03-03"), (True, True))
        with mock.patch.dict(L.MANIFEST, breaker_days=0):
            L.Breaker("joins/a.b", "backfill").check(context())

    def test_several_modes_do_not_add_up(self):
        for day in ("2026-03-01", "2026-03-02"):
            for mode in ("backfill", "upload"):
                self.fail(day, mode)
        self.breaker.check(context())

    def test_a_long_name_is_still_its_own(self):
        names = {L.Breaker("joins/" + "x" * 300 + it, "m").name for it in "ab"}
        self.assertEqual(len(names), 2)
        self.assertTrue(all(len(it) <= 200 for it in names))


def write_rows(arguments):
    state, writer = arguments
    for number in range(50):
        L.append_row(state, "runs/d/2026-03-04.jsonl", {"w": writer, "n": number, "x": "y" * 9000})


class Found(unittest.TestCase):
    def test_the_job_of_an_earlier_try_is_told_from_other_work(self):
        kept, more = {}, context()
        with mock.patch.multiple(L, read_variable=kept.get, write_variable=kept.__setitem__):
            L.Kept(more, ["a"]).keep("job-1")
            (name,) = kept
            self.assertRegex(name, r"^chronon_job\.prod\.[0-9a-f]{32}$")
            self.assertEqual(L.Kept(more, ["a"]).read()[:2], ("job-1", True))
            self.assertEqual(L.Kept(more, ["b"]).read()[:2], ("job-1", False))
            more["ti"].max_tries = 3  # as where the task was cleared
            self.assertEqual(L.Kept(more, ["a"]).read()[:2], ("job-1", False))
            more["ti"].run_id = "other"
            self.assertIsNone(L.Kept(more, ["a"]).read())
            for wrong in (None, [], {"job": "--flag"}, {"job": "a;b"}, {}):
                kept[name] = wrong
                self.assertIsNone(L.Kept(context(), ["a"]).read(), wrong)
            stream = L.Kept(context(), ["a"], stream=True).name
            self.assertEqual(L.Kept(more, ["b"], stream=True).name, stream, "of all runs")

    def keep_alive(self, provider, end, said, kept, **env):
        """What a keep-alive does where the check ends so; gives its job."""
        task = L.KeepAlive(
            task_id="t", team="payments",
            spec={"conf": "c", "config": "c", "mode": "streaming", "argv": ["deploy"],
                  "check": ["check"], "minutes": 1},
        )  # fmt: skip
        around = L.Surroundings("{}", "streaming", [], {"CLOUD_PROVIDER": provider, **env}, "zip")
        found = mock.Mock(read=lambda: kept, stream=True)
        found.name = "chronon_job.prod.x"  # a word of Mock's own
        attempt = L.Attempt(around, "streaming", None, 60, LOG, kept=found)

        def child(argv, *_, **__):
            self.assertEqual(argv, ["check"], "nothing may be deployed")
            attempt.seen = SimpleNamespace(submitted=said, jars=True, id=said)
            return end

        with mock.patch.multiple(
            L.KeepAlive, kept=lambda *_, **__: found,
            attempted=lambda *_, **__: contextlib.nullcontext(attempt),
        ), mock.patch.multiple(L, Breaker=mock.DEFAULT), mock.patch.object(attempt, "child", child):
            try:
                task.work(context())
            finally:
                self.forgotten = found.forget.called
        return attempt.job

    def test_off_gcp_the_check_alone_says_whether_a_stream_runs(self):
        left = ("job-1", False, 0)  # its deployer died
        for provider in ("aws", "azure"):
            for kept in (None, left):
                self.assertEqual(self.keep_alive(provider, 0, "job-2", kept), "job-2")
                self.assertEqual(self.forgotten, kept is not None)
                self.assertEqual(self.keep_alive(provider, 0, None, kept), "(unknown)")
                with self.assertRaisesRegex(L.AirflowException, "exit code 1") as raised:
                    self.keep_alive(provider, 1, None, kept)
                self.assertFalse(self.forgotten)
                self.assertNotRegex(str(raised.exception), "gcloud|GCP_|Dataproc")
                self.assertIn("deploy it by hand", str(raised.exception))
        with self.assertRaisesRegex(L.AirflowException, "GCP_REGION or GCP_PROJECT_ID is not set"):
            self.keep_alive("gcp", 0, "job-2", left, GCP_REGION="r")

    def test_whoever_cannot_be_asked_about_a_job_is_named(self):
        for provider, words, others in (
            ("gcp", ("GCP_REGION or GCP_PROJECT_ID is not set", "`gcloud dataproc"), "AWS|Azure"),
            ("aws", ("AWS is not asked", "look in AWS's console"), "gcloud|GCP|Dataproc"),
            ("azure", ("Azure is not asked", "look in Azure's console"), "gcloud|GCP|Dataproc"),
        ):
            around = L.Surroundings("{}", "upload", [], {"CLOUD_PROVIDER": provider}, "zip")
            kept = mock.Mock(read=lambda: ("job-1", True, 0))
            attempt = L.Attempt(around, "upload", None, 60, LOG, kept=kept)
            with self.assertRaises(L.AirflowException) as raised:
                attempt.run(["never"])
            for word in (*words, "job-1", "delete the Airflow Variable"):
                self.assertIn(word, str(raised.exception))
            self.assertNotRegex(str(raised.exception), others)

    def test_what_cannot_be_kept_must_not_run(self):
        env = {"CLOUD_PROVIDER": "gcp", "PATH": os.environ["PATH"]}
        around = L.Surroundings("{}", "upload", [], env, "zip")
        kept = mock.Mock(read=lambda: None, keep=mock.Mock(side_effect=RuntimeError("no")))
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(
            L.tempfile, "gettempdir", lambda: folder
        ):
            attempt = L.Attempt(around, "upload", folder, 30, mock.Mock(), kept=kept)
            said = f"x Running command: java {L.SUBMITTER} --job-id=job-1"
            code = f"print({said!r}, flush=True); import time; time.sleep(60)"
            started = time.monotonic()
            with self.assertRaises(RuntimeError):
                attempt.run([sys.executable, "-c", code])
        self.assertLess(time.monotonic() - started, 20)
        self.assertIsNotNone(attempt.process.child.returncode, "it runs on")
        kept.keep.assert_called_once_with("job-1")


class RunLog(unittest.TestCase):
    def test_many_write_at_once_to_a_folder(self):
        state = support.temporary("state-")
        with multiprocessing.get_context("fork").Pool(4) as pool:
            pool.map(write_rows, [(state, it) for it in range(4)])
        with open(os.path.join(state, "runs/d/2026-03-04.jsonl")) as file:
            rows = [json.loads(line) for line in file]
        self.assertEqual(len({(it["w"], it["n"]) for it in rows}), 200)

    def test_many_write_at_once_to_a_bucket(self):
        # The client of the bucket is that of the CLI, where this Python has none of its own.
        packages = os.path.join(os.path.dirname(support.zipline()), "lib")
        python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        sys.path.append(os.path.join(packages, python, "site-packages"))
        try:
            import google

            with mock.patch.object(google, "__path__", [
                *google.__path__, os.path.join(sys.path[-1], "google")
            ]):  # fmt: skip
                self.write_to_a_bucket()
        finally:
            sys.path.pop()

    def write_to_a_bucket(self):
        bucket = support.Bucket()
        with mock.patch.dict(os.environ, {"STORAGE_EMULATOR_HOST": bucket.url}):
            wrong = []

            def write(writer):
                try:
                    for number in range(5):
                        L.append_row("gs://b/prod", "runs/d/x.jsonl", {"w": writer, "n": number})
                except Exception as error:  # noqa: BLE001
                    wrong.append(error)

            threads = [threading.Thread(target=write, args=(it,)) for it in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(wrong, [])
            rows = [json.loads(it) for it in bucket.text("b", "prod/runs/d/x.jsonl").splitlines()]
            self.assertEqual(len({(it["w"], it["n"]) for it in rows}), 15)
            bucket.put("b", "prod/state.json", b'{"format_version": 1, "resources": [1]}')
            self.assertEqual(L.read_ledger("gs://b/prod"), [1])
            self.assertEqual(L.read_ledger("gs://b/none"), [])

    def test_what_cannot_be_written_is_a_warning(self):
        task = SimpleNamespace(
            config="c", job_mode="m", team="t", job_id=None, date="2026-03-04", log=mock.Mock()
        )
        with mock.patch.dict(L.MANIFEST, state="/dev/null/x"):
            L.report(task, context(), time.time(), "success")
        self.assertIn("run log was not written", task.log.warning.call_args_list[0][0][0])


class Told(unittest.TestCase):
    ALERT = {"title": "it failed", "text": "why <b>", "facts": {}, "key": "k"}

    def conn(self, **more):
        names = ("host", "schema", "port", "password")
        return SimpleNamespace(**{**dict.fromkeys(names), **more})

    def test_addresses(self):
        hooks = "https://hooks.slack.com/services"
        for conn, url in (
            ({"host": f"{hooks}/T/B/x"}, f"{hooks}/T/B/x"),
            ({"password": "T/B/x"}, f"{hooks}/T/B/x"),
            ({"password": "/T/B/x"}, f"{hooks}/T/B/x"),
            ({"host": hooks + "/", "password": "T/B/x"}, f"{hooks}/T/B/x"),
            ({"password": f"{hooks}/T/B/x"}, f"{hooks}/T/B/x"),
            ({"host": "chat.example.com", "schema": "hooks/1"}, "https://chat.example.com/hooks/1"),
            ({"host": "localhost", "port": 80, "schema": "http"}, "http://localhost:80"),
            ({"host": "http://localhost/a", "port": 81}, "http://localhost:81/a"),
        ):
            self.assertEqual(L.slack_url(self.conn(**conn)), url)
        self.assertEqual(L.base_url(self.conn(), "https://api.opsgenie.com"), "https://api.opsgenie.com")

    def test_mail(self):
        with mock.patch("airflow.utils.email.send_email") as send:
            L.tell(L.team_of("payments"), self.ALERT, LOG)
        (to, subject, text), _ = send.call_args
        self.assertEqual((to, subject, text), (["a@b"], "it failed", "<pre>why &lt;b&gt;</pre>"))

    def test_what_cannot_be_told_is_logged_without_its_text(self):
        log, team = mock.Mock(), {**TEAM, "alerts": ["email", "smoke:x", "slack:none"]}
        error = RuntimeError("https://secret")
        with mock.patch.object(L, "connection", mock.Mock(side_effect=error)):
            L.tell(team, self.ALERT, log)
        said = [str(it) for it in log.error.call_args_list]
        self.assertEqual(len(said), 3)
        self.assertNotIn("secret", "".join(said))

    def test_a_run_that_took_too_long_is_told(self):
        manifest = {**L.MANIFEST, "dags": {"live": support.dag({}, kind="streaming")}}
        bare = {"dag": SimpleNamespace(dag_id="live"), "run_id": "r"}  # all that 3.x may give
        with mock.patch.object(L, "MANIFEST", manifest), mock.patch.object(L, "tell") as tell:
            for reason in ("task_failure", None, "all_tasks_deadlocked"):
                L.on_timeout({**bare, "reason": reason})
            tell.assert_not_called()
            L.on_timeout({**bare, "reason": "timed_out"})
            L.on_timeout({**context(), "dag": bare["dag"], "reason": "timed_out"})
        (team, alert, _), (_, other, _) = (it[0] for it in tell.call_args_list)
        self.assertEqual((team["alerts"], alert), (["email"], other))
        self.assertIn("dag: live\nteam: payments\nrun: r", alert["text"])
        for kind, told in (("streaming", True), ("metadata", True), ("batch", False)):
            made = L.make_dag("d", support.dag({}, kind=kind))
            self.assertEqual(bool(made.on_failure_callback), told, kind)
            self.assertEqual(bool(made.dagrun_timeout), told, kind)

    def test_a_pause_that_cannot_be_described_hides_no_failure(self):
        task = SimpleNamespace(
            team="payments", config="c", job_mode="m", breaks=True, often=False, scrubber=None,
            log=mock.Mock(),
        )  # fmt: skip
        more = context("scheduled", "2026-03-04", "2026-03-05")
        more["ti"].task = task
        error = mock.Mock(side_effect=RuntimeError("https://secret"))
        with mock.patch.multiple(
            L, read_variable=error, write_variable=error, tell=mock.DEFAULT
        ) as mocks:
            L.on_failure(more)
            with mock.patch.object(L.Breaker, "failed", lambda *_: (True, True)):
                L.on_failure(more)
            self.assertEqual(mocks["tell"].call_count, 2)

    def test_a_connection_is_found_where_each_version_has_it(self):
        with mock.patch.dict(os.environ, AIRFLOW_CONN_X='{"conn_type": "http", "host": "h"}'):
            self.assertEqual(L.connection("x").host, "h")
        hook, first = mock.Mock(), L._first
        only_old = lambda *places: (  # noqa: E731: as in 3.0
            hook if any(it == "airflow.hooks.base:BaseHook" for it in places) else first(*places)
        )
        with mock.patch.object(L, "_first", only_old):
            L.connection("x")
        hook.get_connection.assert_called_once_with("x")

    def test_a_failure_of_a_stream_is_told_once_a_day(self):
        task = SimpleNamespace(
            team="payments", config="c", job_mode="streaming", breaks=True, often=True,
            scrubber=None, log=mock.Mock(),
        )  # fmt: skip
        kept = {}
        more = context("scheduled", "2026-03-04T10:00", "2026-03-04T10:10")
        more["ti"].task = task
        with mock.patch.multiple(
            L, read_variable=kept.get, write_variable=kept.__setitem__, tell=mock.DEFAULT
        ) as mocks:
            L.on_failure(more)
            L.on_failure(more)
            self.assertEqual(mocks["tell"].call_count, 1)
            task.often = False
            L.on_failure(more)
            self.assertEqual(mocks["tell"].call_count, 2)


class Clusters(unittest.TestCase):
    def cluster(self, **size):
        size = {"workers": 2, "machine": "n2-standard-4", "image": "2.1-debian11", **size}
        content = json.dumps({"metaData": {"executionInfo": {"env": {"common": {
            "CLOUD_PROVIDER": "gcp", "GCP_REGION": "r", "GCP_PROJECT_ID": "p"}}}}})  # fmt: skip
        around = L.Surroundings(content, "upload", [], {"PATH": os.environ["PATH"]}, "zip")
        return L.Cluster(around, "chronon-x", size, LOG)

    def test_names(self):
        name = L.cluster_name(context(), "upload")
        self.assertEqual(name, L.cluster_name(context(), "upload"))
        self.assertNotEqual(name, L.cluster_name(context(), "load"))
        self.assertRegex(name, r"^[a-z][-a-z0-9]{0,49}[a-z0-9]$")
        self.assertEqual(L.label("Team A/b" + "x" * 99), "team-a-b" + "x" * 55)

    def test_what_is_not_asked_for_is_left_out(self):
        argv = self.cluster().create_argv(TEAM, "upload", 60)
        words = [it.split("=")[0] for it in argv]
        for option in ("--num-secondary-workers", "--secondary-worker-type", "--bucket",
                       "--autoscaling-policy"):  # fmt: skip
            self.assertNotIn(option, words)
        self.assertIn("--max-age=180m", argv)
        self.assertIn("--region=r", argv)

    def test_a_cluster_killed_while_it_is_made_is_deleted(self):
        cluster = self.cluster()
        with mock.patch.multiple(
            L, capture=mock.Mock(side_effect=[(1, "", "NOT_FOUND"), KeyboardInterrupt]),
            detached=mock.DEFAULT,
        ) as mocks:  # fmt: skip
            with self.assertRaises(KeyboardInterrupt):
                cluster.create(["x"])
        self.assertIn("delete", mocks["detached"].call_args[0][0])


class Groups(unittest.TestCase):
    def test_chunks_are_dealt_out_whole_and_in_order(self):
        spans = list(range(7))
        for parallel, most, expected in (
            (4, 4, [[0], [1], [2], [3], [4], [5], [6]]),
            (1, 1, [spans]),
            (1, 4, [spans]),
            (3, 4, [[0, 1], [2, 3], [4, 5, 6]]),
        ):
            self.assertEqual(L.groups_of(spans, parallel, most), expected)
        self.assertEqual(L.groups_of([0], 3, 4), [[0]])


class Requests(unittest.TestCase):
    SPEC = {"modes": ["backfill"], "types": ["group_bys"], "parallel": 4}

    def setUp(self):
        argv = ["x", "--start={start_ds}", "--end={end_ds}"]
        more = {"minutes": {}, "proof": "cli"}
        jobs = {
            "c/group_bys/a/b": {"config": "group_bys/a/b", "team": "a", "grid": DAILY, **more,
                                "modes": {"backfill": argv, "upload": ["x", "{ds}"]}},
            "c/joins/a/b": {"config": "joins/a/b", "team": "a", "grid": DAILY, "modes": {}, **more},
            "c/group_bys/a/h": {"config": "group_bys/a/h", "team": "a", "grid": HOURLY, **more,
                                "modes": {"backfill": argv}},
        }  # fmt: skip
        L.MANIFEST["files"] = support.publish(DAGS, {}, jobs)

    def spans(self, run_id="manual__r", **conf):
        conf = {"conf": "c/group_bys/a/b", "start_ds": "2026-01-01", "end_ds": "2026-01-10", **conf}
        return L.Request(self.SPEC, conf, run_id).spans

    def test_only_files_that_are_on_their_way_are_waited_for(self):
        """A digest that somebody mistypes holds no worker."""
        gone, pause = "0" * 64, mock.Mock()
        for files, run_id, waits in (
            (gone, "manual__2026-03-04", False),
            (gone, "chronon-plan__0123456789abcdef", True),
            (None, "manual__2026-03-04", True),
        ):
            with mock.patch.dict(L.MANIFEST, files=gone), mock.patch.multiple(
                L, ARRIVING=0.01, time=mock.Mock(wraps=time, sleep=pause)
            ):
                pause.reset_mock()
                pause.side_effect = lambda _: time.sleep(0.02)
                if files:
                    L.MANIFEST["files"] = "1" * 64
                with self.assertRaisesRegex(L.AirflowFailException, "is missing"):
                    self.spans(run_id, files=files)
                self.assertEqual(pause.called, waits, (files, run_id))

    def test_chunks(self):
        self.assertEqual(self.spans(), [{"start_ds": "2026-01-01", "end_ds": "2026-01-10"}])
        chunks = [(it["start_ds"][8:], it["end_ds"][8:]) for it in self.spans(chunk_days=4)]
        self.assertEqual(chunks, [("01", "04"), ("05", "08"), ("09", "10")])
        hours = self.spans(conf="c/group_bys/a/h", chunk_days=6)
        self.assertEqual(hours[0], {"start_ds": "2026-01-01-00", "end_ds": "2026-01-06-23"})
        self.assertEqual(hours[1], {"start_ds": "2026-01-07-00", "end_ds": "2026-01-10-23"})

    def test_mistakes(self):
        for conf, why in (
            ({"conf": "/etc/passwd"}, "`conf` must be the path"),
            ({"conf": "c/joins/a/b"}, "must be one of group_bys; joins/a/b has no mode backfill"),
            ({"mode": "upload"}, "`mode` must be one of backfill"),
            ({"files": "../../x"}, "no digest"),
            ({"files": "0" * 64}, "is missing"),
            ({"end_ds": None}, "the first day first"),
            ({"start_ds": "2020-01-01", "chunk_days": 1}, "1000 are the most"),
            ({"chunk_days": True}, "`chunk_days` must be a number"),
            ({"parallel": 5}, "`parallel` is at most 4"),
            ({"argv": ["rm"]}, "unknown: argv"),
        ):
            with self.assertRaisesRegex(L.AirflowFailException, why):
                self.spans(**conf)


class Metadata(unittest.TestCase):
    def test_what_is_current(self):
        config, row = {"blob": "b"}, {"blob": "b"}
        for change, expected in (({}, True), ({"blob": "x"}, False), ({"begun": True}, False)):
            self.assertEqual(L.is_current(config, {**row, **change}), expected, change)
        self.assertFalse(L.is_current(config, None))

    def test_a_ledger_of_a_newer_form_is_refused(self):
        state = support.temporary("state-")
        self.assertEqual(L.read_ledger(state), [])
        with open(os.path.join(state, "state.json"), "w") as out:
            out.write('{"format_version": 3, "resources": []}')
        with self.assertRaisesRegex(L.AirflowFailException, "newer"):
            L.read_ledger(state)


class Processes(unittest.TestCase):
    def process(self, code, *more):
        log = mock.Mock()
        argv = [sys.executable, "-c", code, *more]
        return L.Process(argv, None, dict(os.environ), L.Scrubber([("A", "hunter2")]), log), log

    def test_lines_are_told_one_by_one_without_secrets(self):
        process, log = self.process("print('a'); print('hunter2 b'); print('x' * 200_000); print('z')")
        lines = []
        self.assertEqual(process.run(lambda line: lines.append(line), 30), 0)
        self.assertEqual([lines[0], lines[1], len(lines[2]), lines[3]], ["a", "hunter2 b", 65536, "z"])
        said = [it[0][1] for it in log.info.call_args_list if it[0][0] == "%s"]
        self.assertEqual(said[:2], ["a", "*** b"])

    def test_no_process_of_a_group_is_left(self):
        code = (
            "import subprocess, sys, time; "
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)']); "
            "print(child.pid, flush=True); time.sleep(99)"
        )
        process, _ = self.process(code)
        pids = []
        end = process.run(lambda line: pids.append(int(line)) or True, 30)
        self.assertEqual(end, "enough")
        time.sleep(0.2)
        self.assertFalse(self.lives(pids[0]))
        process, _ = self.process("import time; time.sleep(99)")
        self.assertEqual(process.run(lambda line: None, 0.5), "late")

    def test_one_that_does_not_hear_is_killed(self):
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(99)"
        process, _ = self.process(code)
        started = time.monotonic()
        self.assertEqual(process.run(lambda line: True, 30), "enough")
        self.assertLess(time.monotonic() - started, 10)
        self.assertEqual(process.child.returncode, -signal.SIGKILL)

    def test_others_may_hold_the_stream_open(self):
        code = "import subprocess; subprocess.Popen(['setsid', 'sleep', '9']); print('done')"
        process, _ = self.process(code)
        started, lines = time.monotonic(), []
        self.assertEqual(process.run(lambda line: lines.append(line), 30), 0)
        self.assertLess(time.monotonic() - started, 6)
        self.assertEqual(lines, ["done"])

    def test_a_program_that_is_not_there(self):
        with self.assertRaisesRegex(L.AirflowFailException, "`no-such` cannot be started"):
            L.Process(["no-such"], None, {}, L.Scrubber(), mock.Mock())

    def test_a_short_command_that_hangs_is_ended(self):
        argv = ["sh", "-c", "sleep 30 & sleep 30"]
        started = time.monotonic()
        self.assertEqual(L.capture(argv, dict(os.environ), 0.5)[0], None)
        self.assertLess(time.monotonic() - started, 10)

    @staticmethod
    def lives(pid):
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rsplit(")", 1)[1].split()[0] != "Z"
        except FileNotFoundError:
            return False


class Jars(unittest.TestCase):
    def around(self, version):
        env = {"CLOUD_PROVIDER": "gcp", "VERSION": version, "ARTIFACT_PREFIX": "gs://a"}
        return L.Surroundings("{}", "upload", [], env, "zip")

    def test_other_jars_wait_and_equal_ones_do_not(self):
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(
            L.tempfile, "gettempdir", lambda: folder
        ):
            seen = L.Seen()
            with L.jars(self.around("1")) as told:
                self.assertFalse(self.gets_in("1"), "they are not there yet")
                seen.jars = True
                told(seen)
                self.assertTrue(self.gets_in("1"))
                self.assertFalse(self.gets_in("2"))
                seen.submitted = "x"
                told(seen)
                self.assertTrue(self.gets_in("2"))
            self.assertTrue(self.gets_in("1"))

    def gets_in(self, version):
        """Whether a job gets in at once; whoever waits gives up after a moment."""
        started = time.monotonic()
        with L.jars(self.around(version), patience=0.5):
            return time.monotonic() - started < 0.4


class Published(unittest.TestCase):
    def test_the_digest_is_that_of_the_canonical_form(self):
        document = {"b": "größe\u2028\n", "a": [1, None, True]}
        plain = '{"a":[1,null,true],"b":"größe\u2028\\n"}'.encode()
        self.assertEqual(L.canonical(document), plain)

    def test_nothing_but_airflow_and_the_standard_library_is_imported(self):
        code = (
            "import sys, runpy; import airflow; runpy.run_path(sys.argv[1]); "
            "print(*[it for it in ('deltalake', 'google.cloud.storage', 'croniter', "
            "'airflow.providers.apache.hive') if it in sys.modules])"
        )
        path = os.path.join(DAGS, "chronon_dags.py")
        bare = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code.replace("runpy.run_path(sys.argv[1]); ", "airflow.DAG; "), path],
            capture_output=True, text=True, env=os.environ,
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code, path],
            capture_output=True, text=True, env=os.environ,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        # What Airflow itself has imported by then is Airflow's own affair.
        new = set(done.stdout.split()) - set(bare.stdout.split()) - {"croniter"}
        self.assertEqual(new, set())


if __name__ == "__main__":
    unittest.main(verbosity=1)
