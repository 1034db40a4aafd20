"""Examples of jobs: one that went well, one that is a dead letter, and what is asked of many."""

from typing import Final

from tidegate.http.examples.values import Object

JOB: Final = "01a205eb-824d-7000-81c4-6f023c98941d"
DEAD: Final = "01a205eb-8250-7000-ad0e-64cd2bc886e2"
UPLOAD: Final = "upload:01890a5d-ac96-774b-bcce-b302099a8057"

ACCEPTED: Final[Object] = {"job_id": JOB, "status": "queued", "status_url": f"/jobs/{JOB}/status"}
REPEATED: Final[Object] = {**ACCEPTED, "status": "succeeded"}

SUCCEEDED: Final[Object] = {
    "job_id": JOB,
    "status": "succeeded",
    "phase": "succeeded",
    "attempts": 1,
    "progress": {"fraction": 1.0, "message": "12 of 12 months"},
    "wait_reason": None,
    "wait_until": None,
    "retry_at": None,
    "result_path": f"jobs/{JOB}/1-7a4d0a5b/result.json",
    "result_url": f"/jobs/{JOB}/result",
    "error": None,
    "error_type": None,
    "error_message": None,
    "created_at": "2026-01-31T12:00:00.126777Z",
    "started_at": "2026-01-31T12:00:00.128898Z",
    "finished_at": "2026-01-31T12:00:04.140118Z",
    "timeout_at": "2026-01-31T12:10:00.128898Z",
}
_UNMADE: Final[Object] = {"progress": None, "result_path": None, "result_url": None}
FAILED: Final[Object] = {
    **SUCCEEDED,
    **_UNMADE,
    "job_id": DEAD,
    "status": "failed",
    "phase": "dead_letter",
    "attempts": 3,
    "error": "processing_error",
    "error_type": "ValueError",
    "error_message": "month 13 is none",
    "created_at": "2026-01-31T11:59:51.128770Z",
}
DISMISSED: Final[Object] = {**FAILED, "phase": "failed"}
REVIVED: Final[Object] = {
    **FAILED,
    "status": "queued",
    "phase": "ready",
    "attempts": 0,
    "wait_reason": "it waits for a worker that serves its queue, has its job type and a free slot",
    "error": None,
    "error_type": None,
    "error_message": None,
    "started_at": None,
    "finished_at": None,
    "timeout_at": None,
}
CANCELLED: Final[Object] = {
    **REVIVED,
    "status": "cancelled",
    "phase": "cancelled",
    "wait_reason": None,
    "finished_at": "2026-01-31T12:00:02.167550Z",
}

_LISTED: Final[Object] = {
    "user_id": "ada",
    "type": "report",
    "queue": "default",
    "upstream": None,
    "priority": 0,
    "tags": ["sales"],
    "max_attempts": 3,
    "run_at": "2026-01-31T12:00:00.126777Z",
    "degraded": False,
    "served_by": None,
}
WHOLE: Final[Object] = {
    **SUCCEEDED,
    **_LISTED,
    "idempotency_key": "sales-2026-01",
    "request_id": "4cd77205d4c2bc7d2fcc5609095c354e",
    "traceparent": None,
    "retry": {"policy": "steps", "delays": [1, 5, 30], "jitter": 0, "max_attempts": 3},
    "timeout": 600.0,
    "expires_at": None,
    "runs": 1,
    "upstream_faults": 0,
    "crashes": 0,
    "interruptions": 0,
    "cancel_requested_at": None,
    "dismissed_at": None,
    "prune_at": "2026-02-01T12:00:04.140118Z",
    "payload": {"year": 2025},
    "result": {"rows": 1204, "chart": "charts/trend.png"},
}


def page(*items: Object) -> Object:
    """A page of jobs that is the only one."""
    return {"items": list(items), "total": len(items), "limit": 50, "offset": 0, "next": None}


LIST: Final = page({**SUCCEEDED, **_LISTED}, {**FAILED, **_LISTED})
DEAD_LETTERS: Final = page({**FAILED, **_LISTED})
DELIVERIES: Final = page(
    {
        **SUCCEEDED,
        **_LISTED,
        "job_id": "01a205eb-9697-7000-89bc-65b2f23d8a83",
        "progress": {"fraction": 1.0, "message": ""},
        "result_path": None,
        "result_url": None,
        "type": "tidegate.webhook",
        "queue": "system",
        "upstream": "webhook.9f86d081884c7d65",
        "tags": ["webhook:9f86d081884c7d65"],
        "max_attempts": 14,
    }
)

HISTORY: Final[Object] = {
    "items": [
        {"seq": 1, "at": "2026-01-31T12:00:00.126777Z", "event": "submitted", "run": 0, "note": ""},
        {"seq": 2, "at": "2026-01-31T12:00:00.128898Z", "event": "claimed", "run": 1, "note": ""},
        {"seq": 3, "at": "2026-01-31T12:00:04.140118Z", "event": "succeeded", "run": 1, "note": ""},
    ],
    "next": None,
}
_CALL: Final[Object] = {"run": 1, "upstream": "openrouter", "input_tokens": 1840, "output_tokens": 512, "cost": 3650}
USAGE: Final[Object] = {"items": [_CALL], "cost": 3650}
ATTEMPTS: Final[Object] = {
    "items": [
        {
            "run": 1,
            "started_at": "2026-01-31T12:00:00.128898Z",
            "ended_at": "2026-01-31T12:00:04.140118Z",
            "outcome": "succeeded",
            "note": "",
            "counted": True,
            "reclaimed": False,
            "usage": [_CALL],
        }
    ]
}


def _file(path: str, size: int) -> Object:
    url = f"/jobs/{JOB}/artifacts/{path}"
    return {"path": path, "size": size, "modified_at": "2026-01-31T12:00:04.136261Z", "url": url}


ARTIFACTS: Final[Object] = {"items": [_file("charts/trend.png", 4104), _file("result.json", 42)]}
RECEIVED: Final[Object] = {
    "file": UPLOAD,
    "name": "sales.csv",
    "size": 26,
    "sha256": "1cb031807355e89011790042eda806f1ad6199f35d4897a9b46792cf8d474355",
}
FILE: Final = "month,amount\n2026-01,12.5\n"

TYPES: Final[Object] = {
    "items": [
        {
            "name": "report",
            "description": "Add up a year's sales.",
            "mode": "async",
            "queue": "default",
            "upstream": None,
            "max_attempts": 3,
            "timeout": 600.0,
            "payload_schema": {
                "type": "object",
                "properties": {"year": {"type": "integer", "title": "Year"}},
                "required": ["year"],
                "title": "Report",
            },
        }
    ]
}

MATCHES: Final[Object] = {"action": "retry", "matches": 1, "exact": True, "sample": [DEAD]}
_ACCEPTED_ITEM: Final[Object] = {"index": 0, "job_id": JOB, "status": "queued", "created": True}
_MISSING: Final = "no job type 'reprot' is registered here; known: report"
REPORT: Final[Object] = {
    "items": [
        _ACCEPTED_ITEM,
        {
            "index": 1,
            "problem": {
                "type": "/problems/unknown-job-type",
                "title": "There is no such job type",
                "status": 422,
                "detail": f"type: {_MISSING}",
                "errors": [{"field": "type", "message": _MISSING}],
            },
        },
    ],
    "accepted": 1,
    "refused": 1,
}
ALL_ACCEPTED: Final[Object] = {"items": [_ACCEPTED_ITEM], "accepted": 1, "refused": 0}
