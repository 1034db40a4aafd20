"""How jobs are handed in: each under a key, so that a repeat is the same job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tidegate import clock
from tidegate.core.ids import uuid7
from tidegate.core.text import listed
from tidegate.errors import InvalidInput, ServiceError
from tidegate.sdk import bodies
from tidegate.sdk.asking import Means, ask, decoded, fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.options import BatchOptions, SubmitOptions, check_names
from tidegate.sdk.requests import JSON, Page

NO_BULK: Final = frozenset({404, 405})
"""What a server answers that takes no batches."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job was accepted; `created` is False where an earlier request under its key had made it."""

    job_id: str
    created: bool


class _Submitted(msgspec.Struct):
    job_id: str


class _InBulk(msgspec.Struct):
    job_id: str
    created: bool


async def submit(means: Means, job_type: str, payload: object, options: SubmitOptions) -> Accepted:
    """Accept a job, under a key that is made where none is given."""
    check_names("submit", options, SubmitOptions)
    given = options.get("idempotency_key") or ""
    key = given or new_key()
    return await _submitted(means, bodies.job(job_type, payload, options, key), key, own=not given)


async def submit_many(
    means: Means, job_type: str, payloads: Sequence[object], keys: Sequence[str], options: BatchOptions
) -> list[Accepted]:
    """Accept many, in batches where the server takes batches; all are written down before any is sent."""
    check_names("submit_many", options, BatchOptions)
    each, own = listed("payloads", payloads), listed("keys", keys)
    if own and len(own) != len(each):
        raise InvalidInput("keys", f"{len(own)} keys for {len(each)} payloads: give one each, or none")
    given = own or tuple(new_key() for _ in each)
    jobs = [bodies.job(job_type, payload, options, key) for payload, key in zip(each, given, strict=True)]
    taken: list[Accepted] = []
    for batch in bodies.batches(jobs):
        at = len(taken)
        taken += await _batch(means, batch, given[at : at + len(batch)], own=not own)
    return taken


async def accepted(means: Means, request: Request, *, own: bool = False) -> Accepted:
    """The job that a request made, or had made before. With a key of our `own` only this very call can have made it."""
    answer = await ask(means, request)
    return Accepted(decoded(means, answer, _Submitted).job_id, own or answer.status in (201, 202))


def new_key() -> str:
    """An idempotency key of its own."""
    return uuid7(*clock.new_id_parts())


async def _batch(means: Means, batch: Sequence[bytes], keys: Sequence[str], *, own: bool) -> list[Accepted]:
    request = Request(method="POST", path="/jobs/bulk", headers=JSON, content=bodies.bulk(batch), repeatable=True)
    try:
        told = await fetch(means, request, Page[_InBulk])
    except ServiceError as exc:
        if exc.status not in NO_BULK:
            raise
    else:
        return [Accepted(item.job_id, own or item.created) for item in told.items]
    return [await _submitted(means, job, key, own=own) for job, key in zip(batch, keys, strict=True)]


async def _submitted(means: Means, body: bytes, key: str, *, own: bool) -> Accepted:
    asked = Request(method="POST", path="/jobs", headers=JSON, content=body, repeatable=True, key=key)
    return await accepted(means, asked, own=own)
