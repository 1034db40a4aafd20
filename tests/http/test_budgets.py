"""Budgets over HTTP: who has none left is told so at the door, and everybody can see what an upstream has spent."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from tests.http.calls import BOB, ended, post, problem, run, stands
from tidegate.app import Tidegate
from tidegate.context import Context
from tidegate.core.budget import Budget
from tidegate.core.fault import Fault
from tidegate.core.verbs import Document
from tidegate.upstreams import Call
from tidegate.upstreams.purses import KIND

YEAR = timedelta(days=366)
"""A window that no test outlasts."""

BUDGET = Budget(1, YEAR)
ENDS = BUDGET.ends(datetime.now(UTC))


class Usage:
    """A call that cost half a dollar."""

    input_tokens = output_tokens = 1
    cost = 500_000


@pytest.fixture
def app(app: Tidegate) -> Tidegate:
    """With an upstream that has a budget, and one that has one for each user."""
    app.upstream("paid", budget=BUDGET)
    app.upstream("shared", budget=Budget(10, YEAR), budget_per_user=Budget(1, YEAR))

    async def call(ctx: Context) -> None:
        async with ctx.upstream("paid" if ctx.type == "paid" else "shared") as one:
            one.spent(Usage())

    app.job("paid", upstream="paid")(call)
    app.job("ask", upstream="shared")(call)
    app.job("patient", upstream="shared", when_open_submit="accept")(call)
    return app


async def _spend_all(working: httpx2.AsyncClient, app: Tidegate) -> None:
    for _ in range(2):
        await run(working, app, "ask")


async def test_a_user_who_has_spent_all_is_refused_until_the_window_ends(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    await _spend_all(working, app)
    answer = await working.post("/jobs", json={"type": "ask"})
    said = problem(answer, 429, "budget-spent")
    assert (said["upstream"], said["until"]) == ("shared", ENDS.isoformat().replace("+00:00", "Z"))
    left = (ENDS - datetime.now(UTC)).total_seconds()
    assert abs(int(answer.headers["Retry-After"]) - left) < 60
    assert (await working.post("/jobs", json={"type": "ask"}, headers=BOB)).status_code == 201


async def test_a_repeat_of_what_was_accepted_is_answered_all_the_same(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    first = await post(working, "ask", idempotency_key="a")
    await ended(app, first)
    await run(working, app, "ask")
    again = await working.post("/jobs", json={"type": "ask", "idempotency_key": "a"})
    assert (again.status_code, again.json()["job_id"]) == (200, first)
    problem(await working.post("/jobs", json={"type": "ask", "idempotency_key": "b"}), 429, "budget-spent")


async def test_a_batch_is_refused_as_its_jobs_would_be(working: httpx2.AsyncClient, app: Tidegate) -> None:
    await _spend_all(working, app)
    jobs = [{"type": "ask"}, {"type": "echo"}]
    report = (await working.post("/jobs/bulk", json={"jobs": jobs, "mode": "each"})).json()
    assert [item.get("problem", {}).get("type") for item in report["items"]] == ["/problems/budget-spent", None]


async def test_a_type_that_takes_jobs_all_the_same_lets_them_wait(working: httpx2.AsyncClient, app: Tidegate) -> None:
    await _spend_all(working, app)
    job_id = await post(working, "patient")
    status = await stands(working, job_id, "retrying")
    assert (status["attempts"], status["error"]) == (0, "budget_spent")
    reason = status["wait_reason"]
    assert isinstance(reason, str)
    assert reason.startswith("its user has spent the budget of $1.00 in 366 days for shared: it runs again at 20")


async def test_jobs_of_an_upstream_that_has_spent_its_budget_are_accepted_and_wait(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    for _ in range(2):
        await run(working, app, "paid")
    status = await stands(working, await post(working, "paid"), "parked")
    assert str(status["wait_reason"]).startswith("paid has spent its budget of $1.00 in 366 days until 20")


async def test_an_upstream_shows_its_budget_what_is_spent_and_until_when(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    await run(working, app, "paid")
    await app.system.upstreams.keeper.flush("upstream:paid")
    shown, until = (await working.get("/upstreams/paid")).json(), ENDS.isoformat().replace("+00:00", "Z")
    half = {"dollars": 1.0, "per": YEAR.total_seconds(), "spent": 0.5, "until": until, "exhausted": False}
    assert shown["budget"] == half
    assert (shown["until"], shown["budget_per_user"]) == (None, None)
    await run(working, app, "paid")
    await app.system.upstreams.keeper.flush("upstream:paid")
    spent = (await working.get("/upstreams/paid")).json()
    assert (spent["state"], spent["until"], spent["why"]) == ("closed", until, f"its budget of {BUDGET} is spent")
    assert spent["budget"] == {**half, "spent": 1.0, "exhausted": True}
    changes = (await working.get("/upstreams/paid/history")).json()["items"]
    assert changes[0]["to"] == "spent"
    shared = (await working.get("/upstreams/shared")).json()
    assert shared["budget_per_user"] == {"dollars": 1.0, "per": YEAR.total_seconds()}


async def test_why_an_upstream_is_held_is_its_budget_beside_what_opened_it_and_never_while_it_is_off(
    working: httpx2.AsyncClient, app: Tidegate
) -> None:
    for _ in range(2):
        await run(working, app, "paid")
    await app.system.upstreams.keeper.flush("upstream:paid")
    held = {}
    for word in ("open", "closed", "off"):
        shown = (await working.put("/upstreams/paid/override", json={"state": word})).json()
        held[word] = shown["why"], shown["budget"]["exhausted"]
    spent = f"its budget of {BUDGET} is spent"
    assert held == {"open": (spent, True), "closed": (spent, True), "off": ("", False)}
    upstreams = app.system.upstreams
    await upstreams.override("upstream:paid", None, author="ada")
    for _ in range(6):
        upstreams.failed(Call(upstream="paid"), Fault.DOWN, timedelta(0), None)
    await upstreams.keeper.flush("upstream:paid")
    shown = (await working.get("/upstreams/paid")).json()
    assert (shown["state"], shown["why"]) == ("open", f"6 faults in 60 s; {spent}")


async def test_prometheus_is_told_what_is_spent_and_of_how_much(working: httpx2.AsyncClient, app: Tidegate) -> None:
    app.system.upstreams.budgets.spent(Call(upstream="paid"), "ada", 250_000)
    await app.system.upstreams.budgets.close()
    text = (await working.get("/metrics")).text
    assert 'tidegate_upstream_spent_dollars{upstream="paid"} 0.25' in text
    assert 'tidegate_upstream_budget_dollars{upstream="paid"} 1.0' in text
    assert 'tidegate_upstream_spent_dollars{upstream="shared"} 0.0' in text


async def test_the_store_is_asked_for_a_user_s_money_once_a_second_and_for_other_types_never(
    api: httpx2.AsyncClient, app: Tidegate, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    load = app.system.engine.load

    async def counted(kind: str, keys: Sequence[str]) -> list[Document]:
        asked.extend(keys if kind == KIND else ())
        return await load(kind, keys)

    monkeypatch.setattr(app.system.engine, "load", counted)
    for job_type in ("echo", "paid"):
        await post(api, job_type)
    assert asked == []
    now = app.system.clock.monotonic()
    monkeypatch.setattr(app.system.upstreams.budgets.purses.clock, "monotonic", lambda: now, raising=False)
    for _ in range(5):
        await post(api, "ask")
    assert asked == ["shared/ada"]
