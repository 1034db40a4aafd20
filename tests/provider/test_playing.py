"""A timeline as it is played, set aside by hand, begun anew, and written down."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.provider.calls import HELLO, ask, error
from tests.servers.provider import Fake, provider
from tidegate.provider.decision import Verdict

pytestmark = pytest.mark.e2e

STORY = """
scale: 10
tenants:
  a:
    phases:
      - {for: 8s, does: healthy}
      - {for: 8s, does: rate_limit, retry_after: exact}
      - {for: 8s, does: server_error, status: 503, name: down}
      - {does: healthy, name: healthy again}
  b: {phases: [{does: healthy}]}
"""
CHANCY = "tenants: {a: {phases: [{does: server_error, share: 0.5}]}}"


def _await_in_flight(fake: Fake, count: int) -> None:
    deadline = time.monotonic() + 10
    while fake.status().tenants["a"].in_flight < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def story(tmp_path: Path) -> Path:
    file = tmp_path / "story.yaml"
    file.write_text(STORY)
    return file


@pytest.fixture
def fake() -> Iterator[Fake]:
    with provider() as running:
        yield running


@pytest.fixture(scope="module")
def steady() -> Iterator[Fake]:
    """One that no test changes."""
    with provider() as running:
        yield running


def test_the_only_tenant_is_at_the_root_too(fake: Fake) -> None:
    asked = {"model": "m", "messages": [HELLO]}
    assert fake.http.post("/v1/chat/completions", json=asked).status_code == 200
    assert fake.http.get("/v1/models").status_code == 200
    assert [line.tenant for line in fake.lines()] == ["a"]


@pytest.mark.slow
def test_phases_follow_one_another_on_the_provider_s_clock_and_other_tenants_notice_nothing(story: Path) -> None:
    with provider(story) as fake:
        fake.restart()
        while fake.status().tenants["a"].phase != "healthy again":
            ask(fake, "a")
            ask(fake, "b")
            time.sleep(0.02)
        ask(fake, "a")
        lines = fake.lines("a")
        others = fake.lines("b")
    phases = list(dict.fromkeys(line.phase for line in lines))
    assert phases == ["healthy", "rate_limit", "down", "healthy again"]
    starts = {name: next(line.arrived for line in lines if line.phase == name) for name in phases}
    assert [start <= starts[name] < start + 0.5 for name, start in zip(phases, (0, 0.8, 1.6, 2.4), strict=True)] == [
        *(True, True, True, True)
    ]
    assert {line.verdict for line in lines if line.phase == "rate_limit"} == {Verdict.REFUSED}
    assert {line.status for line in lines if line.phase == "down"} == {503}
    assert {line.verdict for line in others} == {Verdict.SERVED}
    assert all(line.run == 2 for line in lines)
    assert [line.arrived for line in lines] == sorted(line.arrived for line in lines)


def test_two_runs_with_one_seed_meet_the_same_and_another_seed_something_else(tmp_path: Path) -> None:
    file = tmp_path / "chancy.yaml"
    file.write_text(CHANCY)

    def statuses(fake: Fake) -> list[int]:
        return [ask(fake).status_code for _ in range(40)]

    with provider(file, seed=5) as one:
        first = statuses(one)
        one.restart()
        assert statuses(one) == first
    with provider(file, seed=5) as again, provider(file, seed=6) as other:
        assert statuses(again) == first
        assert statuses(other) != first


def test_a_phase_may_be_put_over_the_script_for_a_time(fake: Fake) -> None:
    fake.override("server_error", status=502, lasts="300ms", name="by hand")
    now = fake.status().tenants["a"]
    assert (now.phase, now.does, now.overridden) == ("by hand", "server_error", True)
    assert ask(fake).status_code == 502
    time.sleep(0.35)
    assert ask(fake).status_code == 200
    assert [line.phase for line in fake.lines()] == ["by hand", "healthy"]


def test_it_may_be_taken_away_again_and_be_for_one_tenant_only(story: Path) -> None:
    with provider(story) as fake:
        fake.override("quota", "b")
        assert [ask(fake, name).status_code for name in ("a", "b")] == [200, 429]
        fake.clear("b")
        assert ask(fake, "b").status_code == 200
        fake.override("auth")
        assert [ask(fake, name).status_code for name in ("a", "b")] == [401, 401]
        fake.clear()
        assert ask(fake, "b").status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        ("{", 400, "Invalid JSON"),
        ('{"does": "explode"}', 400, "does: Input should be"),
        ('{"does": "quota", "at": "3s"}', 400, "it begins now"),
        ('{"does": "quota", "for": 0}', 400, "lasts no time"),
        ('{"does": "healthy", "capacity": {"from": 1, "to": 2}}', 400, "needs a `for`"),
        ('{"does": "quota", "for": "x"}', 400, "for: is no duration"),
        ('{"does": "quota", "tenant": "nobody"}', 404, "there are a"),
        ('{"does": "quota", "key": "sk-secret"}', 400, "key: Extra inputs"),
    ],
)
def test_a_wrong_order_is_refused_and_changes_nothing(steady: Fake, content: str, status: int, said: str) -> None:
    answer = steady.http.post("/control", content=content)
    assert (answer.status_code, said in error(answer).message) == (status, True), answer.text
    assert "sk-secret" not in answer.text
    assert not steady.status().tenants["a"].overridden


def test_the_status_counts_by_verdict(fake: Fake) -> None:
    ask(fake)
    fake.override("quota")
    ask(fake)
    fake.http.post("/v1/chat/completions", content=b"?")
    status = fake.status()
    assert status.tenants["a"].verdicts == {"served": 1, "refused": 1, "invalid": 1}
    assert (status.lines, status.run, status.scale) == (3, 1, 1)
    assert status.tenants["a"].left is None
    fake.restart()
    assert fake.status().tenants["a"].verdicts == {}


def test_the_log_is_read_from_any_line_on(fake: Fake) -> None:
    for _ in range(3):
        ask(fake)
    assert [len(fake.http.get("/control/log", params={"after": n}).json()["lines"]) for n in (0, 2, 3, 99)] == [
        *(3, 1, 0, 0)
    ]
    assert fake.http.get("/control/log").json()["next"] == 3
    assert fake.http.get("/control/log", params={"after": "-1"}).status_code == 400


def test_a_call_that_outlives_a_new_start_keeps_to_its_own_time(fake: Fake) -> None:
    fake.override("slow", latency="300ms")

    async def run() -> None:
        async with httpx2.AsyncClient(base_url=fake.base(), timeout=10, trust_env=False) as client:
            call = asyncio.create_task(client.post("/chat/completions", json={"model": "m", "messages": [HELLO]}))
            await asyncio.to_thread(_await_in_flight, fake, 1)
            fake.restart()
            assert (await call).status_code == 200

    asyncio.run(run())
    line = fake.lines()[-1]
    assert (line.run, fake.status().run) == (1, 2)
    assert 0.29 <= line.ended - line.arrived < 5


def test_without_the_key_nobody_is_served_and_no_order_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-fake\n")
    with provider(key="sk-fake", key_file=file) as fake:
        assert ask(fake).status_code == 200
        for shown in (b"", b"Bearer sk-fakf", "Bearer ü".encode()):
            sent = {b"Authorization": shown}
            asked = fake.http.post("/v1/chat/completions", json={"model": "m", "messages": [HELLO]}, headers=sent)
            assert (asked.status_code, error(asked).code) == (401, "invalid_api_key")
            assert fake.http.get("/v1/models", headers=sent).status_code == 401
            assert fake.http.post("/control/start", headers=sent).status_code == 401
        assert [line.verdict for line in fake.lines()] == [Verdict.SERVED, *[Verdict.INVALID] * 3]


def test_the_log_has_every_line_after_a_stop_even_those_of_calls_that_were_cut(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text("of an earlier run\n")

    async def leave_hanging(fake: Fake) -> str:
        async with httpx2.AsyncClient(base_url=fake.base(), timeout=20, trust_env=False) as client:
            asked = {"model": "m", "messages": [HELLO]}
            for _ in range(20):
                await client.post("/chat/completions", json=asked)
            fake.override("black_hole")
            calls = [asyncio.create_task(client.post("/chat/completions", json=asked)) for _ in range(5)]
            await asyncio.to_thread(_await_in_flight, fake, 5)
            printed = await asyncio.to_thread(fake.stop)
            await asyncio.gather(*calls, return_exceptions=True)
            return printed

    with provider(log=log) as fake:
        before = time.monotonic()
        printed = asyncio.run(leave_hanging(fake))
        assert time.monotonic() - before < 10
    verdicts = [json.loads(line)["verdict"] for line in log.read_text().splitlines()]
    assert [verdicts.count(word) for word in ("served", "unanswered")] == [20, 5]
    assert [line.split() for line in printed.splitlines()] == [
        ["run", "tenant", "phase", "served", "unanswered"],
        ["1", "a", "healthy", "20", "0"],
        ["1", "a", "black_hole", "0", "5"],
    ]


def test_the_log_is_written_while_it_plays(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    with provider(log=log) as fake:
        ask(fake)
        deadline = time.monotonic() + 5
        while not log.read_bytes() and time.monotonic() < deadline:
            time.sleep(0.02)
        written = json.loads(log.read_text())
        assert written == fake.http.get("/control/log").json()["lines"][0]
        assert "nobody called" not in fake.stop()
