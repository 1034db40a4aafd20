"""Both clients on lines that break, stall and say nonsense: a server that does so on command."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from tests.sdk.house import QUICK
from tests.sdk.test_waiting import AT, JOB, event, stands
from tests.servers.scripted import END, STREAM_HEAD, Act, Exchange, Scripted, answers, chunk, hangs, resets, scripted
from tidegate.core.job import Status
from tidegate.errors import ResultTimeout, ServiceError
from tidegate.sdk import AsyncClient, Client
from tidegate.sdk.exchange import Answer
from tidegate.sdk.lines import finished

T = TypeVar("T")

PROBLEM = "application/problem+json"
AWAY = answers(503, {"type": "/problems/store-unavailable", "detail": "d"}, content_type=PROBLEM)
NO_BULK = answers(405, {"type": "/problems/method-not-allowed", "detail": "d"}, content_type=PROBLEM)
HALF = resets("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{")
MADE = answers(201, {"job_id": JOB, "status": "queued", "status_url": ""})
PAGE = answers(502, "<html>secret</html>", content_type="text/html")


def _as(answer: Answer) -> Act:
    return answers(answer.status, answer.body.decode())


QUEUED, DONE = _as(stands("queued")), _as(stands("succeeded"))


def _stream(*pieces: bytes, end: bool = True) -> Act:
    """A stream of events that ends well, or breaks off in the middle of one."""

    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, *(chunk(piece.decode()) for piece in pieces), END if end else "ff\r\nid: 9")
        if not end:
            exchange.writer.close()

    return act


class Both:
    """The same call with either client; `server` is the script that the newest was played by."""

    def __init__(self) -> None:
        self.server: Scripted

    @asynccontextmanager
    async def _scripted(self, acts: tuple[Act, ...]) -> AsyncIterator[str]:
        async with scripted(*acts) as self.server:
            yield self.server.url

    async def blocking(self, call: Callable[[Client], T], *acts: Act) -> T:
        """What the blocking client's call comes to."""
        async with self._scripted(acts) as url:
            return await asyncio.to_thread(self._call, call, url)

    def _call(self, call: Callable[[Client], T], url: str) -> T:
        with Client(url, user_id="ada", api_key="tg_secret", timeout=0.15, patience=QUICK) as client:
            return call(client)

    @asynccontextmanager
    async def asking(self, *acts: Act) -> AsyncIterator[AsyncClient]:
        """An async client."""
        async with (
            self._scripted(acts) as url,
            AsyncClient(url, user_id="ada", api_key="tg_secret", timeout=0.15, patience=QUICK) as client,
        ):
            yield client


@pytest.fixture
def both() -> Both:
    return Both()


async def test_a_submit_that_breaks_is_sent_again_word_by_word_with_the_key_and_the_user(both: Both) -> None:
    acts = (AWAY, HALF, MADE)
    assert (await both.blocking(lambda client: client.submit("echo", {"a": 1}), *acts)).id == JOB
    sent = both.server.requests
    assert [request.path for request in sent] == ["/v1/jobs"] * 3
    assert sent[0].body == sent[1].body == sent[2].body
    assert {request.headers["authorization"] for request in sent} == {"Bearer tg_secret"}
    assert {request.headers["x-user-id"] for request in sent} == {"ada"}
    async with both.asking(*acts) as client:
        assert (await client.submit("echo", {"a": 1})).created
    assert len({request.json()["idempotency_key"] for request in both.server.requests}) == 1


async def test_half_an_answer_is_none(both: Both) -> None:
    acts = (HALF, HALF, DONE)
    assert (await both.blocking(lambda client: client.handle(JOB).status(), *acts)).status is Status.SUCCEEDED
    async with both.asking(*acts) as client:
        assert (await client.handle(JOB).status()).status is Status.SUCCEEDED
        assert len(both.server.requests) == 3


@pytest.mark.parametrize("act", [PAGE, HALF, hangs(), resets()], ids=["page", "half", "hangs", "resets"])
async def test_trouble_that_lasts_is_a_service_error_that_tells_no_secret(both: Both, act: Act) -> None:
    with pytest.raises(ServiceError) as failed:
        await both.blocking(lambda client: client.handle(JOB).status(), act)
    async with both.asking(act) as client:
        with pytest.raises(ServiceError) as also:
            await client.handle(JOB).status()
    for error in (failed.value, also.value):
        assert error.status == (502 if act is PAGE else None)
        assert "secret" not in f"{error!r}{error.__cause__!r}{error.__context__!r}"
    assert len(both.server.requests) == 3


async def test_a_server_that_is_not_there_is_said_by_its_address(both: Both) -> None:
    async with scripted(MADE) as server:
        url = server.url.replace("http://", "http://ada:secret@")
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:\d+/v1 can't be reached.*ConnectError") as failed:
        await asyncio.to_thread(lambda: both._call(lambda client: client.queues.list(), url))
    assert "secret" not in str(failed.value)


async def test_a_redirection_is_not_followed_with_a_key(both: Both) -> None:
    away = answers(307, "", location="http://127.0.0.1:9/")
    with pytest.raises(ServiceError) as failed:
        await both.blocking(lambda client: client.handle(JOB).status(), away)
    assert failed.value.status == 307


async def test_a_file_that_breaks_off_comes_whole_or_not_at_all(both: Both, tmp_path: Path) -> None:
    whole = answers(200, "all of it")
    await both.blocking(lambda client: client.handle(JOB).download("a.txt", tmp_path), HALF, whole)
    assert (tmp_path / "a.txt").read_text() == "all of it"
    async with both.asking(HALF, AWAY, whole) as client:
        assert (await client.handle(JOB).download("a.txt", tmp_path / "b.txt")).read_text() == "all of it"
    async with both.asking(HALF) as client:
        with pytest.raises(ServiceError):
            await client.handle(JOB).download("a.txt", tmp_path / "c.txt")
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt"]


async def test_a_server_without_batches_is_sent_one_job_after_the_other(both: Both) -> None:
    acts = (NO_BULK, MADE, AWAY, MADE)
    jobs = await both.blocking(lambda client: client.submit_many("echo", [{}, {}], keys=["a", "b"]), *acts)
    assert [job.id for job in jobs] == [JOB, JOB]
    assert [request.json().get("idempotency_key") for request in both.server.requests] == [None, "a", "b", "b"]


async def test_events_of_a_broken_stream_go_on_where_they_were(both: Both) -> None:
    acts = (_stream(event(1, "submitted"), end=False), _stream(event(2, "succeeded")), DONE)
    seqs = await both.blocking(lambda client: [one.seq for one in client.handle(JOB).events()], *acts)
    async with both.asking(*acts) as client:
        assert [one.seq async for one in client.handle(JOB).events()] == seqs == [1, 2]
    assert both.server.requests[1].headers["last-event-id"] == "1"


async def test_a_result_is_waited_for_on_a_stream_and_without_one(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidegate.sdk.waiting.POLLS", (0.01,))
    told = _stream(event(1, "submitted"), event(2, "succeeded"))
    broken = _stream(event(1, "submitted"), end=False)
    for acts in ((QUEUED, told, DONE), (QUEUED, broken, QUEUED, DONE), (QUEUED, NO_BULK, QUEUED, AWAY, DONE)):
        assert await both.blocking(lambda client: client.handle(JOB).result(), *acts) is None
        async with both.asking(*acts) as client:
            assert await client.handle(JOB).result() is None


async def test_a_silent_stream_doesn_t_outlast_the_wait(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("waiting", "listening"):
        monkeypatch.setattr(f"tidegate.sdk.{module}.SHORTEST", 0.05)
    acts = (QUEUED, hangs(STREAM_HEAD, chunk(": hello\n\n")), QUEUED)
    async with asyncio.timeout(5):
        with pytest.raises(ResultTimeout):
            await both.blocking(lambda client: client.handle(JOB).result(timeout=0.1), *acts)
        async with both.asking(*acts) as client:
            with pytest.raises(ResultTimeout):
                await client.handle(JOB).result(timeout=0.1)


async def test_whoever_stops_listening_leaves_no_connection_open(both: Both) -> None:
    left = asyncio.Event()

    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, chunk(event(1, "submitted").decode()))
        await exchange.gone()
        left.set()

    async with both.asking(act) as client:
        events = client.handle(JOB).events()
        assert (await anext(events)).seq == 1
        await events.aclose()
        async with asyncio.timeout(5):
            await left.wait()


async def test_a_stream_that_is_left_for_another_is_closed(both: Both) -> None:
    def acts(left: asyncio.Event) -> tuple[Act, ...]:
        async def first(exchange: Exchange) -> None:
            await exchange.send(STREAM_HEAD, chunk(event(1, "failed").decode()))
            await exchange.gone()
            left.set()

        async def second(exchange: Exchange) -> None:
            async with asyncio.timeout(5):
                await left.wait()
            await _stream(event(2, "revived"), event(3, "succeeded"))(exchange)

        return first, QUEUED, second, DONE

    blocking, awaited = asyncio.Event(), asyncio.Event()
    await both.blocking(lambda client: client.handle(JOB).result(), QUEUED, *acts(blocking))
    async with both.asking(QUEUED, *acts(awaited)) as client:
        await client.handle(JOB).result()
    assert blocking.is_set()
    assert awaited.is_set()


async def test_a_batch_that_breaks_is_sent_again_under_the_same_keys(both: Both) -> None:
    accepted = answers(201, {"items": [{"index": 0, "job_id": JOB, "created": True}]})
    [job] = await both.blocking(lambda client: client.submit_many("echo", [{}]), AWAY, HALF, accepted)
    first, second, third = both.server.requests
    assert job.created
    assert first.body == second.body == third.body


async def test_whoever_stops_listening_by_a_blocking_client_leaves_no_connection_open(both: Both) -> None:
    left = asyncio.Event()

    async def act(exchange: Exchange) -> None:
        await exchange.send(STREAM_HEAD, chunk(event(1, "submitted").decode()))
        await exchange.gone()
        left.set()

    def first(client: Client) -> int | None:
        for one in client.handle(JOB).events():
            return one.seq
        return None

    assert await both.blocking(first, act) == 1
    async with asyncio.timeout(5):
        await left.wait()


async def test_a_blocking_client_may_be_used_on_a_thread_that_has_a_loop() -> None:
    pages = iter(["7", None])

    def answer(request: httpx2.Request) -> httpx2.Response:
        step = {"seq": 1, "at": AT, "event": "submitted", "run": 0, "note": ""}
        items = [step] if "history" in request.url.path else []
        return httpx2.Response(200, json={"items": items, "next": next(pages, None)})

    with Client.over(httpx2.Client(transport=httpx2.MockTransport(answer), base_url="http://h")) as client:
        assert [step.seq for step in client.handle(JOB).history()] == [1, 1]
        with pytest.raises(StopIteration):
            next(client.find())


def test_a_call_that_would_wait_for_a_loop_is_a_fault_and_not_a_hang() -> None:
    async def waits() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="waited for an event loop"):
        finished(waits())
