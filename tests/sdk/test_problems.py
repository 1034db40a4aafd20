"""Every refusal is the exception it was at the server."""

import json
from collections.abc import Iterator

import pytest

from tests.http.test_problems import EXAMPLES, MADE
from tests.sdk.playing import refused, said
from tidegate import errors
from tidegate.core.problem_kinds import INTERNAL, KINDS, RAISED, Kind
from tidegate.errors import ServiceError, TidegateError
from tidegate.http import problems as wire
from tidegate.http.problems import refusal_of
from tidegate.sdk.exchange import Answer, Request
from tidegate.sdk.problems import error_of, retry_after

ASKED = Request(method="POST", path="/jobs/x/retry", job_id="x", key="k")
SLUGS = sorted(RAISED)


def _every() -> Iterator[TidegateError]:
    yield from EXAMPLES
    yield from (cls("something") for cls in KINDS if cls not in MADE)


def _told(error: TidegateError) -> Answer:
    """The error as the server answers it."""
    refusal = refusal_of(error)
    body = {"type": refusal.kind.uri, "detail": refusal.detail, "request_id": "r-1", **refusal.members}
    headers = {"content-type": wire.MEDIA_TYPE}
    return Answer(status=refusal.kind.status, headers=headers, body=json.dumps(body).encode())


def test_every_kind_of_problem_becomes_an_exception() -> None:
    kinds = {kind for kind in (*vars(wire).values(), *KINDS.values()) if isinstance(kind, Kind)}
    assert {kind.slug for kind in kinds} == set(RAISED)


@pytest.mark.parametrize("slug", SLUGS)
def test_an_exception_is_told_by_the_slug_it_was_raised_for(slug: str) -> None:
    kind = next(
        kind for kind in (*vars(wire).values(), *KINDS.values()) if isinstance(kind, Kind) and kind.slug == slug
    )
    error = error_of(refused(kind.status, slug), ASKED, "here")
    assert type(error) is RAISED[slug]
    assert kind.raises is not None or KINDS[type(error)].slug == slug


@pytest.mark.parametrize("error", list(_every()), ids=lambda error: type(error).__name__)
def test_every_error_comes_back_as_itself_or_as_the_most_that_is_told_of_it(error: TidegateError) -> None:
    kind = refusal_of(error).kind
    back = error_of(_told(error), ASKED, "here")
    expected = ServiceError if kind is INTERNAL else RAISED[kind.slug]
    assert type(back) is expected
    assert isinstance(error, expected) or kind is INTERNAL or kind.status == 503
    assert back.__notes__ == ["request r-1"]


SAID = [one for one in EXAMPLES if refusal_of(one).kind.status < 500 and not isinstance(one, errors.ResultTimeout)]


@pytest.mark.parametrize("error", SAID, ids=lambda error: type(error).__name__)
def test_what_a_refusal_says_is_kept_to_the_word(error: TidegateError) -> None:
    back = error_of(_told(error), ASKED, "here")
    assert str(back) == str(error)
    told = {name: value for name, value in vars(error).items() if name != "retry_after"}
    assert {name: vars(back)[name] for name in told} == told


def test_a_refusal_of_the_face_s_own_is_wrong_input() -> None:
    error = error_of(refused(400, "user-missing"), ASKED, "here")
    assert isinstance(error, errors.InvalidInput)
    assert (error.field, error.message) == ("", "d")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=503, headers={"content-type": "text/html"}, body=b"<h1>secret</h1>"),
        Answer(status=403, headers={}, body=b""),
        Answer(status=500, headers={"content-type": wire.MEDIA_TYPE}, body=b'{"type": 3, "detail": "secret"}'),
        Answer(
            status=418, headers={"content-type": wire.MEDIA_TYPE}, body=b'{"type": "/problems/new", "detail": "secret"}'
        ),
        Answer(
            status=404, headers={"content-type": wire.MEDIA_TYPE}, body=b'{"type": "about:blank", "detail": "secret"}'
        ),
        said(302, {"type": "/problems/invalid-input", "detail": "secret"}, location="http://elsewhere/secret"),
    ],
)
def test_what_is_no_problem_of_ours_is_told_by_its_status_alone(answer: Answer) -> None:
    error = error_of(answer, ASKED, "http://here")
    assert isinstance(error, ServiceError)
    assert error.status == answer.status
    assert f"http://here answered {answer.status}" in str(error)
    assert "secret" not in str(error)


def test_a_text_without_end_is_cut() -> None:
    error = error_of(refused(409, "refused", detail="x" * 9_000), ASKED, "here")
    assert str(error) == "x" * 2_000


@pytest.mark.parametrize(
    ("given", "seconds"), [("3", 3), ("0", 0), ("", None), ("-1", None), ("1.5", None), ("²", None), ("9" * 20, None)]
)
def test_retry_after_counts_where_it_is_a_number_of_seconds(given: str, seconds: int | None) -> None:
    found = retry_after({"retry-after": given})
    assert (None if found is None else found.total_seconds()) == seconds
