"""The webhooks as this process knows them: jobs end without a question to the store."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.job import Job, NewJob, Settlement
from tidegate.errors import EngineUnavailable
from tidegate.system_jobs.webhooks.endpoint import Endpoint
from tidegate.system_jobs.webhooks.notices import (
    End,
    Terms,
    caused,
    concerns,
    delivery,
    end_by,
    end_of_waiting,
    event_of,
    id_of,
    payload,
)
from tidegate.system_jobs.webhooks.store import Endpoints

EVERY: Final = timedelta(seconds=2)
"""Between two looks at whether any document has changed; the news of that are at most 2 s old themselves."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Book:
    """All webhooks, by user. `newest` tells the version of the newest document, as far as it was heard of."""

    endpoints: Endpoints
    now: Callable[[], datetime]
    newest: Callable[[], int]
    terms: Terms = field(default_factory=Terms)
    _read: int = -1
    _known: dict[str, Endpoint] = field(default_factory=dict)
    _of: dict[str, tuple[Endpoint, ...]] = field(default_factory=dict)

    @property
    def needed(self) -> bool:
        """Whether anybody is to hear of anything."""
        return bool(self._of)

    # what follows an ending ------------------------------------------------------------------------------------

    def follow(self, job: Job, settlement: Settlement) -> tuple[NewJob, ...]:
        """The deliveries that go with a settlement, to exist if and only if it is applied. Never raises."""
        if job.spec.user_id not in self._of:
            return ()
        try:
            end = end_by(job, settlement)
            return () if end is None else self._deliveries(job, end, self.now())
        except Exception as exc:  # whatever is wrong here, the job has ended
            _log.error("nobody is told of the end of job %s", job.id, exc_info=exc)
            return ()

    def follow_cancel(self, job: Job) -> tuple[NewJob, ...]:
        """The deliveries that go with the cancel of a job that waited; none for any other."""
        if job.spec.user_id not in self._of:
            return ()
        end = end_of_waiting(job)
        return () if end is None else self._deliveries(job, end, job.finished_at or self.now())

    def _deliveries(self, job: Job, end: End, at: datetime) -> tuple[NewJob, ...]:
        if not concerns(job):
            return ()
        wanting = [one for one in self._of[job.spec.user_id] if one.wants(job.spec.type, end.status)]
        event, expires_at = event_of(job, end, at), at + self.terms.kept_up
        made: list[NewJob] = []
        for endpoint in wanting:
            job_id = id_of(endpoint, job, end.mark)
            sent = payload(endpoint, f"msg_{job_id}", event)
            made.append(caused(job.spec, delivery(endpoint, job_id, sent, self.terms, expires_at)))
        return tuple(made)

    # keeping up with the store ---------------------------------------------------------------------------------

    def adopt(self, endpoint: Endpoint) -> None:
        """Know of one that this process has changed."""
        self._take([*(one for one in self._known.values() if one.id != endpoint.id), endpoint])

    def drop(self, webhook_id: str) -> None:
        """Know no more of one that this process has removed."""
        self._take([one for one in self._known.values() if one.id != webhook_id])

    async def refresh(self) -> None:
        """Read what the store has; raises EngineUnavailable."""
        newest = self.newest()
        self._take(await self.endpoints.all())
        self._read = newest

    async def work(self) -> None:
        """Keep up, until cancelled. While the store is away, what was known last holds."""
        while True:
            await asyncio.sleep(EVERY.total_seconds())
            if self._read == self.newest():
                continue
            try:
                await self.refresh()
            except EngineUnavailable:
                continue
            except Exception as exc:  # a duty that silently ended would leave what is known as it is
                _log.error("the webhooks could not be read", exc_info=exc)

    def _take(self, endpoints: Iterable[Endpoint]) -> None:
        self._known = {endpoint.id: endpoint for endpoint in endpoints}
        by_user: dict[str, tuple[Endpoint, ...]] = {}
        for endpoint in self._known.values():
            if endpoint.disabled_at is None:
                by_user[endpoint.user_id] = (*by_user.get(endpoint.user_id, ()), endpoint)
        self._of = by_user
