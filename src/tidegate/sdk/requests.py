"""How calls ask: for what is there, and to change something."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, Generic, TypeVar

import msgspec

from tidegate.core.ids import is_uuid
from tidegate.core.text import check_name
from tidegate.errors import InvalidInput, JobNotFound
from tidegate.sdk import bodies
from tidegate.sdk.exchange import Request

T = TypeVar("T")

JSON: Final = {"Content-Type": "application/json"}

_ID: Final = re.compile("[a-z0-9]{1,64}")


class Page(msgspec.Struct, Generic[T]):
    """What a list answers; `next` is where the page after it begins."""

    items: list[T]
    next: int | str | None = None


def get(path: str, job_id: str = "") -> Request:
    """Asks for what is there."""
    return Request(method="GET", path=path, job_id=job_id)


def change(method: str, path: str, body: Mapping[str, object] | None = None, *, repeatable: bool = False) -> Request:
    """Asks for a change. `repeatable` is what says how something shall stand; what adds to it is done once."""
    if body is None:
        return Request(method=method, path=path, repeatable=repeatable)
    return Request(method=method, path=path, headers=JSON, content=bodies.written(body), repeatable=repeatable)


def known(job_id: str) -> str:
    """The job's id, if it can be one; raises JobNotFound. So none leads to another path."""
    if not is_uuid(job_id):
        raise JobNotFound(job_id)
    return job_id


def named(kind: str, name: str) -> str:
    """Where that queue, upstream or schedule is; raises InvalidInput for what is no name."""
    return f"/{kind}s/{check_name(kind, name)}"


def by_id(kind: str, its_id: str) -> str:
    """Where that webhook or key is; raises InvalidInput for what is no id."""
    if _ID.fullmatch(its_id) is None:
        raise InvalidInput(f"{kind}_id", f"{its_id[:100]!r} is no id of a {kind}")
    return f"/{kind}s/{its_id}"


def seconds(value: float | timedelta) -> float:
    """A duration in seconds, as the API has them."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def lasting(last: float | timedelta | None) -> dict[str, object]:
    """For how long, where that is said."""
    return {} if last is None else {"seconds": seconds(last)}
