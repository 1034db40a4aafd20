"""Bugs in `submit`."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.idempotency import TTL_AFTER_END
from tidegate.core.job import Job, JobId, NewJob
from tidegate.core.query import Event
from tidegate.core.verbs import Receipt, Submission
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import KeyRow, Record, State


@breaks("submit.durable")
class ForgetsTheDelay(State):
    """A job with a delay is due at once."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        return super().submit(replace(new, delay=timedelta(0)), now)


@breaks("submit.id-repeat")
class OverwritesARepeatedId(State):
    """The last submit of an id wins."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        known = self.records.get(new.id)
        if known is not None:
            known.payload = new.payload
        return super().submit(new, now)


@breaks("submit.id-repeat", "submit.id-conflict")
class TakesTheKeyOfARepeatedId(State):
    """The key is stored before the id is looked at."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        receipt = super().submit(new, now)
        if new.spec.idempotency_key is not None:
            row = KeyRow(new.id, new.spec.fingerprint)
            self.keys.setdefault((new.spec.user_id, new.spec.idempotency_key), row)
        return receipt


@breaks("submit.id-conflict")
class IgnoresAnotherFingerprintOfAnId(State):
    """Whatever has the id is the same job."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        receipt = super().submit(new, now)
        return Receipt(new.id, Submission.REPLAYED) if new.id in self.records and _refused(receipt) else receipt


@breaks("submit.key-conflict", "submit.batch-twins")
class IgnoresAnotherFingerprintOfAKey(State):
    """Whatever has the key is the same job."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        receipt = super().submit(new, now)
        return Receipt(receipt.job_id, Submission.REPLAYED) if _refused(receipt) else receipt


def _refused(receipt: Receipt) -> bool:
    return receipt.submission is Submission.CONFLICT


@breaks("submit.key-conflict")
class NamesTheNewJobInAConflict(State):
    """A conflict answers with the id that it refused."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        receipt = super().submit(new, now)
        return replace(receipt, job_id=new.id) if _refused(receipt) else receipt


@breaks("submit.key-replay", "submit.key-lifetime")
class DropsTheKeyAtTheEnd(State):
    """A key protects only as long as its job is under way."""

    def end(self, record: Record, job: Job, event: Event, note: str = "") -> None:
        """See `State.end`."""
        super().end(record, job, event, note)
        self.keys.pop((job.spec.user_id, job.spec.idempotency_key or ""), None)


@breaks("submit.key-replay", "submit.key-lifetime")
class DropsTheKeyWithTheJob(MemoryEngine):
    """Keys are columns of the job: what prunes the one prunes the other."""

    async def prune(self, limit: int) -> list[JobId]:
        """See `MemoryEngine.prune`."""
        pruned = await super().prune(limit)
        gone = [name for name, row in self._state.keys.items() if row.job_id in pruned]
        for name in gone:
            del self._state.keys[name]
        return pruned


@breaks("submit.key-lifetime")
class LetsKeysExpireWhileTheJobLives(State):
    """A key has its time to live from the moment it is stored."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        self.keys = {name: row for name, row in self.keys.items() if (row.forget_at or now) + TTL_AFTER_END > now}
        receipt = super().submit(new, now)
        for row in self.keys.values():
            row.forget_at = row.forget_at or now + TTL_AFTER_END
        return receipt


@breaks("submit.key-lifetime")
class ForgetsKeysBeforePruneDoes(State):
    """A key past its time is not looked at, though prune was not asked yet."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        self.keys = {name: row for name, row in self.keys.items() if row.forget_at is None or row.forget_at > now}
        return super().submit(new, now)


@breaks("submit.key-lifetime", "prune.keys")
class NeverForgetsAKey(Papers):
    """Prune forgets jobs, and keeps their keys for ever."""

    def forget(self, pruned: Sequence[JobId], now: datetime) -> None:
        """See `Papers.forget`."""
        keys = dict(self._state.keys)
        super().forget(pruned, now)
        self._state.keys = keys


@breaks("submit.key-scope")
class SharesKeysBetweenUsers(State):
    """A key is one for all users."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        for (_, key), row in list(self.keys.items()):
            self.keys.setdefault((new.spec.user_id, key), row)
        return super().submit(new, now)


@breaks("submit.key-scope")
class IgnoresTheCaseOfAKey(State):
    """The store compares text without regard to case."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        for (user, key), row in list(self.keys.items()):
            if (user, key.lower()) == (new.spec.user_id, (new.spec.idempotency_key or "").lower()):
                self.keys.setdefault((user, new.spec.idempotency_key or ""), row)
        return super().submit(new, now)


@breaks("submit.key-scope")
class TakesNoKeyForAKey(State):
    """Jobs without a key share the empty one."""

    def submit(self, new: NewJob, now: datetime) -> Receipt:
        """See `State.submit`."""
        return super().submit(replace(new, spec=replace(new.spec, idempotency_key=new.spec.idempotency_key or "")), now)


@breaks("submit.batch-twins")
class LooksForTwinsOnlyOutsideTheBatch(MemoryEngine):
    """The check for known keys is made once, before the batch is written."""

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `MemoryEngine.submit`."""
        receipts, known = [], set(self._state.keys)
        for job in jobs:
            self._state.keys = {name: row for name, row in self._state.keys.items() if name in known}
            receipts += await super().submit([job])
        return receipts


@breaks("submit.race")
class ChecksThenInserts(MemoryEngine):
    """The check for known keys and the insert are two steps."""

    async def submit(self, jobs: Sequence[NewJob]) -> list[Receipt]:
        """See `MemoryEngine.submit`."""
        known = set(self._state.keys)
        await asyncio.sleep(0)
        self._state.keys = {name: row for name, row in self._state.keys.items() if name in known}
        return await super().submit(jobs)
