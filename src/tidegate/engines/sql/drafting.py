"""New jobs, written down as far as that goes without the store: done by the caller, not by the writer."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from tidegate.core.job import HIGHEST_PRIORITY, LOWEST_PRIORITY, NewJob
from tidegate.engines.sql.codec import micros, stamp, write_tags, write_terms
from tidegate.errors import InvalidInput

LONGEST_TIMEOUT: Final = timedelta(days=36_525)
"""A century: a longer timeout is a slip of the unit, and its end might be no instant."""


@dataclass(slots=True)
class Draft:
    """A job to submit, written down as far as that goes without the store."""

    new: NewJob
    run_at: int | None
    delay: int
    columns: tuple[int | str | None, ...]
    """tags, expires_at, first_expires_at, timeout, terms, idempotency_key, fingerprint, request_id, traceparent"""


def draft(new: NewJob) -> Draft:
    """What can be written of a new job before the store has seen it; raises InvalidInput."""
    spec = new.spec
    if not LOWEST_PRIORITY <= spec.priority <= HIGHEST_PRIORITY:
        raise InvalidInput("priority", f"must be {LOWEST_PRIORITY} to {HIGHEST_PRIORITY}, not {spec.priority}")
    if not abs(spec.timeout) <= LONGEST_TIMEOUT:
        raise InvalidInput("timeout", f"must be at most {LONGEST_TIMEOUT.days} days, not {spec.timeout.days}")
    expires_at = None if spec.expires_at is None else stamp(spec.expires_at)
    columns = (
        write_tags(spec.tags),
        expires_at,
        expires_at,
        micros(spec.timeout),
        write_terms(spec.retry, spec.retry_on_timeout, spec.retention),
        spec.idempotency_key,
        spec.fingerprint,
        spec.request_id,
        spec.traceparent,
    )
    return Draft(new, None if new.run_at is None else stamp(new.run_at), micros(new.delay), columns)
