"""What reaches Sentry, seen from a real receiver."""

import logging
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
import sentry_sdk

from tests.unit.telemetry.receiver import Receiver, receiving
from tests.unit.telemetry.samples import FAILURE, NOW, OWNER, every_event, job, retried
from tidegate.clock import FakeClock
from tidegate.core.job import Bury, Cancel, Defer, Job, Refund, Settlement, Succeed
from tidegate.core.upstream import Transition
from tidegate.errors import ConfigError
from tidegate.telemetry import Event, JobRef, finished, ref
from tidegate.telemetry.events import (
    Claimed,
    Dismissed,
    EndingLost,
    Expired,
    JobEvent,
    Reclaimed,
    ScheduleFailing,
    Submitted,
    UpstreamChanged,
)
from tidegate.telemetry.sentry import SentryListener, configure_sentry, scrub

PATIENCE = timedelta(seconds=10)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


@pytest.fixture
def listener(receiver: Receiver) -> Iterator[SentryListener]:
    """A listener that sends to the receiver; `close` it to be sure that all has arrived."""
    one = configure_sentry(receiver.dsn, "test", "tidegate@1.2.3", clock=FakeClock(NOW))
    yield one
    one.close(PATIENCE)


def failed(of: Job) -> Event:
    return finished(of, Bury(failure=FAILURE), now=NOW, latency=timedelta(seconds=1))


def a_life_of_two_runs(name: str) -> list[Event]:
    """Submitted, run, retried, run again, failed."""
    first, second = job(name, runs=1), job(name, runs=2)
    return [
        Submitted(job=ref(job(name, runs=0))),
        Claimed(job=ref(first)),
        retried(first),
        Claimed(job=ref(second)),
        failed(second),
    ]


def messages(event: dict[str, object]) -> list[object]:
    crumbs = event["breadcrumbs"]
    assert isinstance(crumbs, dict)
    return [crumb["message"] for crumb in crumbs["values"]]


def test_a_final_failure_arrives_with_a_breadcrumb_for_every_step(receiver: Receiver, listener: SentryListener) -> None:
    for step in a_life_of_two_runs("a"):
        listener(step)
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert messages(event) == ["job.enqueued", "job.dequeued", "job.retry_scheduled", "job.dequeued", "job.failed"]
    assert (event["level"], event["message"]) == ("error", "analysis failed: processing_error")
    assert event["fingerprint"] == ["analysis", "processing_error"]
    assert (event["environment"], event["release"]) == ("test", "tidegate@1.2.3")
    assert event["tags"] == {
        "request_id": "request-a",
        "job_id": "job-a",
        "type": "analysis",
        "queue": "high",
        "upstream": "openrouter",
        "run": "2",
        "attempts": "2",
        "code": "processing_error",
        "error_type": "ValueError",
    }


def test_the_report_holds_no_more_than_the_ids_and_the_kind_of_failure(
    receiver: Receiver, listener: SentryListener
) -> None:
    listener(failed(job()))
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert event.keys().isdisjoint({"extra", "user", "request", "exception", "threads", "modules", "stacktrace"})
    assert FAILURE.message not in str(event)


@pytest.mark.parametrize(
    "settlement", [Succeed(), Cancel(), Defer(delay=timedelta(0), refund=Refund.UPSTREAM_FAULT, failure=FAILURE)]
)
def test_only_a_failure_is_reported(receiver: Receiver, listener: SentryListener, settlement: Settlement) -> None:
    listener(finished(job(), settlement, now=NOW))
    listener.close(PATIENCE)
    assert receiver.bodies() == []


def test_a_retry_is_not_reported_nor_what_happens_to_the_process(receiver: Receiver, listener: SentryListener) -> None:
    listener(retried(job()))
    for event in every_event():
        if not isinstance(event, JobEvent | UpstreamChanged | ScheduleFailing):
            listener(event)
    listener.close(PATIENCE)
    assert receiver.bodies() == []


@pytest.mark.parametrize(
    ("gate", "message"), [("queue:content", "queue content was paused"), ("upstream:api", "upstream api is open")]
)
def test_a_breaker_that_opens_is_a_warning(
    receiver: Receiver, listener: SentryListener, gate: str, message: str
) -> None:
    listener(UpstreamChanged(gate=gate, transition=Transition(at=NOW, to="open", why="5 rate limits in a row")))
    listener(UpstreamChanged(gate=gate, transition=Transition(at=NOW, to="closed", why="a probe succeeded")))
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert (event["level"], event["message"], event["fingerprint"]) == ("warning", message, [gate])


def test_a_budget_that_is_spent_is_a_warning_of_its_own(receiver: Receiver, listener: SentryListener) -> None:
    why = "its budget of $50.00 a day is spent"
    listener(UpstreamChanged(gate="upstream:api", transition=Transition(at=NOW, to="spent", why=why)))
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert (event["level"], event["message"]) == ("warning", f"upstream api: {why}")
    assert event["fingerprint"] == ["upstream:api", "spent"]


def test_a_schedule_that_makes_no_jobs_is_a_warning(receiver: Receiver, listener: SentryListener) -> None:
    listener(ScheduleFailing(schedule="nightly", user_id="ada", error_type="UnknownJobType"))
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert (event["level"], event["fingerprint"]) == ("warning", ["schedule", "nightly"])
    assert event["tags"] == {"schedule": "nightly", "error_type": "UnknownJobType"}


def test_a_job_that_expired_has_failed_for_good(receiver: Receiver, listener: SentryListener) -> None:
    listener(Expired(job=ref(job())))
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert (event["message"], messages(event)) == ("analysis failed: expired", ["job.expired"])


def test_steps_of_one_job_are_not_told_with_another(receiver: Receiver, listener: SentryListener) -> None:
    for one, other in zip(a_life_of_two_runs("a"), a_life_of_two_runs("b"), strict=True):
        listener(one)
        listener(other)
    listener.close(PATIENCE)
    reports = receiver.events()
    assert len(reports) == 2
    for event in reports:
        assert len(messages(event)) == 5
        assert ("job-a" in str(event)) != ("job-b" in str(event))


def test_concurrent_jobs_keep_their_own_steps(receiver: Receiver, listener: SentryListener) -> None:
    start = threading.Barrier(8)

    def live(name: str) -> None:
        start.wait(timeout=10)
        for event in a_life_of_two_runs(name):
            listener(event)

    threads = [threading.Thread(target=live, args=(f"{place}.",)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    listener.close(PATIENCE)
    reports = receiver.events()
    assert len(reports) == 8
    assert all(len(messages(event)) == 5 for event in reports)


def test_the_applications_own_sentry_is_left_alone(receiver: Receiver, listener: SentryListener) -> None:
    sentry_sdk.add_breadcrumb(message="the application's own")
    listener(failed(job()))
    listener.close(PATIENCE)
    assert not sentry_sdk.is_initialized()
    (event,) = receiver.events()
    assert messages(event) == ["job.failed"]


def test_a_warning_can_be_sent_for_what_is_no_failure(receiver: Receiver, listener: SentryListener) -> None:
    listener.warn("queue content paused", fingerprint=["queue", "content"], tags={"queue": "content"})
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert (event["level"], event["message"], event["tags"]) == (
        "warning",
        "queue content paused",
        {"queue": "content"},
    )


def test_what_is_sent_is_looked_at_last(receiver: Receiver, listener: SentryListener) -> None:
    listener.warn("paused by Bearer planted-1234", fingerprint=["x"], tags={"api_key": "planted"})
    listener.close(PATIENCE)
    (event,) = receiver.events()
    assert "planted" not in str(event)
    assert event["message"] == "paused by Bearer [redacted]"


def test_nothing_in_the_process_is_patched(listener: SentryListener) -> None:
    listener(failed(job()))
    hooks = (sys.excepthook, threading.Thread.start, logging.Logger.callHandlers)
    assert not any(hook.__module__.startswith("sentry_sdk") for hook in hooks)


def test_a_receiver_that_is_away_blocks_nobody() -> None:
    with receiving() as gone:
        dsn = gone.dsn
    listener = configure_sentry(dsn, "test", "1", clock=FakeClock(NOW))
    for place in range(300):
        listener(failed(job(str(place))))
    listener.close(timedelta(seconds=0.2))


def test_a_dsn_that_is_none_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigError, match="https://KEY@HOST/PROJECT") as refused:
        configure_sentry("not-a-dsn-but-maybe-a-secret", "test", "1")
    assert "maybe-a-secret" not in str(refused.value)


def test_a_missing_sdk_is_told_with_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentry_sdk.utils", None)
    with pytest.raises(ConfigError, match="pip install"):
        configure_sentry("http://public@127.0.0.1:1/42", "test", "1")


@pytest.mark.parametrize("last", [Dismissed(job=ref(job())), finished(job(), Succeed(), now=NOW)])
def test_nothing_is_remembered_of_a_job_that_ended(last: Event) -> None:
    reports: list[dict[str, object]] = []
    listener = SentryListener(reports.append, lambda _: None, clock=FakeClock(NOW))
    listener(Claimed(job=ref(job())))
    listener(last)
    listener(failed(job()))
    assert [messages(report) for report in reports] == [["job.failed"]]


def test_a_late_ending_takes_no_steps_from_the_run_that_replaced_it() -> None:
    reports: list[dict[str, object]] = []
    listener = SentryListener(reports.append, lambda _: None, clock=FakeClock(NOW))
    listener(Reclaimed(job=ref(job()), former=OWNER))
    listener(EndingLost(job=ref(job())))
    listener(failed(job()))
    assert [messages(report) for report in reports] == [["job.reclaimed", "job.ending_lost", "job.failed"]]


def test_a_job_of_which_only_the_id_is_known_can_be_reported() -> None:
    reports: list[dict[str, object]] = []
    listener = SentryListener(reports.append, lambda _: None, clock=FakeClock(NOW))
    listener(Expired(job=JobRef(job_id=job().id)))
    assert reports[0]["tags"] == {"job_id": "job-a", "code": "expired"}


# the scrubber ---------------------------------------------------------------------------------------------


def test_the_scrubber_takes_out_what_a_request_and_an_exception_may_hold() -> None:
    frame = {"function": "read", "lineno": 3, "vars": {"row": "planted"}}
    scrubbed = scrub(
        {
            "message": "failed with Bearer planted-token",
            "level": "error",
            "extra": {"row": "planted"},
            "user": {"id": "planted"},
            "request": {
                "method": "POST",
                "url": "http://host/jobs?text=planted",
                "query_string": "text=planted",
                "data": "planted",
                "cookies": {"a": "planted"},
                "headers": {
                    "Authorization": "planted",
                    "Cookie": "planted",
                    "X-API-Key": "planted",
                    "Accept": "text/html",
                },
            },
            "exception": {"values": [{"type": "ValueError", "value": "planted", "stacktrace": {"frames": [frame]}}]},
        }
    )
    assert "planted" not in str(scrubbed)
    assert scrubbed["request"] == {"method": "POST", "url": "http://host/jobs", "headers": {"Accept": "text/html"}}
    assert "'function': 'read'" in str(scrubbed["exception"])
    assert scrubbed["level"] == "error"


def test_the_scrubber_changes_nothing_in_a_report_of_ours() -> None:
    reports: list[dict[str, object]] = []
    listener = SentryListener(reports.append, lambda _: None, clock=FakeClock(NOW))
    for event in a_life_of_two_runs("a"):
        listener(event)
    assert scrub(reports[0]) == reports[0]
