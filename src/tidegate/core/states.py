"""Words for how an upstream stands, which clients know without knowing how it is decided."""

from enum import StrEnum


class State(StrEnum):
    """A circuit breaker's state; half-open is open with the time over."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Override(StrEnum):
    """What an operator may decide for the whole fleet."""

    OPEN = "open"  # nothing is claimed
    CLOSED = "closed"  # the breaker does not open; Retry-After and the limit hold
    OFF = "off"  # nothing is held back
