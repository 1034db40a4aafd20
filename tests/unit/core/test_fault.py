"""What went wrong, in words that mean the same everywhere."""

from dataclasses import replace

import pytest

from tidegate.core.failure import PROCESSING_ERROR, Failure
from tidegate.core.fault import REACTIONS, Fault, Reaction, Scope, fault_of, says_rate_limited


def failed(code: str = PROCESSING_ERROR, message: str = "", error_type: str = "", status: int | None = None) -> Failure:
    return Failure(code=code, message=message, error_type=error_type, status=status)


def test_every_fault_has_a_reaction() -> None:
    assert set(REACTIONS) == set(Fault)


def test_what_is_the_job_s_own_fault_is_charged_to_it_and_counts_for_nobody() -> None:
    for fault in (Fault.CONTEXT_TOO_LONG, Fault.CONTENT_REFUSED, Fault.BAD_REQUEST, Fault.INVALID_OUTPUT):
        assert replace(REACTIONS[fault], again=False) == Reaction()


def test_what_is_the_upstream_s_fault_costs_the_job_no_attempt() -> None:
    assert all(reaction.refunds for reaction in REACTIONS.values() if reaction.counts or reaction.blocks)


def test_nothing_both_blocks_and_counts() -> None:
    assert not any(reaction.blocks and reaction.counts for reaction in REACTIONS.values())


def test_a_rate_limit_reaches_one_model_a_bill_the_account_and_an_outage_the_provider() -> None:
    assert REACTIONS[Fault.RATE_LIMITED].scope is Scope.OWN
    assert REACTIONS[Fault.QUOTA].scope is Scope.ACCOUNT
    assert REACTIONS[Fault.DOWN].scope is Scope.PROVIDER


@pytest.mark.parametrize("fault", Fault)
def test_a_failure_whose_code_is_a_fault_s_word_is_that_fault(fault: Fault) -> None:
    assert fault_of(failed(code=fault.value, status=200, error_type="ReadTimeout")) is fault


@pytest.mark.parametrize(
    ("status", "fault"),
    [
        (400, Fault.BAD_REQUEST),
        (401, Fault.AUTH),
        (402, Fault.QUOTA),
        (403, Fault.AUTH),
        (404, Fault.BAD_REQUEST),
        (408, Fault.SLOW),
        (422, Fault.BAD_REQUEST),
        (429, Fault.RATE_LIMITED),
        (498, Fault.OVERLOADED),
        (500, Fault.SERVER_ERROR),
        (502, Fault.SERVER_ERROR),
        (503, Fault.OVERLOADED),
        (504, Fault.SLOW),
        (529, Fault.OVERLOADED),
        (599, Fault.SERVER_ERROR),
    ],
)
def test_a_status_says_which(status: int, fault: Fault) -> None:
    assert fault_of(failed(status=status, error_type="HTTPStatusError")) is fault


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("RateLimitError", Fault.RATE_LIMITED),
        ("ThrottlingException", Fault.RATE_LIMITED),
        ("TooManyRequests", Fault.RATE_LIMITED),
        ("ReadTimeout", Fault.SLOW),
        ("ConnectTimeout", Fault.SLOW),
        ("TimeoutError", Fault.SLOW),
        ("APITimeoutError", Fault.SLOW),
        ("ConnectError", Fault.DOWN),
        ("ConnectionRefusedError", Fault.DOWN),
        ("ClientConnectorError", Fault.DOWN),
        ("ServerDisconnectedError", Fault.DOWN),
        ("gaierror", Fault.DOWN),
        ("IncompleteRead", Fault.TRUNCATED),
        ("ClientPayloadError", Fault.TRUNCATED),
        ("ValueError", None),
        ("", None),
    ],
)
def test_else_the_name_of_the_exception_says_which(name: str, fault: Fault | None) -> None:
    assert fault_of(failed(error_type=name)) is fault


def test_a_status_that_reports_no_failure_says_nothing() -> None:
    assert fault_of(failed(status=200, error_type="ValueError")) is None
    assert fault_of(failed(status=302, error_type="ReadTimeout")) is Fault.SLOW


@pytest.mark.parametrize("message", ["HTTP 429", "Rate limit reached", "rate_limit_exceeded", "Too Many Requests"])
def test_b1_any_exception_that_says_429_or_rate_limit_is_one(message: str) -> None:
    assert says_rate_limited(failed(message=message))


def test_b1_so_is_one_whose_kind_says_so_and_no_other() -> None:
    assert says_rate_limited(failed(status=429))
    assert says_rate_limited(failed(error_type="RateLimitError"))
    assert not says_rate_limited(failed(message="order 14290 is gone", status=404))
