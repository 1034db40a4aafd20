"""How long from submit to start, at a steady rate, through a whole worker."""

import asyncio
import time

from bench.measure import Figure, percentile
from bench.stores import settings
from tidegate.app import Tidegate


async def starts(url: str, rate: float, seconds: float) -> list[float]:
    """Milliseconds from the call of `submit` to the first line of the handler, one a job."""
    async with settings(url, slots=50) as own:
        app = Tidegate(own)
        waits: list[float] = []
        count = int(rate * seconds)
        all_started = asyncio.Event()

        @app.job("noop")
        async def noop(payload: dict[str, float]) -> None:
            waits.append((time.perf_counter() - payload["at"]) * 1_000)
            if len(waits) == count:
                all_started.set()

        async with app:
            began = time.perf_counter()
            for n in range(count):
                await asyncio.sleep(max(began + n / rate - time.perf_counter(), 0))
                await app.submit(noop, {"at": time.perf_counter()})
            await all_started.wait()
        return waits


async def measure(url: str, runs: int, seconds: float) -> list[Figure]:
    """Percentiles at 50 and at 500 jobs/s, `runs` times."""
    figures: list[Figure] = []
    for rate in (50.0, 500.0):
        series = [await starts(url, rate, seconds) for _ in range(runs)]
        for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
            values = tuple(percentile(waits, share) for waits in series)
            figures.append(Figure(group=f"submit → start at {rate:g} jobs/s", name=name, unit="ms", values=values))
    return figures
