"""What a crash, a stop and a second process do to jobs that were accepted."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import pairwise

import httpx2
import pytest

from tests.e2e.process import USER, Served, ended, events, status, submit

pytestmark = [pytest.mark.e2e]

ENDINGS = {"succeeded", "failed", "cancelled"}


def test_kill_9_in_the_middle_of_200_jobs_loses_none_and_ends_none_twice(served: Served) -> None:
    with httpx2.Client(base_url=served.start()) as http:
        jobs = [submit(http, "work", {"seconds": 0.05}) for _ in range(200)]
        _until(lambda: len(served.traces()) > 40)
    served.kill()

    with httpx2.Client(base_url=served.start()) as http:
        found = ended(http, jobs, 60)
        assert {job["status"] for job in found} == {"succeeded"}
        assert {job["attempts"] for job in found} == {1}  # a crash burns no attempt
        for job_id in jobs:
            assert sum(event in ENDINGS for event in events(http, job_id)) == 1
    runs = Counter(job_id for word, job_id, _ in served.traces() if word == "start")
    assert set(runs) == set(jobs)
    assert sum(runs.values()) <= 200 + 20  # only what was running at the kill ran again: two a slot at most


def test_sigterm_lets_running_jobs_finish(served: Served) -> None:
    with httpx2.Client(base_url=served.start()) as http:
        job_id = submit(http, "work", {"seconds": 1.0})
        _until(lambda: served.traces() != [])
    assert served.terminate() == 0

    with httpx2.Client(base_url=served.start()) as http:
        assert status(http, job_id)["status"] == "succeeded"
        assert events(http, job_id).count("claimed") == 1


def test_sigterm_gives_back_what_outlasts_the_grace_without_burning_an_attempt(served: Served) -> None:
    served.settings["TIDEGATE_GRACE"] = "0.2s"
    with httpx2.Client(base_url=served.start()) as http:
        job_id = submit(http, "work", {"seconds": 3.0})
        _until(lambda: served.traces() != [])
    assert served.terminate() == 0

    with httpx2.Client(base_url=served.start()) as http:
        [job] = ended(http, [job_id], 30)
        assert (job["status"], job["attempts"]) == ("succeeded", 1)
        assert "deferred" in events(http, job_id)


def test_64_concurrent_posts_with_one_key_give_one_id(served: Served) -> None:
    address = served.start()

    def post(_: int) -> tuple[int, str]:
        headers = {**USER, "Idempotency-Key": "order-1"}
        answer = httpx2.post(f"{address}/jobs", json={"type": "work", "payload": {}}, headers=headers, timeout=30)
        return answer.status_code, str(answer.json()["job_id"])

    with ThreadPoolExecutor(64) as threads:
        answers = list(threads.map(post, range(64)))

    assert len({job_id for _, job_id in answers}) == 1
    assert Counter(code for code, _ in answers) == {201: 1, 200: 63}


@pytest.mark.slow
def test_a_job_that_always_fails_runs_three_times_with_1_s_and_5_s_between(served: Served) -> None:
    with httpx2.Client(base_url=served.start()) as http:
        job_id = submit(http, "broken")
        [job] = ended(http, [job_id], 30)

        assert (job["status"], job["phase"], job["attempts"]) == ("failed", "dead_letter", 3)
        items = http.get(f"/jobs/{job_id}/history", headers=USER).json()["items"]
        claims = [_instant(item["at"]) for item in items if item["event"] == "claimed"]
        waits = [later - earlier for earlier, later in pairwise(claims)]
        # Jitter may take a tenth away; what a busy machine adds says nothing of the policy.
        assert 0.89 <= waits[0] <= 3.0
        assert 4.49 <= waits[1] <= 8.0
        dead = http.get("/jobs", params={"status": "dead_letter"}, headers=USER).json()["items"]
        assert [item["job_id"] for item in dead] == [job_id]


def test_a_second_server_on_the_same_store_is_refused_and_harms_nothing(served: Served) -> None:
    with httpx2.Client(base_url=served.start()) as http:
        second = served.command("serve", "--port", "0")

        assert second.returncode == 5
        assert "belongs to one process" in second.stderr
        assert "Traceback" not in second.stderr
        [job] = ended(http, [submit(http, "work")], 10)
        assert job["status"] == "succeeded"


def test_a_run_past_its_timeout_is_settled_by_a_read_when_its_worker_is_gone(served: Served) -> None:
    served.settings["TIDEGATE_GRACE"] = "0.1s"
    with httpx2.Client(base_url=served.start()) as http:
        job_id = submit(http, "stubborn")
        _until(lambda: status(http, job_id)["status"] == "running")
    served.kill()

    with httpx2.Client(base_url=served.start()) as http:
        [job] = ended(http, [job_id], 20)
        assert (job["status"], job["error"]) in {("failed", "timeout")}


def _until(true: object) -> None:
    assert callable(true)
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.01)


def _instant(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
