"""No operation of the OpenAPI document is answered without a key that holds, but for those it says are open.

Read from the document itself, as Schemathesis' `ignored_auth` would: that check passes over every operation that may be
asked without a key while there is none, which is all of ours.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import httpx2
import pytest

from tests.http.calls import problem
from tests.http.keyed import ADMIN, guarded, key
from tidegate.app import Tidegate
from tidegate.config import Settings, load
from tidegate.core.access import Role
from tidegate.http.app import create_app
from tidegate.http.guards.auth import COOKIE, OPEN

DOCUMENT: Final = create_app(Tidegate()).openapi()


@dataclass(frozen=True, slots=True)
class Operation:
    """How one operation of the document is asked; `closed` where it names schemes by which one shows who one is."""

    name: str
    method: str
    path: str
    closed: bool
    reads: bool

    async def asked(self, api: httpx2.AsyncClient, address: str, headers: Mapping[str, str]) -> httpx2.Response:
        """The answer to who asks from there, in the simplest way."""
        told = {"X-User-ID": "ada", "X-Forwarded-For": address, **headers}
        return await api.request(self.method, self.path, headers=told, json={} if self.reads else None)


def _operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, operations in document["paths"].items():
        for method, told in operations.items():
            place, schemes = re.sub(r"\{\w+\}", "a", path), [one for one in told.get("security", []) if one]
            yield Operation(told["operationId"], method.upper(), place, bool(schemes), "requestBody" in told)


OPERATIONS: Final = list(_operations(DOCUMENT))


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """There is an administrators' key, and a proxy is believed where requests come from: who guesses is sent away."""
    trusted = load(engine="memory://", trusted_proxies="127.0.0.1").trusted_proxies
    return guarded(settings).model_copy(update={"trusted_proxies": trusted})


def test_the_document_says_which_operations_are_open() -> None:
    assert {one.name for one in OPERATIONS if not one.closed} == OPEN
    assert len(OPERATIONS) > len(OPEN)
    for one in OPERATIONS:
        told = DOCUMENT["paths"]
        answers = [op["responses"] for ops in told.values() for op in ops.values() if op["operationId"] == one.name]
        assert ("401" in answers[0]) == (one.closed or one.name == "session_begin"), one.name


async def test_each_other_operation_wants_a_key_that_holds(locked: httpx2.AsyncClient) -> None:
    revoked = await key(locked, Role.ADMIN)
    begun = await locked.post("/session", json={"key": revoked["Authorization"].removeprefix("Bearer ")})
    cookie = {"Cookie": f"{COOKIE}={begun.cookies[COOKIE]}", "Sec-Fetch-Site": "same-origin"}
    locked.cookies.clear()
    for shown in (revoked, cookie):
        assert (await locked.get("/keys", headers=shown)).status_code == 200
    key_id = revoked["Authorization"].split("_")[1]
    assert (await locked.delete(f"/keys/{key_id}", headers=ADMIN)).status_code == 204
    wrong = {"Authorization": "Bearer tg_aaaaaaaa_" + "a" * 43}
    for number, one in enumerate(each for each in OPERATIONS if each.closed):
        for shown in ({}, wrong, revoked, cookie):
            problem(await one.asked(locked, f"203.0.113.{number}", shown), 401, "unauthenticated")


async def test_open_operations_are_answered_to_anybody(locked: httpx2.AsyncClient) -> None:
    wrong = {"Authorization": "Bearer tg_aaaaaaaa_" + "a" * 43}
    for one in (each for each in OPERATIONS if not each.closed):
        for shown in ({}, wrong):
            answer = await one.asked(locked, "203.0.113.1", shown)
            assert answer.status_code not in (401, 403, 429), (one.name, answer.text)
