"""`python -m tools.fuzz_http`: everything that the OpenAPI document says, tried against a server of its own.

Schemathesis makes requests that the document allows and forbids, and follows what one answers into the next. Exits
with 1 where an answer is not as the document says, or the server failed. One finding is none: `POST /jobs/bulk` in the
mode `each` refuses wrong jobs within an answer of 200.
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

SETTINGS: Final[Mapping[str, str]] = {
    "TIDEGATE_ENGINE": "memory://",
    "TIDEGATE_ARTIFACTS": "memory://",
    "TIDEGATE_AUTH": "none",
    "TIDEGATE_PORT": "0",
    "TIDEGATE_LIMIT_USER_PER_HOUR": "0",
    "TIDEGATE_LIMIT_IP_PER_MINUTE": "0",
    "TIDEGATE_LOG_LEVEL": "error",
}

BEYOND: Final = ("positive_data_acceptance", "ignored_auth", "missing_required_header")
"""Checks of what no document can say: which payload fits a job type. And keys: the server asks for none."""

STREAMS: Final = r"/events$"
"""Answers without an end."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The URL of a fresh server."""
    environment = {**os.environ, **SETTINGS, "TIDEGATE_DATA_DIR": str(folder)}
    with subprocess.Popen([str(BIN / "tidegate"), "serve"], env=environment) as server:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and give Schemathesis' own exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=300, help="how long")
    parser.add_argument("--path", default="", help="only paths that this pattern finds")
    parser.add_argument("--seed", default="", help="to see a failure again")
    given = parser.parse_args(arguments)
    with TemporaryDirectory() as folder, served(Path(folder)) as url:
        command = [str(BIN / "schemathesis"), "run", f"{url}/openapi.json", "--max-time", str(given.seconds)]
        command += ["--checks", "all", "--exclude-checks", ",".join(BEYOND), "--max-response-time", "60"]
        command += ["--exclude-path-regex", STREAMS, "--header", "X-User-ID: ada", "--continue-on-failure"]
        command += ["--request-timeout", "70", "--suppress-health-check", "all", "--no-color"]
        command += ["--include-path-regex", given.path] if given.path else []
        command += ["--seed", given.seed] if given.seed else []
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tools.fuzz_hooks", "PYTHONPATH": str(ROOT)}
        return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
