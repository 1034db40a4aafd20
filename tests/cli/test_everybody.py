"""`--user '*'`: operators look at everybody's jobs, and see whose they are."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tidegate.app import Tidegate
from tidegate.cli import dlq
from tidegate.cli.dlq import How
from tidegate.cli.jobs import Where, cancel, show_job, show_jobs, submit
from tidegate.clock import SystemClock
from tidegate.config import Settings, load
from tidegate.core.access import Role
from tidegate.errors import AccessDenied, InvalidInput, JobNotFound
from tidegate.http.guards.keyring import KeyRing, Wish
from tidegate.http.server import Server
from tidegate.requests import JobRequest

EVERYBODY = Where(user="*")
USERS = ("ada", "bob")
ELSEWHERE = (
    *("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_ARTIFACTS", "TIDEGATE_APP"),
    *("TIDEGATE_USER", "TIDEGATE_API_KEY", "TIDEGATE_AUTH_ROLE"),
)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    return lambda: capsys.readouterr().out


def _application(settings: Settings) -> Tidegate:
    app = Tidegate(settings)

    @app.job("letter")
    async def letter() -> None:
        """Do nothing."""

    return app


async def _fill(app: Tidegate) -> dict[str, str]:
    """A job of each user, by the user."""
    return {user: (await app.client.submit(JobRequest(type="letter", user_id=user))).job_id for user in USERS}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def jobs() -> dict[str, str]:
    """The jobs of an embedded store that nobody serves, by their users."""

    async def make() -> dict[str, str]:
        async with (app := _application(load())).connected():
            return await _fill(app)

    return asyncio.run(make())


def _listed(text: str) -> list[tuple[str, str]]:
    """The jobs of a table, and whose they are."""
    head, *rows = (line.split() for line in text.splitlines())
    assert head[:6] == ["job", "type", "phase", "attempts", "queue", "user"]
    return [(row[0], row[5]) for row in rows]


def test_a_list_says_whose_each_job_is_and_a_star_means_everybody(
    jobs: dict[str, str], said: Callable[[], str]
) -> None:
    show_jobs(where=Where(user="ada"))
    assert _listed(said()) == [(jobs["ada"], "ada")]
    show_jobs(where=EVERYBODY)
    assert _listed(said()) == [(jobs["bob"], "bob"), (jobs["ada"], "ada")]
    show_jobs(where=Where(user="*", as_json=True))
    assert [job["user_id"] for job in json.loads(said())["items"]] == ["bob", "ada"]


def test_one_job_of_anybodys_is_shown_and_changed(jobs: dict[str, str], said: Callable[[], str]) -> None:
    with pytest.raises(JobNotFound):
        show_job(jobs["bob"], where=Where(user="ada"))
    assert show_job(jobs["bob"], where=EVERYBODY) == 0
    assert "bob" in said()
    assert cancel(jobs["bob"], where=EVERYBODY) == 0


def test_everybodys_dead_letters_are_acted_on(jobs: dict[str, str], said: Callable[[], str]) -> None:
    assert dlq.dismiss(how=How(every=True, dry_run=True), where=EVERYBODY) == 0
    assert said() == "0 dead letters match\n"


def test_nobody_submits_as_everybody(jobs: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"'\*' is no one user"):
        submit("letter", where=EVERYBODY)


def test_what_the_server_may_not_do_for_others_commands_on_its_store_still_may(
    jobs: dict[str, str], said: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_AUTH_ROLE", "reader")
    show_jobs(where=EVERYBODY)
    assert len(_listed(said())) == 2


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[Tidegate, str]]:
    """An application that is served from memory, and where."""
    settings = load(engine="memory://", port=0, grace=5, limit_user_per_hour=0, limit_ip_per_minute=0)
    server = Server(app := _application(settings), settings, worker=False)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        async with asyncio.timeout(60):
            await server.started.wait()
        try:
            yield app, server.url
        finally:
            server.stop()


async def test_with_a_key_a_star_is_for_operators(said: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with _serving() as (app, url):
        made = await _fill(app)
        for user in (None, "olga"):
            monkeypatch.setenv("TIDEGATE_API_KEY", await _key(app, Role.OPERATOR, user))
            said()
            assert await asyncio.to_thread(show_jobs, where=Where(url=url, user="*")) == 0
            assert _listed(said()) == [(made["bob"], "bob"), (made["ada"], "ada")]
        monkeypatch.setenv("TIDEGATE_API_KEY", await _key(app, Role.WRITER, "ada"))
        with pytest.raises(AccessDenied):
            await asyncio.to_thread(show_jobs, where=Where(url=url, user="*"))


async def _key(app: Tidegate, role: Role, user_id: str | None) -> str:
    ring = KeyRing(lambda: app.system.engine, SystemClock())
    _, text = await ring.make(Wish(name="k", role=role, user_id=user_id))
    return text
