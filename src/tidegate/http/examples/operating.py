"""Examples of what operators see and decide: queues, upstreams, workers, and the service itself."""

from typing import Final

from tidegate.http.examples.values import SINCE, UNTIL, Object

QUEUE: Final[Object] = {
    "name": "content",
    "paused": False,
    "paused_at": None,
    "resumes_at": None,
    "why": "",
    "consecutive_errors": 0,
    "last_error_at": None,
    "limit": None,
    "waiting": 2,
    "ready": 5,
    "running": 3,
    "dead_letters": 1,
    "depth": 7,
    "held": 4,
    "held_by": [
        {
            "jobs": 4,
            "why": "openrouter is open until 2026-01-31T12:10:00Z: 6 faults in 60 s",
            "upstream": "openrouter",
            "until": UNTIL,
        }
    ],
    "oldest_ready_age": 12.5,
    "throughput": 30.4,
}
PAUSED_QUEUE: Final[Object] = {
    **QUEUE,
    "paused": True,
    "paused_at": SINCE,
    "resumes_at": UNTIL,
    "why": "paused by ada",
    "held": 5,
    "held_by": [
        {
            "jobs": 5,
            "why": "queue content was paused by ada until 2026-01-31T12:10:00Z",
            "upstream": None,
            "until": UNTIL,
        }
    ],
}
RESUMED_QUEUE: Final[Object] = {**QUEUE, "limit": 2}
LIMITED_QUEUE: Final[Object] = {**QUEUE, "consecutive_errors": 1, "last_error_at": SINCE, "limit": 1}
QUEUES: Final[Object] = {"items": [QUEUE]}

UPSTREAM: Final[Object] = {
    "name": "openrouter",
    "state": "closed",
    "until": None,
    "why": "",
    "rules": "api",
    "parents": [],
    "limit": None,
    "faults": 0,
    "opens": 0,
    "waiting": 4,
    "running": 3,
    "override": None,
    "budget": {"dollars": 50.0, "per": 86400.0, "spent": 12.25, "until": "2026-02-01T00:00:00Z", "exhausted": False},
    "budget_per_user": None,
}
OVERRIDDEN: Final[Object] = {
    **UPSTREAM,
    "state": "open",
    "until": UNTIL,
    "override": {"state": "open", "author": "ada", "since": SINCE, "until": UNTIL},
}
BLAMED: Final[Object] = {**UPSTREAM, "limit": 5, "faults": 3}
UPSTREAMS: Final[Object] = {"items": [UPSTREAM]}
CHANGES: Final[Object] = {
    "items": [
        {"at": SINCE, "to": "open", "why": "6 faults in 60 s", "until": UNTIL, "author": ""},
    ]
}

PAUSES: Final[Object] = {
    "items": [
        {"at": SINCE, "to": "open", "why": "5 rate limits in 60 s", "until": UNTIL, "author": ""},
    ]
}

WORKERS: Final[Object] = {
    "items": [
        {
            "id": "3419e017f2814bc7.4026531836.14095.6166803.9bc55b98de6ebb0e",
            "state": "live",
            "stale": False,
            "last_seen_at": SINCE,
            "host": "worker-1",
            "pid": 14095,
            "started_at": "2026-01-31T08:00:00.119787Z",
            "version": "0.1.0",
            "slots": 10,
            "running": 3,
            "queues": ["system", "high", "default", "content", "low"],
            "types": ["report", "tidegate.bulk", "tidegate.webhook", "tidegate.webhook-removal"],
        }
    ]
}

INDEX: Final[Object] = {"name": "tidegate", "version": "0.1.0", "docs": "/docs", "openapi": "/openapi.json"}
ALIVE: Final[Object] = {"status": "ok"}
READY: Final[Object] = {
    "status": "ready",
    "engine": "sqlite",
    "engine_version": "3.45.1",
    "schema_version": "1",
    "durability": "fsync",
    "artifacts": "ok",
    "oldest_ready_age": 12.5,
    "workers": 1,
    "warnings": ["no worker serves queue 'mail', where jobs wait: 2"],
}
COUNTS: Final[Object] = {
    "total_jobs": 120,
    "active_jobs": 3,
    "completed_jobs": 107,
    "failed_jobs": 2,
    "dead_letter_jobs": 1,
    "cancelled_jobs": 1,
    "queue_length": 5,
    "retry_queue_length": 2,
    "dlq_length": 1,
    "workers": 1,
    "oldest_ready_age": 12.5,
}
METRICS: Final = """\
# HELP tidegate_jobs_submitted_total Jobs accepted.
# TYPE tidegate_jobs_submitted_total counter
tidegate_jobs_submitted_total{queue="default",type="report"} 120.0
"""
