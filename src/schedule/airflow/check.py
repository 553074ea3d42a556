"""Imports a folder of DAGs with the Airflow of this Python, and says as one line of JSON what it saw."""

import contextlib
import json
import logging
import os
import sys
import time
import warnings

# Nothing but the answer may reach standard output, whatever a plugin prints.
ANSWER = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
warnings.simplefilter("ignore")
logging.disable(logging.WARNING)


def bag_of(folder):
    """The DAGs of a folder, by the class that this version has."""
    try:
        from airflow.dag_processing.dagbag import DagBag  # 3.x

        return DagBag(folder, bundle_path=None, collect_dags=False), {}
    except ImportError:
        from airflow.models.dagbag import DagBag  # 2.x

        return DagBag(folder, include_examples=False, collect_dags=False), {}


def main(folder):
    import airflow

    bag, _ = bag_of(folder)
    start = time.monotonic()
    with contextlib.redirect_stdout(sys.stderr):
        bag.process_file(os.path.join(folder, "chronon_dags.py"), only_if_updated=False)
    seconds = time.monotonic() - start
    seen = {
        "airflow": airflow.__version__,
        "seconds": round(seconds, 3),
        "dags": {name: len(dag.tasks) for name, dag in sorted(bag.dags.items())},
        "errors": {str(file): str(error).strip() for file, error in sorted(bag.import_errors.items())},
    }
    ANSWER.write(json.dumps(seen) + "\n")
    ANSWER.flush()


main(sys.argv[1])
