"""Any sequence of calls has the answers, and leaves the state, that the memory engine has and leaves."""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.conformance import drafts
from tests.conformance.drafts import Draft
from tests.conformance.harness import STORES
from tests.conformance.world import WINDOWS, World
from tidegate.core.job import Status

Action = st.SearchStrategy["partial[object]"]

batches = st.lists(drafts.drafts, min_size=1, max_size=5)
some = st.lists(drafts.places, min_size=1, max_size=3)
ended = st.sampled_from([(Status.FAILED, Status.CANCELLED), (Status.FAILED,), tuple(Status)])
any_of = st.sampled_from([(Status.RUNNING,), (Status.QUEUED,), tuple(Status)])
runs = st.lists(st.tuples(drafts.places, drafts.endings, drafts.waited_endings), min_size=1, max_size=3)
gates = st.lists(st.tuples(drafts.gate_values, drafts.closed_for, st.booleans()), max_size=2)
takes = st.lists(st.tuples(st.sampled_from(sorted(WINDOWS)), st.integers(1, 3)), min_size=1, max_size=3)
unknown = st.booleans()

ACTIONS: dict[Action, int] = {
    st.builds(partial, st.just(World.submit), batch=batches): 3,
    st.builds(partial, st.just(World.claim), request=drafts.requests | drafts.generous_requests): 2,
    st.builds(
        partial,
        st.just(World.work),
        request=drafts.generous_requests,
        progress=drafts.progress,
        endings=st.lists(drafts.endings, min_size=1, max_size=4),
        twice=st.booleans(),
    ): 5,
    st.builds(partial, st.just(World.doze), request=drafts.requests, within=st.sampled_from([0.0, 0.9, 1.0])): 2,
    st.builds(partial, st.just(World.renew), places=some, progress=drafts.progress, lease_for=drafts.lease_times): 2,
    st.builds(partial, st.just(World.settle), runs=runs, then=st.lists(drafts.drafts, max_size=1)): 3,
    st.builds(
        partial,
        st.just(World.reclaim),
        request=drafts.reclaims,
        keep=st.lists(drafts.places, max_size=2),
        only=st.none() | some,
    ): 2,
    st.builds(partial, st.just(World.repeat), place=drafts.places): 2,
    st.builds(partial, st.just(World.wait), leap=drafts.leaps): 1,
    st.builds(partial, st.just(World.wait_for_a_job), place=drafts.places, early=st.booleans()): 1,
    st.builds(partial, st.just(World.wait_for_a_lease), place=drafts.places, early=st.booleans()): 2,
    st.builds(partial, st.just(World.cancel), statuses=any_of, places=some, unknown=unknown): 1,
    st.builds(partial, st.just(World.revive), statuses=ended, places=some, unknown=unknown): 1,
    st.builds(partial, st.just(World.dismiss), statuses=ended, places=some, unknown=unknown): 1,
    st.builds(partial, st.just(World.prune), after=drafts.retentions, limit=st.sampled_from([1, 100])): 1,
    st.builds(
        partial,
        st.just(World.swap),
        key=st.sampled_from(sorted(drafts.GATES)),
        values=gates,
        fate=st.sampled_from(["written", "written", "written", "deleted", "stale"]),
    ): 2,
    st.builds(partial, st.just(World.take), asked=takes): 1,
    st.builds(partial, st.just(World.give_back)): 1,
    st.builds(partial, st.just(World.announce), owner=drafts.owners, live_for=st.sampled_from([0.0, 5.0])): 1,
    st.builds(partial, st.just(World.find), query=drafts.queries): 1,
}
"""What may happen next, and how often."""

WEIGHTED = [action for action, weight in ACTIONS.items() for _ in range(weight)]


class Explorer(RuleBasedStateMachine):
    """One rule with weights instead of many rules: most of many would do little, and some would be left out."""

    store: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.store)

    def teardown(self) -> None:
        self.world.close()

    @initialize(batch=st.lists(drafts.drafts, min_size=3, max_size=8))
    def begin(self, batch: Sequence[Draft]) -> None:
        self.world.submit(batch)

    @rule(action=st.sampled_from(WEIGHTED).flatmap(lambda action: action))
    def act(self, action: "partial[object]") -> None:
        action(self.world)

    @invariant()
    def both_show_the_same(self) -> None:
        self.world.look()


def explore(store_name: str, *, examples: int, calls: int) -> None:
    """Look for a sequence of calls on which a store and the memory engine differ."""

    class OnThisStore(Explorer):
        store = store_name

    run_state_machine_as_test(OnThisStore, settings=settings(max_examples=examples, stateful_step_count=calls))


def lives(store: str, examples: int) -> int:
    """The memory engine is only held against itself."""
    return examples // 4 if store == "memory" else examples


@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_specification_does(store: str) -> None:
    explore(store, examples=lives(store, 100), calls=40)


@pytest.mark.slow
@pytest.mark.parametrize("store", STORES)
def test_a_store_answers_as_the_specification_does_in_long_lives(store: str) -> None:
    explore(store, examples=lives(store, 12), calls=150)
