"""One job at a server, as a handle holds it."""

import os
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import TypeVar, overload

import msgspec

from tidegate.core.job import Status
from tidegate.errors import InvalidInput, JobCancelled, JobFailed
from tidegate.sdk import files, waiting
from tidegate.sdk.asking import ask, fetch
from tidegate.sdk.exchange import Request
from tidegate.sdk.lines import Awaiting, Blocking
from tidegate.sdk.requests import Page, get, known, seconds
from tidegate.sdk.resources import Call, Each, J, L, Resource, Side
from tidegate.sdk.values import Artifact, Attempt, JobDetails, JobEvent, JobStatus, JobStep, Usage

T = TypeVar("T")


class HeldJob(Resource[L, J]):
    """A job at a server. `created` is whether this call made it: False where its idempotency key had done so before."""

    def __init__(self, side: Side[L, J], job_id: str, created: bool = False) -> None:
        super().__init__(side)
        self.id = known(job_id)
        self.created = created

    @Call
    async def status(self, wait: float | timedelta | None = None) -> JobStatus:
        """Where it stands; raises JobNotFound once it is pruned.

        With `wait`, once it has ended, or after so many seconds (60 at most) with where it stands then.
        """
        lasts = seconds(wait) if wait else None
        return await fetch(self._means, waiting.status_of(self.id, lasts), JobStatus)

    @Call
    async def details(self) -> JobDetails:
        """All that is known of it, with its payload, and its result unless that is large."""
        return await fetch(self._means, self._get(""), JobDetails)

    @overload
    def result(self: "HeldJob[Blocking, J]", timeout: float | timedelta | None = None, *, into: type[T]) -> T: ...
    @overload
    def result(
        self: "HeldJob[Blocking, J]", timeout: float | timedelta | None = None, *, into: None = None
    ) -> object: ...
    @overload
    def result(
        self: "HeldJob[Awaiting, J]", timeout: float | timedelta | None = None, *, into: type[T]
    ) -> Coroutine[object, object, T]: ...
    @overload
    def result(
        self: "HeldJob[Awaiting, J]", timeout: float | timedelta | None = None, *, into: None = None
    ) -> Coroutine[object, object, object]: ...
    def result(self, timeout: float | timedelta | None = None, *, into: type[T] | None = None) -> object:
        """What it returned, as JSON gives it back, or as an `into`; waits for it, 600 s unless said otherwise.

        Raises JobFailed, JobCancelled or ResultTimeout.
        """
        return self._side.line.call(self._result)(timeout, into)

    @Call
    async def cancel(self) -> JobStatus:
        """Cancel it, or ask its run to stop; raises IllegalTransition once it has ended."""
        return await self._act("cancel")

    @Call
    async def retry(self) -> JobStatus:
        """Queue it again, as if new; raises IllegalTransition unless it failed or was cancelled."""
        return await self._act("retry")

    @Call
    async def dismiss(self) -> JobStatus:
        """Take it off the dead letters; raises IllegalTransition unless it failed."""
        return await self._act("dismiss")

    @Call
    async def history(self) -> list[JobStep]:
        """Its steps, oldest first."""
        steps: list[JobStep] = []
        after: int | str | None = 0
        while after is not None:
            path, query = f"/jobs/{self.id}/history", {"after": str(after)}
            asked = Request(method="GET", path=path, query=query, job_id=self.id)
            page = await fetch(self._means, asked, Page[JobStep])
            steps += page.items
            after = page.next
        return steps

    @Call
    async def attempts(self) -> list[Attempt]:
        """Its runs, oldest first: how each ended, whether it counts, and what it spent."""
        return (await fetch(self._means, self._get("/attempts"), Page[Attempt])).items

    @Call
    async def usage(self) -> list[Usage]:
        """What its runs spent on models, call by call."""
        return (await fetch(self._means, self._get("/usage"), Page[Usage])).items

    @Call
    async def artifacts(self) -> list[Artifact]:
        """The files that it made, once it has succeeded; of one that failed its `error.json`."""
        return (await fetch(self._means, self._get("/artifacts"), Page[Artifact])).items

    @Call
    async def download(self, path: str, to: str | os.PathLike[str]) -> Path:
        """Save one of its files as `to`, or in that folder; where it is. Raises ArtifactNotFound."""
        return await files.download(self._means, self.id, path, to)

    @Each
    async def events(self, after: int = 0) -> AsyncGenerator[JobEvent, None]:
        """Its steps and its progress as they happen, from behind step `after` to its end; lost streams are resumed."""
        async with aclosing(waiting.events(self._means, self.id, after)) as events:
            async for event in events:
                yield event

    def __repr__(self) -> str:
        return f"<job {self.id}>"

    def _get(self, what: str) -> Request:
        return get(f"/jobs/{self.id}{what}", self.id)

    async def _act(self, verb: str) -> JobStatus:
        """None of the verbs is repeated: done twice, each would be refused, or be done to another run."""
        request = Request(method="POST", path=f"/jobs/{self.id}/{verb}", job_id=self.id)
        return await fetch(self._means, request, JobStatus)

    async def _result(self, timeout: float | timedelta | None, into: type[T] | None) -> T | object:
        wait = seconds(self._means.max_wait if timeout is None else timeout)
        status = await waiting.ended(self._means, self.id, wait)
        match status.status:
            case Status.FAILED:
                raise JobFailed(self.id, status.error or "failed", status.error_message or "")
            case Status.CANCELLED:
                raise JobCancelled(self.id)
            case _:
                returned = (
                    b"null" if status.result_path is None else (await ask(self._means, self._get("/result"))).body
                )
                return _value(self._means.where, returned, into)


def _value(where: str, text: bytes, into: type[T] | None) -> T | object:
    """What a job returned; raises InvalidInput where it is nothing that `into` can hold."""
    try:
        validate = getattr(into, "model_validate_json", None)  # a Pydantic model has it
        if callable(validate):
            made: object = validate(text)
            return made
        return msgspec.json.decode(text, type=object if into is None else into)
    except (msgspec.MsgspecError, ValueError) as exc:
        wanted = "JSON" if into is None else f"a {into.__name__}"
        raise InvalidInput("result", f"what {where} gave is not {wanted}: {exc}") from exc
