"""How a line of log is written down: as JSON for machines, or as text for a person at a terminal.

Both are one line an event, in ASCII or with every control character escaped, whatever the fields hold.
"""

import re
import sys
from collections.abc import Callable, MutableMapping
from datetime import datetime
from typing import Final, TypeAlias

import msgspec

from tidegate.telemetry.redaction import (
    SHORT_TEXT,
    Plain,
    clean_fields,
    id_or_instant,
    rfc3339,
    sensitive,
    suspect_short,
    trace,
)

Fields: TypeAlias = MutableMapping[str, object]

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7e]")
# C0, DEL, C1, marks that reorder text, line and paragraph separators
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_BARE: Final = re.compile(r"[\w.:/@+-]+")
_COLORS: Final = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
_OURS: Final = frozenset({"timestamp", "level", "event", "job_id"})
_encode: Final = msgspec.json.Encoder().encode


class LineRenderer:
    """The last step of every line: `render` is given its fields, timestamp, level and event first."""

    def __init__(self, now: Callable[[], datetime], render: Callable[[Fields], str]) -> None:
        self._now = now
        self._render = render

    def event(self, level: str, name: str, fields: Fields) -> str:
        """The text of an event's line; see `event_line`."""
        line = {"timestamp": rfc3339(self._now()), "level": level, "event": name, **fields}
        return event_line(line) if self._render is json_line else self._render(line)

    def __call__(self, _logger: object, level: str, fields: Fields) -> str:
        """The text of one line; a field of the caller's named timestamp or level is dropped."""
        line: Fields = {"timestamp": rfc3339(self._now()), "level": level, "event": fields.pop("event", "")}
        error = _exception(fields.pop("exc_info", None))
        fields.pop("timestamp", None)
        fields.pop("level", None)
        line.update(fields)
        if error is not None:
            line.update(error_type=type(error).__name__, traceback=trace(error))
        return self._render(line)


def _exception(given: object) -> BaseException | None:
    """The exception that `exc_info` stands for: itself, the triple of `sys.exc_info`, or True for the current."""
    if isinstance(given, tuple) and len(given) == 3:
        given = given[1]
    elif given is True:
        given = sys.exc_info()[1]
    return given if isinstance(given, BaseException) else None


def json_line(fields: Fields) -> str:
    """One JSON object in one line of printable ASCII, redacted."""
    if _harmless(fields):
        return _encode(fields).decode("ascii")
    return _NOT_ASCII.sub(_json_escape, _encode(clean_fields(fields)).decode())


def event_line(fields: Fields) -> str:
    """`json_line` of an event, whose names are ours, and whose values are texts and numbers: in fewer steps."""
    for name, value in fields.items():
        if type(value) is not str or name in _OURS or id_or_instant(value):
            continue
        if len(value) > SHORT_TEXT or suspect_short(value):
            return json_line(fields)
    return _encode(fields).decode("ascii")


def _harmless(fields: Fields) -> bool:
    """Whether the fields can be written as they are: a quick yes for the lines of events."""
    for name, value in fields.items():
        if type(value) is str:
            if len(value) > SHORT_TEXT or suspect_short(value):
                return False
        elif type(value) is int:
            if value.bit_length() > 63:
                return False
        elif value is not None and type(value) is not float and type(value) is not bool:
            return False
        if suspect_short(name) or sensitive(name):
            return False
    return True


def _json_escape(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def console_line(fields: Fields, *, colors: bool) -> str:
    """One line of text, redacted; below it, indented, the frames of an exception."""
    kept = clean_fields(fields)
    at, level, event = (str(kept.pop(name, "")) for name in ("timestamp", "level", "event"))
    frames = kept.pop("traceback", None)
    pairs = "".join(f"  {_visible(name)}={_shown(value)}" for name, value in kept.items())
    shade = f"\x1b[{_COLORS.get(level, '0')}m{level:<8}\x1b[0m" if colors else f"{level:<8}"
    below = "".join(f"\n    {_visible(str(frame))}" for frame in frames) if isinstance(frames, list) else ""
    return f"{at[11:23]} {shade} {_visible(event):<24}{pairs}{below}"


def _shown(value: Plain) -> str:
    if isinstance(value, str) and _BARE.fullmatch(value):
        return value
    return _visible(_encode(value).decode())


def _visible(text: str) -> str:
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
