"""The upstreams of a server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tidegate.core.fault import Fault
from tidegate.core.states import Override, State
from tidegate.sdk.asking import fetch
from tidegate.sdk.requests import Page, change, get, lasting, named, seconds
from tidegate.sdk.resources import Call, J, L, Resource


@dataclass(frozen=True, slots=True, kw_only=True)
class Overridden:
    """An operator's word that holds for the whole fleet."""

    state: Override
    author: str
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """What all calls may cost in each window of `per` seconds, and what they `spent` in that which ends at `until`.

    `exhausted` while that is all, so that nothing is claimed until then.
    """

    dollars: float
    per: float
    spent: float
    until: datetime
    exhausted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetedPerUser:
    """What calls for one user's jobs may cost in each window of `per` seconds."""

    dollars: float
    per: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamInfo:
    """The health of an upstream; `limit` is how many jobs may run at once, None for any number.

    `budget` and `budget_per_user` are in US dollars, None where there is none.
    """

    name: str
    state: State
    until: datetime | None
    why: str
    rules: str
    parents: list[str]
    limit: int | None
    faults: int
    opens: int
    waiting: int
    running: int
    override: Overridden | None
    budget: Budgeted | None = None
    budget_per_user: BudgetedPerUser | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A change of a breaker, or an operator's word; `author` is "" where nobody but the breaker decided."""

    at: datetime
    to: str
    why: str
    until: datetime | None
    author: str


class Upstreams(Resource[L, J]):
    """What `client.upstreams` does."""

    @Call
    async def list(self) -> list[UpstreamInfo]:
        """All of them, by name."""
        return (await fetch(self._means, get("/upstreams"), Page[UpstreamInfo])).items

    @Call
    async def show(self, name: str) -> UpstreamInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await fetch(self._means, get(named("upstream", name)), UpstreamInfo)

    @Call
    async def history(self, name: str) -> Sequence[Transition]:
        """Its changes, newest first."""
        return (await fetch(self._means, get(f"{named('upstream', name)}/history"), Page[Transition])).items

    @Call
    async def override(self, name: str, state: Override | str, last: float | timedelta | None = None) -> UpstreamInfo:
        """Decide for the fleet whether it is called, for so many seconds or until the word is cleared."""
        body = {"state": str(state), **lasting(last)}
        asked = change("PUT", f"{named('upstream', name)}/override", body, repeatable=True)
        return await fetch(self._means, asked, UpstreamInfo)

    @Call
    async def clear(self, name: str) -> UpstreamInfo:
        """Let the breaker decide again."""
        asked = change("DELETE", f"{named('upstream', name)}/override", repeatable=True)
        return await fetch(self._means, asked, UpstreamInfo)

    @Call
    async def reset(self, name: str) -> UpstreamInfo:
        """Close the breaker now, and ramp up."""
        asked = change("POST", f"{named('upstream', name)}/reset", repeatable=True)
        return await fetch(self._means, asked, UpstreamInfo)

    @Call
    async def record(
        self,
        name: str,
        fault: Fault | str | None = None,
        *,
        retry_after: float | timedelta | None = None,
        took: float | timedelta = 0.0,
    ) -> UpstreamInfo:
        """Tell what a call came to that was made outside of any job: a fault, or None where all went well.

        `retry_after` is how long the upstream asked to wait, `took` how long the call took.
        """
        body: dict[str, object] = {"fault": None if fault is None else str(fault), "took": seconds(took)}
        if retry_after is not None:
            body["retry_after"] = seconds(retry_after)
        return await fetch(self._means, change("POST", f"{named('upstream', name)}/outcomes", body), UpstreamInfo)
