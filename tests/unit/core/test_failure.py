"""Reading any exception as a failure, and a failure's form in JSON."""

import json
import math
from datetime import timedelta
from types import SimpleNamespace

import pytest

from tidegate.core.failure import (
    LONGEST_RETRY_AFTER,
    MESSAGE_LIMIT,
    PROCESSING_ERROR,
    Failure,
    failure_from_json,
    failure_of,
    failure_to_json,
)
from tidegate.errors import ArtifactUnavailable, GiveUp, NotData, RetryLater

SECOND = timedelta(seconds=1)


class Told(Exception):
    """An exception with whatever attributes a test gives it."""

    def __init__(self, **attributes: object) -> None:
        super().__init__("told")
        for name, value in attributes.items():
            setattr(self, name, value)


class Hostile(Exception):
    """Raises from everything that one may ask of it."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)

    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_a_plain_exception_may_be_tried_again() -> None:
    assert failure_of(ValueError("bad")) == Failure(code=PROCESSING_ERROR, message="bad", error_type="ValueError")


def test_an_exception_without_text_is_called_by_its_class() -> None:
    assert failure_of(KeyboardInterrupt()).message == "KeyboardInterrupt"


def test_a_hostile_exception_is_read_all_the_same() -> None:
    assert failure_of(Hostile()) == Failure(code=PROCESSING_ERROR, message="Hostile", error_type="Hostile")


def test_a_response_may_be_hostile_too() -> None:
    assert failure_of(Told(response=Hostile())).status is None


@pytest.mark.parametrize(("code", "read"), [("own", "own"), ("", PROCESSING_ERROR), (404, PROCESSING_ERROR)])
def test_only_a_word_is_a_code(code: object, read: str) -> None:
    assert failure_of(Told(code=code)).code == read


@pytest.mark.parametrize(("transient", "read"), [(False, False), (True, True), (0, True), ("no", True), (None, True)])
def test_only_a_plain_false_forbids_another_attempt(transient: object, read: bool) -> None:
    assert failure_of(Told(transient=transient)).transient is read


@pytest.mark.parametrize(
    ("retry_after", "read"),
    [
        (SECOND, SECOND),
        (1, SECOND),
        (1.5, 1.5 * SECOND),
        (0, 0 * SECOND),
        (timedelta(days=9), LONGEST_RETRY_AFTER),
        (86_401, LONGEST_RETRY_AFTER),
        (math.inf, LONGEST_RETRY_AFTER),
        (10**400, LONGEST_RETRY_AFTER),
        (-1, None),
        (-math.inf, None),
        (-(10**400), None),
        (timedelta(seconds=-1), None),
        (math.nan, None),
        (True, None),
        ("1", None),
        (None, None),
    ],
)
def test_a_retry_after_is_honoured_where_it_makes_sense(retry_after: object, read: timedelta | None) -> None:
    assert failure_of(Told(retry_after=retry_after)).retry_after == read


@pytest.mark.parametrize(
    ("attributes", "read"),
    [
        ({"status_code": 503}, 503),
        ({"status": 404}, 404),
        ({"status_code": 500, "status": 404}, 500),
        ({"response": SimpleNamespace(status_code=429)}, 429),
        ({"response": SimpleNamespace(status=418)}, 418),
        ({"status": "failed", "response": SimpleNamespace(status_code=429)}, 429),
        ({"status_code": True}, None),
        ({"status_code": 99}, None),
        ({"status_code": 600}, None),
        ({"status_code": 100}, 100),
        ({"status_code": 599}, 599),
        ({}, None),
    ],
)
def test_a_status_is_found_on_the_exception_or_its_response(attributes: dict[str, object], read: int | None) -> None:
    assert failure_of(Told(**attributes)).status == read


def test_a_message_is_cut_and_holds_no_nul() -> None:
    read = failure_of(ValueError("a\x00" + "b" * MESSAGE_LIMIT)).message
    assert read == "a\ufffd" + "b" * (MESSAGE_LIMIT - 2)


def test_our_own_exceptions_say_what_they_mean() -> None:
    assert failure_of(GiveUp("enough", code="own")) == Failure(
        code="own", message="enough", error_type="GiveUp", transient=False
    )
    assert failure_of(RetryLater("busy", after=SECOND)).retry_after == SECOND
    assert failure_of(NotData("no table")).transient is False
    assert failure_of(ArtifactUnavailable("gone")).code == "blob_upload_failed"


def test_a_failure_answers_to_its_code_class_status_and_class_of_status() -> None:
    told = Failure(code="own", message="", error_type="OwnError", status=503)
    assert told.names == ("own", "OwnError", "http:503", "http:5xx")
    assert Failure(code="own", message="").names == ("own",)


@pytest.mark.parametrize(
    "failure",
    [
        Failure(code="own", message="ünï\n😀"),
        Failure(code="own", message="", error_type="E", transient=False, retry_after=1.000001 * SECOND, status=599),
    ],
)
def test_a_failure_goes_through_json_unchanged(failure: Failure) -> None:
    assert failure_from_json(json.loads(json.dumps(failure_to_json(failure)))) == failure


def test_odd_json_takes_the_defaults() -> None:
    plain = Failure(code=PROCESSING_ERROR, message="")
    assert failure_from_json({}) == plain
    odd = {"code": "", "message": None, "error_type": None, "transient": None, "retry_after": "1", "status": "503"}
    assert failure_from_json(odd) == plain


class _Hostile(type):
    """A class whose name can't be asked for."""

    def __getattribute__(cls, name: str) -> object:
        if name == "__name__":
            raise RuntimeError("no name for you")
        return super().__getattribute__(name)


class _Unreadable(Exception, metaclass=_Hostile):
    """An exception of such a class."""


def test_an_exception_that_can_not_be_read_is_a_plain_failure() -> None:
    failure = failure_of(_Unreadable("text"))

    assert (failure.code, failure.error_type, failure.transient) == ("processing_error", "", True)
