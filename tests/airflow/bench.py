"""Measures how long Airflow takes to parse big manifests, and how much memory.

    <python of an Airflow> tests/airflow/bench.py [configs ...]
"""

import os
import resource
import subprocess
import sys
import time

import support


def measure(configs):
    home = support.airflow_home()
    folder = os.path.join(home, "dags")
    support.write_manifest(folder, support.manifest(support.big(configs)))
    import airflow

    if int(airflow.__version__.split(".")[0]) >= 3:
        from airflow.dag_processing.dagbag import DagBag
    else:
        from airflow.models import DagBag

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.monotonic()
    bag = DagBag(dag_folder=folder)
    seconds = time.monotonic() - started
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert not bag.import_errors, bag.import_errors
    tasks = sum(len(dag.tasks) for dag in bag.dags.values())
    print(
        f"airflow {airflow.__version__}: {configs} configs, {tasks} tasks: "
        f"{seconds:.2f} s, {more / 1024:.0f} MB"
    )
    return seconds


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[1] == "--one":
        measure(int(sys.argv[2]))
    else:
        # One process each, so that the memory of one is not that of all.
        for number in sys.argv[1:] or ("100", "1000"):
            subprocess.run([sys.executable, __file__, "--one", number], check=True)
