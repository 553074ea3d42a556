"""Every DAG of the golden manifests as this Airflow builds it, against golden text.

    <python of an Airflow> tests/airflow/structure.py        (BLESS=1 writes the texts anew)

The texts lie beside the manifests, in `fixtures/schedules/<name>/dags.txt`; both versions of Airflow must build the
same. A manifest alone is enough to build DAGs: files of the commit are looked at only when a task runs.
"""

import json
import logging
import os
import sys
import tempfile
import unittest
import warnings
from pathlib import Path

import support

os.environ.setdefault("AIRFLOW_HOME", support.temporary("airflow-home-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
warnings.simplefilter("ignore")

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "schedules"


def dags_of(folder):
    """The DAGs of a folder and its errors of import."""
    import airflow

    logging.disable(logging.WARNING)
    if int(airflow.__version__.split(".")[0]) >= 3:
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(folder))
    else:
        from airflow.models import DagBag

        bag = DagBag(str(folder), include_examples=False)
    return bag.dags, bag.import_errors


def schedule(dag):
    """The cron of a DAG, which stands at another place in 3.x."""
    timetable = dag.timetable
    return getattr(timetable, "expression", None) or getattr(timetable, "_expression", None) or "when asked"


def described(dag):
    """A DAG as text: what a person checks, one line to each task."""
    team = sorted(tag for tag in dag.tags if tag.startswith("team:"))
    head = f"{dag.dag_id}  {schedule(dag)}  catchup={dag.catchup}  runs={dag.max_active_runs}  tasks={dag.max_active_tasks}"
    lines = ["  ".join([head, *team])]
    for task in sorted(dag.tasks, key=lambda it: it.task_id):
        kind = getattr(task, "task_type", type(task).__name__)
        parts = [f"  {task.task_id}", kind, f"priority={task.priority_weight}", f"pool={task.pool}",
                 f"retries={task.retries}"]
        if getattr(task, "mode", None) in ("poke", "reschedule"):
            parts.append(f"{task.mode} every {int(task.poke_interval if not hasattr(task.poke_interval, 'total_seconds') else task.poke_interval.total_seconds())} s")
        rule = str(getattr(task.trigger_rule, "value", task.trigger_rule))
        if rule != "all_success":
            parts.append(rule)
        lines.append("  ".join(parts))
        lines += [f"    ← {name}" for name in sorted(task.upstream_task_ids)]
    return lines


class Structure(unittest.TestCase):
    maxDiff = None

    def check(self, fixture):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "dags"
            manifest = json.loads((fixture / "chronon_dags.json").read_text())
            manifest.pop("digest", None)
            # The golden file names no commit, for which there is none.
            support.write_manifest(folder, {**manifest, "commit": support.COMMIT, "files": "0" * 64})
            dags, errors = dags_of(folder)
        self.assertEqual(errors, {})
        lines = [line for name in sorted(dags) for line in [*described(dags[name]), ""]]
        text = "\n".join(lines)
        golden = fixture / "dags.txt"
        if os.environ.get("BLESS"):
            golden.write_text(text)
        self.assertTrue(golden.exists(), f"{golden} is missing: BLESS=1 writes it")
        self.assertEqual(golden.read_text(), text)


def add(fixture):
    setattr(Structure, f"test_{fixture.name.replace('-', '_')}", lambda self: self.check(fixture))


for each in sorted(FIXTURES.iterdir()) if FIXTURES.exists() else []:
    add(each)

if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
