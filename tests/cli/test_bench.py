"""`tidegate bench` on a real server, and what it does where one gives way, goes away, or refuses."""

import asyncio
import io
import json
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
import structlog
from rich.console import Console

from tidegate.app import Tidegate
from tidegate.cli import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_TIMEOUT
from tidegate.cli.bench import load as loading
from tidegate.cli.bench import showing
from tidegate.cli.bench.command import Also, Asked, At, Trial, bench
from tidegate.cli.bench.figures import Spread, Tally, spread
from tidegate.cli.bench.load import ADVICE, Load, Plan, World
from tidegate.cli.bench.showing import Screen, shown
from tidegate.cli.service import connect
from tidegate.clock import SystemClock
from tidegate.config import Settings, load
from tidegate.core.query import JobQuery
from tidegate.core.retry import Exponential
from tidegate.errors import ConfigError, GiveUp, IdempotencyConflict, InvalidInput, ServiceError, UnknownJobType
from tidegate.http.server import Server
from tidegate.sdk import Counts
from tidegate.sdk.exchange import Answer, Broken, Request
from tidegate.telemetry.events import Submitted

ELSEWHERE = (
    *("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS", "TIDEGATE_APP"),
    *("TIDEGATE_USER", "TIDEGATE_API_KEY", "TIDEGATE_AUTH_ROLE"),
)
NO_LIMITS = {"limit_user_per_hour": 0, "limit_ip_per_minute": 0}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # the server's lines, which are not looked at


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def _application(settings: Settings) -> Tidegate:
    app = Tidegate(settings)

    @app.job("echo")
    async def echo(payload: dict[str, object]) -> dict[str, object]:
        """Give it back."""
        return payload

    @app.job("broken")
    async def broken() -> None:
        """Fail for good."""
        raise GiveUp("it is broken")

    return app


@asynccontextmanager
async def _served(*, worker: bool = True, **limits: int) -> AsyncIterator[tuple[Tidegate, At]]:
    settings = load(engine="memory://", port=0, grace=5, **(NO_LIMITS | limits))
    async with _serving(app := _application(settings), settings, worker=worker) as url:
        yield app, At(url=url, user="ada", as_json=True)


@asynccontextmanager
async def _serving(app: Tidegate, settings: Settings, *, worker: bool) -> AsyncIterator[str]:
    server = Server(app, settings, worker=worker)
    running = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(60):
            await server.started.wait()
        yield server.url
    finally:
        server.stop()
        await running


def _submitted(app: Tidegate, count: int) -> asyncio.Event:
    """Set once so many jobs were accepted from now on."""
    enough, jobs = asyncio.Event(), list[str]()

    def heard(event: object) -> None:
        if isinstance(event, Submitted):
            jobs.append(event.job.job_id)
            if len(jobs) == count:
                enough.set()

    app.emit.subscribe(heard)
    return enough


async def _stored(app: Tidegate) -> int:
    return len((await app.client.find(JobQuery(limit=200))).jobs)


async def test_all_are_submitted_once_and_waited_for(said: Callable[[], str]) -> None:
    async with _served() as (app, at):
        asked, also = Asked(count=60, concurrency=20, payload='{"n": 1}'), Also(wait=True)
        assert await asyncio.to_thread(bench, asked=asked, also=also, at=at) == 0
        told = json.loads(said())
        assert (told["url"], told["type"], told["count"], told["concurrency"]) == (at.url, "echo", 60, 20)
        assert (told["accepted"], told["replayed"], told["refused"], told["unanswered"]) == (60, 0, {}, 0)
        assert told["backed_off"] == {"times": 0, "seconds": 0.0, "answers": {}}
        assert 0 < told["submit_ms"]["p50"] <= told["submit_ms"]["p95"] <= told["submit_ms"]["p99"]
        assert told["per_second"] == pytest.approx(60 / told["seconds"], rel=0.1)
        assert {**told["ended"], "per_second": 0} == {
            **{"succeeded": 60, "failed": 0, "cancelled": 0, "gone": 0, "open": 0, "per_second": 0}
        }
        assert 0 < told["end_to_end_ms"]["p50"] <= told["end_to_end_ms"]["p99"]
        jobs = (await app.client.find(JobQuery(tag="bench", limit=200))).jobs
        assert {job.spec.idempotency_key for job in jobs} == {f"{told['key']}-{n}" for n in range(60)}


async def test_a_repeat_under_its_key_makes_none_anew(said: Callable[[], str]) -> None:
    async with _served() as (app, at):
        asked = Asked(count=7, concurrency=3, key="again")
        for replayed in (0, 7):
            assert await asyncio.to_thread(bench, asked=asked, at=at) == 0
            told = json.loads(said())
            assert (told["key"], told["accepted"], told["replayed"]) == ("again", 7, replayed)
            assert await _stored(app) == 7
        other = Asked(count=7, key="again", payload='{"other": 1}')
        with pytest.raises(IdempotencyConflict):
            await asyncio.to_thread(bench, asked=other, at=at)


async def test_a_person_reads_lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "EVERY", 0.001)
    async with _served() as (_, at):
        to = At(url=at.url, user="ada")
        assert await asyncio.to_thread(bench, asked=Asked(count=50), also=Also(poll=True, wait=True), at=to) == 0
    out, err = capsys.readouterr()
    lines = {line[:10].strip(): line[12:] for line in out.splitlines()}
    assert list(lines) == [
        *("server", "jobs", "accepted", "refused", "backed off", "rate", "submit", "ended", "end to end")
    ]
    assert (lines["server"], lines["accepted"], lines["refused"]) == (at.url, "50 of 50", "0")
    assert lines["ended"].startswith("succeeded 50; ")
    assert "of 50 submitted · accepted " in err
    assert "metrics, up to 5 s old: total_jobs " in err
    assert "\x1b" not in out + err


async def test_jobs_that_fail_are_told_and_make_it_fail(said: Callable[[], str]) -> None:
    async with _served() as (_, at):
        asked = Asked(count=5, job_type="broken")
        assert await asyncio.to_thread(bench, asked=asked, at=at) == 0  # all were accepted
        said()
        assert await asyncio.to_thread(bench, asked=asked, also=Also(wait=True), at=at) == EXIT_FAILED
        assert json.loads(said())["ended"]["failed"] == 5


async def test_a_wait_has_an_end(said: Callable[[], str]) -> None:
    async with _served(worker=False) as (_, at):
        also = Also(wait=True, timeout=0.2)
        assert await asyncio.to_thread(bench, asked=Asked(count=3), also=also, at=at) == EXIT_TIMEOUT
        told = json.loads(said())
        assert (told["accepted"], told["ended"]["open"], told["end_to_end_ms"]) == (3, 3, None)


async def test_a_limit_that_lasts_ends_it_and_says_what_to_set(capsys: pytest.CaptureFixture[str]) -> None:
    async with _served(limit_user_per_hour=5) as (app, at):
        async with asyncio.timeout(60):
            code = await asyncio.to_thread(bench, asked=Asked(count=40, concurrency=4), at=at)
        out, err = capsys.readouterr()
        told = json.loads(out)
        assert (code, told["accepted"], await _stored(app)) == (EXIT_FAILED, 5, 5)
        assert set(told["refused"]) == {"rate-limited"}
        assert 1 <= told["refused"]["rate-limited"] <= 4
        assert told["unanswered"] == 35 - told["refused"]["rate-limited"]
        assert told["stopped"] == "the server says to come again in 3,600 s (rate-limited)"
        assert err.count(ADVICE) == 1
        assert "more than 5 jobs of this user in 3600 s" in err


async def test_what_no_server_would_take_is_refused_as_other_commands_do() -> None:
    async with _served() as (app, at):
        with pytest.raises(UnknownJobType, match="nosuch"):
            await asyncio.to_thread(bench, asked=Asked(count=5, job_type="nosuch"), at=at)
        with pytest.raises(InvalidInput, match=r"'\*' is no one user: say whom you mean \(--user"):
            await asyncio.to_thread(bench, asked=Asked(count=5), at=At(url=at.url, user="*"))
        assert await _stored(app) == 0


async def test_no_job_type_is_guessed_that_may_do_something() -> None:
    settings = load(engine="memory://", port=0, grace=5)
    app = Tidegate(settings)

    @app.job("newsletter")
    async def newsletter() -> None:
        """Write to everybody."""

    async with _serving(app, settings, worker=False) as url:
        with pytest.raises(InvalidInput, match="no job type `echo`: name one of newsletter; its jobs will run"):
            await asyncio.to_thread(bench, at=At(url=url, user="ada"))
        assert await _stored(app) == 0


def test_without_a_server_nothing_is_tested(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no server runs on this data folder"):
        bench()
    assert not (tmp_path / "data").exists()
    with pytest.raises(ServiceError, match="can't be reached"):
        bench(at=At(url="http://127.0.0.1:9", user="ada"))


@pytest.mark.parametrize(
    ("asked", "also", "named"),
    [
        (Asked(count=0), Also(), "--count"),
        (Asked(concurrency=1_001), Also(), "--concurrency"),
        (Asked(), Also(timeout=float("nan")), "--timeout"),
        (Asked(payload="[1]"), Also(), "payload"),
    ],
)
def test_what_makes_no_load_is_refused_before_anybody_is_asked(asked: Asked, also: Also, named: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{named}: "):
        bench(asked=asked, also=also, at=At(url="http://127.0.0.1:9", user="ada"))


async def test_ctrl_c_ends_it_with_the_figures_so_far(said: Callable[[], str]) -> None:
    async with _served() as (app, at), connect(at.url, "ada", 4) as service:
        some = _submitted(app, 3)
        plan = Plan(job_type="echo", payload={}, key="k", count=1_000_000, concurrency=2)
        trial = asyncio.create_task(Trial(service, plan, Also(wait=True), as_json=True).run())
        async with asyncio.timeout(60):
            await some.wait()
            trial.cancel()
            assert await trial == EXIT_INTERRUPTED
        told = json.loads(said())
        assert 1 <= told["accepted"] < 1_000_000
        assert told["accepted"] + told["unanswered"] == 1_000_000
        assert told["ended"]["open"] == told["accepted"]


async def test_the_signal_reaches_it_as_a_command() -> None:
    async with _served() as (app, at):
        some = _submitted(app, 3)
        words = ["-m", "tidegate", "bench", "--count", "1000000", "--url", at.url or "", "--user", "ada", "--json"]
        command = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE)
        try:
            async with asyncio.timeout(60):
                await some.wait()
                command.send_signal(signal.SIGINT)
                out, err = await command.communicate()
        finally:
            with suppress(ProcessLookupError):
                command.kill()
        assert (command.returncode, err) == (EXIT_INTERRUPTED, b"")
        assert json.loads(out)["accepted"] >= 1


class Script:
    """A line whose answers are written down, one after the other; the last repeats."""

    def __init__(self, *answers: Answer | Broken) -> None:
        self._answers = list(answers)
        self.keys: list[str] = []
        self.sent = asyncio.Event()

    async def send(self, request: Request) -> Answer | Broken:
        """The next answer."""
        await asyncio.sleep(0)
        self.keys.append(request.key)
        self.sent.set()
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def _accepted(status: int = 201) -> Answer:
    return Answer(status=status, headers={}, body=b'{"job_id": "j", "status": "queued"}')


def _told(status: int, kind: str, after: str | None = None) -> Answer:
    headers = {"content-type": "application/problem+json"} | ({"retry-after": after} if after is not None else {})
    return Answer(status=status, headers=headers, body=json.dumps({"type": f"/problems/{kind}"}).encode())


async def _loaded(
    script: Script, count: int = 1, *, notices: list[str] | None = None, backoff: float = 0.01
) -> tuple[Tally, Load]:
    """What a load on these answers counted; every pause of its own is as short as `backoff`."""
    pauses = Exponential(initial=timedelta(seconds=backoff), cap=timedelta(seconds=backoff), jitter=0)
    plan = Plan(job_type="echo", payload={}, key="k", count=count, concurrency=1, backoff=pauses)
    tally, told = Tally(count=count), notices if notices is not None else []
    world = World(
        send=script.send, clock=SystemClock(), refusal=lambda came: ServiceError(str(came.status)), notice=told.append
    )
    load = Load(plan, tally, world)
    async with asyncio.timeout(10):
        await load.run()
    return tally, load


@pytest.mark.parametrize(
    ("away", "why"),
    [
        (_told(503, "store-unavailable"), "store-unavailable"),
        (_told(503, "overloaded", after="0"), "overloaded"),
        (_told(429, "upstream-open", after="0"), "upstream-open"),
        (Answer(status=502, headers={}), "status 502"),
        (Broken("ReadTimeout"), "no answer (ReadTimeout)"),
    ],
)
async def test_who_is_away_for_a_moment_is_asked_again_under_the_same_key(away: Answer | Broken, why: str) -> None:
    script, notices = Script(_accepted(), away, away, _accepted(200), _accepted()), list[str]()
    tally, _ = await _loaded(script, 3, notices=notices)
    assert script.keys == ["k-0", "k-1", "k-1", "k-1", "k-2"]
    assert (len(tally.jobs), tally.replayed, tally.refused.total()) == (3, 1, 0)
    assert (tally.turned_away, tally.pauses) == ({why: 2}, 2)
    assert (tally.stopped, notices) == ("", [])  # it is no limit that one could lift


async def test_retry_after_is_what_everybody_waits() -> None:
    script = Script(_told(429, "rate-limited", after="7"), _accepted())
    notices, tally = list[str](), Tally(count=9)
    plan = Plan(job_type="echo", payload={}, key="k", count=9, concurrency=3)
    world = World(
        send=script.send, clock=SystemClock(), refusal=lambda _: ServiceError("too many"), notice=notices.append
    )
    running = asyncio.create_task(Load(plan, tally, world).run())
    async with asyncio.timeout(10):
        await script.sent.wait()
        await asyncio.sleep(0.05)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    assert len(script.keys) <= 5  # what was under way was answered, and then nobody asked any more
    assert tally.pauses == 1
    assert 6 < tally.paused <= 7.5
    assert notices == [f"too many; {ADVICE}"]


async def test_who_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LONGEST_PAUSE", 0.05)
    tally, load = await _loaded(Script(_accepted(), Broken("ConnectError")), 100)
    assert (len(tally.jobs), tally.refused) == (1, {"no answer (ConnectError)": 1})
    assert tally.stopped == "the server took nothing for 0.05 s (no answer (ConnectError))"
    assert load.fault is None


async def test_a_fault_of_the_server_is_one_job_s_and_a_wrong_request_is_all_of_theirs() -> None:
    script = Script(_told(500, "internal-error"), _accepted(), _told(422, "invalid-input"), _accepted())
    tally, load = await _loaded(script, 100)
    assert (len(tally.jobs), tally.refused) == (1, {"internal-error": 1, "invalid-input": 1})
    assert tally.stopped == "every job would be refused: 422"
    assert str(load.fault) == "422"


async def test_an_answer_that_names_no_job_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    tally, _ = await _loaded(Script(Answer(status=200, headers={}, body=b"<html>"), _accepted()), 2)
    assert (len(tally.jobs), tally.refused) == (1, {"answer without a job's id": 1})


def test_percentiles_are_durations_that_were_measured() -> None:
    assert spread([]) is None
    assert spread([0.003]) == Spread(p50=3, p95=3, p99=3)
    assert spread([n / 1000 for n in range(100, 0, -1)]) == Spread(p50=50, p95=95, p99=99)


async def test_metrics_that_nobody_may_see_are_a_line_and_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(showing, "EVERY", 0.001)
    looks, enough = 0, asyncio.Event()

    async def refused() -> Counts:
        nonlocal looks
        looks += 1
        if looks == 3:
            enough.set()
        raise ServiceError("\x1b[2Jnot for you")

    console = Console(file=(out := io.StringIO()), width=200)
    screen = Screen(console=console, lines=False, follows=False, counts=refused)
    async with shown(Tally(count=1), screen, lambda: 1.0), asyncio.timeout(10):
        await enough.wait()
    assert set(out.getvalue().splitlines()) == {" [2Jnot for you"}


async def test_a_terminal_is_drawn_and_wiped() -> None:
    console = Console(file=(out := io.StringIO()), width=100, force_terminal=True)
    screen = Screen(console=console, lines=True, follows=False, counts=None)
    async with shown(Tally(count=5, jobs=["j"]), screen, lambda: 1.0):
        pass
    assert "1 of 5 submitted · accepted 1 · 1/s · backed off 0" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")  # the line it stood in is wiped
