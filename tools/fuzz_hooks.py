"""What `tools.fuzz_http` adds to Schemathesis: who asks, short polls, a check of batches, and a count of requests."""

import atexit
import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import schemathesis

from tidegate.http.face import USER_PATTERN
from tools.fuzz_checks import wrongly_taken

COUNT: Final = "FUZZ_COUNT"
"""The variable that names the file for the number of requests."""

STATEFUL: Final = "FUZZ_STATEFUL"
"""The variable that is set where links are followed: who asks is no parameter then, as none could lead to it."""

_USER: Final = "X-User-ID"
_done = Counter[str]()


@schemathesis.hook
def before_load_schema(_context: object, raw_schema: dict[str, Any]) -> None:
    """Take out who asks, where links are followed."""
    for operations in raw_schema["paths"].values() if STATEFUL in os.environ else ():
        for operation in operations.values():
            given = operation.get("parameters", [])
            operation["parameters"] = [parameter for parameter in given if parameter["name"] != _USER]


@schemathesis.hook
def before_call(_context: object, case: Any, _kwargs: dict[str, Any]) -> None:
    """Let one user ask, and cut long polls short; what is wrong stays as it is."""
    _ask_for_what_runs(case)
    if STATEFUL in os.environ or re.fullmatch(USER_PATTERN, str((case.headers or {}).get(_USER, ""))):
        case.headers = {**(case.headers or {}), _USER: "ada"}
    query = case.query or {}
    try:
        seconds = float(query.get("wait", "nan"))
    except (TypeError, ValueError):
        return
    if 0.1 < seconds <= 60:
        query["wait"] = "0.1"


def _ask_for_what_runs(case: Any) -> None:
    """Make half of the jobs and schedules that the document allows ones that this server can run."""
    wanted = case.operation.label in ("POST /jobs", "PUT /schedules/{name}") and isinstance(case.body, dict)
    if wanted and case.meta and case.meta.generation.mode.is_positive and crc32(repr(case.body).encode()) % 2:
        asked = {"type": "greet", "payload": {"name": "Ada"}, "retry": None, "delay": None, "run_at": None}
        case.body = {**case.body, **{field: value for field, value in asked.items() if value or field in case.body}}


@schemathesis.hook
def after_call(_context: object, _case: Any, _response: Any) -> None:
    """Count the request."""
    _done["requests"] += 1


@schemathesis.check
def refuses_each_wrong_job(_context: object, response: Any, case: Any) -> None:
    """Of a batch that was taken, every job that does not fit the document is refused."""
    if case.operation.label != "POST /jobs/bulk" or not 200 <= response.status_code < 300:
        return
    sent, told = json.loads(response.request.body)["jobs"], response.json()["items"]
    wrong = wrongly_taken(case.operation.schema.raw_schema, sent, told)
    assert not wrong, f"accepted, and not as the document wants jobs: {wrong}"


@atexit.register
def _tell() -> None:
    if place := os.environ.get(COUNT):
        Path(place).write_text(str(_done["requests"]), "utf-8")
