"""How a job is waited for: by events, and where there are none, by looks further and further apart."""

import json
from dataclasses import dataclass

import pytest

from tests.sdk.playing import Came, Later, Open, Play, Read, Step, refused, said
from tidegate.core.job import Status
from tidegate.errors import JobNotFound, RateLimited, ResultTimeout, ServiceError
from tidegate.sdk.exchange import Answer, Broken
from tidegate.sdk.waiting import ended, events, feed

JOB = "01890a5d-ac96-774b-bcce-b302099a8057"
AT = "2026-01-01T00:00:00Z"
BROKEN = Broken("ReadError")
NO_STREAM = refused(405, "method-not-allowed")
STREAM = Answer(status=200, headers={"content-type": "text/event-stream; charset=utf-8"})
ALIVE = b": keep-alive\n\n"


def stands(status: str) -> Answer:
    """The job's status."""
    nothing = dict.fromkeys(
        ("progress", "wait_reason", "wait_until", "retry_at", "result_path", "result_url", "error", "error_type")
    )
    ends = dict.fromkeys(("error_message", "started_at", "finished_at", "timeout_at"))
    phase = {"queued": "ready"}.get(status, status)
    known = {"job_id": JOB, "status": status, "phase": phase, "attempts": 0, "created_at": AT}
    return said(200, {**known, **nothing, **ends, "new_in_a_later_version": True})


def event(seq: int, name: str, status: str = "running") -> bytes:
    """A step of the job, on the wire."""
    told = {"seq": seq, "at": AT, "event": name, "run": 1, "note": "", "status": status, "attempts": 0}
    return f"id: {seq}\nevent: {name}\ndata: {json.dumps({**told, 'progress': None})}\n\n".encode()


QUEUED, RUNNING, DONE = stands("queued"), stands("running"), stands("succeeded")


def wait(*came: Came, timeout: float = 600) -> Play:
    """Play a wait that must see the job succeed."""
    play = Play(came)
    assert play.run(ended(play.means(), JOB, timeout)).status is Status.SUCCEEDED
    return play


def test_a_job_that_has_ended_is_asked_for_once() -> None:
    assert [request.path for request in wait(DONE).asked] == [f"/jobs/{JOB}/status"]


def test_a_stream_tells_the_end_and_nothing_is_rested() -> None:
    play = wait(QUEUED, STREAM, event(1, "submitted"), ALIVE, event(2, "claimed") + event(3, "succeeded"), DONE)
    assert [request.path.rpartition("/")[2] for request in play.asked] == ["status", "events", "status"]
    assert play.rested == []


def test_a_failure_that_was_retried_is_not_the_end() -> None:
    heard = event(1, "submitted") + event(2, "failed") + event(3, "revived")
    play = wait(QUEUED, STREAM, heard, QUEUED, STREAM, event(4, "succeeded"), DONE)
    assert play.asked[3].headers["Last-Event-ID"] == "3"


@pytest.mark.parametrize(
    "nothing",
    [
        NO_STREAM,
        refused(404, "not-found"),
        Answer(status=404, headers={"content-type": "text/html"}),
        said(200, {}),
        refused(429, "rate-limited", retry_after=10),
        Answer(status=502, headers={}),
        BROKEN,
    ],
)
def test_where_there_is_no_stream_the_looks_are_1_2_4_8_15_and_15_seconds_apart(nothing: Answer | Broken) -> None:
    play = wait(QUEUED, nothing, *[QUEUED] * 7, DONE)
    assert play.rested == [1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize(
    "cut", [(STREAM, BROKEN), (STREAM, None), (STREAM, ALIVE, BROKEN), (STREAM, Later(20, BROKEN))]
)
def test_a_proxy_that_cuts_or_keeps_the_stream_is_looked_around(cut: tuple[Came, ...]) -> None:
    assert wait(QUEUED, *cut, RUNNING, RUNNING, DONE).rested == [1, 2]


def test_a_stream_that_lasted_is_taken_up_where_it_broke() -> None:
    play = wait(QUEUED, STREAM, event(1, "submitted"), Later(40, BROKEN), RUNNING, STREAM, event(2, "succeeded"), DONE)
    assert play.asked[3].headers["Last-Event-ID"] == "1"
    assert play.rested == []


def test_a_server_that_restarts_meanwhile_has_not_lost_the_job() -> None:
    away = [BROKEN] * 3
    play = wait(QUEUED, NO_STREAM, *away, refused(503, "store-unavailable"), BROKEN, BROKEN, DONE)
    assert play.clock.monotonic() < 60


def test_what_the_first_look_meets_is_raised_at_once() -> None:
    for came, error in (([BROKEN] * 3, ServiceError), ([refused(404, "job-not-found")], JobNotFound)):
        play = Play(came)
        with pytest.raises(error):
            play.run(ended(play.means(), JOB, 600))


def test_a_job_that_is_pruned_meanwhile_is_not_waited_for() -> None:
    play = Play([QUEUED, NO_STREAM, refused(404, "job-not-found")])
    with pytest.raises(JobNotFound):
        play.run(ended(play.means(), JOB, 600))


@dataclass
class Endless(Play):
    """A job that goes on, and a stream that only gives signs of life, if it is one."""

    stream: Answer = STREAM

    def next(self, step: Step) -> Came:
        match step:
            case Read():
                return Later(15, ALIVE)
            case Open():
                return self.stream
            case _:
                return RUNNING


@pytest.mark.parametrize("timeout", [0, 0.5, 10, 100])
def test_a_wait_ends_in_time_whether_polling_or_listening(timeout: float) -> None:
    polling, listening = Endless([], stream=NO_STREAM), Endless([])
    for play in (polling, listening):
        with pytest.raises(ResultTimeout) as late:
            play.run(ended(play.means(), JOB, timeout))
        assert late.value.job_id == JOB
    assert polling.clock.monotonic() == pytest.approx(timeout)
    assert timeout <= listening.clock.monotonic() <= timeout + 5


@dataclass
class Falling(Endless):
    """A stream that falls silent after 7 s: whoever reads on waits for as long as he said he would."""

    silence: float = 0

    def next(self, step: Step) -> Came:
        if isinstance(step, Open):
            self.silence = step.silence
        if not isinstance(step, Read):
            return super().next(step)
        return Later(1, ALIVE) if self.clock.monotonic() < 7 else Later(self.silence, BROKEN)


def test_a_stream_that_falls_silent_near_the_end_makes_the_wait_a_quarter_longer_at_most() -> None:
    play = Falling([])
    with pytest.raises(ResultTimeout):
        play.run(ended(play.means(), JOB, 10))
    assert 10 <= play.clock.monotonic() <= 12.5


def test_where_nobody_answers_the_last_look_the_reason_is_told() -> None:
    play = Play([QUEUED, NO_STREAM, *[BROKEN] * 99])
    with pytest.raises(ServiceError):
        play.run(ended(play.means(), JOB, 30))
    assert play.clock.monotonic() < 60


# events ----------------------------------------------------------------------------------------------------


def _heard(*came: Came, after: int = 0) -> tuple[list[int | None], Play]:
    play = Play(came)
    return [one.seq for one in play.each(events(play.means(), JOB, after))], play


def test_events_end_with_the_job() -> None:
    seqs, play = _heard(STREAM, event(1, "submitted"), event(2, "claimed") + event(3, "succeeded"), None, DONE)
    assert (seqs, play.rested) == ([1, 2, 3], [])
    assert "Last-Event-ID" not in play.asked[0].headers


def test_a_broken_stream_is_resumed_behind_its_last_event() -> None:
    half = event(3, "succeeded")[:20]
    seqs, play = _heard(
        STREAM, event(1, "submitted"), half, BROKEN, STREAM, event(2, "x"), None, RUNNING, STREAM, None, DONE
    )
    assert seqs == [1, 2]
    assert [request.headers.get("Last-Event-ID") for request in play.asked if "events" in request.path] == [
        None,
        "1",
        "2",
    ]
    assert len(play.rested) == 2


def test_one_may_begin_behind_any_step_and_nothing_more_is_an_end_too() -> None:
    seqs, play = _heard(Answer(status=204, headers={}), None, DONE, after=3)
    assert seqs == []
    assert play.asked[0].headers["Last-Event-ID"] == "3"


def test_what_a_stream_says_of_itself_is_no_event() -> None:
    notice = b'event: gone\ndata: {"event": "gone"}\n\nevent: odd\ndata: {\n\n'
    assert _heard(STREAM, notice + event(1, "submitted"), None, DONE)[0] == [1]


def test_a_server_that_was_never_there_is_told_after_three_tries() -> None:
    with pytest.raises(ServiceError):
        _heard(*[BROKEN] * 3)
    limited = refused(429, "rate-limited", retry_after=10)
    with pytest.raises(RateLimited):
        _heard(limited, limited, limited)


@pytest.mark.parametrize("end", [BROKEN, None])
def test_a_server_that_restarts_is_followed_again_and_one_that_stays_away_is_told_after_half_a_minute(
    end: Broken | None,
) -> None:
    looked = [] if end else [BROKEN] * 3  # a stream that ended well makes one look
    begun = (STREAM, event(1, "submitted"), end, *looked)
    seqs, play = _heard(*begun, *[BROKEN] * 4, STREAM, event(2, "succeeded"), None, DONE)
    assert seqs == [1, 2]
    assert play.clock.monotonic() > 10
    away = Play([*begun, *[BROKEN] * 50])
    with pytest.raises(ServiceError):
        list(away.each(events(away.means(), JOB)))
    assert 30 <= away.clock.monotonic() <= 65


def test_a_stream_that_lasts_may_break_as_often_as_it_likes() -> None:
    leg = (STREAM, ALIVE, Later(30, BROKEN))
    assert _heard(*leg * 9, STREAM, event(1, "succeeded"), None, DONE)[0] == [1]


@pytest.mark.parametrize("nothing", [NO_STREAM, refused(404, "not-found"), said(200, {})])
def test_where_there_is_no_stream_that_is_said(nothing: Answer) -> None:
    with pytest.raises(ServiceError, match="no stream of events"):
        _heard(nothing)


def test_the_feed_goes_on_where_it_broke_and_says_where_steps_were_missed() -> None:
    told = {"job_id": JOB, "type": "t", "seq": 1, "at": AT, "event": "submitted", "run": 0, "note": ""}
    step = f"id: p-1\n\nid: p-2\nevent: submitted\ndata: {json.dumps(told)}\n\n".encode()
    reset = b'id: p-9\nevent: reset\ndata: {"event": "reset"}\n\n'
    play = Play([STREAM, step, BROKEN, STREAM, reset, None, *[BROKEN] * 20])
    heard: list[str] = []

    async def listen() -> None:
        async for event in feed(play.means(), "p-0"):
            heard.append(f"{type(event).__name__} {event.id}")

    with pytest.raises(ServiceError):
        play.run(listen())
    assert heard == ["FeedEvent p-2", "FeedReset p-9"]
    assert [request.headers["Last-Event-ID"] for request in play.asked[:3]] == ["p-0", "p-2", "p-9"]


def test_an_unknown_job_has_no_events() -> None:
    with pytest.raises(JobNotFound):
        _heard(refused(404, "job-not-found"))
