"""The queues of a server."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.sdk.asking import fetch
from tidegate.sdk.requests import Page, change, get, lasting, named
from tidegate.sdk.resources import Call, J, L, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """A queue: its jobs by where they stand, and whether it is paused."""

    name: str
    paused: bool
    paused_at: datetime | None
    resumes_at: datetime | None
    why: str
    consecutive_errors: int
    last_error_at: datetime | None
    waiting: int
    ready: int
    running: int
    dead_letters: int
    depth: int
    oldest_ready_age: float | None
    throughput: float | None


class Queues(Resource[L, J]):
    """What `client.queues` does."""

    @Call
    async def list(self) -> list[QueueInfo]:
        """All of them, by name."""
        return (await fetch(self._means, get("/queues"), Page[QueueInfo])).items

    @Call
    async def show(self, name: str) -> QueueInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await fetch(self._means, get(named("queue", name)), QueueInfo)

    @Call
    async def pause(self, name: str, last: float | timedelta | None = None) -> QueueInfo:
        """Claim none of its jobs, for so many seconds or until it is resumed."""
        asked = change("POST", f"{named('queue', name)}/pause", lasting(last), repeatable=True)
        return await fetch(self._means, asked, QueueInfo)

    @Call
    async def resume(self, name: str) -> QueueInfo:
        """Claim its jobs again, a few at first."""
        return await fetch(self._means, change("POST", f"{named('queue', name)}/resume", repeatable=True), QueueInfo)

    @Call
    async def record_rate_limit_error(self, name: str) -> QueueInfo:
        """Tell that a job of it met a rate limit: the fifth in a row pauses it."""
        return await fetch(self._means, change("POST", f"{named('queue', name)}/rate-limit-errors"), QueueInfo)

    @Call
    async def record_success(self, name: str) -> QueueInfo:
        """Tell that a job of it succeeded: rate limits are counted anew."""
        return await fetch(self._means, change("POST", f"{named('queue', name)}/successes"), QueueInfo)
