"""Every waiting job says what for, and until when where anybody knows."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.circuits import START, Circuit, seconds
from tidegate.core.breaker import lent, next_probe_in
from tidegate.core.budget import Budget, Spending, charged
from tidegate.core.failure import BUDGET_SPENT, Failure
from tidegate.core.fault import Fault
from tidegate.core.job import Counters, Defer, Deferred, Job, JobId, Lane, Owner, Refund, Spec, Status
from tidegate.core.ledger import USAGE, Entry
from tidegate.core.lifecycle import decide
from tidegate.core.query import WorkerInfo
from tidegate.core.rules import API, QUEUE, Rules
from tidegate.core.text import check_name
from tidegate.core.upstream import Override, State, Upstream
from tidegate.core.verbs import Pace
from tidegate.core.waiting import FREE, Look, WaitReason, wait_reason
from tidegate.errors import InvalidInput

JOB = Job(
    id=JobId("a"),
    seq=1,
    spec=Spec(type="call"),
    lane=Lane(queue="content", upstream="api"),
    status=Status.QUEUED,
    created_at=START,
    run_at=START,
    due_at=START,
)


def look_at(upstream: Upstream | None = None, queue: Upstream | None = None, rules: Rules = API) -> Look:
    known = {"upstream:api": (upstream or Upstream(), rules), "queue:content": (queue or Upstream(), QUEUE)}
    return lambda gate: known[gate]


def reason(job: Job = JOB, look: Look | None = None, after: float = 0) -> WaitReason:
    found = wait_reason(job, START + seconds(after), look or look_at())
    assert found is not None
    return found


def test_a_job_that_is_not_queued_waits_for_nothing() -> None:
    assert wait_reason(replace(JOB, status=Status.RUNNING), START, look_at()) is None


def test_a_ready_job_waits_for_a_worker() -> None:
    assert (reason().code, reason().message, reason().until) == ("ready", FREE, None)


def test_a_job_that_is_not_due_says_when_it_is() -> None:
    later = replace(JOB, run_at=START + seconds(60))
    assert (reason(later).code, reason(later).until) == ("scheduled", later.run_at)


@pytest.mark.parametrize(("error", "word"), [(None, "gave way"), (Failure(code="down", message=""), "down")])
def test_a_retrying_job_says_why_and_when(error: Failure | None, word: str) -> None:
    again = replace(JOB, run_at=START + seconds(5), counters=Counters(runs=1), error=error)
    assert reason(again).code == "retrying"
    assert word in reason(again).message


def test_a_parked_job_says_until_when_its_upstream_is_open() -> None:
    circuit = Circuit()
    for _ in range(6):
        circuit.bad(Fault.SERVER_ERROR)
    found = reason(look=look_at(circuit.upstream))
    assert (found.code, found.gate, found.until) == ("parked", "upstream:api", circuit.upstream.until)
    assert "api is open until 2026-01-01T00:00:30Z: 6 faults" in found.message


def test_a_half_open_upstream_waits_for_its_probe() -> None:
    circuit = Circuit()
    for _ in range(6):
        circuit.bad(Fault.SERVER_ERROR)
    found = reason(look=look_at(circuit.upstream), after=31)
    assert (found.code, found.message) == ("parked", "api is half-open: a probe decides")


@pytest.mark.parametrize(("fault", "word"), [(Fault.QUOTA, "its quota used up"), (Fault.AUTH, "credential refused")])
def test_a_blocked_upstream_says_why(fault: Fault, word: str) -> None:
    circuit = Circuit().bad(fault, job="a").bad(fault, job="b")
    assert word in reason(look=look_at(circuit.upstream)).message


def test_a_retry_after_is_told_as_one() -> None:
    circuit = Circuit().bad(Fault.RATE_LIMITED, retry_after=20)
    assert reason(look=look_at(circuit.upstream)).message == "api asked to wait until 2026-01-01T00:00:20Z"


def test_an_operator_s_pause_names_him_and_has_no_end() -> None:
    circuit = Circuit().decide(Override.OPEN)
    found = reason(look=look_at(queue=circuit.upstream))
    assert (found.code, found.until) == ("paused", None)
    assert found.message == "queue content was paused by ada until it is cleared"
    assert "api was opened by ada" in reason(look=look_at(circuit.upstream)).message


def test_a_paused_queue_says_so() -> None:
    circuit = Circuit(QUEUE)
    for _ in range(5):
        circuit.after(1).bad(Fault.RATE_LIMITED)
    assert "queue content is paused until" in reason(look=look_at(queue=circuit.upstream), after=6).message


@pytest.mark.parametrize(
    ("rules", "words"),
    [(replace(API, limit=3), "3 jobs at a time"), (replace(API, pace=Pace(period=timedelta(seconds=2))), "every 2 s")],
)
def test_a_limit_or_a_pace_is_told(rules: Rules, words: str) -> None:
    found = reason(look=look_at(rules=rules))
    assert found.code == "limited"
    assert words in found.message


def worker(*types: str, queue: str = "content") -> WorkerInfo:
    who, served = Owner("w"), (queue,)
    return WorkerInfo(owner=who, host="h", pid=1, started_at=START, version="1", slots=1, queues=served, types=types)


@pytest.mark.parametrize(
    ("workers", "message"),
    [
        ([], "no worker serves queue content"),
        ([worker("call", queue="default")], "no worker serves queue content"),
        ([worker("mail"), worker("call", queue="default")], "no worker that serves queue content has job type call"),
    ],
)
def test_a_job_that_no_worker_takes_says_so_once_it_has_been_due_for_a_while(
    workers: list[WorkerInfo], message: str
) -> None:
    def found(after: float, job: Job = JOB, look: Look | None = None) -> WaitReason | None:
        return wait_reason(job, START + seconds(after), look or look_at(), workers)

    assert found(10) == WaitReason(code="unserved", message=message)
    assert found(9.9) == WaitReason(code="ready", message=FREE)
    held = found(10, look=look_at(Circuit().decide(Override.OPEN).upstream))
    assert held is not None
    assert held.code == "parked"
    later = found(10, replace(JOB, run_at=START + seconds(60)))
    assert later is not None
    assert later.code == "scheduled"


@pytest.mark.parametrize("workers", [None, [worker("mail"), worker("call", "mail")], [worker()]])
def test_a_job_waits_for_a_free_worker_where_one_takes_it_or_nobody_knows(workers: list[WorkerInfo] | None) -> None:
    found = wait_reason(JOB, START + seconds(60), look_at(), workers)
    assert found == WaitReason(code="ready", message=FREE)


def test_a_probe_is_lent_once_while_half_open() -> None:
    circuit = Circuit()
    assert lent(circuit.upstream, API, circuit.now) is circuit.upstream
    for _ in range(6):
        circuit.bad(Fault.SERVER_ERROR)
    circuit.after(31)
    assert circuit.state is State.HALF_OPEN
    taken = lent(circuit.upstream, API, circuit.now)
    assert taken.lent_until == circuit.now + API.probing.soft
    assert lent(taken, API, circuit.now) is taken


def test_whose_call_failed_as_a_probe_comes_back_after_the_next_one() -> None:
    circuit = Circuit()
    assert next_probe_in(circuit.upstream, API) == timedelta(0)
    for _ in range(6):
        circuit.bad(Fault.SERVER_ERROR)
    assert next_probe_in(circuit.upstream, API) == timedelta(seconds=34)


def test_refusals_of_one_job_block_nothing() -> None:
    circuit = Circuit()
    for _ in range(5):
        circuit.bad(Fault.AUTH, job="a")
    assert circuit.state is State.CLOSED
    assert circuit.bad(Fault.AUTH, job="b").state is State.OPEN


def test_a_name_is_lower_case_and_short() -> None:
    assert check_name("queue", "a-b_c.d:9") == "a-b_c.d:9"
    for wrong in ("", "A", "-a", "a" * 129, "a b"):
        with pytest.raises(InvalidInput):
            check_name("queue", wrong)


def test_an_entry_of_the_ledger_may_have_no_price() -> None:
    assert Entry(run=1, upstream="a", input_tokens=1, output_tokens=2, cost=None).cost is None
    assert USAGE == "usage.json"


def test_a_handler_that_gives_way_uses_no_attempt() -> None:
    deferred = decide(JOB, Deferred(after=timedelta(seconds=3), lane=Lane(upstream="b")), now=START, dice=0.5)
    assert deferred == Defer(delay=timedelta(seconds=3), refund=Refund.INTERRUPTION, lane=Lane(upstream="b"))


def test_a_job_whose_upstream_has_spent_its_budget_says_how_much_and_until_when() -> None:
    rules = replace(API, budget=Budget(50))
    spending = charged(Spending(), Budget(50), 50_000_000, "a", START)
    found = reason(look=look_at(Upstream(spending=spending), rules=rules))
    assert (found.code, found.until) == ("parked", START + timedelta(days=1))
    assert found.message == "api has spent its budget of $50.00 a day until 2026-01-02T00:00:00Z"
    unknowing = reason(look=look_at(Upstream(spending=spending)))
    assert unknowing.message == "api has spent its budget until 2026-01-02T00:00:00Z"


def test_a_job_whose_user_has_spent_the_budget_says_so() -> None:
    why = Failure(code=BUDGET_SPENT, message="its user has spent the budget of $2.00 a day for api")
    again = replace(JOB, run_at=START + timedelta(days=1), counters=Counters(runs=1, interruptions=1), error=why)
    found = reason(again)
    assert (found.code, found.until) == ("budget", again.run_at)
    assert found.message == f"{why.message}: it runs again at 2026-01-02T00:00:00Z"
