"""What the outage benchmark computes from a log, and what it lets pass."""

import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bench.outage.arrivals import arrivals
from bench.outage.gates import gates
from bench.outage.metrics import Ending, Facts, Submitted, Vector, detected, overload, progress, vector, waits
from bench.outage.oracle import finishes
from bench.outage.results import Result
from bench.outage.roster import SYSTEMS, chosen
from bench.outage.script import Script
from bench.outage.table import show
from tidegate.provider.decision import Verdict
from tidegate.provider.log import Line

SCRIPT = Script.load("o1", 10.0)
SERVED, REFUSED, ABANDONED = Verdict.SERVED, Verdict.REFUSED, Verdict.ABANDONED


def line(job: str, arrived: float, took: float = 0.1, verdict: Verdict = SERVED) -> Line:
    """One call; its tenant is the first letter of its job."""
    return Line(
        id="",
        run=2,
        tenant=job[0],
        arrived=arrived,
        answered=None,
        ended=arrived + took,
        phase="",
        in_flight=0,
        capacity=None,
        verdict=verdict,
        status=None,
        job=job,
    )


def facts(*calls: Line, jobs: dict[str, float] | None = None, ending: Ending | None = None) -> Facts:
    """A run in which each job was submitted at its first call, or when it is said."""
    at: dict[str, float] = {call.job: call.arrived for call in reversed(calls) if call.job} | (jobs or {})
    return Facts(
        script=SCRIPT,
        slots=100,
        submitted=[Submitted(job, job[0], instant) for job, instant in at.items()],
        calls=calls,
        ending=ending or Ending(dead=0),
    )


def kept(**changes: float) -> Vector:
    """A vector that passes every gate, but for the changes."""
    return Vector(**dict.fromkeys(Vector.__dataclass_fields__, 0.0) | changes)


def failing(*vectors: Vector, script: Script = SCRIPT) -> list[str]:
    """The gates that are not kept."""
    return [gate.name for gate in gates(vectors, script) if not gate.kept]


def test_the_scripts_instants_are_scaled() -> None:
    found = (SCRIPT.outage, SCRIPT.refused, SCRIPT.recovery, SCRIPT.healed, SCRIPT.end)
    assert found == pytest.approx((6, 18, 30, 42, 60))


def test_the_capacity_is_none_while_the_upstream_is_down_and_grows_during_recovery() -> None:
    instants = (1.0, 7.0, 25.0, 30.0, 36.0, 50.0)
    assert [SCRIPT.capacity(at, 100) for at in instants] == [60, 0, 0, 10, 35, 60]


def test_failed_calls_are_wasted_only_between_the_outage_and_full_health() -> None:
    calls = [line(f"a{at}", at, 0.5, REFUSED) for at in (5, 7, 41, 43)]
    found = vector(facts(*calls))
    assert (found.wasted, found.wasted_slot_seconds, found.rejected) == (2, 1.0, 1)


def test_a_job_is_lost_that_is_neither_done_nor_dead() -> None:
    run = facts(line("a1", 1), line("b1", 1), jobs={"a2": 1.0, "a3": 1.0}, ending=Ending(dead=1))
    assert vector(run).lost == 1


def test_what_the_store_says_of_done_jobs_counts_more_than_what_the_provider_served() -> None:
    assert vector(facts(line("a1", 1), ending=Ending(dead=0, done=0))).lost == 1


def test_every_failed_call_is_charged_where_nobody_counts_attempts() -> None:
    calls = (line("a1", 7, 0.1, REFUSED), line("a1", 43), line("b1", 1, 3.0, ABANDONED))
    assert vector(facts(*calls)).charged == 2
    assert vector(facts(*calls, ending=Ending(dead=0, charged=0))).charged == 0


def test_a_job_served_twice_is_a_duplicate() -> None:
    assert vector(facts(line("a1", 1), line("a1", 2), line("a2", 2))).duplicates == 1


def test_an_outage_is_detected_when_calls_become_as_rare_as_probes() -> None:
    before = [line(f"a{n}", 6 + n * 0.05, 0.01, REFUSED) for n in range(10)]
    probes = [line(f"a9{n}", 7 + n * 0.5, 0.01, REFUSED) for n in range(20)]
    assert detected(before + probes, SCRIPT) == pytest.approx(0.35 - 0.01, abs=0.051)


def test_a_chance_gap_in_the_calls_is_no_detection() -> None:
    calls = [line(f"a{n}", 6 + n * 0.05 + (n > 20), 0.01, REFUSED) for n in range(300)]
    assert detected(calls, SCRIPT) == math.inf


def test_a_wait_ends_with_the_first_call_of_the_job() -> None:
    calls = [line(f"b{n}", 10.02) for n in range(3)]
    run = facts(*calls, line("b1", 12), jobs={"b0": 10.0, "b1": 10.01, "b2": 10.0})
    assert waits(run, 6, 42) == pytest.approx((20, 20))


def test_a_job_that_is_never_called_for_waits_for_ever() -> None:
    assert waits(facts(jobs={"b0": 10.0}), 6, 42) == (math.inf, math.inf)


def test_a_refused_call_loads_a_recovering_upstream_as_if_it_had_stayed() -> None:
    calls = [line(f"a{n}", 30.0, 0.0, REFUSED) for n in range(30)]
    peak, above = overload(calls, SCRIPT)
    assert (peak, above) == pytest.approx((3.0, 0.1))


def test_calls_within_the_capacity_are_no_overload() -> None:
    peak, above = overload([line(f"a{n}", 30.0, 5.0) for n in range(10)], SCRIPT)
    assert (peak, above) == (1.0, 0.0)


def test_progress_is_measured_from_the_recovery_on() -> None:
    waiting = {f"a{n}": 20.0 for n in range(50)}
    run = facts(*(line(job, 31 + n * 0.02, 0.1) for n, job in enumerate(waiting)), jobs=waiting)
    found = progress(run)
    assert found.goodput(SCRIPT) == 50
    assert found.restored(SCRIPT, rate=20.0) == pytest.approx(1.1)
    assert found.caught_up(SCRIPT, rate=20.0) == pytest.approx(1.1 + 42 * 0.02)
    assert found.drained(SCRIPT) == 0


def test_jobs_that_are_never_served_never_drain() -> None:
    found = progress(facts(jobs={f"a{n}": 20.0 for n in range(50)}))
    assert (found.restored(SCRIPT, 20), found.caught_up(SCRIPT, 20), found.drained(SCRIPT)) == (math.inf,) * 3


def test_the_oracle_calls_only_when_there_is_room() -> None:
    assert finishes([1.0], SCRIPT, 100) == pytest.approx([1.1])
    assert finishes([7.0], SCRIPT, 100) == pytest.approx([30.1], abs=0.006)
    together = finishes([7.0] * 11, SCRIPT, 100)
    assert together == pytest.approx([30.1] * 10 + [30.2], abs=0.006)
    assert finishes([1.0, 1.0], SCRIPT, slots=1) == pytest.approx([1.1, 1.2])


def test_arrivals_are_the_same_for_the_same_seed() -> None:
    found = arrivals(20.0, 60.0, 1)
    assert found == arrivals(20.0, 60.0, 1) != arrivals(20.0, 60.0, 2)
    assert found == sorted(found)
    assert {tenant for _, tenant in found} == {"a", "b"}
    assert 2_200 < len(found) < 2_600


def test_a_faultless_run_passes_every_gate() -> None:
    assert failing(kept()) == []


def test_one_lost_job_in_any_run_fails_although_the_median_is_none() -> None:
    assert failing(kept(), kept(), kept(lost=1), kept(dead=1), kept(charged=1)) == ["lost", "dead", "charged"]


def test_other_figures_are_judged_by_their_median() -> None:
    bad = replace(kept(), wasted=120, detected=2, well_p99=51, overloaded=2, drained=1)
    assert failing(kept(), kept(), bad) == []
    assert failing(kept(), bad, bad) == ["wasted", "detected", "well p99", "overloaded", "drained"]


def test_draining_may_take_half_as_long_again_as_an_oracle_and_the_last_calls() -> None:
    assert failing(kept(drained_oracle=10, drained=15.29)) == []
    assert failing(kept(drained_oracle=10, drained=15.31)) == ["drained"]


def test_more_calls_may_be_wasted_at_full_scale() -> None:
    assert failing(kept(wasted=150), script=Script.load("o1", 1.0)) == []
    assert failing(kept(wasted=101)) == ["wasted"]


def test_the_table_has_a_row_a_system_and_says_which_promise_was_broken() -> None:
    ours, other = (Result(system=name, note="") for name in ("tidegate_redis", "celery"))
    ours.runs += [(1, kept(), []), (2, kept(lost=1), [])]
    other.runs.append((1, kept(dead=7, drained=math.inf), []))
    other.errors.append("seed 2: Broken: it ended")
    written = StringIO()
    show([ours, other], SCRIPT, Console(width=240, file=written))
    lines = written.getvalue().splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["tidegate_redis", "celery", "an", "FAIL", "celery,"]
    assert "lost 1.00 > (!) 0.00" in lines[-2]
    assert "never" in lines[3]


def test_only_tidegate_must_keep_promises_and_a_run_of_it_that_broke_is_a_broken_one() -> None:
    ours, other = (Result(system=name, note="", errors=["seed 1: Broken: it ended"]) for name in ("tidegate_x", "arq"))
    assert not ours.kept(SCRIPT)
    assert other.kept(SCRIPT)


def test_every_system_has_its_script_and_an_unknown_one_is_refused() -> None:
    assert all(Path(system.peer.file).exists() for system in SYSTEMS)
    assert chosen("arq,celery") == [system for name in ("arq", "celery") for system in SYSTEMS if system.name == name]
    with pytest.raises(SystemExit, match="unknown: nobody"):
        chosen("nobody")
