"""A server is killed at any instant of what takes long, and the work goes on, or is cleanly refused.

Which instant it is, dice with a seed say, or how much has been done.
"""

import asyncio
import hashlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx2
import pytest

from tests.e2e.ears import Ear, Receiver, receiving
from tests.e2e.killing import PATIENCE, Place, place, until
from tidegate.artifacts import ArtifactSettings, open_artifacts
from tidegate.artifacts.uploads import sweep_uploads
from tidegate.clock import token
from tidegate.sdk import Client, Patience

pytestmark = [pytest.mark.e2e]

BATCHES: Final = 20
BATCH: Final = 20
LIMIT: Final = BATCHES * BATCH
"""Jobs that a user may submit in an hour here."""

CROWD: Final = 6
"""Batches of jobs that an action meets."""

PACES: Final = (40, 90, 1_000)
"""Jobs a second that actions meet, each in a crowd of its own."""

KNOWN_TO_ALL: Final = 8.0
"""Seconds until every process knows of a webhook; about five, says the page."""

ADA, BOB, EVE, UMA, WES = ({"X-User-ID": name} for name in ("ada", "bob", "eve", "uma", "wes"))

User = Mapping[str, str]


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"kills-{name}")) for name in ("sqlite", "valkey")],
)
def up(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """One server on SQLite, two on Valkey."""
    folder = tmp_path_factory.mktemp(request.param)
    limits = {"TIDEGATE_LIMIT_USER_PER_HOUR": str(LIMIT), "TIDEGATE_LIMIT_BULK_PER_USER": "0"}
    with place(folder, request.param, limits) as made:
        yield made


@pytest.fixture(scope="module")
def hooked(up: Place) -> Iterator[tuple[Receiver, str, float]]:
    """A receiver, the id of its webhook, and when that was made."""
    with receiving() as receiver:
        made = up.post("/webhooks", {"url": receiver.url}, WES).json()
        receiver.secret = made["secret"]
        yield receiver, made["id"], time.monotonic()


@pytest.fixture
def at(up: Place, hooked: object) -> Place:
    """All of its servers up, and the webhook long since made."""
    up.whole()
    return up


def _batch(at: Place, number: int, user: User, **more: object) -> list[str]:
    """Submit a batch of jobs that wait for an hour, under keys of its own; their ids."""
    plain = {"type": "work", "payload": {"seconds": 0}, "delay": 3600, **more}
    jobs = [{**plain, "idempotency_key": f"{number}-{key}"} for key in range(BATCH)]
    answer = at.post("/jobs/bulk", {"jobs": jobs, "mode": "all" if number % 2 else "each"}, user)
    assert (answer.status_code in (200, 201), answer.json().get("refused")) == (True, 0), answer.text
    return [str(item["job_id"]) for item in answer.json()["items"]]


def _jobs(at: Place, job_type: str, user: User, *payloads: object) -> list[str]:
    """Submit a job for each of these; their ids."""
    jobs = [{"type": job_type, "payload": payload, "idempotency_key": token()} for payload in payloads]
    answer = at.post("/jobs/bulk", {"jobs": jobs}, user)
    assert answer.status_code in (200, 201), answer.text
    return [str(item["job_id"]) for item in answer.json()["items"]]


# many jobs at once ----------------------------------------------------------------------------------------------


def test_batches_that_a_kill_cuts_off_are_sent_again_and_each_job_is_there_once_and_counted_once(at: Place) -> None:
    made = dict[int, list[str]]()  # as many as she may submit: one that counted twice would be one refused

    def send(number: int) -> None:
        made[number] = _batch(at, number, ADA)

    with ThreadPoolExecutor(4) as threads:
        sending = [threads.submit(send, number) for number in range(BATCHES)]
        for count in (2, 9):
            until(partial(lambda least: len(made) >= least, count), "so many batches are answered")
            at.kill()
        for one in sending:
            one.result()
    assert len({job_id for batch in made.values() for job_id in batch}) == LIMIT
    assert all(_batch(at, number, ADA) == made[number] for number in (0, 1))
    assert at.get("/jobs?limit=1", ADA)["total"] == LIMIT
    assert at.post("/jobs", {"type": "work", "payload": {}}, ADA).status_code == 429


def _begun(at: Place, action: str, status: str, pace: int) -> str:
    """An action on the crowd of a pace; its job's id."""
    wanted = {"action": action, "filter": {"status": status, "tag": f"crowd-{pace}"}, "per_second": pace}
    answer = at.post("/jobs/actions", {**wanted, "idempotency_key": f"{action}-{pace}"}, BOB)
    assert answer.status_code in (200, 202), answer.text
    return str(answer.json()["job_id"])


def test_bulk_actions_go_on_where_a_kill_met_them_and_act_on_each_job_once(at: Place) -> None:
    dice, claims = random.Random(7), 0
    crowds = [[_batch(at, pace * 10 + n, BOB, tags=[f"crowd-{pace}"]) for n in range(CROWD)] for pace in PACES]
    newest = crowds[0][-1][-1]  # the first that the slowest action meets
    for action, status, step in (("cancel", "scheduled", "cancelled"), ("retry", "cancelled", "revived")):
        begun = [_begun(at, action, status, pace) for pace in PACES]
        until(partial(lambda seen: seen in at.events(newest, BOB), step), "the slowest has begun")
        time.sleep(dice.uniform(0, 0.7))
        at.kill()
        for job_id in begun:
            assert at.ended(job_id, BOB)["status"] == "succeeded"
            told = {"matched": CROWD * BATCH, "applied": CROWD * BATCH, "refused": {"illegal": 0, "unknown": 0}}
            assert at.get(f"/jobs/{job_id}/result", BOB) == told
            claims += at.events(job_id, BOB).count("claimed")
    jobs = [job_id for crowd in crowds for batch in crowd for job_id in batch]
    for job_id in jobs:
        met = Counter(at.events(job_id, BOB))
        assert (met["cancelled"], met["revived"]) == (1, 1)
    assert claims > 2 * len(PACES)  # some were killed half way


# uploads --------------------------------------------------------------------------------------------------------


MULTIPART: Final = {**UMA, "Content-Type": "multipart/form-data; boundary=b"}


def _files(at: Place) -> list[set[str]]:
    """What is in each upload's folder."""
    return [set(names) for folder, _, names in os.walk(at.artifacts / "uploads") if len(Path(folder).name) == 36]


INSTANTS: Final[Mapping[str, Callable[[Place], bool]]] = {
    "bodies come": lambda at: True,
    "a file is half written": lambda at: any("#" in name for names in _files(at) for name in names),
    "its description is missing": lambda at: any("data" in names and "meta.json" not in names for names in _files(at)),
}


def _body(content: bytes, rest: float) -> Iterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    for start in range(0, len(content), 65_536):
        yield content[start : start + 65_536]
        time.sleep(rest)
    yield b"\r\n--b--\r\n"


def _sent(at: Place, content: bytes, rest: float) -> str | None:
    """The reference of an upload; None where the server went away in the middle of it."""
    try:
        return _reference(at.client.post("/uploads", content=_body(content, rest), headers=MULTIPART))
    except httpx2.TransportError:
        return None


def _reference(answer: httpx2.Response) -> str:
    assert answer.status_code == 201, answer.text
    return str(answer.json()["file"])


def _insisted(at: Place, content: bytes) -> str:
    """The reference of an upload that is sent until it is taken."""
    whole = b"".join(_body(content, 0))
    return _reference(at.insist(lambda http: http.post("/uploads", content=whole, headers=MULTIPART)))


@pytest.mark.parametrize("instant", INSTANTS)
def test_uploads_that_a_kill_cuts_off_leave_nothing_that_can_be_named_and_are_taken_when_sent_again(
    at: Place, instant: str
) -> None:
    dice = random.Random(instant)
    contents = [dice.randbytes(2**20 * size) for size in (1, 3, 5, 8)]
    with ThreadPoolExecutor(len(contents)) as threads:
        sending = [threads.submit(_sent, at, content, dice.uniform(0, 0.005)) for content in contents]
        time.sleep(dice.uniform(0.02, 0.2))
        until(lambda: INSTANTS[instant](at) or all(one.done() for one in sending), instant)
        at.kill()
    for content, one in zip(contents, sending, strict=True):
        reference = one.result() or _insisted(at, content)
        [job_id] = _jobs(at, "measure", UMA, {"file": reference})
        assert at.ended(job_id, UMA)["status"] == "succeeded"
        whole = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        assert at.get(f"/jobs/{job_id}/result", UMA) == whole
    _check_halves(at)


def _check_halves(at: Place) -> None:
    """What was not stored whole can't be named, and a sweep leaves nothing of all."""
    uploads = at.artifacts / "uploads"
    for folder in uploads.glob("*/*"):
        if (folder / "meta.json").exists():
            assert (folder / "data").stat().st_size == json.loads((folder / "meta.json").read_text())["size"]
        else:
            asked = {"type": "measure", "payload": {"file": f"upload:{folder.name}"}}
            assert at.post("/jobs", asked, UMA).status_code == 422
    store = open_artifacts(ArtifactSettings(url=str(at.artifacts)))
    asyncio.run(sweep_uploads(store, datetime.now(UTC) + timedelta(hours=1)))
    assert list(uploads.rglob("*")) == []


# streams --------------------------------------------------------------------------------------------------------


def _heard(at: Place, job_id: str) -> list[tuple[int, str]]:
    """A job's steps, as any of the servers tells who listens to its stream."""
    ear = Ear(at, f"/jobs/{job_id}/events", EVE)
    ear.listen()
    return [(seq, event) for _, seq, event in ear.steps]


def _followed(url: str, job_id: str, steps: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """A job's steps, as the SDK tells who follows it at that one server; `steps` has them at once."""
    patience = Patience(within=timedelta(seconds=PATIENCE))
    with Client(url, user_id="eve", patience=patience) as client:
        for event in client.handle(job_id).events():
            steps += [] if event.seq is None else [(event.seq, event.event)]
    return steps


def test_streams_go_on_behind_the_last_event_with_each_once_and_the_final_one_always(at: Place) -> None:
    dice, everything = random.Random(11), Ear(at, "/events", EVE)
    told, jobs = dict[str, Future[list[tuple[int, str]]]](), list[str]()
    with ThreadPoolExecutor(16) as threads:
        threads.submit(everything.listen)
        until(lambda: everything.place, "the stream of all jobs is open")
        for _ in range(2):
            fresh = _jobs(at, "stages", EVE, *[{}] * 10)
            told |= {job_id: threads.submit(_heard, at, job_id) for job_id in fresh[:3]}
            followed = list[tuple[int, str]]()
            told[fresh[3]] = threads.submit(_followed, str(at.client.base_url), fresh[3], followed)
            until(partial(bool, followed), "the SDK follows")
            time.sleep(dice.uniform(0, 0.6))
            at.kill()
            assert {at.ended(job_id, EVE)["status"] for job_id in fresh} == {"succeeded"}
            jobs += fresh
        steps = {job_id: at.steps(job_id, EVE) for job_id in jobs}
        happened = Counter((job_id, seq, event) for job_id in jobs for seq, event in steps[job_id])
        until(lambda: happened.keys() <= set(everything.steps), "every step is told")
        everything.over.set()
    assert Counter(everything.steps) == happened
    assert {job_id: one.result() for job_id, one in told.items()} == {job_id: steps[job_id] for job_id in told}


# webhooks -------------------------------------------------------------------------------------------------------


def test_messages_that_a_receiver_held_at_a_kill_come_again_under_the_same_id_and_each_end_is_told_once(
    at: Place, hooked: tuple[Receiver, str, float]
) -> None:
    receiver, webhook_id, made_at = hooked
    if len(at.servers) > 1:
        time.sleep(max(made_at + KNOWN_TO_ALL - time.monotonic(), 0))
    jobs = _jobs(at, "work", WES, *[{"seconds": 0}] * 8)
    until(lambda: len(receiver.got) >= random.Random(3).randint(2, 5), "messages have come")
    for _ in at.servers:
        at.kill()
    receiver.let_go.set()
    for job_id in jobs:
        assert at.ended(job_id, WES)["status"] == "succeeded"
    deliveries = [item["job_id"] for item in at.get(f"/webhooks/{webhook_id}/deliveries", WES)["items"]]
    assert [at.ended(job_id, WES)["status"] for job_id in deliveries] == ["succeeded"] * len(jobs)
    told = dict(receiver.got)
    assert sorted(str(event["data"]["job_id"]) for event in told.values()) == sorted(jobs)
    assert all(told[message] == event for message, event in receiver.got)
    times = Counter(message for message, _ in receiver.got)
    assert receiver.wrong == []
    assert receiver.lost
    assert all(times[message] > 1 for message in receiver.lost)
