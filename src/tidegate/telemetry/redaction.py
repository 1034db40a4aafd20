"""The last defence against secrets and user data in what leaves for a log or for Sentry.

The first is that nobody puts them in: events hold none. This one looks at the names of fields, at the shape of
values, and takes an exception for its class and its frames, never for its message.
"""

import re
from collections.abc import Mapping, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from itertools import islice
from pathlib import PurePath
from traceback import walk_tb
from typing import Final, TypeAlias
from uuid import UUID

Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
"""What JSON can say."""

REDACTED: Final = "[redacted]"

TEXT_LIMIT: Final = 2_000
"""Characters kept of one text."""

_NAME_LIMIT: Final = 200
_ITEM_LIMIT: Final = 100
_DEPTH_LIMIT: Final = 8
_FRAME_LIMIT: Final = 30
_CHAIN_LIMIT: Final = 10

_SECRET_NAME: Final = re.compile(
    r"auth(?!or(?!i[sz]))|(api|access|private|secret|signing|encryption)[\W_]*key|passw|passphrase|pwd|secret"
    r"|credential|cookie|bearer|token(?!s)|dsn",
    re.IGNORECASE,
)
_PRIVATE_NAME: Final = re.compile(r"payload|result|content|body|tokens|prompt|completion|^vars$", re.IGNORECASE)
_HARMLESS_NAME: Final = re.compile(r"_(at|bytes|count|id|length|ms|path|s|size|type)$", re.IGNORECASE)

# What a value must hold (lower case) for the pattern to have a chance, the pattern, and what takes its place.
_SHAPES: Final[Sequence[tuple[tuple[str, ...], re.Pattern[str], str]]] = tuple(
    (hints, re.compile(pattern, re.IGNORECASE | re.ASCII), replacement)
    for hints, pattern, replacement in (
        (("cookie",), r"(cookie[\"']?\s*[:=]).*", rf"\1{REDACTED}"),
        (
            ("authorization", "key", "passw", "pwd", "secret", "token", "credential"),
            r"((?:authorization|(?:api|access|private|signing)[-_ ]?key|[?&]key|passw(?:or)?d|pwd|secret|token"
            r"|credential)[\w-]{0,40}[\"']?\s*[:=]\s*)"
            r"(?:\"[^\"]*|'[^']*|(?:(?:bearer|basic|digest|token)\s+)?[^\s\"'&]+)",
            rf"\1{REDACTED}",
        ),
        (("bearer",), r"\b(bearer\s+)[\w.~+/=:-]{4,}", rf"\1{REDACTED}"),
        (("sk-", "sk_"), r"(?<![a-z0-9])sk[-_][\w-]{6,}", REDACTED),
        (("whsec_",), r"whsec_[\w+/=-]{6,}", REDACTED),
        (("eyj",), r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", REDACTED),
        (("akia",), r"\bAKIA[0-9A-Z]{16}", REDACTED),
        (("aiza",), r"\bAIza[\w-]{30,}", REDACTED),
        (("ghp_", "ghs_", "github_pat_"), r"\b(?:gh[ps]|github_pat)_\w{16,}", REDACTED),
        (("xox",), r"\bxox[abeprs]-[\w-]{8,}", REDACTED),
        (("://",), r"(?<=://)[^\s/?#]+@", f"{REDACTED}@"),
        (("private key",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*", REDACTED),
    )
)
_HINTS: Final = tuple(hint for hints, _, _ in _SHAPES for hint in hints)

id_or_instant: Final = re.compile(r"[0-9a-fTZ:.+-]{0,64}").fullmatch
"""For most texts of a line; no hint is made of these characters alone."""
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,79}")


def suspect(text: str) -> bool:
    """Whether a text needs a closer look: it may hold a credential, is too long, or not printable ASCII."""
    if len(text) > TEXT_LIMIT or not (text.isascii() and text.isprintable()):
        return True
    if id_or_instant(text):
        return False
    low = text.lower()
    return any(hint in low for hint in _HINTS)


SHORT_TEXT: Final = 64
suspect_short: Final = lru_cache(maxsize=8_192)(suspect)
"""`suspect` for texts of at most SHORT_TEXT characters: job types, queues and codes come again and again."""


def mask(text: str) -> str:
    """The text without what looks like a credential, cut at TEXT_LIMIT characters."""
    kept = text[: 2 * TEXT_LIMIT]  # a credential that starts before the cut is seen well beyond it
    low = kept.lower()
    for hints, pattern, replacement in _SHAPES:
        if any(hint in low for hint in hints):
            kept = pattern.sub(replacement, kept)
    if len(text) > TEXT_LIMIT:
        return f"{kept[:TEXT_LIMIT]}… ({len(text):,} characters)"
    return kept


def word(text: str) -> str:
    """A code or a class name as it is; anything that is not shaped like one is REDACTED ("" stays)."""
    return text if not text or _WORD.fullmatch(text) else REDACTED


@lru_cache(maxsize=4_096)
def sensitive(name: str) -> bool:
    """Whether a field of this name may hold a secret or what a user sent, whatever its value looks like."""
    return _SECRET_NAME.search(name) is not None or _private(name)


def _private(name: str) -> bool:
    return _PRIVATE_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def rfc3339(at: datetime) -> str:
    """An aware instant in UTC, with microseconds and a Z."""
    utc = at if at.tzinfo is UTC else at.astimezone(UTC)
    return utc.isoformat(timespec="microseconds")[:-6] + "Z"


def clean_fields(fields: Mapping[str, object]) -> dict[str, Plain]:
    """The fields as JSON can say them, without secrets, and bounded in size.

    Objects it does not know become their class's name: their text may hold anything.
    """
    return _fields(fields, _DEPTH_LIMIT)


def _fields(fields: Mapping[object, object] | Mapping[str, object], depth: int) -> dict[str, Plain]:
    kept: dict[str, Plain] = {}
    for key, value in list(islice(fields.items(), _ITEM_LIMIT)):
        name = key if isinstance(key, str) else str(_clean(key, 0))
        kept[_text(name[:_NAME_LIMIT])] = _field(name, value, depth)
    return kept


def _field(name: str, value: object, depth: int) -> Plain:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name) or (_private(name) and not isinstance(value, int | float)):
        return REDACTED  # a number under a private name is a count, such as prompt_tokens
    return _clean(value, depth)


def _clean(value: object, depth: int) -> Plain:
    match value:
        case None | bool() | float():
            return value
        case Enum():
            return _clean(value.value, depth)
        case int():
            return value if value.bit_length() < 64 else "<int>"
        case str():
            return _text(value)
        case datetime() if value.tzinfo is not None:
            return rfc3339(value)
        case timedelta():
            return value.total_seconds()
        case UUID() | Decimal() | PurePath() | date() | time():
            return _text(str(value))
        case Mapping() if depth > 0:
            return _fields(value, depth - 1)
        case Sequence() | Set() if depth > 0 and not isinstance(value, bytes | bytearray | memoryview):
            return [_clean(item, depth - 1) for item in list(islice(value, _ITEM_LIMIT))]
        case _:
            return f"<{type(value).__name__}>"


def _text(text: str) -> str:
    """The text masked, and without lone surrogates, which UTF-8 can't say."""
    return mask(text).encode("utf-8", "replace").decode("utf-8") if suspect(text) else text


def trace(error: BaseException) -> list[str]:
    """Where an exception came from, innermost last, then its causes. No messages, no source, no variables."""
    lines: list[str] = []
    for place, link in enumerate(_chain(error)):
        if place:
            lines.append(f"from {type(link).__name__}")
        frames = [(frame.f_code, line) for frame, line in walk_tb(link.__traceback__)]
        lines += [f"{code.co_filename}:{line} {code.co_qualname}" for code, line in frames[-_FRAME_LIMIT:]]
    return lines


def _chain(error: BaseException) -> list[BaseException]:
    """The exception and what led to it, members of groups too, each once and at most _CHAIN_LIMIT."""
    found: list[BaseException] = []
    ahead: list[BaseException | None] = [error]
    while ahead and len(found) < _CHAIN_LIMIT:
        link = ahead.pop()
        if link is None or any(link is known for known in found):
            continue
        found.append(link)
        ahead.append(link.__cause__ or (None if link.__suppress_context__ else link.__context__))
        if isinstance(link, BaseExceptionGroup):
            ahead += reversed(link.exceptions)
    return found
