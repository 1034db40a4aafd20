"""The queues of a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.core.queue_circuit import QueueCircuit
from tidegate.core.text import check_name
from tidegate.sdk.asking import fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.requests import Page, change, get, lasting, named
from tidegate.sdk.resources import Call, J, L, Resource
from tidegate.sdk.upstreams import Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """Why so many jobs in line are not claimed now; `upstream` is None for a pause of their queue."""

    jobs: int
    why: str
    upstream: str | None
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueInfo:
    """A queue: its jobs by where they stand, and whether it is paused. `held` of those that are `ready` must wait.

    `limit` is how many may run at once, None for any number: after a pause few may, and ever more.
    """

    name: str
    paused: bool
    paused_at: datetime | None
    resumes_at: datetime | None
    why: str
    consecutive_errors: int
    last_error_at: datetime | None
    limit: int | None
    waiting: int
    ready: int
    running: int
    dead_letters: int
    depth: int
    held: int
    held_by: list[Held]
    oldest_ready_age: float | None
    throughput: float | None


class Queues(Resource[L, J]):
    """What `client.queues` does. What `app.queues` does too has its name, and tells the same."""

    @Call
    async def list(self) -> list[QueueInfo]:
        """All of them, by name."""
        return (await fetch(self._means, get("/queues"), Page[QueueInfo])).items

    @Call
    async def show(self, name: str) -> QueueInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await fetch(self._means, get(named("queue", name)), QueueInfo)

    @Call
    async def history(self, name: str) -> Sequence[Transition]:
        """When it was paused and resumed, and why, newest first; raises InvalidInput for one that is not known."""
        return (await fetch(self._means, get(f"{named('queue', name)}/history"), Page[Transition])).items

    @Call
    async def record_queue_rate_limit_error(self, queue: str) -> QueueCircuit:
        """Tell that a job of it met a rate limit: the fifth in a row pauses it."""
        return await self._told(change("POST", f"{named('queue', queue)}/rate-limit-errors"))

    @Call
    async def record_queue_success(self, queue: str) -> QueueCircuit:
        """Tell that a job of it succeeded: rate limits are counted anew."""
        return await self._told(change("POST", f"{named('queue', queue)}/successes"))

    @Call
    async def get_queue_circuit_status(self, queue: str) -> QueueCircuit:
        """How its breaker stands; one that nobody has heard of is not paused."""
        return await self._status(queue)

    @Call
    async def is_queue_paused(self, queue: str) -> bool:
        """Whether none of its jobs is claimed now."""
        return (await self._status(queue)).is_paused

    @Call
    async def pause_queue(self, queue: str, *, last: float | timedelta | None = None) -> QueueCircuit:
        """Claim none of its jobs, for so many seconds or until it is resumed. Running ones go on."""
        return await self._told(change("POST", f"{named('queue', queue)}/pause", lasting(last), repeatable=True))

    @Call
    async def resume_queue(self, queue: str) -> QueueCircuit:
        """Claim its jobs again, a few at first."""
        return await self._told(change("POST", f"{named('queue', queue)}/resume", repeatable=True))

    async def _status(self, queue: str) -> QueueCircuit:
        check_name("queue", queue)
        found = (await fetch(self._means, get("/queues"), Page[QueueInfo])).items
        return next((_circuit(info) for info in found if info.name == queue), QueueCircuit(queue=queue))

    async def _told(self, asked: Request) -> QueueCircuit:
        return _circuit(await fetch(self._means, asked, QueueInfo))


def _circuit(info: QueueInfo) -> QueueCircuit:
    return QueueCircuit(
        queue=info.name,
        consecutive_errors=info.consecutive_errors,
        last_error_at=info.last_error_at,
        is_paused=info.paused,
        paused_at=info.paused_at,
        resumes_at=info.resumes_at,
        why=info.why,
        limit=info.limit,
    )
