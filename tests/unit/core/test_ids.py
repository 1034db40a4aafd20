"""The layout of a UUIDv7, checked against RFC 9562 and the standard library."""

import uuid
from datetime import UTC, datetime

import pytest

from tidegate.core.ids import is_uuid, uuid7, uuid7_time
from tidegate.errors import InvalidInput

RFC_EXAMPLE = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"  # RFC 9562, appendix A.6
LAST_MS = 253_402_300_799_999  # the last millisecond of the year 9999


def test_the_example_of_the_rfc_comes_out() -> None:
    made = uuid7(0x017F22E279B0, bytes.fromhex("0cc3 18c4dc0c0c07398f"))
    assert made == RFC_EXAMPLE
    assert uuid7_time(made) == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)


@pytest.mark.parametrize("chance", [bytes(10), b"\xff" * 10])
def test_version_and_variant_hold_whatever_the_dice_say(chance: bytes) -> None:
    read = uuid.UUID(uuid7(1, chance))
    assert (read.version, read.variant) == (7, uuid.RFC_4122)


def test_ids_of_one_millisecond_are_ordered_by_the_counter_in_their_first_two_bytes() -> None:
    ids = [uuid7(5, counter.to_bytes(2, "big") + b"\x77" * 8) for counter in (0, 1, 255, 256, 4095)]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("unix_ms", [0, 1, LAST_MS])
def test_the_time_reads_back_to_the_millisecond(unix_ms: int) -> None:
    instant = uuid7_time(uuid7(unix_ms, bytes(10)))
    assert round(instant.timestamp() * 1000) == unix_ms
    assert instant.tzinfo is UTC


@pytest.mark.parametrize("unix_ms", [-1, LAST_MS + 1, 2**48])
def test_a_time_outside_the_calendar_is_refused(unix_ms: int) -> None:
    with pytest.raises(InvalidInput, match="unix_ms"):
        uuid7(unix_ms, bytes(10))


@pytest.mark.parametrize("size", [0, 9, 11])
def test_another_number_of_random_bytes_is_refused(size: int) -> None:
    with pytest.raises(InvalidInput, match=f"10 bytes, not {size}"):
        uuid7(0, bytes(size))


@pytest.mark.parametrize(
    "text", [RFC_EXAMPLE, "00000000-0000-0000-0000-000000000000", "2ed6657d-e927-468b-95e1-2665a8aea6a2"]
)
def test_the_canonical_form_of_any_version_is_a_uuid(text: str) -> None:
    assert is_uuid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        RFC_EXAMPLE.upper(),
        RFC_EXAMPLE.replace("-", ""),
        "{" + RFC_EXAMPLE + "}",
        f"urn:uuid:{RFC_EXAMPLE}",
        f" {RFC_EXAMPLE}",
        f"{RFC_EXAMPLE}\n",
        RFC_EXAMPLE[:-1],
        RFC_EXAMPLE[:-1] + "g",
        RFC_EXAMPLE[:-1] + "٣",
        "017f22e27-9b0-7cc3-98c4-dc0c0c07398f",
    ],
)
def test_every_other_spelling_is_not(text: str) -> None:
    assert not is_uuid(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        RFC_EXAMPLE.upper(),
        "017f22e2-79b0-4cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-78c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-c8c4-dc0c0c07398f",
        "ffffffff-ffff-7cc3-98c4-dc0c0c07398f",
    ],
    ids=["empty", "upper case", "version 4", "variant 0", "variant c", "after the year 9999"],
)
def test_a_time_is_read_from_a_uuid7_only(text: str) -> None:
    with pytest.raises(InvalidInput, match="UUIDv7"):
        uuid7_time(text)
