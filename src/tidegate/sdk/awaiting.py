"""Carries plans out on an asyncio event loop."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing
from types import TracebackType
from typing import Self, TypeVar, cast

import httpx2

from tidegate.sdk.connecting import FAULTS, answer, built
from tidegate.sdk.steps import Answer, Broken, Do, Emit, Flow, Open, Plan, Read, Request, Rest, Step

T = TypeVar("T")


class Line:
    """A line to one server; tasks may share it."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http

    async def run(self, plan: Plan[T]) -> T:
        """What the plan comes to."""
        async with _Hands(self.http) as hands:
            with closing(plan):
                came: object = None
                while True:
                    try:
                        step = plan.send(came)
                    except StopIteration as over:
                        return cast(T, over.value)
                    came = await hands.do(step)

    async def each(self, flow: Flow[T]) -> AsyncGenerator[T, None]:
        """The values that the flow gives; closed half way, it lets go of what it holds."""
        async with _Hands(self.http) as hands:
            with closing(flow):
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
                        came = await hands.do(step)


class _Hands:
    """Does the steps of one plan, which has one body open at a time."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._response: httpx2.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def do(self, step: Step) -> object:
        """What comes of a step."""
        match step:
            case Request():
                return await self._send(step)
            case Open():
                return await self._open(step)
            case Read():
                return await self._read()
            case Rest():
                await asyncio.sleep(step.seconds)
                return None
            case Do():
                return await asyncio.to_thread(step.act)

    async def _send(self, step: Request) -> Answer | Broken:
        try:
            response = await self._http.send(built(self._http, step))
        except FAULTS as exc:
            return Broken(type(exc).__name__)
        return answer(response, response.content)

    async def _open(self, step: Open) -> Answer | Broken:
        await self._close()
        try:
            self._response = response = await self._http.send(built(self._http, step), stream=True)
            head = answer(response, b"" if response.is_success else await response.aread())
        except FAULTS as exc:
            await self._close()
            return Broken(type(exc).__name__)
        self._pieces = response.aiter_bytes() if head.well else None
        return head

    async def _read(self) -> bytes | Broken | None:
        if self._pieces is None:
            return None
        try:
            piece = await anext(self._pieces, None)
        except FAULTS as exc:
            await self._close()
            return Broken(type(exc).__name__)
        if piece is None:
            await self._close()
        return piece

    async def _close(self) -> None:
        if self._response is not None:
            await self._response.aclose()
            self._response = None
            self._pieces = None
