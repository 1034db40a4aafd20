"""The computation of `analysis` for a handler that has more to do: in a process that can be killed."""

import asyncio
import json
from dataclasses import dataclass, replace
from functools import partial
from weakref import finalize

from tidegate.context import Context, Link
from tidegate.core.failure import Failure
from tidegate.core.job import Progress
from tidegate.errors import GiveUp, NotData
from tidegate.handlers import Registry
from tidegate.jobs.analysis.job import AnalysisPayload, analysis
from tidegate.worker.processes import Child, Processes
from tidegate.worker.producing import Made, Produced
from tidegate.worker.threads import Threads


@dataclass(frozen=True, slots=True)
class _Part:
    """The link of a run, of which the computation is the first part."""

    link: Link
    share: float

    def report(self, progress: Progress) -> None:
        """Pass progress on, as a share of the whole."""
        done = None if progress.fraction is None else progress.fraction * self.share
        self.link.report(replace(progress, fraction=done))

    def stopped(self) -> bool:
        """Whether the run shall end."""
        return self.link.stopped()


class Computing:
    """Processes for all runs, kept for the next ones until this is gone: nobody tells a job type when a worker ends."""

    def __init__(self) -> None:
        self._job_type = Registry().add("analysis", analysis, {"cpu": True, "files": ("file",)})
        self._processes = Processes()
        self._threads = Threads("tidegate-analysis")
        finalize(self, self._processes.close)
        finalize(self, self._threads.close)

    async def computed(self, payload: AnalysisPayload, ctx: Context, share: float) -> Produced:
        """What the computation made, its progress up to `share`. Raises as it did; cancelling kills the process."""
        part = replace(ctx, link=_Part(ctx.link, share))
        child = self._processes.lend()
        call = partial(self._call, child, payload.model_dump_json().encode(), part)
        try:
            made = await self._threads.run(call)
        except asyncio.CancelledError:
            child.kill()
            raise
        return _produced(made)

    def _call(self, child: Child, payload: bytes, ctx: Context) -> Made:
        try:
            return child.call(self._job_type, payload, ctx)
        finally:
            self._processes.give_back(child)


def document_of(made: Produced) -> dict[str, object]:
    """The result document."""
    document = json.loads(made.result or b"{}")
    assert isinstance(document, dict)
    return document


def _produced(made: Made) -> Produced:
    match made:
        case Produced():
            return made
        case Failure(error_type=NotData.__name__):
            raise NotData(made.message.removeprefix("file: "), code=made.code)
        case Failure(transient=False):
            raise GiveUp(made.message, code=made.code)
        case Failure():
            raise ChildProcessError(f"{made.error_type}: {made.message}")
        case _:
            raise ChildProcessError("the process of the analysis vanished")
