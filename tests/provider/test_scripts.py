"""What holds when, and what becomes of a call: pure, so without a server."""

import math
from statistics import fmean

import pytest

from tidegate.provider.decision import Verdict, decide, draws
from tidegate.provider.reading import load, read
from tidegate.provider.script import Script, Step, compile_tenant

NO_CHANCE = (0.0, 0.5, 0.5)


def _script(phases: str, scale: float = 1.0, *, repeat: bool = False) -> Script:
    found = read(f"repeat: {str(repeat).lower()}\ntenants: {{a: {{latency: 1s, phases: [{phases}]}}}}", "test")
    return compile_tenant(found.tenants["a"], scale, repeat=repeat)


def _name(script: Script, elapsed: float) -> str:
    return script.at(elapsed)[0].name


def test_a_phase_holds_from_its_start_until_the_next_and_the_last_for_good() -> None:
    script = _script("{for: 10s, does: healthy}, {for: 5s, does: quota}, {for: 1s, does: auth}")
    assert [_name(script, at) for at in (0, 9.999, 10, 14.999, 15, 16, 1e9)] == [
        *("healthy", "healthy", "quota", "quota", "auth", "auth", "auth")
    ]


def test_a_timeline_that_repeats_begins_anew() -> None:
    script = _script("{for: 10s, does: healthy}, {for: 5s, does: quota}", repeat=True)
    assert [_name(script, at) for at in (14, 15, 25, 30, 1511)] == ["quota", "healthy", "quota", "healthy", "quota"]


def test_everything_that_lasts_is_divided_by_the_scale() -> None:
    script = _script("{for: 20s, does: rate_limit, retry_after: 20s, latency: {uniform: [10s, 40s]}}", scale=10)
    step = script.steps[0]
    assert (step.end, step.hint, step.takes.least, step.takes.most) == (2, 2, 1, 4)


def test_a_capacity_that_changes_does_so_evenly() -> None:
    script = _script("{for: 100s, does: healthy, capacity: {from: 10, to: 60}}, {does: healthy}")
    step = script.steps[0]
    assert [step.capacity_at(at) for at in (0, 1.9, 2, 50, 99.9)] == [10, 10, 11, 35, 59]
    assert script.steps[1].capacity_at(200) is None


def test_recovery_of_o1_ends_where_the_full_capacity_begins() -> None:
    script = compile_tenant(load("o1").tenants["a"], 10, repeat=False)
    assert [script.at(at)[0].capacity_at(at) for at in (0, 6, 29.9, 30, 36, 41.999, 42)] == [
        *(60, None, None, 10, 35, 59, 60)
    ]


def _step(phase: str) -> Step:
    return _script(f"{phase}, {{does: healthy}}").steps[0]


def test_a_call_too_many_is_refused_whatever_the_phase_and_knows_no_exact_hint() -> None:
    step = _step("{for: 9s, does: server_error, capacity: 2, retry_after: exact}")
    assert decide(step, 1, 1, NO_CHANCE).status == 500
    decision = decide(step, 1, 2, NO_CHANCE)
    assert (decision.status, decision.verdict, decision.latency, decision.retry_after) == (
        *(429, Verdict.REFUSED, 0, None),
    )


def test_an_exact_hint_is_the_time_that_is_left() -> None:
    step = _step("{for: 9s, does: rate_limit, retry_after: exact}")
    assert decide(step, 7.5, 0, NO_CHANCE).retry_after == 1.5


def test_the_part_that_does_not_misbehave_is_served_as_in_health() -> None:
    step = _step("{for: 9s, does: rate_limit, share: 0.25, latency: 5s}")
    assert [decide(step, 0, 0, (chance, 0.5, 0.5)).verdict for chance in (0, 0.249, 0.25, 0.99)] == [
        *(Verdict.REFUSED, Verdict.REFUSED, Verdict.SERVED, Verdict.SERVED)
    ]
    assert [decide(step, 0, 0, (chance, 0.5, 0.5)).latency for chance in (0, 0.9)] == [5, 1]


@pytest.mark.parametrize(
    ("latency", "mean", "least", "most"),
    [
        ("{mean: 2s, sigma: 0.5}", 2, 0.1, 20),
        ("{uniform: [10s, 40s]}", 25, 10, 40),
        ("3s", 3, 3, 3),
        ("0s", 0, 0, 0),
    ],
)
def test_latencies_have_the_mean_and_the_bounds_that_are_asked_for(
    latency: str, mean: float, least: float, most: float
) -> None:
    takes = _step(f"{{for: 9s, does: slow, latency: {latency}}}").takes
    drawn = [takes.draw(*draws(1, "a", number)[1:]) for number in range(20_000)]
    assert math.isclose(fmean(drawn), mean, rel_tol=0.03)
    assert least <= min(drawn)
    assert max(drawn) <= most


def test_chance_is_the_same_for_a_seed_and_another_for_another() -> None:
    one = [draws(1, "a", number) for number in range(100)]
    assert one == [draws(1, "a", number) for number in range(100)]
    assert all(0 <= value < 1 for drawn in one for value in drawn)
    others = [draws(2, "a", 0), draws(1, "b", 0), draws(1, "a", 1)]
    assert len({one[0], *others}) == 4
