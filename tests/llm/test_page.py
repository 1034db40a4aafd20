"""What the page about models says that its handlers do, they do: in an application, against a scripted server."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.docs.pages import DOCS
from tests.docs.program import Program
from tests.llm.calls import completion, piece
from tests.servers.scripted import Act, answers, scripted, streams
from tidegate.app import JobFunction, JobHandle, Tidegate
from tidegate.core.job import Job

PAGE = DOCS / "how-to" / "call-a-model.md"
TICKET = answers(200, completion('{"topic": "rain", "urgent": true}'))
Page = Callable[[Mapping[str, str]], SimpleNamespace]
Function = JobFunction[object, object]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """Run the page; what it has defined."""
    program = Program(tmp_path, monkeypatch)
    return lambda replace: SimpleNamespace(**program.run(PAGE, replace))


async def ended(app: Tidegate, function: Function, payload: object) -> tuple[Job, object]:
    """The job once it has ended, and its result."""
    job: JobHandle[object] = await app.submit(function, payload)
    result = await job.result(timeout=20)
    return await job.status(), result


def run(page: Page, name: str, payload: object, *acts: Act) -> tuple[Job, object, int]:
    """One job of the page, its model being a server with a script; how often that was called."""

    async def whole() -> tuple[Job, object, int]:
        async with scripted(*acts) as server:
            known = await asyncio.to_thread(page, {"https://openrouter.ai/api/v1": server.url})
            async with known.app, known.llm, known.local, known.patient:
                job, result = await ended(known.app, getattr(known, name), payload)
            return job, result, len(server.requests)

    return run_async(whole())


def run_async(work: Coroutine[object, object, tuple[Job, object, int]]) -> tuple[Job, object, int]:
    with asyncio.Runner() as runner:
        return runner.run(work)


def test_a_handler_gets_a_parsed_answer_and_its_cost(page: Page) -> None:
    job, result, calls = run(page, "triage", "It rains in!", TICKET)
    assert result == {"topic": "rain", "urgent": True, "cost": 9}
    assert (job.attempts, calls) == (1, 1)


def test_an_overloaded_provider_uses_no_attempt(page: Page) -> None:
    busy = answers(503, {})
    job, _, calls = run(page, "triage", "It rains in!", busy, busy, TICKET)
    assert (job.attempts, job.counters.upstream_faults, calls) == (1, 1, 3)


def test_a_stream_becomes_a_result(page: Page) -> None:
    act = streams(piece("Once "), piece("upon"), piece(finish="stop"), "[DONE]")
    _, result, _ = run(page, "story", "rain", act)
    assert result == "Once upon"


def test_a_job_that_may_not_wait_is_served_by_a_program(page: Page) -> None:
    job, result, calls = run(page, "triage_always", "URGENT: it rains in!", answers(503, {}))
    assert result == {"topic": "unknown", "urgent": True}
    assert (job.degraded, job.served_by, calls) == (True, "deterministic", 2)
