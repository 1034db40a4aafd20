"""Every pair of steps on one running job, one after the other and both at once."""

from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from itertools import combinations_with_replacement, count

import pytest

from tests.conformance.build import claim_one, failure, nonce, reclaim, seconds, settle, submit_one
from tests.conformance.crowd import on_threads
from tests.conformance.harness import Harness
from tests.conformance.ledger import check_history
from tests.conformance.matrix import BOARD, STATES, STEPS, Move, State
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Cancel, Lease, Owner, Retry, Settlement, Succeed, TimedOut
from tidegate.core.lifecycle import LEGAL, TIMEOUT_GRACE, decide
from tidegate.core.verbs import Beat, Settled

DAY = timedelta(days=1)
YEAR = timedelta(days=365)
numbers = count(1)

ENDINGS: dict[str, Settlement] = {
    "complete": Succeed(result=b"1"),
    "fail": Bury(failure=Failure(code="broken", message="it broke", transient=False)),
    "retry": Retry(delay=seconds(1), failure=failure("flaky")),
}


@dataclass(frozen=True)
class Run:
    """One running job whose lease ran out and which is overdue, though nobody has noticed yet."""

    harness: Harness
    lease: Lease
    reaper: Owner = field(default_factory=lambda: Owner(f"reaper-{next(numbers)}"))

    async def do(self, step: str) -> str:
        """Take one step; the answer, "-" where it found nothing to do."""
        engine, job_id = self.harness.engine, self.lease.job.id
        match step:
            case "complete" | "fail" | "retry":
                return await settle(self.harness, self.lease, ENDINGS[step])
            case "cancel":
                return (await engine.cancel([job_id], nonce()))[0]
            case "revive":
                return (await engine.revive([job_id], nonce()))[0]
            case "renew":
                return (await engine.renew([Beat(job_id, self.lease.token)], YEAR))[0]
            case "reclaim":
                return await self._reclaim()
            case "timeout":
                return await self._time_out()
            case "prune":
                self.harness.clock.advance(DAY)
                return await self.prune()
        raise AssertionError(step)

    async def prune(self) -> str:
        """Forget what may be forgotten now."""
        return "pruned" if self.lease.job.id in await self.harness.engine.prune(1_000) else "-"

    async def _reclaim(self) -> str:
        taken = await reclaim(
            self.harness, owner=self.reaper, lease_for=YEAR, overdue_by=100 * YEAR, only=(self.lease.job.id,)
        )
        return taken[0].reason if taken else "-"

    async def _time_out(self) -> str:
        taken = await reclaim(
            self.harness, owner=self.reaper, lease_for=YEAR, overdue_by=TIMEOUT_GRACE, only=(self.lease.job.id,)
        )
        for one in taken:
            settlement = decide(one.lease.job, TimedOut(), now=one.at, dice=0.5)
            answer = await settle(self.harness, one.lease, settlement)
            if answer is Settled.CANCELLING:
                answer = await settle(self.harness, one.lease, Cancel())
            return answer
        return "-"

    async def state(self) -> State | None:
        """What the store shows of the job."""
        (found,) = await self.harness.engine.get([self.lease.job.id])
        if found is None:
            return None
        check_history(found, await self.harness.engine.history(found.id))
        holders = await self.harness.engine.holders()
        names = {self.reaper: "reaper", self.lease.owner: "worker"}
        return State(
            status=found.status,
            holder=next((name for owner, name in names.items() if owner in holders), None),
            asked=found.cancel_requested_at is not None,
            error=found.error.code if found.error else None,
            attempts=found.attempts,
        )


async def running(harness: Harness) -> Run:
    """A job of a type and a worker of its own, so that many can share a store."""
    lease = await _start(harness, f"type-{next(numbers)}")
    harness.clock.advance(seconds(100))
    return Run(harness, lease)


async def _start(harness: Harness, type_: str) -> Lease:
    await submit_one(harness, type=type_, timeout=seconds(60))
    return await claim_one(harness, types=frozenset({type_}), owner=Owner(f"worker of {type_}"))


def test_the_board_is_whole_and_takes_only_legal_steps() -> None:
    assert set(BOARD) == set(STATES)
    for state, moves in BOARD.items():
        assert tuple(moves) == STEPS
        for move in moves.values():
            before, after = STATES[state], STATES[move.state]
            if before is not None and after is not None and before.status is not after.status:
                assert after.status in LEGAL[before.status]
            if after is None:
                assert before is None or before.status.finished


@pytest.mark.parametrize("first", STEPS)
async def test_one_step_after_another_leads_where_the_contract_says(harness: Harness, first: str) -> None:
    for second in STEPS:
        run, expected = await running(harness), BOARD["running"][first]
        assert await run.do(first) == expected.answer, first
        assert await run.state() == STATES[expected.state], first
        expected = BOARD[expected.state][second]
        assert await run.do(second) == expected.answer, (first, second)
        assert await run.state() == STATES[expected.state], (first, second)


def ways() -> dict[str, tuple[str, ...]]:
    """The fewest steps that lead from a running job to each state."""
    found: dict[str, tuple[str, ...]] = {"running": ()}
    for state in (queue := ["running"]):
        for step, move in BOARD[state].items():
            if move.state not in found:
                found[move.state] = (*found[state], step)
                queue.append(move.state)
    return found


async def test_every_step_from_every_state_leads_where_the_contract_says(harness: Harness) -> None:
    known = ways()
    assert set(known) == set(STATES)
    for state, way in known.items():
        for step, expected in BOARD[state].items():
            run = await running(harness)
            for before in way:
                await run.do(before)
            assert await run.state() == STATES[state], way
            assert await run.do(step) == expected.answer, (*way, step)
            assert await run.state() == STATES[expected.state], (*way, step)


def ahead(state: str, step: str) -> Move:
    """As the board, but no day passes before a prune."""
    return Move("-", state) if step == "prune" else BOARD[state][step]


@pytest.mark.parametrize(("one", "other"), list(combinations_with_replacement(STEPS, 2)))
async def test_two_steps_at_once_end_as_one_after_the_other(harness: Harness, one: str, other: str) -> None:
    ends = {
        STATES[ahead(ahead("running", first).state, second).state] for first, second in ((one, other), (other, one))
    }
    for _ in range(2):
        run = await running(harness)
        works = [run.prune if step == "prune" else partial(run.do, step) for step in (one, other)]
        await on_threads(works)
        assert await run.state() in ends
