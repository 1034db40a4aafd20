"""Repid, on Redis streams."""

from contextlib import asynccontextmanager

from common import SLOTS, URL, Async, perform, run, serve
from repid import RedisServer, Repid, Router

app = Repid(title="bench", version="1.0.0")
app.servers.register_server("default", RedisServer(URL, batch_size=min(SLOTS, 100) or 100), is_default=True)
router = Router()


@router.actor
async def noop(i: int) -> None:
    await perform(i, "noop")


@router.actor
async def io(i: int) -> None:
    await perform(i, "io")


@router.actor
async def long(i: int) -> None:
    await perform(i, "long")


app.include_router(router)


@asynccontextmanager
async def submitter():
    async with app.servers.default.connection():
        yield Async(
            one=lambda i, kind: app.send_message_json(channel="default", payload={"i": i}, headers={"topic": kind})
        )


async def work():
    async with app.servers.default.connection():
        await app.run_worker(tasks_limit=SLOTS)


if __name__ == "__main__":
    serve(work=lambda: run(work()), submitter=submitter)
