"""Which server, who asks, and how long: from arguments, then from the environment."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.sdk.house import UNKNOWN, serving
from tidegate.errors import ConfigError, JobNotFound, ResultTimeout, Unauthenticated
from tidegate.sdk import AsyncClient, Client, connecting

HEAVY = (
    "pydantic",
    "fastapi",
    "starlette",
    "uvicorn",
    "sqlalchemy",
    "structlog",
    "cyclopts",
    "obstore",
    "tidegate.app",
)


def test_what_is_not_given_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_URL", "https://jobs.example/api/")
    monkeypatch.setenv("TIDEGATE_USER", "ada")
    monkeypatch.setenv("TIDEGATE_API_KEY", "tg_secret")
    made = connecting.connection(None, None, None)
    assert (made.where, dict(made.headers)) == (
        "https://jobs.example/api",
        {"X-User-ID": "ada", "Authorization": "Bearer tg_secret"},
    )
    given = connecting.connection("http://h:1", "bob", "other")
    assert (given.where, dict(given.headers)) == ("http://h:1", {"X-User-ID": "bob", "Authorization": "Bearer other"})


def test_a_key_alone_may_say_who_asks_and_without_one_none_is_sent() -> None:
    assert dict(connecting.connection("http://h", None, "k").headers) == {"Authorization": "Bearer k"}
    assert dict(connecting.connection("http://h", "ada", None).headers) == {"X-User-ID": "ada"}


@pytest.mark.parametrize(
    ("url", "user", "key", "named"),
    [
        (None, "ada", None, "TIDEGATE_URL"),
        ("127.0.0.1:8080", "ada", None, "like http://"),
        ("ftp://h", "ada", None, "like http://"),
        ("http://", "ada", None, "like http://"),
        ("http://h:99999", "ada", None, "like http://"),
        ("http://[::1", "ada", None, "like http://"),
        ("http://h", None, None, "TIDEGATE_USER"),
        ("http://h", "a\nb: secret", None, "user_id: "),
        ("http://h", "ada", "sécret", "api_key: "),
        ("http://h", "ada", " secret", "api_key: "),
    ],
)
def test_what_can_t_be_is_refused_before_anything_is_sent(
    url: str | None, user: str | None, key: str | None, named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        AsyncClient(url, user_id=user, api_key=key)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(("given", "seconds"), [("", 600), ("90", 90), ("0.5", 0.5)])
def test_the_longest_wait_is_600_s_unless_set(given: str, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_MAX_WAIT_SECONDS", given)
    assert connecting.longest_wait() == timedelta(seconds=seconds)


@pytest.mark.parametrize("given", ["0", "-1", "soon", "1e99", "nan"])
def test_a_wait_that_is_none_is_refused_by_its_variable(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_MAX_WAIT_SECONDS", given)
    with pytest.raises(ConfigError, match="CLIENT_MAX_WAIT_SECONDS"):
        connecting.longest_wait()


async def test_the_longest_wait_bounds_a_wait_that_names_none(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIENT_MAX_WAIT_SECONDS", "0.05")
    async with AsyncClient(url, user_id="ada") as client:
        job = await client.submit("echo", delay=60)
        async with asyncio.timeout(5):
            with pytest.raises(ResultTimeout):
                await job.result()


def test_nothing_shown_of_a_client_holds_a_key() -> None:
    with Client("http://u:secret@h/x", user_id="ada", api_key="secret") as client:
        assert repr(client) == "<client of http://h/x>"
    assert "secret" not in repr(connecting.connection("http://h", "ada", "secret"))


async def test_a_client_may_work_over_an_http_client_of_one_s_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    app = application(plain_settings(tmp_path_factory.mktemp("own")))
    async with reached(app, worker=True) as http:
        client = AsyncClient.over(http)
        assert await (await client.submit("echo", {"text": "a"})).result(timeout=20) is not None
        with pytest.raises(JobNotFound):
            await client.handle(UNKNOWN).status()
        await client.close()
        assert http.is_closed
    with Client.over(httpx2.Client(base_url="http://h/x")) as blocking:
        assert repr(blocking) == "<client of http://h/x>"


def test_importing_it_loads_no_server_and_no_framework() -> None:
    script = "import sys; from tidegate.sdk import AsyncClient, Client; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert set(loaded.stdout.split()).isdisjoint(HEAVY)


async def test_a_server_that_wants_a_key_is_shown_it(tmp_path: Path) -> None:
    async with serving(tmp_path, admin_key="tg_admin_0123456789abcdef") as (url, _):
        async with AsyncClient(url, user_id="ada") as nobody:
            with pytest.raises(Unauthenticated):
                await nobody.submit("echo")
        async with AsyncClient(url, user_id="ada", api_key="tg_admin_0123456789abcdef") as client:
            assert await (await client.submit("echo")).result(timeout=20) is not None
