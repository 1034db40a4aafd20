"""What a handler is given: the context of its run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import isnan
from pathlib import Path
from shutil import copyfile
from typing import Final, Generic, Protocol, Self, TypeVar

from tidegate.core.job import Progress
from tidegate.core.paths import PATH_LIMIT, check_path
from tidegate.core.text import listed, storable
from tidegate.core.verbs import Pace
from tidegate.errors import Abandoned, ConfigError, InvalidInput

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


class Spent(Protocol):
    """What one call to a model took: tokens, and millionths of a US dollar, None where the price is not known."""

    @property
    def input_tokens(self) -> int:
        """Tokens sent."""
        ...

    @property
    def output_tokens(self) -> int:
        """Tokens received."""
        ...

    @property
    def cost(self) -> int | None:
        """Micro-dollars."""
        ...


class UpstreamCall(Protocol):
    """One call to an upstream, between `with` and its end. An exception that leaves the block is what it came to."""

    def __enter__(self) -> Self:
        """Let the call through; raises UpstreamUnavailable where the breaker is open."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Tell what came of it."""
        ...

    async def __aenter__(self) -> Self:
        """The same, in an async handler."""
        ...

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """The same, in an async handler."""
        ...

    def hint(self, retry_after: timedelta | None, pace: Pace | None) -> None:
        """Pass on what an answer's headers told: when to come back, and how fast to go on for the next minute."""
        ...

    def may_retry(self) -> bool:
        """Whether the fleet's budget of retries for this upstream allows one more; if so, it is taken from it."""
        ...

    def spent(self, usage: Spent) -> None:
        """Add to the ledger of this run, and to what counts against the budgets of the upstream and the user."""
        ...


class Guard(Protocol):
    """How a context reaches the health of upstreams."""

    def upstream(self, name: str, parents: tuple[str, ...]) -> UpstreamCall:
        """A call to come."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a handler may know of its run and tell about it. No heartbeat is needed: leases renew themselves.

    `attempt` counts from 1 and is what `max_attempts` bounds; `run` counts every start. `files` are the
    uploads that the payload refers to. `traceparent` is the W3C trace context of the request that asked for the job, ""
    where it had none: send it with the calls that belong to it.
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
    guard: Guard | None = None
    traceparent: str = ""

    def upstream(self, name: str, parents: tuple[str, ...] = ()) -> UpstreamCall:
        """A call to an upstream: `async with ctx.upstream("s3"):`, or `with` in a plain function.

        While its breaker is open, or a budget spent, this raises UpstreamUnavailable: let it through, and the job runs
        again once the upstream may be called, without an attempt used; or catch it, and do without. What the block
        raises is counted for that upstream, and where it is the upstream's fault, no attempt is used either. `parents`
        are those it was declared with, unless they are given. Raises ConfigError in a `cpu=True` handler.
        """
        if self.guard is None:
            raise ConfigError("a cpu=True handler runs in a process of its own: it can't use ctx.upstream")
        return self.guard.upstream(name, listed("parents", parents))

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
