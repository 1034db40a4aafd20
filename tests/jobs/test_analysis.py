"""`analysis` with a model: its insights where they hold, those of the rules where they don't or there are none."""

import asyncio
import json
import os
import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import structlog

from tests.jobs.shop import KEY, MODEL, analyse, settings, shop, told
from tests.llm.calls import completion
from tests.servers.provider import Fake, provider
from tests.servers.scripted import Act, Exchange, answers, hangs, scripted
from tests.worker.house import House, eventually
from tidegate.core.job import Job, Status
from tidegate.core.upstream import State, state

CANARY = "canary-cell"
CSV = "note,day,sales\n" + "".join(
    f"{CANARY}-{day},2024-01-{1 + day % 28:02},{10 + day % 28 * 3}\n" for day in range(140)
)
_NUMBERED = re.compile(r"^(?P<number>\d+) \S+ = (?P<value>[\d.]+)$", re.MULTILINE)


def insightful(*, invents: bool = False) -> Act:
    """A model that says the first number which it is shown, or one that nobody has shown it besides."""

    async def act(exchange: Exchange) -> None:
        messages = exchange.request.json()["messages"]
        assert isinstance(messages, list)
        first = _NUMBERED.search(messages[-1]["content"])
        assert first is not None
        true = {
            "title": "One",
            "text": f"It is {first['value']}.",
            "severity": "high",
            "figures": [int(first["number"])],
        }
        false = true | {"title": "Two", "text": f"It is {first['value']}, up from 987654."}
        missing = true | {"title": "Three", "figures": [100_000]}
        said = [false, missing] if invents else [false, true, missing]
        await answers(200, completion(json.dumps({"insights": said})))(exchange)

    return act


def rules(document: dict[str, object]) -> bool:
    """Whether the insights are those of the rules."""
    insights = document["insights"]
    assert isinstance(insights, list)
    assert insights
    return document["insights_by"] == "rules" and all(each["rule"] != "model" for each in insights)


async def analysed(house: House, csv: str = CSV) -> tuple[Job, dict[str, object]]:
    """The job once it has succeeded, and its result."""
    job = await house.ended(await analyse(house, csv), within=60)
    assert (job.status, job.attempts) == (Status.SUCCEEDED, 1), job.error
    return job, await told(house, job)


@pytest.fixture
def fake() -> Iterator[Fake]:
    """A provider that answers at once, until it is told otherwise."""
    with provider(scale=60) as found:
        yield found


async def test_what_holds_of_a_models_insights_replaces_those_of_the_rules(tmp_path: Path) -> None:
    async with scripted(insightful()) as server, shop(tmp_path, settings(server.url)) as house:
        job, document = await analysed(house)
        charts = [name for name in await house.artifacts(job.id) if name.startswith("charts/")]
    insights = document["insights"]
    assert isinstance(insights, list)
    assert [(each["rule"], each["title"]) for each in insights] == [("model", "One")]
    assert all(str(value) in insights[0]["text"] for value in insights[0]["evidence"].values())
    assert (document["insights_by"], job.served_by, job.degraded) == (MODEL, "local.insights", False)
    pictures = document["charts"]
    assert isinstance(pictures, list)
    assert len(charts) == len(pictures) > 0
    assert (len(server.requests), CANARY in server.requests[0].body.decode()) == (1, False)


async def test_a_model_whose_evidence_does_not_hold_is_not_believed(tmp_path: Path) -> None:
    async with scripted(insightful(invents=True)) as server, shop(tmp_path, settings(server.url)) as house:
        job, document = await analysed(house)
    assert rules(document)
    assert (job.served_by, job.degraded) == ("deterministic", True)


async def test_without_a_model_the_rules_find_them_and_the_result_says_so(tmp_path: Path) -> None:
    async with shop(tmp_path, settings("")) as house:
        job, document = await analysed(house)
    assert rules(document)
    assert (job.served_by, job.degraded) == (None, False)


async def test_a_second_model_is_asked_before_the_rules(tmp_path: Path) -> None:
    down = answers(503, {})
    async with (
        scripted(down, down, insightful()) as server,
        shop(tmp_path, settings(server.url, fallback="second/model")) as house,
    ):
        job, document = await analysed(house)
    assert [request.json()["model"] for request in server.requests] == [MODEL, MODEL, "second/model"]
    assert (document["insights_by"], job.served_by, job.degraded) == (MODEL, "local.fallback", True)


@pytest.mark.parametrize(
    ("does", "calls"),
    [("rate_limit", 2), ("error_in_200", 2), ("invalid_json", 2), ("quota", 1)],
)
async def test_no_outage_fails_an_analysis(tmp_path: Path, fake: Fake, does: str, calls: int) -> None:
    async with shop(tmp_path, settings(fake.base())) as house:
        await asyncio.to_thread(fake.override, does)
        job, document = await analysed(house)
        seen = len(await asyncio.to_thread(fake.lines))
    assert rules(document)
    assert (job.served_by, job.degraded, seen) == ("deterministic", True, calls)


async def test_a_black_hole_delays_an_analysis_by_a_calls_deadline_at_most(tmp_path: Path) -> None:
    async with scripted(hangs()) as server:
        models = settings(server.url, overall=timedelta(seconds=0.4))
        async with shop(tmp_path, models) as house, asyncio.timeout(60):
            with structlog.testing.capture_logs() as lines:
                _, document = await analysed(house)
    assert rules(document)
    assert [line["why"] for line in lines if line["event"] == "analysis.no_model"] == ["upstream_timeout"]
    took = [line["took_ms"] for line in lines if line["event"] == "llm.try"]
    assert sum(took) < 5_000


async def test_after_five_faults_no_call_is_made(tmp_path: Path, fake: Fake) -> None:
    async with shop(tmp_path, settings(fake.base()), faster=1) as house:
        await asyncio.to_thread(fake.override, "rate_limit")
        for _ in range(3):
            await analysed(house)
        health = house.system.upstreams
        gate = "upstream:local.insights"
        await eventually(lambda: state(health.upstream(gate), health.now()) is not State.CLOSED)
        calls = len(await asyncio.to_thread(fake.lines))
        _, document = await analysed(house)
        assert len(await asyncio.to_thread(fake.lines)) == calls
    assert rules(document)


async def test_a_file_without_a_table_fails_as_it_does_without_a_model(tmp_path: Path) -> None:
    async with scripted(insightful()) as server, shop(tmp_path, settings(server.url)) as house:
        job = await house.ended(await analyse(house, "just some words, and no table at all."), within=60)
    assert job.error is not None
    assert (job.error.code, job.error.error_type, job.attempts) == ("not_data", "NotData", 1)
    assert (job.error.message.count("file:"), server.requests) == (1, [])


async def test_a_cancelled_analysis_leaves_no_process(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-{1 + row % 28:02},{row},{row % 13}\n" for row in range(300_000))
    async with scripted(insightful()) as server, shop(tmp_path, settings(server.url)) as house:
        job_id = await analyse(house, f"day,a,b\n{rows}")
        await house.until(job_id, lambda job: job.progress is not None, within=60)
        await house.system.client.cancel(job_id)
        job = await house.ended(job_id)
    assert (job.status, server.requests) == (Status.CANCELLED, [])


async def test_an_analysis_whose_process_dies_runs_again(tmp_path: Path) -> None:
    rows = "".join(f"2024-01-{1 + row % 28:02},{row},{row % 13}\n" for row in range(300_000))
    async with scripted(insightful()) as server, shop(tmp_path, settings(server.url)) as house:
        job_id = await analyse(house, f"day,a,b\n{rows}")
        await house.until(job_id, lambda job: job.progress is not None, within=60)
        for child in _computing():
            os.kill(child, signal.SIGKILL)
        job = await house.until(job_id, lambda job: job.error is not None)
        assert job.error is not None
        assert (job.error.error_type, job.attempts) == ("ChildProcessError", 1)
        await house.system.client.cancel(job_id)


def _computing() -> list[int]:
    """The processes of ours that handlers run in."""
    found = (Path(f"/proc/{pid}/cmdline") for pid in _children(os.getpid()))
    return [int(line.parent.name) for line in found if "tidegate.worker.child" in line.read_text()]


def _children(parent: int) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{parent}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


@pytest.mark.parametrize("act", [insightful(), answers(400, {"error": {"message": f"{KEY} {CANARY}"}})])
async def test_no_log_line_tells_a_key_a_cell_or_a_figure(tmp_path: Path, act: Act) -> None:
    async with scripted(act) as server, shop(tmp_path, settings(server.url)) as house:
        with structlog.testing.capture_logs() as lines:
            await analysed(house)
            shown = f"{lines} {house.heard}"
    assert any(line["event"] == "llm.try" for line in lines)
    for canary in (KEY, CANARY, "It is "):
        assert canary not in shown
