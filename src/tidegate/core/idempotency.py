"""What makes two requests the same: the key, the fingerprint, and how long both are remembered."""

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, TypeAlias

from tidegate.errors import InvalidInput

JSON: TypeAlias = "dict[str, JSON] | list[JSON] | str | int | float | bool | None"
"""What a JSON text means, as `json.loads` gives it."""

KEY_FIELD: Final = "idempotency_key"

LONGEST_KEY: Final = 255
"""Characters of a key."""

TTL_AFTER_END: Final = timedelta(hours=24)
"""A key lives as long as its job and this much longer, even where the job is pruned sooner."""

_written: Final = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode


def canonical(value: JSON) -> bytes:
    """The one way to write `value`: members by code point of their names, no blanks, UTF-8.

    As RFC 8785, except for numbers, which stay what was sent: whole numbers keep every digit, and a number
    with a fraction or an exponent has the shortest form that reads back as the same float. So 1 and 1.0, or
    0.0 and -0.0, differ: a repeat that was rewritten on its way is refused aloud, never answered for another
    request. Text is not normalised. Raises InvalidInput for NaN, an infinity, a lone surrogate, a whole
    number of over 4,300 digits, a nesting too deep, and whatever is not JSON.
    """
    try:
        return _written(value).encode()
    except (TypeError, ValueError, RecursionError) as exc:  # UnicodeEncodeError is a ValueError
        raise InvalidInput("", f"the request can't be written as JSON ({exc})") from exc


def fingerprint(request: Mapping[str, JSON]) -> str:
    """SHA-256 of the canonical request less its own idempotency key, as 64 hex digits.

    Two requests under one key ask for the same work iff their fingerprints are equal. Raises as `canonical`.
    """
    work = dict(request)
    work.pop(KEY_FIELD, None)
    return hashlib.sha256(canonical(work)).hexdigest()


def check_key(key: str) -> str:
    """Give `key` back; raise InvalidInput unless it is 1 to 255 printable ASCII characters.

    The message never holds the key, for keys may be made of what users must not see logged.
    """
    if not 1 <= len(key) <= LONGEST_KEY:
        raise InvalidInput(KEY_FIELD, f"must be 1 to {LONGEST_KEY} characters, not {len(key)}")
    if not (key.isascii() and key.isprintable()):
        raise InvalidInput(KEY_FIELD, "must be printable ASCII characters only")
    return key
