"""Times `chronon-plan plan` against git itself, in one table.

For each size it makes (or reuses) a repository with `generate.py` under `target/bench/`, which git ignores, and runs:

* floor: what git needs to list, compare and read the same files:
  `git ls-tree -r HEAD`, `git diff-tree -r main change` and `git cat-file --batch --buffer` of every compiled file;
* cold: `chronon-plan plan --no-cache`, so that every config is read and parsed;
* warm: the same plan with its cache, after one run that filled it.

Each is run once for nothing and then `--runs` times; the best counts. "cpu" is user and system time together: the
repository is read on all cores, so it can exceed the time on the clock. "MB" is the largest resident set of a process;
Linux counts what the child was before it became the program, so it is never less than this script's own 20 MB or so.
The files come from the page cache in all three. The last line times `zipline compile` on 200 configs, the step that
people wait for before a plan.

    cargo build --release
    python3 bench/run.py --sizes 1000,10000

With a ledger:

* ledger: the same warm plan against a ledger that holds all of main; "ledger MB" is its size on disk;
* the last rows are `examples/bench-apply.rs`: a thousand steps whose jobs cost nothing, through engine, journal, lock
  and ledger, in a folder and on the tests' storage service; a bucket takes one write a second of the ledger and of the
  lock, so that the time with both is a second or two whatever the journal does.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import authoring

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "target"
SEED = "chronon"
AUTHORED = 200
HEADINGS = ["configs", "measure", "wall s", "cpu s", "MB", "x floor"]


class Failed(Exception):
    """A measured command that did not end well."""


def once(command, stdin=None, stdout=subprocess.DEVNULL, cwd=None):
    """Runs a command; returns (wall seconds, CPU seconds, peak resident MB)."""
    with tempfile.TemporaryFile() as errors, open(stdin or os.devnull, "rb") as given:
        started = time.perf_counter()
        child = subprocess.Popen(command, stdin=given, stdout=stdout, stderr=errors, cwd=cwd)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            errors.seek(0)
            text = errors.read().decode(errors="replace").strip()
            raise Failed(f"exit {child.returncode} of: {' '.join(map(str, command))}\n{text}")
    unit = 1024 * 1024 if sys.platform == "darwin" else 1024
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def best(runs, measure):
    """The fastest of `runs` measurements, after one that does not count."""
    measure()
    return min(measure() for _ in range(runs))


def repository(size):
    """The path of a repository with `size` configs; made if there is none from today's generator."""
    repo = TARGET / "bench" / str(size)
    made_by = hashlib.sha256((HERE / "generate.py").read_bytes() + SEED.encode()).hexdigest()
    stamp = repo / ".git" / "made-by"
    if not stamp.exists() or stamp.read_text() != made_by:
        print(f"making {size} configs ...", file=sys.stderr)
        shutil.rmtree(repo, ignore_errors=True)
        repo.parent.mkdir(parents=True, exist_ok=True)
        # In a process of its own: see "MB" above.
        command = [sys.executable, HERE / "generate.py", "--configs", str(size), "--seed", SEED, "--out", repo]
        subprocess.run(command, check=True, stdout=sys.stderr)
        stamp.write_text(made_by)
    return repo


def floor(repo, runs):
    git = ["git", "-C", str(repo)]
    with tempfile.NamedTemporaryFile("wb", suffix=".ids") as wanted:
        with subprocess.Popen([*git, "ls-tree", "-r", "HEAD", "compiled/"], stdout=subprocess.PIPE) as listing:
            for line in listing.stdout:
                wanted.write(line.split()[2] + b"\n")
        wanted.flush()

        def measure():
            parts = [once([*git, "ls-tree", "-r", "HEAD"]),
                     once([*git, "diff-tree", "-r", "main", "change"]),
                     once([*git, "cat-file", "--batch", "--buffer"], stdin=wanted.name)]
            return sum(p[0] for p in parts), sum(p[1] for p in parts), max(p[2] for p in parts)

        return best(runs, measure)


def plan(binary, repo, runs, *more):
    command = [str(binary), "plan", "--repo", str(repo), "--base", "main", "--head", "change",
               "--as-of", "2026-11-22", "--format", "json", *more]
    return best(runs, lambda: once(command)), command


def ledger(binary, repo, runs):
    """A plan against a ledger of everything that main has, and the ledger's size in MB."""
    state = TARGET / "bench" / "state" / repo.name
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    settings = state / "settings.toml"
    settings.write_text(f"[env.prod]\nstate = '{state}'\n")
    once([str(binary), "state", "adopt", "--repo", str(repo), "--commit", "main", "--settings", str(settings)])
    measured, _ = plan(binary, repo, runs, "--settings", str(settings))
    return measured, (state / "prod" / "state.json").stat().st_size / 1e6


def applying(example):
    """What the example prints, or why there is nothing."""
    if not example.exists():
        return f"apply skipped: no program at {example}; run `cargo build --release --example bench-apply`"
    answer = subprocess.run([str(example)], capture_output=True, text=True, check=False)
    return answer.stdout.rstrip() if answer.returncode == 0 else f"apply failed: {answer.stderr.strip()}"


def said(command):
    """What the plan found, so that a fast run that found nothing is seen."""
    answer = subprocess.run(command, capture_output=True, check=False).stdout
    try:
        found = json.loads(answer)
        return f"{len(found['changes'])} changes, {len(found['steps'])} steps"
    except (ValueError, KeyError, TypeError):
        return "the plan is not the JSON that was asked for"


def compiling(zipline, runs):
    """(measurement, None) of `zipline compile`, or (None, why not)."""
    if zipline is None:
        return None, "no `zipline` on PATH; name one with --zipline"
    root = TARGET / "bench" / "authoring"
    shutil.rmtree(root, ignore_errors=True)
    configs = authoring.write(root, AUTHORED)
    try:
        measured = best(runs, lambda: once([zipline, "compile", "--chronon-root", str(root), "--force"], cwd=root))
    except (Failed, OSError) as error:
        return None, str(error)
    written = sum(1 for p in (root / "compiled").rglob("*") if p.is_file() and "teams_metadata" not in p.parts)
    if written != configs:
        return None, f"it wrote {written} of {configs} configs"
    return measured, None


def row(*cells):
    print("".join(f"{cell:>{width}}" for cell, width in zip(cells, (8, 16, 9, 9, 7, 9), strict=True)), flush=True)


def numbers(measured, base):
    wall, cpu, peak = measured
    return f"{wall:.3f}", f"{cpu:.3f}", f"{peak:.0f}", f"{wall / base[0]:.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", default=str(TARGET / "release" / "chronon-plan"), help="the program to time")
    parser.add_argument("--sizes", default="1000,10000,100000", help="numbers of configs, with commas between")
    parser.add_argument("--runs", type=int, default=3, help="how many runs to take the best of")
    parser.add_argument("--zipline", default=shutil.which("zipline"), help="the zipline program (default: on PATH)")
    args = parser.parse_args()
    binary = shutil.which(args.binary)
    if binary is None:
        sys.exit(f"no program at {args.binary}: run `cargo build --release` first, or name one with --binary")
    binary = Path(binary).resolve()

    sizes = [int(size) for size in args.sizes.split(",")]
    repos = [repository(size) for size in sizes]
    version = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    load = os.getloadavg()[0]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, {version}, best of {args.runs}; "
          f"packs as `git repack -adf` leaves them")
    row(*HEADINGS)
    commands = {}
    try:
        for size, repo in zip(sizes, repos, strict=True):
            base = floor(repo, args.runs)
            row(size, "git floor", *numbers(base, base))
            cold, _ = plan(binary, repo, args.runs, "--no-cache")
            row("", "plan, cold", *numbers(cold, base))
            warm, commands[size] = plan(binary, repo, args.runs)
            row("", "plan, warm", *numbers(warm, base))
            known, megabytes = ledger(binary, repo, args.runs)
            row("", "plan, ledger", *numbers(known, base))
            print(f"{'':>8}  the ledger has {megabytes:.1f} MB", flush=True)
    except Failed as error:
        sys.exit(f"error: {error}")
    measured, reason = compiling(args.zipline, args.runs)
    if measured:
        wall, cpu, peak = measured
        row(AUTHORED, "zipline compile", f"{wall:.3f}", f"{cpu:.3f}", f"{peak:.0f}", "")
    else:
        print(f"zipline compile skipped: {reason}")
    print(applying(binary.parent / "examples" / "bench-apply"))
    for size, command in commands.items():
        print(f"{size} configs: {said(command)}")


if __name__ == "__main__":
    main()
