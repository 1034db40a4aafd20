"""The client for asyncio: the blocking one, awaited."""

import os
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, Unpack, overload

import httpx2

from tidegate.core.states import Override
from tidegate.sdk import calls, connecting, files, health, waiting
from tidegate.sdk.asking import Means, Patience, fetch
from tidegate.sdk.awaiting import Line
from tidegate.sdk.bodies import BatchOptions, Filters, SubmitOptions, seconds
from tidegate.sdk.files import FileLike
from tidegate.sdk.values import (
    Artifact,
    JobDetails,
    JobEvent,
    JobItem,
    JobStatus,
    JobStep,
    JobTypeInfo,
    QueueInfo,
    Transition,
    Upload,
    UpstreamInfo,
    Usage,
)

T = TypeVar("T")


class AsyncJobHandle:
    """A job at a server. `created` is whether this call made it: False where its idempotency key had done so before."""

    def __init__(self, line: Line, means: Means, job_id: str, *, created: bool = False) -> None:
        self._line = line
        self._means = means
        self.id = calls.known(job_id)
        self.created = created

    async def status(self) -> JobStatus:
        """Where it stands; raises JobNotFound once it is pruned."""
        return await self._line.run(fetch(self._means, waiting.status_of(self.id), JobStatus))

    async def details(self) -> JobDetails:
        """All that is known of it, with its payload, and its result unless that is large."""
        return await self._line.run(calls.details(self._means, self.id))

    @overload
    async def result(self, timeout: float | timedelta | None = None, *, into: type[T]) -> T: ...
    @overload
    async def result(self, timeout: float | timedelta | None = None, *, into: None = None) -> object: ...
    async def result(self, timeout: float | timedelta | None = None, *, into: type[T] | None = None) -> T | object:
        """What it returned, as JSON gives it back, or as an `into`; waits for it, 600 s unless said otherwise.

        Raises JobFailed, JobCancelled or ResultTimeout.
        """
        wait = seconds(self._means.max_wait if timeout is None else timeout)
        return await self._line.run(calls.result(self._means, self.id, wait, into))

    async def cancel(self) -> JobStatus:
        """Cancel it, or ask its run to stop; raises IllegalTransition once it has ended."""
        return await self._line.run(calls.act(self._means, self.id, "cancel"))

    async def retry(self) -> JobStatus:
        """Queue it again, as if new; raises IllegalTransition unless it failed or was cancelled."""
        return await self._line.run(calls.act(self._means, self.id, "retry"))

    async def dismiss(self) -> JobStatus:
        """Take it off the dead letters; raises IllegalTransition unless it failed."""
        return await self._line.run(calls.act(self._means, self.id, "dismiss"))

    async def history(self) -> list[JobStep]:
        """Its steps, oldest first."""
        return await self._line.run(calls.history(self._means, self.id))

    async def usage(self) -> list[Usage]:
        """What its runs spent on models, call by call."""
        return await self._line.run(calls.usage(self._means, self.id))

    async def artifacts(self) -> list[Artifact]:
        """The files that it made, once it has succeeded."""
        return await self._line.run(calls.artifacts(self._means, self.id))

    async def download(self, path: str, to: str | os.PathLike[str]) -> Path:
        """Save one of its files as `to`, or in that folder; where it is. Raises ArtifactNotFound."""
        return await self._line.run(files.download(self._means, self.id, path, to))

    def events(self, after: int = 0) -> AsyncGenerator[JobEvent, None]:
        """Its steps and its progress as they happen, from behind step `after` to its end; lost streams are resumed."""
        return self._line.each(waiting.events(self._means, self.id, after))

    def __repr__(self) -> str:
        return f"<job {self.id}>"


class AsyncQueues:
    """The queues of a server."""

    def __init__(self, line: Line, means: Means) -> None:
        self._line = line
        self._means = means

    async def list(self) -> list[QueueInfo]:
        """All of them, by name."""
        return await self._line.run(health.queues(self._means))

    async def show(self, name: str) -> QueueInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await self._line.run(health.queue(self._means, name))

    async def pause(self, name: str, last: float | timedelta | None = None) -> QueueInfo:
        """Claim none of its jobs, for so long or until it is resumed."""
        return await self._line.run(health.pause(self._means, name, last))

    async def resume(self, name: str) -> QueueInfo:
        """Claim its jobs again, a few at first."""
        return await self._line.run(health.resume(self._means, name))


class AsyncUpstreams:
    """The upstreams of a server."""

    def __init__(self, line: Line, means: Means) -> None:
        self._line = line
        self._means = means

    async def list(self) -> list[UpstreamInfo]:
        """All of them, by name."""
        return await self._line.run(health.upstreams(self._means))

    async def show(self, name: str) -> UpstreamInfo:
        """One of them; raises InvalidInput for one that is not known."""
        return await self._line.run(health.upstream(self._means, name))

    async def history(self, name: str) -> Sequence[Transition]:
        """Its changes, newest first."""
        return await self._line.run(health.changes(self._means, name))

    async def override(self, name: str, state: Override | str, last: float | timedelta | None = None) -> UpstreamInfo:
        """Decide for the fleet whether it is called, for so long or until the word is cleared."""
        return await self._line.run(health.override(self._means, name, state, last))

    async def clear(self, name: str) -> UpstreamInfo:
        """Let the breaker decide again."""
        return await self._line.run(health.clear(self._means, name))

    async def reset(self, name: str) -> UpstreamInfo:
        """Close the breaker now, and ramp up."""
        return await self._line.run(health.reset(self._means, name))


class AsyncClient:
    """A Tidegate server, as one user or one API key sees it; tasks may share it.

    What is not given is read from `TIDEGATE_URL`, `TIDEGATE_USER` and `TIDEGATE_API_KEY`. `timeout` is seconds that a
    server may be silent. Raises ConfigError.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        user_id: str | None = None,
        api_key: str | None = None,
        timeout: float = 10,
        patience: Patience | None = None,
    ) -> None:
        to = connecting.connection(url, user_id, api_key)
        http = httpx2.AsyncClient(base_url=to.url, headers=to.headers, timeout=timeout)
        self._set_up(Line(http), connecting.means(to.where, patience or Patience()))

    @classmethod
    def over(cls, http: httpx2.AsyncClient, patience: Patience | None = None) -> Self:
        """On an httpx2 client of your own, which has the server's URL and the headers that tell who asks."""
        made = cls.__new__(cls)
        made._set_up(Line(http), connecting.means(connecting.where(str(http.base_url)), patience or Patience()))
        return made

    def _set_up(self, line: Line, means: Means) -> None:
        self._line = line
        self._means = means
        self.queues = AsyncQueues(line, means)
        self.upstreams = AsyncUpstreams(line, means)

    async def submit(self, job_type: str, payload: object = None, **options: Unpack[SubmitOptions]) -> AsyncJobHandle:
        """Accept a job, durably, and return at once. Without an idempotency key it gets one of its own.

        Raises InvalidInput, IdempotencyConflict, RateLimited, UpstreamOpen, ServiceError; TypeError for an option
        that there is not.
        """
        made = await self._line.run(calls.submit(self._means, job_type, payload, options))
        return AsyncJobHandle(self._line, self._means, made.job_id, created=made.created)

    async def submit_many(
        self, job_type: str, payloads: Sequence[object], *, keys: Sequence[str] = (), **options: Unpack[BatchOptions]
    ) -> list[AsyncJobHandle]:
        """Accept a job for each payload, 500 at a time; `keys` are their idempotency keys, one each, or none.

        Where it raises, batches before may have been accepted: ask again under the same keys.
        """
        made = await self._line.run(calls.submit_many(self._means, job_type, payloads, keys, options))
        return [AsyncJobHandle(self._line, self._means, one.job_id, created=one.created) for one in made]

    def job(self, job_id: str) -> AsyncJobHandle:
        """The handle of a job submitted earlier, or elsewhere; whether there is one, its methods tell.

        Raises JobNotFound for what is no id.
        """
        return AsyncJobHandle(self._line, self._means, job_id)

    def find(self, **filters: Unpack[Filters]) -> AsyncGenerator[JobItem, None]:
        """Every job that fits, newest first, read page by page."""
        return self._line.each(calls.find(self._means, filters))

    async def job_types(self) -> list[JobTypeInfo]:
        """The job types that the server knows."""
        return await self._line.run(calls.job_types(self._means))

    async def upload(self, file: FileLike, *, name: str | None = None) -> Upload:
        """Upload the file at a path, or these bytes; its `file` goes into a payload."""
        return await self._line.run(files.upload(self._means, file, name))

    async def close(self) -> None:
        """Close its connections."""
        await self._line.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<client of {self._means.where}>"
