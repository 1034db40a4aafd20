"""arq on Redis, with retries as its documentation shows them."""

import uvloop
from arq import Retry, create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from common import SCALE, SLOTS, URL, call_async, load_async, serve

SETTINGS = RedisSettings.from_dsn(URL)
POLL = 0.5
SHORTEST_POLL = 0.05


async def work(ctx, tenant, job):
    try:
        await call_async(tenant, job)
    except Exception as exc:
        raise Retry(defer=ctx["job_try"] * 5 / SCALE) from exc


async def load_all():
    pool = await create_pool(SETTINGS)
    await load_async(lambda tenant, job: pool.enqueue_job("work", tenant, job))
    await pool.aclose()


async def run():
    worker = Worker(
        functions=[work], redis_settings=SETTINGS, max_jobs=SLOTS, poll_delay=max(POLL / SCALE, SHORTEST_POLL)
    )
    await worker.async_run()


async def ending():
    """Jobs whose result is a failure."""
    pool = await create_pool(SETTINGS)
    results = await pool.all_job_results()
    await pool.aclose()
    return {"dead": sum(not result.success for result in results)}


if __name__ == "__main__":
    serve(
        work=lambda: uvloop.run(run()),
        load=lambda: uvloop.run(load_all()),
        ending=lambda: uvloop.run(ending()),
    )
