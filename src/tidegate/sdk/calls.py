"""What each call on jobs asks, and how its answer is read: plans, which the blocking and the async client share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from tidegate import clock
from tidegate.core.ids import is_uuid, uuid7
from tidegate.core.job import Status
from tidegate.errors import InvalidInput, JobCancelled, JobFailed, JobNotFound, ServiceError
from tidegate.sdk import bodies
from tidegate.sdk.asking import Means, ask, decoded, fetch
from tidegate.sdk.bodies import BatchOptions, Filters, SubmitOptions, check_names
from tidegate.sdk.steps import Emit, Flow, Plan, Request
from tidegate.sdk.values import Artifact, JobDetails, JobItem, JobStatus, JobStep, JobTypeInfo, Usage
from tidegate.sdk.waiting import ended

T = TypeVar("T")

PAGE: Final = 100
"""Jobs in one page of a list; iterating goes on to the next."""

NO_BULK: Final = frozenset({404, 405})
"""What a server answers that takes no batches."""

_JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job was accepted; `created` is False where an earlier request under its key had made it."""

    job_id: str
    created: bool


class Page(msgspec.Struct, Generic[T]):
    """What a list answers; `next` is where the page after it begins."""

    items: list[T]
    next: int | str | None = None


class _Submitted(msgspec.Struct):
    job_id: str


class _InBulk(msgspec.Struct):
    job_id: str
    created: bool


def known(job_id: str) -> str:
    """The id, if it can be one; raises JobNotFound. So none leads to another path."""
    if not is_uuid(job_id):
        raise JobNotFound(job_id)
    return job_id


def get(path: str, job_id: str = "") -> Request:
    """Asks for what is there."""
    return Request(method="GET", path=path, job_id=job_id)


# submit ----------------------------------------------------------------------------------------------------


def submit(means: Means, job_type: str, payload: object, options: SubmitOptions) -> Plan[Accepted]:
    """Accept a job, under a key that is made where none is given: so a repeat is the same job."""
    check_names("submit", options, SubmitOptions.__annotations__)
    key = options.get("idempotency_key") or _new_key()
    return (yield from _submitted(means, bodies.job(job_type, payload, options, key), key))


def submit_many(
    means: Means, job_type: str, payloads: Sequence[object], keys: Sequence[str], options: BatchOptions
) -> Plan[list[Accepted]]:
    """Accept many, in batches where the server takes batches; all are written down before any is sent."""
    check_names("submit_many", options, BatchOptions.__annotations__)
    if keys and len(keys) != len(payloads):
        raise InvalidInput("keys", f"{len(keys)} keys for {len(payloads)} payloads: give one each, or none")
    given = list(keys) or [_new_key() for _ in payloads]
    jobs = [bodies.job(job_type, payload, options, key) for payload, key in zip(payloads, given, strict=True)]
    accepted: list[Accepted] = []
    for batch in bodies.batches(jobs):
        at = len(accepted)
        accepted += yield from _batch(means, batch, given[at : at + len(batch)])
    return accepted


def _batch(means: Means, batch: Sequence[bytes], keys: Sequence[str]) -> Plan[list[Accepted]]:
    request = Request(method="POST", path="/jobs/bulk", headers=_JSON, content=bodies.bulk(batch), repeatable=True)
    try:
        told = yield from fetch(means, request, Page[_InBulk])
    except ServiceError as exc:
        if exc.status not in NO_BULK:
            raise
    else:
        return [Accepted(item.job_id, item.created) for item in told.items]
    one_by_one: list[Accepted] = []
    for job, key in zip(batch, keys, strict=True):
        one_by_one.append((yield from _submitted(means, job, key)))
    return one_by_one


def _submitted(means: Means, body: bytes, key: str) -> Plan[Accepted]:
    request = Request(method="POST", path="/jobs", headers=_JSON, content=body, repeatable=True, key=key)
    answer = yield from ask(means, request)
    return Accepted(decoded(means, answer, _Submitted).job_id, answer.status == 201)


def _new_key() -> str:
    return uuid7(*clock.new_id_parts())


# one job ---------------------------------------------------------------------------------------------------


def details(means: Means, job_id: str) -> Plan[JobDetails]:
    """All of a job."""
    return (yield from fetch(means, get(f"/jobs/{job_id}", job_id), JobDetails))


def act(means: Means, job_id: str, verb: str) -> Plan[JobStatus]:
    """Cancel, retry or dismiss. None is repeated: done twice, each would be refused, or be done to another run."""
    request = Request(method="POST", path=f"/jobs/{job_id}/{verb}", job_id=job_id)
    return (yield from fetch(means, request, JobStatus))


def history(means: Means, job_id: str) -> Plan[list[JobStep]]:
    """All steps, page by page."""
    steps: list[JobStep] = []
    after: int | str | None = 0
    while after is not None:
        request = Request(method="GET", path=f"/jobs/{job_id}/history", query={"after": str(after)}, job_id=job_id)
        page = yield from fetch(means, request, Page[JobStep])
        steps += page.items
        after = page.next
    return steps


def usage(means: Means, job_id: str) -> Plan[list[Usage]]:
    """What its runs spent on models, call by call."""
    return (yield from fetch(means, get(f"/jobs/{job_id}/usage", job_id), Page[Usage])).items


def artifacts(means: Means, job_id: str) -> Plan[list[Artifact]]:
    """The files that its successful run made."""
    return (yield from fetch(means, get(f"/jobs/{job_id}/artifacts", job_id), Page[Artifact])).items


def result(means: Means, job_id: str, timeout: float, into: type[T] | None) -> Plan[T | object]:
    """What the job returned, once it has succeeded.

    Raises JobFailed, JobCancelled, ResultTimeout, and InvalidInput where it is nothing that `into` can hold.
    """
    status = yield from ended(means, job_id, timeout)
    match status.status:
        case Status.FAILED:
            raise JobFailed(job_id, status.error or "failed", status.error_message or "")
        case Status.CANCELLED:
            raise JobCancelled(job_id)
        case _:
            text = b"null" if status.result_path is None else (yield from _returned(means, job_id))
            return _value(means, text, into)


def _returned(means: Means, job_id: str) -> Plan[bytes]:
    return (yield from ask(means, get(f"/jobs/{job_id}/result", job_id))).body


def _value(means: Means, text: bytes, into: type[T] | None) -> T | object:
    try:
        validate = getattr(into, "model_validate_json", None)  # a Pydantic model has it
        if callable(validate):
            made: object = validate(text)
            return made
        return msgspec.json.decode(text, type=object if into is None else into)
    except (msgspec.MsgspecError, ValueError) as exc:
        wanted = "JSON" if into is None else f"a {into.__name__}"
        raise InvalidInput("result", f"what {means.where} gave is not {wanted}: {exc}") from exc


# many jobs -------------------------------------------------------------------------------------------------


def find(means: Means, filters: Filters) -> Flow[JobItem]:
    """Every job that fits, newest first, page by page."""
    query = {**bodies.query(filters), "limit": str(PAGE)}
    while True:
        page = yield from fetch(means, Request(method="GET", path="/jobs", query=query), Page[JobItem])
        for item in page.items:
            yield Emit(item)
        if page.next is None:
            return
        query["cursor"] = str(page.next)


def job_types(means: Means) -> Plan[list[JobTypeInfo]]:
    """The job types that the server knows."""
    return (yield from fetch(means, get("/job-types"), Page[JobTypeInfo])).items
