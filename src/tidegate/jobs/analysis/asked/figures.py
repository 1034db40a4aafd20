"""The figures that a model is shown, numbered: what it may cite, and all that leaves for its provider."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tidegate.jobs.analysis.insights.evidence import Step, pointer

MOST: Final = 400
LONGEST_VALUE: Final = 80
_FIRST: Final = 5
"""Items shown of a list: groups, pairs and values come strongest first."""

_HIDDEN: Final = frozenset({"extremes", "points", "phases", "examples", "original_name", "notes", "formats"})
"""Single rows and long series: what an insight needs of them, the rules' own evidence has."""

_OF_QUALITY: Final = ("score", "parts", "missing", "duplicate_rows", "ragged_rows")
_OF_COLUMNS: Final = ("name", "kind", "null_share", "distinct", "unit")

Value = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure of a result: where it is (RFC 6901), by its steps too, and what it is."""

    pointer: str
    steps: tuple[str, ...]
    value: Value


def figures(document: Mapping[str, object]) -> list[Figure]:
    """Those worth showing of a result, the evidence of its insights first; 400 at most."""
    found: dict[str, Figure] = {}
    for figure in (*_cited(document), *_profile(document)):
        found.setdefault(figure.pointer, figure)
    return list(found.values())[:MOST]


def _cited(document: Mapping[str, object]) -> Iterator[Figure]:
    for insight in _list(document.get("insights")):
        for at, value in _mapping(_mapping(insight).get("evidence")).items():
            steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in at.split("/")[1:])
            if isinstance(value, str | int | float):
                yield Figure(pointer=at, steps=steps, value=value)


def _profile(document: Mapping[str, object]) -> Iterator[Figure]:
    quality = _mapping(document.get("quality"))
    yield from _flat({name: quality[name] for name in _OF_QUALITY if name in quality}, ("quality",))
    columns = [{name: _mapping(each).get(name) for name in _OF_COLUMNS} for each in _list(document.get("schema"))]
    for index, column in enumerate(columns):
        yield from _flat(column, ("schema", index))
    yield from _flat(document.get("kpis"), ("kpis",))


def _flat(value: object, at: tuple[Step, ...]) -> Iterator[Figure]:
    match value:
        case dict():
            for name, part in value.items():
                if name not in _HIDDEN:
                    yield from _flat(part, (*at, str(name)))
        case list():
            for index, part in enumerate(value[:_FIRST]):
                yield from _flat(part, (*at, index))
        case str() | int() | float():
            yield Figure(pointer=pointer(at), steps=tuple(str(step) for step in at), value=value)
        case _:
            pass


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
