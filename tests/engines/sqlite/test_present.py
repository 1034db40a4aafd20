"""The store's clock after a wrong reading of the machine's."""

from datetime import UTC, datetime, timedelta

from tidegate.clock import FakeClock
from tidegate.engines.sql.codec import stamp
from tidegate.engines.sql.sqlite.present import Present

TODAY = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = 1_000_000


def test_time_goes_on_at_the_usual_pace_while_the_clock_is_behind_what_was_given_out() -> None:
    clock = FakeClock(TODAY)
    present = Present(clock, 0)
    clock.advance(timedelta(days=3650))
    wrong = present.advance()
    clock.advance(timedelta(days=-3650))

    back = present.advance()
    clock.advance(timedelta(seconds=10))
    later = present.advance()

    assert (back, later) == (wrong, wrong + 10 * SECOND)
    assert present.now() == later


def test_a_store_from_the_future_does_not_stand_still() -> None:
    clock = FakeClock(TODAY)
    ahead = stamp(TODAY + timedelta(days=365))
    present = Present(clock, ahead)
    clock.advance(timedelta(hours=1))

    assert present.advance() == ahead + 3600 * SECOND


def test_the_clock_rules_again_once_it_has_caught_up() -> None:
    clock = FakeClock(TODAY)
    present = Present(clock, stamp(TODAY + timedelta(seconds=5)))
    clock.advance(timedelta(minutes=1))

    assert present.advance() == stamp(TODAY + timedelta(minutes=1))
