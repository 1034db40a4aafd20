"""Dramatiq on Redis, with its default middleware and its default retries."""

import os
import sys

import dramatiq
from common import HERE, SCALE, SLOTS, URL, call, load, serve
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=URL)
dramatiq.set_broker(broker)
SHORTEST = 15_000
LONGEST = 7 * 24 * 3_600_000


@dramatiq.actor(actor_name="work", min_backoff=int(SHORTEST / SCALE), max_backoff=int(LONGEST / SCALE))
def work(tenant, job):
    call(tenant, job)


def run():
    limits = ["--processes", "1", "--threads", str(SLOTS), "--path", HERE]
    os.execv(sys.executable, [sys.executable, "-m", "dramatiq", "dramatiq_system", *limits])


def ending():
    """Messages that have failed for good."""
    return {"dead": broker.client.zcard("dramatiq:default.XQ")}


if __name__ == "__main__":
    serve(work=run, load=lambda: load(work.send), ending=ending)
