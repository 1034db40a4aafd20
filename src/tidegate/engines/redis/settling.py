"""settle: end runs."""

from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import Final, assert_never

from tidegate.core import steps
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Cancel, Defer, Ending, Refund, Retry, Settlement, Succeed
from tidegate.core.verbs import Settled
from tidegate.engines.redis.codec import MOST_INLINE, write_failure, write_lane, write_success
from tidegate.engines.redis.drafting import LONGEST_TEXT, Draft, after, draft
from tidegate.engines.redis.lines import Lines
from tidegate.engines.redis.scripts import Scripts
from tidegate.engines.redis.session import writing
from tidegate.engines.redis.wire import Part
from tidegate.errors import InvalidInput

BATCH: Final = 200
"""Endings that one script applies at most."""

_SHORT_NOTE: Final = LONGEST_TEXT // 4
"""Characters of a note that fit however they are written."""

_REFUNDS: Final[dict[Refund | None, Part]] = {
    None: "",
    Refund.UPSTREAM_FAULT: 1,
    Refund.CRASH: 2,
    Refund.INTERRUPTION: 3,
}


_SETTLED: Final = {answer.value.encode(): answer for answer in Settled}


async def settle(scripts: Scripts, endings: Sequence[Ending]) -> list[Settled]:
    """See `ports.JobQueue.settle`."""
    drafts = [[draft(job) for job in ending.then] for ending in endings]
    if any(job.spec.idempotency_key is not None for ending in endings for job in ending.then):
        raise InvalidInput("then", "a follow-up job has no idempotency key: its ending is its key")
    answers: list[Settled] = []
    for first in range(0, len(endings), BATCH):
        batch = endings[first : first + BATCH]
        session = await writing(scripts)
        told = await session.tell_lines("settle", partial(_asked, batch, drafts[first : first + BATCH]))
        session.lines.note(told[len(batch) :])
        answers += [_SETTLED[word or b""] for word in told[: len(batch)]]
    return answers


def _asked(endings: Sequence[Ending], drafts: Sequence[Sequence[Draft]], lines: Lines) -> list[Part]:
    parts: list[Part] = [len(endings)]
    results: list[Part] = []
    for number, ending in enumerate(endings, 1):
        settlement = ending.settlement
        parts += _how(ending, settlement)
        if isinstance(settlement, Succeed) and settlement.result and len(settlement.result) > MOST_INLINE:
            results += number, settlement.result
    then = ((number, *new.parts(lines)) for number, follow in enumerate(drafts, 1) for new in follow)
    return [*parts, len(results) // 2, *results, *chain.from_iterable(then)]


def _how(ending: Ending, settlement: Settlement) -> tuple[Part, ...]:
    """Its id, token, word and note, and what its kind needs."""
    job_id, token, (_, note) = ending.job_id, ending.token, steps.recorded(settlement)
    if len(note) > _SHORT_NOTE:
        note = note.encode()[:LONGEST_TEXT].decode(errors="ignore")
    match settlement:
        case Succeed():
            return job_id, token, "succeed", note, write_success(settlement)
        case Retry():
            return job_id, token, "retry", note, write_failure(settlement.failure), after(settlement.delay)
        case Defer():
            lane = b"" if settlement.lane is None else write_lane(settlement.lane)
            when, refund = after(settlement.delay), _REFUNDS[settlement.refund]
            return job_id, token, "defer", note, _error(settlement.failure), when, refund, lane
        case Bury():
            return job_id, token, "bury", note, write_failure(settlement.failure), _REFUNDS[settlement.refund]
        case Cancel():
            return job_id, token, "cancel", note
        case _:
            assert_never(settlement)


def _error(failure: Failure | None) -> bytes:
    return b"" if failure is None else write_failure(failure)
