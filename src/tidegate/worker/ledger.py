"""What a run spent on models, kept beside its other artifacts: also of runs that failed, for they are billed too."""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.context import Spent
from tidegate.core.job import Lease
from tidegate.core.ledger import USAGE, Entry
from tidegate.core.paths import run_prefix
from tidegate.errors import ArtifactError
from tidegate.worker.runtime import Runtime

MOST_ENTRIES: Final = 1_000
"""Calls of one run that are told apart."""

_log = logging.getLogger(__name__)


async def book(to: Runtime, lease: Lease, spent: Sequence[tuple[str, Spent]]) -> None:
    """Keep what the calls of one run took. A store that fails loses the account, never the job."""
    run = lease.job.counters.runs
    entries = [
        Entry(
            run=run, upstream=name, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost=usage.cost
        )
        for name, usage in spent[:MOST_ENTRIES]
    ]
    path = run_prefix(lease.job.id, run, lease.token) + USAGE
    try:
        await to.artifacts.put(path, msgspec.json.encode(entries), content_type="application/json")
    except ArtifactError as exc:
        _log.warning("what job %s spent could not be kept", lease.job.id, exc_info=exc)
