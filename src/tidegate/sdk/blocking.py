"""Carries plans out, blocking."""

import time
from collections.abc import Iterator
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, cast

import httpx2

from tidegate.sdk.connecting import FAULTS, answer, built
from tidegate.sdk.steps import Answer, Broken, Do, Emit, Flow, Open, Plan, Read, Request, Rest, Step

T = TypeVar("T")


class Line:
    """A line to one server; threads may share it."""

    def __init__(self, http: httpx2.Client) -> None:
        self.http = http

    def run(self, plan: Plan[T]) -> T:
        """What the plan comes to."""
        with closing(plan), _Hands(self.http) as hands:
            came: object = None
            while True:
                try:
                    step = plan.send(came)
                except StopIteration as over:
                    return cast(T, over.value)
                came = hands.do(step)

    def each(self, flow: Flow[T]) -> Iterator[T]:
        """The values that the flow gives; forgotten half way, it lets go of what it holds."""
        with closing(flow), _Hands(self.http) as hands:
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
                    came = hands.do(step)


class _Hands:
    """Does the steps of one plan, which has one body open at a time."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http
        self._response: httpx2.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def do(self, step: Step) -> object:
        """What comes of a step."""
        match step:
            case Request():
                return self._send(step)
            case Open():
                return self._open(step)
            case Read():
                return self._read()
            case Rest():
                time.sleep(step.seconds)
                return None
            case Do():
                return step.act()

    def _send(self, step: Request) -> Answer | Broken:
        try:
            response = self._http.send(built(self._http, step))
        except FAULTS as exc:
            return Broken(type(exc).__name__)
        return answer(response, response.content)

    def _open(self, step: Open) -> Answer | Broken:
        self._close()
        try:
            self._response = response = self._http.send(built(self._http, step), stream=True)
            head = answer(response, b"" if response.is_success else response.read())
        except FAULTS as exc:
            self._close()
            return Broken(type(exc).__name__)
        self._pieces = response.iter_bytes() if head.well else iter(())
        return head

    def _read(self) -> bytes | Broken | None:
        try:
            piece = next(self._pieces, None)
        except FAULTS as exc:
            self._close()
            return Broken(type(exc).__name__)
        if piece is None:
            self._close()
        return piece

    def _close(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None
            self._pieces = iter(())
