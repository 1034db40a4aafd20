"""Who comes next: start-time fair queueing within a line, weights between queues.

A *line* is the ready jobs of one lane and type, a *flow* those of one user and priority in it. A job that
becomes ready gets `rank = max(V, last) + 1 / weight`, V the highest rank claimed from the line, `last` the
highest rank among the flow's jobs in line (Goyal, Vin and Cheng, "Start-time Fair Queuing", 1996); an engine
may use the last rank it gave the flow instead. Ranks grow by powers of two, so doubles add them exactly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


def weight(priority: int) -> int:
    """The share of a flow: each priority step doubles it, so none starves another."""
    return 1 << priority


def rank(virtual: float, last: float | None, priority: int) -> float:
    """The place in line of a job that becomes ready now; lower is sooner, ties break by `seq`."""
    return max(virtual, virtual if last is None else last) + 1.0 / weight(priority)


def share(remaining: int, lanes: int) -> int:
    """How many the next of `lanes` lanes may give when `remaining` are still wanted: ceil of the even part."""
    return -(-remaining // max(lanes, 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One queue's part of a claim: `quota` jobs in the first pass."""

    queue: str
    quota: int


def turns(weights: Mapping[str, int], served: Mapping[str, float], wanted: int) -> tuple[Turn, ...]:
    """Split `wanted` jobs over the queues by weight, the queue that is due first standing first.

    `served` is what `charge` keeps; `weights` are positive. Every queue of `weights` has its turn, if only
    with quota 0.
    """
    passes = {queue: served.get(queue, 0.0) for queue in weights}
    quotas: dict[str, int] = {}
    for _ in range(wanted):
        queue = min(passes, key=lambda name: (passes[name] + 1 / weights[name], -weights[name], name))
        passes[queue] += 1 / weights[queue]
        quotas[queue] = quotas.get(queue, 0) + 1
    rest = sorted(set(weights) - set(quotas), key=lambda name: (passes[name] + 1 / weights[name], name))
    return tuple(Turn(queue=queue, quota=quotas.get(queue, 0)) for queue in (*quotas, *rest))


def charge(
    weights: Mapping[str, int], served: Mapping[str, float], asked: Sequence[Turn], taken: Mapping[str, int]
) -> Mapping[str, float]:
    """What each queue has had, in jobs by weight, after a claim for `asked` took `taken`.

    Smooth weighted round robin over any number of claims: busy queues get their weights' shares, also when
    one job is taken at a time. A queue that gave less than its quota is idle, and is raised to the least of
    the others, so that it gathers no credit.
    """
    after = {queue: served.get(queue, 0.0) + taken.get(queue, 0) / weights[queue] for queue in weights}
    idle = {turn.queue for turn in asked if taken.get(turn.queue, 0) < turn.quota}
    busy = [passed for queue, passed in after.items() if queue not in idle]
    floor = min(busy, default=max(after.values(), default=0.0))
    return {queue: max(passed - floor, 0.0) for queue, passed in after.items()}
