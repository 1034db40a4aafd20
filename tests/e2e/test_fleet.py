"""Several API servers and workers on one store: kill any of them, or hurt the store, and no job suffers."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from tests.e2e.fleet import STORES, Fleet, client, first_trace_after, fleet
from tests.e2e.process import USER, ended, events, submit

pytestmark = [pytest.mark.e2e]

ENDINGS = {"succeeded", "failed", "cancelled"}


@pytest.fixture(params=STORES)
def ships(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """Two servers and two workers of ten slots, not started."""
    name: str = request.param
    with fleet(tmp_path, name, apis=2, workers=2) as fresh:
        yield fresh


def _unharmed(http: httpx2.Client, ships: Fleet, jobs: list[str], seconds: float) -> list[Mapping[str, object]]:
    """Every job has ended well, once, and no attempt was burned."""
    found = ended(http, jobs, seconds)
    assert Counter(job["status"] for job in found) == {"succeeded": len(jobs)}, ships.logs()
    assert {job["attempts"] for job in found} == {1}
    for job_id in jobs[:: max(len(jobs) // 20, 1)]:
        assert sum(event in ENDINGS for event in events(http, job_id)) == 1
    return found


def test_jobs_posted_to_one_server_are_read_at_another_and_run_by_any_worker(ships: Fleet) -> None:
    first, second = ships.start()
    with client(first) as here, client(second) as there:
        jobs = [submit(here, "work", {"seconds": 0.2}) for _ in range(60)]
        _unharmed(there, ships, jobs, 60)
        listed = there.get("/jobs", params={"limit": 200}, headers=USER).json()["items"]
        assert {item["job_id"] for item in listed} == set(jobs)
    assert {run for _, _, run in ships.traces()} == {"1"}


def test_a_worker_killed_in_mid_work_loses_nothing_and_what_it_held_runs_at_once_where_it_is_restarted(
    ships: Fleet,
) -> None:
    address, _ = ships.start()
    with client(address) as http:
        jobs = [submit(http, "work", {"seconds": 1.0}) for _ in range(60)]
        first_trace_after(ships, 15, 30)
        victim = ships.workers[0]
        victim.kill()
        restarted = time.monotonic()
        victim.start()
        _unharmed(http, ships, jobs, 60)
        assert time.monotonic() - restarted < 14  # no lease had to run out
    starts = Counter(job for word, job, _ in ships.traces() if word == "start")
    assert set(starts) == set(jobs)
    assert sum(starts.values()) - len(jobs) <= 10  # what ran at the kill, and nothing else, ran again


def test_a_worker_told_to_stop_gives_nothing_up(ships: Fleet) -> None:
    address, _ = ships.start()
    with client(address) as http:
        jobs = [submit(http, "work", {"seconds": 0.5}) for _ in range(60)]
        first_trace_after(ships, 10, 30)
        assert ships.workers[0].terminate() == 0
        _unharmed(http, ships, jobs, 60)
    assert {run for _, _, run in ships.traces()} == {"1"}


def test_a_server_killed_between_posts_leaves_each_key_with_one_job(ships: Fleet) -> None:
    addresses = ships.start()

    def post(number: int) -> str:
        body = {"type": "work", "payload": {}, "idempotency_key": f"order-{number // 2}"}
        for attempt in range(40):
            try:
                answer = httpx2.post(f"{addresses[(number + attempt) % 2]}/jobs", json=body, headers=USER, timeout=10)
            except httpx2.HTTPError:
                time.sleep(0.1)
                continue
            assert answer.status_code in (200, 201), answer.text
            return str(answer.json()["job_id"])
        raise AssertionError("no server took it")

    with ThreadPoolExecutor(8) as threads:
        posting = [threads.submit(post, number) for number in range(120)]
        time.sleep(0.3)
        ships.apis[0].kill()
        made = [each.result() for each in posting]
    assert made[0::2] == made[1::2]
    assert len(set(made)) == 60
    with client(addresses[1]) as http:
        _unharmed(http, ships, sorted(set(made)), 60)


def test_a_store_that_crashes_and_comes_back_loses_nothing_and_work_resumes_within_3_s(ships: Fleet) -> None:
    address, _ = ships.start(workers=False)
    with client(address) as http:
        jobs = [submit(http, "work", {"seconds": 0.5}) for _ in range(400)]
        ships.start_workers()
        first_trace_after(ships, 20, 30)
        for _ in range(2):
            ships.store.crash()
            assert first_trace_after(ships, len(ships.traces()) + 25, 20) < 3
        _unharmed(http, ships, jobs, 90)


@pytest.mark.slow
def test_a_store_that_stands_still_for_longer_than_a_lease_burns_no_attempt(ships: Fleet) -> None:
    address, _ = ships.start(workers=False)
    with client(address) as http:
        jobs = [submit(http, "work", {"seconds": 0.5}) for _ in range(200)]
        ships.start_workers()
        first_trace_after(ships, 20, 30)
        ships.store.freeze()
        time.sleep(30)
        before = len(ships.traces())
        ships.store.thaw()
        assert first_trace_after(ships, before, 20) < 3
        _unharmed(http, ships, jobs, 120)
