"""Links of the OpenAPI document lead where they say."""

import re
from typing import Any

import httpx2

from tests.http.calls import post
from tidegate.app import Tidegate
from tidegate.http.app import create_app
from tidegate.http.links import SOURCES

PATHS: dict[str, dict[str, Any]] = create_app(Tidegate()).openapi()["paths"]
OPERATIONS = {one["operationId"]: (verb, path, one) for path, verbs in PATHS.items() for verb, one in verbs.items()}


def _links(operation: str) -> dict[str, Any]:
    answers = OPERATIONS[operation][2]["responses"]
    return {name: link for answer in answers.values() for name, link in answer.get("links", {}).items()}


def test_every_source_is_an_operation_and_has_links() -> None:
    assert [operation for operation in SOURCES if not _links(operation)] == []


def test_every_link_gives_a_parameter_of_the_place_that_it_leads_to() -> None:
    for operation in SOURCES:
        for link in _links(operation).values():
            _, path, _ = OPERATIONS[link["operationId"]]
            assert set(link["parameters"]) <= set(re.findall(r"\{(\w+)\}", path)), path


async def test_a_new_job_is_found_where_its_links_lead(api: httpx2.AsyncClient) -> None:
    job_id = await post(api)
    looks = [OPERATIONS[name] for name in _links("jobs_submit")]
    places = [path.replace("{job_id}", job_id) for verb, path, _ in looks if verb == "get" and "events" not in path]
    statuses = [(await api.get(place)).status_code for place in places if "{" not in place]
    assert statuses.count(200) >= 6
    assert set(statuses) <= {200, 409}  # that it has no result yet is said as 409
