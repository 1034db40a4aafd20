"""What a run spent on models, kept beside its other artifacts: also of runs that failed, for they are billed too."""

import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from tidegate.context import Spent
from tidegate.core.budget import counted
from tidegate.core.job import Lease
from tidegate.core.ledger import USAGE, Entry
from tidegate.core.paths import run_prefix
from tidegate.errors import ArtifactError
from tidegate.worker.runtime import Runtime

MOST_ENTRIES: Final = 1_000
"""Calls of one run that are told apart."""

MOST_TOKENS: Final = 2**53
"""Of one call: more fits into no account."""

_log = logging.getLogger(__name__)


async def book(to: Runtime, lease: Lease, spent: Sequence[tuple[str, Spent]]) -> None:
    """Keep what the calls of one run took. What can't be kept loses the account, never the job."""
    run = lease.job.counters.runs
    path = run_prefix(lease.job.id, run, lease.token) + USAGE
    try:
        entries = [_entry(run, name, usage) for name, usage in spent[:MOST_ENTRIES]]
        await to.artifacts.put(path, msgspec.json.encode(entries), content_type="application/json")
    except (ArtifactError, TypeError, ValueError, ArithmeticError) as exc:  # a handler may say what is no number
        _log.warning("what job %s spent could not be kept", lease.job.id, exc_info=exc)


def _entry(run: int, upstream: str, usage: Spent) -> Entry:
    """What a handler says may be any number: what no call costs is not known, and the rest is whole."""
    return Entry(
        run=run,
        upstream=upstream,
        input_tokens=_tokens(usage.input_tokens),
        output_tokens=_tokens(usage.output_tokens),
        cost=counted(usage.cost),
    )


def _tokens(said: float) -> int:
    return int(min(max(said, 0), MOST_TOKENS))
