"""What is known here is not told as the store's while the store does not answer."""

from collections.abc import Sequence

import httpx2
import pytest

from tests.http.calls import problem
from tidegate.app import Tidegate
from tidegate.core.verbs import Document
from tidegate.errors import EngineUnavailable


async def _away(kind: str, after: str = "", limit: int = 200) -> Sequence[Document]:
    raise EngineUnavailable("the store did not answer in time")


async def test_the_changes_of_an_upstream_are_the_stores_or_503(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.put("/upstreams/provider/override", json={"state": "open"})
    place = "/upstreams/provider/history"
    assert [change["to"] for change in (await api.get(place)).json()["items"]] == ["override"]
    monkeypatch.setattr(app.system.engine, "scan", _away)
    refused = await api.get(place)
    problem(refused, 503, "store-unavailable")
    assert refused.headers["retry-after"]
