"""Tidegate itself, through its public library and `tidegate worker`."""

import os
import sys

import httpx
import uvloop
from common import (
    EMBEDDED,
    FOLDER,
    HERE,
    ORDERS,
    PROVIDER,
    SCALE,
    SLOTS,
    TENANTS,
    TIMEOUT,
    URL,
    load_async,
    path,
    serve,
)

from tidegate import Tidegate, load
from tidegate.core.query import JobQuery
from tidegate.core.rules import API, scaled

SETTINGS = {
    "engine": URL,
    "data_dir": str(FOLDER),
    "slots": SLOTS,
    "poll": max(1 / SCALE, 0.1),
    "log_level": "error",
}
app = Tidegate(load(**SETTINGS))
for tenant in TENANTS:
    app.upstream(tenant, rules=scaled(API, SCALE))
clients = []


async def post(tenant, job):
    if not clients:
        clients.append(httpx.AsyncClient(base_url=PROVIDER, timeout=TIMEOUT))
    body = {"model": "tidegate-small", "messages": [{"role": "user", "content": "hello"}]}
    answer = await clients[0].post(path(tenant), json=body, headers={"X-Job-Id": job})
    answer.raise_for_status()


@app.job("call.a", upstream="a")
async def call_a(payload: dict[str, str]) -> None:
    await post("a", payload["job"])


@app.job("call.b", upstream="b")
async def call_b(payload: dict[str, str]) -> None:
    await post("b", payload["job"])


JOBS = {"a": call_a, "b": call_b}


async def load_all():
    """On an embedded store one process owns the file, so that the one that submits is the worker too."""
    async with app if EMBEDDED else app.connected():
        await load_async(lambda tenant, job: app.submit(JOBS[tenant], {"job": job}))


async def prepare():
    async with app.connected():
        pass


def work():
    settings = {f"TIDEGATE_{name.upper()}": str(value) for name, value in SETTINGS.items()}
    os.chdir(HERE)
    command = [sys.executable, "-m", "tidegate", "worker", "tidegate_system:app"]
    os.execve(sys.executable, command, {**os.environ, **settings})


def change(tenant, one):
    """A transition of a breaker."""
    until = one.until and one.until.timestamp()
    return {"upstream": tenant, "at": one.at.timestamp(), "to": one.to, "why": one.why, "until": until}


async def ending():
    """What the store says of each job but the first ones, and what the breakers say of themselves."""
    async with app.connected():
        jobs, query = [], JobQuery(limit=200)
        while True:
            page = await app.find(query)
            jobs += page.jobs
            if page.next is None:
                break
            query = JobQuery(limit=200, after=page.next)
        await app.system.upstreams.keeper.refresh()
        logs = {tenant: app.system.upstreams.upstream(f"upstream:{tenant}").log for tenant in TENANTS}
    done = sum(job.status == "succeeded" for job in jobs)
    return {
        "dead": sum(job.status == "failed" for job in jobs),
        "done": done - ORDERS["warm_jobs"],
        "charged": sum(job.attempts for job in jobs) - done,
        "history": [change(tenant, one) for tenant, log in logs.items() for one in reversed(log)],
    }


if __name__ == "__main__":
    serve(
        work=work,
        load=lambda: uvloop.run(load_all()),
        ending=lambda: uvloop.run(ending()),
        prepare=lambda: uvloop.run(prepare()),
    )
