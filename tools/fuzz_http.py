"""`python -m tools.fuzz_http`: everything that the OpenAPI document says, tried against a server of its own.

Schemathesis makes requests that the document allows and forbids, and follows what one answers into the next, in rounds
until there were `--requests` of them. Exits with 1 where an answer is not as the document says, or the server failed.
What is left out, and why, is in `fuzz.toml`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

BIN: Final = Path(sys.executable).parent
ROOT: Final = Path(__file__).parents[1]
STARTED_WITHIN: Final = 60.0

PHASES: Final = "examples,coverage,fuzzing stateful"
"""Schemathesis' phases; behind a blank, on another fresh server."""

SETTINGS: Final[Mapping[str, str]] = {
    "TIDEGATE_APP": "examples.greet:app",
    "TIDEGATE_ENGINE": "memory://",
    "TIDEGATE_ARTIFACTS": "memory://",
    "TIDEGATE_AUTH": "none",
    "TIDEGATE_PORT": "0",
    "TIDEGATE_LIMIT_USER_PER_HOUR": "0",
    "TIDEGATE_LIMIT_IP_PER_MINUTE": "0",
    "TIDEGATE_LOG_LEVEL": "error",
}


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a fresh server."""
    environment = {**os.environ, **SETTINGS, "TIDEGATE_DATA_DIR": str(folder)}
    environment |= {"PYTHONPATH": _paths()}
    with subprocess.Popen([sys.executable, "-m", "tools.fuzz_server", "serve"], env=environment, cwd=ROOT) as server:
        try:
            yield _url(folder / "server.json", server)
        finally:
            server.terminate()


def _url(note: Path, server: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + STARTED_WITHIN
    while time.monotonic() < deadline and server.poll() is None:
        if note.exists():
            return str(json.loads(note.read_text("utf-8"))["url"])
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def _paths() -> str:
    return os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))


def tried(given: argparse.Namespace, seed: int, phases: str) -> tuple[int, int]:
    """Schemathesis' exit code after some of its phases, and how many requests it made."""
    with TemporaryDirectory() as folder, served(Path(folder)) as url:
        command = [str(BIN / "schemathesis"), "--config-file", str(ROOT / "tools" / "fuzz.toml")]
        command += ["run", f"{url}/openapi.json", "--checks", "all", "--no-color", "--phases", phases]
        # What links lead to takes more examples: each of them is a walk along a few.
        examples = given.max_examples * (3 if phases == "stateful" else 1)
        command += ["--seed", str(seed), "--max-examples", str(examples)]
        command += ["--include-path-regex", given.path] if given.path else []
        count = Path(folder) / "count"
        environment = {**os.environ, "PYTHONPATH": _paths(), "FUZZ_COUNT": str(count)}
        environment |= {"FUZZ_STATEFUL": "1"} if phases == "stateful" else {}
        ended = subprocess.run(command, cwd=folder, env=environment, check=False)
        return ended.returncode, int(count.read_text("utf-8")) if count.exists() else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; 0 where there was no failure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="how many there shall be at least")
    parser.add_argument("--max-examples", type=int, default=30, help="of an operation, in a round")
    parser.add_argument("--phases", default=PHASES, help="what a round consists of")
    parser.add_argument("--path", default="", help="only paths that this pattern finds")
    parser.add_argument("--seed", type=int, default=1, help="of the first round: to see a failure again")
    given = parser.parse_args(arguments)
    made, seed = 0, given.seed
    while made < given.requests:
        for phases in given.phases.split():
            code, requests = tried(given, seed, phases)
            made += requests
            print(f"{made} requests so far, {'a failure' if code else 'no failure'} in {phases} with the seed {seed}")
            if code or not requests:
                return code or 1
        seed += 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
