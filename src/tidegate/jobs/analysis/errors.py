"""What the analysis raises on its own account: one error, for a file that holds no table."""

from enum import StrEnum

from tidegate import errors


class Reason(StrEnum):
    """Why a file is no data. Stable words, for programs."""

    EMPTY = "empty"
    BINARY = "binary"
    BROKEN = "broken"
    ENCRYPTED = "encrypted"
    NOT_TABULAR = "not_tabular"
    TOO_LARGE = "too_large"


class NotData(errors.NotData):
    """The file cannot be analysed, and trying again will not help.

    The message says what was found, why it cannot be analysed, and what to send instead. `code` is the
    stable word for programs; `reason` narrows it.
    """

    def __init__(self, message: str, reason: Reason = Reason.NOT_TABULAR) -> None:
        super().__init__(message)
        self.reason = reason


def first_line(error: BaseException) -> str:
    """What a library said, short enough for a message of ours."""
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def is_panic(error: BaseException) -> bool:
    """Whether a library written in Rust gave up on its input. Each has a class of this name, none a common base."""
    return type(error).__name__ == "PanicException"
