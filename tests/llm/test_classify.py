"""What providers mean by their errors."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.fault import REACTIONS, Fault
from tidegate.llm.classify import classify, classify_inside

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
F = Fault


def nested(message: str = "", **fields: object) -> object:
    return {"error": {"message": message, **fields}}


CASES = [
    # OpenAI
    (429, nested("Rate limit reached", type="requests", code="rate_limit_exceeded"), F.RATE_LIMITED),
    (429, nested("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"), F.QUOTA),
    (429, nested(type="insufficient_quota", code="project_spend_limit_exceeded"), F.QUOTA),
    (429, nested(type="insufficient_quota", code="credit_balance_exhausted"), F.QUOTA),
    (429, nested("Request too large for gpt-4o", type="tokens", code="rate_limit_exceeded"), F.CONTEXT_TOO_LONG),
    (503, nested("Slow down", type="slow_down", code="slow_down"), F.RATE_LIMITED),
    (503, nested("The engine is currently overloaded"), F.OVERLOADED),
    (500, nested("The server had an error", type="server_error"), F.SERVER_ERROR),
    (401, nested("Incorrect API key provided", code="invalid_api_key"), F.AUTH),
    (403, nested("Country, region, or territory not supported"), F.AUTH),
    (400, nested(code="context_length_exceeded", type="invalid_request_error"), F.CONTEXT_TOO_LONG),
    (400, nested(code="content_policy_violation"), F.CONTENT_REFUSED),
    (400, nested("Unknown parameter: 'x'", code="unknown_parameter"), F.BAD_REQUEST),
    (404, nested("The model does not exist", code="model_not_found"), F.BAD_REQUEST),
    # Anthropic's compatible endpoint
    (529, nested("Overloaded", type="overloaded_error"), F.OVERLOADED),
    (429, nested("would exceed your rate limit", type="rate_limit_error"), F.RATE_LIMITED),
    (429, nested(type="enforced_spend_limit_reached"), F.QUOTA),
    (400, nested("Your credit balance is too low to access the API", type="invalid_request_error"), F.QUOTA),
    (400, nested("prompt is too long: 210000 tokens > 200000 maximum"), F.CONTEXT_TOO_LONG),
    (413, nested("Request exceeds the maximum size", type="request_too_large"), F.CONTEXT_TOO_LONG),
    # OpenRouter
    (402, nested("Insufficient credits", code=402), F.QUOTA),
    (402, nested(code=402, metadata={"limit_source": "openrouter_in_flight_budget"}), F.RATE_LIMITED),
    (403, nested("Input was flagged", code=403, metadata={"reasons": ["x"], "flagged_input": "y"}), F.CONTENT_REFUSED),
    (403, nested("Key limit exceeded (monthly limit)", code=403), F.QUOTA),
    (408, nested("Timed out", code=408), F.SLOW),
    (502, nested("Provider returned error", code=502), F.SERVER_ERROR),
    (503, nested("No available model provider", code=503), F.OVERLOADED),
    # Together, Groq, DeepSeek
    (429, nested("You have reached the rate limit specific to this model", type="model_rate_limit"), F.RATE_LIMITED),
    (503, nested("The server is overloaded or not ready yet", type="service_unavailable"), F.OVERLOADED),
    (498, nested("Flex tier capacity exceeded", type="capacity_exceeded"), F.OVERLOADED),
    (429, nested("The model is at capacity"), F.OVERLOADED),
    (413, nested("Request too large", code="rate_limit_exceeded", type="tokens"), F.CONTEXT_TOO_LONG),
    (400, nested("Failed to generate JSON", code="json_validate_failed"), F.INVALID_OUTPUT),
    (402, nested("Insufficient Balance", type="unknown_error", code="invalid_request_error"), F.QUOTA),
    # Azure, Alibaba, Moonshot
    (400, nested(code="content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), F.CONTENT_REFUSED),
    (400, nested(code="data_inspection_failed"), F.CONTENT_REFUSED),
    (429, nested(type="exceeded_current_quota_error"), F.QUOTA),
    # local servers: vLLM, Ollama, llama.cpp, FastAPI
    (400, {"object": "error", "message": "maximum context length is 4096", "code": 400}, F.CONTEXT_TOO_LONG),
    (404, {"error": "model 'x' not found"}, F.BAD_REQUEST),
    (400, nested("the request exceeds", type="exceed_context_size_error", code=400), F.CONTEXT_TOO_LONG),
    (503, nested("Loading model", type="unavailable_error", code=503), F.OVERLOADED),
    (422, {"detail": [{"loc": ["body"], "msg": "field required"}]}, F.BAD_REQUEST),
    # proxies and nonsense
    (502, "<html>Bad gateway</html>", F.SERVER_ERROR),
    (504, "", F.SLOW),
    (429, "", F.RATE_LIMITED),
    (301, "", F.BAD_REQUEST),
    (409, {}, F.BAD_REQUEST),
    (500, nested(code="429"), F.RATE_LIMITED),
    (500, [1, 2], F.SERVER_ERROR),
    (599, None, F.SERVER_ERROR),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "fault"), CASES)
def test_every_kind_of_error_is_told_apart(status: int, body: object, fault: Fault) -> None:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    assert classify(status, {}, data, now=NOW).fault is fault


def test_the_table_has_every_fault_that_a_body_can_mean() -> None:
    assert {fault for *_, fault in CASES} == set(Fault) - {F.DOWN, F.TRUNCATED}


def test_a_402_with_a_wait_passes_by_itself_and_one_without_does_not() -> None:
    body = json.dumps(nested(code=402)).encode()
    passing = classify(402, {"retry-after": "3"}, body, now=NOW)
    assert (passing.fault, passing.retry_after is not None) == (F.RATE_LIMITED, True)
    assert not REACTIONS[classify(402, {}, body, now=NOW).fault].again


@pytest.mark.parametrize(
    ("error", "fault", "status"),
    [
        ({"code": 502, "message": "Provider returned error"}, F.SERVER_ERROR, 502),
        ({"code": 429, "message": "rate-limited upstream"}, F.RATE_LIMITED, 429),
        ({"code": "rate_limit_exceeded"}, F.RATE_LIMITED, 500),
        ({"code": "server_error", "message": "x"}, F.SERVER_ERROR, 500),
        ({"code": 402}, F.QUOTA, 402),
        ({"code": 403, "metadata": {"reasons": []}}, F.CONTENT_REFUSED, 403),
        ({"code": 17}, F.SERVER_ERROR, 500),
        ("anything", F.SERVER_ERROR, 500),
        (True, F.SERVER_ERROR, 500),
    ],
)
def test_an_error_inside_a_200_counts_by_its_own_code(error: object, fault: Fault, status: int) -> None:
    found = classify_inside(error, {}, now=NOW)
    assert (found.fault, found.status) == (fault, status)


@pytest.mark.parametrize(
    "metadata",
    [
        {"headers": {"Retry-After": "17"}},
        {"retry_after_seconds": 17},
        {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW.timestamp() * 1_000) + 17_000)}},
        {"headers": {"Retry-After": "-1"}, "retry_after_seconds": 17.0},
    ],
)
def test_openrouter_hands_on_the_wait_of_the_provider_behind_it(metadata: object) -> None:
    found = classify(429, {}, json.dumps(nested(code=429, metadata=metadata)).encode(), now=NOW)
    assert found.retry_after is not None
    assert found.retry_after.total_seconds() == 17


def test_the_responses_own_header_beats_the_body() -> None:
    body = json.dumps(nested("Please try again in 9s", metadata={"retry_after_seconds": 8})).encode()
    found = classify(429, {"retry-after": "2"}, body, now=NOW).retry_after
    assert found is not None
    assert found.total_seconds() == 2


def test_a_wait_means_nothing_where_waiting_does_not_help() -> None:
    assert classify(400, {"retry-after": "2"}, b"", now=NOW).retry_after is None
    assert classify(401, {"retry-after": "2"}, b"", now=NOW).retry_after is None


def test_the_word_kept_is_the_providers_code_and_never_free_text() -> None:
    assert classify(429, {}, json.dumps(nested("m", code="slow_down")).encode(), now=NOW).word == "slow_down"
    for code in ("my secret prompt", "sk-abc123", "ключ", "x" * 65, "", None, 5):
        assert classify(400, {}, json.dumps(nested("m", code=code)).encode(), now=NOW).word == ""


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "code", "type", "message", "metadata", "headers", "retry_after_seconds", "detail"]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(st.integers(100, 999), _JSON)
def test_no_body_raises(status: int, body: object) -> None:
    found = classify(status, {"retry-after": "1"}, msgspec.json.encode(body), now=NOW)
    assert isinstance(found.fault, Fault)
    assert isinstance(classify_inside(body, {}, now=NOW).fault, Fault)


@given(st.binary(max_size=200))
def test_no_bytes_raise(body: bytes) -> None:
    assert classify(503, {}, body, now=NOW).fault is F.OVERLOADED or body.strip()[:1] in b"{"


def test_a_body_nested_too_deeply_is_no_body() -> None:
    assert classify(429, {}, b'{"error":' * 5_000, now=NOW).fault is F.RATE_LIMITED
    assert classify(429, {}, b"[" * 5_000 + b"]" * 5_000, now=NOW).fault is F.RATE_LIMITED
