"""What the page about the Python client shows of it, as Markdown."""

import inspect
import re
from collections.abc import AsyncGenerator, Iterator
from dataclasses import fields, is_dataclass
from typing import Final, get_args, get_origin, get_type_hints

import tidegate.sdk
from tests.docs.tables import table
from tests.sdk.house import calls_of
from tidegate.sdk import Client, JobHandle
from tidegate.sdk.options import BulkOptions, Filters, ScheduleOptions, SubmitOptions
from tidegate.sdk.resources import J, Resource

OPTIONS: Final = (SubmitOptions, Filters, ScheduleOptions, BulkOptions)


def kinds() -> dict[str, type[object]]:
    """What has calls: the client, a job's handle, and each resource by the client's attribute."""
    found = {name: type(value) for name, value in vars(Client("http://h", user_id="ada")).items()}
    resources = {name: kind for name, kind in found.items() if issubclass(kind, Resource)}
    return {"client": Client, "job": JobHandle, **dict(sorted(resources.items()))}


def calls(kind: type[object]) -> str:
    """The calls, what they give, and what they do; but for `over`, which is no call of a server's."""
    rows = (
        (f"`{_shown(name, inspect.signature(call))}`", _given(call), _first(inspect.getdoc(call)))
        for name, call in calls_of(kind).items()
        if name != "over"
    )
    return table(("call", "gives", "does"), rows)


def options() -> str:
    """What calls take by name."""
    rows = (
        (f"`{name}`", f"`{_named(kind)}`", ", ".join(sorted(_takers(name)))) for name, kind in sorted(_known().items())
    )
    return table(("option", "type", "taken by"), rows)


def values() -> str:
    """Every value, what it is, and its fields."""
    public = ((name, getattr(tidegate.sdk, name)) for name in tidegate.sdk.__all__)
    rows = (
        (f"`{name}`", _first(inspect.getdoc(kind)), ", ".join(f"`{field.name}`" for field in fields(kind)))
        for name, kind in public
        if is_dataclass(kind)
    )
    return table(("value", "what it is", "fields"), rows)


def _known() -> dict[str, object]:
    return {name: kind for taken in OPTIONS for name, kind in get_type_hints(taken).items()}


def _takers(option: str) -> Iterator[str]:
    names = {SubmitOptions: "`submit`", Filters: "`find`", ScheduleOptions: "`schedules.put`", BulkOptions: "`bulk`"}
    return (name for kind, name in names.items() if option in kind.__annotations__)


def _shown(name: str, signature: inspect.Signature) -> str:
    given = [one for one in signature.parameters.values() if one.name not in ("self", "cls")]
    return f"{name}({', '.join(_argument(one) for one in given)})"


def _argument(one: inspect.Parameter) -> str:
    if one.kind is inspect.Parameter.VAR_KEYWORD:
        return f"**{one.name}"
    return one.name if one.default is inspect.Parameter.empty else f"{one.name}=…"


def _given(call: object) -> str:
    kind: object = inspect.signature(call).return_annotation if callable(call) else None
    if get_origin(kind) is AsyncGenerator:
        return f"iterator of {_named(get_args(kind)[0], code=True)}"
    return "" if kind is None else _named(kind, code=True)


def _named(kind: object, *, code: bool = False) -> str:
    text = "JobHandle" if kind is J else inspect.formatannotation(kind).replace(str(J), "JobHandle")
    plain = re.sub(r"\b\w+\.(?=\w)", "", text)
    return f"`{plain}`" if code else plain


def _first(doc: str | None) -> str:
    return " ".join((doc or "").partition("\n\n")[0].split())
