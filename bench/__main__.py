"""`python -m bench`: measure one engine and print the table."""

import argparse
import sys
from pathlib import Path

import uvloop

from bench import latency, scale, throughput
from bench.measure import Figure, show, write

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
    parser.add_argument("parts", nargs="*", default=["throughput", "latency", "scale"])
    parser.add_argument("--engine", default=SQLITE, help="engine URL; {dir} is a fresh folder")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path, default=Path("bench/results/latest.json"))
    args = parser.parse_args()
    figures = uvloop.run(measure(args))
    sys.stdout.write(show(figures) + "\n")
    write(figures, args.json, args.engine)


if __name__ == "__main__":
    main()
