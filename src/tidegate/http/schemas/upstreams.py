"""The wire of upstreams and queues."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import Field

from tidegate.core.fault import Fault
from tidegate.core.upstream import Override, State
from tidegate.http.schemas.base import Sent, Told

NAME_PATTERN: Final = r"^[a-z0-9][a-z0-9_.:-]{0,127}$"

LONGEST = 366 * 24 * 3600.0


class TransitionItem(Told):
    """A change of a breaker, an operator's word, or a budget that is spent; `author` is "" where no operator spoke."""

    at: datetime
    to: str
    why: str
    until: datetime | None
    author: str


class OverrideItem(Told):
    """An operator's word that holds for the whole fleet."""

    state: Override
    author: str
    since: datetime
    until: datetime | None


class UserBudgetItem(Told):
    """What calls for one user's jobs may cost in each window of `per` seconds, in US dollars."""

    dollars: float
    per: float


class BudgetItem(Told):
    """What all calls may cost in each window of `per` seconds, and what they `spent` in the one that ends at `until`.

    In US dollars. `exhausted` while that is all of it, and no word of an operator's lets jobs through all the same:
    then nothing is claimed until then.
    """

    dollars: float
    per: float
    spent: float
    until: datetime
    exhausted: bool


class UpstreamItem(Told):
    """The health of an upstream.

    `until` is when the next job may be claimed at the earliest, null where that is now or nobody knows. `limit` is how
    many jobs may run at once, null for any number; `waiting` and `running` count jobs of its lanes.
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
    override: OverrideItem | None
    budget: BudgetItem | None
    budget_per_user: UserBudgetItem | None


class UpstreamList(Told):
    """All upstreams, by name."""

    items: list[UpstreamItem]


class UpstreamHistory(Told):
    """The newest changes of an upstream, newest first; 50 are kept."""

    items: list[TransitionItem]


class OverrideSent(Sent):
    """What an operator decides, for `seconds` or until it is cleared."""

    state: Override = Field(
        strict=False, description="open: nothing is claimed; closed: it never opens; off: no limits."
    )
    seconds: float | None = Field(None, gt=0, le=LONGEST, description="How long it holds.")


class OutcomeSent(Sent):
    """What a call came to that was made elsewhere."""

    fault: Annotated[Fault, Field(strict=False)] | None = Field(None, description="What went wrong; null: nothing.")
    retry_after: float | None = Field(None, ge=0, le=86_400, description="Seconds that the upstream asked to wait.")
    took: float = Field(0.0, ge=0, le=86_400, description="Seconds that the call took.")


class HeldItem(Told):
    """So many `jobs` in line are held for one reason, `until` about when, null where nobody knows.

    `upstream` is null where it is their queue's pause, and for receivers of webhooks.
    """

    jobs: int
    why: str
    upstream: str | None
    until: datetime | None


class QueueItem(Told):
    """A queue: its jobs by where they stand, and whether it is paused.

    `depth` is how many jobs are queued: `ready` in line, `waiting` for their time. Of those in line `held` are not
    claimed now, for their upstream is down or has spent its budget, or the queue is paused: `held_by` says why.
    `limit` is how many may run at once, null for any number: after a pause few may, and more with each success.
    `oldest_ready_age` is how many
    seconds the oldest ready one has been due, null where finding it would take a search. `throughput` is how many jobs
    ended a minute, over the last 5 minutes at most that this server has followed; null at its first look.
    """

    name: str
    paused: bool
    paused_at: datetime | None
    resumes_at: datetime | None
    why: str
    consecutive_errors: int
    last_error_at: datetime | None
    limit: int | None
    waiting: int
    ready: int
    running: int
    dead_letters: int
    depth: int
    held: int
    held_by: list[HeldItem]
    oldest_ready_age: float | None
    throughput: float | None


class QueueHistory(Told):
    """The newest changes of a queue's breaker, newest first, an operator's pauses among them; 50 are kept."""

    items: list[TransitionItem]


class QueueList(Told):
    """All queues, by name."""

    items: list[QueueItem]


class PauseSent(Sent):
    """For how long to pause; null until it is resumed."""

    seconds: float | None = Field(None, gt=0, le=LONGEST)
