"""Celery on Redis, with the Redis result backend and pools of threads, since its tasks wait for an answer."""

import os
import random
import sys

import redis
from celery import Celery
from celery.signals import task_failure
from common import SCALE, SLOTS, URL, VARIANT, call, load, serve

app = Celery("celery_system", broker=URL, backend=URL)
app.conf.update(broker_connection_retry_on_startup=True, worker_hijack_root_logger=False)
store = redis.Redis.from_url(URL)
DEAD = "outage-dead"
RETRIES = 3
PLAIN_DELAY = 180


def countdown(retries):
    """What `retry_backoff=True` waits, with its full jitter; or the default delay. Divided by the scale."""
    if VARIANT == "plain":
        return PLAIN_DELAY / SCALE
    return random.randrange(min(600, 2**retries) + 1) / SCALE


@task_failure.connect
def failed(**_):
    """Counted here: the result backend may keep the RETRY of a try that another one's FAILURE overtook."""
    store.incr(DEAD)


@app.task(bind=True, name="work", max_retries=RETRIES)
def work(self, tenant, job):
    """What `autoretry_for=(Exception,)` does."""
    try:
        call(tenant, job)
    except Exception as exc:
        raise self.retry(exc=exc, countdown=countdown(self.request.retries)) from exc


def run():
    name = f"bench@{os.getpid()}"
    app.worker_main(["worker", "-P", "threads", "-c", str(SLOTS), "-n", name, "--loglevel", "CRITICAL"])
    sys.exit()


def ending():
    """Tasks that have failed for good."""
    return {"dead": int(store.get(DEAD) or 0)}


if __name__ == "__main__":
    serve(work=run, load=lambda: load(work.delay), ending=ending)
