"""What a handler made: its result, encoded, and the files it saved."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from tidegate.context import Context, Result, Saved
from tidegate.core.failure import Failure
from tidegate.core.job import Lost
from tidegate.core.text import storable
from tidegate.handlers import encode

NAME_LIMIT = 128
"""Characters kept of who served a result."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """`result` is JSON, None where nothing was returned; `saved` are files in the run's scratch folder."""

    result: bytes | None = None
    degraded: bool = False
    served_by: str | None = None
    saved: tuple[Saved, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GaveWay:
    """The handler chose to run again: after a while, or once an upstream is well, which had `refused` it.

    Or at `until`, for the reason that `failure` tells.
    """

    after: timedelta = timedelta(0)
    upstream: str | None = None
    refused: bool = False
    until: datetime | None = None
    failure: Failure | None = None


Made = Produced | Failure | Lost | GaveWay

NOTHING: Final = Produced()


def produced(value: object, context: Context | None) -> Produced:
    """What a handler that returned `value` made; raises InvalidInput for what JSON can't say."""
    if value is None and (context is None or not context.saved):
        return NOTHING
    wrapped = value if isinstance(value, Result) else Result(value=value)
    return Produced(
        result=None if wrapped.value is None else encode(wrapped.value),
        degraded=bool(wrapped.degraded),
        served_by=None if wrapped.served_by is None else storable(str(wrapped.served_by), NAME_LIMIT),
        saved=tuple(context.saved) if context is not None else (),
    )
