#!/usr/bin/env python3
"""Runs the action as GitHub would, by `act`, without containers or network.

A temporary repository holds the action, compiled configs on two commits, and a workflow that uses
the action as `uses: ./`. Each event is run once.

    act.py --act target/tools/lint/bin/act
        with a stand-in for the program, which writes down what it was given: arguments and
        environment arrive, outputs come back, a failure fails the job, an interrupt is heard.

    act.py --act … --binary target/debug/chronon-plan --api http://127.0.0.1:PORT
        with the program itself, which talks to GitHub's API at that address. What the program then
        posted is for whoever serves the address to check.

What act cannot show: images of runners, scopes of tokens, `concurrency` and `permissions`. And it
hands on every output of an inner step, declared or not: that action.yml declares them is held by
tests/it/docs.rs.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# Each is written by the program and read back by a later step of the workflow.
OUTPUTS = re.findall(
    r"^  ([a-z-]+):\n    description: .*\n    value:", (TOP / "action.yml").read_text(), re.M
)

WORKFLOW = """\
on: [pull_request, push, merge_group]
jobs:
  plan:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: plan
        uses: ./
        with:
          binary: {binary}
          env: prod
          lock-timeout: 7
      - if: always()
        env:
          ALL: ${{{{ toJSON(steps.plan.outputs) }}}}
          PLAN: ${{{{ steps.plan.outputs.plan-file }}}}
        run: |
          printf '%s' "$ALL" >'{seen}'
          if [ -f "$PLAN" ]; then cp "$PLAN" '{plan}'; fi
"""

STAND_IN = """\
#!{python} -IS
# Stand-in for chronon-plan in tests: writes down what it is given, and plans nothing.
import json, os, signal, sys, time
here = os.path.dirname(os.path.abspath(__file__))
knobs = json.load(open(here + "/knobs.json"))
parent = open(f"/proc/{{os.getppid()}}/comm").read().strip()
event = json.load(open(os.environ["GITHUB_EVENT_PATH"]))
given = {{"argv": sys.argv[1:], "env": dict(os.environ), "event": event, "parent": parent}}
if knobs.get("wait"):
    def heard(number, frame):
        open(here + "/heard", "w").write(signal.Signals(number).name)
        sys.exit(130)
    signal.signal(signal.SIGINT, heard)
    signal.signal(signal.SIGTERM, heard)
json.dump(given, open(here + "/given.tmp", "w"))
os.rename(here + "/given.tmp", here + "/given.json")
if knobs.get("wait"):
    time.sleep(30)
with open(os.environ["GITHUB_OUTPUT"], "a") as outputs:
    for name in knobs["outputs"]:
        outputs.write(f"{{name}}<<end\\nthe {{name}}\\nin two lines\\nend\\n")
with open(os.environ["GITHUB_STEP_SUMMARY"], "a") as summary:
    summary.write("a summary\\n")
print("::notice::the stand-in ran")
sys.exit(knobs["exit"])
"""


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory(prefix="act-") as folder:
        stage = Stage(Path(folder), options)
        if options.binary:
            with_the_program(stage)
        else:
            arguments_and_environment_arrive(stage)
            a_failure_fails_the_job(stage)
            an_interrupt_is_heard(stage)
    print("the action runs as it should")


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--act", type=Path, required=True)
    parser.add_argument("--binary", type=Path, help="the program, instead of a stand-in")
    parser.add_argument("--api", help="where the program finds GitHub's API")
    parser.add_argument("--token", default="token-of-act")
    return parser.parse_args()


def check(holds, what):
    if not holds:
        sys.exit(f"failed: {what}")


class Stage:
    """A repository with two commits and the action in both, and what runs it."""

    def __init__(self, folder, options):
        self.folder = folder
        self.options = options
        self.repository = folder / "repository"
        self.seen = folder / "seen.json"
        self.plan = folder / "plan.json"
        self.stand_in = folder / "bin" / "stand in"
        self.stand_in.parent.mkdir()
        self.stand_in.write_text(STAND_IN.format(python=sys.executable))
        self.stand_in.chmod(0o755)
        self.base, self.head = self.make_repository()

    def make_repository(self):
        self.git("init", "-q", "-b", "main", self.repository, cwd=self.folder)
        # What GITHUB_REPOSITORY comes from.
        self.git("remote", "add", "origin", "https://github.com/acme/features.git")
        shutil.copytree(TOP / "action", self.repository / "action")
        for file in ["action.yml", "Cargo.toml"]:
            shutil.copy(TOP / file, self.repository)
        binary = (self.options.binary or self.stand_in).resolve()
        workflow = self.repository / ".github/workflows/plan.yml"
        workflow.parent.mkdir(parents=True)
        workflow.write_text(
            WORKFLOW.format(binary=json.dumps(str(binary)), seen=self.seen, plan=self.plan)
        )
        fixtures = TOP / "fixtures/zipline"
        compiled = self.repository / "compiled"
        shutil.copytree(fixtures / "base/compiled", compiled)
        base = self.commit("base")
        # With times of their own: git believes that a file of the same size and time is the same.
        shutil.copytree(
            fixtures / "changes/staging-sql-changed/compiled",
            compiled,
            dirs_exist_ok=True,
            copy_function=shutil.copy,
        )
        return base, self.commit("change")

    def git(self, *words, cwd=None):
        who = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
        command = ["git", *who, *map(str, words)]
        done = subprocess.run(command, cwd=cwd or self.repository, check=True, capture_output=True)
        return done.stdout.decode().strip()

    def commit(self, message):
        self.git("add", "-A")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def turn(self, **knobs):
        told = {"exit": 0, "outputs": OUTPUTS, **knobs}
        (self.stand_in.parent / "knobs.json").write_text(json.dumps(told))

    def given(self):
        return json.loads((self.stand_in.parent / "given.json").read_text())

    def outputs(self):
        return json.loads(self.seen.read_text())

    def run(self, event):
        """Runs the workflow for an event; gives act's exit code and what it printed."""
        self.seen.unlink(missing_ok=True)
        payload = self.folder / "event.json"
        payload.write_text(json.dumps(self.event(event)))
        command = [self.options.act.resolve(), event, "-P", "ubuntu-latest=-self-hosted"]
        command += ["-e", payload, "-s", f"GITHUB_TOKEN={self.options.token}"]
        if self.options.api:
            command += ["--env", f"GITHUB_API_URL={self.options.api}"]
        # Nothing of the machine's own settings, and nothing left in its caches.
        names = ["PATH", "LANG", "SSL_CERT_FILE"]
        environment = {name: os.environ[name] for name in names if name in os.environ}
        environment |= {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache")}
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.repository,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    def event(self, name):
        """What GitHub sends, as far as anybody reads it."""
        repository = {"full_name": "acme/features", "default_branch": "main"}
        side = {"repo": repository}
        pull = {
            "number": 7,
            "title": "Count shorter plays",
            "user": {"login": "ada"},
            "draft": False,
            "merged": False,
            "merge_commit_sha": None,
            "head": {**side, "ref": "change", "sha": self.head},
            "base": {**side, "ref": "main", "sha": self.base},
        }
        main = "refs/heads/main"
        queue = "refs/heads/gh-readonly-queue/main/pr-7-" + self.base
        events = {
            # act makes GITHUB_REF from the number at the top.
            "pull_request": {"action": "synchronize", "number": 7, "pull_request": pull},
            "push": {
                "ref": main,
                "before": self.base,
                "after": self.head,
                "deleted": False,
                "forced": False,
                "commits": [],
            },
            "merge_group": {
                "action": "checks_requested",
                "merge_group": {
                    "head_sha": self.head,
                    "head_ref": queue,
                    "base_sha": self.base,
                    "base_ref": main,
                },
            },
        }
        return {"repository": repository, **events[name]}


def arguments_and_environment_arrive(stage):
    stage.turn()
    for event in ["pull_request", "push", "merge_group"]:
        code, said = stage.run(event)
        check(code == 0, f"{event}: act ended with {code}\n{said}")
        given = stage.given()
        wanted = ["ci", "--repo", ".", "--env", "prod", "--lock-timeout", "7"]
        check(given["argv"] == wanted, f"{event}: arguments are {given['argv']}")
        env = given["env"]
        for name, value in {
            "GITHUB_EVENT_NAME": event,
            "GITHUB_TOKEN": stage.options.token,
            "GITHUB_REPOSITORY": "acme/features",
            "GITHUB_ACTIONS": "true",
        }.items():
            check(env.get(name) == value, f"{event}: {name} is {env.get(name)!r}")
        check(given["event"] == stage.event(event), f"{event}: another event arrived")
        # The program took the place of every shell, so what act signals is the program.
        check(given["parent"] == "act", f"{event}: its parent is {given['parent']}")
        outputs = {name: f"the {name}\nin two lines" for name in OUTPUTS}
        check(len(OUTPUTS) == 8 and stage.outputs() == outputs, f"{event}: {stage.outputs()}")
        check(stage.options.token not in said, f"{event}: the token is printed")


def a_failure_fails_the_job(stage):
    stage.turn(exit=6, outputs=["digest"])
    code, said = stage.run("pull_request")
    check(code == 1, f"the program ended with 6 and act with {code}\n{said}")
    check("exit" in said and "6" in said, "nobody says with what it ended")
    outputs = stage.outputs()
    check(outputs["digest"] == "the digest\nin two lines", f"outputs of a failure: {outputs}")
    check(outputs["steps"] == "", f"outputs of a failure: {outputs}")


def an_interrupt_is_heard(stage):
    """A runner signals the process that it started, and no other."""
    stage.turn(wait=True)
    text = (TOP / "action.yml").read_text()
    script = stage.folder / "step.sh"
    line = re.findall(r"^      run: (.*run\.sh.*)$", text, re.M)
    check(len(line) == 1, f"the step that runs it: {line}")
    script.write_text(line[0] + "\n")
    event = stage.folder / "event.json"
    for number in [signal.SIGINT, signal.SIGTERM]:
        given, heard = (stage.stand_in.parent / name for name in ["given.json", "heard"])
        given.unlink(missing_ok=True)
        heard.unlink(missing_ok=True)
        environment = {
            **os.environ,
            "GITHUB_ACTION_PATH": str(TOP),
            "GITHUB_EVENT_PATH": str(event),
            "CHRONON_PLAN_BINARY": str(stage.stand_in),
        }
        # As the runner starts a step of `shell: bash`.
        step = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", script],
            env=environment,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        wait_for(given)
        step.send_signal(number)
        code = step.wait(timeout=10)
        name = heard.read_text() if heard.exists() else "nothing"
        check(code == 130 and name == number.name, f"{number.name}: it heard {name}, ended {code}")


def wait_for(file):
    for _ in range(200):
        if file.exists():
            return
        time.sleep(0.05)
    sys.exit(f"failed: {file.name} was never written")


def with_the_program(stage):
    code, said = stage.run("pull_request")
    check(code == 0, f"pull_request: act ended with {code}\n{said}")
    outputs = stage.outputs()
    check(sorted(outputs) == sorted(OUTPUTS), f"outputs are {sorted(outputs)}")
    check(outputs["digest"].startswith("sha256:"), f"the digest is {outputs['digest']!r}")
    check(outputs["has-changes"] == "true", "it sees no change")
    check(int(outputs["steps"]) > 0, f"it asks for {outputs['steps']} jobs")
    envs = json.loads(outputs["envs"])
    check(isinstance(envs, list) and len(envs) == 1, f"envs are {envs}")
    plan = json.loads(stage.plan.read_text())
    check(plan["digest"] == outputs["digest"], "the file is that of another plan")
    if stage.options.api:
        check(outputs["comment-url"] != "", "it has posted no comment")
    check(stage.options.token not in said, "the token is printed")


if __name__ == "__main__":
    main()
