"""wrk as a process: one load on one place, and what it says of the answers."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import msgspec

SCRIPT: Final = Path(__file__).with_name("post.lua")
MISSING: Final = "wrk is not installed: `apt-get install wrk`, `brew install wrk`, or https://github.com/wg/wrk"


class Missing(Exception):
    """There is no wrk on this machine."""


class Broken(Exception):
    """It measured nothing."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """So many connections for so many seconds, each with a request under way all the time.

    `users` is who asks; with `each`, it is what names begin with of users who ask so often each.
    """

    connections: int
    seconds: int
    users: str = "ada"
    each: int = 0


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """What one load came to. `refused` answers were no 2xx, `broken` ones did not come; latencies in microseconds."""

    requests: int
    microseconds: int
    p50: int
    p99: int
    refused: int
    broken: int

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests * 1e6 / max(self.microseconds, 1)

    @property
    def good(self) -> bool:
        """Whether every request was answered, and with a 2xx."""
        return self.requests > 0 and not self.refused and not self.broken


def find() -> str:
    """The program; raises Missing."""
    found = shutil.which("wrk")
    if found is None:
        raise Missing(MISSING)
    return found


def shoot(program: str, url: str, load: Load) -> Shot:
    """Load `POST /jobs` of the server at `url`. Raises Broken."""
    words = ["-t", "1", "-c", str(load.connections), "-d", f"{load.seconds}s", "--latency", "-s", str(SCRIPT)]
    told = {"USERS": load.users, "REQUESTS_A_USER": str(load.each)}
    ended = subprocess.run(
        [program, *words, f"{url}/jobs"], env={**os.environ, **told}, capture_output=True, text=True, check=False
    )
    return read(ended.stdout, ended.stderr)


def read(said: str, complaint: str = "") -> Shot:
    """The figures, which the script writes last; raises Broken."""
    try:
        return msgspec.json.decode(said.strip().rpartition("\n")[2], type=Shot)
    except msgspec.DecodeError as exc:
        raise Broken(f"wrk said no figures: {(complaint or said).strip()[-300:]}") from exc
