"""Every Protocol the inside needs: the engine contract first of all.

An engine is a set of atomic verbs over the values of `core/`; it never decides. Rules of the seam:
* *The store's clock decides.* Callers send durations or absolute instants, never "now".
* *Plural from the first day.* Every verb on jobs takes many, in one atomic step of the store; a store may take
  more than 100 in several steps, each as if asked for alone.
* *Expected endings are values, faults are exceptions*: `EngineUnavailable` is the only one a caller plans for,
  and after it the outcome is unknown. Every verb may then be repeated with the same arguments, its nonce
  among them, and has then acted once. A nonce is 32 hex digits, fresh for every new question.
* *Hints may be lost.* Polling is the truth: `wait` only makes it fast.
* What a step does to a job, field by field, is `core.steps`; engines that don't run it must agree with it.
* Answers stand in the order of the questions. An empty question is answered without asking the store.

Each line that starts with a name in brackets is a promise; the conformance suite has a test for every one.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Protocol, Self, runtime_checkable

from tidegate.core.artifact import ArtifactInfo, Stored
from tidegate.core.job import Body, Ending, Job, JobId, NewJob, Owner
from tidegate.core.query import HistoryEntry, JobQuery, Page, Stats, WorkerInfo
from tidegate.core.verbs import (
    Beat,
    Cancellation,
    Claimed,
    ClaimRequest,
    Dismissal,
    Document,
    Feed,
    Health,
    Receipt,
    Reclaimed,
    ReclaimRequest,
    Renewal,
    Revival,
    Settled,
    Swap,
    Swapped,
    Take,
    Taken,
)


class JobQueue(Protocol):
    """What clients and workers need."""

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """Accept jobs: idempotency check, insert, index, history and wake-up in one atomic step.

        [submit.durable] A CREATED job is in the store, queued, in its lane, due at `run_at` or after `delay`.
        [submit.id-repeat] An id seen before, with the same fingerprint, is REPLAYED and changes nothing.
        [submit.id-conflict] An id seen before with another fingerprint is a CONFLICT and changes nothing.
        [submit.key-replay] A known (user, idempotency key) with the same fingerprint is REPLAYED with the first
            job's id, whatever became of that job.
        [submit.key-conflict] With another fingerprint it is a CONFLICT that names the first job; nothing changes.
        [submit.key-scope] Keys of different users never meet; jobs without a key never do.
        [submit.key-lifetime] A key is forgotten by `prune` once its job is gone and 24 h have passed since
            that job ended; never sooner.
        [submit.batch-twins] Twins within one batch meet like twins in two.
        [submit.race] Any number of concurrent twins give one job.
        """
        ...

    async def known(self, keys: Sequence[tuple[str, str]]) -> list[tuple[JobId, str] | None]:
        """The job's id and the fingerprint that each (user id, idempotency key) stands for, None where for nothing.

        [known.keys] What `submit` would find, as long as it would find it; nothing changes.
        """
        ...

    async def claim(self, request: ClaimRequest, nonce: str) -> Claimed:
        """Lease ready jobs to one owner.

        [claim.exclusive] A job is leased to one owner at a time, also under concurrent claims.
        [claim.running] A claimed job is running: `runs` is one higher, `started_at` is now, `timeout_at` is
            `timeout` later, progress is empty, and history says so.
        [claim.limit] Never more than `limit`, and 0 takes none.
        [claim.types] Only jobs of `types`; others stay queued and are in nobody's way.
        [claim.nonce] For `lease_for` after it took jobs, the same nonce again gives those leases that are
            still held, with their tokens, and takes no other job.
        [claim.due] No job is claimed before it is due.
        [claim.promote] Every due job becomes claimable, in the order of its due time, without help.
        [claim.expired] A job still waiting at `expires_at` is never claimed, and is in nobody's way; it is
            counted in `overdue` until it is reclaimed.
        [claim.fifo] One user's jobs of one priority, lane and type are claimed in the order they became ready.
        [claim.fair] Users in a line take turns at equal priority: a late user's first job does not wait for an
            early user's flood.
        [claim.priority] Of jobs ready together the first of a higher priority comes first, and 2 of them for
            each job one priority lower; none is starved.
        [claim.rank-kept] A job that comes back by Retry or Defer to the same lane stands, once due, no further
            back than it stood and no further back than a new job; in another lane it stands as a new job.
        [claim.weights] First every queue gives up to its quota, in the order of `turns`; then, in the same order,
            they fill what is left.
        [claim.only-queues] Nothing is taken from a queue that `turns` does not name.
        [claim.lanes] Lines of a queue (one a lane and type) take turns, the least recently served first: none
            starves another, whatever their backlogs.
        [claim.share] No upstream goes over `share` while another lane has a job to give (due, of `types`, in
            `turns`, admitted); it does when none has.
        [claim.gate-closed] Nothing is taken from a lane while a gate of it has `not_before` ahead; every other
            lane flows as if it were not there.
        [claim.gate-limit] The running jobs of a gate's lanes claimed in its era never exceed `limit`, also under
            concurrent claims and for lanes that share a gate.
        [claim.gate-era] A new era starts the count at 0; leases of older eras don't take its places. A lease
            tells the eras of its gates as it was claimed.
        [claim.gate-pace] Starts keep to `pace`, over all claims and lanes of the gate.
        [claim.wake-at] `wake_at` is never later than the next instant at which more could be claimed or
            reclaimed, as far as is known now; `more` is never False when another claim would take a job now.
        [claim.news] `cancelling`, `overdue` and `version` are told also when `limit` is 0.
        """
        ...

    async def renew(self, beats: Sequence[Beat], lease_for: timedelta) -> list[Renewal]:
        """Keep leases, and record progress.

        [renew.held] A current token's lease lasts `lease_for` from now; the answer is HELD.
        [renew.cancelling] The same when a cancel was requested, but the answer is CANCELLING.
        [renew.lost] Any other token changes nothing: LOST.
        [renew.late] A lease past its expiry but not reclaimed is still current.
        [renew.progress] Progress is stored with a current token, and only then.
        """
        ...

    async def settle(self, endings: Sequence[Ending]) -> list[Settled]:
        """End runs: settlement, history and follow-up jobs in one atomic step an ending.

        [settle.succeed] Succeed ends the job with its result, `finished_at` and `prune_at`.
        [settle.retry] Retry queues it again, due after `delay`, with the failure as its error.
        [settle.defer] Defer does too, counts the refund's cause, and moves the job when it names a lane.
        [settle.bury] Bury ends the job as failed with the failure; it is a dead letter.
        [settle.cancel] Cancel ends the job as cancelled, without a result.
        [settle.fenced] Any token but the current one changes nothing: LOST.
        [settle.late] A current token is honoured past the lease's expiry.
        [settle.repeat] The token of the newest ended run is APPLIED again and changes nothing, also while a
            newer run is under way.
        [settle.cancelling] Once a cancel was requested, anything but Cancel changes nothing: CANCELLING.
        [settle.then] Follow-up jobs exist iff their ending was applied, once, however often it is repeated.
            They have no idempotency key: InvalidInput.
        [settle.release] An ended run no longer counts against any gate.
        """
        ...

    async def reclaim(self, request: ReclaimRequest, nonce: str) -> list[Reclaimed]:
        """Take over leases that nobody keeps; the new holder must settle them.

        [reclaim.expired] Leases past their expiry are taken, oldest first, up to `limit`: EXPIRED.
        [reclaim.dead] Leases of `dead` owners are taken at once: EXPIRED.
        [reclaim.overdue] Runs `overdue_by` past `timeout_at` are taken, also while their lease lasts: OVERDUE.
        [reclaim.reaper] What a reaper took is taken by nobody else while the reaper's lease lasts.
        [reclaim.waited] Jobs still waiting at `expires_at` are taken: WAITED, also when the first reaper died.
        [reclaim.keep] No lease in `keep` is taken.
        [reclaim.only] With `only`, no other job is touched.
        [reclaim.fences] The former token is dead from this moment: it renews and settles nothing.
        [reclaim.counts-no-run] No counter changes; the job is running until it is settled.
        [reclaim.former] `former` is who claimed the run, also when a reaper's own lease ran out.
        [reclaim.nonce] For `lease_for` after it took jobs, the same nonce gives those it still holds, no more.
        """
        ...

    async def wait(self, topics: Sequence[str], timeout: timedelta) -> None:
        """Return when something may have happened to one of `topics`.

        "queue:default": a job may be ready there, or a cancel is wanted. "job:<id>": it ended. "gates": some were set.

        [wait.bounded] It returns within `timeout`, and may return early for no reason.
        [wait.wakes] A submit, revive, cancel, ending or gate set by this process ends it at once.
        """
        ...


class JobAdmin(Protocol):
    """What operators need: four answers, no exceptions."""

    async def cancel(self, job_ids: Sequence[JobId], nonce: str) -> list[Cancellation]:
        """Cancel queued jobs, and ask for it where they run.

        [cancel.queued] A queued job ends as cancelled at once: CANCELLED.
        [cancel.running] A running one is marked: REQUESTED, and again REQUESTED when asked twice.
        [cancel.finished] A finished one is left alone: FINISHED. An unknown id is UNKNOWN.
        [cancel.nonce] The same nonce again changes nothing, and a job it cancelled is CANCELLED, not FINISHED.
        """
        ...

    async def revive(self, job_ids: Sequence[JobId], nonce: str) -> list[Revival]:
        """Queue failed or cancelled jobs again, as if new.

        [revive.fresh] The job is queued in its first lane, due now and placed as a new job; attempts, faults,
            crashes and interruptions start at 0, `runs` goes on; error, result, progress, expiry, marks are gone.
        [revive.nonce] The newest revival's nonce again is REVIVED, and changes nothing, whatever became of the job.
        [revive.illegal] Queued, running and succeeded jobs are left alone: ILLEGAL. An unknown id is UNKNOWN.
        """
        ...

    async def dismiss(self, job_ids: Sequence[JobId]) -> list[Dismissal]:
        """Take failed jobs off the dead letters.

        [dismiss.dead] A dead letter is dismissed, and stays failed; again: DISMISSED.
        [dismiss.illegal] A job that has not failed is ILLEGAL, an unknown one UNKNOWN.
        """
        ...

    async def prune(self, limit: int) -> list[JobId]:
        """Forget finished jobs whose retention is over, oldest first.

        [prune.due] Up to `limit` finished jobs past `prune_at` vanish with body and history; their ids return.
            Should the answer be lost, their artifacts are found by age: `get` knows the job no more.
        [prune.only-finished] No other job is touched; none is trimmed by count.
        [prune.keys] Idempotency keys past their lifetime are forgotten, and no others.
        """
        ...


class JobReader(Protocol):
    """What an API and a dashboard need. Each call is one consistent read."""

    async def get(self, job_ids: Sequence[JobId]) -> list[Job | None]:
        """The jobs by id, None where unknown.

        [get.whole] A job reads back as it was submitted and as its steps left it.
        """
        ...

    async def bodies(self, job_ids: Sequence[JobId]) -> list[Body | None]:
        """Payloads and inline results, to the byte.

        [bodies.exact] Any bytes come back as they went in.
        """
        ...

    async def find(self, query: JobQuery) -> Page:
        """Jobs that match, newest first.

        [find.filters] Every filter of `JobQuery` narrows exactly as it says, alone and combined.
        [find.pages] Following `next` meets every match that existed throughout once, whatever happens between.
        [find.total] `total` is exact or None.
        """
        ...

    async def history(self, job_id: JobId, after: int = 0, limit: int = 200) -> list[HistoryEntry]:
        """The steps of one job with `seq` > `after`, oldest first.

        [history.complete] Every step left one entry, made in the same atomic step; `seq` is 1, 2, 3, ...
        """
        ...

    async def events(self, after: str | None, limit: int = 1_000) -> Feed:
        """The steps of all jobs after a cursor (another answer's `next`); None starts at the present.

        [events.feed] A reader that follows meets every step of a job not yet pruned once, a job's own in
            order; the order between jobs is free. A reader that fell behind the feed is told by `reset`.
        """
        ...

    async def stats(self) -> Stats:
        """Where jobs stand, by lane.

        [stats.exact] The counts are those of one instant, at most 5 s ago.
        """
        ...


class Documents(Protocol):
    """Versioned documents (upstreams, queues, API keys, schedules ... are kinds) and the gates they imply."""

    async def load(self, kind: str, keys: Sequence[str]) -> list[Document]:
        """The documents by key.

        [load.latest] What the newest won swap wrote, with its version.
        """
        ...

    async def swap(self, swap: Swap) -> Swapped:
        """Compare and swap one document, and set its gates in the same step.

        [swap.once] Of concurrent swaps with one `expected` exactly one wins, and its value and gates are stored.
        [swap.lost] A swap whose `expected` is not the stored version changes nothing and shows what is stored.
        [swap.repeat] The winning swap again has still won, until another wins.
        [swap.delete] None removes the document and its gates; the next version is a higher one all the same.
        [swap.gates] The gates hold from the next claim on; a higher era starts its count, and a limit without
            one, where there was none, is InvalidInput.
        """
        ...

    async def scan(self, kind: str, after: str = "", limit: int = 200) -> list[Document]:
        """Documents of a kind with key > `after`, by key.

        [scan.pages] All of a kind, each once, in key order.
        """
        ...

    async def take(self, takes: Sequence[Take], nonce: str) -> list[Taken]:
        """Count against exact sliding windows, all or nothing over all of `takes`.

        [take.exact] No window of that length ever holds more than `limit` granted, also under concurrency.
        [take.refused] One refusal refuses all and counts nothing; it says when to come back.
        [take.nonce] A grant is counted once, however often it is asked for with the same nonce.
        """
        ...

    async def give_back(self, nonce: str) -> None:
        """Uncount what `take` granted to `nonce`.

        [give-back.frees] As if it had not been taken; without a grant nothing happens.
        """
        ...


class Presence(Protocol):
    """Who is at work."""

    async def announce(self, worker: WorkerInfo, live_for: timedelta) -> None:
        """Be listed for `live_for`; zero withdraws.

        [announce.listed] Listed until then, newest announcement only.
        """
        ...

    async def workers(self) -> list[WorkerInfo]:
        """Those listed now, by owner."""
        ...

    async def holders(self) -> list[Owner]:
        """Every owner that holds a lease now, announced or not.

        [holders.all] No holder of a lease is missing, however long it was silent.
        """
        ...


class Engine(JobQueue, JobAdmin, JobReader, Documents, Presence, Protocol):
    """A store of jobs. Open it with `async with`; its verbs may be called from any thread's event loop."""

    async def __aenter__(self) -> Self:
        """Open the store, migrated to this release's schema; raises EngineError."""
        ...

    async def __aexit__(self, *exc: object) -> None:
        """Close it; calls still under way are finished first."""
        ...

    async def check(self) -> Health:
        """Ask the store for a sign of life; raises EngineUnavailable."""
        ...


@runtime_checkable
class Transactional(Protocol):
    """An engine that can accept jobs inside a transaction of the caller's own."""

    async def submit_in(self, connection: object, jobs: Sequence[NewJob]) -> list[Receipt]:
        """As `submit`, on the caller's connection to the same store: the jobs exist iff its transaction commits.

        Nobody waits for that transaction; a job whose id or key is in doubt elsewhere is BUSY.
        """
        ...


class Artifacts(Protocol):
    """Named bytes in an object store. Paths are relative, checked, and can't escape the root.

    Every call is tried three times where that can help, its source rewound; then ArtifactError.
    """

    async def put(self, path: str, data: bytes | AsyncIterator[bytes] | Path, *, content_type: str) -> Stored:
        """Write an artifact whole or not at all, replacing what was there."""
        ...

    async def get(self, path: str, *, max_bytes: int) -> bytes:
        """Read a small artifact; ArtifactNotFound, or TooLarge beyond `max_bytes`."""
        ...

    def stream(self, path: str) -> AsyncIterator[bytes]:
        """Read an artifact piece by piece."""
        ...

    async def download(self, path: str, to: Path) -> None:
        """Copy an artifact into a local file."""
        ...

    async def head(self, path: str) -> ArtifactInfo | None:
        """What is known of an artifact; None when there is none."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ArtifactInfo]:
        """Every artifact below `prefix`."""
        ...

    async def delete_prefix(self, prefix: str) -> int:
        """Remove every artifact below `prefix`; how many there were."""
        ...

    async def sign(self, path: str, expires: timedelta) -> str | None:
        """A URL that reads the artifact for a while, or None where the store can't make one."""
        ...

    async def check(self) -> None:
        """Write, read and remove a probe; raises ArtifactError."""
        ...
