"""How many jobs a second: submitted in bulk, one by one, by many at once; and drained by a worker."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from bench.jobs import fresh, job
from bench.measure import Figure
from bench.stores import settings
from tidegate.app import Tidegate
from tidegate.core.job import Status
from tidegate.core.query import JobQuery


async def bulk(url: str, count: int) -> float:
    """Jobs a second, 500 in each call."""
    async with fresh(url) as engine:
        batches = [[job() for _ in range(500)] for _ in range(count // 500)]
        started = time.perf_counter()
        for batch in batches:
            await engine.submit(batch)
        return count / (time.perf_counter() - started)


async def one_by_one(url: str, count: int) -> float:
    """Jobs a second, each awaited before the next."""
    async with fresh(url) as engine:
        started = time.perf_counter()
        for _ in range(count):
            await engine.submit([job()])
        return count / (time.perf_counter() - started)


async def concurrent(url: str, count: int, callers: int = 64) -> float:
    """Jobs a second, by callers that each await their own."""
    async with fresh(url) as engine:

        async def caller() -> None:
            for _ in range(count // callers):
                await engine.submit([job()])

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return count / (time.perf_counter() - started)


async def drain(url: str, count: int, slots: int) -> float:
    """Jobs a second through a whole worker: claimed, run, settled, with history, in one process."""
    async with settings(url, slots=slots) as own:
        app = Tidegate(own)
        left = count
        done = asyncio.Event()

        @app.job("noop")
        async def noop() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                done.set()

        async with app.connected():
            engine = app.system.engine
            for _ in range(count // 500):
                await engine.submit([job() for _ in range(500)])
            worker = app.system.worker()
            started = time.perf_counter()
            await worker.start()
            await done.wait()
            await _settled(app)
            took = time.perf_counter() - started
            await worker.stop()
        return count / took


async def _settled(app: Tidegate) -> None:
    """Until no job runs any more: the last endings are part of the work."""
    running = JobQuery(status=Status.RUNNING, limit=1)
    for _ in range(2_000):
        if not (await app.find(running)).jobs:
            return
        await asyncio.sleep(0.005)
    raise AssertionError("jobs are still running 10 s after the last handler returned")


async def measure(url: str, runs: int, count: int) -> list[Figure]:
    """All of it, `runs` times."""
    few = max(count // 10, 500)
    shapes: dict[str, Callable[[], Awaitable[float]]] = {
        "submit in bulk (500 a call)": lambda: bulk(url, count),
        "submit one by one, awaited": lambda: one_by_one(url, few),
        "submit by 64 at once": lambda: concurrent(url, few),
        "drain, 1 worker, 200 slots": lambda: drain(url, count, 200),
        "drain, 1 worker, 10 slots": lambda: drain(url, few, 10),
    }
    return [
        Figure(group="throughput", name=name, unit="jobs/s", values=tuple([await shape() for _ in range(runs)]))
        for name, shape in shapes.items()
    ]
