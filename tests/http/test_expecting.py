"""`Expect: 100-continue`: whoever asks before he sends a body is told to, or why not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from tests.http.raw import Wire, asked, statuses, wired
from tidegate.config import Settings

BODY = b'{"type":"echo"}'
GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"


def _head(path: str, length: int) -> bytes:
    host = b"Host: localhost\r\nX-User-ID: ada\r\nConnection: close\r\n"
    return b"POST %b HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: %d\r\n\r\n" % (path.encode(), host, length)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """An impatient server."""
    return settings.model_copy(update={"http_receive_timeout": timedelta(seconds=0.7)})


@pytest.fixture
async def wire(server: httpx2.AsyncClient) -> AsyncIterator[Wire]:
    """A connection to it."""
    async with wired(server) as made:
        yield made


@pytest.mark.parametrize("path", ["/jobs", "/uploads"])
async def test_a_body_is_sent_once_the_server_says_so(wire: Wire, path: str) -> None:
    await wire.send(_head(path, len(BODY)))
    assert await wire.reader.readexactly(len(GO_ON)) == GO_ON
    assert statuses(await wire.ask(BODY)) == [201]


async def test_a_large_file_is_sent_once_the_server_says_so(wire: Wire) -> None:
    file = bytes(5 * 1024 * 1024)
    await wire.send(_head("/uploads", len(file)))
    assert await wire.reader.readexactly(len(GO_ON)) == GO_ON
    assert statuses(await wire.ask(file)) == [201]


@pytest.mark.parametrize("path", ["/jobs", "/uploads"])
async def test_who_sends_no_body_all_the_same_is_not_waited_for(wire: Wire, path: str) -> None:
    assert statuses(await wire.ask(_head(path, len(BODY)))) == [100, 408]


async def test_who_would_send_too_much_is_refused_and_not_told_to_send(server: httpx2.AsyncClient) -> None:
    async with wired(server) as wire:
        await wire.send(_head("/uploads", 10**9))
        assert (await wire.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 413 ")


async def test_a_body_that_comes_unasked_is_taken(server: httpx2.AsyncClient) -> None:
    assert statuses(await asked(server, _head("/jobs", len(BODY)) + BODY))[-1] == 201
