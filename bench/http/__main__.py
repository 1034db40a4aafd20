"""`python -m bench.http`: load POST /jobs and a bare Starlette route in turn with wrk, print the table, write JSON."""

import argparse
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final

from bench.http import results
from bench.http.results import Results, Sample
from bench.http.subjects import BARE, SUBJECTS, Served, Stores, Subject, chosen, serving
from bench.http.wrk import Broken, Load, Missing, Shot, find, shoot

WARMING: Final = Load(connections=16, seconds=1, users="warm")
_numbers: Final = count()


@dataclass(slots=True)
class Counted:
    """What one server answered in a round: its store must hold as many jobs, and those under way at each end."""

    served: Served
    answered: int = 0
    under_way: int = 0

    def fault(self) -> str | None:
        """Why the figures can't be trusted, if so."""
        if not self.served.subject.store:
            return None
        stored = self.served.stored()
        if self.answered <= stored <= self.answered + self.under_way:
            return None
        return f"{self.served.subject.name}: {self.answered} were answered, and {stored} jobs are stored"


@dataclass(slots=True)
class Run:
    """One run of the comparison."""

    program: str
    loads: Sequence[Load]
    found: Results = field(default_factory=Results)

    def round(self, subjects: Sequence[Subject]) -> None:
        """Every subject once under every load, each beside the bare route: a busy minute meets both."""
        with ExitStack() as stack:
            stores = Stores(stack)
            bare, *others = [Counted(stack.enter_context(serving(subject, stores))) for subject in subjects]
            for counted in (bare, *others):
                self._shoot(counted, WARMING)
            for load in self.loads:
                for counted in others:
                    self._pair(bare, counted, load)
            self.found.failures += [fault for counted in others if (fault := counted.fault()) is not None]

    def _pair(self, bare: Counted, counted: Counted, load: Load) -> None:
        (beside, idle), (shot, busy) = self._shoot(bare, load), self._shoot(counted, load)
        for name, one, took in ((BARE, beside, idle), (counted.served.subject.name, shot, busy)):
            sample = Sample(subject=name, connections=load.connections, shot=one, bare=beside, busy=took)
            self.found.samples.append(sample)
        say(f"{counted.served.subject.name}, {load.connections}: {shot.rate:,.0f} of {beside.rate:,.0f} req/s")

    def _shoot(self, counted: Counted, load: Load) -> tuple[Shot, float]:
        """What a load came to, and the microseconds of its server's processor that a request took."""
        each, name = counted.served.subject.each, counted.served.subject.name
        users = f"{load.users}-{next(_numbers)}" if each else load.users
        told = Load(connections=load.connections, seconds=load.seconds, users=users, each=each)
        before = counted.served.busy()
        shot = shoot(self.program, counted.served.url, told)
        took = (counted.served.busy() - before) * 1e6 / max(shot.requests, 1)
        counted.answered += shot.requests
        counted.under_way += load.connections
        if not shot.good:
            what = f"{shot.refused} of {shot.requests} refused, {shot.broken} without an answer"
            self.found.failures.append(f"{name}, {load.connections} connections: {what}")
        return shot, took


def say(line: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(line + "\n")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.http", description=__doc__)
    parser.add_argument("--only", default="", help="of " + ", ".join(subject.name for subject in SUBJECTS))
    parser.add_argument("--rounds", type=int, default=3, help="rounds, on new servers and stores each (default: 3)")
    parser.add_argument("--seconds", type=int, default=3, help="length of one load (default: 3)")
    parser.add_argument("--connections", default="1,16,64", help="connections, a load each (default: 1,16,64)")
    kept = Path("bench/results/http.json")
    parser.add_argument("--json", type=Path, default=kept, help="where the figures are kept (default: %(default)s)")
    args = parser.parse_args()
    try:
        args.subjects, args.loads = chosen(args.only), list(_loads(args))
    except ValueError as exc:
        parser.error(str(exc))
    return args


def _loads(args: argparse.Namespace) -> Iterator[Load]:
    for connections in args.connections.split(","):
        yield Load(connections=int(connections), seconds=args.seconds)


def main() -> int:
    """Measure, print, write; 1 where an answer was missing or no 2xx, or a job is missing, 2 without wrk."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # whoever is stopped still ends its processes
    args = arguments()
    try:
        run = Run(find(), args.loads)
    except Missing as exc:
        say(str(exc))
        return 2
    try:
        for _ in range(args.rounds):
            run.round(args.subjects)
    except Broken as exc:
        run.found.failures.append(str(exc))
    finally:  # what was measured so far outlives an interruption
        if run.found.samples:
            results.write(args.json, run.found, {"rounds": args.rounds, "seconds": args.seconds})
        sys.stdout.write(results.show(run.found) + "\n")
    return int(bool(run.found.failures))


if __name__ == "__main__":
    sys.exit(main())
