"""What is sent: jobs as JSON, with everything that the API takes and nothing that it does not."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from math import isfinite
from typing import Final, Protocol, runtime_checkable

import msgspec

from tidegate.core.retry import RetryPolicy
from tidegate.core.retry_json import policy_to_json
from tidegate.core.text import listed
from tidegate.errors import InvalidInput
from tidegate.sdk.options import BatchOptions

MOST_JOBS: Final = 500
"""Jobs of one batch."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Of one batch, unless it is one job: half of what a server takes."""


@runtime_checkable
class Model(Protocol):
    """A Pydantic model, as far as it matters here: Pydantic need not be loaded to be served."""

    def model_dump(self, *, mode: str) -> dict[str, object]:
        """The model as JSON has it."""
        ...


def job(job_type: str, payload: object, options: BatchOptions, key: str) -> bytes:
    """The body that asks for one job; raises InvalidInput."""
    return written({**asked(job_type, payload, options), "idempotency_key": key})


def asked(job_type: str, payload: object, options: Mapping[str, object]) -> dict[str, object]:
    """A job as a server is asked for it; what is not given is left out."""
    given = {name: _told(name, value) for name, value in options.items() if value is not None}
    return {"type": job_type, "payload": {} if payload is None else payload, **given}


def written(value: Mapping[str, object]) -> bytes:
    """The body as JSON; raises InvalidInput for a payload that is none, and names the place of a NaN or infinity."""
    try:
        text = msgspec.json.encode(value, enc_hook=_hook)
        if b"null" in text:  # which a number that is none is written as
            _check_finite(msgspec.to_builtins(value, enc_hook=_hook), "")
        return text
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


def _told(name: str, value: object) -> object:
    match value:
        case str() if name == "tags":
            return listed(name, value)
        case timedelta():
            return value.total_seconds()
        case RetryPolicy():
            return policy_to_json(value)
        case _:
            return value


def _check_finite(value: object, place: str) -> None:
    match value:
        case float() if not isfinite(value):
            raise InvalidInput(place, f"{value} is no number that JSON can say")
        case Mapping():
            for name, one in value.items():
                _check_finite(one, f"{place}.{name}" if place else str(name))
        case list() | tuple():
            for at, one in enumerate(value):
                _check_finite(one, f"{place}.{at}")


def _hook(value: object) -> object:
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    raise InvalidInput("payload", f"a {type(value).__name__} can't be written as JSON")
