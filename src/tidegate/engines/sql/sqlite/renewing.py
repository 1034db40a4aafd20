"""renew: keep leases, and record progress."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

from tidegate.core.verbs import Beat, Renewal
from tidegate.engines.sql.codec import micros, write_progress
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import Value, numbers

_HELD: Final = """
SELECT json_group_array(json_array(
    jobs.id, jobs.seq, leases.token, json(iif(jobs.cancel_requested_at IS NULL, 'false', 'true'))
))
FROM ({rows}) AS asked CROSS JOIN jobs ON jobs.id = asked.column1 CROSS JOIN leases ON leases.seq = jobs.seq
"""
_EXTEND: Final = "UPDATE leases SET expires_at = ? WHERE seq IN (SELECT value FROM json_each(?))"
_PROGRESS: Final = """
UPDATE jobs SET progress_fraction = told.column2, progress_message = told.column3
FROM ({rows}) AS told WHERE jobs.seq = told.column1
"""

_held: Final = msgspec.json.Decoder(list[tuple[str, int, str, bool]])


def renew(session: Session, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
    """See `ports.JobQueue.renew`."""
    asked = [(beat.job_id,) for beat in beats]
    held = {(job_id, token): (seq, cancel) for job_id, seq, token, cancel in session.read_each(_held, _HELD, asked)}
    seqs: set[int] = set()
    progress: dict[int, tuple[Value, ...]] = {}
    answers = []
    for beat in beats:
        seq, cancel = held.get((beat.job_id, beat.token), (None, False))
        if seq is None:
            answers.append(Renewal.LOST)
            continue
        seqs.add(seq)
        if beat.progress is not None:
            progress[seq] = (seq, *write_progress(beat.progress))
        answers.append(Renewal.CANCELLING if cancel else Renewal.HELD)
    session.run(_EXTEND, session.now + micros(lease_for), numbers(seqs))
    session.write(_PROGRESS, list(progress.values()))
    return answers
