"""When a request is sent again, and when it is not."""

from dataclasses import dataclass
from datetime import timedelta

import pytest

from tests.sdk.playing import Later, Play, refused, said
from tidegate.core.retry import Exponential
from tidegate.errors import ConfigError, RateLimited, ServiceError, UpstreamOpen
from tidegate.sdk import Patience
from tidegate.sdk.asking import ask, fetch
from tidegate.sdk.exchange import Answer, Broken, Request
from tidegate.sdk.submitting import submit


@dataclass
class Job:
    """What is asked for."""

    id: str


JOB = "01890a5d-ac96-774b-bcce-b302099a8057"
GET = Request(method="GET", path="/jobs")
POST = Request(method="POST", path="/jobs")
WELL = said(200, {})
DOWN = Broken("ConnectError")


@pytest.mark.parametrize(
    "passing", [DOWN, refused(503, "store-unavailable"), said(502, {}), said(504, {}), said(429, {}, retry_after="1")]
)
def test_what_may_pass_is_asked_again_after_waits_that_grow(passing: Answer | Broken) -> None:
    play = Play([passing, passing, WELL])
    assert play.run(ask(play.means(), GET)) == WELL
    assert len(play.asked) == 3
    assert play.rested[0] >= 1
    assert play.rested[1] == 2


@pytest.mark.parametrize(("dice", "first"), [(0.0, 0.5), (0.5, 1.0), (0.999, 1.499)])
def test_the_waits_are_spread_by_the_dice(dice: float, first: float) -> None:
    play = Play([DOWN, WELL])
    play.run(ask(play.means(dice=dice), GET))
    assert play.rested == [pytest.approx(first)]


@pytest.mark.parametrize("status", [400, 404, 409, 422, 500, 501, 301])
def test_what_will_not_pass_is_asked_once(status: int) -> None:
    play = Play([said(status, {})])
    with pytest.raises(ServiceError) as failed:
        play.run(ask(play.means(), GET))
    assert (failed.value.status, play.rested) == (status, [])


def test_three_tries_are_all() -> None:
    play = Play([DOWN] * 3)
    with pytest.raises(ServiceError, match=r"http://here can't be reached.*ConnectError"):
        play.run(ask(play.means(), GET))
    assert len(play.asked) == 3


def test_a_post_is_repeated_only_where_that_is_safe() -> None:
    play = Play([DOWN])
    with pytest.raises(ServiceError):
        play.run(ask(play.means(), POST))


def test_a_job_without_a_key_gets_one_so_that_its_repeat_is_the_same_request() -> None:
    play = Play([DOWN, said(201, {"job_id": JOB})])
    assert play.run(submit(play.means(), "echo", {"a": 1}, {})).created
    first, second = play.asked
    assert first == second
    assert len(first.key) == 36
    assert first.key.encode() in (first.content or b"")


def test_the_server_s_word_on_when_to_come_back_is_kept() -> None:
    play = Play([Answer(status=429, headers={"retry-after": "7"}), WELL])
    play.run(ask(play.means(dice=0.0), GET))
    assert play.rested == [7.0]


def test_a_wait_that_is_longer_than_our_patience_is_told_at_once() -> None:
    limited = refused(429, "rate-limited", retry_after=3000, limit=60)
    play = Play([Answer(status=429, headers={**limited.headers, "retry-after": "3000"}, body=limited.body)])
    with pytest.raises(RateLimited) as refusal:
        play.run(ask(play.means(), GET))
    assert (refusal.value.retry_after, refusal.value.limit, play.rested) == (timedelta(seconds=3000), 60, [])


def test_no_try_begins_after_the_deadline() -> None:
    play = Play([Later(20, DOWN), Later(20, DOWN)])
    with pytest.raises(ServiceError):
        play.run(ask(play.means(Patience(tries=9, within=timedelta(seconds=30))), GET))
    assert len(play.asked) == 2


def test_an_open_upstream_says_which_and_until_when() -> None:
    play = Play([refused(429, "upstream-open", upstream="openrouter", retry_after=24)])
    with pytest.raises(UpstreamOpen) as refusal:
        play.run(ask(play.means(), POST))
    assert (refusal.value.upstream, refusal.value.retry_after) == ("openrouter", timedelta(seconds=24))


@pytest.mark.parametrize("body", [b"", b"{", b"<html>secret</html>", b'{"secret": "secret"}', b"\xff"])
def test_an_answer_of_another_shape_is_a_fault_of_the_server_and_not_repeated_to_anybody(body: bytes) -> None:
    play = Play([Answer(status=200, headers={}, body=body)])
    with pytest.raises(ServiceError, match="something else than a Job") as failed:
        play.run(fetch(play.means(), GET, Job))
    assert "secret" not in str(failed.value)
    assert failed.value.__suppress_context__


def test_patience_of_no_try_is_refused() -> None:
    with pytest.raises(ConfigError):
        Patience(tries=0)
    with pytest.raises(ConfigError):
        Patience(backoff=Exponential(initial=timedelta(0), cap=timedelta(1)))
