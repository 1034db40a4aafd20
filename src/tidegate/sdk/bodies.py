"""What is sent: jobs as JSON, with everything that the API takes and nothing that it does not."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, TypedDict, runtime_checkable

import msgspec

from tidegate.core.job import Phase, Status
from tidegate.core.retry import RetryPolicy
from tidegate.core.retry_json import policy_to_json
from tidegate.errors import InvalidInput

MOST_JOBS: Final = 500
"""Jobs of one batch."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one batch, unless it is one job: half of what a server takes."""


class BatchOptions(TypedDict, total=False):
    """What `submit_many` takes for all of its jobs; anything left out is the job type's default.

    `delay` and `timeout` are seconds or timedeltas. See docs/reference/jobs.md.
    """

    queue: str
    priority: int
    run_at: datetime
    delay: float | timedelta
    max_attempts: int
    retry: RetryPolicy
    timeout: float | timedelta
    expires_at: datetime
    tags: Sequence[str]


class SubmitOptions(BatchOptions, total=False):
    """What `submit` takes beside job type and payload."""

    idempotency_key: str


class Filters(TypedDict, total=False):
    """Which jobs `find` gives; `status` may be a phase too, `user` is for operators."""

    status: Status | Phase | str
    type: str
    queue: str
    upstream: str
    tag: str
    user: str
    error: str
    created_from: datetime
    created_before: datetime


@runtime_checkable
class Model(Protocol):
    """A Pydantic model, as far as it matters here: Pydantic need not be loaded to be served."""

    def model_dump(self, *, mode: str) -> dict[str, object]:
        """The model as JSON has it."""
        ...


def job(job_type: str, payload: object, options: BatchOptions, key: str) -> bytes:
    """The body that asks for one job; raises InvalidInput."""
    given = {name: _told(value) for name, value in options.items() if value is not None}
    asked = {"type": job_type, "payload": {} if payload is None else payload, **given, "idempotency_key": key}
    try:
        return msgspec.json.encode(asked, enc_hook=_hook)
    except InvalidInput:
        raise
    except Exception as exc:  # what is no JSON raises TypeError, ValueError, OverflowError, RecursionError ...
        raise InvalidInput("payload", f"it can't be written as JSON: {exc}") from exc


def batches(jobs: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The jobs in as many batches as it takes, in their order."""
    batch: list[bytes] = []
    size = 0
    for one in jobs:
        if batch and (len(batch) == MOST_JOBS or size + len(one) > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one)
    if batch:
        yield batch


def bulk(batch: Sequence[bytes]) -> bytes:
    """The body that asks for a batch: all of it, or nothing."""
    return b'{"mode":"all","jobs":[%b]}' % b",".join(batch)


def query(filters: Filters) -> dict[str, str]:
    """The filters as parameters; raises TypeError for one that there is not."""
    check_names("find", filters, Filters.__annotations__)
    given = {name: value for name, value in filters.items() if value is not None}
    return {name: value.isoformat() if isinstance(value, datetime) else str(value) for name, value in given.items()}


def seconds(value: float | timedelta) -> float:
    """A duration in seconds, as the API has them."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def check_names(verb: str, given: Mapping[str, object], known: Mapping[str, object]) -> None:
    """A misspelt option would be a silent default."""
    for name in given:
        if name not in known:
            raise TypeError(f"{verb}() has no option {name!r}; it has: {', '.join(sorted(known))}")


def _told(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case RetryPolicy():
            return policy_to_json(value)
        case _:
            return value


def _hook(value: object) -> object:
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    raise InvalidInput("payload", f"a {type(value).__name__} can't be written as JSON")
