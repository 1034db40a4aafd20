"""What a handler is given: the context of its run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from shutil import copyfile
from typing import Final, Generic, Protocol, TypeVar

from tidegate.core.job import Progress
from tidegate.core.paths import PATH_LIMIT, check_path
from tidegate.core.text import storable
from tidegate.errors import Abandoned, InvalidInput

Value = TypeVar("Value")

LONGEST_NAME = PATH_LIMIT - 64
"""Characters of a saved file's name: the run's own prefix stands before it."""

MESSAGE_LIMIT: Final = 500
"""Characters kept of a progress message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """An uploaded file, fetched for a run: `path` on this machine, `name` as its owner called it."""

    path: Path
    name: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """A file that a run wants kept as an artifact, waiting in its scratch folder."""

    name: str
    path: Path
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Generic[Value]):
    """A handler's value with what to say about it: `degraded` when parts are missing, `served_by` who made it."""

    value: Value
    degraded: bool = False
    served_by: str | None = None


class Log(Protocol):
    """The logger a handler gets: structured, bound with the job's ids."""

    def debug(self, event: str, **details: object) -> object:
        """Say something of interest to developers."""
        ...

    def info(self, event: str, **details: object) -> object:
        """Say something of interest to operators."""
        ...

    def warning(self, event: str, **details: object) -> object:
        """Say something that may need a look."""
        ...

    def error(self, event: str, **details: object) -> object:
        """Say something that does."""
        ...


class Link(Protocol):
    """How a context reaches the worker that runs it, from a loop, a thread or another process."""

    def report(self, progress: Progress) -> None:
        """Pass progress on; the newest wins."""
        ...

    def stopped(self) -> bool:
        """Whether the run shall end."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a handler may know of its run and tell about it. No heartbeat is needed: leases renew themselves.

    `attempt` counts from 1 and is what `max_attempts` bounds; `run` counts every start. `files` are the
    uploads that the payload refers to.
    """

    job_id: str
    type: str
    user_id: str
    request_id: str
    run: int
    attempt: int
    log: Log
    link: Link
    folder: Path
    files: Mapping[str, LocalFile] = field(default_factory=dict)
    saved: list[Saved] = field(default_factory=list)

    def progress(self, fraction: float | None, message: str = "") -> None:
        """Say how far the run is (0..1, None where it can't tell); shown within about a second.

        Raises Abandoned when the run shall end, so long work that reports progress stops by itself.
        """
        bounded = None if fraction is None or isnan(fraction) else min(max(float(fraction), 0.0), 1.0)
        self.link.report(Progress(fraction=bounded, message=storable(message, MESSAGE_LIMIT)))
        self.check()

    @property
    def scratch(self) -> Path:
        """A folder of this run's own, removed after it."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.folder

    @property
    def cancelled(self) -> bool:
        """Whether the run shall end: cancelled, timed out, or its worker stops."""
        return self.link.stopped()

    def check(self) -> None:
        """Raise Abandoned when the run shall end."""
        if self.link.stopped():
            raise Abandoned(f"job {self.job_id} shall not run on")

    def save(self, name: str, data: bytes | str | Path, content_type: str = "application/octet-stream") -> None:
        """Keep `data` (or the file at a path) as the job's artifact `name`, iff the run succeeds.

        It is stored after the handler returns and before the job is settled. `name` may have folders; the same
        one again replaces what was saved.
        Raises InvalidInput for a name that is no relative path.
        """
        folder = self.scratch / ".saved"
        target = folder / check_path(name)
        if len(name) > LONGEST_NAME:
            raise InvalidInput("path", f"{len(name)} characters are over the {LONGEST_NAME} that a saved name may have")
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, Path):
            copyfile(data, target)
        else:
            target.write_bytes(data.encode() if isinstance(data, str) else data)
        others = [saved for saved in self.saved if saved.name != name]
        self.saved[:] = [*others, Saved(name=name, path=target, content_type=content_type)]
