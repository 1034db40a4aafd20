"""What is measured: each a server of its own, on an empty store, with the limits that would refuse a load lifted."""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.http.wrk import Broken
from bench.peers import proc
from bench.peers.servers import Postgres, valkey
from tidegate.http.server import SERVER_FILE

ROOT: Final = Path(__file__).parents[2]
START_SECONDS: Final = 60.0
BARE: Final = "bare"
LIFTED: Final = {"TIDEGATE_LIMIT_USER_PER_HOUR": "0", "TIDEGATE_LIMIT_IP_PER_MINUTE": "0"}
EACH: Final = 50
"""Requests of each user where users are counted: fewer than each may send by default."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server to measure: its store ("" where it has none), and what it is told beside.

    `each` is how often a user asks where users are counted. One that is not `usual` is measured where it is named.
    """

    name: str
    store: str
    told: Mapping[str, str] = field(default_factory=dict)
    each: int = 0
    usual: bool = True

    @property
    def words(self) -> list[str]:
        """Its command."""
        if not self.store:
            return ["-m", "bench.http.bare"]
        return ["-m", "tidegate", "serve", "bench.http.orders:app", "--no-worker", "--port", "0"]


_COUNTED: Final = {"TIDEGATE_LIMIT_IP_PER_MINUTE": "0"}

SUBJECTS: Final = (
    Subject(name=BARE, store=""),
    Subject(name="thin", store="", usual=False),  # it validates the body's fields alone
    Subject(name="memory", store="memory", told=LIFTED, usual=False),  # it looks through all its jobs at each submit
    Subject(name="sqlite", store="sqlite", told=LIFTED),
    Subject(name="valkey", store="valkey", told=LIFTED),
    Subject(name="postgres", store="postgres", told=LIFTED),
    Subject(name="sqlite-counted", store="sqlite", told=_COUNTED, each=EACH),
    Subject(name="valkey-counted", store="valkey", told=_COUNTED, each=EACH),
    Subject(name="postgres-counted", store="postgres", told=_COUNTED, each=EACH),
)


def chosen(only: str) -> list[Subject]:
    """Those named, or the usual ones; what they are held against is always among them. Raises ValueError."""
    named = [name.strip() for name in only.split(",") if name.strip()]
    names = named or [subject.name for subject in SUBJECTS if subject.usual]
    known = [subject.name for subject in SUBJECTS]
    wrong = [name for name in names if name not in known]
    if wrong:
        raise ValueError(f"there is no {wrong[0]!r}: choose from {', '.join(known)}")
    return [subject for subject in SUBJECTS if subject.name in {BARE, *names}]


@dataclass(frozen=True, slots=True)
class Served:
    """A subject that listens."""

    subject: Subject
    url: str
    pid: int

    def busy(self) -> float:
        """Seconds of processor time that its process has taken."""
        return proc.busy(self.pid)

    def stored(self) -> int:
        """The jobs that wait in its store; a bare route has none."""
        asked = urllib.request.Request(f"{self.url}/queues", headers={"X-User-ID": "ada"})
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return sum(int(queue["ready"]) for queue in json.load(answer)["items"])


class Stores:
    """Servers for stores, started when first asked for and ended together; every subject has one of its own."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._postgres: Postgres | None = None

    def folder(self) -> Path:
        """An empty folder, gone at the end."""
        made = tempfile.TemporaryDirectory(prefix="tidegate-http-", ignore_cleanup_errors=True)
        return Path(self._stack.enter_context(made))

    def url(self, subject: Subject) -> str:
        """The URL of an empty store of that kind."""
        match subject.store:
            case "memory":
                return "memory://"
            case "valkey":
                return self._stack.enter_context(valkey(self.folder())).url
            case "postgres":
                return self._database(subject.name.replace("-", "_"))
            case _:
                return f"sqlite:///{self.folder() / 'tidegate.db'}"

    def _database(self, name: str) -> str:
        if self._postgres is None:
            self._postgres = Postgres(self.folder())
            self._stack.callback(self._postgres.close)
        self._postgres.create(name)
        return self._postgres.url(name)


@contextmanager
def serving(subject: Subject, stores: Stores) -> Iterator[Served]:
    """Serve it until the end of the block. Raises Broken."""
    folder = stores.folder()
    mine = {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
    told = {"TIDEGATE_DATA_DIR": str(folder), "TIDEGATE_ENGINE": stores.url(subject), **subject.told}
    words = [sys.executable, *subject.words, *([] if subject.store else [str(folder), subject.name])]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env={**mine, **told}, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield Served(subject, _url(process, folder), process.pid)
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
        process.kill()
        process.wait()


def _url(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Where it listens, once it does."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError, ValueError):
            url = str(json.loads((folder / SERVER_FILE).read_text())["url"])
            if _answers(url):
                return url
        time.sleep(0.05)
    said = (folder / "log").read_text("utf-8", "replace").strip()
    raise Broken(f"it did not start: {said[-300:]}")


def _answers(url: str) -> bool:
    """Whether somebody answers there, whatever it is."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
