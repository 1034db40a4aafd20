"""Plays what comes of a plan's steps, on a clock that a test moves."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeVar, cast

from tidegate.clock import FakeClock
from tidegate.core.retry import Exponential
from tidegate.sdk import Patience
from tidegate.sdk.asking import Means
from tidegate.sdk.steps import Answer, Broken, Do, Emit, Flow, Open, Plan, Read, Request, Rest, Step

T = TypeVar("T")

PROBLEM = {"content-type": "application/problem+json"}


def said(status: int, body: object, **headers: str) -> Answer:
    """An answer in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status=status, headers={"content-type": "application/json", **named}, body=json.dumps(body).encode())


def refused(status: int, slug: str, **members: object) -> Answer:
    """A problem."""
    body = {"type": f"/problems/{slug}", "title": "t", "status": status, "detail": "d", **members}
    return Answer(status=status, headers=PROBLEM, body=json.dumps(body).encode())


@dataclass(frozen=True, slots=True)
class Later:
    """What comes, and how many seconds it takes."""

    seconds: float
    came: Answer | Broken | bytes | None


Came = Answer | Broken | bytes | Later | None


@dataclass
class Play:
    """What a server and the line to it do, step by step; what was asked and how long was rested is kept."""

    came: Iterable[Came]
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list[Request] = field(default_factory=list)
    rested: list[float] = field(default_factory=list)
    _came: Iterator[Came] = field(init=False)

    def __post_init__(self) -> None:
        self._came = iter(self.came)

    def means(self, patience: Patience | None = None, dice: float = 0.5) -> Means:
        """Means on this clock; a wait of 1 s that doubles, unless said otherwise."""
        plain = Patience(backoff=Exponential(initial=timedelta(seconds=1), cap=timedelta(seconds=60), jitter=0.5))
        return Means(where="http://here", patience=patience or plain, clock=self.clock, dice=lambda: dice)

    def run(self, plan: Plan[T]) -> T:
        """What the plan comes to."""
        came: object = None
        while True:
            try:
                came = self._do(plan.send(came))
            except StopIteration as over:
                return cast(T, over.value)

    def each(self, flow: Flow[T]) -> Iterator[T]:
        """What the flow gives."""
        came: object = None
        while True:
            try:
                step = flow.send(came)
            except StopIteration:
                return
            if isinstance(step, Emit):
                yield step.value
                came = None
            else:
                came = self._do(step)

    def next(self, step: Step) -> Came:
        """What comes of a step; here, what the script says."""
        return next(self._came)

    def _do(self, step: Step) -> object:
        match step:
            case Rest():
                self.rested.append(step.seconds)
                self.clock.advance(timedelta(seconds=step.seconds))
                return None
            case Do():
                return step.act()
            case Request() | Open():
                self.asked.append(step if isinstance(step, Request) else step.request)
            case Read():
                pass
        came = self.next(step)
        if isinstance(came, Later):
            self.clock.advance(timedelta(seconds=came.seconds))
            return came.came
        return came
