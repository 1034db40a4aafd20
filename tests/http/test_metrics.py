"""`/metrics`, for Prometheus and as JSON."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families as read_text
from pydantic import SecretStr

from tests.http.calls import post, problem, run, stands
from tests.http.reach import plain_settings, reached
from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.core.query import Stats
from tidegate.errors import EngineUnavailable
from tidegate.http.watching import lookout
from tidegate.telemetry.families import COUNTS, GAUGES

Labels = Mapping[str, str]
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
AT_ONCE = {"policy": "steps", "delays": [0.001]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A worker that looks often, so that retries don't wait for it."""
    return plain_settings(tmp_path / "data").model_copy(update={"poll": timedelta(seconds=0.02)})


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every look is a new one."""
    monkeypatch.setattr(lookout, "KEPT", 0.0)


class Scrape:
    """What one reading of the metrics gave."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in read_text(text)}

    def __call__(self, sample: str, **labels: str) -> float | None:
        """The value of a sample, None where there is none."""
        found = (one for family in self.families.values() for one in family.samples if one.name == sample)
        return next((one.value for one in found if one.labels == labels), None)


async def _scrape(client: httpx2.AsyncClient) -> Scrape:
    response = await client.get("/metrics")
    assert response.status_code == 200
    return Scrape(response.text)


async def _counts(client: httpx2.AsyncClient) -> dict[str, float]:
    response = await client.get("/metrics", headers={"Accept": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    counts: dict[str, float] = response.json()
    return counts


async def test_the_counts_have_the_names_that_were_asked_for_and_add_up(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    await run(working, app)
    dead = [await run(working, app, "broken", max_attempts=1) for _ in range(2)]
    await working.post(f"/jobs/{dead[0]}/dismiss")
    await stands(working, await post(working, "brief"), "running")
    await post(working, delay=60)
    await working.post(f"/jobs/{await post(working, delay=60)}/cancel")
    await post(working, queue="nobody-s")
    counts = await _counts(working)
    assert counts.pop("oldest_ready_age") >= 0
    assert counts.pop("workers") <= 1  # it may not have said so yet
    assert counts == {
        "total_jobs": 7,
        "active_jobs": 1,
        "completed_jobs": 1,
        "failed_jobs": 2,
        "dead_letter_jobs": 1,
        "cancelled_jobs": 1,
        "queue_length": 1,
        "retry_queue_length": 1,
        "dlq_length": 1,
    }


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("text/html,application/xhtml+xml,*/*;q=0.8", "text/plain"),
        ("text/plain;version=0.0.4", "text/plain"),
        (PROMETHEUS, "application/openmetrics-text"),
        ("application/openmetrics-text;q=0.3,text/plain", "text/plain"),
        ("application/json", "application/json"),
        ("application/json, text/plain, */*", "application/json"),
        ("application/json;q=0.5, */*;q=0.1", "application/json"),
        ("application/json;q=0.5, text/plain", "text/plain"),
        ("application/json;q=0, */*", "text/plain"),
        ("image/png", "text/plain"),
    ],
)
async def test_the_form_is_the_one_that_is_wanted_most(
    shared: httpx2.AsyncClient, accept: str | None, form: str
) -> None:
    request = shared.build_request("GET", "/metrics")
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    response = await shared.send(request)
    assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, form)
    assert response.headers["vary"] == "Accept"


async def test_both_of_prometheus_s_forms_can_be_read(working: httpx2.AsyncClient, app: Tidegate) -> None:
    await run(working, app)
    text = (await working.get("/metrics")).text
    opened = (await working.get("/metrics", headers={"Accept": PROMETHEUS})).text
    told = {line.split()[2] for line in opened.splitlines() if line.startswith("# TYPE")}
    assert opened.endswith("# EOF\n")
    assert {family.name for family in (*COUNTS, *GAUGES)} - told == {"tidegate_queue_ended_per_second"}  # not yet
    assert Scrape(text)("tidegate_jobs_submitted_total", type="echo", queue="default") == 1
    assert "_created" not in text + opened


async def test_jobs_are_counted_by_what_they_came_to(working: httpx2.AsyncClient, app: Tidegate) -> None:
    for _ in range(2):
        await run(working, app)
    await run(working, app, "broken", max_attempts=2, retry=AT_ONCE)
    seen = await _scrape(working)
    of_broken = {"type": "broken", "queue": "default"}
    assert seen("tidegate_runs_ended_total", type="echo", queue="default", ended="succeeded") == 2
    assert seen("tidegate_runs_ended_total", **of_broken, ended="retried") == 1
    assert seen("tidegate_runs_ended_total", **of_broken, ended="failed") == 1
    assert seen("tidegate_runs_started_total", **of_broken) == 2
    assert seen("tidegate_runs_accounted_total", type="broken", cause="attempt") == 2
    assert seen("tidegate_run_duration_seconds_count", type="echo") == 2
    assert seen("tidegate_job_wait_seconds_count", queue="default") == 4


async def test_gauges_tell_how_the_fleet_stands(api: httpx2.AsyncClient) -> None:
    await post(api)
    await post(api, queue="high", delay=60)
    await api.post("/queues/low/pause", json={})
    await api.put("/upstreams/openrouter/override", json={"state": "open"})
    seen = await _scrape(api)
    assert seen("tidegate_queue_jobs", queue="default", state="ready") == 1
    assert seen("tidegate_queue_jobs", queue="high", state="waiting") == 1
    assert seen("tidegate_queue_jobs", queue="low", state="dead_letter") == 0
    assert (seen("tidegate_oldest_ready_age_seconds") or 0) > 0
    assert (seen("tidegate_queue_oldest_ready_age_seconds", queue="default") or 0) > 0
    assert [seen("tidegate_queue_paused", queue=queue) for queue in ("low", "high")] == [1, 0]
    states = [seen("tidegate_upstream_state", upstream="openrouter", state=s) for s in ("open", "closed", "half_open")]
    assert states == [1, 0, 0]
    assert seen("tidegate_upstream_transitions_total", kind="queue", name="low", to="override") == 1
    assert [seen("tidegate_workers"), seen("tidegate_queue_workers", queue="default")] == [0, 0]
    assert seen("tidegate_store_up") == 1


async def test_throughput_is_a_gauge_from_the_second_look_on(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tidegate.http.watching.throughput.SETTLED", 0.0)
    await _scrape(api)
    await api.post(f"/jobs/{await post(api)}/cancel")
    assert ((await _scrape(api))("tidegate_queue_ended_per_second", queue="default") or 0) > 0


async def test_a_look_at_the_fleet_is_good_for_a_while(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "KEPT", 5.0)
    await _counts(api)
    await post(api)
    assert (await _counts(api))["total_jobs"] == 0
    monkeypatch.setattr(lookout, "KEPT", 0.0)
    assert (await _counts(api))["total_jobs"] == 1


async def test_requests_are_counted_by_route_never_by_path(api: httpx2.AsyncClient) -> None:
    for path in (f"/jobs/{await post(api)}", "/jobs/no-id", "/nowhere", "/etc/passwd"):
        await api.get(path)
    await api.put("/health")
    await api.request("BREW", "/health")
    seen = await _scrape(api)
    one = {"route": "/jobs/{job_id}", "method": "GET"}
    assert [seen("tidegate_http_requests_total", **one, status=status) for status in ("2xx", "4xx")] == [1, 1]
    assert seen("tidegate_http_requests_total", route="/jobs", method="POST", status="2xx") == 1
    assert seen("tidegate_http_requests_total", route="unmatched", method="GET", status="4xx") == 2
    assert seen("tidegate_http_requests_total", route="/health", method="other", status="4xx") == 1
    assert seen("tidegate_http_request_duration_seconds_count", **one) == 2
    assert "passwd" not in str(seen.families)


async def test_a_fault_of_ours_is_counted_as_one(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(app.client, "get", broken)
    assert (await api.get("/jobs/x")).status_code == 500
    seen = await _scrape(api)
    assert seen("tidegate_http_requests_total", route="/jobs/{job_id}", method="GET", status="5xx") == 1


async def test_without_the_store_counters_are_told_and_counts_are_refused(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await post(api)

    async def away() -> Stats:
        raise EngineUnavailable("it is away")

    monkeypatch.setattr(app.system.engine, "stats", away)
    seen = await _scrape(api)
    assert seen("tidegate_store_up") == 0
    assert seen("tidegate_jobs_submitted_total", type="echo", queue="default") == 1
    assert "tidegate_queue_jobs" not in seen.families
    problem(await api.get("/metrics", headers={"Accept": "application/json"}), 503, "store-unavailable")


async def test_nobody_s_name_or_job_is_a_label(working: httpx2.AsyncClient, app: Tidegate) -> None:
    job_id = await run(working, app)
    text = (await working.get("/metrics")).text
    assert job_id not in text
    assert "ada" not in text


async def test_queues_that_clients_make_up_are_bounded(
    api: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(103):
        await post(api, queue=f"made-up-{number}")
    await post(api, queue="low")
    seen = await _scrape(api)
    submitted = [one.labels["queue"] for one in seen.families["tidegate_jobs_submitted"].samples]
    assert len({queue for queue in submitted if queue.startswith("made-up")}) == 100
    assert seen("tidegate_jobs_submitted_total", type="echo", queue="other") == 3
    assert seen("tidegate_jobs_submitted_total", type="echo", queue="low") == 1
    assert seen("tidegate_queue_jobs", queue="other", state="ready") == 3


async def test_it_needs_no_user(api: httpx2.AsyncClient) -> None:
    del api.headers["X-User-ID"]
    assert (await api.get("/metrics")).status_code == 200


async def test_where_keys_are_needed_a_reader_s_will_do(app: Tidegate, settings: Settings) -> None:
    locked = app.configured(settings.model_copy(update={"admin_key": SecretStr("a" * 20)}), app.emit)
    async with reached(locked, worker=False) as client:
        del client.headers["X-User-ID"]
        problem(await client.get("/metrics"), 401, "unauthenticated")
        admin = {"Authorization": f"Bearer {'a' * 20}"}
        made = await client.post("/keys", json={"name": "prometheus", "role": "reader"}, headers=admin)
        scraper = {"Authorization": f"Bearer {made.json()['key']}"}
        assert [(await client.get(path, headers=scraper)).status_code for path in ("/metrics", "/workers")] == [
            200,
            200,
        ]
