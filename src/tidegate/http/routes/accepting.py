"""What accepting a job over HTTP takes: replay → breaker → budget → limits → submit. A replay costs no limit."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from typing import Final

from starlette.requests import Request

from tidegate.core.job import NewJob, Status
from tidegate.core.verbs import Take
from tidegate.errors import (
    BudgetSpent,
    EngineUnavailable,
    InvalidInput,
    JobNotFound,
    RateLimited,
    TidegateError,
    UpstreamOpen,
)
from tidegate.http.face import Face, owner_of
from tidegate.http.guards import limits
from tidegate.http.guards.limits import Grant
from tidegate.http.requests.asking import header_key, job_request, origin_of
from tidegate.http.requests.reading import parse_json
from tidegate.intake import Accepted
from tidegate.requests import JobRequest, fingerprint_of

LONGEST_WAIT: Final = timedelta(hours=1)
"""What a client is told to wait at most: an operator's word without an end has one nobody knows of."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request: an accepted job, and the limits' headers where they were counted."""

    accepted: Accepted
    headers: dict[str, str]


def asked_of(request: Request, body: bytes) -> JobRequest:
    """What a request asks for; raises Refusal, InvalidInput and AccessDenied."""
    origin = origin_of(request, owner_of(request))
    return job_request(parse_json(body), body, origin, header_key(request))


def takes_of(face: Face, asked: JobRequest, peer: str) -> list[Take]:
    """What one accepted job counts against."""
    return [*limits.post(face.settings, peer), *limits.enqueue(face.settings, asked.user_id)]


async def accepted(face: Face, asked: JobRequest, peer: str) -> Answer:
    """Accept a job, or find the one that the same request made before; raises what refuses it."""
    try:
        return await _accept(face, asked, peer)
    except (InvalidInput, RateLimited, UpstreamOpen, BudgetSpent):
        # What is refused today may have been accepted before: then its sender missed the answer.
        replay = await face.client.intake.replayed(asked)
        if replay is None:
            raise
        return Answer(replay, {})


async def _accept(face: Face, asked: JobRequest, peer: str) -> Answer:
    face.application.registry.get(asked.type)  # which has none of Tidegate's own
    job = await face.client.intake.check(asked)
    takes = takes_of(face, asked, peer)
    replay = await face.client.intake.replayed(asked) if takes else None
    if replay is not None:
        return Answer(replay, {})
    await admit(face, job)
    grant = await _count(face, asked, takes)
    try:
        [accepted] = await face.client.intake.store([job])
    except TidegateError as exc:
        # Where nobody knows whether the job is stored, its count stays: a repeat of the request finds it taken.
        if asked.idempotency_key is None or not isinstance(exc, EngineUnavailable):
            await face.limits.give_back(grant)
        raise
    # A twin that was first has taken the same grant, and keeps it.
    return Answer(accepted, grant.headers if accepted.created else {})


async def _count(face: Face, asked: JobRequest, takes: Sequence[Take]) -> Grant:
    """Count a request: under its key once, and without one together with those that come meanwhile."""
    if asked.idempotency_key is None or not takes:
        return await face.limits.share(takes)
    return await face.limits.take(takes, grant_nonce([asked]))


def grant_nonce(asked: Sequence[JobRequest]) -> str | None:
    """The same for twins, in whichever process: they take one grant between them, and none is refused for another.

    None where a request has no key.
    """
    said = [(one.user_id, one.idempotency_key, fingerprint_of(one)) for one in asked if one.idempotency_key is not None]
    if len(said) < len(asked):
        return None
    return hashlib.sha256("\0".join(chain.from_iterable(sorted(said))).encode()).hexdigest()[:32]


async def admit(face: Face, job: NewJob) -> None:
    """Refuse a job whose upstream is open, or whose user has no money left there, where its type says so.

    REQUIREMENTS A10. The store is asked only of upstreams that have a budget for each user.
    """
    health = face.system.upstreams
    if not face.application.registry.get(job.spec.type).rejects:
        return
    shut = health.open_until(job.spec.lane)
    if shut is not None:
        upstream, until = shut
        raise UpstreamOpen(upstream, retry_after=min(until - health.now(), LONGEST_WAIT))
    gates, user = job.spec.lane.gates[1:], job.spec.user_id
    if health.budgets.concern(gates, user):
        spent = await health.budgets.spent_out(gates, user)
        if spent is not None:
            upstream, until = spent
            raise BudgetSpent(upstream, retry_after=until - health.now(), until=until)


async def status_of(face: Face, job_id: str) -> Status | None:
    """The status of a job that an earlier request made; None where it has been pruned since."""
    try:
        return (await face.client.get(job_id)).status
    except JobNotFound:
        return None
