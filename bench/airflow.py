"""Times how Airflow parses the DAGs of one team with very many configs, and how much memory that takes.

For each size it writes a compiled repository in which one team owns every config (four out of five are GroupBys, most
of them online, one is a Join, and a hundred tables feed them), renders its DAGs with `chronon-plan airflow render`, and
imports them with each Airflow as its DAG processor would: `src/schedule/airflow/check.py` in a process of its own.
Beside it stands the floor, the same import of a folder with a single DAG of one task, so that Airflow's own start does
not count as ours.

    cargo build --release
    python3 bench/airflow.py --python target/tools/airflow-2.11.2/bin/python --sizes 100,1000
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
CHECK = ROOT / "src" / "schedule" / "airflow" / "check.py"
TABLES = 100

FLOOR = '''
from datetime import datetime

try:
    from airflow.sdk import DAG, BaseOperator
except ImportError:
    from airflow import DAG
    from airflow.models.baseoperator import BaseOperator

with DAG("one", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    BaseOperator(task_id="one")
'''


def source(number):
    """One of the tables that feed everything."""
    return {"events": {"table": f"raw.events_{number % TABLES}",
                       "query": {"selects": {"user": "user", "v": "v"}, "timeColumn": "ts"}}}


def config(number, name):
    """A GroupBy, or every fifth time a Join of it with an earlier one."""
    meta = {"name": name, "team": "big", "outputNamespace": "big", "executionInfo": {"offlineSchedule": "@daily"}}
    group_by = {"metaData": dict(meta, online=number % 4), "sources": [source(number)], "keyColumns": ["user"],
                "aggregations": [{"inputColumn": "v", "operation": 7, "windows": [{"length": 7, "timeUnit": 1}]}]}
    if number % 5:
        return "group_bys", group_by
    part = {"groupBy": dict(group_by, metaData=dict(meta, name=f"big.f.gb_{number + 1}__1"))}
    return "joins", {"metaData": meta, "left": source(number), "joinParts": [part], "useLongNames": 0}


def repository(folder, size):
    for number in range(size):
        kind, body = config(number, f"big.f.gb_{number}__1")
        path = folder / "compiled" / kind / "big" / f"f.gb_{number}__1"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(body, sort_keys=True))
    git = ["git", "-C", str(folder), "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "add", "-A"], check=True)
    subprocess.run([*git, "commit", "-q", "-m", "configs"], check=True)


def imported(python, folder):
    """What the import says, and the largest resident set of its process in MB."""
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, "AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        child = subprocess.Popen([python, str(CHECK), str(folder)], env=env, stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        answer = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"error: {python} could not import {folder}")
    seen = json.loads(answer.splitlines()[-1])
    if seen["errors"]:
        sys.exit(f"error: {seen['errors']}")
    return seen, usage.ru_maxrss / 1024


def row(*cells):
    print("".join(f"{cell:>{width}}" for cell, width in zip(cells, (9, 9, 8, 10, 9, 8, 10), strict=True)), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(ROOT / "target" / "release" / "chronon-plan"))
    parser.add_argument("--python", action="append", default=[], help="the Python of an Airflow; may be repeated")
    parser.add_argument("--sizes", default="100,1000,10000")
    args = parser.parse_args()
    if not args.python:
        print("parsing skipped: no Airflow; `make test-airflow` installs two, or name a Python with --python")
        return
    row("airflow", "configs", "tasks", "parse s", "MB", "x MB", "ms/task")
    with tempfile.TemporaryDirectory() as scratch:
        floor = Path(scratch) / "floor"
        floor.mkdir()
        (floor / "chronon_dags.py").write_text(FLOOR)
        floors = {python: imported(python, floor) for python in args.python}
        for python, (seen, peak) in floors.items():
            row(seen["airflow"], "floor", sum(seen["dags"].values()), f"{seen['seconds']:.2f}", f"{peak:.0f}", "1.0", "")
        for size in map(int, args.sizes.split(",")):
            repo, dags = Path(scratch) / f"repo-{size}", Path(scratch) / f"dags-{size}"
            repo.mkdir()
            repository(repo, size)
            subprocess.run([args.binary, "airflow", "render", "--repo", repo, "--out", dags], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for python in args.python:
                seen, peak = imported(python, dags)
                tasks, seconds = sum(seen["dags"].values()), seen["seconds"]
                row(seen["airflow"], size, tasks, f"{seconds:.2f}", f"{peak:.0f}",
                    f"{peak / floors[python][1]:.1f}", f"{1000 * seconds / tasks:.2f}")
            shutil.rmtree(repo)


if __name__ == "__main__":
    main()
