"""Plain functions that do, in their threads, what no handler should."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

from tests.worker.hostile import FAILED, SUCCEEDED, Unheard, Unprintable
from tidegate.context import Context


def exits() -> None:
    sys.exit(1)


def interrupts() -> None:
    raise KeyboardInterrupt


def stops_iteration() -> None:
    raise StopIteration


def raises_unheard() -> None:
    raise Unheard


def recurses() -> None:
    recurses()


def is_unprintable() -> None:
    raise Unprintable


def says_cancelled() -> None:
    raise asyncio.CancelledError


def returns_a_generator() -> object:
    def never_mind() -> Iterator[int]:
        yield 1
        raise Unheard

    return never_mind()


def returns_a_coroutine() -> object:
    async def never() -> None:
        return None

    coroutine = never()
    coroutine.close()
    return coroutine


def changes_folder(ctx: Context) -> None:
    before = os.getcwd()
    os.chdir(ctx.scratch)
    try:
        with open("here.txt", "w") as file:
            file.write("x")
    finally:
        os.chdir(before)


def runs_a_loop() -> int:
    async def inner() -> int:
        return 1

    return asyncio.run(inner())


def changes_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


DEEDS = {
    exits: FAILED,
    interrupts: FAILED,
    stops_iteration: FAILED,
    raises_unheard: FAILED,
    recurses: FAILED,
    is_unprintable: FAILED,
    says_cancelled: FAILED,
    returns_a_generator: FAILED,
    returns_a_coroutine: FAILED,
    changes_folder: SUCCEEDED,
    runs_a_loop: SUCCEEDED,
    changes_signals: FAILED,
}
"""What each of them comes to."""
