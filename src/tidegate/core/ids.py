"""UUIDv7 as values: made of a time and dice, checked, and read back (RFC 9562 §5.7)."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.errors import InvalidInput

RANDOM_BYTES: Final = 10
"""Bytes of chance a `uuid7` is given; it uses 74 bits of them."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-([0-9a-f])[0-9a-f]{3}-([0-9a-f])[0-9a-f]{3}-[0-9a-f]{12}")


def uuid7(unix_ms: int, random: bytes) -> str:
    """The UUIDv7 of `unix_ms` and 10 random bytes, in canonical lower-case form.

    The low 12 bits of the first two bytes follow the time and the low 62 of the other eight end it, so a
    counter in the first two orders the ids of one millisecond; text order is time order. Raises InvalidInput
    for a time before 1970 or after the year 9999, and for another number of bytes.
    """
    if not 0 <= unix_ms <= _LAST_MS:
        raise InvalidInput("unix_ms", f"must be from 1970 to the year 9999, 0 to {_LAST_MS}, not {unix_ms}")
    if len(random) != RANDOM_BYTES:
        raise InvalidInput("random", f"must be {RANDOM_BYTES} bytes, not {len(random)}")
    ends = random.hex()
    variant = "89ab"[random[2] >> 4 & 3]
    return f"{unix_ms >> 16:08x}-{unix_ms & 0xFFFF:04x}-7{ends[1:4]}-{variant}{ends[5:8]}-{ends[8:]}"


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID, of any version, in the canonical lower-case form and no other."""
    return _UUID.fullmatch(text) is not None


def uuid7_time(uuid: str) -> datetime:
    """The instant a UUIDv7 was made for: aware UTC, to the millisecond.

    Raises InvalidInput where `uuid` is not one in canonical form, or its time is after the year 9999.
    """
    match = _UUID.fullmatch(uuid)
    if match is None or match[1] != "7" or match[2] not in "89ab":
        raise InvalidInput("id", "must be a UUIDv7 in its lower-case form with hyphens")
    unix_ms = int(uuid[:8] + uuid[9:13], 16)
    if unix_ms > _LAST_MS:
        raise InvalidInput("id", "must be a UUIDv7 of a time up to the year 9999")
    return _EPOCH + timedelta(milliseconds=unix_ms)
