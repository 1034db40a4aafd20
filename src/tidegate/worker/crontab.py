"""Make one job of every tick of every schedule, without a leader.

Every worker looks once a second, in memory. Only where a tick is due it asks the store: it reads the schedule anew,
submits under the tick's own idempotency key, of which any number of workers make one job, and then writes down that the
tick is dealt with. Who dies in between leaves the tick to the next one, who submits it under the same key; once it is
written down it never runs again, however soon the key is forgotten.

The store's clock decides what is due.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from tidegate import clock
from tidegate.core.cron import ON_TIME, Following, due_ticks
from tidegate.core.ids import uuid7
from tidegate.core.job import JobId, NewJob
from tidegate.core.verbs import Receipt, Submission
from tidegate.errors import EngineUnavailable, IdempotencyConflict, InvalidInput, UnknownJobType
from tidegate.requests import Builder
from tidegate.schedules import Book, Origin, Plan, Record, Standing, parse
from tidegate.schedules.book import Change
from tidegate.schedules.plans import failing, passed, retired, ticked
from tidegate.telemetry.events import (
    ScheduleFailing,
    ScheduleHeld,
    ScheduleMissed,
    ScheduleRetired,
    ScheduleTicked,
    Submitted,
    ref,
)
from tidegate.worker.allowance import Allowance
from tidegate.worker.runtime import Runtime

EVERY: Final = 1.0
"""Seconds between two looks."""

REREAD: Final = 2.0
"""Seconds between two readings of all schedules, where some document of the store has changed."""

REREAD_AT_LEAST: Final = 30.0
"""The same where none has."""

AT_ONCE: Final = 20
"""Schedules that one worker reads and deals with together."""

PATIENCE: Final = ON_TIME
"""How long a tick that a worker can't make a job of is left to others, who may know its job type, or declare it."""

_ONCE: Final = datetime.min.replace(tzinfo=UTC)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Line:
    """A schedule as it was last read, and its first tick not dealt with; None where none will run."""

    record: Record
    next_at: datetime | None
    hold: datetime = _ONCE


class Crontab:
    """Looks for one worker, by the store's clock or by `now`."""

    def __init__(self, to: Runtime, now: Callable[[], datetime] | None = None) -> None:
        self._to = to
        self._given = now
        self._book = Book(to.engine, to.nonce)
        self._builder = Builder()
        self._allowance = Allowance(to.engine, to.settings.user_per_hour)
        self._lines: dict[str, Line] = {}
        self._read = -1
        self._read_at = float("-inf")

    async def work(self) -> None:
        """Look, rest; for ever."""
        while True:
            with suppress(EngineUnavailable):  # what is due stays due
                await self.look()
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Make jobs of all ticks that are due; raises EngineUnavailable."""
        await self._reread()
        due = self._due((self._given or self._to.upstreams.now)())
        if not due:
            return
        # What is known of the store's clock without asking may be this machine's, and that may be wrong.
        now = await self._book.present() if self._given is None else self._given()
        first = int(self._to.dice() * len(due))  # workers that begin at different ones find more that is done
        due = due[first:] + due[:first]
        for start in range(0, len(due), AT_ONCE):
            await self._deal_with(due[start : start + AT_ONCE], now)

    def _due(self, now: datetime) -> list[str]:
        seen = [(key, line.next_at, line.hold) for key, line in self._lines.items()]
        return [key for key, next_at, hold in seen if next_at is not None and max(next_at, hold) <= now]

    async def _deal_with(self, keys: Sequence[str], now: datetime) -> None:
        lines = [self._adopt(record) for record in await self._book.load(keys)]
        ends = await asyncio.gather(*(self._deal(line, now) for line in lines), return_exceptions=True)
        for end in ends:
            if end is not None:
                raise end

    async def _reread(self) -> None:
        newest, at = self._to.upstreams.keeper.newest, self._to.clock.monotonic()
        ago = at - self._read_at
        if ago < REREAD or (newest == self._read and ago < REREAD_AT_LEAST):
            return
        records = await self._book.all()
        self._read, self._read_at = newest, at
        found = {record.key for record in records}
        self._lines = {key: line for key, line in self._lines.items() if key in found}
        for record in records:
            self._adopt(record)

    def _adopt(self, record: Record) -> Line:
        """Go by what was read; the same line where nothing has changed."""
        known = self._lines.get(record.key)
        if known is None or known.record.version != record.version:
            known = self._lines[record.key] = Line(record, self._next_at(record))
        return known

    async def _deal(self, line: Line, now: datetime) -> None:
        """Deal with one schedule that was due when it was last seen; what is wrong with it harms no other."""
        standing, tick = line.record.standing, line.next_at
        if standing is None or tick is None or tick > now:
            return  # deleted, paused, changed, or another worker was faster
        try:
            if self._declares(line.record):
                await self._tick(line, standing, now)
            else:
                await self._leave(line, standing, tick, now)
        except InvalidInput as exc:
            await self._fail(line, standing, exc, now)
        except EngineUnavailable:
            raise
        except Exception as exc:
            line.hold = now + PATIENCE
            _log.error("the ticks of schedule %s could not be dealt with", standing.plan.name, exc_info=exc)

    async def _tick(self, line: Line, standing: Standing, now: datetime) -> None:
        plan = standing.plan
        due = await asyncio.to_thread(_due, line.record, now)
        jobs = [self._job(plan, tick, now) for tick in due]
        ticks = await self._allowance.take(standing, due, now)
        if due and not ticks:
            await self._hold(line, standing, now)
            return
        receipts = await self._to.engine.submit(jobs[: len(ticks)]) if ticks else []
        for tick, job, receipt in zip(ticks, jobs, receipts, strict=False):
            await self._made(standing, tick, (job, receipt), now)
        change = _dealt_with(ticks, receipts) if ticks else partial(passed, until=now)
        missed_from, until = line.next_at or now, ticks[0] if ticks else now
        if await self._write(line, change):
            if missed_from < until:
                self._to.emit(ScheduleMissed(schedule=plan.name, user_id=plan.user_id, since=missed_from, until=until))
            if _taken(receipts):
                self._tell_failing(plan, IdempotencyConflict.__name__)

    def _job(self, plan: Plan, tick: datetime, now: datetime) -> NewJob:
        request = plan.tick_request(tick)
        job_id = JobId(uuid7(*clock.new_id_parts()))
        return self._builder.build(request, self._to.registry.get(request.type), job_id, now)

    async def _made(self, standing: Standing, tick: datetime, made: tuple[NewJob, Receipt], now: datetime) -> None:
        """Tell of a job: that is for whoever made it."""
        (job, receipt), plan = made, standing.plan
        match receipt.submission:
            case Submission.BUSY:
                raise EngineUnavailable("a transaction holds the tick's idempotency key")
            case Submission.CONFLICT:
                await self._allowance.give_back(standing, tick)
            case Submission.CREATED:
                self._to.emit(Submitted(job=ref(job)))
                self._to.emit(
                    ScheduleTicked(schedule=plan.name, user_id=plan.user_id, tick=tick, job_id=job.id, late=now - tick)
                )

    async def _write(self, line: Line, change: Change) -> bool:
        """Whether this worker's was the swap that wrote it down."""
        record, won = await self._book.change(line.record.key, change, line.record)
        self._adopt(record)
        return won

    async def _hold(self, line: Line, standing: Standing, now: datetime) -> None:
        """Leave ticks due until their user may have another job; by then they may be late, or missed."""
        why = f"its user has had {self._allowance.limit} jobs within an hour, which is the most: its ticks wait"
        plan = standing.plan
        if await self._write(line, partial(failing, looked=standing.looked, error=why)):
            self._to.emit(ScheduleHeld(schedule=plan.name, user_id=plan.user_id))
        self._lines[line.record.key].hold = now + self._allowance.wait(plan.user_id, now)

    async def _leave(self, line: Line, standing: Standing, tick: datetime, now: datetime) -> None:
        """Leave a tick to those whose code declares the schedule; where nobody's does, it is retired."""
        if now < tick + PATIENCE:
            line.hold = tick + PATIENCE
            return
        if await self._write(line, partial(retired, tick=tick, now=now)):
            self._to.emit(ScheduleRetired(schedule=standing.plan.name, user_id=standing.plan.user_id))

    def _declares(self, record: Record) -> bool:
        """Whether its ticks are for this worker to deal with: code's are for those that run that code."""
        of_code = record.standing is not None and record.standing.origin is Origin.CODE
        return not of_code or record.key in self._to.declared

    def _next_at(self, record: Record) -> datetime | None:
        standing = record.standing
        if standing is None or standing.paused_at is not None:
            return None
        if standing.retired_at is not None and not self._declares(record):
            return None
        try:
            return _following(record)(standing.looked)
        except InvalidInput:
            return standing.looked  # so that it is told at the next look

    async def _fail(self, line: Line, standing: Standing, error: InvalidInput, now: datetime) -> None:
        """Leave a tick to others for a while; then say what is wrong, and look again from time to time."""
        patient_until = (line.next_at or now) + PATIENCE
        if now < patient_until:
            line.hold = patient_until
            return
        plan, unknown = standing.plan, isinstance(error, UnknownJobType)
        why = f"no worker that looked knows the job type {plan.type!r}" if unknown else str(error)
        if await self._write(line, partial(failing, looked=standing.looked, error=why)):
            self._tell_failing(plan, type(error).__name__)
        self._lines[line.record.key].hold = now + PATIENCE

    def _tell_failing(self, plan: Plan, error_type: str) -> None:
        self._to.emit(ScheduleFailing(schedule=plan.name, user_id=plan.user_id, error_type=error_type))


def _following(record: Record) -> Following:
    assert record.standing is not None
    schedule = record.standing.plan.schedule
    return parse(schedule.expression, schedule.timezone)


def _due(record: Record, now: datetime) -> Sequence[datetime]:
    assert record.standing is not None
    schedule = record.standing.plan.schedule
    return due_ticks(
        _following(record), record.standing.looked, now, misfire=schedule.misfire, limit=schedule.max_catch_up
    )


def _dealt_with(ticks: Sequence[datetime], receipts: Sequence[Receipt]) -> Change:
    taken = _taken(receipts)
    error = f"the idempotency key of a tick was taken by job {taken[0].job_id}" if taken else ""
    return partial(ticked, tick=ticks[-1], job_id=receipts[-1].job_id, error=error)


def _taken(receipts: Sequence[Receipt]) -> list[Receipt]:
    """Those of ticks whose key somebody else had used: they made no job."""
    return [receipt for receipt in receipts if receipt.submission is Submission.CONFLICT]
