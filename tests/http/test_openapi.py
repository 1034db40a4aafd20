"""The OpenAPI document tells the truth: whatever it allows is answered as it says, whatever it forbids is refused."""

import json
import time
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import schemathesis
from hypothesis import settings as hypothesis_settings
from schemathesis import Case, Response
from schemathesis.checks import CheckFunction
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.checks import (
    allow_header_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)
from schemathesis.specs.openapi.schemas import OpenApiSchema

from tests.http.calls import ADA
from tests.http.handlers import application
from tests.http.reach import plain_settings
from tidegate.http.app import create_app

BULK: Final = ("POST /jobs/bulk", "POST /jobs/actions")
HOOKS: Final = ("POST /webhooks", "PATCH /webhooks/{webhook_id}")
FOLDER: Final = TemporaryDirectory()  # no fixture: the cases are made while tests are collected


def _contract(*, worker: bool) -> OpenApiSchema:
    settings = plain_settings(Path(FOLDER.name)).model_copy(update={"artifacts": "memory://"})
    app = create_app(application(settings), worker=worker)
    contract = schemathesis.openapi.from_dict(app.openapi())
    contract.app = app
    return contract


IDLE: Final = _contract(worker=False)
WORKING: Final = _contract(worker=True)


@IDLE.exclude(path="/events").parametrize()  # which never ends
@hypothesis_settings(max_examples=10)
def test_every_operation_keeps_to_its_document(case: Case[APIOperation[Any, Any, Any, Any]]) -> None:
    # Whether a job is accepted depends on its type and payload too, which the document can't know; nor can it say
    # that a field of a multipart body is a file only where it has a filename.
    # Nor can it say which addresses are public.
    beyond = case.operation.label in ("POST /jobs", "PUT /schedules/{name}", "POST /uploads", *BULK, *HOOKS)
    checks: list[CheckFunction] = [positive_data_acceptance] if beyond else []
    if case.operation.label in BULK:
        checks += [unsupported_method, allow_header_conformance]  # a GET there asks for a job of that id
    if case.operation.label == "POST /jobs/bulk" and isinstance(case.body, dict) and case.body.get("mode") == "each":
        checks += [negative_data_rejection]  # a wrong job is refused in its item of a 200
    case.call_and_validate(excluded_checks=checks)


Body = dict[str, str | int | float | list[str]]


def _call(operation: str, path: str = "", *, body: Body | None = None, **query: str) -> Response:
    """Call one operation, which must answer as its document says."""
    method, place = operation.split()
    parts = dict(zip(("job_id", "path"), path.split(":"), strict=False))
    make = partial(WORKING[place][method].Case, headers=dict(ADA), path_parameters=parts, query=query)
    case = make() if body is None else make(body=json.dumps(body).encode(), media_type="application/json")
    response = case.call()
    case.validate_response(response)
    return response


def _ended(job_id: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status = _call("GET /jobs/{job_id}/status", job_id).json()["status"]
        if status in ("succeeded", "failed"):
            return str(status)
        time.sleep(0.02)
    raise AssertionError("it did not end in time")


def _submitted(body: Body) -> str:
    response = _call("POST /jobs", body=body)
    assert response.status_code in (200, 201)
    return str(response.json()["job_id"])


def test_all_that_a_job_shows_keeps_to_the_document() -> None:
    good = _submitted({"type": "chart", "idempotency_key": "k"})
    assert _submitted({"type": "chart", "idempotency_key": "k"}) == good
    bad = _submitted({"type": "broken", "max_attempts": 1, "tags": ["t"], "delay": 0.01})
    assert (_ended(good), _ended(bad)) == ("succeeded", "failed")
    for job_id in (good, bad):
        for view in ("", "/history", "/attempts", "/artifacts"):
            assert _call(f"GET /jobs/{{job_id}}{view}", job_id).status_code == 200
        assert _call("POST /jobs/{job_id}/cancel", job_id).status_code == 409
    assert _call("GET /jobs/{job_id}/result", good).status_code == 200
    assert _call("GET /jobs/{job_id}/result", bad).status_code == 409
    assert _call("GET /jobs/{job_id}/artifacts/{path}", f"{good}:charts/trend.png").status_code == 200
    assert len(_call("GET /jobs", limit="1").json()["items"]) == 1
    assert _call("POST /jobs/{job_id}/dismiss", bad).status_code == 200
    assert _call("POST /jobs/{job_id}/retry", bad).status_code == 200
    for place in ("/", "/health", "/readyz", "/job-types", "/metrics", "/workers", "/queues", "/dead-letters"):
        assert _call(f"GET {place}").status_code == 200


def test_the_document_is_openapi_3_1_with_examples_and_problems() -> None:
    document = IDLE.raw_schema
    assert document["openapi"].startswith("3.1")
    content = document["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]
    assert content["schema"] == {"$ref": "#/components/schemas/JobCreate"}
    assert document["components"]["schemas"]["JobCreate"]["additionalProperties"] is False
    assert content["examples"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _check(path, operation)


def _check(path: str, operation: dict[str, dict[str, dict[str, object]]]) -> None:
    assert operation["summary"], path
    refused = [answer for status, answer in operation["responses"].items() if status[0] in "45"]
    assert all(list(_content(answer)) == ["application/problem+json"] for answer in refused), path
    guarded = "security" in operation  # a key may be shown twice
    sent = "requestBody" in operation  # which may be no JSON
    assert (guarded or sent) == ("400" in operation["responses"]), path


def _content(answer: dict[str, object]) -> dict[str, object]:
    content = answer["content"]
    assert isinstance(content, dict)
    return content
