"""What the tests of models share: quick policies, answers as servers give them, and a guard that takes notes."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, SecretStr

from tidegate.core.failure import failure_of
from tidegate.core.fault import Fault, fault_of
from tidegate.core.retry import Exponential
from tidegate.core.verbs import Pace
from tidegate.errors import UpstreamUnavailable
from tidegate.llm import Call, Deadlines, Policy, Prices, Provider, Usage, user

KEY = "sk-canary-key-7f3a"
PROMPT = "canary prompt: what is my diagnosis?"
ANSWER = "canary answer: you are well"
MODEL = "some/model"

ASK = [user(PROMPT)]


class Verdict(BaseModel):
    """A form to answer in."""

    grade: int
    reason: str


def quick(tries: int = 2, **deadlines: float) -> Policy:
    """A policy that waits 60 ms between tries; deadlines in seconds."""
    return Policy(
        tries=tries,
        backoff=Exponential(initial=timedelta(milliseconds=60), cap=timedelta(seconds=1)),
        patience=timedelta(seconds=2),
        deadlines=Deadlines(
            **{name: timedelta(seconds=limit) for name, limit in ({"overall": 20.0} | deadlines).items()}
        ),
    )


def provider(url: str) -> Provider:
    """A provider at `url`, with a price."""
    prices = {MODEL: Prices(input=Decimal("2"), output=Decimal("8"))}
    return Provider(name="test", model=MODEL, base_url=url, api_key=SecretStr(KEY), prices=prices)


USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def completion(text: str | None = ANSWER, finish: str | None = "stop", **fields: object) -> dict[str, object]:
    """An answer in one piece."""
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"id": "1", "model": MODEL, "choices": choices, "usage": USAGE, **fields}


def piece(text: str = "", finish: str | None = None, **delta: object) -> dict[str, object]:
    """A piece of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text, **delta}, "finish_reason": finish}
    return {"id": "1", "model": MODEL, "choices": [choice]}


PIECES = (piece(), piece("canary answer: "), piece("you are well"), piece(finish="stop"))
TOTAL = {"id": "1", "model": MODEL, "choices": [], "usage": USAGE}


@dataclass
class Noted:
    """A call as its guard sees it."""

    upstream: str
    guard: "Notes"
    waits: list[timedelta] = field(default_factory=list)
    paces: list[Pace] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    fault: Fault | None = None
    ended: bool = False

    def hint(self, retry_after: timedelta | None, pace: Pace | None) -> None:
        self.waits += [retry_after] if retry_after else []
        self.paces += [pace] if pace else []

    def may_retry(self) -> bool:
        return self.guard.budget

    def spent(self, usage: Usage) -> None:
        self.usages.append(usage)


@dataclass
class Notes:
    """A guard that lets everything through but what is `shut`, and takes notes."""

    shut: set[str] = field(default_factory=set)
    budget: bool = True
    calls: list[Noted] = field(default_factory=list)

    @asynccontextmanager
    async def upstream(self, name: str, parents: tuple[str, ...] = ()) -> AsyncIterator[Call]:
        if name in self.shut:
            raise UpstreamUnavailable(name)
        call = Noted(name, self)
        self.calls.append(call)
        try:
            yield call
        except Exception as error:
            call.fault = fault_of(failure_of(error))
            raise
        finally:
            call.ended = True

    @property
    def faults(self) -> list[Fault | None]:
        """Of each call, in order."""
        return [call.fault for call in self.calls]


def dump(values: Iterable[object]) -> str:
    """All that a log could show of these."""
    return "\n".join(f"{value!r} {value}" for value in values)
