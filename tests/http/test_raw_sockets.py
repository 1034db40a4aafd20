"""What a hostile peer may do on a socket: it is refused, or cut off in time, and costs others nothing."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.calls import post
from tests.http.raw import HELLO, LONGEST, asked, statuses, wired
from tests.worker.house import eventually
from tidegate.config import Settings
from tidegate.http import protocol
from tidegate.http.protocol import HEAD_LIMIT, MOST_HEADERS, MOST_WAITING

PATIENCE = 0.7
ROOM = 50_000_000
"""Bytes that the whole of this process, its clients too, may grow by."""

SUBMIT = b"POST /jobs HTTP/1.1\r\nHost: localhost\r\nX-User-ID: ada\r\nContent-Type: application/json\r\n"
UPLOAD = b"POST /uploads HTTP/1.1\r\nHost: localhost\r\nX-User-ID: ada\r\n"
BODY = b'{"type":"echo"}'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """An impatient server."""
    return settings.model_copy(update={"http_receive_timeout": timedelta(seconds=PATIENCE)})


@pytest.fixture
async def healthy(server: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """The server, which answers others before and after, and has not grown."""
    assert (await server.get("/health")).status_code == 200
    before = _memory()
    yield server
    assert (await server.get("/health")).status_code == 200
    assert _memory() - before < ROOM


def _memory() -> int:
    pages = Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


# too slow --------------------------------------------------------------------------------------------------


async def test_headers_that_come_byte_by_byte_are_cut_off(healthy: httpx2.AsyncClient) -> None:
    async with wired(healthy) as wire:
        said = await wire.drip(HELLO + b"X: " + b"y" * 1_000, 0.05)
    assert statuses(said) == [408]
    assert b"/problems/too-slow" in said


async def test_empty_lines_without_end_are_cut_off(healthy: httpx2.AsyncClient) -> None:
    async with wired(healthy) as wire:
        assert statuses(await wire.drip(b"\r\n" * 500, 0.05)) == [408]


async def test_a_connection_that_says_nothing_is_closed(healthy: httpx2.AsyncClient) -> None:
    assert await asked(healthy, b"") == b""


@pytest.mark.parametrize("framing", [b"Content-Length: 100\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n64\r\n"])
async def test_json_that_comes_byte_by_byte_is_cut_off(healthy: httpx2.AsyncClient, framing: bytes) -> None:
    async with wired(healthy) as wire:
        await wire.send(SUBMIT + framing)
        said = await wire.drip(b" " * 100, 0.05)
    assert statuses(said) == [408]
    assert b"/problems/too-slow" in said


async def test_a_body_read_by_the_framework_is_cut_off_too(healthy: httpx2.AsyncClient) -> None:
    head = SUBMIT.replace(b"/jobs", b"/queues/default/pause") + b"Content-Length: 100\r\n\r\n"
    assert 408 in statuses(await asked(healthy, head + b"{"))


async def test_an_upload_that_makes_no_headway_is_cut_off(healthy: httpx2.AsyncClient) -> None:
    async with wired(healthy) as wire:
        await wire.send(UPLOAD + b"Content-Length: 1000000\r\n\r\n")
        assert statuses(await wire.drip(b"x" * 1_000, 0.05)) == [408]


async def test_an_upload_that_makes_headway_may_take_longer(healthy: httpx2.AsyncClient) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"x" * 150_000
            await asyncio.sleep(PATIENCE / 4)

    assert (await healthy.post("/uploads", content=body())).status_code == 201


async def test_a_connection_at_rest_is_kept_for_a_while(healthy: httpx2.AsyncClient) -> None:
    async with wired(healthy) as wire:
        for _ in range(2):
            await wire.send(HELLO + b"\r\n")
            assert (await wire.reader.readuntil(b'"ok"}')).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(PATIENCE * 1.2)
        await wire.send(b"GET /he")
        assert statuses(await wire.rest()) == [408]


async def test_who_does_not_read_is_cut_off(healthy: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED", 0.1)
    monkeypatch.setattr(protocol, "MOST_WAITING", 200)
    url = httpx2.URL(healthy.base_url)
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        alone = _open_files()
        peer.connect((url.host, url.port))
        peer.sendall((HELLO.replace(b"/health", b"/openapi.json") + b"\r\n") * 200)
        await eventually(lambda: _open_files() > alone, LONGEST)
        await eventually(lambda: _open_files() == alone, LONGEST)


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


# too much --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HELLO + b"".join(b"X-%d: y\r\n" % number for number in range(10_000)) + b"\r\n",
        HELLO + b"X: " + b"y" * 1_000_000,
        HELLO + b"x" * 1_000_000,
        HELLO + b"X: " + b"y" * HEAD_LIMIT + b"\r\n\r\n",
        HELLO + b"".join(b"X: y\r\n" for _ in range(MOST_HEADERS)) + b"\r\n",
    ],
    ids=["address", "headers", "value", "name", "a little too long", "one too many"],
)
async def test_a_head_that_is_too_large_is_refused(healthy: httpx2.AsyncClient, head: bytes) -> None:
    said = await asked(healthy, head)
    assert statuses(said) == [431]
    assert b"/problems/headers-too-large" in said


async def test_as_many_headers_as_are_allowed_are_read(healthy: httpx2.AsyncClient) -> None:
    fits = HELLO + b"Connection: close\r\n" + b"X: y\r\n" * (MOST_HEADERS - 2) + b"\r\n"
    assert statuses(await asked(healthy, fits)) == [200]


@pytest.mark.parametrize(
    "around",
    [b"1;" + b"x" * 500_000 + b"\r\n", b"0\r\nX: " + b"y" * 500_000, b"0\r\n" + b"X: y\r\n" * 80_000],
    ids=["extension", "trailer", "trailers"],
)
async def test_what_is_around_a_body_may_not_outgrow_it(healthy: httpx2.AsyncClient, around: bytes) -> None:
    said = await asked(healthy, SUBMIT + b"Transfer-Encoding: chunked\r\n\r\n" + around)
    assert statuses(said) == [400]


async def test_small_chunks_and_short_extensions_are_read(healthy: httpx2.AsyncClient) -> None:
    chunks = b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in BODY)
    head = SUBMIT + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(await asked(healthy, head + chunks + b"0\r\n\r\n")) == [201]


async def test_a_trailer_is_no_header(healthy: httpx2.AsyncClient) -> None:
    anonymous = SUBMIT.replace(b"X-User-ID: ada\r\n", b"Connection: close\r\n")
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\nX-User-ID: ada\r\n\r\n" % (len(BODY), BODY)
    said = await asked(healthy, anonymous + chunked)
    assert statuses(said) == [400]
    assert b"/problems/user-missing" in said


async def test_200_requests_at_once_are_answered_as_far_as_they_are_read(healthy: httpx2.AsyncClient) -> None:
    said = await asked(healthy, (HELLO + b"\r\n") * 200)
    assert statuses(said) == [200] * (MOST_WAITING + 1)
    assert b"connection: close" in said


async def test_requests_sent_ahead_are_answered_in_their_order(healthy: httpx2.AsyncClient) -> None:
    last = b"GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert statuses(await asked(healthy, (HELLO + b"\r\n") * 20 + last)) == [200] * 20 + [404]


# garbled ---------------------------------------------------------------------------------------------------

LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
GARBLED = {
    "length and chunks": SUBMIT + LENGTH + CHUNKED + b"\r\n" + CHUNKS,
    "chunks and length": SUBMIT + CHUNKED + LENGTH + b"\r\n" + CHUNKS,
    "two lengths": SUBMIT + LENGTH + LENGTH + b"\r\n" + BODY,
    "two different lengths": SUBMIT + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
    "a length below zero": SUBMIT + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length with a sign": SUBMIT + b"Content-Length: +15\r\n\r\n" + BODY,
    "a length in hex": SUBMIT + b"Content-Length: 0xf\r\n\r\n" + BODY,
    "a length beyond all": SUBMIT + b"Content-Length: 99999999999999999999999\r\n\r\n" + BODY,
    "unknown coding": SUBMIT + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "another coding before chunks": SUBMIT + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "another coding in a header of its own": SUBMIT + b"Transfer-Encoding: gzip\r\n" + CHUNKED + b"\r\n" + CHUNKS,
    "chunks of chunks": SUBMIT + CHUNKED + CHUNKED + b"\r\n" + CHUNKS,
    "chunked not last": SUBMIT + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
    "a folded header": HELLO + b"X: a\r\n b\r\n\r\n",
    "a space before the colon": HELLO + b"X : a\r\n\r\n",
    "a NUL": HELLO + b"X: a\x00b\r\n\r\n",
    "a bare CR": HELLO + b"X: a\rY: b\r\n\r\n",
    "no colon": HELLO + b"X\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": HELLO + b"Host: there\r\n\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/3.7": b"GET /health HTTP/3.7\r\nHost: localhost\r\n\r\n",
    "no method": b"gEt /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a tunnel": b"CONNECT here:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "noise": bytes(range(128, 256)) * 4,
    "an upgrade with a body": SUBMIT + LENGTH + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n" + BODY,
}


@pytest.mark.parametrize("sent", GARBLED.values(), ids=list(GARBLED))
async def test_what_means_two_things_or_none_is_refused(healthy: httpx2.AsyncClient, sent: bytes) -> None:
    said = await asked(healthy, sent)
    assert statuses(said) == [400]
    assert b"/problems/bad-request" in said
    assert b"connection: close" in said.lower()


@pytest.mark.parametrize("chunk", [b"zz\r\n", b"-1\r\n", b"1\nx\n", b"2\r\nxyz\r\n", b"f" * 17 + b"\r\n"])
async def test_a_bad_chunk_is_refused(healthy: httpx2.AsyncClient, chunk: bytes) -> None:
    assert statuses(await asked(healthy, SUBMIT + CHUNKED + b"\r\n" + chunk)) == [400]


async def test_a_bad_request_behind_a_good_one_does_not_garble_its_answer(healthy: httpx2.AsyncClient) -> None:
    assert statuses(await asked(healthy, HELLO + b"\r\n" + b"GET /health\r\n\r\n")) == [200]


async def test_an_upgrade_that_nobody_offers_is_answered_and_ends_the_connection(healthy: httpx2.AsyncClient) -> None:
    upgrade = HELLO + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n"
    assert statuses(await asked(healthy, upgrade + HELLO + b"\r\n")) == [200]


async def test_a_body_that_never_comes_is_nobodys_job(healthy: httpx2.AsyncClient) -> None:
    async with wired(healthy) as wire:
        await wire.send(SUBMIT + LENGTH + b"\r\n" + BODY[:5])
        wire.writer.write_eof()
        assert statuses(await wire.rest()) in ([], [400])
    assert (await healthy.get("/jobs")).json()["items"] == []


async def test_a_post_without_length_has_no_body(healthy: httpx2.AsyncClient) -> None:
    said = await asked(healthy, SUBMIT + b"Connection: close\r\n\r\n")
    assert statuses(said) == [400]
    assert b"/problems/malformed-json" in said


# too many --------------------------------------------------------------------------------------------------


async def test_500_idle_connections_keep_nobody_out(healthy: httpx2.AsyncClient) -> None:
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(wired(healthy)) for _ in range(500)]
        await post(healthy)
        assert await asyncio.gather(*(wire.rest() for wire in wires)) == [b""] * 500
