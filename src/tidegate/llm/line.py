"""The line to a provider: a request out, an answer or its events back, over httpx2."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Final

import httpx2

from tidegate.clock import Clock
from tidegate.core.fault import Fault
from tidegate.llm import wire
from tidegate.llm.classify import Verdict, classify, classify_inside
from tidegate.llm.trying import Course, Running, Watch
from tidegate.llm.values import Provider

TOO_LONG: Final = "too long"
_ERROR_BYTES: Final = 64 * 1024
_EVENTS: Final = "text/event-stream"
_DONE: Final = "[DONE]"
_PARTING_SECONDS: Final = 0.1

# At debug, the transport logs headers of answers, and errors that quote their bytes.
logging.getLogger("httpcore2").setLevel(logging.INFO)


class Line:
    """Sends requests to a provider. What goes wrong is an LLMError, or an exception that a `Watch` makes one of."""

    def __init__(self, provider: Provider, http: httpx2.AsyncClient, watch: Watch, clock: Clock) -> None:
        self._provider = provider
        self._http = http
        self._watch = watch
        self._clock = clock

    async def whole(self, body: Mapping[str, object], one: Running, course: Course) -> wire.Answer:
        """An answer in one piece."""
        async with course.whole(), self._opened(body, one, course) as response:
            return self._checked(await self._read(response), one)

    async def events(
        self, body: Mapping[str, object], one: Running, course: Course
    ) -> AsyncGenerator[wire.Answer, None]:
        """An answer as it comes, each piece in time. That it ends does not say that it is whole."""
        course.begin()
        async with AsyncExitStack() as stack:
            async with course.piece(one):
                response = await stack.enter_async_context(self._opened(body, one, course))
            if response.headers.get("content-type", "").partition(";")[0].strip().lower() != _EVENTS:
                async with course.piece(one):
                    answer = await self._read(response)
                yield self._checked(answer, one)
                return
            response.encoding = "utf-8"  # as events always are: some codecs take quadratic time, some inflate
            events = aiter(httpx2.EventSource(response))
            while True:
                async with course.piece(one):
                    event = await anext(events, None)
                if event is None or event.data == _DONE:
                    await _parted(events)
                    return
                yield self._checked(wire.read(event.data), one)

    @asynccontextmanager
    async def _opened(self, body: Mapping[str, object], one: Running, course: Course) -> AsyncIterator[httpx2.Response]:
        """The response once its status is known to be good; leaving closes it, and its connection if it was not read.

        Only connecting has a time limit here: everything else ends with the blocks around it. Nothing is inflated:
        an answer that comes packed, though identity was asked for, is read as it is, and is none.
        """
        connect = course.policy.deadlines.connect.total_seconds()
        timeout = httpx2.Timeout(None, connect=connect)
        url, headers, content = self._provider.url, self._headers(), wire.encoded(body)
        request = self._http.build_request("POST", url, content=content, headers=headers, timeout=timeout)
        request.headers["Accept-Encoding"] = "identity"
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            one.headers = {name.lower(): value for name, value in response.headers.items()}
            response.headers.pop("content-encoding", None)
            if response.status_code != httpx2.codes.OK:
                data = bytes(await _limited(response, _ERROR_BYTES))
                raise self._watch.error(classify(response.status_code, one.headers, data, now=self._clock.now()))
            one.status = response.status_code
            yield response
        finally:
            await response.aclose()

    def _headers(self) -> dict[str, str]:
        key = self._provider.api_key
        own = {} if key is None else {"Authorization": f"Bearer {key.get_secret_value()}"}
        return {"Content-Type": "application/json", **own, **self._provider.headers}

    async def _read(self, response: httpx2.Response) -> wire.Answer | None:
        data = await _limited(response, wire.LONGEST_ANSWER)
        if len(data) > wire.LONGEST_ANSWER:
            raise self._watch.error(Verdict(fault=Fault.INVALID_OUTPUT), TOO_LONG)
        return wire.read(data)

    def _checked(self, answer: wire.Answer | None, one: Running) -> wire.Answer:
        """The answer, if it is one and holds no error; its usage is kept in any case."""
        if answer is None:
            fault = Fault.SERVER_ERROR if one.first_token is None else Fault.TRUNCATED
            raise self._watch.error(Verdict(fault=fault), "not a chat completion")
        prices = self._provider.prices
        used = wire.usage_of(answer.usage, prices.get(answer.model or "") or prices.get(self._provider.model))
        one.usage = used or one.usage
        if answer.fault is not None:
            raise self._watch.error(classify_inside(answer.fault, one.headers, now=self._clock.now()))
        return answer


async def _parted(events: AsyncIterator[httpx2.ServerSentEvent]) -> None:
    """Take the end of the body that follows the last event at once: a connection read to its end serves again."""
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_PARTING_SECONDS):
            await anext(events, None)


async def _limited(response: httpx2.Response, most: int) -> bytearray:
    """The body; of one beyond `most` the beginning, which is longer than that."""
    data = bytearray()
    async for piece in response.aiter_bytes():
        data += piece
        if len(data) > most:
            break
    return data
