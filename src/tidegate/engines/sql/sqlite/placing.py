"""Giving ranks: where in their lines the jobs stand that became ready."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import msgspec

from tidegate.engines.sql.sqlite.ledger import STEPS, Line, Stand
from tidegate.engines.sql.sqlite.session import Session

Flow: TypeAlias = tuple[int, str, int]
"""Line, user and priority."""


@dataclass(slots=True)
class Arrival:
    """A job that becomes ready; `kept` is the rank it had here before."""

    line: Line
    user_id: str
    priority: int
    kept: int | None = None


_LAST: Final = """
SELECT json_group_array((
    SELECT rank FROM jobs
    WHERE line_id = flows.column1 AND user_id = flows.column2 AND priority = flows.column3
        AND status = 'queued' AND stage IN (1, 2)
    ORDER BY rank DESC LIMIT 1
)) FROM ({rows}) AS flows
"""
_ranks: Final = msgspec.json.Decoder(list[int | None])


def place(session: Session, arrivals: Sequence[Arrival]) -> list[int]:
    """The ranks of jobs that become ready in this order; `fairness.rank` says which."""
    flows = [(arrival.line.id, arrival.user_id, arrival.priority) for arrival in arrivals]
    last = _last_ranks(session, flows)
    ranks: list[int] = []
    for arrival, flow in zip(arrivals, flows, strict=True):
        before = last.get(flow, 0)
        rank = max(arrival.line.reached, before) + STEPS[arrival.priority]
        if arrival.kept is not None and arrival.kept < rank:
            rank = arrival.kept
        ranks.append(rank)
        last[flow] = max(before, rank)
    return ranks


def _last_ranks(session: Session, flows: Sequence[Flow]) -> dict[Flow, int]:
    """The highest rank in line of every flow that has anybody there."""
    lines = session.ledger.lines
    asked = [flow for flow in dict.fromkeys(flows) if lines[flow[0]].counts[Stand.READY] > 0]
    found = session.read_each(_ranks, _LAST, asked)
    return {flow: rank for flow, rank in zip(asked, found, strict=True) if rank is not None}
