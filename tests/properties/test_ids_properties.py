"""What holds of every UUIDv7."""

import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.ids import is_uuid, uuid7, uuid7_time

times = st.integers(min_value=0, max_value=253_402_300_799_999)
chances = st.binary(min_size=10, max_size=10)


@given(unix_ms=times, chance=chances)
def test_an_id_is_a_canonical_uuid7_that_tells_its_time(unix_ms: int, chance: bytes) -> None:
    made = uuid7(unix_ms, chance)
    read = uuid.UUID(made)
    assert str(read) == made
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert is_uuid(made)
    assert uuid7_time(made) == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)


@given(unix_ms=times, chance=chances)
def test_74_bits_of_the_dice_are_in_the_id(unix_ms: int, chance: bytes) -> None:
    number = uuid.UUID(uuid7(unix_ms, chance)).int
    assert number >> 64 & 0xFFF == int.from_bytes(chance[:2], "big") & 0xFFF
    assert number & (1 << 62) - 1 == int.from_bytes(chance[2:], "big") & (1 << 62) - 1


@given(earlier=times, later=times, one=chances, other=chances)
def test_text_order_is_time_order(earlier: int, later: int, one: bytes, other: bytes) -> None:
    if earlier < later:
        assert uuid7(earlier, one) < uuid7(later, other)
    else:
        assert uuid7(earlier, one)[:13] >= uuid7(later, other)[:13]


@given(text=st.text() | st.uuids().map(str) | st.uuids().map(lambda made: str(made).upper()))
def test_a_text_is_a_uuid_iff_the_standard_library_writes_it_so(text: str) -> None:
    try:
        expected = str(uuid.UUID(text)) == text
    except ValueError:
        expected = False
    assert is_uuid(text) == expected
