"""Links of the OpenAPI document: from an answer to every operation on what it tells of."""

from collections.abc import Mapping
from typing import Any, Final

Links = dict[str, dict[str, object]]

SOURCES: Final[Mapping[str, tuple[str, str, str]]] = {
    "jobs_submit": ("/jobs/{job_id}", "job_id", "$response.body#/job_id"),
    "jobs_submit_many": ("/jobs/{job_id}", "job_id", "$response.body#/items/0/job_id"),
    "jobs_find": ("/jobs/{job_id}", "job_id", "$response.body#/items/0/job_id"),
    "schedules_put": ("/schedules/{name}", "name", "$request.path.name"),
    "schedules_trigger": ("/jobs/{job_id}", "job_id", "$response.body#/job_id"),
    "webhooks_create": ("/webhooks/{webhook_id}", "webhook_id", "$response.body#/id"),
    "webhooks_test": ("/jobs/{job_id}", "job_id", "$response.body#/job_id"),
    "keys_make": ("/keys/{key_id}", "key_id", "$response.body#/id"),
    "queues_find": ("/queues/{name}", "name", "$response.body#/items/0/name"),
    "upstreams_find": ("/upstreams/{name}", "name", "$response.body#/items/0/name"),
}
"""By operation: the place its answers lead to, and where they have that place's parameter."""


def link(paths: dict[str, Any]) -> None:
    """Note in the answers of those operations where they lead."""
    for operations in paths.values():
        for operation in operations.values():
            if operation["operationId"] in SOURCES:
                place, parameter, value = SOURCES[operation["operationId"]]
                for status, answer in operation["responses"].items():
                    if status.startswith("2"):
                        answer["links"] = _links(paths, place, {parameter: value})


def _links(paths: Mapping[str, Any], place: str, parameters: dict[str, str]) -> Links:
    """To every operation at this place and below it."""
    return {
        operation["operationId"]: {"operationId": operation["operationId"], "parameters": parameters}
        for path, operations in paths.items()
        if path == place or path.startswith(f"{place}/")
        for operation in operations.values()
    }
