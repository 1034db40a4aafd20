"""submit: accept jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tidegate.core.job import JobId
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.sql.codec import LATEST
from tidegate.engines.sql.drafting import Draft
from tidegate.engines.sql.sqlite.ledger import Line, Stand
from tidegate.engines.sql.sqlite.placing import Arrival, place
from tidegate.engines.sql.sqlite.session import Session
from tidegate.engines.sql.sqlite.snapshot import Value

_KNOWN_IDS: Final = """
SELECT json_group_array(json_array(jobs.id, jobs.fingerprint))
FROM ({rows}) AS asked CROSS JOIN jobs ON jobs.id = asked.column1
"""
KNOWN_KEYS: Final = """
SELECT json_group_array(json_array(known.user_id, known.key, known.fingerprint, known.job_id))
FROM ({rows}) AS asked CROSS JOIN idempotency AS known ON known.user_id = asked.column1 AND known.key = asked.column2
"""
_INSERT: Final = """
INSERT INTO jobs (
    seq, id, line_id, first_line_id, user_id, priority, stage, rank, run_at, due_at, created_at, tags, expires_at,
    first_expires_at, timeout, terms, idempotency_key, fingerprint, request_id, traceparent
) {rows}
"""
_INSERT_BODIES: Final = "INSERT INTO bodies (seq, payload) {rows}"
_INSERT_KEYS: Final = "INSERT INTO idempotency (user_id, key, fingerprint, job_id) {rows}"
_INSERT_HISTORY: Final = """
INSERT INTO history (seq, n, at, event, run, note)
SELECT seq, 1, created_at, 'submitted', 0, '' FROM jobs WHERE seq BETWEEN ? AND ? ORDER BY seq
"""

_pairs: Final = msgspec.json.Decoder(list[tuple[str, str]])
keys_decoder: Final = msgspec.json.Decoder(list[tuple[str, str, str, str]])


@dataclass(slots=True)
class Accepted:
    """A job that is new; `arrival` where it is due at once."""

    draft: Draft
    line: Line
    run_at: int
    arrival: Arrival | None


def submit(session: Session, drafts: Sequence[Draft]) -> list[Receipt]:
    """See `ports.JobQueue.submit`."""
    receipts, accepted = accept(session, drafts)
    arrivals = [job.arrival for job in accepted if job.arrival is not None]
    insert(session, accepted, place(session, arrivals))
    return receipts


def accept(session: Session, drafts: Sequence[Draft]) -> tuple[list[Receipt], list[Accepted]]:
    """Tell new jobs from known ones; writes nothing but lines."""
    ids = dict(session.read_each(_pairs, _KNOWN_IDS, [(draft.new.id,) for draft in drafts]))
    keys = _known_keys(session, drafts)
    receipts, accepted = [], []
    for draft in drafts:
        receipt = _known(draft, ids, keys)
        if receipt is None:
            spec = draft.new.spec
            ids[draft.new.id] = spec.fingerprint
            if spec.idempotency_key is not None:
                keys[spec.user_id, spec.idempotency_key] = (spec.fingerprint, draft.new.id)
            accepted.append(_accepted(session, draft))
            receipt = Receipt(draft.new.id, Submission.CREATED)
        receipts.append(receipt)
    return receipts, accepted


def _known_keys(session: Session, drafts: Sequence[Draft]) -> dict[tuple[str, str], tuple[str, str]]:
    specs = [draft.new.spec for draft in drafts]
    asked = [(spec.user_id, spec.idempotency_key) for spec in specs if spec.idempotency_key is not None]
    rows = session.read_each(keys_decoder, KNOWN_KEYS, asked)
    return {(user_id, key): (fingerprint, job_id) for user_id, key, fingerprint, job_id in rows}


def _known(draft: Draft, ids: dict[str, str], keys: dict[tuple[str, str], tuple[str, str]]) -> Receipt | None:
    new, spec = draft.new, draft.new.spec
    if new.id in ids:
        fingerprint, first = ids[new.id], new.id
    elif spec.idempotency_key is not None and (spec.user_id, spec.idempotency_key) in keys:
        fingerprint, named = keys[spec.user_id, spec.idempotency_key]
        first = JobId(named)
    else:
        return None
    return Receipt(first, Submission.REPLAYED if fingerprint == spec.fingerprint else Submission.CONFLICT)


def _accepted(session: Session, draft: Draft) -> Accepted:
    spec = draft.new.spec
    line = session.ledger.line(spec.lane, spec.type)
    run_at = min(session.now + draft.delay, LATEST) if draft.run_at is None else draft.run_at
    arrival = Arrival(line, spec.user_id, spec.priority) if run_at <= session.now else None
    return Accepted(draft, line, run_at, arrival)


def insert(session: Session, accepted: Sequence[Accepted], ranks: Sequence[int]) -> None:
    """Write new jobs; `ranks` are those of the ones that are due, in order."""
    if not accepted:
        return
    ledger, place_of = session.ledger, iter(ranks)
    first = ledger.last_seq + 1
    rows: list[tuple[Value, ...]] = []
    for seq, job in enumerate(accepted, first):
        rank = None if job.arrival is None else next(place_of)
        ledger.count(job.line, Stand.WAITING if rank is None else Stand.READY, 1)
        rows.append(_row(seq, job, rank, session.now))
        session.touched.add(f"queue:{job.line.lane.queue}")
    ledger.last_seq = first + len(accepted) - 1
    session.write(_INSERT, rows)
    session.write(_INSERT_BODIES, [(seq, job.draft.new.payload) for seq, job in enumerate(accepted, first)])
    session.run(_INSERT_HISTORY, first, ledger.last_seq)
    session.write(_INSERT_KEYS, [key for job in accepted for key in _key(job.draft)])


def _row(seq: int, job: Accepted, rank: int | None, now: int) -> tuple[Value, ...]:
    new, line_id, run_at = job.draft.new, job.line.id, job.run_at
    stage = 0 if rank is None else 1
    head = (seq, new.id, line_id, line_id, new.spec.user_id, new.spec.priority, stage, rank, run_at, run_at, now)
    return head + job.draft.columns


def _key(draft: Draft) -> list[tuple[str, str, str, str]]:
    spec = draft.new.spec
    key = spec.idempotency_key
    return [] if key is None else [(spec.user_id, key, spec.fingerprint, draft.new.id)]
