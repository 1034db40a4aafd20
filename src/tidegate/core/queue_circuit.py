"""How the breaker of a queue stands, as the library and the client of the HTTP API both tell it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueCircuit:
    """A queue's breaker. `resumes_at` is None where it is not paused, or paused until somebody resumes it.

    `limit` is how many of its jobs may run at once, None for any number: after a pause few may, and ever more.
    """

    queue: str
    consecutive_errors: int = 0
    last_error_at: datetime | None = None
    is_paused: bool = False
    paused_at: datetime | None = None
    resumes_at: datetime | None = None
    why: str = ""
    limit: int | None = None
