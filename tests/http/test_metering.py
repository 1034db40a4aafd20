"""What is counted of requests that end in other ways than with an answer."""

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from tidegate.clock import SystemClock
from tidegate.http.watching.metering import Metering
from tidegate.telemetry.families import Bounded
from tidegate.telemetry.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(Bounded(), Bounded(), Bounded())


async def _nothing() -> Message:
    raise AssertionError


async def _nowhere(_: Message) -> None:
    raise AssertionError


async def _call(metrics: Metrics, raised: Exception, kind: str = "http") -> None:
    """Have an application asked that raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise raised

    metered = Metering(app, metrics, SystemClock())
    with pytest.raises(type(raised)):
        await metered({"type": kind, "method": "POST"}, _nothing, _nowhere)


def _counted(metrics: Metrics, status: str) -> float | None:
    labels = {"route": "unmatched", "method": "POST", "status": status}
    return metrics.registry.get_sample_value("tidegate_http_requests_total", labels)


async def test_who_leaves_is_no_fault_of_ours(metrics: Metrics) -> None:
    await _call(metrics, ClientDisconnect())
    assert (_counted(metrics, "4xx"), _counted(metrics, "5xx")) == (1, None)


async def test_what_breaks_before_it_answers_is_one(metrics: Metrics) -> None:
    await _call(metrics, RuntimeError())
    assert (_counted(metrics, "4xx"), _counted(metrics, "5xx")) == (None, 1)


async def test_what_is_no_request_is_not_counted(metrics: Metrics) -> None:
    await _call(metrics, RuntimeError(), "lifespan")
    assert _counted(metrics, "5xx") is None
