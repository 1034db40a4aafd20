"""Whatever the fields hold: one line, valid, and safe to show."""

import json

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.telemetry.conftest import Written
from tests.unit.telemetry.samples import every_event
from tidegate.core.job import JobId
from tidegate.telemetry import JobRef
from tidegate.telemetry.logs import job_logger
from tidegate.telemetry.rendering import console_line, json_line

TEXT = st.text(st.characters())  # lone surrogates too
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**80), 2**80)
    | st.floats()
    | TEXT
    | st.binary()
    | st.datetimes()
    | st.timedeltas()
    | st.decimals()
    | st.uuids()
    | st.builds(object)
    | st.builds(ValueError, TEXT),
    lambda inner: st.lists(inner) | st.dictionaries(TEXT | st.integers(), inner) | st.tuples(inner),
    max_leaves=10,
)
LINES = st.dictionaries(TEXT, VALUES)


def references(text: str) -> JobRef:
    return JobRef(
        job_id=JobId(text), request_id=text, user_id=text, type=text, queue=text, upstream=text, run=1, attempts=1
    )


@given(TEXT)
def test_any_text_in_any_field_of_any_event_is_one_json_line(text: str) -> None:
    written = Written()
    listener = written.configure()
    told = list(every_event(references(text), text=text))
    for event in told:
        listener(event)
    assert len(written.lines) == len(told)
    assert all(isinstance(line, dict) and line["event"] for line in written.lines)
    assert written.text.isascii()


@given(TEXT, LINES)
def test_any_fields_of_a_handler_are_one_json_line(event: str, fields: dict[str, object]) -> None:
    line = json_line({"timestamp": "now", "level": "info", "event": event, **fields})
    assert isinstance(json.loads(line), dict)
    assert line.isascii()
    assert line.isprintable()


@given(TEXT, LINES)
def test_any_fields_are_one_visible_line_for_a_person(event: str, fields: dict[str, object]) -> None:
    fields.pop("traceback", None)
    line = console_line({"timestamp": "now", "level": "info", "event": event, **fields}, colors=False)
    assert len(line.splitlines()) == 1
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in line)


def test_ordinary_text_is_kept_to_the_letter() -> None:
    for text in ("plain", "Zoë 東京 🌊", 'quoted "twice"', "tab\tand\nline", "\u2028", "\x7f"):
        assert json.loads(json_line({"event": text})) == {"event": text}


def test_an_escape_sequence_does_not_reach_the_terminal() -> None:
    line = console_line({"event": "\x1b[2Jgone", "user_id": "a\nlevel=error \u202e"}, colors=False)
    assert "\x1b" not in line
    assert "\n" not in line
    assert "\u202e" not in line


def test_colors_mark_the_level_and_nothing_else() -> None:
    line = console_line({"event": "job.failed", "level": "error", "code": "timeout"}, colors=True)
    assert line.count("\x1b") == 2
    assert "code=timeout" in line


def test_a_person_sees_the_frames_of_an_exception_below_the_line() -> None:
    line = console_line({"event": "boom", "traceback": ["a.py:1 f", "b.py:2 \ng"]}, colors=False)
    assert line.splitlines()[1:] == ["    a.py:1 f", "    b.py:2 \\u000ag"]


def test_a_harmless_looking_value_under_a_secret_name_is_redacted() -> None:
    assert json.loads(json_line({"event": "read", "payload": "rose"})) == {"event": "read", "payload": "[redacted]"}


def test_a_callers_field_cannot_pass_for_the_time_or_the_level(written: Written) -> None:
    written.configure()
    job_logger(references("x")).info("hello", timestamp="never", level="critical")
    (line,) = written.lines
    assert (line["level"], line["timestamp"]) == ("info", "2026-01-01T12:00:00.250000Z")
