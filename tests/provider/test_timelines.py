"""Timelines are read strictly, and a mistake is told with its line."""

from pathlib import Path

import pytest

from tidegate.errors import ConfigError
from tidegate.provider.reading import LARGEST, load, names, read
from tidegate.provider.timeline import Does, Timeline, seconds

GOOD = """
seed: 3
scale: 10
tenants:
  a:
    capacity: 60
    latency: {mean: 1s, sigma: 0.5}
    phases:
      - {at: 0s, for: 1m, does: healthy}
      - {at: 60s, for: 250ms, does: rate_limit, retry_after: exact, share: 0.5}
      - {does: healthy, capacity: {from: 60, to: 60}}
"""


def _phase(text: str) -> str:
    return f"tenants:\n  a:\n    phases:\n      - {text}\n"


def _refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        read(text, "mine.yaml")
    return str(refused.value)


def test_a_timeline_is_read_as_it_is_written() -> None:
    found = read(GOOD, "mine.yaml")
    phases = found.tenants["a"].phases
    assert (found.seed, found.scale, found.repeat) == (3, 10, False)
    assert [phase.lasts for phase in phases] == [60, 0.25, None]
    assert [phase.does for phase in phases] == [Does.HEALTHY, Does.RATE_LIMIT, Does.HEALTHY]


def test_those_that_ship_are_eight_and_each_says_what_it_is_about() -> None:
    of_o1 = ["o1", "o1-quota", "o1-retry-after-20", "o1-retry-after-exact"]
    assert names() == ["black-hole", "brown-out", "healthy", *of_o1, "rate-limits"]
    assert all(load(name).about for name in names())


def test_o1_is_ten_minutes_of_which_tenant_a_is_in_trouble_for_six() -> None:
    found = load("o1")
    assert [phase.lasts for phase in found.tenants["a"].phases] == [60, 120, 60, 60, 120, 180]
    assert [phase.does for phase in found.tenants["b"].phases] == [Does.HEALTHY]


def test_the_kinds_of_o1_differ_in_the_429_only() -> None:
    plain = load("o1")
    for name in ("o1-retry-after-20", "o1-retry-after-exact", "o1-quota"):
        other = load(name)
        differing = [
            number
            for number, (one, two) in enumerate(
                zip(plain.tenants["a"].phases, other.tenants["a"].phases, strict=True), 1
            )
            if one != two
        ]
        assert differing == [2], name
        assert plain.tenants["b"] == other.tenants["b"]


@pytest.mark.parametrize(
    ("value", "found"),
    [("250ms", 0.25), ("10s", 10), ("2m", 120), ("1h", 3600), (5, 5), (0.5, 0.5), (" 3 s", 3), ("0s", 0)],
)
def test_durations_have_units(value: object, found: float) -> None:
    assert seconds(value) == found


@pytest.mark.parametrize("value", ["", "s", "ten", "-1s", "nan", "inf", "1e99h", True, None, [], "31 days", "1d"])
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match=r"no duration|must be between"):
        seconds(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("does: explode", "mine.yaml:4: tenants.a.phases[1].does: Input should be 'healthy'"),
        ("{does: healthy, lateny: 3s}", "mine.yaml:4: tenants.a.phases[1].lateny: Extra inputs are not permitted"),
        ("{does: healthy, for: soon}", "mine.yaml:4: tenants.a.phases[1].for: is no duration"),
        ("{does: healthy, for: -1s}", "tenants.a.phases[1].for: must be between 0 s and 30 days"),
        ("{for: 3s}", "mine.yaml:4: tenants.a.phases[1].does: Field required"),
        ("{does: slow}", "mine.yaml:4: tenants.a.phases[1]: slow needs a latency"),
        ("{does: healthy, share: 0.5}", "a healthy phase has none"),
        ("{does: rate_limit, share: 1.5}", "tenants.a.phases[1].share: Input should be less than or equal to 1"),
        ("{does: server_error, status: 200}", "status 200 is not for server_error: 500, 501, 502 …"),
        ("{does: black_hole, status: 500}", "status 500 is not for black_hole: it has none to choose"),
        ("{does: quota, retry_after: 3s}", "quota answers no retry_after"),
        ("{does: rate_limit, retry_after: later}", "tenants.a.phases[1].retry_after: is no duration"),
        ("{does: healthy, latency: {mean: 1s, uniform: [1s, 2s]}}", "give either mean (and sigma) or uniform"),
        ("{does: healthy, latency: {uniform: [2s, 1s]}}", "uniform is [least, most], and has no sigma"),
        ("{does: healthy, latency: {mean: 1s, sigma: .inf}}", "tenants.a.phases[1].latency.sigma: Input should be"),
        ("{does: healthy, capacity: {from: 1, to: 9}}", "has a capacity that changes, so it needs a `for`"),
        ("{does: healthy, capacity: -1}", "tenants.a.phases[1].capacity"),
        ("{does: healthy, capacity: many}", "tenants.a.phases[1].capacity"),
        ("{does: healthy, for: 0s}", "phase 1 lasts no time"),
        ("{does: healthy, at: 5s}", "phase 1 begins at 5 s, but what is before it ends at 0 s"),
    ],
)
def test_a_wrong_phase_is_told_with_its_line_and_field(text: str, said: str) -> None:
    assert said in _refusal(_phase(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no mapping"),
        ("- a\n- b\n", "is no mapping"),
        ("tenants: {}", "mine.yaml:1: tenants: Dictionary should have at least 1 item"),
        ("seed: 1\n", "tenants: Field required"),
        ("tenants:\n  a: {phases: []}", "mine.yaml:2: tenants.a: phases: there is none"),
        ("tenants:\n  a:\n\tphases: 3", "mine.yaml:3: is no YAML: found character '\\t'"),
        ("tenants:\n  a: [", "mine.yaml:2: is no YAML"),
        ("tenants:\n  a: &x {phases: [*x]}", "mine.yaml:2: tenants.a.phases[1]"),
        ("tenants: !!python/object/apply:os.getcwd []", "mine.yaml:1: is no YAML: could not determine a constructor"),
        ("seed: 1\nseed: 2\n", "mine.yaml:2: seed is given twice"),
        ("tenants:\n  a: {phases: [{does: healthy, does: slow}]}", "mine.yaml:2: does is given twice"),
        ("x: &x {a: 1}\ny: {<<: *x}", "mine.yaml:2: `<<` is not for timelines"),
        ("? [a, b]\n: 1", "mine.yaml:1: a key must be a word"),
        ("[" * 5_000, "is no YAML"),
        ("a: " + "[" * 40 + "]" * 40, "is nested deeper than any timeline"),
        ("scale: 0\n" + _phase("does: healthy"), "mine.yaml:1: scale: Input should be greater than"),
        ("seed: " + "9" * 5_000 + "\n", "is no YAML"),
        ("repeat: true\n" + _phase("does: healthy"), "the last phase of tenant a has no `for`"),
        ("tenants:\n  control: {phases: [{does: healthy}]}", "a tenant can't be called control"),
        ("tenants:\n  ../a: {phases: [{does: healthy}]}", "String should match pattern"),
        (_phase("does: healthy\n      - does: slow\n        latency: 1s"), "phase 2 never begins"),
        ("a: \0", "is no YAML"),
    ],
)
def test_a_hostile_or_careless_file_is_refused_in_a_line(text: str, said: str) -> None:
    message = _refusal(text)
    assert said in message
    assert message.startswith("mine.yaml")


def test_references_that_multiply_are_looked_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    assert "Extra inputs" in _refusal("\n".join(lines))


def test_every_mistake_is_told_at_once() -> None:
    said = _refusal(_phase("{does: explode}\n      - {does: healthy, share: 9}")).splitlines()
    assert [line.split(": ")[0] for line in said] == ["mine.yaml:4", "mine.yaml:5"]


def test_a_file_that_can_t_be_read_is_told_by_name(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_bytes(b" " * (LARGEST + 1))
    binary.write_bytes(b"\xff\xfe")
    for name, said in (
        (str(large), "larger than"),
        (str(binary), "is not UTF-8"),
        (str(tmp_path), "can't be read"),
        ("o2", "no such file, and no timeline that ships (black-hole"),
        ("a\0b", "can't be read"),
    ):
        with pytest.raises(ConfigError, match=r".*") as refused:
            load(name)
        assert said in str(refused.value)


def test_a_timeline_has_a_schema_to_write_it_by() -> None:
    assert "tenants" in Timeline.model_json_schema()["properties"]
