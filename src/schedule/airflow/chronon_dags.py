"""Chronon's schedules in Airflow: makes DAGs of the manifest that lies next to this file.

Written by chronon-plan, which publishes it as it is; every setting is in `chronon_dags.json`, and
changes here are overwritten by the next deploy. It works in Airflow 2.10 and later and in 3.x.

Parsing needs nothing beyond Airflow and the standard library. The files of the deployed commit lie
in `chronon_files/`; a job gets a fresh folder with exactly those that it needs, each verified, so
that two commits never mix. Exit code 0 of Chronon's CLI proves nothing, so that a job is done only
when what its kind needs is known (see NEEDS).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import html
import importlib
import json
import logging
import os
import queue
import random
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from datetime import datetime, timedelta, timezone

import airflow

FORMAT = 1
HERE = os.path.dirname(os.path.abspath(__file__))
MANIFEST_FILE = os.path.join(HERE, "chronon_dags.json")
FILES = os.path.join(HERE, "chronon_files")

UTC = timezone.utc
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# --- What Airflow is called in its versions ------------------------------------------------------


def _first(*places):
    """The first of these names that this Airflow has; each is `module:name`."""
    for place in places:
        module, _, name = place.partition(":")
        with contextlib.suppress(ImportError, AttributeError):
            return getattr(importlib.import_module(module), name)
    raise ImportError(f"this Airflow ({airflow.__version__}) has none of {', '.join(places)}")


THREE = int(airflow.__version__.split(".")[0]) >= 3
_OLD = "airflow.exceptions"  # where 2.x has what 3.x keeps in its SDK
_ERRORS = ("airflow.sdk.exceptions", _OLD) if THREE else (_OLD,)

AirflowException = _first(*(f"{it}:AirflowException" for it in _ERRORS))
AirflowFailException = _first(*(f"{it}:AirflowFailException" for it in _ERRORS))
AirflowSkipException = _first(*(f"{it}:AirflowSkipException" for it in _ERRORS))

if THREE:
    DAG = _first("airflow.sdk:DAG")
    BaseOperator = _first("airflow.sdk:BaseOperator")
    BaseSensorOperator = _first("airflow.sdk:BaseSensorOperator")
    get_parsing_context = _first("airflow.sdk:get_parsing_context")
    CronDataIntervalTimetable = _first(
        "airflow.sdk:CronDataIntervalTimetable",
        "airflow.timetables.interval:CronDataIntervalTimetable",
    )
else:
    DAG = _first("airflow.models.dag:DAG")
    BaseOperator = _first("airflow.models.baseoperator:BaseOperator")
    BaseSensorOperator = _first("airflow.sensors.base:BaseSensorOperator")
    get_parsing_context = _first("airflow.utils.dag_parsing_context:get_parsing_context")
    CronDataIntervalTimetable = _first("airflow.timetables.interval:CronDataIntervalTimetable")


def variable():
    """The class of Airflow's Variables."""
    return _first("airflow.sdk:Variable") if THREE else _first("airflow.models:Variable")


def read_variable(name):
    """The JSON in a Variable; none where there is no such Variable, or something else in it."""
    default = {"default": None} if THREE else {"default_var": None}
    text = variable().get(name, **default)
    try:
        return None if text is None else json.loads(text)
    except ValueError:
        return None


def write_variable(name, value):
    """Keeps a value as JSON; none deletes."""
    if value is None:
        variable().delete(name)
    else:
        variable().set(name, json.dumps(value, sort_keys=True))


def connection(name):
    places = ("airflow.sdk:BaseHook", "airflow.hooks.base:BaseHook")  # 3.0 has it at the old place
    return _first(*places[0 if THREE else 1 :]).get_connection(name)


def stats():
    """Airflow's own metrics, to StatsD or OpenTelemetry as it is set up."""
    if THREE:
        with contextlib.suppress(ImportError):
            module = importlib.import_module("airflow.sdk.observability.stats")
            return module if hasattr(module, "timing") else module.Stats
    return _first("airflow.stats:Stats")


# --- The manifest and the files of the commit ----------------------------------------------------


class Broken(Exception):
    """What was published cannot be used as it is."""


def canonical(document):
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


AGAIN = "publish the schedules again with chronon-plan"


def read_manifest(path=None):
    """The manifest, verified."""
    path = path or MANIFEST_FILE
    try:
        with open(path, "rb") as file:
            document = json.loads(file.read())
    except FileNotFoundError:
        raise Broken(f"{path} is missing: {AGAIN}, or remove this loader") from None
    except ValueError as error:
        raise Broken(f"{path} is not JSON ({error}): {AGAIN}") from None
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise Broken(f"{path} is no manifest: {AGAIN}")
    if document["format"] > FORMAT:
        raise Broken(
            f"{path} is of format {document['format']}, and this loader knows {FORMAT}: replace "
            f"{os.path.basename(__file__)} by that of the chronon-plan that wrote the manifest"
        )
    told = document.pop("digest", None)
    if told != f"sha256:{sha256(canonical(document))}":
        raise Broken(f"{path} was changed or cut off (its digest does not fit): {AGAIN}")
    return document


# How long a published file may take to a worker, in seconds: Composer copies them there.
ARRIVING = 300


def opened(path, arrives=True):
    """A published file, once it is here."""
    deadline = time.monotonic() + (ARRIVING if arrives else 0)
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(1)
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise Broken(f"{path} is missing: {AGAIN}") from None


@functools.lru_cache(maxsize=4)
def read_index(digest, arrives=True):
    """The index of a deployed commit, verified; it may be on its way."""
    path = os.path.join(FILES, f"{digest}.json")
    with opened(path, arrives) as file:
        content = file.read()
    if sha256(content) != digest:
        raise Broken(f"{path} was changed or cut off (its hash does not fit): {AGAIN}")
    index = json.loads(content)
    if index["format"] > FORMAT:
        raise Broken(f"{path} is of format {index['format']}, and this loader knows {FORMAT}")
    return index


def read_file(index, path):
    """A file of the commit, verified."""
    if path not in index["files"]:
        raise Broken(f"commit {index['commit']} has no file {path}: {AGAIN}")
    offset, length, digest, _ = index["files"][path]
    pack = os.path.join(FILES, f"{index['pack']}.pack")
    try:
        with opened(pack) as file:
            file.seek(offset)
            content = zlib.decompress(file.read(length))
    except zlib.error:
        raise Broken(f"{path} in {pack} is damaged: {AGAIN}") from None
    if sha256(content) != digest:
        raise Broken(f"{path} in {pack} is not what was deployed (its hash does not fit): {AGAIN}")
    return content


FOLDER = "chronon-job-"


def sweep(system, age=3600):
    """Removes the folders of workers that died: nobody holds them any more."""
    for name in os.listdir(system):
        path = os.path.join(system, name)
        with contextlib.suppress(OSError):  # it is another user's, or others sweep too
            if name.startswith(FOLDER) and time.time() - os.stat(path).st_mtime > age:
                handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
                finally:
                    os.close(handle)


@contextlib.contextmanager
def job_folder(index, conf):
    """A fresh folder with exactly what a job needs; it is gone afterwards."""
    sweep(tempfile.gettempdir())
    folder = tempfile.mkdtemp(prefix=FOLDER)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        for path in sorted({*index["shared"], conf}):
            content, file = read_file(index, path), os.path.normpath(os.path.join(folder, path))
            if not file.startswith(folder + os.sep):
                raise Broken(f"the file {path} of the index is not below the folder of the job")
            os.makedirs(os.path.dirname(file), exist_ok=True)
            with open(file, "wb") as out:
                out.write(content)
            if index["files"][path][3]:
                os.chmod(file, 0o755)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def fill(argv, **values):
    """The words of a command with their placeholders filled in; what was filled in is not looked
    at again."""

    def put(found):
        return str(values.get(found[1], found[0]))

    return [re.sub(r"\{(\w+)\}", put, word) for word in argv]


# --- Days and slots ------------------------------------------------------------------------------

# A Java date pattern's fields: how each is printed, and what it looks like.
FIELDS = {
    "yyyy": ("%Y", r"(?P<year>\d{4})"),
    "yy": ("%y", r"(?P<short>\d{2})"),
    "MM": ("%m", r"(?P<month>\d{2})"),
    "dd": ("%d", r"(?P<day>\d{2})"),
    "HH": ("%H", r"(?P<hour>\d{2})"),
    "mm": ("%M", r"(?P<minute>\d{2})"),
    "ss": ("%S", r"(?P<second>\d{2})"),
}
_FIELD = re.compile(r"'([^']*)'|(yyyy|yy|MM|dd|HH|mm|ss)|([^'])")
DAILY = {"format": "yyyy-MM-dd", "minutes": 1440}


def _fields(pattern):
    for literal, field, other in _FIELD.findall(pattern):
        yield (FIELDS[field], None) if field else (None, literal or other)


def show(moment, pattern):
    """A moment, as this pattern writes it."""
    parts = (moment.strftime(it[0]) if it else text for it, text in _fields(pattern))
    return "".join(parts)


@functools.lru_cache(maxsize=64)
def _reader(pattern):
    return re.compile("".join(it[1] if it else re.escape(text) for it, text in _fields(pattern)))


def read_moment(text, pattern):
    """The moment that this text means; none where it does not fit the pattern."""
    found = _reader(pattern).fullmatch(str(text))
    if not found:
        return None
    got = {name: int(value) for name, value in found.groupdict().items()}
    got["year"] = got.get("year", 2000 + got.pop("short", 0))
    got.pop("short", None)
    try:
        return datetime(**{"month": 1, "day": 1, **got}, tzinfo=UTC)
    except ValueError:
        return None


def step(grid):
    return timedelta(minutes=grid["minutes"])


def slot_of(moment, grid):
    """The start of the slot that holds this moment. Slots are counted from 1970, as Spark does."""
    return moment - (moment - EPOCH - timedelta(minutes=grid.get("shift", 0))) % step(grid)


def slots_between(start, end, grid):
    """The slots that overlap `[start, end)`."""
    at, found = slot_of(start, grid), []
    while at < end:
        found.append(at)
        at += step(grid)
    return found


def slots_complete(start, end, grid):
    """The slots that become complete in `(start, end]`."""
    first = slot_of(start, grid)  # ends after the start
    last = slot_of(end, grid)  # the first that is not complete at the end
    return slots_between(first, last, grid)


def slots_named(text, grid):
    """The slots that a text of a run's conf means: one, or all of a day; none if it is neither."""
    moment = read_moment(text, grid["format"])
    day = read_moment(text, DAILY["format"])
    if day is not None:
        return slots_between(day, day + timedelta(days=1), grid)
    return None if moment is None else [slot_of(moment, grid)]


def _utc(moment):
    return None if moment is None else datetime.fromtimestamp(moment.timestamp(), UTC)


def run_conf(context):
    return getattr(context["dag_run"], "conf", None) or {}


def slots_asked(conf, grid):
    """The slots that a run's conf asks for; none where it says nothing."""
    both = [conf.get("start_ds"), conf.get("end_ds")]
    words = both if conf.get("ds") is None else [conf["ds"]] * 2
    if words == [None, None]:
        return None
    found = [slots_named(word, grid) for word in words]
    if not all(found) or found[0][0] > found[1][-1]:
        raise AirflowFailException(
            f"the run's conf asks for the days {words[0]} to {words[1]}: give `ds`, or both "
            f"`start_ds` and `end_ds`, as 2026-01-31, the first day first"
        )
    return slots_between(found[0][0], found[1][-1] + step(grid), grid)


def slots_of_run(context, grid):
    """The slots that a run computes, oldest first; none where none becomes complete in it, as in
    most runs of an hourly schedule whose tables have a partition for each day.

    The clock is not asked, so that a try tomorrow computes what today's try would have.
    """
    run = context["dag_run"]
    asked = slots_asked(run_conf(context), grid)
    if asked:
        return asked
    start, end = _utc(run.data_interval_start), _utc(run.data_interval_end)
    if kind_of_run(context) in ("scheduled", "backfill") and start and end and start < end:
        return slots_complete(start, end, grid)
    logical = _utc(getattr(run, "logical_date", None))
    if logical and logical == slot_of(logical, DAILY):
        return slots_between(logical, logical + timedelta(days=1), grid)
    when = logical or _utc(getattr(run, "run_after", None)) or _utc(run.start_date)
    return [slot_of(when, grid) - step(grid)]


def slots_due(context, grid):
    """The slots that a run computes; where there are none, there is nothing to do."""
    slots = slots_of_run(context, grid)
    if not slots:
        raise AirflowSkipException("no partition becomes complete in this run: nothing to compute")
    return slots


def slots_waited(context, grid):
    """The slots of a run whose sources are waited for. Of those that somebody asks for it is the
    last: what lies before it is there, or will never be."""
    slots = slots_due(context, grid)
    return slots[-1:] if slots_asked(run_conf(context), grid) else slots


def kind_of_run(context):
    kind = getattr(context["dag_run"], "run_type", None)
    return getattr(kind, "value", kind)


def days_of(slots, grid):
    """What the placeholders of a command stand for."""
    first, last = show(slots[0], grid["format"]), show(slots[-1], grid["format"])
    return {"start_ds": first, "end_ds": last, "ds": last}


def date_of_run(context, grid=DAILY):
    """The day that a run is about, for people and the run log."""
    slots = slots_of_run(context, grid) or [_utc(context["dag_run"].data_interval_start)]
    return show(slots[-1], DAILY["format"])


def cuts(spec):
    """The first and last partition that a source has, as slots of its table."""
    grid, found = spec["grid"], []
    for name in ("first", "last"):
        text = spec.get(name)
        moment = text and (read_moment(text, grid["format"]) or read_moment(text, "yyyy-MM-dd"))
        if text and not moment:
            raise AirflowFailException(
                f"the {name} partition {text!r} is not written as {grid['format']}"
            )
        found.append(slot_of(moment, grid) if moment else None)
    return found


def slots_read(spec, slots):
    """The slots of a table that a job of these slots reads anew; where the table has ended, the
    slots after its last one count as that."""
    grid, shift = spec["grid"], timedelta(minutes=spec["lag"])
    found = slots_between(slots[0] - shift, slots[-1] - shift + step(spec["of"]), grid)
    first, end = cuts(spec)
    capped = sorted({min(slot, end) if end else slot for slot in found})
    return [slot for slot in capped if not first or slot >= first]


def shown(spec, slots):
    """Slots as their table writes them."""
    return [show(slot, spec["grid"]["format"]) for slot in slots]


def runs_read(spec, slots):
    """The logical dates of the producing runs that a job of these slots waits for, each with the
    slots that it writes.

    What comes after the last partition of a source is not waited for: its last run may be older
    than the schedule, and then nobody would ever see it.
    """
    from croniter import croniter

    last = slots[-1] - timedelta(minutes=spec["lag"])
    _, end = cuts(spec)
    runs = {}
    for slot in slots_read(spec, slots) if not end or last <= end else ():
        ticks = croniter(spec["schedule"], slot + step(spec["grid"]) - timedelta(seconds=1))
        ticks.get_next(datetime)
        runs.setdefault(ticks.get_prev(datetime), []).append(slot)
    return runs


def ticks_after(schedule, moment, most=500):
    """When a schedule ticked after a moment and until now; of many the first and the newest."""
    from croniter import croniter

    now, found = datetime.now(UTC), set()
    for start, step_of in ((moment, "get_next"), (now, "get_prev")):
        ticks = croniter(schedule, start)
        for _ in range(most):
            tick = getattr(ticks, step_of)(datetime)
            if not moment < tick < now:
                break
            found.add(tick)
    return sorted(found)


# --- What no log may show ------------------------------------------------------------------------

COVER = "***"
# A value of at least this many characters is covered wherever it stands; a shorter one only behind
# its name, for it stands everywhere by chance.
TELLING = 6
TOKENS = re.compile(
    r"ya29\.[0-9A-Za-z_\-.]+"
    r"|1//[0-9A-Za-z_\-]{20,}"
    r"|GOCSPX-[0-9A-Za-z_\-]{10,}"
    r"|eyJ[0-9A-Za-z_\-]{8,}\.eyJ[0-9A-Za-z_\-]{8,}\.[0-9A-Za-z_\-]*"
    r"|gh[opsur]_[0-9A-Za-z]{16,}"
    r"|github_pat_[0-9A-Za-z_]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|(?i:Bearer)\s+[0-9A-Za-z_\-.~+/=]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)"
)
# Fields of a config whose values are settings, whatever is below them.
SETTINGS = {
    "additional_args", "additional_env", "additionalConfigs", "clusterConf", "conf", "env",
    "factoryParams", "jobConfigs", "modelBackendParams", "modeClusterConfigs", "modeConfigs",
    "modeEnvironments", "modeToEnvMap", "servingContainerEnvVars",
}  # fmt: skip
# Fields of a config that sound like settings and are none.
OPEN = {
    "cluster", "containerConfig", "deploymentConf", "endpointConfig", "environments",
    "factoryConfig", "resourceConfig", "trainingConf",
}  # fmt: skip
SUSPECT = (
    "env", "conf", "cluster", "secret", "token", "password", "credential", "key_file",
)  # fmt: skip
# Names of variables of the worker whose values no log may show.
PRIVATE = re.compile(
    r"secret|token|passw|credential|api_?key|private_?key|fernet|^airflow_conn_|sql_alchemy_conn"
    r"|broker_url|result_backend",
    re.IGNORECASE,
)


def is_setting(name):
    return name in SETTINGS or name not in OPEN and any(it in name.lower() for it in SUSPECT)


def _nested(text):
    try:
        inside = json.loads(text)
    except ValueError:
        return None
    return inside if isinstance(inside, (dict, list)) else None


def secrets_of(value, name="", secret=False):
    """Names and values of everything in a compiled file that must not be shown."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from secrets_of(inner, key, secret or is_setting(key))
    elif isinstance(value, list):
        for inner in value:
            yield from secrets_of(inner, name, secret)
    elif isinstance(value, str):
        inside = _nested(value) if value.lstrip()[:1] in ("{", "[") else None
        # JSON that does not parse may be settings all the same.
        if secret or (name == "customJson" and inside is None and value.strip().startswith("{")):
            yield name, value
        if inside is not None:
            yield from secrets_of(inside, name, secret)
    elif secret and value is not None:
        yield name, json.dumps(value)


class Scrubber:
    """Covers what is secret, line by line."""

    def __init__(self, secrets=()):
        patterns = set()
        for name, value in secrets:
            if value.strip():
                patterns.update(self._named(name, value))
                texts = [it.strip() for it in value.splitlines()]
                texts += [value, json.dumps(value, ensure_ascii=False)[1:-1]]
                patterns.update((it, 0, len(it)) for it in texts if len(it) >= TELLING)
        self.patterns = sorted(patterns, key=lambda it: (-len(it[0]), it[0]))
        self.in_key = False

    @staticmethod
    def _named(name, value):
        """The forms in which a name and its value stand together."""
        first = value.splitlines()[0] if value.splitlines() else ""
        if not name or not first:
            return
        forms = (("{}=", ""), ("{}: ", ""), ("'{}': '", "'"), ('"{}": "', '"'), ('"{}":"', '"'))
        for before, after in forms:
            before = before.format(name)
            yield before + first + after, len(before), len(before) + len(first)

    def line(self, line):
        """The next line of some output; a private key may go over several."""
        opens = line.rfind("-----BEGIN ")
        opens = opens if opens >= 0 and "PRIVATE KEY-----" in line[opens:] else -1
        inside = self.in_key and len(line.split()) <= 1
        if opens >= 0:
            self.in_key = "-----END " not in line[opens:]
        else:
            self.in_key = inside and "-----END " not in line
        ends = opens < 0 and "-----END " in line and "PRIVATE KEY" in line
        return COVER if inside or ends else self.text(line)

    def text(self, text):
        """A text that stands for itself."""
        covered = [found.span() for found in TOKENS.finditer(text)]
        for pattern, start, end in self.patterns:
            at = text.find(pattern)
            while at >= 0:
                covered.append((at + start, at + end))
                at = text.find(pattern, at + 1)
        shown, at = [], 0
        for start, end in sorted(covered):
            if start >= at:
                shown += [text[at:start], COVER]
            at = max(at, end)
        return "".join(shown) + text[at:]


# --- What a job finds around it ------------------------------------------------------------------

# Variables that would make the CLI read another folder than the one it is started in.
ELSEWHERE = ("CHRONON_ROOT", "CHRONON_REPO_PATH")
PROVIDERS = ("gcp", "aws", "azure")


class Surroundings:
    """A job's config and environment: the CLI puts the config's env for the mode, else its common
    one, into the environment, and what is there already wins, even if it is empty."""

    def __init__(self, content, mode, argv, env, dialect):
        try:
            document = json.loads(content)
        except ValueError as error:
            line = getattr(error, "lineno", "?")
            raise AirflowFailException(f"the config is not JSON (line {line})") from None
        self.argv, self.env, self.dialect = argv, env, dialect
        meta = document.get("metaData") or {}
        self.name = meta.get("name") or ""
        settings = (meta.get("executionInfo") or {}).get("env") or {}
        own = (settings.get("modeEnvironments") or {}).get(mode) or settings.get("common") or {}
        self.own = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in own.items()
            if value is not None
        }
        private = [(name, value) for name, value in env.items() if PRIVATE.search(name)]
        self.scrubber = Scrubber([*secrets_of(document), *private])

    def value(self, name):
        """A variable as the CLI will see it; none where it is missing or empty."""
        return self.env.get(name, self.own.get(name)) or None

    def option_or(self, option, name):
        """The value of an option of the command, else of the variable that stands for it."""
        words = iter(self.argv)
        for word in words:
            if word == option:
                return next(words, None) or self.value(name)
            if word.startswith(option + "="):
                return word[len(option) + 1 :] or self.value(name)
        return self.value(name)

    def provider(self):
        """Where the CLI sends the job; none where the driver is started on this machine."""
        named = self.value("CLOUD_PROVIDER") if self.dialect == "zip" else None
        if named and named.lower() not in PROVIDERS:
            raise AirflowFailException("CLOUD_PROVIDER names no provider that the CLI knows")
        return named and named.lower()

    def dataproc(self):
        """How to ask what became of a job; none where it is not known where."""
        region, project = self.value("GCP_REGION"), self.value("GCP_PROJECT_ID")
        on_gcp = self.provider() == "gcp"
        return Dataproc(self.env, region, project) if on_gcp and region and project else None


def job_env(team, more=()):
    """The environment of a job: the worker's and the team's."""
    env = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    if team["bigtable_instance"]:
        env["GCP_BIGTABLE_INSTANCE_ID"] = team["bigtable_instance"]
    # Without buffering a line is seen when it is printed, and the job's id is one.
    return {**env, "PYTHONUNBUFFERED": "1", **dict(more)}


# --- Processes -----------------------------------------------------------------------------------

LINE = 64 * 1024
TICK = 0.2
GRACE = 2.0


def end_group(child, grace=GRACE):
    """Ends every process of a child's group, and gives whether any was there."""
    deadline, sign = time.monotonic() + grace, signal.SIGTERM
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while True:
            os.killpg(child.pid, sign)
            child.poll()  # an ended child counts as one of the group until it was waited for
            if sign == signal.SIGKILL:
                break
            sign = 0
            time.sleep(0.05)
            if time.monotonic() > deadline:
                sign = signal.SIGKILL
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(timeout=grace)


def start(argv, folder, env, errors):
    """Starts a command: no shell looks at it, and its processes are a group of their own."""
    try:
        return subprocess.Popen(
            argv,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    except OSError as error:
        raise AirflowFailException(
            f"`{argv[0]}` cannot be started ({error.strerror}): install it on the Airflow workers, "
            "or add its folder to their PATH"
        ) from None


def capture(argv, env, seconds=60):
    """Runs a short command; gives its exit code (none where it took too long), and both outputs,
    which are not to be shown."""
    child = start(argv, None, env, subprocess.PIPE)
    try:
        out, err = child.communicate(timeout=seconds)
        return child.returncode, out.decode(errors="replace"), err.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return None, "", ""
    finally:
        if child.returncode is None:
            end_group(child)


def detached(argv, env):
    """Starts a command that outlives this process; none where it cannot be started."""
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    with contextlib.suppress(OSError):
        return subprocess.Popen(argv, env=env, start_new_session=True, **streams)


def _lines(stream, lines):
    """Hands on every line until the stream ends; what is too long of a line is dropped."""
    cut = False
    while part := stream.readline(LINE):
        if not cut:
            lines.put(part.decode(errors="replace").rstrip("\r\n"))
        cut = not part.endswith(b"\n")
    lines.put(None)


KILLED = "Airflow ended this try"


class Process:
    """A command whose output goes to the task's log line by line, without what is secret."""

    def __init__(self, argv, folder, env, scrubber, log):
        self.argv, self.scrubber, self.log = argv, scrubber, log
        self.killed = False
        log.info("runs: %s", scrubber.text(shlex.join(argv)))
        self.child = start(argv, folder, env, subprocess.STDOUT)
        self.lines = queue.Queue(maxsize=1024)
        # It ends with the stream, which others may hold open: nobody waits for it.
        threading.Thread(
            target=_lines, args=(self.child.stdout, self.lines), daemon=True
        ).start()

    def run(self, on_line, seconds):
        """Runs to the end, which is an exit code, `enough` if a line was all that was looked for,
        or `late`."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                open_, enough = self._take(on_line, TICK)
                if enough:
                    return "enough"
                if self.child.poll() is not None:
                    self._drain(on_line, open_)
                    return self.child.returncode
                if time.monotonic() > deadline:
                    return "late"
        finally:
            # A second call does no harm, and nothing of the child outlives the try.
            end_group(self.child)
            if self.killed:
                raise AirflowException(KILLED)

    def _take(self, on_line, wait):
        """Takes one line; gives whether more may come, and whether it was enough."""
        try:
            line = self.lines.get(timeout=wait)
        except queue.Empty:
            return True, False
        if line is None:
            time.sleep(TICK if self.child.poll() is None else 0)
            return False, False
        self.log.info("%s", self.scrubber.line(line))
        return True, bool(on_line(line))

    def _drain(self, on_line, open_):
        """Takes what was printed before the end; others may hold the stream open for ever."""
        deadline = time.monotonic() + 1.0
        while open_ and time.monotonic() < deadline:
            open_ = self._take(on_line, TICK)[0]

    def kill(self):
        self.killed = True
        end_group(self.child)


# --- What the output proves ----------------------------------------------------------------------

# What a job of this provider and mode needs beside exit code 0; the first row that fits counts.
# Elsewhere the CLI itself looks at the job, or shows nothing of it.
NEEDS = (
    ("gcp", "streaming", ("id", "manifest")),
    ("gcp", "metadata-upload", ("id", "done", "counts")),
    ("gcp", None, ("id", "done")),
    (None, "metadata-upload", ("counts",)),
)
SUBMITTER = "ai.chronon.integrations.cloud_gcp.DataprocSubmitter"
ID = re.compile(r"[A-Za-z0-9_|:.][A-Za-z0-9\-_|:.]{0,199}")
COUNTS = re.compile(r"success count =\s*(\d+).*?failure count =\s*(\d+)")


def needs(provider, mode):
    row = next((it for it in NEEDS if it[0] == provider and it[1] in (None, mode)), ((), (), ()))
    return row[2]


def id_of(text):
    """A job's id, if this is one: it becomes a word of commands."""
    return text.strip() if ID.fullmatch(text.strip()) else None


class Seen:
    """What the output of the CLI said so far."""

    def __init__(self):
        self.jars = False  # Java is about to start
        self.announced = self.submitted = self.done = self.deployed = None
        self.counts = []

    def line(self, line):
        if "Running command: " in line:
            self._command(line.split("Running command: ", 1)[1].split())
        elif "Dataproc submitter job id" in line:
            # The CLI skips one character, whichever it is, and goes by the first such line.
            rest = line.split("Dataproc submitter job id", 1)[1][1:]
            self.submitted = self.submitted or id_of(rest)
        elif "Job submitted with ID:" in line:
            self.submitted = id_of(line.split("Job submitted with ID:", 1)[1]) or self.submitted
        elif " is in DONE state" in line:
            words = line.split(" is in DONE state", 1)[0].split()
            self.done = id_of(words[-1]) if words else None
        elif "Flink job has been deployed successfully" in line:
            self.deployed = line
        elif found := COUNTS.search(line):
            self.counts.append((int(found[1]), int(found[2])))

    def _command(self, words):
        if words[:1] != ["java"]:
            return
        self.jars = True
        if SUBMITTER in words:
            ids = [id_of(it[9:]) for it in words if it.startswith("--job-id=")]
            self.announced = next((it for it in ids if it), None)

    @property
    def id(self):
        return self.submitted or self.announced

    def stored(self):
        """What the counts of a `metadata-upload` say: none, `good`, `nothing`, or how many
        failed."""
        failed = sum(it[1] for it in self.counts)
        if not self.counts:
            return None
        return failed or ("good" if sum(it[0] for it in self.counts) else "nothing")

    def meets(self, need):
        return {
            "id": self.submitted is not None,
            "done": self.submitted is not None and self.done == self.submitted,
            "counts": self.stored() == "good",
            "manifest": f"Dataproc job ID = [{self.submitted}]" in (self.deployed or "")
            and self.submitted is not None,
        }[need]


LIVE = (
    "STATE_UNSPECIFIED", "PENDING", "SETUP_DONE", "RUNNING", "CANCEL_PENDING", "CANCEL_STARTED",
    "ATTEMPT_FAILURE",  # the next attempt is on its way
)  # fmt: skip
PAUSES = (1, 2, 4, 8)


class Dataproc:
    """What became of a job, asked of `gcloud`."""

    def __init__(self, env, region, project):
        self.env, self.where = env, [f"--region={region}", f"--project={project}"]

    def state(self, job, tries=3):
        """`live`, `missing`, DONE, ERROR or CANCELLED; else a sentence why it cannot be told."""
        why = ""
        for wait in range(tries):
            time.sleep(wait)
            why = self._state(job)
            if " " not in why:
                break
        return why

    def _state(self, job):
        code, out, err = self._ask("describe", job, "--format=json")
        if code is None:
            return "gcloud does not answer"
        if code != 0:
            missing = "NOT_FOUND" in err
            return "missing" if missing else f"gcloud ended with exit code {code}"
        try:
            state = json.loads(out)["status"]["state"]
        except (ValueError, KeyError, TypeError):
            return "gcloud gives no state"
        known = state in ("DONE", "ERROR", "CANCELLED")
        return state if known else "live" if state in LIVE else f"gcloud says {state!r:.40} of it"

    def follow(self, job, seconds, enough=lambda: False):
        """Looks until a job is no longer live, or enough is known, or time is up."""
        deadline, look = time.monotonic() + seconds, 0
        while True:
            state = self.state(job)
            if state != "live" or enough() or time.monotonic() >= deadline:
                return state
            time.sleep(PAUSES[min(look, len(PAUSES) - 1)])
            look += 1

    def output(self, job):
        """The driver's output of a job that has ended; not to be shown."""
        _, out, err = self._ask("wait", job, seconds=300)
        return f"{out}\n{err}"

    def kill(self, job):
        """Kills a job, without waiting for it: whoever asks may be about to be killed itself."""
        argv = ["gcloud", "dataproc", "jobs", "kill", job, *self.where, "--quiet"]
        return detached(argv, self.env)

    def file(self, uri):
        """A small file of a bucket: `(found, text)`; found is none where that cannot be told."""
        code, out, err = capture(["gcloud", "storage", "cat", uri], self.env)
        if code == 0:
            return True, out
        absent = ("matched no objects", "404", "NOT_FOUND", "Not Found")
        return (False if code and any(it in err for it in absent) else None), ""

    def _ask(self, verb, job, *more, seconds=60):
        argv = ["gcloud", "dataproc", "jobs", verb, job, *self.where, *more]
        return capture(argv, self.env, seconds)


def by_hand(job, provider="gcp"):
    """How a person learns what became of a job."""
    if provider != "gcp":
        return f"look in {SPELLED[provider]}'s console for it"
    return (
        f"look by hand: `gcloud dataproc jobs describe {job} --region=$GCP_REGION "
        "--project=$GCP_PROJECT_ID`"
    )


# The names of those whose jobs nothing here can ask about.
SPELLED = {"aws": "AWS", "azure": "Azure"}


@contextlib.contextmanager
def jars(around, patience=600):
    """Keeps jobs of different jars apart while the CLI has to do with them: it keeps one set per
    machine, and overwrites it. Gives what is to be told of every step."""
    if not around.provider():
        yield lambda seen: None
        return
    words = (("--artifact-prefix", "ARTIFACT_PREFIX"), ("--version", "VERSION"))
    key = " ".join(around.option_or(*it) or "" for it in words).encode()
    path = os.path.join(tempfile.gettempdir(), f"chronon-jars-{os.getuid()}.lock")
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + patience

    def lock(how):
        """Whoever waits for too long goes on: some job may hang, but not all."""
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(handle, how | fcntl.LOCK_NB)
                return
            time.sleep(TICK)

    def told(seen):
        if seen.jars and os.pread(handle, 4096, 0) != key:
            os.ftruncate(handle, 0)
            os.pwrite(handle, key, 0)
            lock(fcntl.LOCK_SH)
        # Its output comes when Java has ended.
        if seen.submitted:
            fcntl.flock(handle, fcntl.LOCK_UN)

    try:
        lock(fcntl.LOCK_SH)
        if os.pread(handle, 4096, 0) != key:
            fcntl.flock(handle, fcntl.LOCK_UN)
            lock(fcntl.LOCK_EX)
            # They are about to be overwritten: until that is done, they are nobody's.
            if os.pread(handle, 4096, 0) != key:
                os.ftruncate(handle, 0)
            else:
                lock(fcntl.LOCK_SH)
        yield told
    finally:
        os.close(handle)


class Kept:
    """The job that a task submitted and whose end it has not seen, where the next try finds it: a
    worker may end without a word, and its job runs on.

    It is one Variable per task of a run, there only while a job may run. A stream outlives its run,
    so that it has one for all.
    """

    def __init__(self, context, what, stream=False):
        ti, self.stream = context["ti"], stream
        words = (ti.dag_id, "" if stream else ti.run_id, ti.task_id, getattr(ti, "map_index", -1))
        name = sha256("|".join(map(str, words)).encode())[:32]
        self.name = f"chronon_job.{MANIFEST['env']}.{name}"
        # Whoever clears a task wants its work anew: that moves its last try.
        self.what = sha256(canonical([*what, ti.max_tries]))[:32]

    def read(self):
        """The job, whether it does the same work, and when it was submitted; none if there is
        none."""
        kept = read_variable(self.name)
        job = id_of(str(kept.get("job") or "")) if isinstance(kept, dict) else None
        return job and (job, kept.get("what") == self.what, float(kept.get("at") or 0))

    def keep(self, job):
        write_variable(self.name, {"job": job, "what": self.what, "at": int(time.time())})

    def forget(self):
        write_variable(self.name, None)


# How long after its id was told a job may still be about to be submitted, and how long a stream may
# take until its manifest names it, in seconds.
SUBMITTING, NAMING = 180, 300


class Attempt:
    """One try to do a job by the CLI, and to know that it is done.

    A job must never be submitted beside one that still runs: its id is known and kept before Java
    starts, and whatever goes wrong after that, the service is asked what became of it.
    """

    def __init__(self, around, mode, folder, seconds, log, proof="cli", kept=None):
        self.around, self.mode, self.folder, self.log = around, mode, folder, log
        # A command of one's own promises by its exit code alone that the work is done.
        own = proof == "exit"
        self.provider = None if own else around.provider()
        self.dataproc = None if own else around.dataproc()
        self.deadline = time.monotonic() + seconds
        self.seconds, self.needs = seconds, () if own else needs(self.provider, mode)
        # The job that is known to do the work; whether what became of it is known, and that it ended.
        self.job, self.over, self.killed, self.ended = None, False, False, False
        self.kept, self.told = kept if self.provider else None, None
        self.seen, self.process = Seen(), None

    @property
    def stream(self):
        return self.provider == "gcp" and self.mode == "streaming"

    def left(self):
        return max(0.0, self.deadline - time.monotonic())

    def child(self, argv, on_line=None, keeps=False):
        """Runs the CLI; gives how it ended."""
        self.seen = Seen()
        with jars(self.around) as gate:
            if self.killed:
                raise AirflowException(KILLED)
            env, scrubber = self.around.env, self.around.scrubber
            self.process = Process(argv, self.folder, env, scrubber, self.log)

            def told(line):
                self.seen.line(line)
                if keeps and self.kept and self.seen.id != self.told:
                    self.kept.keep(self.seen.id)  # what cannot be kept must not run
                    self.told = self.seen.id
                gate(self.seen)
                return on_line(self.seen) if on_line else False

            return self.process.run(told, self.left())

    def run(self, argv):
        """Does the job; whatever is not proven raises."""
        if not (self.earlier_stream() if self.stream else self.earlier()):
            end = self.child(argv, keeps=True)
            with self.judged():
                if end == 0:
                    self.proven()
                else:
                    self.after_failure(end)

    @contextlib.contextmanager
    def judged(self):
        """What is learned in here of a job is the last word about it."""
        try:
            yield
        except AirflowException:
            self.over = True
            raise
        else:
            self.over = self.ended = True
        finally:
            # Its end was seen: another try has nothing to find. Where that cannot be written the
            # try fails, and the next one finds that the job is done.
            if self.ended and self.told:
                self.told = self.kept.forget()

    def earlier(self):
        """Whether the job of an earlier try, which may run still, does the work; where that is not
        known, nothing may be submitted beside it."""
        found = self.kept.read() if self.kept else None
        if not found:
            return False
        job, same, at = found
        self.log.info("an earlier try submitted job %s, whose end nobody has seen", job)
        self.told = job
        state = self.asked(job)
        self.seen.submitted = job  # from here on it is killed with this try
        if state == "live" and not same:
            self.log.info("it does other work than this try, or was cleared: kills it")
            self.dataproc.kill(job)
        state = self.look(job, at) if state in ("live", "missing") else state
        with self.judged():
            if state == "live":
                self.killed_at_last(job, "an earlier try submitted it")
            if state == "DONE" and same:
                self.ended = True
                self.log.info("job %s is done", job)
                if "counts" in self.needs:
                    self.counted(job)
                return True
        self.log.info("job %s is %s: submits it anew", job, state)
        self.seen, self.over, self.ended = Seen(), False, False
        return False

    def asked(self, job):
        """The state of the job of an earlier try."""
        if self.dataproc:
            return self.certain(job, self.dataproc.state(job))
        silent = self.provider in SPELLED and f"{SPELLED[self.provider]} is not asked about jobs"
        return self.certain(job, silent or "GCP_REGION or GCP_PROJECT_ID is not set")

    def certain(self, job, state):
        if " " in state:
            self.over = True  # it may be fine
            raise AirflowException(
                f"an earlier try submitted job {job}, and what became of it cannot be learned, so "
                f"that nothing was submitted: {state}; {by_hand(job, self.provider)}; if it has "
                f"ended, delete the Airflow Variable `{self.kept.name}`"
            )
        return state

    def look(self, job, at):
        """What became of the job of an earlier try, whose Java may be about to submit it."""
        while True:
            state = self.dataproc.follow(job, self.left(), lambda: self.killed)
            if self.killed:
                raise AirflowException(KILLED)
            self.certain(job, state)
            if state != "missing" or abs(time.time() - at) >= SUBMITTING or not self.left():
                return state
            time.sleep(PAUSES[-1])

    def earlier_stream(self):
        """The stream that an earlier try deployed, if it runs and is what is wanted."""
        found = self.kept.read() if self.kept else None
        if not found:
            return None
        job, same, at = found
        self.told = job
        state = self.asked(job)
        state = self.look(job, at) if state == "missing" else state
        with self.judged():
            if state == "live":
                self.settle(job, min(NAMING, self.left()), "an earlier try deployed it")
        self.over = self.ended = False
        return job if state == "live" and (same or self.kept.stream) else None

    def proven(self):
        """What a run proves that ended with exit code 0."""
        missing = next((it for it in self.needs if not self.seen.meets(it)), None)
        job = self.seen.id or "(unknown)"
        if missing == "id":
            raise AirflowFailException(
                "the CLI ended with exit code 0 but did not say that a job was submitted (no line "
                f"`Dataproc submitter job id`), so it waited for none; {by_hand(job)}"
            )
        if missing == "manifest":
            raise AirflowFailException(
                "the CLI ended with exit code 0 but did not confirm that the stream runs; "
                + by_hand(job)
            )
        if missing == "done":
            self.settle(job, self.left(), "the CLI did not say that it is done")
        elif missing == "counts":
            self.ended = True
            self.counted(job)

    def after_failure(self, end):
        """What became of a job whose CLI failed, which may have been submitted all the same."""
        late = end == "late"
        what = f"it ended with exit code {end}" if isinstance(end, int) else "it was stopped"
        what = f"it took longer than {self.seconds / 60:.0f} min" if late else what
        job = self.seen.id
        if not job:
            # A usage error stays one.
            raise (AirflowFailException if end == 2 else AirflowException)(what)
        if self.provider != "gcp":
            self.ended = True  # nobody else can be asked
            hand = "; see to it that the job has ended, then run it again" if late else ""
            raise (AirflowFailException if late else AirflowException)(f"{what} (job {job}){hand}")
        # The CLI has waited for a manifest long enough.
        self.settle(job, 0 if late or self.stream else self.left(), what)

    def settle(self, job, seconds, before):
        """Asks the service what became of a job, for as long as it runs and there is time."""
        if self.dataproc is None:
            raise AirflowFailException(
                f"{before}; what became of job {job} cannot be learned: GCP_REGION or "
                f"GCP_PROJECT_ID is not set; {by_hand(job)}"
            )
        named = []

        def enough():
            named.append(self.names(job))
            return named[-1] or self.killed

        state = self.dataproc.follow(job, seconds, enough)
        if self.killed:
            raise AirflowException(KILLED)
        if state == "live" and self.stream:
            if named and named[-1]:
                return
            raise AirflowFailException(
                f"{before}; job {job} runs, but no manifest names it; {by_hand(job)}"
            )
        if state == "live":
            self.killed_at_last(job, before)
        self.ended = " " not in state
        if state == "DONE" and not self.stream:
            return self.counted(job) if "counts" in self.needs else None
        if " " in state:
            # The next try asks again before it does anything.
            raise (AirflowException if self.kept else AirflowFailException)(
                f"{before}; what became of job {job} cannot be learned: {state}; {by_hand(job)}"
            )
        ended = {"missing": f"there is no job {job}"}.get(state, f"job {job} ended as {state}")
        raise AirflowException(f"{before}; {ended}")

    def killed_at_last(self, job, before):
        """Time is up for a job."""
        killing = self.kill_job()
        if killing:
            with contextlib.suppress(subprocess.TimeoutExpired):
                killing.wait(timeout=60)
        raise AirflowException(f"{before}; job {job} still ran and was killed")

    def manifest(self):
        """The job that the stream's manifest names: `(known, job)`."""
        state = self.around.option_or("--flink-state-uri", "FLINK_STATE_URI")
        if not state or not self.dataproc:
            return False, None
        uri = f"{state.rstrip('/')}/manifests/{self.around.name}/manifest.txt"
        found, text = self.dataproc.file(uri)
        parents = [it[12:] for it in text.strip().split(",") if it.startswith("parentJobId=")]
        return found is not None, id_of(parents[0]) if parents else None

    def names(self, job):
        return self.stream and self.manifest()[1] == job

    def counted(self, job):
        """What the counts of a `metadata-upload` say whose job is done."""
        if self.seen.stored() is None and self.dataproc:
            for line in self.dataproc.output(job).splitlines():
                self.seen.line(line)
        stored = self.seen.stored()
        if stored == "good":
            return
        if stored is None:
            raise AirflowFailException(
                "the driver's output does not say how many entries it stored (no line `success "
                "count = …, failure count = …`), so nothing proves that the metadata is there; let "
                "the driver log at level INFO, or fetch it by hand"
            )
        if stored == "nothing":
            raise AirflowFailException(
                "the driver stored nothing: it found no config in the file; compile again with the "
                "CLI whose jars run"
            )
        raise AirflowException(f"{stored} entries of the metadata could not be stored")

    def kill_job(self):
        """Kills what was submitted, so that the next try does not write beside it. A stream stays:
        its next deploy ends it, and until then it serves."""
        if self.dataproc and self.seen.id and not self.stream and not self.over:
            self.log.info("kills job %s", self.seen.id)
            return self.dataproc.kill(self.seen.id)

    def kill(self):
        """Ends it all: first the CLI, which might still be about to submit."""
        self.killed = True
        if self.process:
            self.process.kill()
        self.kill_job()


# --- Who hears of it -----------------------------------------------------------------------------

DEFAULT_TEAM = {
    "owner": "chronon", "emails": [], "queue": None, "pool": "default_pool", "priority": 0,
    "concurrency": 16, "start": None, "retries": 2, "retry_minutes": 5, "poke_minutes": 5,
    "wait_hours": 24, "bigtable_instance": None, "staging_bucket": None, "alerts": [],
}  # fmt: skip


def team_of(name):
    """A team's settings; those of `default` where it has none of its own."""
    teams = MANIFEST["teams"]
    return {**DEFAULT_TEAM, **(teams.get(name) or teams.get("default") or {})}


def post(url, body, headers=()):
    """Sends JSON; what comes back is of no interest, but that it came."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json", **dict(headers)}
    )
    with urllib.request.urlopen(request, timeout=15) as answer:  # noqa: S310
        answer.read(1024)


def base_url(conn, default):
    """The address of a connection, without a slash at its end."""
    host = conn.host or default
    if "://" not in host:
        scheme = conn.schema if conn.schema in ("http", "https") else "https"
        host = f"{scheme}://{host}"
    if conn.port and not re.search(r":\d+(/|$)", host.split("://", 1)[1]):
        head, slash, path = host.split("://", 1)[1].partition("/")
        host = f"{host.split('://', 1)[0]}://{head}:{conn.port}{slash}{path}"
    return host.rstrip("/")


def slack_url(conn):
    if "://" in (conn.password or ""):
        return conn.password
    url = base_url(conn, "https://hooks.slack.com/services")
    more = [conn.schema if conn.schema not in ("http", "https") else None, conn.password]
    return "/".join([url, *(it.strip("/") for it in more if it)])


def send_email(team, _, alert):
    if not team["emails"]:
        raise ValueError("the team has no e-mail addresses")
    from airflow.utils.email import send_email as send

    send(list(team["emails"]), alert["title"], f"<pre>{html.escape(alert['text'])}</pre>")


def send_slack(_, conn, alert):
    post(slack_url(connection(conn)), {"text": f"*{alert['title']}*\n{alert['text']}"})


def send_opsgenie(_, conn, alert):
    conn = connection(conn)
    body = {
        "message": alert["title"][:130],
        "alias": alert["key"],
        "description": alert["text"],
        "details": alert["facts"],
        "source": "airflow",
    }
    url = base_url(conn, "https://api.opsgenie.com") + "/v2/alerts"
    post(url, body, {"Authorization": f"GenieKey {conn.password}"})


def send_pagerduty(_, conn, alert):
    conn = connection(conn)
    payload = {
        "summary": alert["title"][:1024],
        "source": "airflow",
        "severity": "error",
        "custom_details": {**alert["facts"], "text": alert["text"]},
    }
    body = {
        "routing_key": conn.password,
        "event_action": "trigger",
        "dedup_key": alert["key"],
        "payload": payload,
    }
    post(base_url(conn, "https://events.pagerduty.com") + "/v2/enqueue", body)


TARGETS = {
    "email": send_email,
    "slack": send_slack,
    "opsgenie": send_opsgenie,
    "pagerduty": send_pagerduty,
}


def tell(team, alert, log):
    """Sends an alert by each of the team's targets. One that cannot be sent is logged; of the
    error no more than its kind, for its text may hold an address that is a secret."""
    for target in team["alerts"]:
        kind, _, conn = target.partition(":")
        try:
            TARGETS[kind](team, conn, alert)
            log.info("told %s: %s", target, alert["title"])
        except Exception as error:  # noqa: BLE001: nothing of it may hide the failure
            code = getattr(error, "code", "")
            log.error("%s could not be told: %s %s", target, type(error).__name__, code)


def log_url(ti):
    try:
        return ti.log_url or None
    except Exception:  # noqa: BLE001: it depends on settings of the web server
        return None


def make_alert(context, title, more):
    """An alert's text, with all that is needed to find the place."""
    ti, task = context["ti"], context["ti"].task
    facts = {
        "dag": ti.dag_id,
        "team": getattr(task, "team", None) or "",
        "config": getattr(task, "config", None) or "",
        "date": getattr(task, "date", None) or safe_date(context),
        "task": ti.task_id + (f"[{ti.map_index}]" if getattr(ti, "map_index", -1) >= 0 else ""),
        "run": ti.run_id,
        "log": log_url(ti) or "",
    }
    text = "\n".join(f"{name}: {value}" for name, value in facts.items() if value)
    key = sha256(f"{facts['dag']}|{facts['task']}|{facts['run']}|{title}".encode())[:40]
    return {"title": title, "text": f"{text}\n{more}".strip(), "facts": facts, "key": key}


def safe_date(context):
    try:
        return date_of_run(context)
    except Exception:  # noqa: BLE001: a conf that asks for no day has none
        return ""


def on_failure(context):
    """Airflow calls this for every task that has failed for good."""
    ti, task = context["ti"], context["ti"].task
    scrubber = getattr(task, "scrubber", None) or Scrubber()
    why = scrubber.text(str(context.get("exception") or "")[:2000])
    where = getattr(task, "config", None) or ti.task_id
    paused, new = None, True
    if getattr(task, "breaks", False) and task.config:
        breaker = Breaker(task.config, task.job_mode)
        try:
            pauses, new = breaker.failed(context)
            paused = breaker.sentence() if pauses else None
        except Exception as error:  # noqa: BLE001: the alert is more important
            task.log.warning("the failure was not counted: %s", type(error).__name__)
    if not new and getattr(task, "often", False):
        task.log.info("no second alert for this day: it failed today already")
        return
    team = team_of(getattr(task, "team", None))
    if paused:
        alert = make_alert(context, f"Chronon: {where} is paused", f"{why}\n{paused}")
        tell(team, alert, task.log)
    else:
        tell(team, make_alert(context, f"Chronon: {where} failed", why), task.log)


def on_timeout(context):
    """Airflow calls this for every failed run. Of one that took too long it skips the tasks that
    are left, and tells nobody; all other failures are told by their tasks."""
    if context.get("reason") != "timed_out":
        return
    dag_id = context["dag"].dag_id
    run = context.get("run_id") or context["dag_run"].run_id
    name = MANIFEST["dags"].get(dag_id, {}).get("team")
    facts = {"dag": dag_id, "team": name or "", "run": run}
    text = "\n".join(f"{it}: {value}" for it, value in facts.items() if value)
    alert = {
        "title": f"Chronon: a run of {dag_id} took too long",
        "text": f"{text}\nwhat was left of it was skipped; its tasks show what they waited for",
        "facts": facts,
        "key": sha256(f"{dag_id}|{run}|timed out".encode())[:40],
    }
    tell(team_of(name), alert, logging.getLogger(__name__))


class Breaker:
    """Pauses a config whose job failed on several days in a row.

    It is one Variable per config, `{mode: [days]}`, written only when something fails or recovers:
    days of another mode than the one that succeeds stay.
    """

    def __init__(self, config, mode):
        self.mode, self.limit = mode, MANIFEST["breaker_days"]
        name = f"chronon_paused.{MANIFEST['env']}.{config}".replace("/", ".")
        self.name = name if len(name) <= 200 else f"{name[:180]}.{sha256(name.encode())[:16]}"

    def read(self):
        return {k: v for k, v in (read_variable(self.name) or {}).items() if isinstance(v, list)}

    def days(self):
        """The failed days of the mode that pauses the config; none where it is not paused."""
        if not self.limit:
            return None
        return next((it for it in self.read().values() if len(it) >= self.limit), None)

    def sentence(self):
        days = self.days() or ["?"]
        return (
            f"paused since {days[-1]}, after {len(days)} failed days in a row (from {days[0]}): "
            f"delete the Airflow Variable `{self.name}` to switch it on again, or trigger a run "
            'with conf {"despite_pause": true}'
        )

    def check(self, context):
        """Skips a job of a paused config."""
        if self.days() and not run_conf(context).get("despite_pause"):
            raise AirflowSkipException(self.sentence())

    def failed(self, context):
        """Counts a failure; gives whether it pauses the config, and whether the day is new."""
        if kind_of_run(context) != "scheduled" or not self.limit:
            return False, True
        kept, day = self.read(), safe_date(context)
        days = kept.get(self.mode, [])
        if day in days:
            return False, False
        was_paused = self.days() is not None
        kept[self.mode] = sorted([*days, day])[-max(self.limit, 30) :]
        write_variable(self.name, kept)
        return not was_paused and len(kept[self.mode]) >= self.limit, True

    def succeeded(self):
        kept = self.read()
        if kept.pop(self.mode, None) is not None:
            write_variable(self.name, kept or None)


# --- The run log and metrics ---------------------------------------------------------------------


def append_row(state, path, row):
    """Adds a line to a file of the state location; other tasks add to it at the same time."""
    line = (json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n").encode()
    if state.startswith("gs://"):
        return _append_object(f"{state.rstrip('/')}/{path}", line)
    file = os.path.join(state, path)
    os.makedirs(os.path.dirname(file), exist_ok=True)
    handle = os.open(file, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        os.write(handle, line)
    finally:
        os.close(handle)


def gcs_object(uri):
    from google.cloud import storage

    bucket, _, name = uri[len("gs://") :].partition("/")
    return storage.Client().bucket(bucket), name


def read_object(bucket, name):
    """An object's content and generation; a missing one is empty and of generation 0."""
    from google.api_core.exceptions import NotFound

    try:
        blob = bucket.get_blob(name, timeout=30)
        if blob is None:
            return b"", 0
        return blob.download_as_bytes(if_generation_match=blob.generation), blob.generation
    except NotFound:
        return b"", 0


def _append_object(uri, line, tries=12):
    from google.api_core.exceptions import PreconditionFailed

    bucket, name = gcs_object(uri)
    for number in range(tries):
        with contextlib.suppress(PreconditionFailed):
            content, generation = read_object(bucket, name)
            bucket.blob(name).upload_from_string(
                content + line,
                content_type="application/x-ndjson",
                if_generation_match=generation,
                timeout=30,
            )
            return
        time.sleep(random.uniform(0.05, 0.2) * (number + 1))  # noqa: S311
    raise TimeoutError(f"others write it all the time ({tries} tries)")


def stamp(seconds):
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def report(task, context, started, state):
    """A task's try in the run log and in the metrics: what cannot be written is a warning."""
    ti, ended = context["ti"], time.time()
    date = getattr(task, "date", None) or safe_date(context)
    row = {
        "dag": ti.dag_id,
        "run": ti.run_id,
        "task": ti.task_id + (f"[{ti.map_index}]" if getattr(ti, "map_index", -1) >= 0 else ""),
        "config": task.config,
        "mode": task.job_mode,
        "try": ti.try_number,
        "date": date,
        "start": stamp(started),
        "end": stamp(ended),
        "seconds": round(ended - started, 3),
        "state": state,
        "job": task.job_id,
        "log": log_url(ti),
    }
    try:
        if MANIFEST["state"]:
            append_row(MANIFEST["state"], f"runs/{ti.dag_id}/{date or 'none'}.jsonl", row)
    except Exception as error:  # noqa: BLE001: the job is done all the same
        task.log.warning("the run log was not written: %s: %s", type(error).__name__, error)
    tags = {"env": MANIFEST["env"], "team": task.team, "config": task.config, "mode": task.job_mode}
    send_metric(task.log, "timing", "chronon.job.duration", timedelta(seconds=row["seconds"]),
                {**tags, "state": state, "date": date})  # fmt: skip
    send_metric(task.log, "incr", f"chronon.job.{METRICS[state]}", 1, {**tags, "date": date})


METRICS = {"success": "success", "failed": "failure", "retry": "retry", "skipped": "skipped"}


def send_metric(log, how, name, value, tags):
    """A metric by Airflow's own client; tags go where it has them."""
    tags = {key: str(text) for key, text in tags.items() if text}
    try:
        getattr(stats(), how)(name, value, tags=tags)
    except Exception as error:  # noqa: BLE001: metrics are no reason to fail
        log.warning("the metric %s was not sent: %s", name, type(error).__name__)


# --- Ephemeral clusters --------------------------------------------------------------------------


def cluster_name(context, task_id):
    """A name that every try finds again, and nobody else has."""
    ti = context["ti"]
    index = getattr(ti, "map_index", -1)
    words = f"{MANIFEST['env']}|{ti.dag_id}|{ti.run_id}|{task_id}|{index}"
    return f"chronon-{sha256(words.encode())[:24]}"


def label(text):
    return re.sub(r"[^a-z0-9_-]", "-", str(text).lower())[:63] or "none"


class Cluster:
    """A Dataproc cluster for one job."""

    def __init__(self, around, name, size, log):
        region, project = around.value("GCP_REGION"), around.value("GCP_PROJECT_ID")
        if around.provider() != "gcp" or not region or not project:
            raise AirflowFailException(
                "an ephemeral cluster needs CLOUD_PROVIDER=gcp, GCP_REGION and GCP_PROJECT_ID in "
                "the config's env or in that of the Airflow workers"
            )
        self.around, self.name, self.size, self.log = around, name, size, log
        self.where = [f"--region={region}", f"--project={project}"]

    def create_argv(self, team, mode, minutes):
        size, tries = self.size, team["retries"] + 1
        # A forgotten cluster ends itself, but not before the last try.
        age = min(int(tries * (minutes + MOST_DELAY) + 60), MOST_AGE)
        options = {
            "--image-version": size["image"],
            "--num-workers": size["workers"],
            "--worker-machine-type": size["machine"],
            "--master-machine-type": size["machine"],
            "--num-secondary-workers": size.get("secondary_workers") or None,
            "--secondary-worker-type": "spot" if size.get("secondary_workers") else None,
            "--autoscaling-policy": size.get("autoscaling_policy"),
            "--bucket": team["staging_bucket"],
            "--max-age": f"{age}m",
            "--max-idle": f"{MOST_DELAY + 30}m",
            "--labels": f"chronon-env={label(MANIFEST['env'])},chronon-team={label(team['owner'])}"
            f",chronon-mode={label(mode)}",
        }
        more = [f"{name}={value}" for name, value in options.items() if value is not None]
        return ["gcloud", "dataproc", "clusters", "create", self.name, *self.where, *more]

    def create(self, argv):
        """Makes the cluster, or finds that of an earlier try; what failed half-way is deleted."""
        state = self.state()
        if state in ("RUNNING", "UPDATING"):
            self.log.info("cluster %s is there from an earlier try", self.name)
            return
        if state == "CREATING":
            return self.wait()
        if state == "DELETING":
            self.wait_for_end()
        elif state:
            self.delete()
        self.log.info("runs: %s", shlex.join(argv))
        try:
            code, out, err = capture(argv, self.around.env, 30 * 60)
        except BaseException:
            # Whoever ends this try, the service goes on making the cluster.
            self.delete_soon()
            raise
        if code == 0:
            return
        self.log.error("%s", self.around.scrubber.text(f"{out}\n{err}".strip()))
        if code and "ALREADY_EXISTS" in err:
            return self.wait()
        self.delete()
        raise AirflowException(f"cluster {self.name} could not be created, and was deleted")

    def wait(self, minutes=30):
        """Waits until a cluster that somebody else makes is there."""
        deadline = time.monotonic() + minutes * 60
        while (state := self.state()) == "CREATING" and time.monotonic() < deadline:
            time.sleep(PAUSES[-1])
        if state not in ("RUNNING", "UPDATING"):
            self.delete()
            raise AirflowException(f"cluster {self.name} did not come up, and was deleted")

    def wait_for_end(self, minutes=15):
        deadline = time.monotonic() + minutes * 60
        while self.state():
            if time.monotonic() > deadline:
                raise AirflowException(f"cluster {self.name} of an earlier try is still there")
            time.sleep(PAUSES[-1])

    def state(self):
        """The state that the service tells; none where there is no such cluster."""
        argv = ["gcloud", "dataproc", "clusters", "describe", self.name]
        code, out, err = capture([*argv, *self.where, "--format=json"], self.around.env, 120)
        if code == 0:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                return json.loads(out)["status"]["state"]
        if code and "NOT_FOUND" in err:
            return None
        raise AirflowException(f"gcloud does not tell the state of cluster {self.name}")

    def delete_argv(self):
        return ["gcloud", "dataproc", "clusters", "delete", self.name, *self.where, "--quiet"]

    def delete_soon(self):
        """Deletes the cluster, without waiting for it."""
        self.log.info("deletes cluster %s, which nobody will need", self.name)
        detached(self.delete_argv(), self.around.env)

    def delete(self):
        self.log.info("deletes cluster %s", self.name)
        code, _, err = capture(self.delete_argv(), self.around.env, 30 * 60)
        if code != 0 and "NOT_FOUND" not in err:
            self.log.error("%s", self.around.scrubber.text(err.strip()))
            raise AirflowException(
                f"cluster {self.name} could not be deleted: delete it by hand, or it ends itself "
                "by its --max-idle"
            )


# --- Tasks ---------------------------------------------------------------------------------------

# The longest delay between two tries, and the longest life of a cluster, in minutes.
MOST_DELAY, MOST_AGE = 60, 13 * 24 * 60


def will_retry(ti):
    return ti.try_number <= (ti.max_tries or 0)


class Worker:
    """What all tasks have in common that run a command."""

    template_fields = ()
    spec = team = config = job_mode = scrubber = attempt = cluster_made = job_id = date = None
    killed = False
    breaks = False  # whether its failures are counted by the breaker
    often = False  # whether it runs so often that one alert per day is enough

    def take(self, spec, team):
        self.spec, self.team = spec, team
        self.config = spec.get("config")
        # Sensors have a `mode` that means something else.
        self.job_mode = spec.get("mode") or spec.get("kind")

    def on_kill(self):
        """Airflow calls this before it ends the process, which may be very soon."""
        self.killed = True
        if self.attempt:
            self.attempt.kill()
        if self.cluster_made:
            self.cluster_made.delete_soon()

    def around(self, conf, argv, index=None, more=()):
        """What a job with this config finds around it."""
        index = index or read_index(MANIFEST["files"])
        content, env = read_file(index, conf), job_env(team_of(self.team), more)
        around = Surroundings(content, self.job_mode, argv, env, index["dialect"])
        self.scrubber = around.scrubber
        return around

    @contextlib.contextmanager
    def attempted(self, conf, argv, minutes, index=None, more=(), proof="cli", kept=None):
        """A try in a folder of its own."""
        index = index or read_index(MANIFEST["files"])
        around = self.around(conf, argv, index, more)
        with job_folder(index, conf) as folder:
            log = self.log
            attempt = Attempt(around, self.job_mode, folder, minutes * 60, log, proof, kept)
            self.attempt, attempt.killed = attempt, self.killed
            try:
                yield attempt
            except BaseException:
                # Whatever ended the try, nothing of it may go on beside the next one.
                if not attempt.over:
                    attempt.kill()
                raise
            finally:
                self.job_id, self.attempt = attempt.job or attempt.seen.id, None


class Task(Worker, BaseOperator):
    """A task whose tries stand in the run log."""

    def __init__(self, *, spec, team=None, often=False, **kwargs):
        super().__init__(**kwargs)
        self.take(spec, team)
        self.often = often

    def execute(self, context):
        started, state = time.time(), "failed"
        self.job_id = None
        try:
            result = self.work(context)
            state = "success"
            return result
        except AirflowSkipException:
            state = "skipped"
            raise
        except AirflowFailException:
            raise
        except BaseException:
            state = "retry" if will_retry(context["ti"]) else "failed"
            raise
        finally:
            report(self, context, started, state)

    def work(self, context):
        raise NotImplementedError

    def kept(self, context, conf, argv, index=None, **more):
        """Where the job of this command is found by another try: it is the same work where command
        and config are the same."""
        index = index or read_index(MANIFEST["files"])
        return Kept(context, [argv, index["files"].get(conf, [0] * 3)[2]], **more)

    def recovered(self):
        """A success ends a row of failed days."""
        if self.breaks and self.config:
            Breaker(self.config, self.job_mode).succeeded()


def operation(context):
    """Names one submission: the same for the same try, and for no other."""
    ti = context["ti"]
    words = (MANIFEST["env"], ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number)
    return sha256("|".join(map(str, words)).encode())[:32]


class ChrononJob(Task):
    """One mode of one config, for the days of its run."""

    breaks = True

    def work(self, context):
        Breaker(self.config, self.job_mode).check(context)
        spec, slots = self.spec, slots_due(context, self.spec["grid"])
        days = days_of(slots, spec["grid"])
        self.date = show(slots[-1], DAILY["format"])
        self.log.info("computes %s to %s", days["start_ds"], days["end_ds"])
        argv, more = fill(spec["argv"], **days, operation=operation(context)), {}
        if self.job_mode in (MANIFEST["cluster"] or {}):
            more = {CLUSTER: cluster_name(context, self.task_id)}
        kept = self.kept(context, spec["conf"], fill(spec["argv"], **days))
        how = {"more": more, "proof": spec["proof"], "kept": kept}
        with self.attempted(spec["conf"], argv, spec["minutes"], **how) as attempt:
            attempt.run(argv)
        self.recovered()


class KeepAlive(Task):
    """Sees to it that a stream runs. A deploy ends the stream that runs, so that it is done only
    where it is certain that none does."""

    breaks = True

    def work(self, context):
        Breaker(self.config, self.job_mode).check(context)
        spec = self.spec
        kept = self.kept(context, spec["conf"], spec["argv"], stream=True)
        how = {"minutes": spec["minutes"], "kept": kept}
        with self.attempted(spec["conf"], spec["argv"], **how) as attempt:
            # A driver on this machine looks itself whether its application runs.
            job = attempt.provider and self.running(attempt)
            if job:
                self.log.info("the stream runs as job %s: there is nothing to do", job)
                attempt.job, attempt.over = job, True
            else:
                attempt.run(spec["argv"])
        self.recovered()

    def running(self, attempt):
        """The job of the stream that runs; none where certainly none does."""
        if attempt.provider == "gcp":
            return attempt.earlier_stream() or self.live(attempt)
        job = self.live(attempt)
        # Nobody can be asked about the job of a deployer that died, and nobody needs to be.
        if attempt.kept.read():
            attempt.kept.forget()
        return job

    def live(self, attempt):
        """The job that the check finds, or on GCP the stream's manifest."""
        end = attempt.child(self.spec["check"], lambda seen: seen.submitted)
        said, ok, begun = attempt.seen.submitted, end in (0, "enough"), attempt.seen.jars
        attempt.seen = Seen()  # what the check said is not of the job that is deployed
        if attempt.provider != "gcp":
            if ok:
                return said or "(unknown)"
            # That is what it says of a stream that has ended, and of all that goes wrong.
            raise self.doubt(
                f"the check ended with exit code {end}, and {SPELLED[attempt.provider]} is not asked "
                "about jobs; if the stream has ended, deploy it by hand"
            )
        if attempt.dataproc is None:
            raise self.doubt("GCP_REGION or GCP_PROJECT_ID is not set")
        if said and ok:
            return self.asked(attempt, said)
        if end in ("late", 2) or not begun:
            raise self.doubt(f"the check did not come to an answer ({end})")
        # The submitter says no by an exit code that may mean anything: the manifest knows better.
        known, parent = attempt.manifest()
        if not known:
            raise self.doubt("the check found none, and the stream's manifest cannot be read")
        return self.asked(attempt, parent) if parent else None

    def asked(self, attempt, job):
        state = attempt.dataproc.state(job)
        if " " in state:
            raise self.doubt(f"{state}; {by_hand(job)}")
        self.log.info("job %s is %s", job, state)
        return job if state == "live" else None

    @staticmethod
    def doubt(why):
        return AirflowException(
            f"whether the stream runs cannot be learned, so that nothing was deployed: {why}"
        )


class PublishMetrics(Task):
    """Sends what the consistency of a join was as metrics."""

    def work(self, context):
        slots = slots_due(context, self.spec["grid"])
        values = {"conf": self.spec["conf"], "table": self.spec["table"]}
        values.update(name=self.config.partition("/")[2], **days_of(slots, self.spec["grid"]))
        tags = {"config": self.config, "team": self.team, "env": MANIFEST["env"]}
        send_metric(self.log, "gauge", "chronon.consistency.computed", 1, tags)
        if not MANIFEST["publish_metrics"]:
            self.log.info("no command prints the metrics (setting `airflow.publish_metrics`)")
            return
        self.scrubber = Scrubber((it for it in os.environ.items() if PRIVATE.search(it[0])))
        argv, found = fill(MANIFEST["publish_metrics"], **values), {}

        def read(line):
            name, _, value = line.strip().partition(" ")
            with contextlib.suppress(ValueError):
                found[re.sub(r"[^A-Za-z0-9_.-]", "_", name)] = float(value)

        end = run_plain(self, argv, read)
        if end != 0:
            raise AirflowException(f"the command of `publish_metrics` ended with {end}")
        for name, value in found.items():
            send_metric(self.log, "gauge", f"chronon.consistency.{name}", value, tags)
        self.log.info("published %s metrics", len(found))


def run_plain(task, argv, on_line=lambda line: None, minutes=30):
    """Runs a command of the settings in an empty folder; gives its exit code, or `late`."""
    with tempfile.TemporaryDirectory(prefix="chronon-") as folder:
        scrubber = task.scrubber or Scrubber()
        process = Process(argv, folder, job_env(team_of(task.team)), scrubber, task.log)
        task.attempt = process
        try:
            return process.run(lambda line: on_line(line) and False, minutes * 60)
        finally:
            task.attempt = None


# --- Waiting -------------------------------------------------------------------------------------


class Looks(Worker):
    """Looks whether partitions really exist. Files that lie there prove nothing: those of a deleted
    partition stay."""

    def there(self, slots):
        """Whether these slots of the table are there."""
        needed = shown(self.spec, slots)
        self.log.info("%s: needs %s", self.spec["table"], ", ".join(needed) or "nothing")
        return not needed or SENSORS[MANIFEST["sensor"]["kind"]](self, needed)

    def columns(self, value):
        """A partition's columns and their values."""
        return [(self.spec["column"], value), *(it.split("=", 1) for it in self.spec["below"])]

    def path(self, value):
        return "/".join("=".join(it) for it in self.columns(value))


class PartitionSensor(Looks, BaseSensorOperator):
    """Waits until the partitions exist that a job reads."""

    def __init__(self, *, spec, team=None, **kwargs):
        super().__init__(**kwargs)
        self.spec, self.team, self.job_mode = spec, team, "metastore"

    def poke(self, context):
        return self.there(slots_read(self.spec, slots_waited(context, self.spec["of"])))


def namespace_of(table):
    head, _, tail = table.rpartition(".")
    return head or "default", tail


def check_metastore(sensor, needed):
    """Asks Chronon's own CLI, whose job ends as DONE if the partitions are there, and as ERROR if
    not; whatever else it does is no answer."""
    spec = sensor.spec
    names = ",".join(f"{spec['table']}/{sensor.path(it)}" for it in needed)
    argv = fill(spec["argv"], partitions=names)
    with sensor.attempted(spec["conf"], argv, 30) as attempt:
        end, job = attempt.child(argv), attempt.seen.submitted
        if end == 0 and attempt.seen.meets("done"):
            attempt.over = True
            return True
        state = attempt.dataproc.state(job) if job and attempt.dataproc else None
        attempt.over = state in ("DONE", "ERROR", "CANCELLED", "missing")
        if state in ("DONE", "ERROR"):
            return state == "DONE"
        why = f"exit code {end}, " + (f"job {job}: {state}" if job else "no job was submitted")
        raise AirflowException(f"whether {names} is there cannot be learned: {why}")


def check_delta(sensor, needed):
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    namespace, table = namespace_of(sensor.spec["table"])
    path = fill([MANIFEST["sensor"]["path"]], namespace=namespace, table=table)[0]
    try:
        delta = DeltaTable(path)
    except TableNotFoundError:
        sensor.log.info("there is no table at %s yet", path)
        return False
    own, asked = delta.metadata().partition_columns, sensor.columns("")
    lacks = ", ".join(name for name, _ in asked if name not in own)
    if lacks:
        raise AirflowFailException(
            f"table {sensor.spec['table']} has no partition column {lacks} "
            f"(its own: {', '.join(own) or 'none'}), so that nothing would ever come"
        )
    partitions = delta.partitions()
    missing = [it for it in needed if not any(has(row, sensor.columns(it)) for row in partitions)]
    sensor.log.info("missing: %s", ", ".join(missing) or "none")
    return not missing


def has(row, columns):
    return all(name in row and str(row[name]) == value for name, value in columns)


def check_hive(sensor, needed):
    from airflow.providers.apache.hive.hooks.hive import HiveMetastoreHook

    hook = HiveMetastoreHook(metastore_conn_id=MANIFEST["sensor"]["connection"])
    namespace, table = namespace_of(sensor.spec["table"])
    return all(
        hook.check_for_named_partition(namespace, table, sensor.path(it)) for it in needed
    )


def check_command(sensor, needed):
    namespace, table = namespace_of(sensor.spec["table"])
    for value in needed:
        values = {"namespace": namespace, "name": table, "table": sensor.spec["table"]}
        argv = fill(MANIFEST["sensor"]["argv"], **values, partition=sensor.path(value))
        end = run_plain(sensor, argv)
        if end == 1:
            return False
        if end != 0:
            raise AirflowException(f"the command of the sensor ended with {end}: neither 0 nor 1")
    return True


SENSORS = {
    "metastore": check_metastore,
    "delta": check_delta,
    "hive": check_hive,
    "command": check_command,
}


@functools.lru_cache(maxsize=1)
def external_wait():
    """The class that waits for a task of another DAG; its base is not imported before it is
    needed."""
    base = _first(
        "airflow.providers.standard.sensors.external_task:ExternalTaskSensor",
        "airflow.sensors.external_task:ExternalTaskSensor",
    )

    class ExternalWait(Looks, base):
        """Waits for the runs of a producing task that write what a job reads.

        A run that its DAG never made, because it was published after it or made up for nothing,
        will never end: there, what it would have written is looked for. So it is where a run ended
        badly, for somebody may have repaired its day.
        """

        def __init__(self, *, spec, team=None, **kwargs):
            super().__init__(
                external_dag_id=spec["dag"],
                external_task_id=spec["task"],
                allowed_states=["success"],
                # A producer that is paused leaves out its run, and so do those who read it.
                skipped_states=list(SKIPPED),
                failed_states=list(FAILED),
                deferrable=False,
                **kwargs,
            )
            self.spec, self.team, self.job_mode = spec, team, "metastore"

        def poke(self, context):
            spec, (runs, never) = self.spec, awaited(self.spec, context)
            for states in (FAILED, SKIPPED) if spec["table"] else ():
                ended = those_in(context, spec, list(runs), states)
                if ended and self.seem_there([slot for it in ended for slot in runs[it]]):
                    what = f"ended as {states[0]}, and what they should write is there"
                    self.log.info("%s runs of %s %s", len(ended), spec["dag"], what)
                    runs = {it: slots for it, slots in runs.items() if it not in ended}
            if never:
                self.log.info("%s never made the runs that write this", spec["dag"])
                if not self.there(never):
                    return False
            # Every look is at runs of its own, and none at all would mean any.
            self.execution_date_fn = lambda _: list(runs)
            return not runs or super().poke(context)

        def seem_there(self, slots):
            """Whether these slots are there; where that cannot be learned, the runs say enough."""
            try:
                return self.there(slots)
            except AirflowException as error:
                if self.killed:
                    raise
                self.log.warning("%s", error)
                return False

    return ExternalWait


# How a task may end badly.
FAILED, SKIPPED = ("failed", "upstream_failed"), ("skipped",)


def awaited(spec, context):
    """The producing runs that a run waits for, each with the slots that it writes, and the slots
    that it reads and no run will ever write."""
    runs = runs_read(spec, slots_waited(context, spec["of"]))
    dates, dag_id = list(runs), spec["dag"]
    if not spec["table"] or count_runs(context, dag_id, dates) == len(dates):
        return runs, []
    never = [
        it
        for it in dates
        if not count_runs(context, dag_id, [it])
        and count_runs(context, dag_id, ticks_after(spec["schedule"], it))
    ]
    lost = [slot for it in never for slot in runs.pop(it)]
    return runs, lost


def those_in(context, spec, dates, states):
    """The runs whose task is in one of these states."""
    if not count_tasks(context, spec, dates, states):
        return []
    return [it for it in dates if count_tasks(context, spec, [it], states)]


def count_tasks(context, spec, dates, states):
    """In how many of these runs of a DAG a task is in one of these states."""
    dag_id, task_id = spec["dag"], spec["task"]
    if not dates:
        return 0
    count = getattr(context["ti"], "get_ti_count", None)
    if count:
        of = {"dag_id": dag_id, "task_ids": [task_id], "logical_dates": dates}
        return count(**of, states=list(states))
    from airflow.models import DagRun

    runs = DagRun.find(dag_id=dag_id, execution_date=dates)
    tasks = [run.get_task_instance(task_id) for run in runs]
    return sum(it is not None and it.state in states for it in tasks)


def count_runs(context, dag_id, dates):
    """How many of these runs of a DAG there are."""
    if not dates:
        return 0
    count = getattr(context["ti"], "get_dr_count", None)
    if count:
        return count(dag_id=dag_id, logical_dates=dates)
    from airflow.models import DagRun

    return len(DagRun.find(dag_id=dag_id, execution_date=dates))


# --- Tasks around ephemeral clusters -------------------------------------------------------------

CLUSTER = "GCP_DATAPROC_CLUSTER_NAME"


class ClusterTask(Worker, BaseOperator):
    """Something about the cluster of a job."""

    def __init__(self, *, spec, team=None, job_task, **kwargs):
        super().__init__(**kwargs)
        self.take(spec, team)
        self.job_task = job_task

    def cluster(self, context):
        around = self.around(self.spec["conf"], self.spec["argv"])
        name = cluster_name(context, self.job_task)
        return Cluster(around, name, MANIFEST["cluster"][self.job_mode], self.log)


class CreateCluster(ClusterTask):
    def execute(self, context):
        Breaker(self.config, self.job_mode).check(context)
        slots_due(context, self.spec["grid"])  # no cluster for a job that has nothing to do
        self.cluster_made = cluster = self.cluster(context)
        team = team_of(self.team)
        cluster.create(cluster.create_argv(team, self.job_mode, self.spec["minutes"]))
        self.cluster_made = None  # the job needs it from here on


class DeleteCluster(ClusterTask):
    def execute(self, context):
        self.cluster(context).delete()


@contextlib.contextmanager
def own_cluster(task, context, conf, argv, minutes, index=None):
    """The cluster of a mapped job: made before, deleted after, whatever happens; gives what the
    job needs in its environment."""
    size = (MANIFEST["cluster"] or {}).get(task.job_mode)
    if not size:
        yield {}
        return
    name = cluster_name(context, task.task_id)
    cluster = Cluster(task.around(conf, argv, index), name, size, task.log)
    task.cluster_made = cluster
    cluster.create(cluster.create_argv(team_of(task.team), task.job_mode, minutes))
    try:
        yield {CLUSTER: name}
    except BaseException:
        with contextlib.suppress(Exception):  # the failure of the job says more
            cluster.delete()
        raise
    finally:
        task.cluster_made = None
    try:
        cluster.delete()
    except AirflowException as error:
        # The job is done, and must not be done again for this.
        task.log.error("%s", error)
        alert = make_alert(context, "Chronon: a cluster was left behind", str(error))
        tell(team_of(task.team), alert, task.log)


# --- Jobs by hand --------------------------------------------------------------------------------

BY_HAND = ("conf", "start_ds", "end_ds", "ds", "mode", "files", "step", "chunk_days", "parallel",
           "despite_pause")  # fmt: skip
MOST_CHUNKS = 1000  # Airflow maps over 1024 at most, as it is set up by default
HAND_MINUTES = 24 * 60
# What the ids of runs begin with that an apply triggers.
BY_APPLY = "chronon-plan__"


class Request:
    """What a run's conf asks a DAG of bounded jobs for; every mistake is told at once."""

    def __init__(self, spec, conf, run_id):
        self.wrong, self.job, self.argv, self.spans = [], None, [], []
        unknown = sorted(set(conf) - set(BY_HAND))
        self.note(not unknown, f"unknown: {', '.join(unknown)} (known: {', '.join(BY_HAND)})")
        self.conf = conf.get("conf")
        self.parallel = self._number(conf, "parallel", spec["parallel"])
        self.note(
            self.parallel <= spec["parallel"], f"`parallel` is at most {spec['parallel']} here"
        )
        self.chunk_days = self._number(conf, "chunk_days", 10**6)
        self.index = self._index(conf, run_id)
        self.mode = conf.get("mode") or (spec["modes"][0] if len(spec["modes"]) == 1 else None)
        self.note(
            self.mode in spec["modes"], f"`mode` must be one of {', '.join(spec['modes'])}"
        )
        if self.index:
            self._job(spec, conf)
        if self.job:
            self._spans(conf, self.job["grid"])
        if self.wrong:
            raise AirflowFailException("the run's conf cannot be used: " + "; ".join(self.wrong))

    @classmethod
    def of(cls, spec, context):
        return cls(spec, run_conf(context), context["dag_run"].run_id)

    def note(self, good, what):
        if not good:
            self.wrong.append(what)

    def _number(self, conf, name, default):
        value = conf.get(name, default)
        good = isinstance(value, int) and not isinstance(value, bool) and value > 0
        self.note(good, f"`{name}` must be a number above 0")
        return value if good else 1

    def _index(self, conf, run_id):
        digest = conf.get("files") or MANIFEST["files"]
        if not re.fullmatch(r"[0-9a-f]{64}", str(digest)):
            self.wrong.append("`files` is no digest of an index")
            return None
        try:
            # What a person names was published before, or is a mistake.
            known = digest == MANIFEST["files"] or run_id.startswith(BY_APPLY)
            return read_index(digest, known)
        except Broken as error:
            self.wrong.append(str(error))

    def _job(self, spec, conf):
        job = self.index["jobs"].get(self.conf)
        if not job:
            self.wrong.append(f"`conf` must be the path of a compiled config, not {self.conf!r}")
            return
        kind = job["config"].split("/")[0]
        self.note(kind in spec["types"], f"`conf` must be one of {', '.join(spec['types'])}")
        if self.mode in spec["modes"] and self.mode not in job["modes"]:
            self.wrong.append(f"{job['config']} has no mode {self.mode}")
        self.job, self.argv = job, job["modes"].get(self.mode, [])
        self.minutes = job["minutes"].get(self.mode, HAND_MINUTES)
        self._step(conf.get("step"))

    def _step(self, step):
        """The command of a step of a plan, which may differ from the usual one: it stands in the
        index of that plan, so that nobody can pass a command."""
        if step is None:
            return
        if step != f"{self.job['config']}#{self.mode}" or step not in self.index.get("steps", {}):
            self.wrong.append(f"`step` is none of {self.job['config']} in this index: {step!r}")
            return
        self.argv = self.index["steps"][step]

    def _spans(self, conf, grid):
        words = " ".join(self.argv)
        ranged = "{start_ds}" in words or "{end_ds}" in words
        if not ranged and "{ds}" not in words:
            self.spans = [{"start_ds": None, "end_ds": None}]
            return
        try:
            slots = slots_asked(conf, grid)
        except AirflowFailException as error:
            self.wrong.append(str(error))
            return
        if not slots:
            both = "`start_ds` and `end_ds`" if ranged else "`ds`"
            self.wrong.append(f"mode {self.mode} needs {both}")
            return
        many = max(1, self.chunk_days * 1440 // grid["minutes"]) if ranged else len(slots)
        chunks = [slots[at : at + many] for at in range(0, len(slots), many)]
        self.note(
            len(chunks) <= MOST_CHUNKS,
            f"these are {len(chunks)} chunks, and {MOST_CHUNKS} are the most: more `chunk_days`",
        )
        for chunk in chunks:
            days = days_of(chunk, grid)
            self.spans.append({"start_ds": days["start_ds"], "end_ds": days["end_ds"]})


def groups_of(spans, parallel, most):
    """The chunks that each task does, one after the other: as many tasks as run at once, so that
    nobody waits in a place of its own. Where all may run at once, each chunk has a task."""
    if parallel == most > 1:
        return [[span] for span in spans]
    many = min(parallel, len(spans))
    cuts = [number * len(spans) // many for number in range(many + 1)]
    return [spans[start:end] for start, end in zip(cuts, cuts[1:])]


class Chunks(BaseOperator):
    """Checks what a run asks for, and cuts it into chunks, oldest first."""

    def __init__(self, *, spec, **kwargs):
        super().__init__(**kwargs)
        self.spec = spec

    def execute(self, context):
        request = Request.of(self.spec, context)
        self.log.info("%s %s: %s chunks", request.job["config"], request.mode, len(request.spans))
        return groups_of(request.spans, request.parallel, self.spec["parallel"])


class BoundedJob(Task):
    """Chunks of a job by hand, one after the other: one that fails stops those after it, which
    build on it, and the next try goes on with it."""

    def __init__(self, *, spans, **kwargs):
        super().__init__(**kwargs)
        self.spans = spans

    def work(self, context):
        request, done = Request.of(self.spec, context), Done(context)
        job = request.job
        self.config, self.job_mode, self.team = job["config"], request.mode, job["team"]
        left = self.spans[done.read() if len(self.spans) > 1 else 0 :]
        minutes, conf, index = request.minutes, request.conf, request.index
        with own_cluster(self, context, conf, request.argv, minutes, index) as more:
            for number, span in enumerate(left, len(self.spans) - len(left) + 1):
                self.log.info("chunk %s of %s", number, len(self.spans))
                end = span["end_ds"] and read_moment(span["end_ds"], job["grid"]["format"])
                self.date = show(end, DAILY["format"]) if end else safe_date(context)
                days = {**span, "ds": span["end_ds"]} if end else {}
                argv = fill(request.argv, **days, operation=f"{operation(context)}-{number}")
                kept = self.kept(context, conf, [number, *fill(request.argv, **days)], index)
                how = {"more": more, "proof": job["proof"], "kept": kept}
                with self.attempted(conf, argv, minutes, index, **how) as attempt:
                    attempt.run(argv)
                if len(self.spans) > 1:
                    done.write(number if number < len(self.spans) else None)


class Done:
    """How many chunks of a task are done, so that another try does not begin anew."""

    def __init__(self, context):
        ti = context["ti"]
        words = f"{ti.dag_id}|{ti.run_id}|{ti.task_id}|{ti.map_index}"
        self.name = f"chronon_chunks.{MANIFEST['env']}.{sha256(words.encode())[:32]}"

    def read(self):
        return read_variable(self.name) or 0

    def write(self, number):
        write_variable(self.name, number)


# --- Metadata ------------------------------------------------------------------------------------

MOST_UPLOADS = 256  # the others have their turn in the next run


def read_ledger(state):
    """The rows of what was applied; none where there is no ledger yet."""
    if not state:
        return []
    if state.startswith("gs://"):
        content = read_object(*gcs_object(f"{state.rstrip('/')}/state.json"))[0]
    else:
        try:
            with open(os.path.join(state, "state.json"), "rb") as file:
                content = file.read()
        except FileNotFoundError:
            content = b""
    if not content:
        return []
    document = json.loads(content)
    if document["format_version"] > 2:
        raise AirflowFailException("the ledger was written by a newer chronon-plan: " + AGAIN)
    return document["resources"]


def is_current(config, row):
    """Whether what was applied is this config's metadata: an apply writes anew from which content
    a resource is what it should be, also where nothing had to run for it."""
    return bool(row) and not row.get("begun") and row["blob"] == config["blob"]


def uploaded_variable():
    return f"chronon_metadata.{MANIFEST['env']}"


class Which(BaseOperator):
    """Finds the configs whose metadata is not current."""

    def __init__(self, *, spec, **kwargs):
        super().__init__(**kwargs)
        self.spec = spec

    def execute(self, context):
        rows = {
            row["config"]: row
            for row in read_ledger(MANIFEST["state"])
            if row["resource"] == "metadata"
        }
        uploaded, wanted = read_variable(uploaded_variable()) or {}, []
        for address, config in sorted(self.spec["configs"].items()):
            # What was uploaded here since says more than the ledger, which does not know of it.
            own = uploaded.get(address)
            current = own == config["blob"] if own else is_current(config, rows.get(address))
            if not current:
                wanted.append(address)
        self.log.info("not current: %s of %s", len(wanted), len(self.spec["configs"]))
        return wanted[:MOST_UPLOADS]


class MetadataUpload(Task):
    """Uploads the metadata of one config."""

    breaks = True

    def __init__(self, *, address, **kwargs):
        super().__init__(**kwargs)
        self.address = address

    def work(self, context):
        spec = self.spec["configs"][self.address]
        self.config, self.team, self.job_mode = self.address, spec["team"], "metadata-upload"
        Breaker(self.config, self.job_mode).check(context)
        conf, minutes = spec["conf"], spec["minutes"]
        argv = fill(spec["argv"], operation=operation(context))
        with own_cluster(self, context, conf, argv, minutes) as more:
            kept = self.kept(context, conf, spec["argv"])
            how = {"more": more, "proof": spec["proof"], "kept": kept}
            with self.attempted(conf, argv, minutes, **how) as attempt:
                attempt.run(argv)
        self.recovered()
        return [self.address, spec["blob"]]


class Remember(BaseOperator):
    """Keeps what was uploaded, so that it is not uploaded again before an apply says so in the
    ledger. It is one task, so that no two write at once."""

    def __init__(self, *, spec, **kwargs):
        super().__init__(**kwargs)
        self.spec = spec

    def execute(self, context):
        done = context["ti"].xcom_pull(task_ids="metadata_upload") or []
        done = dict(it for it in done if it)
        if not done:
            return
        kept = {**(read_variable(uploaded_variable()) or {}), **done}
        kept = {name: text for name, text in kept.items() if name in self.spec["configs"]}
        write_variable(uploaded_variable(), kept)


# --- DAGs ----------------------------------------------------------------------------------------

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RUNS = {"batch": 3, "streaming": 1, "metadata": 1, "bounded": 16}
DAG_TIMEOUT = {"streaming": timedelta(hours=2), "metadata": timedelta(hours=2)}


def make_dag(dag_id, spec):
    team = team_of(spec["team"])
    start = team["start"] and read_moment(team["start"], DAILY["format"])
    schedule = spec["schedule"]
    return DAG(
        dag_id=dag_id,
        # In 3.x a bare cron text would mean moments and not the intervals that days are made of.
        schedule=CronDataIntervalTimetable(schedule, "UTC") if schedule else None,
        start_date=start or LONG_AGO,
        # Without a day to start from, only the newest is run; with one, every day since.
        catchup=bool(start) and spec["kind"] == "batch",
        max_active_runs=RUNS[spec["kind"]],
        max_active_tasks=spec["concurrency"],
        dagrun_timeout=DAG_TIMEOUT.get(spec["kind"]),
        on_failure_callback=on_timeout if spec["kind"] in DAG_TIMEOUT else None,
        tags=spec["tags"],
        is_paused_upon_creation=False,
        doc_md=f"Made by chronon-plan from commit `{MANIFEST['commit']}` for env "
        f"`{MANIFEST['env']}`. What it runs is changed by an apply, not here.",
        default_args=task_defaults(team),
    )


def task_defaults(team):
    delay = timedelta(minutes=team["retry_minutes"])
    return {
        "owner": team["owner"],
        "retries": team["retries"],
        "retry_delay": delay,
        "retry_exponential_backoff": True,
        "max_retry_delay": max(delay, timedelta(minutes=MOST_DELAY)),
        "pool": team["pool"],
        **({"queue": team["queue"]} if team["queue"] else {}),
        "weight_rule": "absolute",
        "on_failure_callback": on_failure,
    }


def sensor_times(team):
    return {
        "mode": "reschedule",
        "poke_interval": timedelta(minutes=team["poke_minutes"]).total_seconds(),
        "timeout": timedelta(hours=team["wait_hours"]).total_seconds(),
    }


def add_job(dag, task_id, spec, names):
    often = names["often"]
    job = ChrononJob(dag=dag, task_id=task_id, spec=spec, team=names["team"], often=often,
                     priority_weight=spec["priority"],
                     # Two runs must not write one table at once.
                     max_active_tis_per_dag=1)  # fmt: skip
    if spec["mode"] not in (MANIFEST["cluster"] or {}):
        return job, job
    around = {"dag": dag, "spec": spec, "team": names["team"], "job_task": task_id,
              "priority_weight": spec["priority"]}  # fmt: skip
    create = CreateCluster(task_id=short(f"create__{task_id}"), **around).as_setup()
    delete = DeleteCluster(task_id=short(f"delete__{task_id}"), **around)
    link(create, job)
    link(job, delete.as_teardown(setups=create))
    return create, job


def add_task(kind):
    def add(dag, task_id, spec, names):
        task = kind(dag=dag, task_id=task_id, spec=spec, team=names["team"],
                    often=names["often"], priority_weight=spec["priority"])  # fmt: skip
        return task, task

    return add


def add_partition(dag, task_id, spec, names):
    task = PartitionSensor(dag=dag, task_id=task_id, spec=spec, team=names["team"],
                           priority_weight=spec["priority"], **names["times"])  # fmt: skip
    return task, task


def add_external(dag, task_id, spec, names):
    task = external_wait()(dag=dag, task_id=task_id, spec=spec, team=names["team"],
                           priority_weight=spec["priority"], **names["times"])  # fmt: skip
    return task, task


# How a task of each kind is added: gives the task to start with, and the one that counts.
ADD = {
    "job": add_job,
    "keep-alive": add_task(KeepAlive),
    "partition": add_partition,
    "external": add_external,
    "publish": add_task(PublishMetrics),
}


def short(task_id):
    """A task's id, no longer than Airflow takes."""
    return task_id if len(task_id) <= 250 else f"{task_id[:225]}.{sha256(task_id.encode())[:24]}"


def fill_tasks(dag, spec):
    team = team_of(spec["team"])
    names = {
        "team": spec["team"],
        "often": spec["kind"] == "streaming",
        "times": sensor_times(team),
    }
    added = {
        task_id: ADD[task["kind"]](dag, task_id, task, names)
        for task_id, task in spec["tasks"].items()
    }
    for task_id, task in spec["tasks"].items():
        for it in task["after"]:
            link(added[it][1], added[task_id][0])


def link(before, after):
    """What `before >> after` does for two tasks of one DAG. That would hash all the DAG's tasks
    each time, which takes more than a minute for 10,000 configs."""
    before.downstream_task_ids.add(after.task_id)
    after.upstream_task_ids.add(before.task_id)


def fill_metadata(dag, spec):
    which = Which(dag=dag, task_id="which", spec=spec)
    upload = MetadataUpload.partial(
        dag=dag, task_id="metadata_upload", spec=spec, often=True
    ).expand(address=which.output)
    # As a teardown it runs whatever became of the uploads, and does not hide that one failed.
    upload.set_downstream(Remember(dag=dag, task_id="remember", spec=spec).as_teardown())


def fill_bounded(dag, spec):
    spec = {key: value for key, value in spec.items() if key != "tasks"}
    chunks = Chunks(dag=dag, task_id="chunks", spec=spec, retries=0)
    BoundedJob.partial(
        dag=dag, task_id="job", spec=spec, max_active_tis_per_dagrun=spec["parallel"]
    ).expand(spans=chunks.output)


FILL = {
    "batch": fill_tasks,
    "streaming": fill_tasks,
    "metadata": fill_metadata,
    "bounded": fill_bounded,
}


def make_dags():
    """The DAGs of the manifest, or the one that Airflow asks for."""
    wanted = getattr(get_parsing_context(), "dag_id", None)
    for dag_id, spec in MANIFEST["dags"].items():
        if wanted in (None, dag_id):
            dag = make_dag(dag_id, spec)
            FILL[spec["kind"]](dag, spec)
            yield dag_id, dag


MANIFEST = read_manifest()
globals().update(make_dags())
