"""Jobs of every kind, and which of them a query is about, spelled out once more."""

import random
from collections.abc import Callable
from datetime import timedelta

from tests.conformance.build import claim_one, failure, lane, new_job, nonce, set_gates, settle, submit, turns
from tests.conformance.harness import Harness
from tidegate.core.failure import Failure
from tidegate.core.job import Bury, Cancel, Defer, Job, JobId, NewJob, Phase, Refund, Retry, Settlement, Status, Succeed
from tidegate.core.query import JobQuery
from tidegate.core.verbs import Gate

HOUR = timedelta(hours=1)
TICK = timedelta(microseconds=1)

LANES = [lane(), lane(queue="high"), lane("a"), lane("a", "p"), lane("b", "p", queue="high"), lane("p", queue="low")]
SHUT = ["queue:low", "upstream:b", "upstream:p"]
"""Gates with a `not_before` ahead; `upstream:a` has one that is over."""

TAGS = ["red", "re", "d", "%", "_", "red,blue", '"', ""]
MESSAGES = ["Upstream said NO", "100% wrong_thing\\n", "ÉTAT dégradé", "straße", "nothing 'special'", ""]
CODES = ["timeout", "processing_error", "OWN_Code"]
TEXTS = [
    "no",
    "NO",
    "%",
    "_",
    "\\",
    "0% w",
    "wrong_",
    "wrong-",
    "État",
    "dÉgradé",
    "STRASSE",
    "'",
    "own_code",
    "out",
    "",
]


async def populate(harness: Harness, dice: random.Random, jobs: int = 80) -> list[JobId]:
    """Jobs of every kind, in a store whose gates are partly shut."""
    made = [await _one(harness, dice) for _ in range(jobs)]
    now = harness.clock.now()
    shut = (Gate(name=name, not_before=now + HOUR) for name in SHUT)
    await set_gates(harness, *shut, Gate(name="upstream:a", not_before=now), Gate(name="queue:high"))
    return made


async def _one(harness: Harness, dice: random.Random) -> JobId:
    harness.advance(dice.choice([0, 0, 0.000001, 1]))
    delay = dice.choice([timedelta(0), timedelta(0), HOUR, TICK])
    wanted = new_job(
        type=dice.choice(["work", "Work", "other"]),
        user_id=dice.choice(["ada", "Ada", ""]),
        lane=dice.choice(LANES),
        tags=tuple(dice.sample(TAGS, dice.randrange(4))),
        delay=delay,
    )
    (made,) = await submit(harness, wanted)
    if delay == timedelta(0) and dice.random() < 0.8:
        await _run(harness, dice, wanted, failure(dice.choice(CODES), dice.choice(MESSAGES)))
    return made


async def _run(harness: Harness, dice: random.Random, wanted: NewJob, told: Failure) -> None:
    """Claim a job like `wanted` and end it, or don't."""
    lease = await claim_one(harness, turns=turns(wanted.spec.lane.queue), types=frozenset({wanted.spec.type}))
    endings: list[Settlement | None] = [
        None,
        Succeed(),
        Succeed(degraded=True),
        Bury(failure=told),
        Retry(delay=timedelta(0), failure=told),
        Retry(delay=HOUR, failure=told),
        Defer(delay=dice.choice([timedelta(0), HOUR]), refund=Refund.CRASH, lane=dice.choice(LANES)),
        Cancel(),
    ]
    ending = dice.choice(endings)
    if ending is not None:
        await settle(harness, lease, ending)
    if isinstance(ending, Bury) and dice.random() < 0.5:
        await harness.engine.dismiss([lease.job.id])
    elif isinstance(ending, Bury | Cancel) and dice.random() < 0.3:
        await harness.engine.revive([lease.job.id], nonce())


# the oracle ------------------------------------------------------------------------------------------------


def phase_of(found: Job, harness: Harness) -> Phase:
    """What the stored status means, spelled out once more."""
    upstreams = {f"upstream:{name}" for name in (found.lane.upstream, *found.lane.parents) if found.lane.upstream}
    if found.status is Status.QUEUED and found.run_at > harness.clock.now():
        return Phase.RETRYING if found.counters.runs > found.counters.base else Phase.SCHEDULED
    if found.status is Status.QUEUED and f"queue:{found.lane.queue}" in SHUT:
        return Phase.PAUSED
    if found.status is Status.QUEUED:
        return Phase.PARKED if upstreams & set(SHUT) else Phase.READY
    if found.status is Status.FAILED:
        return Phase.FAILED if found.dismissed_at else Phase.DEAD_LETTER
    if found.status is Status.SUCCEEDED:
        return Phase.DEGRADED if found.degraded else Phase.SUCCEEDED
    return Phase(found.status.value)


def folded(text: str) -> str:
    """ASCII letters in lower case, the others as they are."""
    return text.encode().lower().decode()


def said(found: Job, text: str) -> bool:
    """Whether the error's code or message holds the text."""
    told = found.error
    return told is not None and any(folded(text) in folded(part) for part in (told.code, told.message))


def passes(found: Job, query: JobQuery, harness: Harness) -> bool:
    """Whether a job is what a query asks for."""
    checks: list[tuple[object, Callable[[], bool]]] = [
        (query.status, lambda: found.status is query.status),
        (query.phase, lambda: phase_of(found, harness) is query.phase),
        (query.type, lambda: found.spec.type == query.type),
        (query.queue, lambda: found.lane.queue == query.queue),
        (query.upstream, lambda: found.lane.upstream == query.upstream),
        (query.user_id, lambda: found.spec.user_id == query.user_id),
        (query.tag, lambda: query.tag in found.spec.tags),
        (query.created_from, lambda: query.created_from is None or found.created_at >= query.created_from),
        (query.created_before, lambda: query.created_before is None or found.created_at < query.created_before),
        (query.error_text, lambda: said(found, query.error_text or "")),
    ]
    return all(holds() for wanted, holds in checks if wanted is not None)
