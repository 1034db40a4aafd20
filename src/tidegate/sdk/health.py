"""What each call on queues and upstreams asks: plans, which the blocking and the async client share."""

from datetime import timedelta

import msgspec

from tidegate.core.states import Override
from tidegate.core.text import check_name
from tidegate.sdk.asking import Means, fetch
from tidegate.sdk.bodies import seconds
from tidegate.sdk.calls import Page, get
from tidegate.sdk.steps import Plan, Request
from tidegate.sdk.values import QueueInfo, Transition, UpstreamInfo


def queues(means: Means) -> Plan[list[QueueInfo]]:
    """All queues, by name."""
    return (yield from fetch(means, get("/queues"), Page[QueueInfo])).items


def queue(means: Means, name: str) -> Plan[QueueInfo]:
    """One queue; raises InvalidInput for one that is not known."""
    return (yield from fetch(means, get(_queue(name)), QueueInfo))


def pause(means: Means, name: str, last: float | timedelta | None) -> Plan[QueueInfo]:
    """Claim none of its jobs, for so long or until it is resumed."""
    return (yield from fetch(means, _change("POST", f"{_queue(name)}/pause", _lasting(last)), QueueInfo))


def resume(means: Means, name: str) -> Plan[QueueInfo]:
    """Claim its jobs again."""
    return (yield from fetch(means, _change("POST", f"{_queue(name)}/resume"), QueueInfo))


def upstreams(means: Means) -> Plan[list[UpstreamInfo]]:
    """All upstreams, by name."""
    return (yield from fetch(means, get("/upstreams"), Page[UpstreamInfo])).items


def upstream(means: Means, name: str) -> Plan[UpstreamInfo]:
    """One upstream; raises InvalidInput for one that is not known."""
    return (yield from fetch(means, get(_upstream(name)), UpstreamInfo))


def changes(means: Means, name: str) -> Plan[list[Transition]]:
    """What changed, newest first."""
    return (yield from fetch(means, get(f"{_upstream(name)}/history"), Page[Transition])).items


def override(means: Means, name: str, state: Override | str, last: float | timedelta | None) -> Plan[UpstreamInfo]:
    """Decide for the fleet whether it is called, for so long or until the word is cleared."""
    body = {"state": str(state), **_lasting(last)}
    return (yield from fetch(means, _change("PUT", f"{_upstream(name)}/override", body), UpstreamInfo))


def clear(means: Means, name: str) -> Plan[UpstreamInfo]:
    """Let the breaker decide again."""
    return (yield from fetch(means, _change("DELETE", f"{_upstream(name)}/override"), UpstreamInfo))


def reset(means: Means, name: str) -> Plan[UpstreamInfo]:
    """Close the breaker now, and ramp up."""
    return (yield from fetch(means, _change("POST", f"{_upstream(name)}/reset"), UpstreamInfo))


def _queue(name: str) -> str:
    return f"/queues/{check_name('queue', name)}"


def _upstream(name: str) -> str:
    return f"/upstreams/{check_name('upstream', name)}"


def _lasting(last: float | timedelta | None) -> dict[str, object]:
    return {} if last is None else {"seconds": seconds(last)}


def _change(method: str, path: str, body: dict[str, object] | None = None) -> Request:
    """Sets how something shall stand, so doing it twice comes to the same."""
    if body is None:
        return Request(method=method, path=path, repeatable=True)
    headers = {"Content-Type": "application/json"}
    return Request(method=method, path=path, headers=headers, content=msgspec.json.encode(body), repeatable=True)
