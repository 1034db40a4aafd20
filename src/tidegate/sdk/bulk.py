"""Acting on every job that fits a filter, in a job of the server's own."""

from dataclasses import dataclass
from typing import Final, Unpack

from tidegate.sdk import bodies
from tidegate.sdk.asking import fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.options import BulkOptions, Scope, check_names, told
from tidegate.sdk.requests import JSON
from tidegate.sdk.resources import Call, J, L, Resource
from tidegate.sdk.submitting import accepted, new_key

PATH: Final = "/jobs/actions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """What an action would be done to: `matches` jobs, or at least so many where that is not `exact`.

    `sample` has the ids of the newest of them.
    """

    action: str
    matches: int
    exact: bool
    sample: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotDone:
    """Jobs that were not acted on: `illegal` where their status forbade it, `unknown` where they were pruned."""

    illegal: int
    unknown: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkResult:
    """What a bulk action came to: read it by `job.result(into=BulkResult)`."""

    matched: int
    applied: int
    refused: NotDone


class Bulk(Resource[L, J]):
    """What `client.bulk` does. Each action is a job: its progress says how far it is, its result is a `BulkResult`."""

    @Call
    async def retry(self, **options: Unpack[BulkOptions]) -> J:
        """Queue every job that fits again, 100 a second unless said otherwise; dead letters, where no status is named.

        Raises InvalidInput where no filter is given without `all=True`.
        """
        return await self._act("retry", options)

    @Call
    async def cancel(self, **options: Unpack[BulkOptions]) -> J:
        """Cancel every job that fits: what has not ended, where no status is named."""
        return await self._act("cancel", options)

    @Call
    async def dismiss(self, **options: Unpack[BulkOptions]) -> J:
        """Take every job that fits off the dead letters."""
        return await self._act("dismiss", options)

    @Call
    async def count(self, action: str, **scope: Unpack[Scope]) -> Matches:
        """How many jobs "retry", "cancel" or "dismiss" would be done to just now. Nothing is changed."""
        check_names("count", scope, Scope)
        given: dict[str, object] = dict(scope)
        body: dict[str, object] = {"action": action, "all": given.pop("all", False)}
        body |= {"filter": told(given), "dry_run": True}
        return await fetch(self._means, _asked(body), Matches)

    async def _act(self, action: str, options: BulkOptions) -> J:
        check_names(action, options, BulkOptions)
        own = not options.get("idempotency_key")
        key = options.get("idempotency_key") or new_key()
        given: dict[str, object] = {name: value for name, value in options.items() if value is not None}
        rest: dict[str, object] = {name: given.pop(name) for name in ("all", "per_second", "limit") if name in given}
        given.pop("idempotency_key", None)
        body: dict[str, object] = {"action": action, "filter": told(given), **rest, "idempotency_key": key}
        made = await accepted(self._means, _asked(body, key), own=own)
        return self._side.job(made.job_id, created=made.created)


def _asked(body: dict[str, object], key: str = "") -> Request:
    content = bodies.written(body)
    return Request(method="POST", path=PATH, headers=JSON, content=content, repeatable=True, key=key)
