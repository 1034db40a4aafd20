"""What is sent of a job that ended, and the job that sends it. Thin: whoever wants more asks for the job."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

import msgspec

from tidegate.core.failure import Failure
from tidegate.core.ids import RANDOM_BYTES, uuid7
from tidegate.core.job import Bury, Cancel, Job, JobId, Lane, NewJob, Retention, Settlement, Spec, Status, Succeed
from tidegate.core.retry import Exponential, RetryPolicy
from tidegate.core.text import storable
from tidegate.system_jobs import SYSTEM_PREFIX, SYSTEM_QUEUE
from tidegate.system_jobs.webhooks import JOB_TYPE
from tidegate.system_jobs.webhooks.endpoint import Endpoint
from tidegate.telemetry.redaction import rfc3339

TEST: Final = "webhook.test"
"""The type of the event that a user asks for to see whether it arrives."""

LONGEST_MESSAGE: Final = 1_000
"""Characters of an error's message: what is sent stays below 20 kB, whatever a job holds."""

LONGEST_WORD: Final = 128


_RETENTION: Final = Retention(failed=timedelta(days=7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How long and how often it is tried. Faults of the receiver are no attempts; after `kept_up` nothing is tried."""

    retry: RetryPolicy = RetryPolicy(
        backoff=Exponential(initial=timedelta(seconds=5), factor=3.0, cap=timedelta(hours=12), jitter=0.1),
        max_attempts=14,
    )
    kept_up: timedelta = timedelta(days=3)
    test_kept_up: timedelta = timedelta(minutes=10)
    timeout: timedelta = timedelta(seconds=30)
    retention: Retention = _RETENTION


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a job ended, before or after the store has it. `mark` tells this end from any other of the same job."""

    status: Status
    attempts: int
    mark: str
    error: Failure | None = None
    result: bool = False


def end_by(job: Job, settlement: Settlement) -> End | None:
    """The end that a settlement makes of a job as it was claimed; None where it goes on."""
    mark = f"run {job.counters.runs} of {job.counters.base}"
    match settlement:
        case Succeed():
            result = settlement.result_path is not None
            return End(status=Status.SUCCEEDED, attempts=job.attempts, mark=mark, result=result)
        case Bury():
            attempts = job.attempts - (settlement.refund is not None)
            return End(status=Status.FAILED, attempts=attempts, mark=mark, error=settlement.failure)
        case Cancel():
            return End(status=Status.CANCELLED, attempts=job.attempts, mark=mark)
        case _:
            return None


def end_of_waiting(job: Job) -> End | None:
    """The end of a job that was cancelled while it waited; None for any other, which a worker ended."""
    if job.status is not Status.CANCELLED or job.cancel_requested_at is not None or job.finished_at is None:
        return None
    return End(status=Status.CANCELLED, attempts=job.attempts, mark=f"waited until {rfc3339(job.finished_at)}")


def concerns(job: Job) -> bool:
    """Whether anybody may hear of that job: of what Tidegate does for itself nobody does."""
    return not job.spec.type.startswith(SYSTEM_PREFIX)


def event_of(job: Job, end: End, at: datetime) -> dict[str, object]:
    """What is told of it."""
    data: dict[str, object] = {
        "job_id": job.id,
        "type": job.spec.type,
        "status": end.status,
        "attempts": end.attempts,
        "tags": list(job.spec.tags),
        "user_id": job.spec.user_id,
    }
    if end.result:
        data["result_url"] = f"/jobs/{job.id}/result"
    if end.error is not None:
        data["error"] = storable(end.error.code, LONGEST_WORD)
        data["error_type"] = storable(end.error.error_type, LONGEST_WORD) or None
        data["error_message"] = storable(end.error.message, LONGEST_MESSAGE)
    return _event(f"job.{end.status}", at, data)


def test_event(endpoint: Endpoint, at: datetime) -> dict[str, object]:
    """What is sent on request."""
    return _event(TEST, at, {"webhook_id": endpoint.id, "user_id": endpoint.user_id})


def _event(name: str, at: datetime, data: Mapping[str, object]) -> dict[str, object]:
    return {"type": name, "timestamp": rfc3339(at), "data": data}


def id_of(endpoint: Endpoint, job: Job, mark: str) -> JobId:
    """The id of the delivery of one end to one webhook: whoever makes it again makes the same, and it is sent once."""
    digest = sha256("\n".join((endpoint.id, job.id, mark)).encode()).digest()
    return JobId(uuid7(int(job.id[:8] + job.id[9:13], 16), digest[:RANDOM_BYTES]))


def payload(endpoint: Endpoint, message: str, event: Mapping[str, object]) -> bytes:
    """The payload of a delivery: which webhook, never its secret or address."""
    return msgspec.json.encode({"webhook": endpoint.id, "message": message, "event": event})


def caused(by: Spec, new: NewJob) -> NewJob:
    """The same job, tied to the call that asked for the one it tells of."""
    return replace(new, spec=replace(new.spec, request_id=by.request_id, traceparent=by.traceparent))


def delivery(endpoint: Endpoint, job_id: JobId, sent: bytes, terms: Terms, expires_at: datetime) -> NewJob:
    """The job that sends. Its owner is the webhook's, and its lane the webhook's own."""
    spec = Spec(
        type=JOB_TYPE,
        user_id=endpoint.user_id,
        lane=Lane(queue=SYSTEM_QUEUE, upstream=endpoint.upstream),
        tags=(endpoint.tag,),
        retry=terms.retry,
        timeout=terms.timeout,
        retry_on_timeout=True,
        expires_at=expires_at,
        retention=terms.retention,
    )
    return NewJob(id=job_id, spec=spec, payload=sent)
