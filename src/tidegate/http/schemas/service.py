"""The service about itself: that it lives, that it is ready, and which job types it knows."""

from typing import Literal

from tidegate.http.schemas.base import Told


class JobTypeItem(Told):
    """A job type. `payload_schema` is the JSON schema of its payload; `mode` says where its handler runs."""

    name: str
    description: str
    mode: str
    queue: str
    upstream: str | None
    max_attempts: int
    timeout: float
    payload_schema: dict[str, object]


class JobTypeList(Told):
    """The job types that this server knows."""

    items: list[JobTypeItem]


class Alive(Told):
    """The process answers."""

    status: Literal["ok"]


class Ready(Told):
    """Everything that work needs is there.

    `durability` is what the store promises of an accepted job: none, interval, fsync or replicated.
    `oldest_ready_age` is how many seconds the oldest job that could run has waited. `workers` are those heard of;
    `warnings` say what a person should look at, such as jobs in a queue that no worker serves.
    """

    status: Literal["ready"]
    engine: str
    engine_version: str
    schema_version: str
    durability: str
    artifacts: Literal["ok"]
    oldest_ready_age: float
    workers: int
    warnings: list[str]


class Index(Told):
    """What this is, and where to read on."""

    name: str
    version: str
    docs: str
    openapi: str
