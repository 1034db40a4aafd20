"""submit and known: accept jobs, and tell those seen before."""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from tidegate.core.job import JobId, NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.redis.drafting import Draft, draft, key_field
from tidegate.engines.redis.scripts import Scripts
from tidegate.engines.redis.session import writing

BATCH: Final = 500
"""Jobs that one script accepts at most; a larger batch is several steps."""

_UNDER_WAY: Final = 3
"""Steps asked for at a time: the server works on one while the next is written down and sent."""

_TOLD: Final = {b"=": Submission.REPLAYED, b"!": Submission.CONFLICT}


async def submit(scripts: Scripts, jobs: Sequence[NewJob]) -> list[Receipt]:
    """See `ports.JobQueue.submit`."""
    drafts = [draft(job) for job in jobs]
    if len(drafts) <= BATCH:
        return await _submit(scripts, drafts)
    steps = deque[asyncio.Task[list[Receipt]]]()
    receipts: list[Receipt] = []
    try:
        for first in range(0, len(drafts), BATCH):
            if len(steps) == _UNDER_WAY:
                receipts += await steps.popleft()
            steps.append(asyncio.create_task(_submit(scripts, drafts[first : first + BATCH])))
        while steps:
            receipts += await steps.popleft()
    finally:
        await _end(steps)
    return receipts


async def _end(steps: Iterable[asyncio.Task[list[Receipt]]]) -> None:
    """See that none goes on once one has failed, and that nobody misses what the others say."""
    for step in steps:
        step.cancel()
    await asyncio.gather(*steps, return_exceptions=True)


async def _submit(scripts: Scripts, drafts: Sequence[Draft]) -> list[Receipt]:
    session = await writing(scripts)
    answer = await session.tell_lines("submit", lambda lines: [part for new in drafts for part in new.parts(lines)])
    session.lines.note(answer[len(drafts) :])
    return [_receipt(new, told or b"") for new, told in zip(drafts, answer, strict=False)]


def _receipt(new: Draft, told: bytes) -> Receipt:
    if not told:
        return Receipt(new.id, Submission.CREATED)
    return Receipt(JobId(told[1:].decode()), _TOLD[told[:1]])


async def known(scripts: Scripts, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
    """See `ports.JobQueue.known`."""
    found: list[tuple[JobId, str] | None] = []
    for first in range(0, len(keys), BATCH):
        fields = [key_field(*key) for key in keys[first : first + BATCH]]
        told = [part or b"" for part in await scripts.run("known", *fields)]
        pairs = zip(told[::2], told[1::2], strict=True)
        found += [(JobId(job_id.decode()), fingerprint.decode()) if job_id else None for job_id, fingerprint in pairs]
    return found
