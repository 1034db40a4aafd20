"""renew: keep leases, and record progress."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tidegate.core.verbs import Beat, Renewal
from tidegate.engines.redis.codec import micros, write_progress
from tidegate.engines.redis.scripts import Scripts

BATCH: Final = 1_000
"""Leases that one script renews at most."""


async def renew(scripts: Scripts, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
    """See `ports.JobQueue.renew`."""
    answers: list[Renewal] = []
    for first in range(0, len(beats), BATCH):
        parts = [part for beat in beats[first : first + BATCH] for part in _parts(beat)]
        told = await scripts.run("renew", micros(lease_for), *parts)
        answers += [Renewal((word or b"").decode()) for word in told]
    return answers


def _parts(beat: Beat) -> tuple[str, str, bytes]:
    return beat.job_id, beat.token, b"" if beat.progress is None else write_progress(beat.progress)
