"""What holds of every line, and of every way to share between queues."""

from collections import Counter
from collections.abc import Mapping, Sequence

from hypothesis import assume, given
from hypothesis import strategies as st

from tidegate.core.fairness import charge, rank, share, turns, weight

flows = st.lists(
    st.tuples(st.sampled_from(["ada", "bob", "eve"]), st.sampled_from([0, 1, 3, 9])), min_size=1, max_size=60
)


def lined_up(arrivals: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The order in which jobs are claimed that became ready together in one line."""
    last: dict[tuple[str, int], float] = {}
    ranked = []
    for place, flow in enumerate(arrivals):
        last[flow] = rank(0.0, last.get(flow), flow[1])
        ranked.append((last[flow], place, flow))
    return [flow for _, _, flow in sorted(ranked)]


@given(st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.integers(0, 9))
def test_a_rank_is_behind_the_line_and_behind_the_flow_and_never_behind_a_lower_priority(
    virtual: float, last: float | None, priority: int
) -> None:
    mine = rank(virtual, last, priority)
    assert mine > virtual
    assert last is None or mine > last
    assert mine <= rank(virtual, last, 0)


@given(flows)
def test_everybody_gets_his_weight_s_share_while_he_waits(arrivals: Sequence[tuple[str, int]]) -> None:
    """Between any two flows that both wait, neither is served more than one job beyond its share."""
    waiting, served = Counter(arrivals), Counter[tuple[str, int]]()
    for flow in lined_up(arrivals):
        served[flow] += 1
        waiting[flow] -= 1
        for other in (other for other, left in waiting.items() if left > 0 and other != flow):
            ahead = (served[flow] - 1) / weight(flow[1]) - served[other] / weight(other[1])
            assert ahead <= 1 / weight(other[1])


@given(st.integers(0, 50), st.integers(0, 20))
def test_even_parts_are_enough_and_hardly_more(remaining: int, lanes: int) -> None:
    part = share(remaining, lanes)
    assert part * max(lanes, 1) >= remaining
    assert part == 0 or (part - 1) * max(lanes, 1) < remaining


# queues ----------------------------------------------------------------------------------------------------


weights_of_queues = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 19), min_size=1)
limits = st.lists(st.integers(0, 9), min_size=1, max_size=60)


def taken_from(
    asked_for: int, weights: Mapping[str, int], served: Mapping[str, float], ready: Mapping[str, int]
) -> tuple[dict[str, int], Mapping[str, float]]:
    """One claim: first up to the quotas, then whatever is left; what it took, and what is owed then."""
    asked = turns(weights, served, asked_for)
    assert sorted(turn.queue for turn in asked) == sorted(weights)
    assert sum(turn.quota for turn in asked) == asked_for
    taken = {turn.queue: min(turn.quota, ready[turn.queue]) for turn in asked}
    for turn in asked:
        taken[turn.queue] += min(asked_for - sum(taken.values()), ready[turn.queue] - taken[turn.queue])
    return taken, charge(weights, served, asked, taken)


@given(weights_of_queues, limits)
def test_busy_queues_get_their_shares_to_within_a_job_a_cycle(weights: Mapping[str, int], asked: Sequence[int]) -> None:
    cycle = sum(weights.values())
    got: Counter[str] = Counter()
    served: Mapping[str, float] = {}
    everything = dict.fromkeys(weights, 1_000)
    for limit in asked:
        taken, served = taken_from(limit, weights, served, everything)
        got.update(taken)
        for queue in weights:
            assert got[queue] > got.total() * weights[queue] / cycle - 1.000001
            assert got.total() % cycle or abs(got[queue] - got.total() * weights[queue] / cycle) <= 1.000001


@given(
    weights_of_queues,
    st.lists(
        st.tuples(st.integers(0, 9), st.lists(st.sampled_from([0, 1, 3, 99]), min_size=8, max_size=8)), max_size=60
    ),
)
def test_no_queue_is_starved_by_others_that_come_and_go(
    weights: Mapping[str, int], asked: Sequence[tuple[int, Sequence[int]]]
) -> None:
    assume(len(weights) > 1)
    busy, total, mine = min(weights), 0, 0
    served: Mapping[str, float] = {}
    for limit, others in asked:
        ready = {**dict(zip(sorted(weights), others, strict=False)), busy: 1_000}
        taken, served = taken_from(limit, weights, served, ready)
        total, mine = total + sum(taken.values()), mine + taken[busy]
        assert mine > total * weights[busy] / sum(weights.values()) - len(weights)


@given(weights_of_queues, limits)
def test_what_is_owed_stays_small(weights: Mapping[str, int], asked: Sequence[int]) -> None:
    served: Mapping[str, float] = {}
    for limit in asked:
        _, served = taken_from(limit, weights, served, dict.fromkeys(weights, 1_000))
        assert min(served.values()) == 0.0
        assert max(served.values()) <= 1.000001
