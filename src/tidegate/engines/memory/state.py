"""What the memory engine remembers, and the small steps that its verbs share."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeAlias

from tidegate.core import steps
from tidegate.core.fairness import rank
from tidegate.core.idempotency import TTL_AFTER_END
from tidegate.core.job import Job, JobId, Lane, Lease, NewJob, Owner, Status, Token
from tidegate.core.query import Event, HistoryEntry, WorkerInfo
from tidegate.core.verbs import Document, Gate, Reason, Receipt, Submission, Take
from tidegate.errors import InvalidInput

Flow: TypeAlias = tuple[Lane, str, str, int]
"""The jobs of one lane, type, user and priority."""


@dataclass(slots=True)
class Held:
    """A lease in the store. `claimed_by` is who claimed the run, `owner` who holds it now.

    `eras` are those of the lane's gates, `limited` the gates among them that had a limit: only those count
    it. `reason` says why a reaper holds it.
    """

    token: Token
    owner: Owner
    claimed_by: Owner
    nonce: str
    expires_at: datetime
    eras: dict[str, int] = field(default_factory=dict)
    limited: frozenset[str] = frozenset()
    reason: Reason | None = None


@dataclass(slots=True)
class Record:
    """One job. `ready` is whether it stands in its lane's line, at `rank`.

    `cancelled_by` and `revived_by` are the nonces of the newest cancel and the newest revival that acted on it.
    """

    job: Job
    payload: bytes
    result: bytes | None = None
    ready: bool = False
    rank: float | None = None
    held: Held | None = None
    settled_by: Token | None = None
    cancelled_by: str = ""
    revived_by: str = ""
    history: list[HistoryEntry] = field(default_factory=list)


@dataclass(slots=True)
class Line:
    """The line of one lane and type: its virtual time, and when it last gave a job (lower is longer ago)."""

    lane: Lane
    type: str
    order: int
    virtual: float = 0.0
    turn: int = 0


@dataclass(slots=True)
class GateRow:
    """One gate, the document that set it, and its pace's last slot."""

    gate: Gate
    document: tuple[str, str]
    paced_until: datetime | None = None


@dataclass(slots=True)
class KeyRow:
    """One idempotency key; `forget_at` is set when its job ends."""

    job_id: JobId
    fingerprint: str
    forget_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """One take that was granted."""

    take: Take
    at: datetime
    nonce: str


@dataclass(slots=True)
class State:
    """Everything. All access is under the engine's lock.

    `given` holds the highest rank that each flow was given, for the second reading of `fairness`; it is None
    for the first, the highest rank of those in line.
    """

    records: dict[JobId, Record] = field(default_factory=dict)
    keys: dict[tuple[str, str], KeyRow] = field(default_factory=dict)
    lines: dict[tuple[Lane, str], Line] = field(default_factory=dict)
    gates: dict[str, GateRow] = field(default_factory=dict)
    documents: dict[tuple[str, str], tuple[Document, str]] = field(default_factory=dict)
    grants: list[Grant] = field(default_factory=list)
    nonces: dict[str, datetime] = field(default_factory=dict)
    workers: dict[Owner, tuple[WorkerInfo, datetime]] = field(default_factory=dict)
    feed: list[HistoryEntry] = field(default_factory=list)
    given: dict[Flow, float] | None = None
    last_seq: int = 0
    last_turn: int = 0
    last_version: int = 0

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """Accept one job, or say why not."""
        spec = new.spec
        known = self.records.get(new.id)
        if known is not None:
            same = known.job.spec.fingerprint == spec.fingerprint
            return Receipt(new.id, Submission.REPLAYED if same else Submission.CONFLICT)
        if spec.idempotency_key is not None:
            row = self.keys.get((spec.user_id, spec.idempotency_key))
            if row is not None:
                same = row.fingerprint == spec.fingerprint
                return Receipt(row.job_id, Submission.REPLAYED if same else Submission.CONFLICT)
            self.keys[spec.user_id, spec.idempotency_key] = KeyRow(new.id, spec.fingerprint)
        self.last_seq += 1
        record = Record(steps.accepted(new, self.last_seq, now), new.payload)
        self.records[new.id] = record
        self.note(record, now, Event.SUBMITTED)
        self.queue(record, now)
        return Receipt(new.id, Submission.CREATED)

    def queue(self, record: Record, now: datetime) -> None:
        """Let a queued job stand in line if it is due; otherwise a later claim promotes it."""
        line = self.line(record.job)
        if record.job.run_at <= now:
            new = rank(line.virtual, self._last_rank(record.job), record.job.spec.priority)
            record.rank = new if record.rank is None else min(record.rank, new)
            record.ready = True
            if self.given is not None:
                flow = _flow(record.job)
                self.given[flow] = max(self.given.get(flow, 0.0), record.rank)

    def line(self, job: Job) -> Line:
        """The line that a job stands in, made at need."""
        key = (job.lane, job.spec.type)
        return self.lines.setdefault(key, Line(job.lane, job.spec.type, len(self.lines)))

    def _last_rank(self, job: Job) -> float | None:
        if self.given is not None:
            return self.given.get(_flow(job))
        ranks = [
            record.rank
            for record in self.records.values()
            if record.ready and record.rank is not None and _flow(record.job) == _flow(job)
        ]
        return max(ranks, default=None)

    def end(self, record: Record, job: Job, event: Event, note: str = "") -> None:
        """A job has finished: out of line, its lease gone, its key's last day begun."""
        record.job, record.ready, record.held, record.rank = job, False, None, None
        at = job.finished_at
        assert at is not None
        row = self.key(job)
        if row is not None:
            row.forget_at = at + TTL_AFTER_END
        self.note(record, at, event, note)

    def key(self, job: Job) -> KeyRow | None:
        """The idempotency key that stands for `job`."""
        row = self.keys.get((job.spec.user_id, job.spec.idempotency_key or ""))
        return row if row is not None and row.job_id == job.id else None

    def lease(self, record: Record, held: Held) -> Lease:
        """A held lease, as its owner gets it."""
        return Lease(
            job=record.job,
            payload=record.payload,
            token=held.token,
            owner=held.owner,
            expires_at=held.expires_at,
            eras=dict(held.eras),
        )

    def hold(self, record: Record, nonce: str, place: int, owner: Owner, until: datetime) -> Held:
        """Give `record` a new lease: the nonce and its place make the token."""
        before = record.held
        record.held = Held(
            token=Token(f"{nonce}.{place}"),
            owner=owner,
            claimed_by=before.claimed_by if before else owner,
            nonce=nonce,
            expires_at=until,
            eras=before.eras if before else {},
            limited=before.limited if before else frozenset(),
        )
        return record.held

    def remember(self, nonce: str, now: datetime, lease_for: timedelta) -> None:
        """From now on `nonce` is a repeat, for as long as its leases may last at first."""
        self.nonces[nonce] = now + max(lease_for, NONCE_LIFETIME)

    def under(self, nonce: str) -> list[tuple[Record, Held]]:
        """The leases still held that `nonce` was given, in their order."""
        held = [(r, r.held) for r in self.records.values() if r.held is not None and r.held.nonce == nonce]
        return sorted(held, key=lambda pair: int(pair[1].token.rpartition(".")[2]))

    def with_status(self, status: Status) -> Iterable[Record]:
        """The records of one status."""
        return (record for record in self.records.values() if record.job.status is status)

    def note(self, record: Record, at: datetime, event: Event, note: str = "") -> None:
        """Write a history entry."""
        job, seq = record.job, len(record.history) + 1
        entry = HistoryEntry(seq=seq, job_id=job.id, at=at, event=event, run=job.counters.runs, note=note)
        record.history.append(entry)
        self.feed.append(entry)

    def shut(self, now: datetime) -> frozenset[str]:
        """The gates with a `not_before` ahead."""
        rows = self.gates.values()
        return frozenset(r.gate.name for r in rows if r.gate.not_before is not None and r.gate.not_before > now)


def check_follow_up(new: NewJob) -> None:
    """A follow-up job that could conflict would make an ending half true."""
    if new.spec.idempotency_key is not None:
        raise InvalidInput("then", "a follow-up job has no idempotency key: its ending is its key")


def _flow(job: Job) -> Flow:
    return (job.lane, job.spec.type, job.spec.user_id, job.spec.priority)


NONCE_LIFETIME = timedelta(hours=1)
"""How long a claim's nonce is remembered at least: far longer than anybody repeats a call."""
