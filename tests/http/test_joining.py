"""An answer's head and a small body are one write; what can't wait is written at once."""

import asyncio
from typing import cast

import pytest

from tidegate.http.joining import MOST_JOINED, Joined


class _Line:
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.told


@pytest.fixture
def line() -> _Line:
    return _Line()


@pytest.fixture
async def joined(line: _Line) -> Joined:
    return Joined(cast("asyncio.Transport", line), asyncio.get_running_loop())


async def test_a_head_and_its_body_are_one_write(line: _Line, joined: Joined) -> None:
    joined.write(b"head ")
    joined.write(b"body ")
    joined.write(b"more")
    await asyncio.sleep(0)
    assert line.told == [b"head body ", b"more"]


async def test_a_head_whose_body_takes_its_time_does_not_wait_for_it(line: _Line, joined: Joined) -> None:
    joined.write(b"head")
    await asyncio.sleep(0)
    assert line.told == [b"head"]
    joined.write(b"event")
    assert line.told == [b"head", b"event"]


async def test_a_large_body_is_not_copied(line: _Line, joined: Joined) -> None:
    large = bytes(MOST_JOINED + 1)
    joined.write(b"head")
    joined.write(large)
    assert line.told == [b"head", large]


async def test_an_answer_without_a_body_is_whole_before_its_connection_closes(line: _Line, joined: Joined) -> None:
    joined.write(b"head")
    joined.close()
    await asyncio.sleep(0)
    assert line.told == [b"head", "closed"]


async def test_nothing_is_written_to_a_connection_that_is_gone(line: _Line, joined: Joined) -> None:
    joined.write(b"head")
    line.close()
    await asyncio.sleep(0)
    assert line.told == ["closed"]


async def test_that_a_request_may_go_on_is_no_head_and_waits_for_nothing(line: _Line, joined: Joined) -> None:
    joined.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert line.told == [b"HTTP/1.1 100 Continue\r\n\r\n"]
    joined.write(b"HTTP/1.1 201 ")
    joined.write(b"body")
    assert line.told[1:] == [b"HTTP/1.1 201 body"]
