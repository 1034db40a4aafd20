"""What both clients do at a server."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Self, Unpack

from tidegate.sdk import connecting, files, submitting, waiting
from tidegate.sdk.asking import Patience, fetch
from tidegate.sdk.bulk import Bulk
from tidegate.sdk.exchange import Request
from tidegate.sdk.files import FileLike
from tidegate.sdk.keys import Keys
from tidegate.sdk.listing import pages
from tidegate.sdk.options import BatchOptions, Filters, Match, SubmitOptions, check_names, told
from tidegate.sdk.queues import Queues
from tidegate.sdk.requests import Page, get
from tidegate.sdk.resources import Call, Each, J, L, Resource, Side
from tidegate.sdk.schedules import Schedules
from tidegate.sdk.upstreams import Upstreams
from tidegate.sdk.values import (
    Caller,
    Counts,
    FeedEvent,
    FeedReset,
    JobItem,
    JobTypeInfo,
    Readiness,
    ServerInfo,
    Upload,
    WorkerInfo,
)
from tidegate.sdk.webhooks import Webhooks

_AS_JSON: Final = {"Accept": "application/json"}


class Server(Resource[L, J], ABC):
    """A Tidegate server, as one user or one API key sees it.

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
        self._set_up(self._line(to, timeout), to.where, patience)

    @classmethod
    def _on(cls, line: L, where: str, patience: Patience | None) -> Self:
        made = cls.__new__(cls)
        made._set_up(line, where, patience)
        return made

    def _set_up(self, line: L, where: str, patience: Patience | None) -> None:
        side = Side(line=line, means=connecting.means(line, where, patience or Patience()), handle=self._held)
        super().__init__(side)
        self.bulk = Bulk(side)
        self.keys = Keys(side)
        self.queues = Queues(side)
        self.schedules = Schedules(side)
        self.upstreams = Upstreams(side)
        self.webhooks = Webhooks(side)

    @staticmethod
    @abstractmethod
    def _line(to: connecting.Connection, timeout: float) -> L: ...

    @staticmethod
    @abstractmethod
    def _held(side: Side[L, J], job_id: str, created: bool) -> J: ...

    @Call
    async def submit(self, job_type: str, payload: object = None, **options: Unpack[SubmitOptions]) -> J:
        """Accept a job, durably, and return at once. Without an idempotency key it gets one of its own.

        Raises InvalidInput, IdempotencyConflict, RateLimited, UpstreamOpen, ServiceError; TypeError for an option
        that there is not.
        """
        made = await submitting.submit(self._means, job_type, payload, options)
        return self._side.job(made.job_id, created=made.created)

    @Call
    async def submit_many(
        self, job_type: str, payloads: Sequence[object], *, keys: Sequence[str] = (), **options: Unpack[BatchOptions]
    ) -> list[J]:
        """Accept a job for each payload, 500 at a time; `keys` are their idempotency keys, one each, or none.

        Where it raises, batches before may have been accepted: ask again under the same keys.
        """
        made = await submitting.submit_many(self._means, job_type, payloads, keys, options)
        return [self._side.job(one.job_id, created=one.created) for one in made]

    def handle(self, job_id: str) -> J:
        """The handle of a job submitted earlier, or elsewhere; whether there is one, its methods tell.

        Raises JobNotFound for what is no id.
        """
        return self._side.job(job_id)

    @Each
    async def find(self, **filters: Unpack[Filters]) -> AsyncGenerator[JobItem, None]:
        """Every job that fits, newest first, read page by page."""
        check_names("find", filters, Filters)
        async with aclosing(pages(self._means, "/jobs", told(filters))) as jobs:
            async for job in jobs:
                yield job

    @Each
    async def dead_letters(self, **filters: Unpack[Match]) -> AsyncGenerator[JobItem, None]:
        """Every dead letter that fits, newest first, read page by page: jobs that failed and that nobody dismissed."""
        check_names("dead_letters", filters, Match)
        async with aclosing(pages(self._means, "/dead-letters", told(filters))) as jobs:
            async for job in jobs:
                yield job

    @Each
    async def events(self, after: str = "") -> AsyncGenerator[FeedEvent | FeedReset, None]:
        """Every step of all your jobs as it happens, from behind the event of that id or from now on; without an end.

        Lost streams are resumed. A FeedReset says that steps may have been missed.
        """
        async with aclosing(waiting.feed(self._means, after)) as events:
            async for event in events:
                yield event

    @Call
    async def job_types(self) -> list[JobTypeInfo]:
        """The job types that the server knows."""
        return (await fetch(self._means, get("/job-types"), Page[JobTypeInfo])).items

    @Call
    async def upload(self, file: FileLike, *, name: str | None = None) -> Upload:
        """Upload the file at a path, or these bytes; its `file` goes into a payload."""
        return await files.upload(self._means, file, name)

    @Call
    async def workers(self) -> list[WorkerInfo]:
        """The workers, and holders of leases that have fallen silent."""
        return (await fetch(self._means, get("/workers"), Page[WorkerInfo])).items

    @Call
    async def counts(self) -> Counts:
        """How many jobs stand where, in the whole store."""
        return await fetch(self._means, Request(method="GET", path="/metrics", headers=_AS_JSON), Counts)

    @Call
    async def ready(self) -> Readiness:
        """What the server works on; raises ServiceError where it can't accept, run or keep jobs."""
        return await fetch(self._means, get("/readyz"), Readiness)

    @Call
    async def about(self) -> ServerInfo:
        """What the server is: its version, and where its documents are."""
        return await fetch(self._means, get("/"), ServerInfo)

    @Call
    async def whoami(self) -> Caller:
        """Who you are to this server."""
        return await fetch(self._means, get("/session"), Caller)

    @Call
    async def close(self) -> None:
        """Close the connections."""
        await self._side.line.close()

    def __repr__(self) -> str:
        return f"<client of {self._means.where}>"
