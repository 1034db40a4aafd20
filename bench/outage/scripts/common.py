"""What the scripts share: the call to the provider, the load, the commands. Standard library only.

A script is run by its library's own interpreter as `script.py COMMAND`, with its orders as JSON in `PEER`: `prepare`
makes the schema, `work` runs jobs until the process is ended, `load` submits them, `ending` says what became of them.
"""

import asyncio
import http.client
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ORDERS = json.loads(os.environ["PEER"])
URL = ORDERS["url"]
SLOTS = ORDERS.get("slots", 10)
VARIANT = ORDERS["variant"]
EMBEDDED = ORDERS["embedded"]
PROVIDER = ORDERS.get("provider", "")
SCALE = ORDERS.get("scale", 1.0)
TIMEOUT = ORDERS.get("timeout", 30.0)
FOLDER = Path(ORDERS["folder"])
HERE = str(Path(__file__).parent)
TENANTS = ("a", "b")

BODY = json.dumps({"model": "tidegate-small", "messages": [{"role": "user", "content": "hello"}]})


class Failed(Exception):
    """An answer that is none."""


def path(tenant):
    """Where a tenant's calls go."""
    return f"/{tenant}/v1/chat/completions"


def call(tenant, job):
    """One call, in a thread. Raises Failed, or an OSError when nothing comes in time."""
    connection = http.client.HTTPConnection(urlsplit(PROVIDER).netloc, timeout=TIMEOUT)
    try:
        connection.request("POST", path(tenant), BODY, {"Content-Type": "application/json", "X-Job-Id": job})
        answer = connection.getresponse()
        answer.read()
        if answer.status >= 400:
            raise Failed(answer.status)
    finally:
        connection.close()


async def call_async(tenant, job):
    """One call, on a loop. Raises Failed, or TimeoutError when nothing comes in time."""
    where = urlsplit(PROVIDER)
    head = [f"POST {path(tenant)} HTTP/1.1", f"Host: {where.netloc}", "Content-Type: application/json"]
    head += [f"Content-Length: {len(BODY)}", f"X-Job-Id: {job}", "Connection: close", "", BODY]
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        try:
            writer.write("\r\n".join(head).encode())
            status = int((await reader.readline()).split()[1])
            await reader.read()
        finally:
            writer.close()
    if status >= 400:
        raise Failed(status)


def plan():
    """When which tenant's jobs are submitted, in seconds since the start of the script."""
    return json.loads((FOLDER / "arrivals.json").read_text())


def warm_jobs():
    """Jobs that are done before the script begins."""
    return [(TENANTS[n % 2], f"warm{n}") for n in range(ORDERS["warm_jobs"])]


def begin():
    """Start the script; its zero on the monotonic clock, and by the wall."""
    connection = http.client.HTTPConnection(urlsplit(PROVIDER).netloc, timeout=30)
    connection.request("POST", "/control/start")
    elapsed = json.loads(connection.getresponse().read())["elapsed"]
    connection.close()
    return time.monotonic() - elapsed, time.time() - elapsed


def await_file(name):
    """Until the benchmark says so."""
    while not (FOLDER / name).exists():
        time.sleep(0.02)


def load(submit):
    """Submit everything at its time, one after the other; blocking."""
    for tenant, job in warm_jobs():
        submit(tenant, job)
    await_file("go")
    zero, wall = begin()
    called = []
    for number, (at, tenant) in enumerate(plan()):
        time.sleep(max(zero + at - time.monotonic(), 0))
        called.append(time.monotonic() - zero)
        submit(tenant, f"{tenant}{number}")
    answer({"zero": zero, "wall": wall, "called": called})


async def load_async(submit):
    """Submit everything at its time, however long it takes. On an embedded store, jobs then run on until `stop`."""
    await asyncio.gather(*(submit(tenant, job) for tenant, job in warm_jobs()))
    await asyncio.to_thread(await_file, "go")
    zero, wall = begin()
    called = []
    async with asyncio.TaskGroup() as calls:
        for number, (at, tenant) in enumerate(plan()):
            await asyncio.sleep(max(zero + at - time.monotonic(), 0))
            called.append(time.monotonic() - zero)
            calls.create_task(submit(tenant, f"{tenant}{number}"))
    answer({"zero": zero, "wall": wall, "called": called})
    if EMBEDDED:
        await asyncio.to_thread(await_file, "stop")


def answer(found):
    """Leave the answer where the benchmark looks for it, whole."""
    written = Path(ORDERS["out"] + ".new")
    written.write_text(json.dumps(found))
    written.rename(ORDERS["out"])


def serve(*, work, load, ending, prepare=None):
    """Do the command that the script was called with."""
    commands = {"work": work, "load": load, "ending": lambda: answer(ending()), "prepare": prepare or (lambda: None)}
    commands[sys.argv[1]]()
