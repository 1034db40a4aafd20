"""Queues that pause by themselves after rate limits, and by hand (REQUIREMENTS B)."""

from datetime import timedelta

from tidegate.core.queue_circuit import QueueCircuit
from tidegate.core.rules import RunRule
from tidegate.core.upstream import FOREVER, Override, State, Transition, Upstream, gate, shut_until
from tidegate.upstreams.policies import QUEUES, gate_of
from tidegate.upstreams.service import Upstreams


class QueueCircuits:
    """What an application may tell and ask of its queues. Every method raises EngineUnavailable."""

    def __init__(self, upstreams: Upstreams) -> None:
        self._upstreams = upstreams

    async def record_queue_rate_limit_error(self, queue: str) -> QueueCircuit:
        """A job of the queue met a rate limit: the fifth in a row pauses it for 60 s."""
        self._upstreams.queue_limited(queue)
        return await self._flushed(queue)

    async def record_queue_success(self, queue: str) -> QueueCircuit:
        """A job of the queue succeeded: rate limits are counted anew."""
        self._upstreams.queue_succeeded(queue)
        return await self._flushed(queue)

    async def get_queue_circuit_status(self, queue: str) -> QueueCircuit:
        """How the queue's breaker stands."""
        await self._upstreams.keeper.refresh()
        return self.known(queue)

    async def is_queue_paused(self, queue: str) -> bool:
        """Whether no job of the queue is claimed now."""
        return (await self.get_queue_circuit_status(queue)).is_paused

    async def pause_queue(self, queue: str, *, author: str = "", last: timedelta | None = None) -> QueueCircuit:
        """Claim none of its jobs for `last`, or until it is resumed. Running ones go on."""
        await self._upstreams.override(gate_of(QUEUES, queue), Override.OPEN, author=author, last=last)
        return self.known(queue)

    async def resume_queue(self, queue: str, *, author: str = "") -> QueueCircuit:
        """Claim its jobs again, a few at first."""
        await self._upstreams.reset(gate_of(QUEUES, queue), author=author)
        return self.known(queue)

    def known(self, queue: str) -> QueueCircuit:
        """The same as this process knows it, without a store call."""
        name, now = gate_of(QUEUES, queue), self._upstreams.now()
        upstream, rules = self._upstreams.known(name)
        until = shut_until(upstream, now)
        paused = upstream.log[0] if until is not None and upstream.log else None
        return QueueCircuit(
            queue=queue,
            consecutive_errors=_in_a_row(upstream, rules.run),
            last_error_at=upstream.run_at,
            is_paused=until is not None,
            paused_at=None if paused is None else paused.at,
            resumes_at=None if until is None or until >= FOREVER else until,
            why="" if paused is None else _why(paused),
            limit=gate(upstream, rules, name, now).limit,
        )

    async def _flushed(self, queue: str) -> QueueCircuit:
        await self._upstreams.keeper.flush(gate_of(QUEUES, queue))
        return self.known(queue)


def _why(paused: Transition) -> str:
    return f"paused by {paused.author or 'an operator'}" if paused.to == "override" else paused.why


def _in_a_row(upstream: Upstream, rule: RunRule | None) -> int:
    """Rate limits in a row: all that it took, while they hold the queue back."""
    paused = upstream.state is State.OPEN and upstream.opens and rule is not None
    return rule.length if paused and rule is not None else upstream.run
