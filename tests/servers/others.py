"""`python -m tests.servers.others`: the engine contract on every other server that this machine has.

The suite itself runs on the newest Valkey and PostgreSQL, from wheels. Here are the oldest Redis, from a wheel too, and
whatever Redis, Valkey and PostgreSQL the system has. Further arguments are pytest's.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.servers import postgres, valkey

SYSTEM_POSTGRES = Path("/usr/lib/postgresql")


@dataclass(frozen=True, slots=True)
class Other:
    """A server: `store` is what the conformance suite calls its kind, `variable` chooses it."""

    store: str
    variable: str
    place: Path


def others() -> Iterator[Other]:
    """Every one there is, each program once."""
    found = {valkey.newest().resolve()}
    for name in (str(valkey.oldest()), shutil.which("redis-server"), shutil.which("valkey-server")):
        if name is not None and Path(name).resolve() not in found:
            found.add(Path(name).resolve())
            yield Other("valkey", valkey.VARIABLE, Path(name))  # which it is, one program tells by its name
    for program in sorted(SYSTEM_POSTGRES.glob("*/bin/postgres")):
        yield Other("postgres", postgres.VARIABLE, program.parent)


def main(options: list[str]) -> int:
    """Run the suite on each; the first failure's exit code."""
    status = 0
    for other in others():
        sys.stdout.write(f"the engine contract on {other.place}\n")
        sys.stdout.flush()
        command = [sys.executable, "-m", "pytest", "-q", "tests/conformance", "-k", other.store, *options]
        ran = subprocess.run(command, env={**os.environ, other.variable: str(other.place)}, check=False)
        status = status or ran.returncode
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
