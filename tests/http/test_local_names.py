"""While there is no key, no page from elsewhere reaches a server through a name of its own."""

import httpx2
import pytest

from tests.http.calls import post, problem


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example"])
async def test_a_name_that_is_not_this_machines_is_refused_until_there_is_a_key(
    server: httpx2.AsyncClient, host: str
) -> None:
    rebound = {"Host": host, "Origin": f"http://{host}"}
    problem(await server.get("/jobs", headers=rebound), 403, "access-denied")
    problem(await server.post("/keys", json={"name": "a", "role": "admin"}, headers=rebound), 403, "access-denied")
    assert (await server.get("/health", headers=rebound)).status_code == 200
    made = (await server.post("/keys", json={"name": "a", "role": "admin"})).json()
    shown = {"Authorization": f"Bearer {made['key']}"}
    assert (await server.get("/jobs", headers=shown | {"Host": host})).status_code == 200


@pytest.mark.parametrize("host", ["localhost", "jobs.localhost:8080", "127.0.0.1", "[::1]:8080"])
async def test_this_machines_own_names_are_answered(server: httpx2.AsyncClient, host: str) -> None:
    server.headers["Host"] = host
    await post(server)
