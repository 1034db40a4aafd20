"""Server-sent events are read right however their bytes are cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.sdk import sse
from tidegate.sdk.sse import Message, Reader, TooLong

STREAM = (
    "retry: 2000\n\n: hello\n\nid: 1\nevent: submitted\ndata: {}\n\nid:2\r\nevent:claimed\r\ndata:a\r\ndata: b\r\n\r\n"
    "event: nothing\n\nid\r\rdata: größe 😀\r\rid: x\0y\ndata\n\nunknown: 3\nevent: cut\ndata: off"
).encode()
MEANT = [
    Message("submitted", "{}", "1"),
    Message("claimed", "a\nb", "2"),
    Message("message", "größe 😀", ""),
    Message("message", "", ""),
]


def _read(*pieces: bytes) -> list[Message]:
    reader = Reader()
    return [message for piece in pieces for message in reader.feed(piece)]


def test_every_form_of_a_field_is_understood() -> None:
    assert _read(STREAM) == MEANT


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=20))
def test_it_does_not_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert _read(*(STREAM[one:other] for one, other in pairwise(places))) == MEANT


def test_each_byte_alone_says_the_same() -> None:
    assert _read(*(bytes([byte]) for byte in STREAM)) == MEANT


def test_a_reader_goes_on_from_the_id_it_is_given() -> None:
    reader = Reader("7")
    assert [message.id for message in reader.feed(b"data: x\n\n")] == ["7"]


@pytest.mark.parametrize("piece", [b"data: " + b"x" * 70_000, b"data: x\n" * 10_000])
def test_an_event_without_end_fills_no_memory(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MOST_BYTES", 65_536)
    with pytest.raises(TooLong):
        _read(piece)
