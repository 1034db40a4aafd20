"""Dramatiq, on Redis, with its Results middleware."""

import os
import sys
from contextlib import contextmanager

import dramatiq
from common import SLOTS, URL, Sync, perform_sync, serve
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=URL)
broker.add_middleware(Results(backend=RedisBackend(url=URL)))
dramatiq.set_broker(broker)


@dramatiq.actor(actor_name="noop", store_results=True)
def noop(i):
    perform_sync(i, "noop")


@dramatiq.actor(actor_name="io", store_results=True)
def io(i):
    perform_sync(i, "io")


@dramatiq.actor(actor_name="long", store_results=True)
def long(i):
    perform_sync(i, "long")


TASKS = {"noop": noop, "io": io, "long": long}


@contextmanager
def blocking():
    yield Sync(one=lambda i, kind: TASKS[kind].send(i))


def work():
    limits = ["--processes", "1", "--threads", str(SLOTS)]
    os.execv(sys.executable, [sys.executable, "-m", "dramatiq", "dramatiq_peer", *limits])


if __name__ == "__main__":
    serve(work=work, blocking=blocking)
