"""While there is no key, another application that holds our routes answers this machine only, whoever listens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from fastapi import Depends, FastAPI, Request
from pydantic import SecretStr
from structlog.testing import capture_logs

from tests.http.calls import ADA, problem
from tests.http.handlers import application
from tests.http.reach import plain_settings
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.http import acting_as, create_app, tidegate_lifespan, tidegate_router
from tidegate.http.guards.proxies import here

ASKED = {"name": "x", "role": "admin"}
SHOP = {"Host": "shop.example.com"}


def _request(peer: str | None, headers: dict[str, str]) -> Request:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "headers": raw, "client": None if peer is None else (peer, 51_234)})


@pytest.mark.parametrize(
    "peer", ["192.0.2.7", "10.0.0.1", "172.17.0.1", "2001:db8::1", "::ffff:192.0.2.7", "unix:", "localhost", "", None]
)
def test_whose_peer_is_elsewhere_or_nowhere_is_not_from_here(peer: str | None) -> None:
    for headers in ({}, {"Host": "localhost"}, {"X-Forwarded-For": "127.0.0.1"}):
        assert not here(_request(peer, headers))


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "testclient"])
def test_loopback_and_a_test_client_are_here(peer: str) -> None:
    for headers in ({}, SHOP, {"X-Forwarded-For": "127.0.0.1, [::1]:443"}):
        assert here(_request(peer, headers))


@pytest.mark.parametrize(
    "passed_on",
    [
        {"X-Forwarded-For": "192.0.2.7"},
        {"X-Forwarded-For": "127.0.0.1, 192.0.2.7"},
        {"X-Forwarded-For": "192.0.2.7, 127.0.0.1"},
        {"X-Forwarded-For": "unknown"},
        {"X-Forwarded-For": "testclient"},
        {"Forwarded": "for=192.0.2.7"},
    ],
)
def test_whom_a_proxy_on_this_machine_speaks_for_is_from_elsewhere(passed_on: dict[str, str]) -> None:
    assert not here(_request("127.0.0.1", passed_on))


# in a host ------------------------------------------------------------------------------------------------


def _hosts(app: Tidegate) -> FastAPI:
    """An application that includes our routes, where it knows who asks too, and mounts them whole."""
    host = FastAPI(lifespan=tidegate_lifespan(app, worker=False))
    router = tidegate_router(app, worker=False)
    host.include_router(router, prefix="/included")
    host.include_router(router, prefix="/known", dependencies=[Depends(_known)])
    host.mount("/mounted", create_app(app))
    return host


def _known(request: Request) -> None:
    acting_as(request, "ada")


@asynccontextmanager
async def _from(host: FastAPI, peer: str) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=host, client=(peer, 51_234))
    async with httpx2.AsyncClient(transport=transport, base_url="http://shop", headers=ADA) as client:
        yield client


async def test_who_asks_from_elsewhere_is_refused_until_there_is_a_key_or_the_host_says_who_it_is(
    app: Tidegate,
) -> None:
    host = _hosts(app)
    async with (
        host.router.lifespan_context(host),
        _from(host, "192.0.2.7") as elsewhere,
        _from(host, "127.0.0.1") as near,
    ):
        for prefix in ("/included", "/mounted"):
            for headers in (SHOP, {"Host": "localhost"}):
                refused = [
                    await elsewhere.post(f"{prefix}/keys", json=ASKED, headers=headers),
                    await elsewhere.post(f"{prefix}/jobs", json={"type": "echo"}, headers=headers),
                    await elsewhere.get(f"{prefix}/jobs", headers=headers),
                ]
                for answer in refused:
                    assert "only this machine is answered" in str(problem(answer, 403, "access-denied")["detail"])
            assert (await elsewhere.get(f"{prefix}/health")).status_code == 200
            assert (await near.post(f"{prefix}/jobs", json={"type": "echo"}, headers=SHOP)).status_code == 201
        assert (await elsewhere.get("/known/jobs")).status_code == 200
        key = (await near.post("/mounted/keys", json=ASKED)).json()["key"]
        shown = {"Authorization": f"Bearer {key}"}
        assert (await elsewhere.get("/mounted/jobs", headers=shown)).status_code == 200
        problem(await near.get("/mounted/jobs"), 401, "unauthenticated")


async def test_where_somebody_else_checks_everybody_is_answered(settings: Settings) -> None:
    host = _hosts(application(settings.model_copy(update={"auth": "none"})))
    async with host.router.lifespan_context(host), _from(host, "192.0.2.7") as client:
        assert (await client.get("/mounted/jobs")).status_code == 200


KEYLESS = "no API key yet: only this machine is listened to"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, [KEYLESS]),
        ({"auth": "none"}, ["TIDEGATE_AUTH=none: who reaches this has the role admin"]),
        ({"admin_key": SecretStr("an-administrators-own-key")}, []),
    ],
)
async def test_it_is_said_at_the_start_that_no_key_is_asked_for(
    tmp_path: Path, changed: dict[str, object], said: list[str]
) -> None:
    app = application(plain_settings(tmp_path).model_copy(update=changed))
    for opened in (False, True):
        with capture_logs() as lines:
            if opened:
                async with app.connected(), tidegate_lifespan(app)(FastAPI()):
                    pass
            else:
                async with tidegate_lifespan(app, worker=False)(FastAPI()):
                    pass
        assert [line["remedy"] for line in lines if line["event"] == "server.open"] == said
