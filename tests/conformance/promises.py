"""Which promise of the engine contract a clause proves."""

import pytest


def promise(*names: str) -> pytest.MarkDecorator:
    """Mark a clause with the promises of `ports.py` that it proves: `@promise("submit.key-replay")`."""
    return pytest.mark.promise(*names)


def promised(clause: object) -> tuple[str, ...]:
    """The promises that a test function was marked with; none where it is no clause."""
    marks: list[pytest.Mark] = getattr(clause, "pytestmark", [])
    return tuple(str(name) for mark in marks if mark.name == "promise" for name in mark.args)
