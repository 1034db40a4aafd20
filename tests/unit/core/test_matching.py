"""Each filter narrows by what it names, and an absent one by nothing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.core.failure import Failure
from tidegate.core.job import Job, JobId, Lane, NewJob, Phase, Spec, Status
from tidegate.core.matching import ascii_lower, matching
from tidegate.core.query import JobQuery
from tidegate.core.steps import accepted

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SPEC = Spec(type="mail", user_id="ada", lane=Lane(queue="high", upstream="smtp"), tags=("a", "b"))
JOB: Job = replace(
    accepted(NewJob(id=JobId("job-1"), spec=SPEC), 1, NOW),
    error=Failure(code="mail_refused", message="Greylisted: ÄPFEL", transient=True),
)


@pytest.mark.parametrize(
    "query",
    [
        JobQuery(),
        JobQuery(status=Status.QUEUED),
        JobQuery(phase=Phase.READY),
        JobQuery(type="mail", queue="high", upstream="smtp", user_id="ada"),
        JobQuery(tag="b"),
        JobQuery(created_from=NOW, created_before=NOW + timedelta(seconds=1)),
        JobQuery(error_text="MAIL_"),
        JobQuery(error_text="greylisted"),
    ],
)
def test_a_job_that_is_as_the_filter_says_matches(query: JobQuery) -> None:
    assert matching(JOB, query, Phase.READY)


@pytest.mark.parametrize(
    "query",
    [
        JobQuery(status=Status.FAILED),
        JobQuery(phase=Phase.PARKED),
        JobQuery(type="sms"),
        JobQuery(queue="default"),
        JobQuery(upstream="other"),
        JobQuery(user_id="bob"),
        JobQuery(tag="c"),
        JobQuery(created_from=NOW + timedelta(microseconds=1)),
        JobQuery(created_before=NOW),
        JobQuery(error_text="timeout"),
        JobQuery(error_text="äpfel"),
    ],
)
def test_a_job_that_is_not_does_not(query: JobQuery) -> None:
    assert not matching(JOB, query, Phase.READY)


def test_a_job_without_an_error_says_nothing() -> None:
    assert not matching(replace(JOB, error=None), JobQuery(error_text=""), Phase.READY)


def test_only_ascii_letters_have_a_lower_case_here() -> None:
    assert ascii_lower("AZ az ÄÉ") == "az az ÄÉ"
