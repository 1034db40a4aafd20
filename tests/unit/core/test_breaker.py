"""When an upstream is held back, and how it comes back."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.circuits import Circuit, seconds
from tidegate.core.fault import Fault
from tidegate.core.rules import API, LLM, PROVIDER, QUEUE, OpenTime, RateRule, Rules
from tidegate.core.upstream import Mark, Override, Seen, State, Tally

MIXES = [
    [Fault.SERVER_ERROR] * 6,
    [Fault.SLOW] * 6,
    [Fault.RATE_LIMITED] * 6,
    [Fault.SERVER_ERROR, Fault.SLOW, Fault.RATE_LIMITED, Fault.OVERLOADED, Fault.DOWN, Fault.TRUNCATED],
]


# opening: A10 ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", MIXES)
def test_it_opens_on_exactly_the_sixth_fault_for_thirty_seconds(mix: list[Fault]) -> None:
    circuit = Circuit()
    for fault in mix[:5]:
        assert circuit.bad(fault).after(1).state is State.CLOSED
    assert circuit.bad(mix[5]).state is State.OPEN
    assert circuit.shut == 30


@pytest.mark.parametrize("mix", MIXES)
def test_six_at_the_same_instant_open_too(mix: list[Fault]) -> None:
    circuit = Circuit()
    seen = tuple(Seen(fault=fault, at=circuit.now, job=str(n)) for n, fault in enumerate(mix))
    assert circuit.tell(Tally(era=0, faults=seen[:5])).state is State.CLOSED
    assert circuit.tell(Tally(era=0, faults=seen[5:])).state is State.OPEN


@pytest.mark.parametrize(("last", "expected"), [(60.0, State.OPEN), (60.000001, State.CLOSED)])
def test_the_window_slides_to_the_microsecond(last: float, expected: State) -> None:
    circuit = Circuit()
    for _ in range(5):
        circuit.bad()
    assert circuit.after(last).bad().state is expected


def test_a_window_that_slid_on_counts_what_is_left_in_it() -> None:
    circuit = Circuit().bad().after(30)
    for _ in range(4):
        circuit.bad()
    assert circuit.after(30.5).bad().state is State.CLOSED
    assert circuit.bad().state is State.OPEN


def test_successes_between_do_not_reset_the_count() -> None:
    circuit = Circuit()
    for _ in range(5):
        circuit.bad().after(1).good(100)
    assert circuit.bad().state is State.OPEN


@pytest.mark.parametrize("fault", [Fault.CONTEXT_TOO_LONG, Fault.CONTENT_REFUSED, Fault.INVALID_OUTPUT])
def test_what_is_the_job_s_own_fault_changes_nothing(fault: Fault) -> None:
    circuit = Circuit()
    for _ in range(50):
        circuit.bad(fault)
    assert circuit.upstream == Circuit().upstream


def test_a_longer_retry_after_keeps_it_open_for_longer() -> None:
    circuit = Circuit().bad(retry_after=300)
    for _ in range(5):
        circuit.bad()
    assert circuit.state is State.OPEN
    assert circuit.shut == 300


def test_jitter_only_ever_opens_later() -> None:
    circuit = Circuit(dice=0.5).opened()
    assert circuit.shut == 30 * 1.05


def test_e3_the_rules_for_models_open_on_the_fifth_of_five_in_300_s_for_600_s() -> None:
    circuit = Circuit(LLM)
    for _ in range(4):
        assert circuit.bad().after(75).state is State.CLOSED
    assert circuit.bad().state is State.OPEN
    assert circuit.shut == 600
    assert circuit.after(600).good().state is State.CLOSED


def test_e3_a_probe_that_failed_waits_600_s_again() -> None:
    circuit = Circuit(LLM)
    for _ in range(5):
        circuit.bad()
    for _ in range(9):
        circuit.after(circuit.shut).bad()
        assert circuit.shut == 600


def test_half_of_many_calls_open_it_where_the_count_is_off() -> None:
    circuit = Circuit(Rules(name="rate", count=None, rate=RateRule(share=0.5, calls=20)))
    circuit.bad().good(10)
    for _ in range(8):
        assert circuit.bad().state is State.CLOSED
    assert circuit.bad().state is State.OPEN
    assert circuit.upstream.why == "10 of 20 calls failed"


def test_less_than_half_of_many_calls_do_not() -> None:
    circuit = Circuit(Rules(name="rate", count=None))
    for _ in range(40):
        circuit.bad().good(2).after(1)
    assert circuit.state is State.CLOSED


def test_calls_older_than_the_window_do_not_count_for_the_rate() -> None:
    circuit = Circuit(Rules(name="rate", count=None))
    for _ in range(19):
        circuit.bad()
    assert circuit.after(31).bad().state is State.CLOSED


# queues: B1 to B3 -------------------------------------------------------------------------------------------------


def test_b1_five_rate_limits_in_a_row_pause_for_a_minute() -> None:
    circuit = Circuit(QUEUE)
    for _ in range(4):
        assert circuit.after(1).bad(Fault.RATE_LIMITED).state is State.CLOSED
    assert circuit.after(1).bad(Fault.RATE_LIMITED).state is State.OPEN
    assert circuit.shut == 60
    assert circuit.upstream.why == "5 rate limits in a row"


def test_b2_a_retry_after_beyond_a_minute_is_waited_for() -> None:
    circuit = Circuit(QUEUE)
    for wait in (5, 200, 5, 5, 5):
        circuit.after(1).bad(Fault.RATE_LIMITED, retry_after=wait)
    assert circuit.state is State.OPEN
    assert circuit.shut == 197


def test_b1_eight_calls_at_once_count_as_one() -> None:
    circuit = Circuit(QUEUE)
    for _ in range(4):
        circuit.after(5)
        for _ in range(8):
            circuit.bad(Fault.RATE_LIMITED, lasted=1)
    assert circuit.upstream.run == 4
    assert circuit.state is State.CLOSED


def test_b3_a_success_resets() -> None:
    circuit = Circuit(QUEUE)
    for _ in range(4):
        circuit.after(1).bad(Fault.RATE_LIMITED)
    circuit.after(1).good()
    for _ in range(4):
        assert circuit.after(1).bad(Fault.RATE_LIMITED).state is State.CLOSED
    assert circuit.after(1).bad(Fault.RATE_LIMITED).state is State.OPEN


def test_b3_a_success_from_before_the_last_rate_limit_that_is_told_late_resets_nothing() -> None:
    circuit = Circuit(QUEUE)
    earlier = circuit.now
    for _ in range(4):
        circuit.after(1).bad(Fault.RATE_LIMITED)
    circuit.tell(Tally(era=circuit.upstream.era, ok=1, good=(Mark(at=earlier, job="late"),)))
    assert circuit.after(1).bad(Fault.RATE_LIMITED).state is State.OPEN


def test_b3_a_success_between_two_rate_limits_of_one_tally_resets_as_well() -> None:
    circuit = Circuit(QUEUE)
    for _ in range(4):
        circuit.after(1).bad(Fault.RATE_LIMITED)
    first, then = (Seen(fault=Fault.RATE_LIMITED, at=circuit.now + seconds(n)) for n in (1, 3))
    good = (Mark(at=circuit.now + seconds(2), job="between"),)
    circuit.after(4).tell(Tally(era=circuit.upstream.era, ok=1, good=good, faults=(then, first)))
    assert circuit.state is State.CLOSED
    assert circuit.upstream.run == 1


def test_other_faults_neither_pause_a_queue_nor_end_its_run() -> None:
    circuit = Circuit(QUEUE)
    for _ in range(20):
        circuit.after(1).bad(Fault.SERVER_ERROR)
    assert circuit.shut == 0
    for _ in range(5):
        circuit.after(1).bad(Fault.SERVER_ERROR).after(1).bad(Fault.RATE_LIMITED)
    assert circuit.state is State.OPEN


# parents and poison -----------------------------------------------------------------------------------------------


def heard(circuit: Circuit, *sources: str) -> Circuit:
    seen = tuple(Seen(fault=Fault.DOWN, at=circuit.now, job=str(n), source=name) for n, name in enumerate(sources))
    return circuit.tell(Tally(era=circuit.upstream.era, faults=seen))


def test_a_parent_opens_when_two_of_its_upstreams_are_down_and_not_for_one() -> None:
    assert heard(Circuit(PROVIDER), *"aaaaaaaaaaaa").state is State.CLOSED
    assert heard(Circuit(PROVIDER), *"aaaaab").state is State.OPEN


def test_a_parent_that_closed_has_no_limit() -> None:
    circuit = heard(Circuit(PROVIDER), *"aaaaab")
    assert circuit.gate.limit == 1
    assert circuit.after(30).good().state is State.CLOSED
    assert circuit.gate.limit is None


def test_a_poison_job_opens_nothing_and_slows_nothing_down_while_others_succeed() -> None:
    circuit = Circuit()
    circuit.bad(Fault.SLOW, job="poison")
    limit = circuit.gate.limit
    for _ in range(50):
        circuit.after(1).good().after(1).bad(Fault.SLOW, job="poison").tick()
    assert circuit.state is State.CLOSED
    assert limit is not None
    assert circuit.gate.limit is None or circuit.gate.limit >= limit


def test_its_own_success_does_not_clear_a_job() -> None:
    circuit = Circuit()
    for _ in range(6):
        circuit.after(1).good(job="only").after(1).bad(job="only")
    assert circuit.state is State.OPEN


def test_a_lonely_job_on_a_dead_upstream_does_open_it() -> None:
    circuit = Circuit()
    for _ in range(6):
        circuit.after(1).bad(Fault.DOWN, job="lonely")
    assert circuit.state is State.OPEN


# how long ---------------------------------------------------------------------------------------------------------


def test_the_third_failed_probe_and_every_later_one_waits_longer_up_to_a_minute() -> None:
    circuit, waits = Circuit().opened(), []
    for _ in range(6):
        waits.append(circuit.shut)
        circuit.after(circuit.shut).bad()
    assert waits == [30, 30, 30, 45, 60, 60]


def test_a_close_starts_the_waits_anew() -> None:
    circuit = Circuit().opened()
    for _ in range(5):
        circuit.after(circuit.shut).bad()
    circuit.after(circuit.shut).good().after(1).opened()
    assert circuit.shut == 30


def test_a_probe_that_failed_with_a_retry_after_waits_for_it() -> None:
    circuit = Circuit().opened().after(30).bad(Fault.OVERLOADED, retry_after=120)
    assert circuit.state is State.OPEN
    assert circuit.shut == 120


@pytest.mark.parametrize("factor", [2.0, 10.0, 1_000.0])
def test_any_factor_grows_to_the_cap_and_no_further(factor: float) -> None:
    rules = replace(API, open_time=OpenTime(factor=factor, grace=0, cap=timedelta(hours=1)))
    circuit = Circuit(rules).opened()
    for _ in range(100):
        circuit.after(circuit.shut).bad()
    assert circuit.shut == 3600


def test_each_transition_is_told_with_its_reason_and_no_more_are_kept_than_fit() -> None:
    circuit = Circuit().closed_again().decide(Override.OPEN, 60)
    told = [(change.to, change.why, change.author) for change in circuit.upstream.log]
    assert told == [("override", "open", "ada"), ("closed", "a probe succeeded", ""), ("open", "6 faults in 60 s", "")]
    for _ in range(60):
        circuit.decide(None)
    assert len(circuit.upstream.log) == 50


def test_probes_that_are_rate_limited_in_a_row_are_told_once() -> None:
    circuit = Circuit()
    for _ in range(6):
        circuit.bad(Fault.RATE_LIMITED)
    for _ in range(5):
        circuit.after(circuit.shut).bad(Fault.RATE_LIMITED)
    newest, opened = circuit.upstream.log
    assert (newest.why, newest.until) == ("its probe was rate limited", circuit.upstream.until)
    assert opened.why == "6 faults in 60 s"
