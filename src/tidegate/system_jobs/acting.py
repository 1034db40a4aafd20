"""Do to many jobs what a client does to one, with the same events."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tidegate.core.job import Cancel, Job, JobId, Status
from tidegate.core.verbs import Cancellation, Dismissal, Revival
from tidegate.ports import Engine
from tidegate.system_jobs.scope import Action
from tidegate.telemetry.events import CancelRequested, Dismissed, Emitter, Ended, Event, Kind, Revived, finished, ref


class Effect(StrEnum):
    """What came of an action on one job."""

    APPLIED = "applied"
    ILLEGAL = "illegal"  # its status forbids it
    UNKNOWN = "unknown"  # it is gone


_TOLD: Final[dict[Action, tuple[Kind, ...]]] = {
    Action.RETRY: (Revived,),
    Action.CANCEL: (CancelRequested, Ended.CANCELLED),
    Action.DISMISS: (Dismissed,),
}
_OF_REVIVAL: Final = {
    Revival.REVIVED: Effect.APPLIED,
    Revival.ILLEGAL: Effect.ILLEGAL,
    Revival.UNKNOWN: Effect.UNKNOWN,
}
_OF_CANCELLATION: Final = {
    Cancellation.CANCELLED: Effect.APPLIED,
    Cancellation.REQUESTED: Effect.APPLIED,
    Cancellation.FINISHED: Effect.ILLEGAL,
    Cancellation.UNKNOWN: Effect.UNKNOWN,
}
_OF_DISMISSAL: Final = {
    Dismissal.DISMISSED: Effect.APPLIED,
    Dismissal.ILLEGAL: Effect.ILLEGAL,
    Dismissal.UNKNOWN: Effect.UNKNOWN,
}


async def nobody(_job_ids: Sequence[JobId]) -> None:
    """Hears of no cancel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Acts on jobs in an engine, and tells of it; `cancelled` hears of each job that a cancel may have met."""

    engine: Engine
    emit: Emitter
    cancelled: Callable[[Sequence[JobId]], Awaitable[None]] = nobody

    async def act(self, action: Action, job_ids: Sequence[JobId], nonce: str) -> list[Effect]:
        """Act on many jobs; the same again with the same nonce changes nothing. Raises EngineUnavailable."""
        effects = await self._effects(action, job_ids, nonce)
        if any(self.emit.hears(kind) for kind in _TOLD[action]):
            applied = [job_id for job_id, effect in zip(job_ids, effects, strict=True) if effect is Effect.APPLIED]
            await self._tell(action, applied)
        return effects

    async def _effects(self, action: Action, job_ids: Sequence[JobId], nonce: str) -> list[Effect]:
        match action:
            case Action.RETRY:
                return [_OF_REVIVAL[answer] for answer in await self.engine.revive(job_ids, nonce)]
            case Action.CANCEL:
                answers = await self.engine.cancel(job_ids, nonce)
                await self.cancelled(job_ids)
                return [_OF_CANCELLATION[answer] for answer in answers]
            case Action.DISMISS:
                return [_OF_DISMISSAL[answer] for answer in await self.engine.dismiss(job_ids)]

    async def _tell(self, action: Action, job_ids: Sequence[JobId]) -> None:
        for job in await self.engine.get(job_ids):
            if job is not None:  # it may have been pruned meanwhile
                self.emit(_event(action, job))


def _event(action: Action, job: Job) -> Event:
    """What an action came to, told of a job as it is now."""
    match action:
        case Action.RETRY:
            return Revived(job=ref(job))
        case Action.DISMISS:
            return Dismissed(job=ref(job))
        case Action.CANCEL if job.status is Status.CANCELLED and job.cancel_requested_at is None and job.finished_at:
            return finished(job, Cancel(), now=job.finished_at)  # it waited: no worker tells of its end
        case Action.CANCEL:
            return CancelRequested(job=ref(job))
