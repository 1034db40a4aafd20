"""A chain of models: the next one serves where the upstream of the one before does not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from pydantic import BaseModel

from tidegate.core.fault import REACTIONS, Fault
from tidegate.errors import ConfigError, LLMError, UpstreamUnavailable
from tidegate.llm.chat import Chat
from tidegate.llm.guard import Guard
from tidegate.llm.values import DETERMINISTIC, Message, Reply, Usage
from tidegate.llm.wire import Ask

Deterministic = Callable[[Sequence[Message]], BaseModel | str]
"""Answers without a model: quick, never failing, and with nothing that the messages do not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One model of a chain. One with a `longer_context` is asked too where a prompt was too long for others."""

    llm: Chat
    longer_context: bool = False


_OF_THE_UPSTREAM: Final = frozenset(fault for fault, asks in REACTIONS.items() if asks.refunds or asks.blocks)
"""What another upstream may do better. Any other fault is the job's own, and would be so everywhere."""


class Chain(Chat):
    """Asks the first model, and the next ones only for faults of upstreams. A shut upstream is skipped at no cost.

    Where none answered, `deterministic` does if the first failed by its upstream's fault; else the first error is
    raised, so that the job waits for its first upstream. But it does not wait for money where another may serve sooner.
    """

    def __init__(self, hops: Sequence[Hop | Chat], *, deterministic: Deterministic | None = None) -> None:
        if not hops:
            raise ConfigError("a chain needs at least one model")
        self._hops = [hop if isinstance(hop, Hop) else Hop(llm=hop) for hop in hops]
        self._deterministic = deterministic

    async def answer(self, ask: Ask, guard: Guard | None = None) -> Reply[object]:
        """See `Chat.answer`; the reply says who served it, and is `degraded` unless that was the first."""
        failed: list[LLMError | UpstreamUnavailable] = []
        for hop in self._hops:
            if failed and not _helps(hop, failed[-1]):
                continue
            try:
                reply = await hop.llm.answer(ask, guard)
                return replace(reply, degraded=hop is not self._hops[0])
            except (LLMError, UpstreamUnavailable) as error:
                failed.append(error)
        if self._deterministic is None or not _of_the_upstream(failed[0]):
            raise next((error for error in failed if not _spent(error)), failed[0])
        return _made(self._deterministic(ask.messages), ask)


def _helps(hop: Hop, error: LLMError | UpstreamUnavailable) -> bool:
    """Whether a hop may do better where another failed so."""
    if isinstance(error, LLMError) and Fault(error.code) is Fault.CONTEXT_TOO_LONG:
        return hop.longer_context
    return _of_the_upstream(error)


def _of_the_upstream(error: LLMError | UpstreamUnavailable) -> bool:
    return isinstance(error, UpstreamUnavailable) or Fault(error.code) in _OF_THE_UPSTREAM


def _spent(error: LLMError | UpstreamUnavailable) -> bool:
    return isinstance(error, UpstreamUnavailable) and error.spent


def _made(answer: BaseModel | str, ask: Ask) -> Reply[object]:
    """The reply that a program made. Raises ConfigError where it is not of the form asked for."""
    text = answer if isinstance(answer, str) else answer.model_dump_json()
    parsed = None if ask.wanted is None else ask.wanted.read(text)
    if ask.wanted is not None and parsed is None:
        raise ConfigError(f"the deterministic answer is no {ask.wanted.name}")
    return Reply(
        text=text,
        parsed=parsed,
        model=DETERMINISTIC,
        usage=Usage(cost=0),
        finish_reason="stop",
        served_by=DETERMINISTIC,
        degraded=True,
    )
