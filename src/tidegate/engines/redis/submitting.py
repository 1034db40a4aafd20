"""submit and known: accept jobs, and tell those seen before."""

from collections.abc import Sequence
from typing import Final

from tidegate.core.job import JobId, NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.redis.drafting import Draft, draft, key_field
from tidegate.engines.redis.lines import Lines
from tidegate.engines.redis.scripts import Scripts

BATCH: Final = 500
"""Jobs that one script accepts at most; a larger batch is several steps."""

_TOLD: Final = {b"=": Submission.REPLAYED, b"!": Submission.CONFLICT}


async def submit(scripts: Scripts, lines: Lines, jobs: Sequence[NewJob]) -> list[Receipt]:
    """See `ports.JobQueue.submit`."""
    drafts = [draft(job) for job in jobs]
    receipts: list[Receipt] = []
    for first in range(0, len(drafts), BATCH):
        receipts += await _submit(scripts, lines, drafts[first : first + BATCH])
    return receipts


async def _submit(scripts: Scripts, lines: Lines, drafts: Sequence[Draft]) -> list[Receipt]:
    args = [part for new in drafts for part in new.parts(lines)]
    answer = await scripts.run("submit", *args)
    lines.note(answer[len(drafts) :])
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
