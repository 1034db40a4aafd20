"""The blocking client and the one for asyncio: the same calls under the same names."""

from types import TracebackType
from typing import Self

import httpx2

from tidegate.sdk.asking import Patience
from tidegate.sdk.connecting import Connection, where
from tidegate.sdk.jobs import HeldJob
from tidegate.sdk.lines import Awaiting, Blocking
from tidegate.sdk.resources import Side
from tidegate.sdk.server import Server


class JobHandle(HeldJob[Blocking, "JobHandle"]):
    """A job at a server. `created` is whether this call made it: False where its idempotency key had done so before."""


class AsyncJobHandle(HeldJob[Awaiting, "AsyncJobHandle"]):
    """A `JobHandle` whose calls are awaited."""


class Client(Server[Blocking, JobHandle]):
    """A Tidegate server, as one user or one API key sees it; threads may share it.

    What is not given is read from `TIDEGATE_URL`, `TIDEGATE_USER` and `TIDEGATE_API_KEY`. `timeout` is seconds that a
    server may be silent. Raises ConfigError.
    """

    @classmethod
    def over(cls, http: httpx2.Client, patience: Patience | None = None) -> Self:
        """On an httpx2 client of your own, which has the server's URL and the headers that tell who asks."""
        return cls._on(Blocking(http), where(str(http.base_url)), patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @staticmethod
    def _line(to: Connection, timeout: float) -> Blocking:
        return Blocking.to(to, timeout)

    @staticmethod
    def _held(side: Side[Blocking, JobHandle], job_id: str, created: bool) -> JobHandle:
        return JobHandle(side, job_id, created)


class AsyncClient(Server[Awaiting, AsyncJobHandle]):
    """A `Client` whose calls are awaited; tasks may share it."""

    @classmethod
    def over(cls, http: httpx2.AsyncClient, patience: Patience | None = None) -> Self:
        """On an httpx2 client of your own, which has the server's URL and the headers that tell who asks."""
        return cls._on(Awaiting(http), where(str(http.base_url)), patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @staticmethod
    def _line(to: Connection, timeout: float) -> Awaiting:
        return Awaiting.to(to, timeout)

    @staticmethod
    def _held(side: Side[Awaiting, AsyncJobHandle], job_id: str, created: bool) -> AsyncJobHandle:
        return AsyncJobHandle(side, job_id, created)
