"""What Python would print of exceptions that nobody caught, without their text: it may hold what a user sent."""

from __future__ import annotations  # sys.UnraisableHookArgs exists for type checkers only

import sys
import threading
from collections.abc import Callable

Tell = Callable[[str, BaseException], None]
"""(event name, exception) → a line somewhere."""


def adopt_uncaught(tell: Tell) -> None:
    """Hand exceptions that end a thread, or escape a finaliser, to `tell` instead of printing them."""

    def of_thread(given: threading.ExceptHookArgs) -> None:
        if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
            tell("thread.broke", given.exc_value)

    def unraisable(given: sys.UnraisableHookArgs) -> None:
        if given.exc_value is not None:
            tell("finaliser.broke", given.exc_value)

    threading.excepthook = of_thread
    sys.unraisablehook = unraisable
