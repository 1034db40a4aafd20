"""cancel, revive, dismiss, prune: what operators ask for, in batches that a script does quickly."""

from collections.abc import Iterator, Sequence
from typing import Final

from tidegate.core.job import JobId
from tidegate.core.verbs import Cancellation, Dismissal, Revival
from tidegate.engines.redis.scripts import Answer, Scripts

BATCH: Final = 500
"""Jobs that one script works on at most; a longer question is several steps."""


async def cancel(scripts: Scripts, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
    """See `ports.JobAdmin.cancel`."""
    answers: list[Cancellation] = []
    for batch in _batches(job_ids):
        answers += map(Cancellation, _texts(await scripts.run("cancel", nonce, *batch)))
    return answers


async def revive(scripts: Scripts, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
    """See `ports.JobAdmin.revive`."""
    answers: list[Revival] = []
    for batch in _batches(job_ids):
        answers += map(Revival, _texts(await scripts.run("revive", nonce, *batch)))
    return answers


async def dismiss(scripts: Scripts, job_ids: Sequence[JobId]) -> list[Dismissal]:
    """See `ports.JobAdmin.dismiss`."""
    answers: list[Dismissal] = []
    for batch in _batches(job_ids):
        answers += map(Dismissal, _texts(await scripts.run("dismiss", *batch)))
    return answers


async def prune(scripts: Scripts, limit: int) -> list[JobId]:
    """See `ports.JobAdmin.prune`; keys, nonces and grants are forgotten in lots, too."""
    pruned: list[JobId] = []
    while True:
        wanted = min(max(limit - len(pruned), 0), BATCH)
        batch = [JobId(job_id) for job_id in _texts(await scripts.run("prune", wanted))]
        pruned += batch
        if len(batch) < BATCH or len(pruned) >= limit:
            return pruned


def _batches(job_ids: Sequence[JobId]) -> Iterator[Sequence[JobId]]:
    return (job_ids[first : first + BATCH] for first in range(0, len(job_ids), BATCH))


def _texts(answer: Answer) -> Iterator[str]:
    return (word.decode() for word in answer if word is not None)
