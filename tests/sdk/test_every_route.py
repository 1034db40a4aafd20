"""The SDK does whatever the HTTP API can: every operation of the OpenAPI document, with every parameter and field."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.http.handlers import application
from tests.http.reach import plain_settings
from tests.sdk.house import QUICK, UNKNOWN, calls_of
from tests.sdk.test_waiting import stands
from tidegate.core.retry import RetryPolicy, Steps
from tidegate.errors import EngineUnavailable
from tidegate.http.app import create_app
from tidegate.sdk import Client, JobHandle
from tidegate.sdk.options import BatchOptions, BulkOptions, Filters, JobOptions, Match, Scope
from tidegate.sdk.resources import Resource

NOT_CALLED: Final = {
    "service_health": "for load balancers; `ready` says more",
    "session_begin": "makes a browser's cookie; a program shows its key",
    "session_end": "ends what a browser has",
}
"""Operations that a program does not need."""

NOT_SAID: Final = {
    "jobs_submit": {"wait": "`result` follows events, which takes no longer"},
    "jobs_find": {"offset": "pages go on by cursor"},
    "jobs_dead_letters": {"offset": "pages go on by cursor"},
    "jobs_follow": {"after": "goes as Last-Event-ID"},
    "events_listen": {"after": "goes as Last-Event-ID"},
    "jobs_result": {"redirect": "is streamed: redirections are not followed"},
    "jobs_artifact": {"redirect": "is streamed: redirections are not followed"},
}
"""Parameters and fields that the SDK does not send."""

AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
HOOK, KEY = "9f86d081884c7d65", "abcdefgh"

MATCH: Final[Match] = {
    "type": "t",
    "queue": "q",
    "upstream": "u",
    "tag": "g",
    "user": "ada",
    "error": "e",
    "created_from": AT,
    "created_before": AT,
}
FILTERS: Final[Filters] = {**MATCH, "status": "failed"}
SCOPE: Final[Scope] = {**FILTERS, "all": False}
BULK: Final[BulkOptions] = {**SCOPE, "per_second": 1, "limit": 2, "idempotency_key": "k"}
JOB: Final[JobOptions] = {
    "queue": "q",
    "priority": 1,
    "max_attempts": 2,
    "retry": RetryPolicy(backoff=Steps(delays=(timedelta(seconds=1),))),
    "timeout": timedelta(seconds=3),
    "tags": ["a"],
}
BATCH: Final[BatchOptions] = {**JOB, "run_at": AT, "delay": 1, "expires_at": AT}

Ask = Callable[[Client], object]


def _bulk(c: Client) -> None:
    """The bulk actions, with all that can be said of them."""
    for ask in (
        lambda: c.bulk.count("retry", **SCOPE),
        lambda: c.bulk.cancel(**BULK),
        lambda: c.bulk.dismiss(**BULK),
    ):
        with pytest.raises(EngineUnavailable):
            ask()
    c.bulk.retry(**BULK)


def _queues(c: Client) -> None:
    """What is told of one queue as the library tells it, and of all."""
    for ask in (lambda: c.queues.get_queue_circuit_status("q"), lambda: c.queues.is_queue_paused("q")):
        with pytest.raises(EngineUnavailable):
            ask()
    c.queues.list()


AGAIN: Final[Mapping[str, Ask]] = {
    "service_index": lambda c: c.about(),
    "service_ready": lambda c: c.ready(),
    "service_metrics": lambda c: c.counts(),
    "session_show": lambda c: c.whoami(),
    "workers_find": lambda c: c.workers(),
    "events_listen": lambda c: next(c.events()),
    "uploads_receive": lambda c: c.upload(b"x"),
    "jobs_submit": lambda c: c.submit("t", {"a": 1}, **BATCH),
    "jobs_submit_many": lambda c: c.submit_many("t", [{"a": 1}], **BATCH),
    "jobs_act_on_many": _bulk,
    "jobs_find": lambda c: list(c.find(**FILTERS)),
    "jobs_dead_letters": lambda c: list(c.dead_letters(**MATCH)),
    "jobs_types": lambda c: c.job_types(),
    "jobs_show": lambda c: c.handle(UNKNOWN).details(),
    "jobs_status": lambda c: c.handle(UNKNOWN).status(wait=1),
    "jobs_history": lambda c: c.handle(UNKNOWN).history(),
    "jobs_attempts": lambda c: c.handle(UNKNOWN).attempts(),
    "jobs_usage": lambda c: c.handle(UNKNOWN).usage(),
    "jobs_follow": lambda c: next(c.handle(UNKNOWN).events()),
    "jobs_result": lambda c: c.handle(UNKNOWN).result(),
    "jobs_artifacts": lambda c: c.handle(UNKNOWN).artifacts(),
    "jobs_artifact": lambda c: c.handle(UNKNOWN).download("a.txt", Path("nowhere")),
    "queues_find": _queues,
    "queues_history": lambda c: c.queues.history("q"),
    "queues_show": lambda c: c.queues.show("q"),
    "queues_pause": lambda c: c.queues.pause_queue("q", last=60),
    "queues_resume": lambda c: c.queues.resume_queue("q"),
    "upstreams_find": lambda c: c.upstreams.list(),
    "upstreams_show": lambda c: c.upstreams.show("u"),
    "upstreams_history": lambda c: c.upstreams.history("u"),
    "upstreams_override": lambda c: c.upstreams.override("u", "open", 60),
    "upstreams_clear": lambda c: c.upstreams.clear("u"),
    "upstreams_reset": lambda c: c.upstreams.reset("u"),
    "schedules_find": lambda c: c.schedules.list(),
    "schedules_show": lambda c: c.schedules.show("s"),
    "schedules_put": lambda c: c.schedules.put(
        "s", "0 3 * * *", "t", {"a": 1}, timezone="UTC", misfire="all", max_catch_up=3, **JOB
    ),
    "schedules_pause": lambda c: c.schedules.pause("s"),
    "schedules_resume": lambda c: c.schedules.resume("s"),
    "schedules_trigger": lambda c: c.schedules.trigger("s"),
    "webhooks_find": lambda c: c.webhooks.list(),
    "webhooks_create": lambda c: c.webhooks.create("https://h", ["failed"], types=["t"], description="d"),
    "webhooks_show": lambda c: c.webhooks.show(HOOK),
    "webhooks_change": lambda c: c.webhooks.change(
        HOOK, url="https://h", events=["failed"], types=["t"], description="d", disabled=False
    ),
    "webhooks_deliveries": lambda c: list(c.webhooks.deliveries(HOOK)),
    "keys_find": lambda c: c.keys.list(),
    "keys_show": lambda c: c.keys.show(KEY),
}
"""What may be sent again: it only looks, says how something shall stand, or goes under a key."""

ONCE: Final[Mapping[str, Ask]] = {
    "jobs_cancel": lambda c: c.handle(UNKNOWN).cancel(),
    "jobs_retry": lambda c: c.handle(UNKNOWN).retry(),
    "jobs_dismiss": lambda c: c.handle(UNKNOWN).dismiss(),
    "queues_limited": lambda c: c.queues.record_queue_rate_limit_error("q"),
    "queues_succeeded": lambda c: c.queues.record_queue_success("q"),
    "upstreams_record": lambda c: c.upstreams.record("u", "down", retry_after=1, took=2),
    "schedules_delete": lambda c: c.schedules.delete("s"),
    "webhooks_remove": lambda c: c.webhooks.delete(HOOK),
    "webhooks_rotate": lambda c: c.webhooks.rotate(HOOK),
    "webhooks_test": lambda c: c.webhooks.test(HOOK),
    "webhooks_replay": lambda c: c.webhooks.replay(HOOK, UNKNOWN),
    "keys_make": lambda c: c.keys.create("n", "reader", user_id="ada", expires_in=60),
    "keys_rotate": lambda c: c.keys.rotate(KEY),
    "keys_revoke": lambda c: c.keys.revoke(KEY),
}
"""What is sent once: a second time it would be refused, or be done twice."""


@dataclass
class Operation:
    """An operation of the document: what it is called, where it is, and what may be said."""

    name: str
    method: str
    place: re.Pattern[str]
    words: frozenset[str]

    def is_asked(self, request: httpx2.Request) -> bool:
        """Whether that is it."""
        return request.method == self.method and self.place.fullmatch(request.url.path) is not None


@dataclass
class Away:
    """A server whose store is away. A list has one page more, and a job that is waited for has ended."""

    operations: Sequence[Operation]
    target: str
    asked: list[httpx2.Request] = field(default_factory=list)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        [operation] = [one for one in self.operations if one.is_asked(request)][:1]
        if operation.name != self.target and operation.name == "jobs_status":
            ended = {**json.loads(stands("succeeded").body), "result_path": "result.json"}
            return httpx2.Response(200, json=ended)
        assert operation.name == self.target
        self.asked.append(request)
        if "limit" in request.url.params and "cursor" not in request.url.params:
            return httpx2.Response(200, json={"items": [], "next": "7"})
        problem = {"type": "/problems/store-unavailable", "detail": "d"}
        return httpx2.Response(503, json=problem, headers={"content-type": "application/problem+json"})

    def said(self) -> set[str]:
        """All parameters and fields that were sent."""
        told = {name for request in self.asked for name in request.url.params}
        for request in self.asked:
            if request.headers.get("content-type") == "application/json" and request.content:
                told |= set(json.loads(request.content))
        return told


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> list[Operation]:
    """Those of the document, in its order, in which `/jobs/bulk` is found before a job of that id."""
    document = create_app(application(plain_settings(tmp_path_factory.mktemp("document"))), worker=False).openapi()
    schemas = document["components"]["schemas"]
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            words = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
            body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            words |= set(schemas.get(body.get("$ref", "").rpartition("/")[2], {}).get("properties", {}))
            place = re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(path)))
            found.append(Operation(operation["operationId"], method.upper(), place, frozenset(words)))
    return found


def _asked(operations: Sequence[Operation], name: str, ask: Ask) -> Away:
    away = Away(operations, name)
    http = httpx2.Client(transport=httpx2.MockTransport(away), base_url="http://here")
    with Client.over(http, QUICK) as client, pytest.raises(EngineUnavailable):
        ask(client)
    return away


def test_every_operation_has_a_call_or_a_reason_why_not(operations: Sequence[Operation]) -> None:
    names = [*AGAIN, *ONCE, *NOT_CALLED]
    assert sorted(operation.name for operation in operations) == sorted(names)


def test_every_call_of_the_sdk_is_tried_here() -> None:
    client = Client("http://h", user_id="ada")
    resources = {f".{name}": type(found) for name, found in vars(client).items() if isinstance(found, Resource)}
    written = Path(__file__).read_text("utf-8")
    for place, kind in {"": Client, ".handle(UNKNOWN)": JobHandle, **resources}.items():
        missing = {name for name in calls_of(kind) if re.search(rf"\bc{re.escape(place)}\.{name}\(", written) is None}
        assert missing - {"close", "over"} == set(), place


@pytest.mark.parametrize("name", AGAIN)
def test_what_comes_to_the_same_is_asked_three_times(operations: Sequence[Operation], name: str) -> None:
    away = _asked(operations, name, AGAIN[name])
    several = {"jobs_act_on_many": 4 * 3, "queues_find": 3 * 3}
    assert len(away.asked) == several.get(name, 4 if "cursor" in _words(operations, name) else 3)
    assert len({(str(request.url), request.content) for request in away.asked[-3:]}) == 1


@pytest.mark.parametrize("name", ONCE)
def test_what_would_be_done_twice_is_asked_once(operations: Sequence[Operation], name: str) -> None:
    assert len(_asked(operations, name, ONCE[name]).asked) == 1


@pytest.mark.parametrize("name", [*AGAIN, *ONCE])
def test_every_parameter_and_field_can_be_said(operations: Sequence[Operation], name: str) -> None:
    said = _asked(operations, name, {**AGAIN, **ONCE}[name]).said()
    assert said == _words(operations, name) - set(NOT_SAID.get(name, {}))


def _words(operations: Sequence[Operation], name: str) -> frozenset[str]:
    [words] = [operation.words for operation in operations if operation.name == name]
    return words
