"""What headers say of waiting and pacing, and that no header can do harm."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.failure import LONGEST_RETRY_AFTER
from tidegate.llm.headers import duration, hinted, limits, pace, retry_after, until

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
EPOCH = int(NOW.timestamp())


def seconds(found: timedelta | None) -> float | None:
    return None if found is None else found.total_seconds()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", 1), ("2.5", 2.5), ("1s", 1), ("6m0s", 360), ("12ms", 0.012), ("23h3m4.5s", 82_984.5),
        ("1h", 3_600), ("250us", 0.00025), (" 3s ", 3),
        ("0", None), ("-1", None), ("-1s", None), ("nan", None), ("inf", None), ("", None), ("soon", None),
        ("1x", None), ("s", None), ("1 s", None), ("9" * 70, None), ("1e400", None), ("１", None),
    ],
)  # fmt: skip
def test_a_duration_is_read_as_providers_write_it(text: str, expected: float | None) -> None:
    assert seconds(duration(text)) == expected


@pytest.mark.parametrize("text", ["1e9", "999999999999999999", "99999d", "99999999999999999h", "1d2h3m4.5s"])
def test_no_wait_is_longer_than_a_day(text: str) -> None:
    assert duration(text) == LONGEST_RETRY_AFTER


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T12:00:30Z", 30),
        ("2026-11-22T13:00:30+01:00", 30),
        ("Sun, 22 Nov 2026 12:01:00 GMT", 60),
        (str(EPOCH + 7), 7),
        (f"{(EPOCH + 7) * 1_000 + 500}", 7.5),
        ("1m30s", 90),
        ("45", 45),
        ("2026-11-22T11:00:00Z", None),
        (str(EPOCH - 7), None),
        ("1000000000", None),
        ("2026-99-99T00:00:00Z", None),
    ],
)
def test_a_reset_is_a_duration_or_an_instant_told_apart_by_its_form_and_size(text: str, expected: float | None) -> None:
    assert seconds(until(text, NOW)) == expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "2"}, 2),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:05 GMT"}, 5),
        ({"retry-after": "9", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m"}, 9),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m"}, 60),
        ({"anthropic-ratelimit-tokens-remaining": "0", "anthropic-ratelimit-tokens-reset": "2026-11-22T12:00:03Z"}, 3),
        ({"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{EPOCH + 4}000"}, 4),
        ({"x-tokenlimit-remaining": "0", "x-tokenlimit-reset": "8"}, 8),
        ({}, None),
    ],
)
def test_the_most_exact_word_wins(headers: dict[str, str], expected: float | None) -> None:
    assert seconds(retry_after(headers, NOW)) == expected


def test_the_daily_reset_of_a_dimension_with_calls_left_parks_nobody() -> None:
    groq = {
        "x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-requests": "14370",
        "x-ratelimit-reset-requests": "2h59m", "x-ratelimit-limit-tokens": "6000",
        "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s",
    }  # fmt: skip
    assert seconds(retry_after(groq, NOW)) == 7.66


def test_a_date_counts_from_the_providers_own_clock() -> None:
    headers = {"date": "Sun, 22 Nov 2026 15:00:00 GMT", "retry-after": "Sun, 22 Nov 2026 15:00:20 GMT"}
    assert seconds(retry_after(headers, NOW)) == 20


@pytest.mark.parametrize("nonsense", ["-5", "0", "nan", "Sun, 22 Nov 2020 12:00:05 GMT", "tomorrow", "inf", ""])
def test_nonsense_hides_nothing_better(nonsense: str) -> None:
    exhausted = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "30s"}
    assert seconds(retry_after({"retry-after-ms": nonsense, "retry-after": nonsense, **exhausted}, NOW)) == 30


@given(st.dictionaries(
    st.sampled_from([
        "retry-after", "retry-after-ms", "date", "x-ratelimit-reset", "x-ratelimit-remaining", "x-ratelimit-limit",
        "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens", "anthropic-ratelimit-requests-reset",
        "anthropic-ratelimit-requests-remaining", "ratelimit-reset", "ratelimit-remaining",
    ]),
    st.text(max_size=40) | st.from_regex(r"-?[0-9]{1,30}(\.[0-9]+)?(s|ms|h|d|e[0-9]{1,3})?", fullmatch=True)
    | st.datetimes().map(lambda each: each.isoformat()),
), st.integers(-5, 10**12))  # fmt: skip
def test_no_headers_raise_or_ask_for_more_than_a_day(headers: dict[str, str], tokens: int) -> None:
    wait = retry_after(headers, NOW)
    assert wait is None or timedelta(0) < wait <= LONGEST_RETRY_AFTER
    found = pace(headers, NOW, tokens)
    assert found is None or timedelta(0) < found.period <= LONGEST_RETRY_AFTER


@given(st.floats(min_value=0.001, max_value=80_000, allow_nan=False))
def test_a_number_of_seconds_is_kept(wanted: float) -> None:
    found = seconds(retry_after({"retry-after": f"{wanted:.3f}"}, NOW))
    assert found == pytest.approx(float(f"{wanted:.3f}"), abs=1e-6) if float(f"{wanted:.3f}") else found is None


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Rate limit reached for gpt-4o. Limit 3, Used 3. Please try again in 1.2s. Visit the site", 1.2),
        ("Please try again in 6m0s.", 360),
        ("Please retry after 20 seconds.", 20),
        ("try again in 450ms", 0.45),
        ("Please try again in 1 minute", 60),
        ("Retry in 3 hours", 10_800),
        ("There were 12 messages in the last 24h", None),
        ("try again later", None),
        ("try again in 5 swans", None),
        ("", None),
    ],
)
def test_a_message_may_say_the_wait(message: str, expected: float | None) -> None:
    assert seconds(hinted(message)) == expected


@given(st.text(alphabet="try again in 0123456789.smhd", max_size=300))
def test_no_message_raises(message: str) -> None:
    wait = hinted(message)
    assert wait is None or timedelta(0) < wait <= LONGEST_RETRY_AFTER


def _left(remaining: str, name: str = "requests") -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{name}": "1000", f"x-ratelimit-remaining-{name}": remaining,
        f"x-ratelimit-reset-{name}": "60s",
    }  # fmt: skip


def test_what_remains_is_spread_over_the_time_to_the_reset_once_it_is_below_a_twentieth() -> None:
    assert pace(_left("50"), NOW) is None
    found = pace(_left("40"), NOW)
    assert found is not None
    assert (found.period.total_seconds(), found.burst) == (1.5, 1)


def test_tokens_left_are_calls_left_by_the_size_of_the_call_just_made() -> None:
    found = pace(_left("40", "tokens"), NOW, 10)
    assert found is not None
    assert found.period.total_seconds() == 15
    assert pace(_left("40", "tokens"), NOW) is None


def test_nothing_left_means_one_call_a_reset() -> None:
    found = pace({**_left("0"), **_left("900", "tokens")}, NOW)
    assert found is not None
    assert found.period.total_seconds() == 60


def test_dimensions_are_kept_apart() -> None:
    found = {one.name: one.remaining for one in limits({**_left("7"), **_left("9", "tokens")}, NOW)}
    assert found == {"requests": 7, "tokens": 9}
