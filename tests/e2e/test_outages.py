"""A provider that fails, as users of the API meet it: real processes, the rules as they ship, real time."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import product
from typing import Final

import pytest

from tests.e2e.outage import Town, each, town, until
from tests.e2e.process import USER
from tidegate.provider.decision import Verdict

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

SICK: Final = ("broken", "limited", "silent", "mixed")
"""Upstreams of which six jobs are live; of "lonely" there is one."""

NOTICED: Final = 2.5
"""Seconds after the sixth failure within which every server refuses."""


@pytest.fixture(scope="module", params=each("sqlite", "valkey", "postgres"))
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    """One process on SQLite; two servers and two workers on the others."""
    name: str = request.param
    with town(tmp_path_factory.mktemp("town"), name) as fresh:
        yield fresh


def test_six_faults_refuse_new_jobs_until_one_probe_after_30_s_and_five_rate_limits_pause_content_for_60_s(
    place: Town,
) -> None:
    place.fail(*SICK, "lonely", "content")
    paused_at = _pause_content(place)
    place.submit("lonely")
    with ThreadPoolExecutor(len(SICK)) as threads:
        list(threads.map(lambda name: place.submit(name, 6), SICK))
        pairs = list(product(SICK, range(len(place.apis))))
    with ThreadPoolExecutor(len(pairs)) as threads:
        list(threads.map(lambda pair: _refuses(place, *pair), pairs))
    until(lambda: place.state("lonely") == "open", 25, "one live job opens its upstream")
    place.heal()

    for name in (*SICK, "lonely"):
        place.unharmed(name, 90)
        _one_probe(place, name)
        for api in range(len(place.apis)):
            assert place.post(name, api).status_code == 201
        place.unharmed(name, 30)
    _resumes(place, paused_at)


def test_a_success_resets_what_a_queue_counts_whoever_is_told(place: Town) -> None:
    def tell(word: str, number: int) -> bool:
        time.sleep(0.25)  # those of one moment count as one
        answer = place.apis[number % len(place.apis)].post(f"/queues/letters/{word}", headers=USER)
        assert answer.status_code == 200, answer.text
        return bool(answer.json()["paused"])

    assert not any(tell("rate-limit-errors", number) for number in range(4))
    assert not tell("successes", 4)
    assert not any(tell("rate-limit-errors", number) for number in range(4))
    assert tell("rate-limit-errors", 4)
    for api in range(len(place.apis)):
        assert place.queue("letters", api).paused


def test_an_operators_word_holds_on_every_server_within_2_s_until_it_expires(place: Town) -> None:
    here, there = place.apis[0], place.apis[-1]
    for word, seconds in (("open", 4), ("closed", 60), ("off", 60)):
        sent = {"state": word, "seconds": seconds}
        assert here.put("/upstreams/spare/override", json=sent, headers=USER).status_code == 200
        said_at = time.monotonic()
        until(partial(_says, place, word), 2, f"{word} is known elsewhere")
        if word == "open":
            answer = place.post("spare", -1)
            assert (answer.status_code, answer.json()["error"]) == (429, "temporarily unavailable")
            assert 1 <= int(answer.headers["Retry-After"]) <= 4
            until(lambda: place.post("spare", -1).status_code == 201, 6, "it expires")
            assert time.monotonic() - said_at >= 3.9
    assert there.delete("/upstreams/spare/override", headers=USER).status_code == 200
    place.unharmed("spare", 20)
    told = [(change.to, change.why, change.author) for change in place.changes("spare")]
    assert [each for each in told if each[1] != "none"] == [("override", w, "ada") for w in ("open", "closed", "off")]
    assert told[-1] == ("override", "none", "ada")


def _says(place: Town, word: str) -> bool:
    override = place.apis[-1].get("/upstreams/spare", headers=USER).json()["override"]
    return override is not None and bool(override["state"] == word)


def _refuses(place: Town, name: str, api: int) -> None:
    """A server refuses, in the words that were promised, within 2.5 s of the sixth failure."""
    sixth = until(lambda: place.failures(name)[5:], 40, lambda: f"six failures: {place.stuck(name)}")[0]
    failed_at = place.began() + sixth.ended
    while (answer := place.post(name, api)).status_code == 201:
        assert time.time() < failed_at + NOTICED, f"{name} is still accepted"
        time.sleep(0.1)
    body = answer.json()
    assert (answer.status_code, body["error"], body["upstream"]) == (429, "temporarily unavailable", name)
    assert answer.headers["Retry-After"] == str(body["retry_after"])
    assert 1 <= body["retry_after"] <= 33


def _one_probe(place: Town, name: str) -> None:
    """30 to 33 s after it opened one call was made, and no other before that was answered."""
    opened, *_ = [change for change in place.changes(name) if change.to == "open"]
    assert opened.until is not None
    assert timedelta(seconds=30) <= opened.until - opened.at <= timedelta(seconds=33)
    began, calls = place.began(), place.calls(name)
    first = next(number for number, line in enumerate(calls) if line.verdict is Verdict.SERVED)
    probe = calls[first]
    assert -0.1 <= began + probe.arrived - opened.until.timestamp() <= 2
    assert all(began + line.arrived < opened.at.timestamp() + 0.5 for line in calls[:first])
    assert all(line.arrived >= probe.ended for line in calls[first + 1 :])
    assert first >= 6


def _pause_content(place: Town) -> float:
    """Five rate limits in a row pause the queue; the time."""
    for number in range(1, 6):
        place.submit("content")
        until(partial(_called, place, number), 20, f"call {number} of content")
    for api in range(len(place.apis)):
        until(partial(_paused, place, api), 20, "content is paused")
    queue = place.queue("content")
    assert queue.paused_at is not None
    assert queue.resumes_at is not None
    assert timedelta(seconds=60) <= queue.resumes_at - queue.paused_at <= timedelta(seconds=66)
    assert queue.consecutive_errors == 5
    place.submit("content", 3)  # a paused queue goes on taking jobs
    return queue.paused_at.timestamp()


def _called(place: Town, times: int) -> bool:
    return len(place.calls("content")) >= times


def _paused(place: Town, api: int) -> bool:
    return place.queue("content", api).paused


def _resumes(place: Town, paused_at: float) -> None:
    """No job was tried for a minute, and then all succeed."""
    place.unharmed("content", 90)
    began, calls = place.began(), place.calls("content")
    assert sum(line.verdict is not Verdict.SERVED for line in calls) >= 5
    assert not [line for line in calls if paused_at + 0.5 < began + line.arrived < paused_at + 60]
    assert place.queue("content").consecutive_errors == 0
