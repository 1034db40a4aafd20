"""Builders: the values that clauses drive a store with, and the steps that nearly every clause begins with.

All ids and nonces are counted, so a failing clause fails with the same values each time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from typing import Final, TypedDict, Unpack

from tests.conformance.harness import Harness
from tidegate.core.failure import Failure
from tidegate.core.fairness import Turn
from tidegate.core.ids import uuid7
from tidegate.core.job import (
    Ending,
    Job,
    JobId,
    Lane,
    Lease,
    NewJob,
    Owner,
    Retention,
    Settlement,
    Spec,
    Succeed,
    Token,
)
from tidegate.core.query import Event
from tidegate.core.retry import RetryPolicy
from tidegate.core.verbs import Claimed, ClaimRequest, Gate, Reclaimed, ReclaimRequest, Settled, Submission, Swap

WORKER: Final = Owner("worker-1")
OTHER_WORKER: Final = Owner("worker-2")
REAPER: Final = Owner("reaper-1")

LEASE: Final = timedelta(seconds=30)
"""How long every lease of these clauses lasts, unless they say otherwise."""

_MADE_AT_MS: Final = 1_767_225_600_000
_numbers = count(1)


def nonce() -> str:
    """A fresh nonce: 32 hex digits."""
    return f"{next(_numbers):032x}"


def fresh_id() -> JobId:
    """A fresh job id; later ones sort behind."""
    return JobId(uuid7(_MADE_AT_MS, next(_numbers).to_bytes(10, "big")))


def seconds(number: float) -> timedelta:
    """A duration, short to write."""
    return timedelta(seconds=number)


def lane(upstream: str | None = None, *parents: str, queue: str = "default") -> Lane:
    """A lane, short to write."""
    return Lane(queue=queue, upstream=upstream, parents=parents)


class SpecChanges(TypedDict, total=False):
    """The fields of `Spec`, all optional."""

    type: str
    user_id: str
    lane: Lane
    priority: int
    tags: tuple[str, ...]
    retry: RetryPolicy
    timeout: timedelta
    retry_on_timeout: bool
    expires_at: datetime | None
    retention: Retention
    idempotency_key: str | None
    fingerprint: str
    request_id: str
    traceparent: str


def spec(**changes: Unpack[SpecChanges]) -> Spec:
    """What a job asks for: type "work" of one user in the default lane, unless changed."""
    return replace(Spec(type="work", user_id="ada", fingerprint="f-1"), **changes)


def new_job(
    *,
    job_id: JobId | None = None,
    payload: bytes = b"{}",
    run_at: datetime | None = None,
    delay: timedelta = timedelta(0),
    **changes: Unpack[SpecChanges],
) -> NewJob:
    """A job to submit, with a fresh id; what is not its own goes to its `spec`."""
    return NewJob(id=job_id or fresh_id(), spec=spec(**changes), payload=payload, run_at=run_at, delay=delay)


def failure(code: str = "processing_error", message: str = "it went wrong") -> Failure:
    """Why a run did not return."""
    return Failure(code=code, message=message, error_type="ValueError")


def turns(*queues: str, quota: int = 100) -> tuple[Turn, ...]:
    """One turn a queue, all with the same quota."""
    return tuple(Turn(queue=queue, quota=quota) for queue in queues)


class RequestChanges(TypedDict, total=False):
    """The fields of `ClaimRequest`, all optional."""

    owner: Owner
    turns: Sequence[Turn]
    types: frozenset[str]
    limit: int
    lease_for: timedelta
    share: int | None
    held: Mapping[str, int]


def request(**changes: Unpack[RequestChanges]) -> ClaimRequest:
    """A claim of up to 100 jobs of type "work" from the default queue, unless changed."""
    plain = ClaimRequest(owner=WORKER, turns=turns("default"), types=frozenset({"work"}), limit=100, lease_for=LEASE)
    return replace(plain, **changes)


class ReclaimChanges(TypedDict, total=False):
    """The fields of `ReclaimRequest`, all optional."""

    owner: Owner
    limit: int
    lease_for: timedelta
    overdue_by: timedelta
    dead: tuple[Owner, ...]
    keep: frozenset[Token]
    only: tuple[JobId, ...] | None


def reclaim_request(**changes: Unpack[ReclaimChanges]) -> ReclaimRequest:
    """A reclaim of up to 100 jobs by the reaper, runs 2 s past their timeout among them, unless changed."""
    plain = ReclaimRequest(owner=REAPER, limit=100, lease_for=LEASE, overdue_by=seconds(2))
    return replace(plain, **changes)


# steps -----------------------------------------------------------------------------------------------------


async def submit(harness: Harness, *jobs: NewJob) -> list[JobId]:
    """Submit jobs in one batch, all of them new; their ids."""
    receipts = await harness.engine.submit(jobs)
    assert [receipt.submission for receipt in receipts] == [Submission.CREATED] * len(jobs)
    return [receipt.job_id for receipt in receipts]


async def submit_one(harness: Harness, **changes: Unpack[SpecChanges]) -> JobId:
    """Submit one job that is due now; its id."""
    (submitted,) = await submit(harness, new_job(**changes))
    return submitted


async def claim(harness: Harness, nonce_: str | None = None, **changes: Unpack[RequestChanges]) -> Claimed:
    """Claim, with a fresh nonce unless one is given."""
    return await harness.engine.claim(request(**changes), nonce_ or nonce())


async def claimed_ids(harness: Harness, **changes: Unpack[RequestChanges]) -> list[JobId]:
    """Claim; the ids of the jobs taken, in their order."""
    return [lease.job.id for lease in (await claim(harness, **changes)).leases]


async def claim_one(harness: Harness, **changes: Unpack[RequestChanges]) -> Lease:
    """Claim one job that must be there; its lease."""
    one: RequestChanges = {**changes, "limit": 1}
    (lease,) = (await claim(harness, **one)).leases
    return lease


async def start(harness: Harness, **changes: Unpack[SpecChanges]) -> Lease:
    """Submit one job and claim it, whatever its queue and type; its lease."""
    wanted = spec(**changes)
    submitted = await submit_one(harness, **changes)
    lease = await claim_one(harness, turns=turns(wanted.lane.queue), types=frozenset({wanted.type}))
    assert lease.job.id == submitted
    return lease


async def settle(harness: Harness, lease: Lease, settlement: Settlement, *then: NewJob) -> Settled:
    """End one run; what became of that."""
    ending = Ending(job_id=lease.job.id, token=lease.token, settlement=settlement, then=then)
    (answer,) = await harness.engine.settle([ending])
    return answer


async def end(harness: Harness, lease: Lease, settlement: Settlement, *then: NewJob) -> JobId:
    """End one run, which must work; the job's id."""
    assert await settle(harness, lease, settlement, *then) is Settled.APPLIED
    return lease.job.id


async def finish(harness: Harness, settlement: Settlement | None = None, **changes: Unpack[SpecChanges]) -> JobId:
    """Submit, claim and end one job, with success unless told otherwise; its id."""
    return await end(harness, await start(harness, **changes), settlement or Succeed())


async def reclaim(harness: Harness, nonce_: str | None = None, **changes: Unpack[ReclaimChanges]) -> list[Reclaimed]:
    """Reclaim, with a fresh nonce unless one is given."""
    return await harness.engine.reclaim(reclaim_request(**changes), nonce_ or nonce())


async def reclaim_one(harness: Harness, **changes: Unpack[ReclaimChanges]) -> Reclaimed:
    """Reclaim the one job that must be there to take over."""
    (taken,) = await reclaim(harness, **changes)
    return taken


async def cancel(harness: Harness, *job_ids: JobId) -> list[str]:
    """Cancel jobs, with a fresh nonce; the answers."""
    return [answer.value for answer in await harness.engine.cancel(job_ids, nonce())]


async def set_gates(harness: Harness, *gates: Gate, key: str = "one") -> None:
    """Make these the gates of the document `key`."""
    (stored,) = await harness.engine.load("upstream", [key])
    swap = Swap(kind="upstream", key=key, value=b"{}", expected=stored.version, nonce=nonce(), gates=gates)
    assert (await harness.engine.swap(swap)).won


# looking ---------------------------------------------------------------------------------------------------


async def job(harness: Harness, job_id: JobId) -> Job:
    """A job that must be there."""
    (found,) = await harness.engine.get([job_id])
    assert found is not None
    return found


async def steps(harness: Harness, job_id: JobId) -> list[Event]:
    """What the history of one job says happened to it, oldest first."""
    return [entry.event for entry in await harness.engine.history(job_id)]
