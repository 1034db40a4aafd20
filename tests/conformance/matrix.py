"""What each of nine steps does to a job in each state it may be in, written down by hand.

The board is the contract as a table: no engine was asked, and a test holds it to `lifecycle.LEGAL`.
"""

from typing import Final, NamedTuple

from tidegate.core.job import Status

STEPS: Final = ("complete", "fail", "retry", "cancel", "timeout", "reclaim", "renew", "revive", "prune")
"""Who does what:

- complete, fail, retry: the worker that claimed the run settles it, and says so again if it did before
- cancel, revive: an operator asks for it
- timeout: a reaper takes the overdue run, and settles it as timed out
- reclaim: a reaper takes the run because its lease ran out, and holds it
- renew: the worker asks to keep its lease for long
- prune: a day passes, and what may be forgotten is
"""

_ENDED_BY: Final = {"complete": "succeeded", "fail": "failed", "retry": "retrying"}
_COLUMNS: Final = ("settle", "cancel", "timeout", "reclaim", "renew", "revive", "prune")

_BOARD: Final = """
running   applied>*  requested>asked    applied>late    expired>taken  held>renewed      illegal        -
renewed   applied>*  requested>asked+   applied>late    -              held              illegal        -
asked     cancelling requested          applied>stopped expired>asked- cancelling>asked+ illegal        -
asked+    cancelling requested          applied>stopped -              cancelling        illegal        -
taken     lost       requested>asked-   -               -              lost              illegal        -
asked-    lost       requested          -               -              lost              illegal        -
succeeded applied    finished           -               -              lost              illegal        pruned>gone
failed    applied    finished           -               -              lost              revived>fresh  pruned>gone
late      lost       finished           -               -              lost              revived>as-new pruned>gone
stopped   lost       finished           -               -              lost              revived>as-new pruned>gone
retrying  applied    cancelled>dropped  -               -              lost              illegal        -
dropped   applied    finished           -               -              lost              revived>fresh  pruned>gone
fresh     applied    cancelled>unwanted -               -              lost              illegal        -
unwanted  applied    finished           -               -              lost              revived>fresh  pruned>gone
as-new    lost       cancelled>needless -               -              lost              illegal        -
needless  lost       finished           -               -              lost              revived>as-new pruned>gone
gone      lost       unknown            -               -              lost              unknown        -
"""
"""Each cell is the answer, and behind ">" the state that the job is in then, if another; "*" is the
ending that the worker asked for. In the states that answer "applied" the worker's was the newest ended run."""


class State(NamedTuple):
    """What a store shows of a job: `holder` has its lease, `asked` tells of a wish to cancel, `error` is a code."""

    status: Status
    holder: str | None = None
    asked: bool = False
    error: str | None = None
    attempts: int = 1


STATES: Final[dict[str, State | None]] = {
    "running": State(Status.RUNNING, "worker"),
    "renewed": State(Status.RUNNING, "worker"),
    "asked": State(Status.RUNNING, "worker", asked=True),
    "asked+": State(Status.RUNNING, "worker", asked=True),
    "taken": State(Status.RUNNING, "reaper"),
    "asked-": State(Status.RUNNING, "reaper", asked=True),
    "succeeded": State(Status.SUCCEEDED),
    "failed": State(Status.FAILED, error="broken"),
    "late": State(Status.FAILED, error="timeout"),
    "stopped": State(Status.CANCELLED, asked=True),
    "retrying": State(Status.QUEUED, error="flaky"),
    "dropped": State(Status.CANCELLED, error="flaky"),
    "fresh": State(Status.QUEUED, attempts=0),
    "unwanted": State(Status.CANCELLED, attempts=0),
    "as-new": State(Status.QUEUED, attempts=0),
    "needless": State(Status.CANCELLED, attempts=0),
    "gone": None,
}


class Move(NamedTuple):
    """The answer to a step, and the state behind it."""

    answer: str
    state: str


def _moves(line: str) -> tuple[str, dict[str, Move]]:
    state, *cells = line.split()
    moves: dict[str, Move] = {}
    for column, cell in zip(_COLUMNS, cells, strict=True):
        answer, _, after = cell.partition(">")
        for step in _ENDED_BY if column == "settle" else (column,):
            moves[step] = Move(answer, _ENDED_BY[step] if after == "*" else after or state)
    return state, moves


BOARD: Final = dict(_moves(line) for line in _BOARD.strip().splitlines())
