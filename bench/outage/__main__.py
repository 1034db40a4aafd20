"""`python -m bench.outage`: take Tidegate and other libraries through one outage, print the vectors, write JSON."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.outage import table
from bench.outage.metrics import vector
from bench.outage.results import Result, write
from bench.outage.roster import SYSTEMS, System, chosen
from bench.outage.script import Script
from bench.outage.trial import Course, run
from bench.peers.installing import CACHE, NotInstalled, install
from bench.peers.trials import Ground


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.outage", description=__doc__)
    parser.add_argument("--only", default="", help="of " + ", ".join(system.name for system in SYSTEMS))
    parser.add_argument("--scale", type=float, default=10.0, help="so many times as fast as the script says")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each system")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--timeline", default="o1", help="a timeline of the provider whose name begins with o1")
    parser.add_argument("--rate", type=float, default=20.0, help="jobs a second for each upstream, as they pass")
    parser.add_argument("--wait", type=float, default=600.0, help="seconds of the script that the last jobs may take")
    parser.add_argument("--json", type=Path, default=Path("bench/results/outage.json"))
    return parser.parse_args()


def main() -> int:
    """Install, run, print, write; 1 where Tidegate did not keep what it must."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever is stopped still ends its processes
    args = arguments()
    course = _course(args)
    systems = _installed(chosen(args.only))
    results = [Result(system=system.name, note=system.note) for system in systems]
    try:
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            measure(systems, course, seed, results)
    finally:  # what was measured so far outlives an interruption
        write(args.json, course, results)
        table.show(results, course.script, Console(width=None if sys.stdout.isatty() else 240))
    return int(not all(result.kept(course.script) for result in results))


def _course(args: argparse.Namespace) -> Course:
    script, kept = Script.load(args.timeline, args.scale), CACHE / "outage"
    kept.mkdir(parents=True, exist_ok=True)
    return Course(timeline=args.timeline, script=script, rate=args.rate, wait=script.lasts(args.wait), kept=kept)


def measure(systems: Sequence[System], course: Course, seed: int, results: Sequence[Result]) -> None:
    """Every system once: a busy minute of the machine meets them all."""
    ground = Ground()
    try:
        for system, result in zip(systems, results, strict=True):
            began = time.monotonic()
            _measure(system, ground, course, seed, result)
            say(f"{system.name}, seed {seed}: {time.monotonic() - began:.0f} s")
    finally:
        ground.close()


def _measure(system: System, ground: Ground, course: Course, seed: int, result: Result) -> None:
    """A system that breaks is a finding, not the end of the run."""
    try:
        left = run(system, ground, course, seed)
    except Exception as exc:
        result.errors.append(f"seed {seed}: {type(exc).__name__}: {exc}")
        say(result.errors[-1])
        return
    result.runs.append((seed, vector(left.facts), left.history))


def _installed(systems: Sequence[System]) -> list[System]:
    present = []
    for system in systems:
        try:
            install(system.peer)
            present.append(system)
        except NotInstalled as exc:
            say(f"{system.name} is not installed: {exc}")
    return present


def say(line: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
