"""The last defence against secrets and user data in what leaves for a log or for Sentry.

The first is that nobody puts them in: events hold none. This one looks at the names of fields, at the shape of
values, and takes an exception for its class and its frames, never for its message.
"""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType
from typing import Final, TypeAlias
from uuid import UUID

Plain: TypeAlias = str | int | float | bool | list["Plain"] | dict[str, "Plain"] | None
"""What JSON can say."""

REDACTED: Final = "[redacted]"

TEXT_LIMIT: Final = 2_000
"""Characters kept of one text."""

_NAME_LIMIT: Final = 200
_ITEM_LIMIT: Final = 100
_DEPTH_LIMIT: Final = 6
_FRAME_LIMIT: Final = 30

_SECRET_NAME: Final = re.compile(
    r"auth(?!or(?!i[sz]))|(api|access|private|secret|signing|encryption)[\W_]*key|passw|passphrase|pwd|secret"
    r"|credential|cookie|bearer|token(?!s)|dsn",
    re.IGNORECASE,
)
_PRIVATE_NAME: Final = re.compile(r"payload|result|content|body|tokens|prompt|completion", re.IGNORECASE)
_HARMLESS_NAME: Final = re.compile(r"_(at|bytes|count|id|length|ms|path|s|size|type)$", re.IGNORECASE)

# What a value must hold (lower case) for the pattern to have a chance, the pattern, and what takes its place.
_SHAPES: Final[Sequence[tuple[tuple[str, ...], re.Pattern[str], str]]] = tuple(
    (hints, re.compile(pattern, re.IGNORECASE), replacement)
    for hints, pattern, replacement in (
        (("cookie",), r"(cookie\d?[\"']?\s*[:=]).*", rf"\1 {REDACTED}"),
        (
            ("auth", "key", "passw", "pwd", "secret", "token", "credential"),
            r"((?:authorization|key|passw(?:or)?d|pwd|secret|token|credential)[\w-]{0,40}(?:\\?[\"'])?\s*[:=]\s*)"
            r"(?:\\?[\"'])?(?:(?:bearer|basic|token|digest)\s+)?[^\s\"'&,;)}\]]+",
            rf"\1{REDACTED}",
        ),
        (("bearer",), r"\b(bearer\s+)[\w.~+/=:-]{4,}", rf"\1{REDACTED}"),
        (("sk-", "sk_"), r"(?<![a-z0-9])sk[-_][\w-]{6,}", REDACTED),
        (("whsec_",), r"whsec_[\w+/=-]{6,}", REDACTED),
        (("eyj",), r"\beyJ[\w-]{8,}\.[\w-]+(?:\.[\w-]*)?", REDACTED),
        (("akia", "asia"), r"\bA[KS]IA[0-9A-Z]{16}", REDACTED),
        (("aiza",), r"\bAIza[\w-]{30,}", REDACTED),
        (("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"), r"\b(?:gh[pousr]|github_pat)_\w{16,}", REDACTED),
        (("xox",), r"\bxox[abeprs]-[\w-]{8,}", REDACTED),
        (("://",), r"(?<=://)[^\s/?#]+@", f"{REDACTED}@"),
        (("private key",), r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*", REDACTED),
    )
)
HINTS: Final = tuple(hint for hints, _, _ in _SHAPES for hint in hints)
"""A text without one of these, in lower case, holds nothing that `mask` would mask."""

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]{0,79}")
_AS_TEXT: Final = (UUID, Decimal, PurePath, date, time)


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


def secret_name(name: str) -> bool:
    """Whether a field of this name holds a secret, or what a user sent, whatever its value looks like."""
    return _SECRET_NAME.search(name) is not None or private_name(name)


def private_name(name: str) -> bool:
    """Whether a field of this name holds what a user sent, unless its value is a number."""
    return _PRIVATE_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def rfc3339(at: datetime) -> str:
    """An aware instant in UTC, with microseconds and a Z."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def clean(value: object) -> Plain:
    """Anything as JSON can say it, without secrets. Total, and bounded in size.

    Objects it does not know become their class's name: their text may hold anything.
    """
    return _clean(value, _DEPTH_LIMIT)


def clean_fields(fields: Mapping[str, object]) -> dict[str, Plain]:
    """The fields of one line, each as `clean` makes it, judged by its name too."""
    return _fields(fields, _DEPTH_LIMIT)


def _fields(fields: Mapping[object, object] | Mapping[str, object], depth: int) -> dict[str, Plain]:
    kept: dict[str, Plain] = {}
    for key, value in list(fields.items())[:_ITEM_LIMIT]:
        name = key if isinstance(key, str) else str(_clean(key, 0))
        kept[_sayable(mask(name)[:_NAME_LIMIT])] = _field(name, value, depth)
    return kept


def _field(name: str, value: object, depth: int) -> Plain:
    if value is None or isinstance(value, bool):
        return value
    if _SECRET_NAME.search(name) or (private_name(name) and not isinstance(value, int | float)):
        return REDACTED
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
            return _sayable(mask(value))
        case datetime() if value.tzinfo is not None:
            return rfc3339(value)
        case timedelta():
            return value.total_seconds()
        case UUID() | Decimal() | PurePath() | date() | time():
            return _sayable(mask(str(value)))
        case Mapping() if depth > 0:
            return _fields(value, depth - 1)
        case (Sequence() | Set()) if depth > 0 and not isinstance(value, bytes | bytearray | memoryview):
            return [_clean(item, depth - 1) for item in list(value)[:_ITEM_LIMIT]]
        case _:
            return f"<{type(value).__name__}>"


def _sayable(text: str) -> str:
    """The text without lone surrogates, which UTF-8 can't say."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def trace(error: BaseException) -> list[str]:
    """Where an exception came from, innermost last, then its causes. No messages, no source, no variables."""
    lines: list[str] = []
    for place, link in enumerate(_chain(error)):
        if place:
            lines.append(f"caused by {type(link).__name__}")
        frames = traceback.extract_tb(link.__traceback__, limit=-_FRAME_LIMIT)
        lines += [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return lines


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen and len(seen) < 10:
        seen.add(id(link))
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
