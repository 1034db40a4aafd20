"""The questions and answers of the engine's verbs, as values; `ports.py` says what they promise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from tidegate.core.fairness import Turn
from tidegate.core.job import JobId, Lease, Owner, Progress, Token
from tidegate.core.query import HistoryEntry

# submit ----------------------------------------------------------------------------------------------------


class Submission(StrEnum):
    """What became of one submitted job."""

    CREATED = "created"
    REPLAYED = "replayed"
    CONFLICT = "conflict"
    BUSY = "busy"  # an open transaction elsewhere holds this id or key; nothing changed: ask again


@dataclass(frozen=True, slots=True)
class Receipt:
    """`job_id` is the new job's, or the first one's when the idempotency key (or the id) was seen before."""

    job_id: JobId
    submission: Submission


# claim -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """What a worker asks for.

    `limit` jobs at most, of `types` only, for `lease_for` each. `turns` are the queues to serve: first each
    up to its quota, then, in the same order, whatever is left. `share` is the most jobs of one upstream this
    worker may hold (`held` says how many it holds now) while another lane has a job for it; beyond that an
    upstream only fills slots that nobody else wants. None, and lanes without upstream, know no share.
    `limit` 0 asks for the news alone.
    """

    owner: Owner
    turns: Sequence[Turn]
    types: frozenset[str]
    limit: int
    lease_for: timedelta
    share: int | None = None
    held: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """The answer to a claim, and all the news an idle worker needs.

    `leases` in the order to run them. `at` is the store's present. `more`: another claim would take more
    now. `wake_at`: claim again no later than this, when something not yet claimable may be (a due time, a
    gate, an expiring lease); None when nothing is in sight. `cancelling`: jobs leased to this owner whose
    cancel was requested. `overdue`: how much there is to `reclaim` (counted up to 1,000). `version`: that of
    the newest won swap of any document, so that a cached one is known to be stale without asking.
    """

    at: datetime
    leases: tuple[Lease, ...] = ()
    more: bool = False
    wake_at: datetime | None = None
    cancelling: tuple[JobId, ...] = ()
    overdue: int = 0
    version: int = 0


# renew, settle, reclaim ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Beat:
    """One lease to keep; `progress`, when given, replaces the job's."""

    job_id: JobId
    token: Token
    progress: Progress | None = None


class Renewal(StrEnum):
    """What a worker may go on doing."""

    HELD = "held"
    CANCELLING = "cancelling"
    LOST = "lost"


class Settled(StrEnum):
    """What became of one ending."""

    APPLIED = "applied"
    CANCELLING = "cancelling"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReclaimRequest:
    """What to take over, at most `limit`.

    Leases past their expiry, leases of `dead` owners, runs `overdue_by` past their timeout, and jobs that
    still wait at their `expires_at`; but no lease in `keep`, which the caller itself holds and works on.
    `only` narrows the search to these jobs.
    """

    owner: Owner
    limit: int
    lease_for: timedelta
    overdue_by: timedelta
    dead: tuple[Owner, ...] = ()
    keep: frozenset[Token] = frozenset()
    only: tuple[JobId, ...] | None = None


class Reason(StrEnum):
    """Why a job was reclaimed."""

    EXPIRED = "expired"  # its lease ran out, or its owner is dead
    OVERDUE = "overdue"  # its run is past its timeout
    WAITED = "waited"  # it still waited at its expires_at: it was not running


@dataclass(frozen=True, slots=True, kw_only=True)
class Reclaimed:
    """A job taken over, at the store's present `at`. The lease's payload is empty: a reaper needs none.

    `former` is the owner that claimed the run, however often it was reclaimed since; it is the reaper's own
    where the job waited.
    """

    lease: Lease
    former: Owner
    reason: Reason
    at: datetime


# cancel, revive, dismiss, prune ----------------------------------------------------------------------------


class Cancellation(StrEnum):
    """What became of one wish to cancel."""

    CANCELLED = "cancelled"
    REQUESTED = "requested"
    FINISHED = "finished"
    UNKNOWN = "unknown"


class Revival(StrEnum):
    """What became of one wish to run a finished job again."""

    REVIVED = "revived"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


class Dismissal(StrEnum):
    """What became of one wish to take a job off the dead letters."""

    DISMISSED = "dismissed"
    ILLEGAL = "illegal"
    UNKNOWN = "unknown"


# documents, gates, limits ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Starts no faster than one a `period`, after at most `burst` at once (GCRA)."""

    period: timedelta
    burst: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Three numbers that say what may be claimed from the lanes that name this gate.

    No claim before `not_before`; at most `limit` running jobs, counting only leases claimed in this `era`;
    no faster than `pace`, whose last slot outlives swaps. An unknown gate admits everything.
    """

    name: str
    not_before: datetime | None = None
    limit: int | None = None
    pace: Pace | None = None
    era: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A small versioned value; None where it was deleted, and, at version 0, where there was none.

    Versions come from one counter over the whole store, so none ever recurs.
    """

    kind: str
    key: str
    version: int = 0
    value: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """Replace a document iff its version is `expected`, together with the gates it implies.

    `value` None deletes it. `gates` are all the gates of this document: those it set before and names no
    more are gone. A gate whose `limit` was None may get one only with a higher era.
    """

    kind: str
    key: str
    value: bytes | None
    expected: int
    nonce: str
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True)
class Swapped:
    """`won` says whether this very swap, told by its nonce, made what is stored now."""

    won: bool
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """Count `n` against at most `limit` of `key` in any `window`."""

    key: str
    n: int
    limit: int
    window: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """`remaining` of one key in its window now; where it refused, `retry_after` says when it would grant."""

    granted: bool
    remaining: int
    retry_after: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """A piece of the feed of all steps. `reset`: the cursor was older than the feed; steps were missed."""

    entries: tuple[HistoryEntry, ...]
    next: str
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the store can be held to. `durability`: none | interval | fsync | replicated."""

    engine: str
    durability: str
    version: str
    schema: str
