"""Each way to misbehave, as a client meets it: one tenant for each, in one process."""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.provider.calls import HELLO, ask, body, chunk, error, events, text_of
from tests.servers.provider import Fake, provider
from tidegate.provider.decision import Verdict
from tidegate.provider.log import Line

pytestmark = pytest.mark.e2e

TENANTS = """
seed: 7
scale: 10
tenants:
  healthy: {phases: [{does: healthy}]}
  slow: {phases: [{does: slow, latency: {uniform: [2s, 3s]}}]}
  limited: {phases: [{does: rate_limit}]}
  limited-20: {phases: [{does: rate_limit, retry_after: 20s}]}
  limited-exact: {phases: [{does: rate_limit, retry_after: exact, for: 10m}, {does: healthy}]}
  quota: {phases: [{does: quota}]}
  unpaid: {phases: [{does: quota, status: 402}]}
  auth: {phases: [{does: auth}]}
  failing: {phases: [{does: server_error, status: 503, latency: 1s}]}
  overloaded: {phases: [{does: overloaded}]}
  hole: {phases: [{does: black_hole}]}
  gone: {phases: [{does: disconnect}]}
  cut: {phases: [{does: truncate}]}
  masked: {phases: [{does: error_in_200}]}
  garbled: {phases: [{does: invalid_json}]}
  half: {phases: [{does: server_error, share: 0.5}]}
  narrow: {latency: 5s, phases: [{does: healthy, capacity: 3, retry_after: 30s}]}
"""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    file = tmp_path_factory.mktemp("provider") / "tenants.yaml"
    file.write_text(TENANTS)
    with provider(file) as running:
        yield running


def _last(fake: Fake, tenant: str) -> Line:
    """The line of the tenant's last call, which may be a moment in coming."""
    deadline = time.monotonic() + 5
    while not (lines := fake.lines(tenant)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return lines[-1]


def test_a_healthy_answer_echoes_and_counts(fake: Fake) -> None:
    answer = ask(fake, "healthy", max_tokens=5)
    found = body(answer)
    assert (answer.status_code, found.object, found.model) == (200, "chat.completion", "tidegate-small")
    assert found.text == "two words two words two"
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (2, 5, 7)
    assert found.choices[0].finish_reason == "stop"
    assert answer.headers["x-request-id"] == found.id
    assert _last(fake, "healthy").verdict is Verdict.SERVED


def test_a_stream_says_the_same_in_pieces_and_ends_with_usage_and_done(fake: Fake) -> None:
    answer = ask(fake, "healthy", max_tokens=40, stream=True, stream_options={"include_usage": True})
    *data, usage, done = events(answer.text)
    chunks = [chunk(one) for one in data]
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert text_of(chunks) == body(ask(fake, "healthy", max_tokens=40)).text
    assert [found.choices[0].finish_reason for found in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert (chunk(usage).choices, done) == ([], "[DONE]")
    assert chunk(usage).usage is not None


def test_usage_is_streamed_to_who_asks_for_it_only(fake: Fake) -> None:
    assert all(chunk(data).usage is None for data in events(ask(fake, "healthy", stream=True).text)[:-1])


def test_an_answer_to_a_schema_is_json_of_that_form(fake: Fake) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "degrees": {"type": "integer"}}}
    form = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema}}
    assert body(ask(fake, "healthy", response_format=form)).text == '{"city":"two words","degrees":1}'


def test_a_slow_answer_takes_as_long_as_the_scale_leaves(fake: Fake) -> None:
    before = time.monotonic()
    assert ask(fake, "slow").status_code == 200
    assert 0.2 <= time.monotonic() - before < 10


def test_a_slow_stream_comes_in_pieces(fake: Fake) -> None:
    asked = {"model": "m", "messages": [HELLO], "stream": True}
    before = time.monotonic()
    with fake.http.stream("POST", "/slow/v1/chat/completions", json=asked) as answer:
        arrivals = [time.monotonic() - before for _ in answer.iter_raw()]
    assert len(arrivals) > 5
    assert arrivals[-1] >= 0.2
    assert arrivals[0] < arrivals[-1] / 2


@pytest.mark.parametrize(
    ("tenant", "status", "kind", "code"),
    [
        ("limited", 429, "requests", "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("unpaid", 402, "insufficient_quota", "insufficient_quota"),
        ("auth", 401, "invalid_request_error", "invalid_api_key"),
        ("failing", 503, "server_error", None),
        ("overloaded", 529, "overloaded_error", "overloaded"),
    ],
)
def test_refusals_and_failures_have_the_words_of_real_ones(
    fake: Fake, tenant: str, status: int, kind: str, code: str | None
) -> None:
    for streamed in (False, True):
        answer = ask(fake, tenant, stream=streamed)
        assert (answer.status_code, error(answer).type, error(answer).code) == (status, kind, code)
        assert "retry-after" not in answer.headers
    expected = Verdict.FAILED if status >= 500 else Verdict.REFUSED
    assert (_last(fake, tenant).verdict, _last(fake, tenant).status) == (expected, status)


def test_a_hint_is_divided_by_the_scale(fake: Fake) -> None:
    headers = ask(fake, "limited-20").headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("2", "2000")
    assert headers["x-ratelimit-reset-requests"] == "2000ms"


def test_an_exact_hint_is_what_is_left_of_the_phase(fake: Fake) -> None:
    left = fake.status().tenants["limited-exact"].left
    hint = int(ask(fake, "limited-exact").headers["retry-after-ms"])
    assert left is not None
    assert left - 5 < hint / 1000 <= left + 0.001


def test_a_black_hole_answers_nothing_until_the_caller_leaves(fake: Fake) -> None:
    with httpx2.Client(timeout=0.3, trust_env=False) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.post(f"{fake.base('hole')}/chat/completions", json={"model": "m", "messages": [HELLO]})
    line = _last(fake, "hole")
    assert (line.verdict, line.status, line.answered) == (Verdict.UNANSWERED, None, None)
    assert line.ended - line.arrived >= 0.25


def test_a_caller_who_leaves_before_a_slow_answer_is_written_down_and_gives_his_place_back(fake: Fake) -> None:
    with httpx2.Client(timeout=0.05, trust_env=False) as impatient, pytest.raises(httpx2.ReadTimeout):
        impatient.post(f"{fake.base('narrow')}/chat/completions", json={"model": "m", "messages": [HELLO]})
    assert _last(fake, "narrow").verdict is Verdict.ABANDONED
    assert fake.status().tenants["narrow"].in_flight == 0


def test_a_connection_may_be_closed_without_an_answer(fake: Fake) -> None:
    with pytest.raises(httpx2.TransportError):
        ask(fake, "gone")
    assert _last(fake, "gone").verdict is Verdict.UNANSWERED


def test_a_body_may_end_in_the_middle(fake: Fake) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        ask(fake, "cut")
    assert (_last(fake, "cut").verdict, _last(fake, "cut").status) == (Verdict.SPOILED, 200)


def test_a_stream_may_end_in_the_middle(fake: Fake) -> None:
    asked = {"model": "m", "messages": [HELLO], "stream": True}
    got: list[bytes] = []
    with (
        fake.http.stream("POST", "/cut/v1/chat/completions", json=asked) as answer,
        pytest.raises(httpx2.RemoteProtocolError),
    ):
        got.extend(answer.iter_raw())
    assert got[0].startswith(b"data: ")
    assert not any(b"[DONE]" in piece for piece in got)


def test_an_error_may_come_as_a_success(fake: Fake) -> None:
    answer = ask(fake, "masked")
    assert (answer.status_code, error(answer).code, body(answer).choices) == (200, "upstream_error", [])


def test_a_stream_may_break_off_with_an_error_in_it(fake: Fake) -> None:
    *data, broken, done = events(ask(fake, "masked", stream=True).text)
    assert all(chunk(one).error is None for one in data)
    found = chunk(broken)
    assert found.error is not None
    assert (found.choices[0].finish_reason, done) == ("error", "[DONE]")
    assert _last(fake, "masked").verdict is Verdict.SPOILED


def test_a_success_may_be_no_json(fake: Fake) -> None:
    answer = ask(fake, "garbled")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_an_event_of_a_stream_may_be_no_json(fake: Fake) -> None:
    *_, broken, done = events(ask(fake, "garbled", stream=True).text)
    with pytest.raises(ValueError, match="truncated"):
        chunk(broken)
    assert done == "[DONE]"


def test_only_a_share_misbehaves(fake: Fake) -> None:
    statuses = [ask(fake, "half").status_code for _ in range(60)]
    assert 15 < statuses.count(500) < 45
    assert set(statuses) == {200, 500}


async def test_calls_above_the_capacity_are_refused_at_once(fake: Fake) -> None:
    asked = {"model": "m", "messages": [HELLO], "user": "crowd"}
    async with httpx2.AsyncClient(base_url=fake.base("narrow"), timeout=10, trust_env=False) as client:
        answers = await _at_once(client, asked, 8)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] * 3 + [429] * 5
    refused = [answer for answer in answers if answer.status_code == 429]
    assert {answer.headers["retry-after"] for answer in refused} == {"3"}
    lines = [line for line in fake.lines("narrow") if line.job == "crowd"]
    assert sorted(line.in_flight for line in lines) == [0, 1, 2, 3, 3, 3, 3, 3]
    assert {line.capacity for line in lines} == {3}
    assert all(line.ended - line.arrived < 0.4 for line in lines if line.verdict is Verdict.REFUSED)


async def _at_once(client: httpx2.AsyncClient, asked: object, count: int) -> list[httpx2.Response]:
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(client.post("/chat/completions", json=asked)) for _ in range(count)]
    return [call.result() for call in calls]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"model": "m", "messages": []}', 400),
        (b'{"model": "m", "messages": [{"role": "user", "content": 3}]}', 400),
        (b'{"model": "m", "messages": [{"role": "user"}], "max_tokens": 0}', 400),
        (b'{"model": "m", "messages": ' + b"[" * 100_000, 400),
        (b'{"model": "\xff"}', 400),
        (b" " * 10_000_001, 413),
    ],
)
def test_a_caller_s_mistake_is_told_whatever_the_phase(fake: Fake, content: bytes, status: int) -> None:
    answer = fake.http.post("/failing/v1/chat/completions", content=content)
    assert (answer.status_code, error(answer).type) == (status, "invalid_request_error")
    assert fake.lines("failing")[-1].verdict is Verdict.INVALID


def test_models_are_listed_and_other_paths_are_unknown(fake: Fake) -> None:
    assert [one["id"] for one in fake.http.get("/quota/v1/models").json()["data"]] == [
        "tidegate-large",
        "tidegate-small",
    ]
    assert fake.http.get("/healthy/v1/chat/completions").status_code == 405
    assert fake.http.post("/nobody/v1/chat/completions", json={}).status_code == 404
    assert fake.http.post("/v1/chat/completions", json={}).status_code == 404, "there are many tenants"


def test_a_job_s_id_is_logged_and_what_it_asks_is_not(fake: Fake, tmp_path: Path) -> None:
    ask(fake, "healthy", headers={"X-Job-Id": "job-1\t" + "x" * 300, "Authorization": "Bearer sk-secret"}, user="ann")
    ask(fake, "healthy", user="bob\n")
    named, other = fake.lines("healthy")[-2:]
    assert named.job is not None
    assert named.job.startswith("job-1x")
    assert len(named.job) < 130
    assert other.job == "bob"
    text = fake.http.get("/control/log").text
    assert "sk-secret" not in text
    assert "two words" not in text
