"""The traps that breakers have fallen into, one by one, as far as they concern the pure core."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.circuits import START, Circuit, seconds
from tidegate.core.breaker import observe, tick
from tidegate.core.fault import Fault
from tidegate.core.rules import API, QUEUE
from tidegate.core.upstream import Mark, Override, Present, Seen, State, Tally, Upstream

HALF_OPEN = State.HALF_OPEN


def half_open() -> Circuit:
    circuit = Circuit().opened()
    return circuit.after(circuit.shut)


# probes -----------------------------------------------------------------------------------------------------------


def test_half_open_needs_no_write() -> None:
    circuit = Circuit().opened()
    stored = circuit.upstream
    assert circuit.after(29.999999).state is State.OPEN
    assert circuit.after(0.000001).state is HALF_OPEN
    assert circuit.upstream is stored
    assert circuit.tick().upstream is stored
    assert (circuit.gate.not_before, circuit.gate.limit) == (None, 1)


def test_trap_1_a_probe_that_never_answers_gets_company_after_5_s_and_failed_after_65() -> None:
    circuit = half_open()
    assert [circuit.tick(age).gate.limit for age in (4.9, 5, 9.9, 10, 64)] == [1, 2, 2, 3, 3]
    assert circuit.after(65).tick(65).state is State.OPEN
    assert circuit.shut == 30
    assert circuit.upstream.why == "its probe hung"
    assert circuit.after(30).gate.limit == 1


def test_trap_1_company_is_not_taken_back_when_a_younger_probe_is_looked_at() -> None:
    assert half_open().tick(10).tick(0).gate.limit == 3


def test_trap_1_a_probe_is_not_hurried_before_there_is_one_nor_while_an_operator_has_the_word() -> None:
    circuit = Circuit().opened()
    assert circuit.tick(100).gate.limit == 1
    assert half_open().decide(Override.CLOSED).tick(100).upstream.opens == 1


@pytest.mark.parametrize("fault", [Fault.BAD_REQUEST, Fault.CONTEXT_TOO_LONG, Fault.INVALID_OUTPUT])
def test_trap_2_a_neutral_probe_decides_nothing_and_the_next_may_come_at_once(fault: Fault) -> None:
    circuit = half_open()
    before = circuit.upstream
    assert circuit.bad(fault).upstream == before
    assert circuit.good().state is State.CLOSED


def test_trap_2_a_probe_that_met_a_used_up_quota_is_decided() -> None:
    circuit = half_open().bad(Fault.QUOTA)
    assert (circuit.state, circuit.shut) == (State.OPEN, 600)


def test_trap_3_outcomes_of_an_older_era_change_nothing() -> None:
    circuit = Circuit()
    for _ in range(5):
        circuit.bad()
    old = circuit.upstream.era
    circuit.bad()
    for stale in (old, circuit.upstream.since - 1):
        before = circuit.upstream
        circuit.good(era=stale).bad(era=stale).bad(Fault.QUOTA, era=stale).bad(retry_after=900, era=stale)
        assert circuit.upstream == before


def test_trap_3_a_probe_of_the_round_before_does_not_decide_this_one() -> None:
    circuit = half_open()
    first = circuit.upstream.era
    circuit.bad().after(circuit.shut).good(era=first)
    assert circuit.state is HALF_OPEN


def test_trap_3_an_era_that_a_failover_forgot_is_not_met_again() -> None:
    circuit = Circuit()
    for _ in range(5):
        circuit.bad()
    kept = circuit.upstream
    lost = circuit.bad().upstream
    circuit.upstream, circuit.stored = kept, None
    circuit.after(0.5).bad()
    assert circuit.upstream.era > lost.era
    assert circuit.good(era=lost.era).state is State.OPEN


def test_trap_3_a_failure_from_before_the_close_does_not_open_again() -> None:
    circuit = half_open()
    era = circuit.upstream.era
    circuit.good()
    for _ in range(10):
        circuit.bad(era=era)
    assert circuit.state is State.CLOSED


def test_trap_4_one_call_at_a_time_is_admitted_while_half_open() -> None:
    circuit = half_open()
    assert circuit.gate.limit == 1
    assert circuit.gate.era == circuit.upstream.since


def test_trap_5_a_probe_that_called_nobody_changes_nothing() -> None:
    circuit = half_open()
    before = circuit.upstream
    assert circuit.tell(Tally(era=circuit.upstream.era)).tick().upstream == before


def test_trap_6_a_rate_limited_probe_neither_closes_nor_escalates() -> None:
    circuit = half_open()
    for _ in range(20):
        circuit.bad(Fault.RATE_LIMITED)
        assert (circuit.state, circuit.shut, circuit.upstream.opens) == (State.OPEN, 5, 1)
        assert circuit.after(5).state is HALF_OPEN
    assert circuit.bad().shut == 30


def test_trap_6_a_rate_limited_probe_is_repeated_when_it_was_told_to() -> None:
    assert half_open().bad(Fault.RATE_LIMITED, retry_after=77).shut == 77
    assert half_open().bad(Fault.RATE_LIMITED, retry_after=1).shut == 5


def test_trap_7_closing_admits_two_and_not_all() -> None:
    circuit = half_open().good()
    assert (circuit.state, circuit.gate.limit) == (State.CLOSED, 2)


def test_trap_7_nor_does_the_end_of_an_operator_s_word() -> None:
    circuit = Circuit().decide(Override.OPEN, 3600).tick()
    assert circuit.gate.limit == 2
    assert circuit.after(3600).tick().gate.limit == 2


def test_trap_7_nor_do_the_successes_of_what_ended_meanwhile_raise_the_limit() -> None:
    circuit = Circuit().decide(Override.OPEN, 3600).tick().good(50, era=0)
    assert circuit.gate.limit == 2
    assert circuit.after(3600).tick().gate.limit == 2


def test_trap_7_nor_does_the_end_of_a_long_retry_after() -> None:
    circuit = Circuit(running=10).bad(Fault.RATE_LIMITED, retry_after=600)
    for _ in range(600):
        circuit.after(1).tick()
    assert (circuit.shut, circuit.gate.limit) == (0, 8)


def test_trap_8_no_wait_is_without_end() -> None:
    circuit = half_open()
    for _ in range(2_000):
        circuit.bad()
        assert circuit.shut <= 60
        circuit.after(circuit.shut)
    assert circuit.good().state is State.CLOSED


def test_trap_8_a_block_is_tried_again_at_least_once_an_hour() -> None:
    circuit = Circuit()
    for _ in range(500):
        circuit.bad(Fault.QUOTA)
        assert circuit.shut <= 3600
        circuit.after(circuit.shut)
    assert circuit.good().state is State.CLOSED


def test_trap_12_an_upstream_waits_out_any_time_without_being_touched() -> None:
    assert Circuit().opened().after(86_400 * 365).state is HALF_OPEN


def test_trap_13_a_reopening_starts_from_nothing_and_escalates() -> None:
    circuit = half_open().tick(10)
    assert circuit.upstream.probes == 3
    circuit.bad()
    assert (circuit.upstream.probes, circuit.upstream.opens, circuit.upstream.run) == (1, 2, 0)


def test_trap_13_what_was_held_against_it_before_is_forgotten_when_it_closes() -> None:
    circuit = half_open().good().after(1)
    for _ in range(5):
        circuit.bad(lasted=0.5)
    assert circuit.state is State.CLOSED


# clocks -----------------------------------------------------------------------------------------------------------


def test_trap_16_a_worker_s_clock_that_is_ahead_holds_nothing_against_the_future() -> None:
    circuit = Circuit()
    ahead = Seen(fault=Fault.RATE_LIMITED, at=circuit.now + timedelta(hours=1), job="x")
    circuit.tell(Tally(era=0, faults=(ahead,), ok=1, good=(Mark(at=ahead.at, job="y"),)))
    assert {mark.at for mark in (*circuit.upstream.faults, *circuit.upstream.good)} == {circuit.now}
    assert circuit.upstream.cut_at == circuit.now
    assert circuit.after(61).tick().upstream.faults == ()


def test_trap_16_a_clock_far_behind_opens_nothing_out_of_the_past() -> None:
    circuit = Circuit()
    seen = tuple(Seen(fault=Fault.DOWN, at=circuit.now - timedelta(hours=1), job=str(n)) for n in range(9))
    assert circuit.tell(Tally(era=0, faults=seen)).state is State.CLOSED


# hostile answers --------------------------------------------------------------------------------------------------


def test_a_retry_after_is_never_shortened() -> None:
    circuit = Circuit(replace(API, count=None, rate=None)).bad(retry_after=300)
    for wait in (0, -5, 10, 299):
        assert circuit.bad(retry_after=wait).shut == 300
    assert circuit.after(299).bad(retry_after=60).shut == 60


@pytest.mark.parametrize(
    ("asked", "waited"),
    [(0, 0), (-1, 0), (-1e9, 0), (0.25, 0.25), (1e9, 86_400), (timedelta.max.total_seconds(), 86_400)],
)
def test_a_hostile_retry_after_is_bounded(asked: float, waited: float) -> None:
    assert Circuit().bad(Fault.OVERLOADED, retry_after=min(asked, 86_399_999_999_999)).shut == waited


def test_a_retry_after_told_beside_the_success_that_closes_still_holds() -> None:
    circuit = half_open().tick(5)
    seen = Seen(fault=Fault.RATE_LIMITED, at=circuit.now, retry_after=seconds(40))
    circuit.tell(Tally(era=circuit.upstream.era, ok=1, faults=(seen,)))
    assert (circuit.state, circuit.shut) == (State.CLOSED, 40)


def test_a_job_s_own_fault_may_ask_for_nothing() -> None:
    assert Circuit().bad(Fault.BAD_REQUEST, retry_after=60).shut == 0


def test_the_same_arguments_give_the_same_value() -> None:
    tally = Tally(era=0, ok=1, good=(Mark(at=START),), faults=(Seen(fault=Fault.SLOW, at=START),), retries=1)
    present = Present(now=START, dice=0.3, running=4)
    assert observe(Upstream(), tally, QUEUE, present) == observe(Upstream(), tally, QUEUE, present)
    assert tick(Upstream(), QUEUE, present) == Upstream()
