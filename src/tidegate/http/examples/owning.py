"""Examples of what users keep: schedules, webhooks, keys and sessions."""

from typing import Final

from tidegate.http.examples.values import SINCE, UNTIL, Object

SCHEDULE: Final[Object] = {
    "name": "nightly-report",
    "user_id": "ada",
    "origin": "api",
    "expression": "0 3 * * *",
    "timezone": "Europe/Berlin",
    "misfire": "latest",
    "max_catch_up": 10,
    "type": "report",
    "queue": None,
    "created_at": SINCE,
    "paused": False,
    "paused_at": None,
    "paused_by": "",
    "next_at": "2026-02-01T02:00:00Z",
    "last_tick": None,
    "last_job": None,
    "error": "",
    "retired_at": None,
}
SCHEDULES: Final[Object] = {"items": [SCHEDULE]}
SCHEDULE_WHOLE: Final[Object] = {
    **SCHEDULE,
    "next_ticks": [f"2026-02-0{day}T02:00:00Z" for day in range(1, 6)],
    "priority": 0,
    "max_attempts": None,
    "retry": None,
    "timeout": None,
    "tags": [],
    "payload": {"year": 2026},
}
PAUSED_SCHEDULE: Final[Object] = {
    **SCHEDULE_WHOLE,
    "paused": True,
    "paused_at": "2026-01-31T12:05:00.863427Z",
    "paused_by": "ada",
    "next_at": None,
    "next_ticks": [],
}

WEBHOOK: Final[Object] = {
    "id": "9f86d081884c7d65",
    "user_id": "ada",
    "url": "https://example.com/hooks/tidegate",
    "events": ["succeeded", "failed"],
    "types": ["report"],
    "description": "to the dashboard",
    "upstream": "webhook.9f86d081884c7d65",
    "created_at": SINCE,
    "disabled": False,
    "disabled_at": None,
    "disabled_why": "",
    "failing_since": None,
    "former_secret_until": None,
}
WEBHOOKS: Final[Object] = {"items": [WEBHOOK]}
WITH_SECRET: Final[Object] = {**WEBHOOK, "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDsQ8y2ZQ0Kb4="}
ROTATED_WEBHOOK: Final[Object] = {**WITH_SECRET, "former_secret_until": "2026-02-01T12:05:00.863427Z"}
CHANGED: Final[Object] = {**WEBHOOK, "events": ["failed"]}

KEY: Final[Object] = {
    "id": "s4r3qg7g",
    "name": "billing",
    "role": "writer",
    "user_id": None,
    "created_at": SINCE,
    "expires_at": None,
    "former_until": None,
}
KEYS: Final[Object] = {"items": [KEY]}
TEXT: Final = "tg_s4r3qg7g_EXAMPLE-not-a-key-EXAMPLE-not-a-key-EXAMPLE"
KEY_MADE: Final[Object] = {**KEY, "key": TEXT}
ROTATED_KEY: Final[Object] = {**KEY_MADE, "former_until": UNTIL.replace("01-31T12:10", "02-01T12:05")}
SESSION: Final[Object] = {"role": "writer", "name": "billing", "user_id": None}
