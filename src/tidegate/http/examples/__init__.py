"""What the OpenAPI document shows of each body and each answer: values as a server gives them.

By the schema's name, or the operation's where that says more. A test holds each against its schema.
"""

from collections.abc import Mapping
from typing import Final

from tidegate.http.examples import jobs, operating, owning
from tidegate.http.examples.values import Object

BODIES: Final[Mapping[str, Object]] = {
    "PauseSent": {"seconds": 600},
    "OverrideSent": {"state": "open", "seconds": 600},
    "OutcomeSent": {"fault": "rate_limited", "retry_after": 20, "took": 0.4},
    "WebhookCreate": {name: owning.WEBHOOK[name] for name in ("url", "events", "types", "description")},
    "WebhookChange": {"events": ["failed"]},
    "KeyCreate": {"name": "billing", "role": "writer"},
    "SessionBegin": {"key": owning.TEXT},
}
"""Of requests, by schema; routes that read their bodies themselves have theirs beside them."""

FILES: Final[Mapping[str, object]] = {
    "multipart/form-data": {"file": jobs.FILE},
    "application/octet-stream": jobs.FILE,
}
"""Of requests that are no JSON, by media type."""

ANSWERS: Final[Mapping[str, Object]] = {
    "Alive": operating.ALIVE,
    "ArtifactList": jobs.ARTIFACTS,
    "AttemptList": jobs.ATTEMPTS,
    "BulkMatches": jobs.MATCHES,
    "BulkReport": jobs.REPORT,
    "Counts": operating.COUNTS,
    "HistoryList": jobs.HISTORY,
    "Index": operating.INDEX,
    "JobAccepted": jobs.ACCEPTED,
    "JobList": jobs.LIST,
    "JobStatus": jobs.SUCCEEDED,
    "JobTypeList": jobs.TYPES,
    "JobUsage": jobs.USAGE,
    "JobWhole": jobs.WHOLE,
    "KeyItem": owning.KEY,
    "KeyList": owning.KEYS,
    "KeyMade": owning.KEY_MADE,
    "QueueHistory": operating.PAUSES,
    "QueueItem": operating.QUEUE,
    "QueueList": operating.QUEUES,
    "Ready": operating.READY,
    "ScheduleList": owning.SCHEDULES,
    "ScheduleWhole": owning.SCHEDULE_WHOLE,
    "SessionItem": owning.SESSION,
    "UploadReceived": jobs.RECEIVED,
    "UpstreamHistory": operating.CHANGES,
    "UpstreamItem": operating.UPSTREAM,
    "UpstreamList": operating.UPSTREAMS,
    "WebhookItem": owning.WEBHOOK,
    "WebhookList": owning.WEBHOOKS,
    "WebhookWithSecret": owning.WITH_SECRET,
    "WorkerList": operating.WORKERS,
}
"""By schema."""

OWN: Final[Mapping[tuple[str, str], object]] = {
    ("jobs_submit", "200"): jobs.REPEATED,
    ("jobs_submit_many", "201"): jobs.ALL_ACCEPTED,
    ("jobs_result", "200"): jobs.WHOLE["result"],
    ("jobs_cancel", "200"): jobs.CANCELLED,
    ("jobs_retry", "200"): jobs.REVIVED,
    ("jobs_dismiss", "200"): jobs.DISMISSED,
    ("jobs_dead_letters", "200"): jobs.DEAD_LETTERS,
    ("queues_pause", "200"): operating.PAUSED_QUEUE,
    ("queues_resume", "200"): operating.RESUMED_QUEUE,
    ("queues_limited", "200"): operating.LIMITED_QUEUE,
    ("upstreams_override", "200"): operating.OVERRIDDEN,
    ("upstreams_record", "200"): operating.BLAMED,
    ("schedules_pause", "200"): owning.PAUSED_SCHEDULE,
    ("webhooks_change", "200"): owning.CHANGED,
    ("webhooks_rotate", "200"): owning.ROTATED_WEBHOOK,
    ("webhooks_deliveries", "200"): jobs.DELIVERIES,
    ("keys_rotate", "200"): owning.ROTATED_KEY,
}
"""By operation and status, where the schema's own would say something else than happens there."""

TEXTS: Final[Mapping[str, str]] = {
    "text/plain": operating.METRICS,
    "application/openmetrics-text": f"{operating.METRICS}# EOF\n",
}
"""Of answers that are no JSON, by media type."""


def exemplify(operation: Object) -> None:
    """Put examples into an operation: its bodies and what it answers where all goes well."""
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if not content.keys() & {"example", "examples"}:
            _put(content, BODIES, FILES.get(media_type))
    for status, answer in operation["responses"].items():
        for media_type, content in answer.get("content", {}).items() if status.startswith("2") else ():
            _put(content, ANSWERS, OWN.get((operation["operationId"], status), TEXTS.get(media_type)))


def _put(content: Object, known: Mapping[str, Object], own: object) -> None:
    """The one that was named, or one for each schema that there may be."""
    schema: Object = content.get("schema", {})
    refs = [schema, *schema.get("anyOf", ())]
    names = [ref["$ref"].rpartition("/")[2] for ref in refs if "$ref" in ref]
    found = {name: known[name] for name in names if name in known}
    if own is not None:
        content["example"] = own
    elif len(found) == 1:
        [content["example"]] = found.values()
    elif found:
        content["examples"] = {name: {"value": value} for name, value in found.items()}
