"""All clauses of the suite as values: for counting them, and for running them against a store of one's own."""

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import product
from pathlib import Path
from types import ModuleType

import pytest

from tests.conformance.harness import Harness
from tests.conformance.promises import promised

Function = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Clause:
    """One case of one test: `run` needs nothing but a harness."""

    name: str
    promises: tuple[str, ...]
    run: Callable[[Harness], Awaitable[None]]


def modules() -> list[ModuleType]:
    """Every module of the suite."""
    return [import_module(f"tests.conformance.{path.stem}") for path in sorted(Path(__file__).parent.glob("test_*.py"))]


def marked() -> Iterator[tuple[str, object]]:
    """Everything that bears promises, functions and classes alike, with its name."""
    for module in modules():
        for name, thing in vars(module).items():
            if name.lower().startswith("test") and promised(thing):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", thing


def clauses() -> list[Clause]:
    """The clauses that need nothing but a harness, once for every case of theirs."""
    return [clause for name, thing in marked() if inspect.iscoroutinefunction(thing) for clause in _cases(name, thing)]


def _cases(name: str, function: Function) -> Iterator[Clause]:
    for values in product(*_parameters(function)):
        arguments = {key: value for group in values for key, value in group.items()}
        if {*arguments, "harness"} == set(inspect.signature(function).parameters):
            yield Clause(name, promised(function), _bound(function, arguments))


def _parameters(function: Function) -> Iterator[list[Mapping[str, object]]]:
    """The cases of each `parametrize` of a function, as keyword arguments."""
    marks: list[pytest.Mark] = getattr(function, "pytestmark", [])
    for mark in marks:
        if mark.name == "parametrize":
            names, cases = mark.args
            keys = [key.strip() for key in names.split(",")] if isinstance(names, str) else list(names)
            yield [dict(zip(keys, _values(case, len(keys)), strict=True)) for case in cases]


def _values(case: object, count: int) -> tuple[object, ...]:
    if isinstance(case, type(pytest.param())):
        return tuple(case.values)
    return tuple(case) if count > 1 and isinstance(case, tuple | list) else (case,)


def _bound(function: Function, arguments: Mapping[str, object]) -> Callable[[Harness], Awaitable[None]]:
    def run(harness: Harness) -> Awaitable[None]:
        return function(harness=harness, **arguments)

    return run
