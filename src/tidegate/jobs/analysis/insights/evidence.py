"""Sentences that can only say figures which are in the result, and that record each one they say."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

Step = str | int


class Severity(StrEnum):
    """How much an insight matters."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True, kw_only=True)
class Insight:
    """One finding. `evidence` maps JSON pointers (RFC 6901) into the result to the figures found there;
    every figure in `text` is one of them. `weight` orders findings of one severity."""

    id: str
    rule: str
    title: str
    text: str
    severity: Severity
    columns: tuple[str, ...]
    evidence: dict[str, object]
    weight: float


_FIELD = re.compile(r"\{([\w.]+)(?::(\w+))?\}")


class Evidence:
    """Looks figures up in the result document, writes them as text, and remembers them."""

    def __init__(self, document: dict[str, object]) -> None:
        self._document = document
        self.cited: dict[str, object] = {}

    def say(self, at: tuple[Step, ...], template: str, **words: str) -> str:
        """Fill a sentence. {share:percent} is the figure at `at` + ("share",) written as a percentage;
        {name} is the word given for it.

        Formats: amount (four significant digits), count (a whole number), percent, change (signed), text.
        """

        def fill(field: re.Match[str]) -> str:
            path, form = field.groups()
            return words[path] if form is None else self._written((*at, *_steps(path)), form)

        return _FIELD.sub(fill, template)

    def _written(self, path: tuple[Step, ...], form: str) -> str:
        value = resolve(self._document, path)
        self.cited[pointer(path)] = value
        if form == "text":
            return str(value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LookupError(f"{pointer(path)} holds {value!r}, not a number")
        return f"{value:,.0f}" if form == "count" else _FORMS[form](value)


def _steps(path: str) -> tuple[Step, ...]:
    return tuple(int(step) if step.isdigit() else step for step in path.split("."))


def amount(value: float) -> str:
    """Four significant digits, no exponent, thousands separated."""
    if value == 0:
        return "0"
    decimals = max(0, 3 - _magnitude(value))
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def percent(value: float) -> str:
    """A share as a percentage: one decimal under 10, none above; never 0% or 100% by rounding alone."""
    scaled = value * 100
    if 0 < abs(scaled) < 0.1:
        return "under 0.1%"
    if 99.5 <= scaled < 100:
        return f"{min(scaled, 99.9):.1f}%"
    text = f"{scaled:.1f}" if abs(scaled) < 9.95 else f"{scaled:,.0f}"
    return f"{text.removesuffix('.0')}%"


def pointer(path: tuple[Step, ...]) -> str:
    """The JSON pointer for a path."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def resolve(document: object, path: tuple[Step, ...]) -> object:
    """The value at a path. Raises LookupError where there is none."""
    found = document
    for step in path:
        found = _inside(found, step)
    return found


def _inside(found: object, step: Step) -> object:
    if isinstance(found, dict):
        return found[step]
    if isinstance(found, list) and isinstance(step, int):
        return found[step]
    raise LookupError(f"there is no {step!r} in {type(found).__name__}")


def _magnitude(value: float) -> int:
    """The power of ten: 3 for 1,234, -2 for 0.0123."""
    return int(f"{abs(value):e}".split("e")[1])


def listed(names: tuple[str, ...] | list[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def strongest(found: Iterator[Insight], most: int) -> list[Insight]:
    """The weightiest few of one rule's findings."""
    return sorted(found, key=lambda each: (-each.weight, each.id))[:most]


def change(value: float) -> str:
    """A relative change as a signed percentage: +14%."""
    return f"+{percent(value)}" if value > 0 else percent(value)


_FORMS: dict[str, Callable[[float], str]] = {"amount": amount, "percent": percent, "change": change}
