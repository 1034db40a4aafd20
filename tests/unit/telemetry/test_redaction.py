"""Names and shapes that give a secret away, and what stays readable."""

from collections import UserDict
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.job import Status
from tidegate.telemetry.redaction import TEXT_LIMIT, clean_fields, mask, suspect, trace, word

SECRET = "hunter2hunter2"
NAMES = [
    "authorization", "Authorization", "proxy-authorization", "api_key", "apiKey", "X-API-Key", "OPENAI_API_KEY",
    "token", "access_token", "password", "db_passwd", "secret", "client_secret", "cookie", "set-cookie",
    "credentials", "payload", "raw_payload", "result", "results", "file_content", "content", "body",
    "request_body", "prompt", "completion", "dsn", "private_key",
]  # fmt: skip
SHAPES = [
    "sk-or-v1-0123456789abcdef",
    "sk_live_0123456789abcdef",
    "Bearer abcdef012345",
    "bearer  abc.def.ghi",
    "whsec_C2FVsBQIhrscChlQIMV",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "ghp_0123456789abcdefghij",
    "xoxb-123456789012-abc",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
]
PAIRS = [
    "password={}",
    "password: {}",
    '{{"api_key": "{}", "rows": 3}}',
    "{{'Authorization': '{}'}}",
    "Authorization: Basic {}",
    "GET /v1?key={}&x=1",
    "Cookie: a=b; session={}",
    "client_secret = {}",
    "redis://:{}@cache:6379/0",
    "postgresql://app:{}@db/jobs",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_field_named_like_a_secret_is_redacted_at_any_depth(name: str) -> None:
    given_ = {name: SECRET, "nested": {"list": [{name: SECRET}]}}
    assert clean_fields(given_) == {name: "[redacted]", "nested": {"list": [{name: "[redacted]"}]}}


@pytest.mark.parametrize("name", NAMES)
def test_a_structure_under_such_a_name_is_redacted_whole(name: str) -> None:
    assert clean_fields({name: {"rows": [SECRET]}}) == {name: "[redacted]"}


@pytest.mark.parametrize(
    "fields",
    [
        {"request_id": "r", "job_id": "j", "user_id": "u", "author": "Ada", "type": "content"},
        {"prompt_tokens": 512, "result_path": "jobs/1/2", "content_type": "text/csv", "payload_bytes": 9},
        {"attempts": 1, "key": "column", "monkey": "x", "latency_ms": 0.5, "cached": True, "queue": None},
    ],
)
def test_what_operators_need_stays(fields: dict[str, object]) -> None:
    assert clean_fields(fields) == fields


@pytest.mark.parametrize("shape", SHAPES)
def test_a_credential_is_masked_wherever_it_stands(shape: str) -> None:
    masked = mask(f"calling with {shape}")
    assert shape.rsplit(maxsplit=1)[-1] not in masked
    assert masked.startswith("calling with ")
    assert "[redacted]" in masked


@pytest.mark.parametrize("pair", PAIRS)
def test_a_secret_beside_its_name_is_masked(pair: str) -> None:
    masked = mask(pair.format(SECRET))
    assert SECRET not in masked
    assert "[redacted]" in masked


@pytest.mark.parametrize(
    "text",
    ["task-runner", "risk-assessment", "the key of the map: x", "https://example.org/a@b", "bearer of news"],
)
def test_ordinary_words_are_not_masked(text: str) -> None:
    assert mask(text) == text


@given(st.text(max_size=200) | st.sampled_from([*SHAPES, *PAIRS]))
def test_a_text_above_suspicion_is_what_mask_leaves_alone(text: str) -> None:
    assert suspect(text) or mask(text) == text


def test_credentials_are_not_above_suspicion() -> None:
    assert all(suspect(text) for text in [*SHAPES, *PAIRS])


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    masked = mask("x" * 5_000)
    assert masked == "x" * TEXT_LIMIT + "… (5,000 characters)"


def test_the_cut_lets_no_part_of_a_credential_through() -> None:
    masked = mask("x" * (TEXT_LIMIT - 6) + " sk-or-v1-0123456789")
    assert "0123" not in masked
    assert "sk-" not in masked


def test_wide_and_deep_values_are_bounded() -> None:
    deep: dict[str, object] = {}
    deep["again"] = deep
    kept = clean_fields({"wide": range(10**9), "deep": deep})
    assert len(str(kept)) < 2_000


def test_known_values_are_said_and_unknown_ones_only_named() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    kept = clean_fields(
        {
            "at": at,
            "took": timedelta(seconds=1.5),
            "status": Status.QUEUED,
            "path": PurePosixPath("a/b"),
            "map": UserDict(a=1),
            "data": b"bytes",
            "error": ValueError(SECRET),
            "big": 2**70,
            "odd": {("a", "b"): 1},
        }
    )
    assert kept == {
        "at": "2026-01-01T00:00:00.000000Z",
        "took": 1.5,
        "status": "queued",
        "path": "a/b",
        "map": {"a": 1},
        "data": "<bytes>",
        "error": "<ValueError>",
        "big": "<int>",
        "odd": {"<tuple>": 1},
    }


@pytest.mark.parametrize("text", ["", "timeout", "http:503", "json.JSONDecodeError", "not-found"])
def test_codes_and_class_names_are_words(text: str) -> None:
    assert word(text) == text


@pytest.mark.parametrize("text", ["two words", "line\n", "Müller", "1815", "x" * 81])
def test_anything_else_is_not(text: str) -> None:
    assert word(text) == "[redacted]"


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    try:
        raise error from cause
    except Exception as caught:
        return caught


def test_a_trace_names_frames_and_causes_and_quotes_nobody() -> None:
    frames = trace(raised(KeyError(SECRET), cause=raised(ValueError(SECRET))))
    assert [line for line in frames if "from" in line] == ["from ValueError"]
    assert sum("test_redaction.py" in line for line in frames) == 2
    assert SECRET not in "".join(frames)


def test_members_of_a_group_are_traced_each_once() -> None:
    inner = [raised(ValueError(SECRET)), raised(LookupError(SECRET))]
    frames = trace(raised(ExceptionGroup("both", [ValueError(), *inner])))
    assert [line for line in frames if "from" in line] == ["from ValueError", "from ValueError", "from LookupError"]


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError(), LookupError()
    first.__cause__, second.__cause__ = second, first
    assert trace(first) == ["from LookupError"]
