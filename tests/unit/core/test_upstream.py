"""What claims need to know of an upstream: blocks, operators, pace, the budget of retries, and eras."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.unit.core.circuits import START, Circuit, seconds
from tidegate.core.breaker import reset
from tidegate.core.fault import Fault
from tidegate.core.rules import API, PROVIDER, Rules
from tidegate.core.upstream import (
    FOREVER,
    Override,
    State,
    Tally,
    Upstream,
    balance,
    fenced,
    gate,
    may_retry,
    quiet,
    shut_until,
    slow_after,
    state,
)
from tidegate.core.verbs import Gate, Pace


def test_one_never_heard_of_holds_nothing_back() -> None:
    assert gate(Upstream(), API, "a", START) == Gate(name="a")
    assert quiet(Upstream())


def test_an_open_one_says_until_when_and_admits_one_after_that() -> None:
    circuit = Circuit().opened()
    assert circuit.gate == Gate(name="a", not_before=circuit.now + seconds(30), limit=1, era=circuit.upstream.era)
    assert not quiet(circuit.upstream)


# blocks -----------------------------------------------------------------------------------------------------------


def test_a_used_up_quota_blocks_for_ten_minutes_then_twice_as_long_up_to_an_hour() -> None:
    circuit, waits = Circuit(), []
    for _ in range(5):
        circuit.bad(Fault.QUOTA)
        waits.append(circuit.shut / 60)
        circuit.after(circuit.shut)
    assert waits == [10, 20, 40, 60, 60]
    assert circuit.upstream.block is Fault.QUOTA
    assert circuit.good().state is State.CLOSED
    assert circuit.upstream.block is None


def test_a_quota_that_says_when_it_is_filled_again_is_tried_then() -> None:
    assert Circuit().bad(Fault.QUOTA, retry_after=7200).shut == 7200
    assert Circuit().bad(Fault.QUOTA, retry_after=0).shut == 5


def test_a_credential_is_blocked_when_it_was_refused_twice_in_a_row() -> None:
    circuit = Circuit().bad(Fault.AUTH).good().bad(Fault.AUTH)
    assert circuit.state is State.CLOSED
    assert circuit.bad(Fault.AUTH).state is State.OPEN
    assert circuit.upstream.block is Fault.AUTH
    assert circuit.shut == 600


def test_a_probe_whose_credential_was_refused_once_is_repeated_at_once() -> None:
    circuit = Circuit().opened()
    circuit.after(30).bad(Fault.AUTH)
    assert circuit.state is State.HALF_OPEN
    assert circuit.bad(Fault.AUTH).shut == 600


def test_a_probe_refused_again_while_blocked_waits_longer_at_once() -> None:
    circuit = Circuit().bad(Fault.AUTH).bad(Fault.AUTH)
    assert circuit.after(600).bad(Fault.AUTH).shut == 1200


def test_a_probe_of_a_block_that_fails_otherwise_makes_it_a_common_opening() -> None:
    circuit = Circuit().bad(Fault.QUOTA)
    assert circuit.after(600).bad(Fault.SERVER_ERROR).shut == 30
    assert circuit.upstream.block is None


# operators --------------------------------------------------------------------------------------------------------


def test_forced_open_nothing_is_claimed_until_it_expires() -> None:
    circuit = Circuit().decide(Override.OPEN, 90)
    assert (circuit.state, circuit.shut) == (State.OPEN, 90)
    assert circuit.after(90).tick().state is State.CLOSED
    assert [change.author for change in circuit.upstream.log] == ["expiry", "ada"]


def test_forced_open_without_an_end_holds_for_ever() -> None:
    circuit = Circuit().decide(Override.OPEN)
    assert circuit.after(1e8).tick().gate.not_before == FOREVER
    assert circuit.decide(None).shut == 0


def test_forced_open_ends_no_earlier_than_what_lies_beneath() -> None:
    circuit = Circuit().bad(Fault.QUOTA).decide(Override.OPEN, 5)
    assert (circuit.shut, circuit.gate.limit) == (600, 1)


def test_forced_closed_no_rule_opens_it_but_a_retry_after_and_the_limit_hold() -> None:
    circuit = Circuit(running=10).decide(Override.CLOSED, 60)
    for _ in range(20):
        circuit.bad(Fault.RATE_LIMITED, retry_after=7).bad(Fault.QUOTA)
    assert (circuit.state, circuit.shut, circuit.gate.limit) == (State.CLOSED, 7, 8)


def test_forced_closed_slow_calls_open_nothing_either() -> None:
    circuit = Circuit(running=1).decide(Override.CLOSED)
    for _ in range(20):
        circuit.after(10).slow(10)
    assert circuit.state is State.CLOSED


def test_forced_closed_over_an_open_one_lets_calls_through_and_a_success_closes_it() -> None:
    circuit = Circuit().opened().decide(Override.CLOSED, 10)
    assert (circuit.state, circuit.shut, circuit.upstream.state) == (State.CLOSED, 0, State.OPEN)
    assert circuit.good().upstream.state is State.CLOSED


def test_switched_off_nothing_at_all_is_held_back() -> None:
    circuit = Circuit(replace(API, limit=3, pace=Pace(period=seconds(1)))).bad(retry_after=60).opened()
    assert circuit.decide(Override.OFF).gate == Gate(name="a", era=circuit.upstream.era)


@pytest.mark.parametrize("word", Override)
def test_what_lies_beneath_shows_again_when_a_word_expires(word: Override) -> None:
    circuit = Circuit().opened().decide(word, 10)
    assert circuit.after(10).tick().shut == 20
    assert circuit.state is State.OPEN
    assert circuit.upstream.override is None


def test_calls_that_an_operator_let_through_change_no_waiting_time() -> None:
    circuit = Circuit().bad(Fault.QUOTA).decide(Override.OFF, 60)
    circuit.bad(Fault.RATE_LIMITED).bad(Fault.SERVER_ERROR).bad(Fault.QUOTA)
    assert circuit.after(60).tick().shut == 540


def test_a_word_holds_up_to_its_end_and_not_at_it() -> None:
    circuit = Circuit().decide(Override.OPEN, 10)
    end = circuit.now + seconds(10)
    assert state(circuit.upstream, end - timedelta(microseconds=1)) is State.OPEN
    assert state(circuit.upstream, end) is State.CLOSED
    assert shut_until(circuit.upstream, end) is None


def test_a_reset_closes_drops_the_operator_s_word_and_ramps_up() -> None:
    circuit = Circuit().bad(Fault.QUOTA).decide(Override.OPEN)
    circuit.keep(reset(circuit.upstream, circuit.rules, circuit.present, "ada"))
    assert (circuit.state, circuit.shut, circuit.gate.limit) == (State.CLOSED, 0, 2)
    newest = circuit.upstream.log[0]
    assert (newest.to, newest.why, newest.author) == ("closed", "reset", "ada")


def test_a_reset_lifts_a_retry_after_too() -> None:
    circuit = Circuit().bad(retry_after=50)
    circuit.keep(reset(circuit.upstream, circuit.rules, circuit.present, "ada"))
    assert circuit.shut == 0


# pace and limit ---------------------------------------------------------------------------------------------------


def test_a_pace_that_an_answer_asked_for_holds_until_it_ends() -> None:
    circuit, pace = Circuit(), Pace(period=seconds(2))
    circuit.tell(Tally(era=0, pace=pace, pace_until=circuit.now + seconds(30)))
    assert circuit.after(29).tick().gate.pace == pace
    assert circuit.after(1).gate.pace is None
    assert circuit.tick().upstream.pace is None


def test_no_answer_can_ask_for_a_pace_for_longer_than_a_day() -> None:
    circuit = Circuit().tell(Tally(era=0, pace=Pace(period=seconds(60)), pace_until=FOREVER))
    assert circuit.after(86_400).gate.pace is None


def test_calls_that_no_claim_was_made_for_use_up_the_pace_of_claims() -> None:
    circuit = Circuit(replace(API, pace=Pace(period=seconds(2), burst=2)))
    circuit.tell(Tally(era=0, starts=5))
    assert circuit.gate.not_before == circuit.now + seconds(5 * 2)
    assert shut_until(circuit.upstream, circuit.now) is None  # whoever calls without a claim is not held back
    circuit.after(4).tell(Tally(era=0, starts=1))
    assert circuit.gate.not_before == circuit.now + seconds(10 - 4 + 2)
    assert circuit.after(8).gate.not_before is None


def test_they_hold_back_claims_for_a_minute_at_most() -> None:
    circuit = Circuit(replace(API, pace=Pace(period=seconds(1))))
    circuit.tell(Tally(era=0, starts=10_000)).tell(Tally(era=0, starts=10_000))
    assert circuit.gate.not_before == circuit.now + seconds(60)


def test_without_a_pace_they_cost_nothing() -> None:
    assert Circuit().tell(Tally(era=0, starts=10_000)).gate == Gate(name="a")


def test_of_two_paces_the_slower_one_holds() -> None:
    circuit = Circuit(replace(API, pace=Pace(period=seconds(1), burst=5)))
    assert circuit.gate.pace == Pace(period=seconds(1), burst=5)
    circuit.tell(Tally(era=0, pace=Pace(period=seconds(3)), pace_until=circuit.now + seconds(9)))
    assert circuit.gate.pace == Pace(period=seconds(3))


def test_of_two_limits_the_smaller_one_holds() -> None:
    circuit = Circuit(replace(API, limit=5), running=10)
    assert circuit.gate.limit == 5
    assert circuit.bad(Fault.RATE_LIMITED).gate.limit == 5
    assert circuit.closed_again().gate.limit == 2


# retries ----------------------------------------------------------------------------------------------------------


def test_ten_retries_may_be_made_and_then_one_for_each_ten_successes() -> None:
    circuit = Circuit()
    assert may_retry(circuit.upstream, circuit.now, spent=9)
    assert not may_retry(circuit.upstream, circuit.now, spent=10)
    circuit.tell(Tally(era=0, retries=10))
    assert not may_retry(circuit.upstream, circuit.now)
    assert not may_retry(circuit.good(9).upstream, circuit.now)
    assert may_retry(circuit.good(1).upstream, circuit.now)


def test_time_gives_retries_back_too_ten_a_minute_and_never_more_than_ten() -> None:
    circuit = Circuit().tell(Tally(era=0, retries=50))
    assert balance(circuit.upstream, circuit.now + seconds(6)) == 1
    assert balance(circuit.upstream, circuit.now + seconds(3600)) == 10
    assert balance(circuit.upstream, circuit.now - seconds(3600)) == 0


# slow calls and what is usual -------------------------------------------------------------------------------------


def test_a_call_is_slow_beyond_four_times_what_is_usual_and_beyond_ten_seconds() -> None:
    assert slow_after(Upstream(), API) == seconds(10)
    assert slow_after(Circuit().good(took=5).upstream, API) == seconds(20)
    assert slow_after(Upstream(), PROVIDER) is None


def test_what_is_usual_follows_slowly_and_slow_calls_do_not_move_it() -> None:
    circuit = Circuit().good(took=5).good(took=15)
    assert circuit.upstream.usual == pytest.approx(5.5)
    assert circuit.slow(5).upstream.usual == pytest.approx(5.5)
    assert circuit.good(100, took=15).upstream.usual == pytest.approx(10.25)


# eras -------------------------------------------------------------------------------------------------------------


def test_a_gate_that_gets_a_limit_gets_a_new_era_and_one_that_keeps_or_loses_it_does_not() -> None:
    limited = replace(API, limit=3)
    first = fenced(Upstream(), limited, START)
    assert first.era == START.timestamp() * 1000
    assert fenced(first, limited, START + seconds(1)) is first
    freed = fenced(first, API, START)
    assert (freed.era, freed.limited) == (first.era, False)
    assert fenced(freed, limited, START).era == first.era + 1


def test_outcomes_from_before_a_new_era_still_count_where_nothing_opened_or_closed() -> None:
    circuit = Circuit(running=10)
    for _ in range(6):
        circuit.after(1).bad(Fault.RATE_LIMITED, era=0)
    assert circuit.state is State.OPEN


def test_only_successes_worth_telling_are_told() -> None:
    assert not quiet(Circuit().bad().upstream)
    assert not quiet(Circuit().closed_again().upstream)
    assert not quiet(Circuit(Rules(name="none", count=None, rate=None)).bad(Fault.AUTH).upstream)
    assert quiet(Circuit().bad().after(61).tick().upstream)


def test_one_that_has_to_forget_a_pace_is_not_quiet() -> None:
    circuit = Circuit()
    circuit.tell(Tally(era=0, pace=Pace(period=seconds(2)), pace_until=circuit.now + seconds(30)))
    assert not quiet(circuit.upstream)
    assert quiet(circuit.after(30).tick().upstream)
