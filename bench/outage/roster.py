"""Who goes through the outage: Tidegate on its stores, and other libraries as their documentation sets up retries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers.roster import Peer, StoreKind

SCRIPTS: Final = Path(__file__).parent / "scripts"
PROCESSES: Final = 10
SLOTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """One system under test: 100 slots in all. `note` says how it is set up."""

    peer: Peer
    note: str
    processes: int = PROCESSES
    slots: int = SLOTS

    @property
    def name(self) -> str:
        """What it is called."""
        return self.peer.name


def _peer(name: str, store: StoreKind, environment: str = "", variant: str = "") -> Peer:
    script = str(SCRIPTS / f"{environment or 'tidegate'}_system.py")
    return Peer(
        name=name,
        store=store,
        environment=environment,
        script=script,
        variant=variant,
        jobs=0,
        slots=SLOTS,
        io_slots=SLOTS,
        embedded=store == "sqlite",
    )


_OURS: Final = "rules `api`, all of their durations scaled; poll of 1 s scaled, 0.1 s at least"

SYSTEMS: Final = (
    System(peer=_peer("tidegate_redis", "redis"), note=_OURS),
    System(peer=_peer("tidegate_postgres", "postgres"), note=_OURS),
    System(
        peer=_peer("tidegate_sqlite", "sqlite"),
        processes=0,
        slots=PROCESSES * SLOTS,
        note=f"{_OURS}; one process, which submits too",
    ),
    System(
        peer=_peer("celery_backoff", "redis", "celery", "backoff"),
        note="thread pools; autoretry_for=(Exception,), retry_backoff=True: 1 s·2ⁿ with full jitter, max_retries=3; "
        "its whole seconds are divided by the task itself, since Celery's own back-off is whole seconds",
    ),
    System(
        peer=_peer("celery", "redis", "celery", "plain"),
        note="thread pools; autoretry_for=(Exception,) alone: default_retry_delay of 180 s scaled, max_retries=3",
    ),
    System(
        peer=_peer("dramatiq", "redis", "dramatiq"),
        note="its defaults: 20 retries, min_backoff of 15 s and max_backoff of 7 d scaled",
    ),
    System(
        peer=_peer("arq", "redis", "arq"),
        note="Retry(defer=job_try · 5 s) scaled, as documented; max_tries=5; "
        "poll_delay of 0.5 s scaled, 0.05 s at least",
    ),
)


def chosen(names: str) -> list[System]:
    """The systems of a comma-separated list; of none, all. Raises SystemExit."""
    known = {system.name: system for system in SYSTEMS}
    wanted = names.split(",") if names else list(known)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return [known[name] for name in wanted]
