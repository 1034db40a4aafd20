"""What calls are made of: steps, and what comes of them. No I/O happens here.

A `Plan` is a generator that yields steps, is sent what came of each, and returns its value. A `Flow` gives values on
its way. Whoever carries them out may block, await, or be a test.
"""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Send this; what comes of it is an `Answer` or `Broken`.

    `repeatable` where doing it twice comes to the same. `job_id` and `key` are what a refusal is about, if anything.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    repeatable: bool = False
    job_id: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Send this and keep the body for `Read`; comes to an `Answer` or `Broken`. A refusal has its body with it.

    `silence` is how many seconds may pass without a byte.
    """

    request: Request
    silence: float


@dataclass(frozen=True, slots=True)
class Read:
    """The next bytes of what is open: `bytes`, None at its end, or `Broken`, also where it was silent for too long."""


@dataclass(frozen=True, slots=True)
class Rest:
    """Wait so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Do:
    """Call this, which may block; comes to what it returns."""

    act: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Emit(Generic[T_co]):
    """A value for whoever iterates."""

    value: T_co


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


Step: TypeAlias = Request | Open | Read | Rest | Do
Plan: TypeAlias = Generator[Step, object, T]
Flow: TypeAlias = Generator[Step | Emit[T], object, None]


def send(step: Request | Open) -> Plan[Answer | Broken]:
    """One step, and the type of what comes of it."""
    came = yield step
    assert isinstance(came, Answer | Broken)
    return came


def read() -> Plan[bytes | Broken | None]:
    """One step, and the type of what comes of it."""
    came = yield Read()
    assert came is None or isinstance(came, bytes | Broken)
    return came


def do(act: Callable[[], T]) -> Plan[T]:
    """One step, and the type of what comes of it."""
    made: list[T] = []
    yield Do(lambda: made.append(act()))
    return made[0]
