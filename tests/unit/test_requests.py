"""What may be asked of a job, and the job that comes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidegate.core.job import JobId, Lane, NewJob, Retention
from tidegate.core.retry import DEFAULT, RetryPolicy, Steps
from tidegate.errors import InvalidInput
from tidegate.handlers import JobType, Registry
from tidegate.requests import LONGEST_DELAY, MOST_TAGS, Builder, JobRequest, fingerprint_of

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = JobId("0197a3c0-0000-7000-8000-000000000000")
ASKED = JobRequest(type="work", payload=b'{"a": 1}', user_id="ada")
SECOND = timedelta(seconds=1)


async def work(payload: dict[str, int]) -> None: ...


@pytest.fixture
def job_type() -> JobType:
    return Registry().add(
        "work",
        work,
        {
            "queue": "low",
            "upstream": "llm",
            "timeout": 30,
            "retry_on_timeout": True,
            "retention": Retention(failed=SECOND),
        },
    )


def _built(job_type: JobType, asked: JobRequest) -> NewJob:
    return Builder().build(asked, job_type, ID, NOW)


def test_what_is_not_asked_for_is_the_types_default(job_type: JobType) -> None:
    job = _built(job_type, ASKED)

    assert (job.id, job.payload, job.run_at, job.delay) == (ID, b'{"a": 1}', None, timedelta(0))
    assert (job.spec.lane, job.spec.timeout, job.spec.retry) == (
        Lane(queue="low", upstream="llm"),
        30 * SECOND,
        DEFAULT,
    )
    assert (job.spec.retry_on_timeout, job.spec.retention, job.spec.user_id) == (True, Retention(failed=SECOND), "ada")


def test_what_is_asked_for_beats_the_types_default(job_type: JobType) -> None:
    policy = RetryPolicy(backoff=Steps(delays=(SECOND,)))
    asked = replace(ASKED, queue="high", timeout=SECOND, retry=policy, max_attempts=7, delay=SECOND, priority=9)
    job = _built(job_type, asked)

    assert job.spec.lane == Lane(queue="high", upstream="llm")
    assert (job.spec.timeout, job.spec.retry) == (SECOND, replace(policy, max_attempts=7))
    assert (job.delay, job.spec.priority) == (SECOND, 9)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (replace(ASKED, payload=b'{"a": "1"}'), "payload.a"),
        (replace(ASKED, queue="No"), "queue"),
        (replace(ASKED, priority=10), "priority"),
        (replace(ASKED, priority=-1), "priority"),
        (replace(ASKED, timeout=timedelta(0)), "timeout"),
        (replace(ASKED, timeout=timedelta(days=2)), "timeout"),
        (replace(ASKED, delay=-SECOND), "delay"),
        (replace(ASKED, delay=LONGEST_DELAY + SECOND), "delay"),
        (replace(ASKED, delay=SECOND, run_at=NOW), "delay"),
        (replace(ASKED, run_at=NOW + LONGEST_DELAY + SECOND), "run_at"),
        (replace(ASKED, run_at=NOW.replace(tzinfo=None)), "run_at"),
        (replace(ASKED, expires_at=NOW.replace(tzinfo=None)), "expires_at"),
        (replace(ASKED, expires_at=NOW), "expires_at"),
        (replace(ASKED, max_attempts=0), "max_attempts"),
        (replace(ASKED, max_attempts=1_001), "max_attempts"),
        (replace(ASKED, tags=("a",) * (MOST_TAGS + 1)), "tags"),
        (replace(ASKED, tags=("",)), "tags"),
        (replace(ASKED, tags=("a\nb",)), "tags"),
        (replace(ASKED, tags=("a" * 65,)), "tags"),
        (replace(ASKED, user_id="a\x00"), "user_id"),
        (replace(ASKED, user_id="\udcff"), "user_id"),
        (replace(ASKED, user_id="a" * 256), "user_id"),
        (replace(ASKED, idempotency_key=""), "idempotency_key"),
        (replace(ASKED, idempotency_key="schlüssel"), "idempotency_key"),
    ],
)
def test_what_may_not_be_asked_for_is_named(job_type: JobType, asked: JobRequest, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        _built(job_type, asked)
    assert caught.value.field == field


def test_an_instant_may_be_told_in_any_zone(job_type: JobType) -> None:
    there = datetime(2026, 1, 1, 15, tzinfo=timezone(timedelta(hours=2)))
    assert _built(job_type, replace(ASKED, run_at=there, expires_at=there + SECOND)).run_at == NOW + 3600 * SECOND


def test_only_a_job_with_a_key_has_a_fingerprint(job_type: JobType) -> None:
    assert _built(job_type, ASKED).spec.fingerprint == ""
    assert len(_built(job_type, replace(ASKED, idempotency_key="k")).spec.fingerprint) == 64


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, type="other"),
        replace(ASKED, payload=b'{"a": 2}'),
        replace(ASKED, queue="high"),
        replace(ASKED, priority=1),
        replace(ASKED, max_attempts=4),
        replace(ASKED, delay=SECOND),
        replace(ASKED, run_at=NOW),
        replace(ASKED, expires_at=NOW),
        replace(ASKED, timeout=SECOND),
        replace(ASKED, tags=("a",)),
        replace(ASKED, retry=DEFAULT),
        replace(ASKED, asked={"type": "work"}),
    ],
)
def test_requests_that_differ_in_what_they_ask_for_have_different_fingerprints(other: JobRequest) -> None:
    assert fingerprint_of(other) != fingerprint_of(ASKED)


@pytest.mark.parametrize(
    "same",
    [
        replace(ASKED, idempotency_key="k"),
        replace(ASKED, request_id="r-2"),
        replace(ASKED, traceparent="00-1-1-01"),
    ],
)
def test_who_asked_and_under_which_key_is_no_part_of_the_fingerprint(same: JobRequest) -> None:
    assert fingerprint_of(same) == fingerprint_of(ASKED)


def test_a_fingerprint_is_that_of_the_request_as_sent() -> None:
    one = replace(ASKED, asked={"type": "work", "payload": {"a": 1, "b": 2}}, payload=b"1")
    two = replace(ASKED, asked={"payload": {"b": 2, "a": 1}, "type": "work"}, payload=b"2")
    assert fingerprint_of(one) == fingerprint_of(two)


def test_requests_that_differ_in_payload_and_due_time_share_a_spec(job_type: JobType) -> None:
    builder = Builder()
    first = builder.build(ASKED, job_type, ID, NOW)
    second = builder.build(replace(ASKED, payload=b'{"a": 2}', delay=SECOND), job_type, ID, NOW)

    assert second.spec is first.spec
    assert (second.payload, second.delay) == (b'{"a": 2}', SECOND)


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, user_id="bob"),
        replace(ASKED, queue="high"),
        replace(ASKED, priority=1),
        replace(ASKED, max_attempts=4),
        replace(ASKED, retry=RetryPolicy(backoff=Steps(delays=(SECOND,)))),
        replace(ASKED, timeout=SECOND),
        replace(ASKED, expires_at=NOW + SECOND),
        replace(ASKED, tags=("a",)),
        replace(ASKED, request_id="r-2"),
        replace(ASKED, traceparent="00-1-1-01"),
        replace(ASKED, idempotency_key="k"),
    ],
)
def test_a_request_is_built_the_same_whatever_was_asked_before_it(job_type: JobType, other: JobRequest) -> None:
    builder = Builder()
    built = [builder.build(asked, job_type, ID, NOW) for asked in (ASKED, other, other, ASKED)]
    assert built == [_built(job_type, ASKED), _built(job_type, other), _built(job_type, other), _built(job_type, ASKED)]


def test_the_default_of_another_type_is_its_own(job_type: JobType) -> None:
    other, builder = Registry().add("other", work, {"timeout": 7}), Builder()
    built = [builder.build(ASKED, asked_type, ID, NOW) for asked_type in (job_type, other)]
    assert [(job.spec.type, job.spec.timeout) for job in built] == [("work", 30 * SECOND), ("other", 7 * SECOND)]


def test_a_request_that_was_fine_is_refused_once_it_has_expired(job_type: JobType) -> None:
    builder, asked = Builder(), replace(ASKED, expires_at=NOW + SECOND)
    builder.build(asked, job_type, ID, NOW)
    with pytest.raises(InvalidInput):
        builder.build(asked, job_type, ID, NOW + SECOND)


def test_no_two_keys_share_a_fingerprint_that_is_not_theirs(job_type: JobType) -> None:
    builder = Builder()
    keyed = [replace(ASKED, payload=text, idempotency_key="k") for text in (b'{"a": 1}', b'{"a": 2}')]
    one, two = (builder.build(asked, job_type, ID, NOW).spec.fingerprint for asked in keyed)
    assert one != two
