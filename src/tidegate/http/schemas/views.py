"""Jobs as clients see them."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from tidegate.core.job import Body, Job, Phase, Progress, Status
from tidegate.core.ledger import Entry
from tidegate.core.lifecycle import phase
from tidegate.core.query import HistoryEntry, WorkerInfo
from tidegate.core.retry_json import policy_to_json
from tidegate.core.waiting import Look, wait_reason
from tidegate.handlers import JobType
from tidegate.http.schemas.jobs import HistoryItem, JobItem, JobProgress, JobStatus, JobUsage, JobWhole, UsageItem
from tidegate.http.schemas.service import JobTypeItem

Link = Callable[[str], str]
"""Makes one of our paths the path that a client reaches it by."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What jobs are seen by: the store's present, links as the client reaches them, and the health of gates.

    `workers` are those at work, None where that is not known, or does not matter.
    """

    now: datetime
    link: Link
    look: Look
    shut: Collection[str] = ()
    workers: Collection[WorkerInfo] | None = None


def job_status(job: Job, sight: Sight) -> JobStatus:
    """Where a job stands."""
    return JobStatus.model_validate(_status(job, sight))


def job_item(job: Job, sight: Sight) -> JobItem:
    """A job in a list."""
    return JobItem.model_validate(_item(job, sight))


def whole_job(job: Job, body: Body, sight: Sight) -> bytes:
    """All of a job, as JSON; its payload and result in the bytes they are stored in."""
    known = JobWhole.model_validate(_item(job, sight) | _rest(job))
    text = known.model_dump_json(exclude={"payload", "result"}).encode()
    return b'%b,"payload":%b,"result":%b}' % (text[:-1], body.payload, body.result or b"null")


def progress(job: Job) -> JobProgress | None:
    """How far a job is: all the way once it has succeeded, whatever its run said."""
    known = Progress(fraction=1.0) if job.status is Status.SUCCEEDED else job.progress
    return None if known is None else JobProgress(fraction=known.fraction, message=known.message)


def history_item(entry: HistoryEntry) -> HistoryItem:
    """A step of a job."""
    return HistoryItem(seq=entry.seq, at=entry.at, event=entry.event, run=entry.run, note=entry.note)


def usage(entries: Sequence[Entry]) -> JobUsage:
    """What a job spent on models. The sum is of the calls whose price is known."""
    items = [
        UsageItem(
            run=entry.run,
            upstream=entry.upstream,
            input_tokens=entry.input_tokens,
            output_tokens=entry.output_tokens,
            cost=entry.cost,
        )
        for entry in entries
    ]
    return JobUsage(items=items, cost=sum(entry.cost or 0 for entry in entries))


def job_type_item(job_type: JobType) -> JobTypeItem:
    """A job type, with its payload's schema."""
    return JobTypeItem(
        name=job_type.name,
        description=job_type.description,
        mode=job_type.mode,
        queue=job_type.lane.queue,
        upstream=job_type.lane.upstream,
        max_attempts=job_type.retry.max_attempts,
        timeout=job_type.timeout.total_seconds(),
        payload_schema=dict(job_type.schema()),
    )


def _status(job: Job, sight: Sight) -> dict[str, object]:
    stands = phase(job, sight.now, sight.shut)
    waits = wait_reason(job, sight.now, sight.look, sight.workers)
    return {
        "job_id": job.id,
        "status": job.status,
        "phase": stands,
        "attempts": job.attempts,
        "progress": progress(job),
        "wait_reason": waits and waits.message,
        "wait_until": waits and waits.until,
        "retry_at": job.run_at if stands is Phase.RETRYING else None,
        "result_path": job.result_path,
        "result_url": sight.link(f"/jobs/{job.id}/result") if job.result_path else None,
        "error": job.error.code if job.error else None,
        "error_type": (job.error.error_type or None) if job.error else None,
        "error_message": job.error.message if job.error else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "timeout_at": job.timeout_at,
    }


def _item(job: Job, sight: Sight) -> dict[str, object]:
    return _status(job, sight) | {
        "user_id": job.spec.user_id,
        "type": job.spec.type,
        "queue": job.lane.queue,
        "upstream": job.lane.upstream,
        "priority": job.spec.priority,
        "tags": list(job.spec.tags),
        "max_attempts": job.spec.retry.max_attempts,
        "run_at": job.run_at,
        "degraded": job.degraded,
        "served_by": job.served_by,
    }


def _rest(job: Job) -> dict[str, object]:
    return {
        "idempotency_key": job.spec.idempotency_key,
        "request_id": job.spec.request_id,
        "traceparent": job.spec.traceparent or None,
        "retry": policy_to_json(job.spec.retry),
        "timeout": job.spec.timeout.total_seconds(),
        "expires_at": job.expires_at,
        "runs": job.counters.runs,
        "upstream_faults": job.counters.upstream_faults,
        "crashes": job.counters.crashes,
        "interruptions": job.counters.interruptions,
        "cancel_requested_at": job.cancel_requested_at,
        "dismissed_at": job.dismissed_at,
        "prune_at": job.prune_at,
        "payload": None,
        "result": None,
    }
