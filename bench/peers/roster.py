"""Who is compared, each with its settings at their best."""

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

StoreKind: TypeAlias = Literal["redis", "postgres", "sqlite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One library on one store.

    `jobs` is a backlog that takes it some seconds to drain; `slots` and `io_slots` are what it does best with.
    `environment` names its requirements file; it is "node" for npm's, and empty for this interpreter.
    """

    name: str
    store: StoreKind
    environment: str
    jobs: int
    slots: int
    io_slots: int
    script: str = ""
    variant: str = ""
    python: str = ""
    main: bool = False
    kill_slots: int = 50
    most_slots: int = 1_000
    embedded: bool = False

    @property
    def ours(self) -> bool:
        """Whether it is Tidegate."""
        return self.name.startswith("tidegate")

    @property
    def file(self) -> str:
        """Its script."""
        return self.script or f"{self.environment}_peer.py"


_TIDEGATE: Final = "tidegate_peer.py"

PEERS: Final = (
    Peer(
        name="tidegate_redis",
        store="redis",
        environment="",
        script=_TIDEGATE,
        jobs=40_000,
        slots=200,
        io_slots=500,
        main=True,
    ),
    Peer(
        name="tidegate_postgres",
        store="postgres",
        environment="",
        script=_TIDEGATE,
        jobs=40_000,
        slots=200,
        io_slots=500,
        main=True,
    ),
    Peer(
        name="tidegate_sqlite",
        store="sqlite",
        environment="",
        script=_TIDEGATE,
        jobs=40_000,
        slots=200,
        io_slots=500,
        main=True,
        embedded=True,
    ),
    Peer(
        name="bullmq_node",
        store="redis",
        environment="node",
        script="bullmq_node.cjs",
        jobs=30_000,
        slots=100,
        io_slots=500,
        main=True,
    ),
    Peer(name="pgqueuer", store="postgres", environment="pgqueuer", jobs=40_000, slots=0, io_slots=400, main=True),
    Peer(name="huey_sqlite", store="sqlite", environment="huey", jobs=10_000, slots=4, io_slots=150, main=True),
    Peer(name="repid", store="redis", environment="repid", jobs=25_000, slots=50, io_slots=500, main=True),
    Peer(name="bullmq_py", store="redis", environment="bullmq", jobs=6_000, slots=10, io_slots=200, main=True),
    Peer(name="streaq", store="redis", environment="streaq", jobs=3_000, slots=32, io_slots=200, main=True),
    Peer(name="dramatiq", store="redis", environment="dramatiq", jobs=6_000, slots=16, io_slots=90, main=True),
    Peer(name="celery", store="redis", environment="celery", jobs=2_500, slots=2, io_slots=150, kill_slots=10),
    Peer(name="arq", store="redis", environment="arq", jobs=5_000, slots=1_000, io_slots=500),
    Peer(name="saq_redis", store="redis", environment="saq", jobs=5_000, slots=10, io_slots=200),
    Peer(name="saq_postgres", store="postgres", environment="saq", jobs=1_500, slots=200, io_slots=200),
    Peer(name="taskiq_list", store="redis", environment="taskiq", jobs=4_000, slots=100, io_slots=200),
    Peer(
        name="taskiq_stream", store="redis", environment="taskiq", variant="stream", jobs=4_000, slots=100, io_slots=200
    ),
    Peer(name="oban", store="postgres", environment="oban", python="3.12", jobs=8_000, slots=200, io_slots=500),
    Peer(name="chancy", store="postgres", environment="chancy", jobs=5_000, slots=100, io_slots=500),
    Peer(name="procrastinate", store="postgres", environment="procrastinate", jobs=1_500, slots=200, io_slots=200),
    Peer(name="rq", store="redis", environment="rq", jobs=150, slots=1, io_slots=8, kill_slots=10, most_slots=10),
    Peer(
        name="rq_simple",
        store="redis",
        environment="rq",
        variant="simple",
        jobs=1_000,
        slots=1,
        io_slots=8,
        kill_slots=10,
        most_slots=10,
    ),
    Peer(name="huey_redis", store="redis", environment="huey", jobs=10_000, slots=4, io_slots=90),
    Peer(name="absurd", store="postgres", environment="absurd", jobs=3_000, slots=100, io_slots=200),
    Peer(name="dbos", store="postgres", environment="dbos", jobs=1_500, slots=200, io_slots=200),
)


def chosen(names: str, *, everyone: bool) -> list[Peer]:
    """The peers of a comma-separated list; of none, the main ones, or everyone. Raises SystemExit."""
    if not names:
        return [peer for peer in PEERS if peer.main or everyone]
    known = {peer.name: peer for peer in PEERS}
    unknown = [name for name in names.split(",") if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in names.split(",")]
