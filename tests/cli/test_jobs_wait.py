"""`tidegate jobs wait`: a server that is away for a while has not lost the job."""

import asyncio
from collections.abc import Iterator

import httpx2
import pytest

from tidegate.cli import EXIT_FAILED, jobs
from tidegate.cli.jobs import Where, submit, wait
from tidegate.errors import EngineUnavailable, JobNotFound, ResultTimeout, ServiceError, TidegateError

HERE = Where(url="http://h", user="ada")

Look = httpx2.Response | httpx2.HTTPError

AWAY = httpx2.ConnectError("refused")


def _stands(status: str) -> httpx2.Response:
    return httpx2.Response(200, json={"status": status})


def _problem(status: int, kind: str) -> httpx2.Response:
    told = {"type": f"/problems/{kind}", "detail": "it is so"}
    return httpx2.Response(status, headers={"content-type": "application/problem+json"}, json=told)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Look]:
    """What the looks at a job come to, one after the other; the last repeats."""
    found: list[Look] = []

    def each() -> Iterator[Look]:
        while True:
            yield found.pop(0) if len(found) > 1 else found[0]

    answers = each()

    async def answer(_: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        came = next(answers)
        if isinstance(came, httpx2.HTTPError):
            raise came
        came.request = request
        return came

    monkeypatch.setattr(httpx2.AsyncClient, "send", answer)
    monkeypatch.setattr(jobs, "POLLS", (0.001,))
    return found


@pytest.mark.parametrize(("ends", "code"), [("succeeded", 0), ("failed", EXIT_FAILED)])
def test_who_waits_bears_a_server_that_restarts(ends: str, code: int, looks: list[Look]) -> None:
    looks += [_stands("running"), AWAY, _problem(503, "engine-unavailable"), AWAY, _stands("queued"), _stands(ends)]
    assert wait("j", where=HERE) == code
    assert len(looks) == 1


def test_a_server_that_stays_away_is_said_once_the_time_is_over(looks: list[Look]) -> None:
    looks += [_stands("running"), AWAY]
    with pytest.raises(ServiceError, match="can't be reached"):
        wait("j", timeout=0.05, where=HERE)


def test_a_job_that_does_not_end_in_time_is_said_though_the_server_was_away(looks: list[Look]) -> None:
    looks += [_stands("running"), AWAY, _stands("running")]
    with pytest.raises(ResultTimeout):
        wait("j", timeout=0.1, where=HERE)


@pytest.mark.parametrize(
    ("before", "look", "raised"),
    [([], AWAY, ServiceError), (["running"], _problem(404, "job-not-found"), JobNotFound)],
)
def test_a_first_look_that_fails_and_a_job_that_is_gone_end_the_wait_at_once(
    before: list[str], look: Look, raised: type[TidegateError], looks: list[Look]
) -> None:
    looks += [*map(_stands, before), look]
    with pytest.raises(raised):
        wait("j", where=HERE)


ACCEPTED = httpx2.Response(202, json={"job_id": "01a2"})


def test_who_submits_and_waits_is_told_the_id_at_once(looks: list[Look], capsys: pytest.CaptureFixture[str]) -> None:
    looks += [ACCEPTED, _stands("succeeded")]
    assert submit("work", wait=True, where=HERE) == 0
    assert capsys.readouterr() == ("", "tidegate: job 01a2 is accepted\n")


@pytest.mark.parametrize(
    ("where", "again"),
    [(HERE, "01a2 --url http://h --user ada"), (Where(url="http://h/a b"), "01a2 --url 'http://h/a b'")],
)
@pytest.mark.parametrize("look", [AWAY, _problem(503, "engine-unavailable")])
def test_a_wait_that_breaks_off_says_how_to_go_on(
    where: Where, again: str, look: Look, looks: list[Look], capsys: pytest.CaptureFixture[str]
) -> None:
    looks += [ACCEPTED, look]
    with pytest.raises((ServiceError, EngineUnavailable)):
        submit("work", wait=True, where=where)
    told = capsys.readouterr()
    assert told.err.splitlines() == [
        "tidegate: job 01a2 is accepted",
        f"tidegate: the job goes on without this command; to wait for it: tidegate jobs wait {again}",
    ]
    assert told.out == ""


def test_a_wait_that_is_interrupted_says_it_too(
    looks: list[Look], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken_off(*_: object) -> None:
        raise asyncio.CancelledError

    looks += [ACCEPTED, _stands("running")]
    monkeypatch.setattr(jobs, "_looked", broken_off)
    with pytest.raises(asyncio.CancelledError):
        submit("work", wait=True, where=HERE)
    assert "to wait for it: tidegate jobs wait 01a2" in capsys.readouterr().err


def test_a_job_that_fails_is_not_said_to_go_on(looks: list[Look], capsys: pytest.CaptureFixture[str]) -> None:
    looks += [ACCEPTED, _stands("failed")]
    assert submit("work", wait=True, where=HERE) == EXIT_FAILED
    assert "goes on" not in capsys.readouterr().err
