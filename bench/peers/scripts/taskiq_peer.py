"""taskiq, on a Redis list and on a Redis stream."""

import os
import sys
from contextlib import asynccontextmanager

from common import SLOTS, URL, VARIANT, Async, perform, serve
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

RESULTS = RedisAsyncResultBackend(URL, result_ex_time=600)
# Without a socket timeout: the default of redis-py 8 ends an idle list worker every 5 s.
if VARIANT == "stream":
    broker = RedisStreamBroker(URL, socket_timeout=None, xread_count=100).with_result_backend(RESULTS)
else:
    broker = ListQueueBroker(URL, socket_timeout=None).with_result_backend(RESULTS)


@broker.task("noop")
async def noop(i: int) -> None:
    await perform(i, "noop")


@broker.task("io")
async def io(i: int) -> None:
    await perform(i, "io")


@broker.task("long")
async def long(i: int) -> None:
    await perform(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@asynccontextmanager
async def submitter():
    await broker.startup()
    yield Async(one=lambda i, kind: TASKS[kind].kiq(i))
    await broker.shutdown()


def work():
    limits = ["--workers", "1", "--max-async-tasks", str(SLOTS)]
    command = [sys.executable, "-m", "taskiq", "worker", "taskiq_peer:broker", *limits, "--log-level", "WARNING"]
    os.execv(sys.executable, command)


if __name__ == "__main__":
    serve(work=work, submitter=submitter)
