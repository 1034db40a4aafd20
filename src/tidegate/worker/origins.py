"""What an exception came of: its causes, its contexts, and the members of groups."""

from collections.abc import Iterator
from typing import Final

MOST: Final = 64
"""Exceptions of one another's making that are looked at: somebody else's code may make a circle of them."""


def origins(error: BaseException) -> Iterator[BaseException]:
    """The exception, then whatever it came of, nearest first."""
    waiting, seen = [error], set[int]()
    while waiting and len(seen) < MOST:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        waiting += [cause for cause in (current.__cause__, current.__context__) if cause is not None]


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, of groups within it too; the exception itself where it is none."""
    waiting, number = [error], 0
    while waiting and number < MOST:
        current, number = waiting.pop(0), number + 1
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions
        else:
            yield current
