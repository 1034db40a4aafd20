"""What the reference pages show of the code, as Markdown."""

import inspect
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from cyclopts import App
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from tests.unit.telemetry.samples import every_event, job
from tidegate import errors
from tidegate.cli.commands import app as command_line
from tidegate.config import Settings
from tidegate.core.job import Refund, Status
from tidegate.core.lifecycle import LEGAL
from tidegate.telemetry import events
from tidegate.telemetry.logs import Line, describe

VERBS: Final = {
    (Status.QUEUED, Status.RUNNING): "claim",
    (Status.QUEUED, Status.CANCELLED): "cancel",
    (Status.RUNNING, Status.QUEUED): "retry, defer",
    (Status.RUNNING, Status.SUCCEEDED): "succeed",
    (Status.RUNNING, Status.FAILED): "bury",
    (Status.RUNNING, Status.CANCELLED): "cancel",
    (Status.FAILED, Status.QUEUED): "revive",
    (Status.CANCELLED, Status.QUEUED): "revive",
}
"""What a step from one status to another is called; `lifecycle.LEGAL` says which steps there are."""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def settings() -> str:
    """Every setting, its default and its meaning."""
    rows = ((_names(name, field), _default(field), field.description or "") for name, field in _fields().items())
    return table(("variable", "default", "meaning"), rows)


def setting_names() -> set[str]:
    """Every variable that a setting is read from."""
    return {variable for name, field in _fields().items() for variable in _variables(name, field)}


def _fields() -> dict[str, FieldInfo]:
    return Settings.model_fields


def _variables(name: str, field: FieldInfo) -> list[str]:
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        return [str(choice) for choice in alias.choices]
    return [f"TIDEGATE_{name.upper()}"]


def _names(name: str, field: FieldInfo) -> str:
    return " or ".join(f"`{variable}`" for variable in _variables(name, field))


def _default(field: FieldInfo) -> str:
    value: object = field.get_default(call_default_factory=True, validated_data={})
    match value:
        case None | "" | ():
            return ""
        case timedelta():
            return f"`{_duration(value)}`"
        case dict():
            return f"`{msgspec.json.encode(value).decode()}`"
        case _:
            return f"`{value}`"


def _duration(value: timedelta) -> str:
    seconds = round(value.total_seconds())
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def commands() -> str:
    """Every command, with its arguments."""
    return "\n".join(_command(path, found) for path, found in leaves(command_line, ("tidegate",)))


def leaves(app: App, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], App]]:
    """Every command below `app` that does something, with the words it is called by."""
    for name in app:
        if name.startswith("-"):
            continue
        child = app[name]
        if child.default_command is None:
            yield from leaves(child, (*path, name))
        else:
            yield (*path, name), child


def _command(path: tuple[str, ...], app: App) -> str:
    found = [one for one in app.assemble_argument_collection() if one.show]
    usage = " ".join([*path, *(one.name for one in found if not one.name.startswith("-"))])
    rows = ((f"`{one.name}`", _plain(one.parameter.help)) for one in found)
    arguments = f"\n{table(('argument', 'meaning'), rows)}" if found else ""
    return f"### `{usage}`\n\n{_plain(app.help)}\n{arguments}"


def _plain(help_text: str | None) -> str:
    return (help_text or "").strip()


def error_tree() -> str:
    """The tree of exceptions, as the module draws it."""
    drawing = (inspect.getdoc(errors) or "").partition("\n\n")[2]
    return f"```text\n{drawing}\n```\n"


def error_names() -> set[str]:
    """Every exception that the package defines."""
    return {name for name, _ in inspect.getmembers(errors, inspect.isclass) if _.__module__ == errors.__name__}


def log_events() -> str:
    """Every line of log that an event makes: its name, its level and its fields."""
    rows = ((f"`{line.name}`", line.level, _own_fields(line)) for line in _lines())
    return table(("event", "level", "fields besides the job's ids"), rows)


def _lines() -> list[Line]:
    """One line a name; an ending has every field that any ending has."""
    endings = [_ended(ended) for ended in events.Ended]
    others = [event for event in every_event() if not isinstance(event, events.Finished)]
    return [describe(event) for event in (*others, *endings)]


def _ended(ended: events.Ended) -> events.Finished:
    second = timedelta(seconds=1)
    again = ended in (events.Ended.RETRIED, events.Ended.DEFERRED)
    failed = ended in (events.Ended.RETRIED, events.Ended.DEFERRED, events.Ended.FAILED)
    refunded = ended in (events.Ended.DEFERRED, events.Ended.FAILED)
    return events.Finished(
        job=events.ref(job()),
        ended=ended,
        latency=second,
        code="word" if failed else "",
        error_type="word" if failed else "",
        retry_delay=second if again else None,
        retry_at=job().created_at if again else None,
        refund=Refund.CRASH if refunded else None,
    )


def _own_fields(line: Line) -> str:
    common = {"request_id", "job_id", "user_id", "type", "queue", "upstream", "run", "attempts"}
    return ", ".join(f"`{name}`" for name in line.fields if name not in common)


def diagram() -> str:
    """The states of a job and the steps between them, from `lifecycle.LEGAL`."""
    steps = [(one, other) for one in Status for other in Status if other in LEGAL[one]]
    lines = [f"    {one} --> {other}: {VERBS[one, other]}" for one, other in steps]
    ends = [f"    {status} --> [*]: prune" for status in Status if status.finished]
    return "\n".join(["```mermaid", "stateDiagram-v2", "    [*] --> queued: submit", *lines, *ends, "```", ""])


def words(kind: type[StrEnum]) -> set[str]:
    """The values of an enumeration."""
    return {member.value for member in kind}


def sources() -> Iterator[str]:
    """The text of every module of the package."""
    for path in sorted(Path(errors.__file__).parent.rglob("*.py")):
        yield path.read_text("utf-8")
