"""Whether a verb costs more when more jobs lie in the store: 10k against 1M, for every way they may lie."""

import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from statistics import median

from bench.jobs import claim, fill, fresh, job, settle
from bench.measure import Figure
from tidegate.clock import SystemClock, token
from tidegate.core.job import Lane, NewJob
from tidegate.core.verbs import Gate, Swap
from tidegate.ports import Engine

BATCH = 100
ROUNDS = 30
YEAR = timedelta(days=365)
PARKED = Lane(upstream="down")

Fill = Callable[[Engine, int], Awaitable[None]]


async def one_user(engine: Engine, count: int) -> None:
    """Ready for one user."""
    await fill(engine, lambda _: job(), count)


async def many_users(engine: Engine, count: int) -> None:
    """Ready for 100,000 users."""
    await fill(engine, lambda n: job(user=f"user-{n % 100_000}"), count)


async def many_lanes(engine: Engine, count: int) -> None:
    """Ready in 1,000 lanes."""
    await fill(engine, lambda n: job(lane=Lane(upstream=f"up-{n % 1_000}")), count)


async def future(engine: Engine, count: int) -> None:
    """Due next year, and a few ready."""
    await fill(engine, lambda _: job(delay=YEAR), count)
    await one_user(engine, 2 * BATCH * ROUNDS)


async def parked(engine: Engine, count: int) -> None:
    """Behind a closed gate, beside an open lane."""
    gate = Gate(name="upstream:down", not_before=SystemClock().now() + YEAR)
    await engine.swap(Swap(kind="upstream", key="down", value=b"{}", expected=0, nonce=token(), gates=(gate,)))
    await fill(engine, lambda _: job(lane=PARKED), count)
    await one_user(engine, 2 * BATCH * ROUNDS)


async def finished(engine: Engine, count: int) -> None:
    """Finished, and a few ready."""
    for _ in range(0, count, 1_000):
        await fill(engine, lambda _: job(), 1_000)
        await settle(engine, await claim(engine, 1_000))
    await one_user(engine, 2 * BATCH * ROUNDS)


SHAPES: dict[str, Fill] = {
    "ready, one user": one_user,
    "ready, 100,000 users": many_users,
    "ready, 1,000 lanes": many_lanes,
    "due next year": future,
    "behind a closed gate": parked,
    "finished": finished,
}


async def costs(engine: Engine, make: Callable[[], NewJob]) -> dict[str, float]:
    """Milliseconds a batch of 100: submit, claim, settle; the median of 30 rounds."""
    taken: dict[str, list[float]] = {"submit": [], "claim": [], "settle": []}
    for _ in range(ROUNDS):
        batch = [make() for _ in range(BATCH)]
        instants = [time.perf_counter()]
        await engine.submit(batch)
        instants.append(time.perf_counter())
        claimed = await claim(engine, BATCH)
        instants.append(time.perf_counter())
        await settle(engine, claimed)
        instants.append(time.perf_counter())
        for verb, start, end in zip(taken, instants, instants[1:], strict=False):
            taken[verb].append((end - start) * 1_000)
    return {verb: median(values) for verb, values in taken.items()}


async def measure(url: str, runs: int, sizes: tuple[int, int]) -> list[Figure]:
    """For each shape and size, `runs` measurements on one filled store, and the large one's ratio to the small."""
    figures: list[Figure] = []
    for shape, filler in SHAPES.items():
        by_size = [await _measured(url, filler, size, runs) for size in sizes]
        for verb in ("submit", "claim", "settle"):
            small, large = (tuple(run[verb] for run in series) for series in by_size)
            ratio = tuple(after / median(small) for after in large)
            group = "ms for 100 jobs, by how many lie in the store"
            for size, values in zip(sizes, (small, large), strict=True):
                figures.append(Figure(group=group, name=f"{verb}, {size:,} {shape}", unit="ms", values=values))
            figures.append(Figure(group=group, name=f"{verb}, {shape}: large over small", unit="x", values=ratio))
    return figures


async def _measured(url: str, filler: Fill, size: int, runs: int) -> list[dict[str, float]]:
    async with fresh(url) as engine:
        await filler(engine, size)
        return [await costs(engine, job) for _ in range(runs)]
