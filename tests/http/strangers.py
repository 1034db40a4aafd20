"""A world in which one user owns a thing of every kind, and what a stranger could ask of every route to get at it."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum, auto
from pathlib import Path
from typing import Final

import httpx2

from tests.http.calls import ended
from tests.http.handlers import application
from tests.http.reach import plain_settings, reached
from tests.worker.house import url_of
from tidegate.app import Tidegate
from tidegate.core.access import Role
from tidegate.core.job import JobId
from tidegate.core.upstream import Override
from tidegate.upstreams import UPSTREAM, gate_of

OWNER: Final = "owner-7c1f"
STRANGER: Final = "stranger-9d2e"
SECRET: Final = "secret-41aa"
"""In the payloads, the names and the tags of all that is the owner's."""

KEY: Final = f"key-{SECRET}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Things:
    """The names of things: those of the owner, or of none that ever were. `own` and `receiver` are the stranger's."""

    done: str = "01890000-0000-7000-8000-000000000001"
    dead: str = "01890000-0000-7000-8000-000000000002"
    queued: str = "01890000-0000-7000-8000-000000000003"
    delivery: str = "01890000-0000-7000-8000-000000000004"
    webhook: str = "0" * 16
    upload: str = "upload:01890000-0000-7000-8000-000000000005"
    schedule: str = "at-no-time-at-all"
    result: str = "01890000-0000-7000-8000-000000000001/1-00000000/result.json"
    own: str = "01890000-0000-7000-8000-000000000006"
    receiver: str = "1" * 16

    @property
    def jobs(self) -> tuple[str, ...]:
        """All jobs."""
        return self.done, self.dead, self.queued, self.delivery

    @property
    def names(self) -> Mapping[str, str]:
        """What everything is that is the owner's, by its name; a name that stands in another comes after it."""
        upload_id = self.upload.removeprefix("upload:")
        jobs = {self.done: "done", self.dead: "dead", self.queued: "queued", self.delivery: "delivery"}
        return {self.result: "result", **jobs, upload_id: "upload", self.webhook: "webhook", self.schedule: "schedule"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request: what stands in the path, and what goes with it. What is `everybodys` is for operators to ask."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    everybodys: bool = False


class Verdict(StrEnum):
    """What a stranger must be told."""

    UNKNOWN = auto()  # the very same as of what never was
    BLIND = auto()  # something, in which nothing of the owner's is
    OPERATORS = auto()  # either of these, but to operators, who see all
    ROLE = auto()  # that this is for others
    STREAM = auto()  # what comes by and by, looked at apart


@dataclass(frozen=True, slots=True)
class Row:
    """What is asked of one route, and what must come of it."""

    verdict: Verdict
    asks: Callable[[Things], Sequence[Ask]]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """One open application, and how strangers ask it, by the way they are let in."""

    app: Tidegate
    api: httpx2.AsyncClient
    things: Things
    strangers: Mapping[str, Mapping[str, str]]

    async def standing(self) -> object:
        """How the owner's things stand in the store."""
        engine, things = self.app.system.engine, self.things
        jobs = await engine.get([JobId(job_id) for job_id in things.jobs])
        schedules = await engine.load("schedule", [f"{things.schedule}/{OWNER}"])
        return jobs, schedules, await engine.load("webhook", [things.webhook])

    def enter(self, way: str) -> None:
        """Let strangers in that way."""
        changes = {"auth": "none", "auth_role": "writer"} if way == "proxied" else {"auth": "keys"}
        settings = self.app.system.settings.model_copy(update=changes)
        object.__setattr__(self.app.system, "settings", settings)


WAYS: Final[Mapping[bool, Sequence[str]]] = {True: ("user's key", "service's key"), False: ("proxied", "open")}
"""How a stranger may get in, where there are keys and where not. `open`: on this machine, before there is any."""


@asynccontextmanager
async def world(store: str, folder: Path, *, keyed: bool) -> AsyncIterator[World]:
    """A world on that store."""
    async with url_of(store, folder) as url:
        app = application(plain_settings(folder / "data").model_copy(update={"engine": url}))
        async with reached(app, worker=False) as api:
            del api.headers["X-User-ID"]
            things = await _filled(app, api)
            named = {"X-User-ID": STRANGER}
            strangers: dict[str, Mapping[str, str]] = dict.fromkeys(WAYS[keyed], named)
            if keyed:
                admin = await _key(api, {}, Role.ADMIN, None)
                strangers["user's key"] = await _key(api, admin, Role.WRITER, STRANGER)
                strangers["service's key"] = {**await _key(api, admin, Role.WRITER, None), **named}
            yield World(app=app, api=api, things=things, strangers=strangers)


async def _key(api: httpx2.AsyncClient, admin: Mapping[str, str], role: Role, user_id: str | None) -> Mapping[str, str]:
    made = await api.post("/keys", json={"name": "k", "role": role, "user_id": user_id}, headers=admin)
    return {"Authorization": f"Bearer {made.json()['key']}"}


async def _filled(app: Tidegate, api: httpx2.AsyncClient) -> Things:
    """Make a thing of every kind. Nothing of it moves any more, for no worker is left."""
    owner, stranger = {"X-User-ID": OWNER}, {"X-User-ID": STRANGER}

    async def made(path: str, headers: Mapping[str, str], body: object) -> dict[str, str]:
        answer = await api.post(path, json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        told: dict[str, str] = answer.json()
        return told

    tagged = {"tags": [SECRET]}
    done = (await made("/jobs", owner, {"type": "chart", "idempotency_key": KEY, **tagged}))["job_id"]
    dead = (await made("/jobs", owner, {"type": "broken", "max_attempts": 1, **tagged}))["job_id"]
    own = (await made("/jobs", stranger, {"type": "chart"}))["job_id"]
    worker = app.system.worker()
    await worker.start()
    paths = {job_id: (await ended(app, job_id)).result_path for job_id in (done, dead, own)}
    await worker.stop()
    payload = {"text": SECRET}
    queued = (await made("/jobs", owner, {"type": "echo", "payload": payload, "delay": 3600, **tagged}))["job_id"]
    sent = {**owner, "X-File-Name": f"{SECRET}.csv"}
    upload = (await api.post("/uploads", content=SECRET.encode(), headers=sent)).json()["file"]
    schedule = {"expression": "0 3 1 1 *", "type": "echo", "payload": payload}
    assert (await api.put(f"/schedules/at-{SECRET}", json=schedule, headers=owner)).status_code == 201
    keyed = {**owner, "Idempotency-Key": KEY}
    webhook = (await made("/webhooks", keyed, {"url": f"https://93.184.216.34/{SECRET}"}))["id"]
    delivery = (await made(f"/webhooks/{webhook}/test", owner, None))["job_id"]
    receiver = (await made("/webhooks", stranger, {"url": "https://93.184.216.34/"}))["id"]
    gate = gate_of(UPSTREAM, f"webhook.{webhook}")
    await app.system.upstreams.override(gate, Override.OPEN, author=OWNER)
    return Things(
        done=done,
        dead=dead,
        queued=queued,
        delivery=delivery,
        webhook=webhook,
        upload=upload,
        schedule=f"at-{SECRET}",
        result=(paths[done] or "").removeprefix("jobs/"),
        own=own,
        receiver=receiver,
    )
