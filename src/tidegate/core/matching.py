"""What every filter of a `JobQuery` means, for engines that sift jobs one by one."""

from tidegate.core.job import Job, Phase
from tidegate.core.query import JobQuery


def matching(job: Job, query: JobQuery, phase: Phase) -> bool:
    """Whether a job, which is in `phase` now, passes every filter; pages are the caller's matter."""
    spec = job.spec
    wanted: tuple[tuple[object, object], ...] = (
        (query.status, job.status),
        (query.type, spec.type),
        (query.queue, job.lane.queue),
        (query.upstream, job.lane.upstream),
        (query.user_id, spec.user_id),
        (query.phase, phase),
    )
    return (
        all(want is None or want == have for want, have in wanted)
        and (query.tag is None or query.tag in spec.tags)
        and (query.created_from is None or job.created_at >= query.created_from)
        and (query.created_before is None or job.created_at < query.created_before)
        and (query.error_text is None or _says(job, query.error_text))
    )


def ascii_lower(text: str) -> str:
    """ASCII letters in lower case; the others are left, as SQLite's `lower` leaves them."""
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def _says(job: Job, text: str) -> bool:
    if job.error is None:
        return False
    return any(ascii_lower(text) in ascii_lower(said) for said in (job.error.code, job.error.message))
