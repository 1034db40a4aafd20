"""Every sequence of a few events, tried out: what a random search might miss, this can't."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from tidegate.core.breaker import observe, tick
from tidegate.core.fault import Fault
from tidegate.core.rules import API, CountRule
from tidegate.core.upstream import (
    Mark,
    Overridden,
    Override,
    Present,
    Seen,
    State,
    Tally,
    Upstream,
    fenced,
    gate,
    overridden,
    shut_until,
    state,
)
from tidegate.core.verbs import Gate

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
RULES: Final = replace(API, count=CountRule(more_than=1), rate=None, slow=None)
"""Two faults open: so that six events reach every state."""

DEPTH: Final = 6


@dataclass(frozen=True)
class World:
    """The upstream as stored, with the gate that the engine knows, at an instant."""

    upstream: Upstream
    stored: Gate
    now: datetime


def kept(world: World, upstream: Upstream) -> World:
    upstream = replace(fenced(upstream, RULES, world.now), log=())
    return World(upstream, gate(upstream, RULES, "a", world.now), world.now)


def told(world: World, fault: Fault | None, retry_after: float | None = None, *, stale: bool = False) -> World:
    era = world.upstream.since - 1 if stale else world.upstream.era
    present = Present(now=world.now, running=4)
    if fault is None:
        return kept(world, observe(world.upstream, Tally(era=era, ok=1, good=(Mark(at=world.now),)), RULES, present))
    wait = None if retry_after is None else timedelta(seconds=retry_after)
    seen = Seen(fault=fault, at=world.now, retry_after=wait)
    return kept(world, observe(world.upstream, Tally(era=era, faults=(seen,)), RULES, present))


def ticked(world: World, probing: float | None = None) -> World:
    hung = None if probing is None else timedelta(seconds=probing)
    return kept(world, tick(world.upstream, RULES, Present(now=world.now), hung))


def waited(world: World) -> World:
    """To the next edge, or for a second."""
    return replace(world, now=shut_until(world.upstream, world.now) or world.now + timedelta(seconds=1))


def decided(world: World, word: Override) -> World:
    given = Overridden(word=word, author="", at=world.now, until=world.now + timedelta(seconds=20))
    return kept(world, overridden(world.upstream, given, world.now, ""))


EVENTS: Final[Mapping[str, Callable[[World], World]]] = {
    "success": lambda world: told(world, None),
    "fault": lambda world: told(world, Fault.SERVER_ERROR),
    "rate limit": lambda world: told(world, Fault.RATE_LIMITED, 70),
    "quota": lambda world: told(world, Fault.QUOTA),
    "wait": waited,
    "hung": lambda world: ticked(world, 65),
    "tick": ticked,
    "off": lambda world: decided(world, Override.OFF),
}


def explored() -> Iterator[tuple[World, str, World]]:
    """Every step between worlds that so many events can reach."""
    first = World(Upstream(), Gate(name="a", era=-1), START)
    frontier, known = [first], {first}
    for _ in range(DEPTH):
        reached = []
        for world in frontier:
            for name, event in EVENTS.items():
                after = event(world)
                yield world, name, after
                if after not in known:
                    known.add(after)
                    reached.append(after)
        frontier = reached


def check(world: World, name: str, after: World) -> None:
    before, then = world.upstream, after.upstream
    assert then.era >= before.era
    if then.state is not before.state:
        assert then.since > before.since
        assert name in ({"success"} if then.state is State.CLOSED else {"fault", "rate limit", "quota", "hung"})
    if name == "wait":
        assert then is before
    assert after.stored.limit is None or world.stored.limit is not None or after.stored.era > world.stored.era
    if then.state is State.OPEN and then.override is None and name != "wait":
        assert after.stored.limit in (1, 2, 3)
        assert after.stored.not_before is None or after.stored.not_before > after.now
    if before.gate_until is not None:
        assert then.gate_until is not None
        assert then.gate_until >= before.gate_until
    assert told(after, None, stale=True).upstream == replace(then, log=())
    assert told(after, Fault.QUOTA, stale=True).upstream == replace(then, log=())


def recovered(world: World) -> bool:
    """Whether waiting until something may be claimed, and one success of it, close."""
    world = ticked(waited(ticked(world)))
    world = told(world, None)
    return state(world.upstream, world.now) is State.CLOSED


def test_no_sequence_of_six_events_breaks_a_promise() -> None:
    seen = 0
    for world, name, after in explored():
        check(world, name, after)
        assert recovered(after), (name, after)
        seen += 1
    assert seen > 10_000
