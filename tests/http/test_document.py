"""What the OpenAPI document shows and promises: examples, headers, refusals of bodies, retry policies."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import httpx2
import jsonschema_rs
import pytest

from tests.http.calls import post, run
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.retry_json import policy_from_json
from tidegate.errors import InvalidInput
from tidegate.http import examples
from tidegate.http.app import create_app
from tidegate.http.envelope import SECURITY_HEADERS
from tidegate.http.guards.edge import EXPOSED

Object = dict[str, Any]

DOCUMENT: Final[Object] = create_app(Tidegate()).openapi()
EVERYWHERE: Final = {"content-type", "content-length", "connection", *(name.lower() for name in SECURITY_HEADERS)}
"""What the document need not tell of an answer."""


class Shown(NamedTuple):
    """A body or an answer, its media type, and what the document has of it."""

    what: str
    media_type: str
    content: Object

    @property
    def values(self) -> list[object]:
        """Its examples."""
        named = [example["value"] for example in self.content.get("examples", {}).values()]
        return [*named, self.content["example"]] if "example" in self.content else named


def _operations() -> Iterator[tuple[str, Object]]:
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            yield f"{method.upper()} {path}", operation


def _bodies() -> Iterator[Shown]:
    for name, operation in _operations():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            yield Shown(name, media_type, content)


def _answers() -> Iterator[Shown]:
    for name, operation in _operations():
        for status, answer in operation["responses"].items():
            for media_type, content in answer.get("content", {}).items() if status[0] == "2" else ():
                yield Shown(f"{name} {status}", media_type, content)


def _validator(schema: Object) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**schema, "components": DOCUMENT["components"]}, validate_formats=True)


SHOWN: Final = [one for one in (*_bodies(), *_answers()) if one.media_type not in ("*/*", "text/event-stream")]


@pytest.mark.parametrize("shown", SHOWN, ids=lambda shown: f"{shown.what} {shown.media_type}")
def test_every_body_and_every_answer_has_an_example_that_fits_its_schema(shown: Shown) -> None:
    assert shown.values
    fits = _validator(shown.content["schema"])
    assert [str(fault) for value in shown.values for fault in fits.iter_errors(value)] == []


def test_where_an_answer_is_one_of_several_there_is_an_example_of_each() -> None:
    several = {one.what: one for one in SHOWN if "anyOf" in one.content["schema"]}
    assert set(several) == {"POST /jobs/actions 200", "POST /webhooks 200"}
    for one in several.values():
        assert len(one.values) == len(one.content["schema"]["anyOf"])


def test_every_example_is_shown_somewhere() -> None:
    shown = [value for one in SHOWN for value in one.values]
    kept = [*examples.BODIES.values(), *examples.FILES.values(), *examples.ANSWERS.values(), *examples.OWN.values()]
    assert [value for value in kept if value not in shown] == []


# headers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A limit, so that answers tell of it."""
    return settings.model_copy(update={"limit_user_per_hour": 6})


def _declared(operation: str, status: int) -> Object:
    method, path = operation.split()
    headers = DOCUMENT["paths"][path][method.lower()]["responses"][str(status)]["headers"]
    components = DOCUMENT["components"]["headers"]
    return {name.lower(): components[header["$ref"].rpartition("/")[2]] for name, header in headers.items()}


def _check(operation: str, answer: httpx2.Response, status: int) -> None:
    """The answer has exactly the headers that the document tells of, each as it says."""
    assert answer.status_code == status, answer.text
    declared = _declared(operation, status)
    sent = {name: value for name, value in answer.headers.items() if name not in EVERYWHERE}
    assert sent.keys() <= declared.keys(), operation
    assert {name for name, header in declared.items() if header.get("required")} <= sent.keys(), operation
    for name, value in sent.items():
        kind = declared[name]["schema"]
        assert _validator(kind).is_valid(int(value) if kind["type"] == "integer" else value), (name, value)


async def test_accepted_repeated_and_refused_jobs_have_the_headers_that_are_told(api: httpx2.AsyncClient) -> None:
    job = {"type": "echo", "idempotency_key": "k"}
    for status in (201, 200):
        _check("POST /jobs", await api.post("/jobs", json=job), status)
    batch = {"jobs": [{"type": "echo", "idempotency_key": "b"}]}
    for status in (201, 200):
        _check("POST /jobs/bulk", await api.post("/jobs/bulk", json=batch), status)
    action = {"action": "retry", "all": True, "idempotency_key": "a"}
    for status in (202, 200):
        _check("POST /jobs/actions", await api.post("/jobs/actions", json=action), status)
    _check("POST /jobs/actions", await api.post("/jobs/actions", json={**action, "dry_run": True}), 200)
    for _ in range(4):
        await post(api)
    _check("POST /jobs", await api.post("/jobs", json={"type": "echo"}), 429)
    _check("POST /jobs/bulk", await api.post("/jobs/bulk", json={"jobs": [{"type": "echo"}]}), 429)
    _check("POST /jobs", await api.post("/jobs", json={}), 422)


async def test_what_is_made_is_told_by_its_location(api: httpx2.AsyncClient) -> None:
    schedule = {"expression": "0 3 * * *", "type": "echo"}
    _check("PUT /schedules/{name}", await api.put("/schedules/s", json=schedule), 201)
    for status in (201, 200):
        again = await api.post("/schedules/s/trigger", headers={"Idempotency-Key": "t"})
        _check("POST /schedules/{name}/trigger", again, status)
    hook = {"url": "https://93.184.215.14/hooks"}
    for status in (201, 200):
        _check("POST /webhooks", await api.post("/webhooks", json=hook, headers={"Idempotency-Key": "w"}), status)
    [made] = (await api.get("/webhooks")).json()["items"]
    _check("POST /webhooks/{webhook_id}/test", await api.post(f"/webhooks/{made['id']}/test"), 201)
    answer = await api.post("/keys", json={"name": "ops", "role": "admin"})
    _check("POST /keys", answer, 201)
    key = {"Authorization": f"Bearer {answer.json()['key']}"}
    rotated = await api.post(f"/keys/{answer.json()['id']}/rotate", headers=key)
    _check("POST /keys/{key_id}/rotate", rotated, 200)
    _check("POST /session", await api.post("/session", json={"key": rotated.json()["key"]}), 201)
    _check("DELETE /session", await api.delete("/session", headers=key), 204)
    api.cookies.clear()
    _check("GET /keys", await api.get("/keys"), 401)


async def test_files_and_metrics_have_the_headers_that_are_told(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app, "chart")
    file = await working.get(f"/jobs/{job_id}/artifacts/charts/trend.png")
    _check("GET /jobs/{job_id}/artifacts/{path}", file, 200)
    _check("GET /jobs/{job_id}/result", await working.get(f"/jobs/{job_id}/result"), 200)
    _check("GET /metrics", await working.get("/metrics"), 200)
    _check("GET /jobs/{job_id}", await working.get("/jobs/x"), 404)


def test_every_answer_tells_its_headers_and_browsers_may_read_those_of_jobs() -> None:
    for name, operation in _operations():
        for status, answer in operation["responses"].items():
            assert "X-Request-ID" in answer["headers"], (name, status)
    submit = [name for status in (201, 200, 429) for name in _declared("POST /jobs", status)]
    assert {name.lower() for name in EXPOSED} == set(submit)


# bodies ----------------------------------------------------------------------------------------------------


def _sending_json() -> list[str]:
    return [shown.what for shown in _bodies() if shown.media_type == "application/json"]


@pytest.mark.parametrize("operation", _sending_json())
def test_what_takes_json_says_how_a_body_can_be_refused(operation: str) -> None:
    method, path = operation.split()
    assert {"400", "413", "415", "422"} <= DOCUMENT["paths"][path][method.lower()]["responses"].keys()


async def test_a_body_that_is_too_large_or_no_json_is_refused_by_all_that_take_json(api: httpx2.AsyncClient) -> None:
    for operation in _sending_json():
        method, path = operation.split()
        place = path.format_map({"name": "default", "webhook_id": "0" * 16})
        large = b"[" + b" " * 9_000_000 + b"]"
        for status, body, media_type in ((415, b"{}", "text/plain"), (413, large, "application/json")):
            answer = await api.request(method, place, content=body, headers={"Content-Type": media_type})
            _check(operation, answer, status)


# retry policies --------------------------------------------------------------------------------------------

STEPS: Final[Object] = {"policy": "steps", "delays": [1, 5, 30]}
GROWING: Final[Object] = {"policy": "exponential", "initial": 2}
RULE: Final[Object] = {"error": "http:5xx", "max_attempts": 2, "backoff": GROWING}


@pytest.mark.parametrize(
    ("policy", "sound"),
    [
        (STEPS, True),
        ({**STEPS, "jitter": 0.5, "max_attempts": 9, "rules": [RULE, {"error": "auth", "retry": False}]}, True),
        ({**GROWING, "factor": 3, "max": 60, "jitter": 0}, True),
        ({**STEPS, "initial": 2}, False),
        ({**GROWING, "delays": [1]}, False),
        ({**STEPS, "delays": []}, False),
        ({**STEPS, "delays": [0]}, False),
        ({**STEPS, "delays": [1] * 1_001}, False),
        ({**STEPS, "max_attempts": 0}, False),
        ({**STEPS, "max_attempts": None}, False),
        ({**STEPS, "jitter": 1}, False),
        ({**GROWING, "factor": 0.5}, False),
        ({**GROWING, "initial": "2"}, False),
        ({"policy": "never"}, False),
        ({}, False),
        ({**STEPS, "rules": [{**RULE, "more": 1}]}, False),
        ({**STEPS, "rules": [{"error": "x", "backoff": {**STEPS, "max_attempts": 1}}]}, False),
        ({**STEPS, "rules": [RULE] * 101}, False),
    ],
)
def test_a_retry_policy_is_described_as_it_is_read(policy: Object, sound: bool) -> None:
    schema = DOCUMENT["components"]["schemas"]["JobCreate"]["properties"]["retry"]
    assert _validator(schema).is_valid(policy) is sound
    try:
        policy_from_json(policy)
    except InvalidInput:
        assert not sound
    else:
        assert sound


@pytest.mark.parametrize("model", ["JobCreate", "JobWhole", "ScheduleSent", "ScheduleWhole"])
def test_a_retry_policy_is_one_of_two_closed_objects(model: str) -> None:
    schemas = DOCUMENT["components"]["schemas"]
    field = schemas[model]["properties"]["retry"]
    policies = [schemas[one["$ref"].rpartition("/")[2]] for one in field.get("anyOf", [field])[0]["oneOf"]]
    assert [policy["properties"]["policy"]["const"] for policy in policies] == ["steps", "exponential"]
    assert [policy["additionalProperties"] for policy in policies] == [False, False]
