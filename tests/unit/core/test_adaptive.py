"""How many calls run at once: after an outage, after a congestion, and when nothing is wrong any more."""

from dataclasses import replace

import pytest

from tests.unit.core.circuits import Circuit, seconds
from tidegate.core.adaptive import lifting
from tidegate.core.fault import Fault
from tidegate.core.rules import API, Rules, SlowRule
from tidegate.core.upstream import Seen, State, Tally

LENIENT = replace(API, count=None, rate=None)
"""Never opens by a count: the limit alone is looked at."""


def limits(circuit: Circuit, rounds: int) -> list[int | None]:
    """The limit after each of so many successes."""
    return [circuit.after(0.1).good().gate.limit for _ in range(rounds)]


# the ramp ---------------------------------------------------------------------------------------------------------


def test_a_ramp_adds_one_with_each_success_up_to_half_of_what_ran_and_then_one_a_round() -> None:
    circuit = Circuit(running=10).closed_again()
    assert circuit.gate.limit == 2
    assert limits(circuit, 3) == [3, 4, 5]
    assert limits(circuit, 6) == [5, 5, 5, 5, 5, 6]


def test_a_ramp_at_most_doubles_however_many_successes_are_told_at_once() -> None:
    circuit = Circuit(running=100).closed_again()
    assert [circuit.after(1).good(1_000).gate.limit for _ in range(4)] == [4, 8, 16, 32]


def test_a_ramp_of_an_upstream_of_which_nothing_is_known_aims_low() -> None:
    circuit = Circuit(running=0)
    circuit.rules = LENIENT
    circuit.bad(Fault.QUOTA).after(600).good()
    assert circuit.upstream.threshold == 4


def test_a_ramp_cut_short_aims_at_the_level_from_before_it() -> None:
    circuit = Circuit(running=40).closed_again()
    level = circuit.upstream.level
    circuit.running = 2
    circuit.opened()
    assert circuit.after(30).good().upstream.level == level


def test_a_rate_limit_while_ramping_opens_nothing_as_long_as_calls_succeed() -> None:
    circuit = Circuit().closed_again()
    for _ in range(40):
        circuit.after(1).good().after(1).bad(Fault.RATE_LIMITED, lasted=0.1)
    assert circuit.state is State.CLOSED


def test_rate_limits_while_ramping_do_open_where_nothing_succeeds() -> None:
    circuit = Circuit().closed_again()
    for _ in range(5):
        assert circuit.after(1).bad(Fault.RATE_LIMITED, lasted=0.1).state is State.CLOSED
    assert circuit.after(1).bad(Fault.RATE_LIMITED, lasted=0.1).state is State.OPEN


def test_any_other_fault_counts_while_ramping_too() -> None:
    assert Circuit().closed_again().opened().state is State.OPEN


# congestion -------------------------------------------------------------------------------------------------------


def test_a_rate_limit_leaves_85_percent_of_what_ran() -> None:
    assert Circuit(running=20).bad(Fault.RATE_LIMITED).gate.limit == 17


@pytest.mark.parametrize("fault", [Fault.OVERLOADED, Fault.SLOW])
def test_a_congestion_that_costs_more_or_says_less_leaves_seven_tenths(fault: Fault) -> None:
    assert Circuit(running=20).bad(fault).gate.limit == 14


def test_a_refused_connection_is_no_congestion() -> None:
    assert Circuit(running=10).bad(Fault.DOWN).gate.limit is None


def test_at_most_one_decrease_for_all_calls_that_were_under_way() -> None:
    circuit = Circuit(LENIENT, running=10).after(10)
    circuit.bad(Fault.RATE_LIMITED, lasted=1).bad(Fault.RATE_LIMITED, lasted=1)
    circuit.after(5).bad(Fault.SLOW, lasted=5)
    assert circuit.gate.limit == 8
    assert circuit.bad(Fault.SLOW, lasted=4.9).gate.limit == 5


def test_eight_faults_of_one_tally_are_one_decrease_whatever_their_order() -> None:
    circuit = Circuit(LENIENT, running=10).after(10)
    seen = [Seen(fault=Fault.RATE_LIMITED, at=circuit.now - seconds(n / 10), lasted=seconds(2)) for n in range(8)]
    assert circuit.tell(Tally(era=0, faults=tuple(seen))).gate.limit == 8


def test_the_limit_never_falls_below_one() -> None:
    circuit = Circuit(LENIENT, running=1)
    for _ in range(30):
        circuit.after(1).bad(Fault.RATE_LIMITED)
    assert circuit.gate.limit == 1


def test_where_nobody_knows_how_many_run_the_limit_is_not_thrown_to_one() -> None:
    assert Circuit(LENIENT, running=0).bad(Fault.RATE_LIMITED).gate.limit == 6


def test_after_a_congestion_the_limit_grows_by_one_a_round() -> None:
    circuit = Circuit(running=10).bad(Fault.OVERLOADED)
    assert limits(circuit, 8) == [7, 7, 7, 7, 7, 7, 7, 8]


def test_without_congestion_for_a_minute_there_is_no_limit_any_more() -> None:
    circuit = Circuit(running=10).bad(Fault.OVERLOADED)
    assert circuit.after(59.9).tick().gate.limit == 7
    assert circuit.after(0.1).tick().gate.limit is None
    assert circuit.after(1).tick().upstream.faults == ()


def test_a_limit_that_binds_is_kept_however_long_there_was_no_congestion() -> None:
    circuit = Circuit(running=10).bad(Fault.OVERLOADED).after(60)
    assert lifting(circuit.upstream, circuit.rules, circuit.now)
    assert circuit.tick(running=4).gate.limit == 7
    assert circuit.tick(running=3).gate.limit is None
    assert not lifting(circuit.upstream, circuit.rules, circuit.now)


def test_calls_claimed_before_the_limit_was_lowered_do_not_lower_it_again() -> None:
    circuit = Circuit(running=60).bad(Fault.RATE_LIMITED, lasted=0.1)
    assert circuit.gate.limit == 51
    assert circuit.after(0.03).bad(Fault.RATE_LIMITED, lasted=0.01).gate.limit == 51
    assert circuit.after(0.2).bad(Fault.RATE_LIMITED, lasted=0.1).gate.limit == 43


def test_a_ramp_without_successes_stays_a_ramp() -> None:
    assert Circuit().closed_again().after(3600).tick().gate.limit == 2


def test_the_first_burst_of_refusals_after_a_ramp_is_one_more_congestion() -> None:
    circuit = Circuit().closed_again()
    limits(circuit, 10)
    assert circuit.after(60).tick().gate.limit is None
    circuit.after(5).good()
    for _ in range(20):
        circuit.bad(Fault.RATE_LIMITED, lasted=1)
    assert (circuit.state, circuit.gate.limit) == (State.CLOSED, 8)


def test_a_minute_after_its_limit_went_a_ramp_is_over() -> None:
    circuit = Circuit().closed_again()
    limits(circuit, 10)
    circuit.after(60).tick().after(59).tick()
    assert circuit.upstream.ramping
    assert not circuit.after(1).tick().upstream.ramping


def test_rules_that_adapt_no_more_leave_no_limit_behind() -> None:
    circuit = Circuit().closed_again()
    circuit.rules = replace(API, adapting=None)
    assert circuit.tick().gate.limit is None
    assert circuit.after(1).bad(Fault.RATE_LIMITED).gate.limit is None


# slow calls -------------------------------------------------------------------------------------------------------


def test_many_slow_calls_let_fewer_run_at_once() -> None:
    circuit = Circuit(running=10).slow(9)
    assert circuit.gate.limit is None
    assert circuit.slow(1).gate.limit == 7


def test_a_few_slow_calls_among_many_change_nothing() -> None:
    circuit = Circuit().slow(1).good(100).slow(20)
    assert circuit.gate.limit is None


def test_slow_calls_lower_the_limit_once_in_ten_seconds() -> None:
    circuit = Circuit(running=10).slow(10).after(9).slow(10)
    assert circuit.gate.limit == 7
    assert circuit.after(1).slow(10).gate.limit == 4


def slowed_to_one(rules: Rules = API) -> Circuit:
    circuit = Circuit(rules, running=1)
    while circuit.gate.limit != 1:
        circuit.after(10).slow(10)
    return circuit


def test_it_opens_where_even_one_call_at_a_time_stayed_slow_for_a_minute() -> None:
    circuit = slowed_to_one()
    for _ in range(2):
        assert circuit.after(29.9).tick().slow(1).state is State.CLOSED
    assert circuit.after(30).tick().slow(1).state is State.OPEN
    assert circuit.upstream.why == "slow, one call at a time"


def test_one_quick_call_ends_the_patience_and_the_limit_grows_again() -> None:
    circuit = slowed_to_one().after(50).good()
    assert circuit.gate.limit == 2
    assert circuit.after(30).slow(1).state is State.CLOSED


def test_slow_calls_change_nothing_where_the_rule_is_off() -> None:
    assert Circuit(replace(API, slow=None)).slow(100).gate.limit is None


def test_slow_calls_are_counted_without_a_rate_rule_too() -> None:
    assert Circuit(replace(API, rate=None, slow=SlowRule(calls=4))).slow(4).gate.limit == 7


@pytest.mark.parametrize("gap", [0, 29])
def test_calls_at_different_times_of_the_window_count_together(gap: float) -> None:
    assert Circuit().slow(5).after(gap).slow(5).gate.limit == 7
