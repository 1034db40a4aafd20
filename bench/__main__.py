"""`python -m bench`: measure one engine and print the table."""

import argparse
import sys
from functools import partial
from pathlib import Path

import uvloop

from bench import latency, scale, throughput
from bench.measure import Figure, show, write
from tidegate.engines import shown

PARTS = ("throughput", "latency", "scale")
SQLITE = "sqlite:///{dir}/tidegate.db"


async def measure(args: argparse.Namespace) -> list[Figure]:
    """What was asked for."""
    figures: list[Figure] = []
    if "throughput" in args.parts:
        figures += await throughput.measure(args.engine, args.runs, args.jobs)
    if "latency" in args.parts:
        figures += await latency.measure(args.engine, args.runs, args.seconds)
    if "scale" in args.parts:
        figures += await scale.measure(args.engine, args.runs, (args.small, args.large))
    return figures


def main() -> None:
    """Read the arguments, measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("parts", nargs="*", default=PARTS, help=f"any of {', '.join(PARTS)}; all of them by default")
    engine = (
        "engine URL; {dir} is a fresh folder, and on a server each measurement has a namespace or schema of its own"
    )
    parser.add_argument("--engine", default=SQLITE, help=f"{engine} (default: %(default)s)")
    add = partial(parser.add_argument, metavar="N")
    add("--runs", type=int, default=3, help="how often each is measured (default: %(default)s)")
    add("--jobs", type=int, default=20_000, help="throughput: jobs a run (default: %(default)s)")
    add("--seconds", type=float, default=10.0, help="latency: length of a run (default: %(default)s)")
    add("--small", type=int, default=10_000, help="scale: jobs in the small store (default: %(default)s)")
    add("--large", type=int, default=1_000_000, help="scale: jobs in the large store (default: %(default)s)")
    kept = Path("bench/results/latest.json")
    parser.add_argument("--json", type=Path, default=kept, help="where the figures are kept (default: %(default)s)")
    args = parser.parse_args()
    wrong = [part for part in args.parts if part not in PARTS]
    if wrong:
        parser.error(f"there is no part {wrong[0]!r}: choose from {', '.join(PARTS)}")
    figures = uvloop.run(measure(args))
    sys.stdout.write(f"{show(figures)}\n\nkept in {args.json}\n")
    write(figures, args.json, args.engine if "{dir}" in args.engine else shown(args.engine))


if __name__ == "__main__":
    main()
