"""The headers of answers, for the document: what each says, and which answers have it."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

Object = dict[str, Any]


def _whole(least: int, description: str) -> Object:
    return {"description": description, "schema": {"type": "integer", "minimum": least}}


def _text(description: str, example: str, **schema: object) -> Object:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


_LIMITS: Final[Mapping[str, Object]] = {
    "RateLimit-Policy": _text(
        "Every limit that was counted: so many (`q`) in any so many seconds (`w`).",
        '"address";q=60;w=60, "user";q=60;w=3600',
        pattern=r'^"[a-z]*";q=\d+;w=\d+(, "[a-z]*";q=\d+;w=\d+)*$',
    ),
    "RateLimit": _text(
        "What is left of each (`r`), and in how many seconds there is more (`t`).",
        '"address";r=59;t=60, "user";r=59;t=3600',
        pattern=r'^"[a-z]*";r=\d+;t=\d+(, "[a-z]*";r=\d+;t=\d+)*$',
    ),
    "RateLimit-Limit": _whole(0, "The limit with the least left."),
    "RateLimit-Remaining": _whole(0, "What is left of it."),
    "RateLimit-Reset": _whole(0, "In how many seconds there is more of it."),
}
_KNOWN: Final[Mapping[str, Object]] = {
    "X-Request-ID": _text(
        "Ties the answer, its job and log lines together: the request's own, or a new one.",
        "4cd77205d4c2bc7d2fcc5609095c354e",
        pattern="^[A-Za-z0-9-]{1,64}$",
    ),
    "Location": _text(
        "What was made, or where it is.", "/jobs/01a205eb-824d-7000-81c4-6f023c98941d", format="uri-reference"
    ),
    "Retry-After": _whole(1, "Seconds to wait."),
    "Idempotent-Replayed": _text("An earlier request under this key had made it.", "true", const="true"),
    "WWW-Authenticate": _text("How to say who asks.", 'Bearer realm="tidegate"'),
    "Content-Disposition": _text("The file's name.", 'attachment; filename="trend.png"'),
    "Set-Cookie": _text("The session's cookie, or its end.", "tidegate_session=…; HttpOnly; Path=/; SameSite=strict"),
    "Vary": _text("The form is the one that was asked for.", "Accept"),
    **_LIMITS,
}

OPTIONAL: Final = ".optional"
"""Ends the name of a header that not each of those answers has."""

HEADERS: Final[Object] = {
    **{name: {**known, "required": True} for name, known in _KNOWN.items() if name not in _LIMITS},
    **{f"{name}{OPTIONAL}": known for name, known in _KNOWN.items() if name in ("Location", "Idempotent-Replayed")},
    **{f"{name}{OPTIONAL}": known for name, known in _KNOWN.items() if name in ("Retry-After", *_LIMITS)},
}
"""For `components`."""

_COUNTED: Final = tuple(f"{name}{OPTIONAL}" for name in _LIMITS)
_MADE: Final = ("Location", "Idempotent-Replayed")
_MAYBE_MADE: Final = tuple(f"{name}{OPTIONAL}" for name in _MADE)

_OF_STATUS: Final[Mapping[str, tuple[str, ...]]] = {
    "307": ("Location",),
    "401": ("WWW-Authenticate",),
    "429": ("Retry-After", *_COUNTED),
    "503": (f"Retry-After{OPTIONAL}",),
}
_OF_ANSWER: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("jobs_submit", "201"): ("Location", *_COUNTED),
    ("jobs_submit", "200"): _MADE,
    ("jobs_submit_many", "201"): _COUNTED,
    ("jobs_submit_many", "200"): (f"Idempotent-Replayed{OPTIONAL}", *_COUNTED),
    ("jobs_act_on_many", "202"): ("Location",),
    ("jobs_act_on_many", "200"): _MAYBE_MADE,
    ("jobs_artifact", "200"): ("Content-Disposition",),
    ("schedules_trigger", "201"): ("Location", *_COUNTED),
    ("schedules_trigger", "200"): _MADE,
    ("webhooks_create", "201"): ("Location",),
    ("webhooks_create", "200"): _MADE,
    ("webhooks_test", "201"): ("Location",),
    ("webhooks_replay", "201"): ("Location",),
    ("keys_make", "201"): ("Location",),
    ("keys_rotate", "200"): ("Location",),
    ("session_begin", "201"): ("Set-Cookie",),
    ("session_end", "204"): ("Set-Cookie",),
    ("service_metrics", "200"): ("Vary",),
}
"""By operation and status. Every answer has `X-Request-ID`."""


def tell_headers(operation: Object) -> None:
    """Note in each answer of an operation the headers that it has."""
    for status, answer in operation["responses"].items():
        answer["headers"] = {
            name.removesuffix(OPTIONAL): {"$ref": f"#/components/headers/{name}"}
            for name in _names(operation["operationId"], status)
        }


def _names(operation: str, status: str) -> Iterator[str]:
    yield "X-Request-ID"
    yield from _OF_STATUS.get(status, ())
    yield from _OF_ANSWER.get((operation, status), ())
