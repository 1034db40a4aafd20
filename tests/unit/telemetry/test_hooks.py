"""Exceptions that nobody caught are told, and what they say is not."""

import sys
import threading
from collections.abc import Iterator

import pytest

from tidegate.telemetry.hooks import adopt_uncaught

SECRET = "what the customer sent"


@pytest.fixture
def told() -> Iterator[list[tuple[str, BaseException]]]:
    """What was told, with Python's own hooks put back afterwards."""
    hooks = threading.excepthook, sys.unraisablehook
    found: list[tuple[str, BaseException]] = []
    adopt_uncaught(lambda event, error: found.append((event, error)))
    yield found
    threading.excepthook, sys.unraisablehook = hooks


def _raise(error: BaseException) -> None:
    raise error


@pytest.mark.usefixtures("told")
def test_an_exception_that_ends_a_thread_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=_raise, args=(ValueError(SECRET),))
    thread.start()
    thread.join()

    assert SECRET not in capsys.readouterr().err


def test_exceptions_of_threads_and_finalisers_are_told_once_each(told: list[tuple[str, BaseException]]) -> None:
    class Finalised:
        def __del__(self) -> None:
            raise KeyError(SECRET)

    for error in (ValueError(SECRET), SystemExit(SECRET)):
        thread = threading.Thread(target=_raise, args=(error,))
        thread.start()
        thread.join()
    made = Finalised()
    del made

    assert [(event, type(error)) for event, error in told] == [
        ("thread.broke", ValueError),
        ("finaliser.broke", KeyError),
    ]
