"""`python -m bench.peers`: measure Tidegate and its rivals in alternating rounds, print the table, write JSON."""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Final

from bench.peers import tables
from bench.peers.growth import grow
from bench.peers.installing import NotInstalled, install
from bench.peers.killing import kill
from bench.peers.measures import MEASURES, ONCE, Extent, Figures, Subject
from bench.peers.results import Folder, Found, write
from bench.peers.roster import PEERS, Peer, chosen
from bench.peers.trials import Ground

PARTS: Final = ("rounds", "kill", "growth")
_PARTS: Final = (
    "any of rounds (speed), kill (what a kill -9 does to running jobs) and growth (speed beside many other jobs)"
)
KILLS_AT_ONCE: Final = 6
"""Jobs that sleep need few processors, so that kill tests share them."""


class Run:
    """One run of the comparison. What has been measured is kept at once; what fails is kept with its reason."""

    def __init__(self, peers: Sequence[Peer], kept: Folder, ground: Ground, *, quick: bool) -> None:
        self._peers = peers
        self._kept = kept
        self._ground = ground
        self._quick = quick

    def round(self, number: int) -> None:
        """Every peer once."""
        for peer in self._peers:
            part = f"round{number}"
            if not self._kept.has(peer, part):
                names = [name for name in MEASURES if number == 1 or name not in ONCE]
                self._kept.keep(self._measured(peer, part, names))

    def _measured(self, peer: Peer, part: str, names: Sequence[str]) -> Found:
        found = Found(peer=peer.name, part=part, figures={"cpu_loop": _cpu_loop()})
        began = time.monotonic()
        subject = Subject(peer, self._ground, Extent(quick=self._quick), found.figures)
        for name in names:
            _attempt(found, name, partial(MEASURES[name], subject))
        say(f"{part} {peer.name}: {time.monotonic() - began:.0f} s{_failed(found)}")
        return found

    def kills(self, seconds: float) -> None:
        """One kill test a peer, several at once."""
        if any(peer.store == "postgres" for peer in self._peers):
            self._ground.postgres()
        with ThreadPoolExecutor(KILLS_AT_ONCE) as pool:
            for found in pool.map(lambda peer: self._killed(peer, seconds), self._peers):
                say(f"kill -9 {found.peer}{_failed(found)}")

    def _killed(self, peer: Peer, seconds: float) -> Found:
        found = Found(peer=peer.name, part="kill")
        if self._kept.has(peer, found.part):
            return found
        _attempt(found, "kill -9", lambda: asdict(kill(peer, self._ground, seconds)))
        if peer.ours and not peer.embedded:
            _attempt(found, "kill -9, then elsewhere", partial(self._killed_elsewhere, peer, seconds))
        self._kept.keep(found)
        return found

    def _killed_elsewhere(self, peer: Peer, seconds: float) -> Figures:
        fate = asdict(kill(peer, self._ground, seconds, elsewhere=True))
        return {f"elsewhere_{name}": value for name, value in fate.items()}

    def growth(self) -> None:
        """Tidegate's engines, filled up."""
        for peer in self._peers:
            if peer.ours and not self._kept.has(peer, "growth"):
                found = Found(peer=peer.name, part="growth")
                _attempt(found, "growth", partial(grow, peer, self._ground, quick=self._quick))
                self._kept.keep(found)
                say(f"growth {peer.name}{_failed(found)}")


def _attempt(found: Found, name: str, measure: Callable[[], Figures]) -> None:
    """A rival that breaks is a finding, not the end of the run."""
    try:
        found.figures.update(measure())
    except Exception as exc:
        found.errors[name] = f"{type(exc).__name__}: {exc}"


def _failed(found: Found) -> str:
    return f" (failed: {', '.join(found.errors)})" if found.errors else ""


def _cpu_loop() -> float:
    """Milliseconds of a fixed loop: how busy the machine was with other things."""
    began = time.perf_counter()
    sum(n * n for n in range(500_000))
    return (time.perf_counter() - began) * 1_000


def say(line: str) -> None:
    """Progress, on stderr."""
    sys.stderr.write(line + "\n")


def installed(peers: Sequence[Peer], kept: Folder) -> list[Peer]:
    """Those that could be installed; the others are kept with the reason."""
    present = []
    for peer in peers:
        try:
            install(peer)
            present.append(peer)
        except NotInstalled as exc:
            say(f"{peer.name} is not installed: {exc}")
            kept.keep(Found(peer=peer.name, part="install", errors={"not installed": str(exc)}))
    return present


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="bench.peers", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"{_PARTS} (default: all of them)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which every peer is measured (default: 3)")
    parser.add_argument("--only", default="", help="peers, separated by commas: " + ", ".join(p.name for p in PEERS))
    parser.add_argument("--all", action="store_true", help="every rival, not only the main ones")
    parser.add_argument("--quick", action="store_true", help="tiny amounts: does everything work?")
    parser.add_argument("--resume", action="store_true", help="keep what an interrupted run has measured")
    parser.add_argument(
        "--kill-wait", type=float, default=100.0, help="seconds that killed jobs may take to be done (100)"
    )
    each = "a file for each peer and round (default: %(default)s)"
    parser.add_argument("--kept", type=Path, default=Path("bench/results/peers"), help=each)
    kept = Path("bench/results/peers.json")
    parser.add_argument("--json", type=Path, default=kept, help="where all of it is kept (default: %(default)s)")
    args = parser.parse_args()
    wrong = [part for part in args.parts if part not in PARTS]
    if wrong:
        parser.error(f"there is no part {wrong[0]!r}: choose from {', '.join(PARTS)}")
    return args


def measure(run: Run, args: argparse.Namespace) -> None:
    """What was asked for."""
    if "kill" in args.parts:
        run.kills(args.kill_wait)
    if "rounds" in args.parts:
        for number in range(1, args.rounds + 1):
            run.round(number)
    if "growth" in args.parts:
        run.growth()


def main() -> None:
    """Install, measure, print, write."""
    args = arguments()
    peers = chosen(args.only, everyone=args.all)
    kept = Folder(args.kept)
    if not args.resume:
        kept.clear()
    ground = Ground()
    try:
        measure(Run(installed(peers, kept), kept, ground, quick=args.quick), args)
    finally:
        ground.close()
        parts = kept.read()
        sys.stdout.write(tables.show(parts, [peer.name for peer in PEERS]) + "\n")
        write(args.json, parts, PEERS)
        sys.stdout.write(f"\nkept in {args.json}\n")


if __name__ == "__main__":
    main()
