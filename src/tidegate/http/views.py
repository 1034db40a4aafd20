"""Jobs as clients see them."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from tidegate.core.job import Body, Job, Phase, Progress, Status
from tidegate.core.lifecycle import phase
from tidegate.core.query import HistoryEntry
from tidegate.core.retry_json import policy_to_json
from tidegate.handlers import JobType
from tidegate.http.schemas import HistoryItem, JobItem, JobStatus, JobTypeItem, JobWhole

Link = Callable[[str], str]
"""Makes one of our paths the path that a client reaches it by."""

_WAITS: Final = {
    Phase.PAUSED: "its queue is paused",
    Phase.PARKED: "its upstream is not available",
    Phase.READY: "it waits for a free worker",
}


def job_status(job: Job, now: datetime, link: Link) -> JobStatus:
    """Where a job stands."""
    return JobStatus.model_validate(_status(job, now, link))


def job_item(job: Job, now: datetime, link: Link) -> JobItem:
    """A job in a list."""
    return JobItem.model_validate(_item(job, now, link))


def whole_job(job: Job, body: Body, now: datetime, link: Link) -> bytes:
    """All of a job, as JSON; its payload and result in the bytes they are stored in."""
    known = JobWhole.model_validate(_item(job, now, link) | _rest(job))
    text = known.model_dump_json(exclude={"payload", "result"}).encode()
    return b'%b,"payload":%b,"result":%b}' % (text[:-1], body.payload, body.result or b"null")


def history_item(entry: HistoryEntry) -> HistoryItem:
    """A step of a job."""
    return HistoryItem(seq=entry.seq, at=entry.at, event=entry.event, run=entry.run, note=entry.note)


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


def _status(job: Job, now: datetime, link: Link) -> dict[str, object]:
    stands = phase(job, now)
    progress = Progress(fraction=1.0) if job.status is Status.SUCCEEDED else job.progress
    return {
        "job_id": job.id,
        "status": job.status,
        "phase": stands,
        "attempts": job.attempts,
        "progress": progress and {"fraction": progress.fraction, "message": progress.message},
        "wait_reason": _wait_reason(job, stands),
        "retry_at": job.run_at if stands is Phase.RETRYING else None,
        "result_path": job.result_path,
        "result_url": link(f"/jobs/{job.id}/result") if job.result_path else None,
        "error": job.error.code if job.error else None,
        "error_type": (job.error.error_type or None) if job.error else None,
        "error_message": job.error.message if job.error else None,
        "created_at": job.created_at,
        "started_at": job.started_at,
        "finished_at": job.finished_at,
        "timeout_at": job.timeout_at,
    }


def _item(job: Job, now: datetime, link: Link) -> dict[str, object]:
    return _status(job, now, link) | {
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
        "user_id": job.spec.user_id,
        "idempotency_key": job.spec.idempotency_key,
        "request_id": job.spec.request_id,
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


def _wait_reason(job: Job, stands: Phase) -> str | None:
    at = job.run_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    match stands:
        case Phase.SCHEDULED:
            return f"it is due at {at}"
        case Phase.RETRYING:
            return f"it runs again at {at}"
        case _:
            return _WAITS.get(stands)
