"""What each run of a job spent on models: a document beside the job, for as long as the job is kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tidegate.context import Spent
from tidegate.core.job import Job, JobId
from tidegate.core.verbs import Document, Swap
from tidegate.ports import Documents
from tidegate.worker.runtime import Runtime

LEDGER: Final = "ledger"
"""The kind of these documents; the key is the job's id."""

MOST_ENTRIES: Final = 1_000
"""Calls of one job that are told apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One call: `cost` in millionths of a US dollar, None where the price is not known."""

    run: int
    upstream: str
    input_tokens: int
    output_tokens: int
    cost: int | None


_decoder: Final = msgspec.json.Decoder(tuple[Entry, ...])


def entries_of(document: Document) -> tuple[Entry, ...]:
    """What a job has spent so far."""
    return () if document.value is None else _decoder.decode(document.value)


async def book(to: Runtime, job: Job, spent: Sequence[tuple[str, Spent]]) -> None:
    """Add the calls of one run; raises EngineUnavailable."""
    run = job.counters.runs
    new = [
        Entry(
            run=run, upstream=name, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost=usage.cost
        )
        for name, usage in spent
    ]
    [document] = await to.engine.load(LEDGER, [job.id])
    while True:
        entries = (*entries_of(document), *new)[:MOST_ENTRIES]
        swap = Swap(
            kind=LEDGER,
            key=job.id,
            value=msgspec.json.encode(entries),
            expected=document.version,
            nonce=to.nonce(),
        )
        swapped = await to.engine.swap(swap)
        if swapped.won:
            return
        document = swapped.document


async def forget(store: Documents, job_ids: Sequence[JobId], nonce: str) -> None:
    """Remove the ledgers of jobs that are gone; raises EngineUnavailable."""
    for document in await store.load(LEDGER, job_ids):
        if document.value is not None:
            await store.swap(Swap(kind=LEDGER, key=document.key, value=None, expected=document.version, nonce=nonce))
