"""What goes to a server and what comes back, as values, and the line that carries them. No I/O happens here."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Send this; what comes of it is an `Answer` or `Broken`.

    `repeatable` where doing it twice comes to the same. `silence` is how many seconds may pass without a byte, None for
    as many as ever. `job_id` and `key` are what a refusal is about, if anything.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeatable: bool = False
    silence: float | None = None
    job_id: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said; the names of `headers` are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def well(self) -> bool:
        """Whether it is no refusal, and no redirection: those are not followed."""
        return 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Broken:
    """No answer, or not the whole of one. `why` is the name of a class: no address, no header, no byte of a body."""

    why: str


class Body(Protocol):
    """An answer that comes piece by piece. A `head` that is a refusal has its body with it."""

    @property
    def head(self) -> Answer | Broken:
        """What came first."""
        ...

    async def read(self) -> bytes | Broken | None:
        """The next bytes, None at their end, or `Broken`, also where it was silent for too long."""
        ...


class Line(Protocol):
    """All that a call needs of the world. Whether it waits or blocks meanwhile is the line's own affair."""

    async def send(self, request: Request) -> Answer | Broken:
        """The whole answer."""
        ...

    def open(self, request: Request) -> AbstractAsyncContextManager[Body]:
        """The answer as it comes."""
        ...

    async def rest(self, seconds: float) -> None:
        """Let so many seconds pass."""
        ...

    async def do(self, act: Callable[[], T]) -> T:
        """What this returns, which may block."""
        ...
