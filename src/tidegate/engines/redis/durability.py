"""How much of what a server has acknowledged it may lose, told from what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Durability(StrEnum):
    """From the least to the most that is kept.

    `interval`: a crash of the machine may lose the last second or two. `fsync`: nothing acknowledged is lost
    while the disk lives, but a failover may lose it. `replicated`: a replica had it, too, before the call returned.
    """

    NONE = "none"
    INTERVAL = "interval"
    FSYNC = "fsync"
    REPLICATED = "replicated"

    def reaches(self, wanted: "Durability") -> bool:
        """Whether this is at least `wanted`."""
        return _ORDER.index(self) >= _ORDER.index(wanted)


_ORDER: Final = tuple(Durability)
_OLDEST: Final = (6, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What matters of a server.

    `evicts` is the policy by which it drops keys to make room, None where it never does. `logged` is whether it
    keeps a log of what it does, `writes` whether it could write that lately, `fsync` when it lets the disk have
    it: None where it may not be asked. `replicas` are those connected.
    """

    name: str
    version: tuple[int, ...]
    primary: bool
    evicts: str | None
    logged: bool
    writes: bool
    fsync: str | None
    replicas: int

    @property
    def supported(self) -> bool:
        """Whether its scripts can do what the verbs need."""
        return self.version >= _OLDEST

    @property
    def release(self) -> str:
        """Its version."""
        return ".".join(map(str, self.version))

    def durability(self, wanted: Durability | None) -> Durability:
        """The class it gives, when `wanted` is asked for: only who asks for replicas waits for them."""
        if wanted is Durability.REPLICATED and self.replicas > 0:
            return Durability.REPLICATED
        if not self.logged or self.fsync == "no":
            return Durability.NONE
        return Durability.FSYNC if self.fsync == "always" else Durability.INTERVAL


def read_server(info: Mapping[str, str], fsync: str | None) -> Server:
    """A server from its INFO and its `appendfsync`."""
    name = "valkey" if "valkey_version" in info else "redis"
    policy = info.get("maxmemory_policy", "noeviction")
    return Server(
        name=name,
        version=tuple(int(part) for part in info.get(f"{name}_version", "0").split(".") if part.isdigit()),
        primary=info.get("role", "master") == "master",
        evicts=None if policy == "noeviction" else policy,
        logged=info.get("aof_enabled") == "1",
        writes=info.get("aof_last_write_status", "ok") == "ok",
        fsync=fsync,
        replicas=int(info.get("connected_slaves", "0")),
    )


def read_info(text: str) -> Mapping[str, str]:
    """The fields of INFO."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {name: value.strip() for name, value in pairs}
