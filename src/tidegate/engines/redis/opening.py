"""Opening a store: reach it, see what it can be held to, and that its data are of this release."""

import logging
from dataclasses import dataclass
from typing import Final, cast

from tidegate.clock import Clock
from tidegate.core.verbs import Health
from tidegate.engines.redis.address import Address
from tidegate.engines.redis.connection import Link, Links
from tidegate.engines.redis.durability import Durability, Server, read_info, read_server
from tidegate.engines.redis.faults import ReplicaMet
from tidegate.engines.redis.hints import Hints
from tidegate.engines.redis.keys import HINTS
from tidegate.engines.redis.scripts import Scripts
from tidegate.errors import ConfigError, EngineUnavailable, SchemaMismatch, TidegateError

_log = logging.getLogger(__name__)

SCHEMA: Final = "1"
"""What the keys mean; another number is another release's."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An open store."""

    address: Address
    links: Links
    hints: Hints
    scripts: Scripts

    async def close(self) -> None:
        """Finish what is under way, then close every connection."""
        await self.links.close()
        await self.scripts.writing.close()


async def open_store(address: Address, clock: Clock | None) -> Opened:
    """Open the store; raises EngineUnavailable, ConfigError and SchemaMismatch."""
    hints = Hints(address.prefix + HINTS)
    links = Links(address, hints.hear)
    writing = Links(address, _unheard) if address.durability is Durability.REPLICATED else None
    opened = Opened(address, links, hints, Scripts(links, address.prefix, clock, writing=writing))
    try:
        server = await ask_server(links.here())
        _check(server, address)
        await _check_schema(links.here(), address)
        await _check_rights(Scripts(links, address.prefix, clock))
    except BaseException as exc:
        await opened.close()
        if isinstance(exc, ReplicaMet):
            raise ConfigError(f"the store at {address.shown} is a replica: name its primary") from exc
        raise
    return opened


def _unheard(message: bytes) -> None:
    """Nothing is listened to on connections for writes."""


async def health(opened: Opened) -> Health:
    """What the store can be held to now; EngineUnavailable when that is less than was asked for."""
    server = await ask_server(opened.links.here())
    faults = _faults(server, opened.address)
    if faults:
        raise EngineUnavailable(faults)
    durability = server.durability(opened.address.durability)
    return Health(engine=server.name, durability=durability.value, version=server.release, schema=SCHEMA)


async def ask_server(link: Link) -> Server:
    """What the server says of itself."""
    info = read_info(_text(await link.ask("INFO")))
    try:
        told = await link.ask("CONFIG", "GET", "*appendfsync*")
    except TidegateError as refused:
        if isinstance(refused, EngineUnavailable) and not _answered(refused):
            raise
        return read_server(info, None)
    settings = cast("dict[bytes, bytes]", told)
    fsync = settings.get(b"appendfsync", b"").decode()
    if fsync == "always" and settings.get(b"no-appendfsync-on-rewrite") == b"yes":
        fsync = "everysec"  # while it rewrites its log, or saves, nothing is synced
    return read_server(info, fsync or None)


def _answered(refused: EngineUnavailable) -> bool:
    """Whether the server answered, and only lacks the command: some services hide CONFIG."""
    return str(refused).startswith("the store answered:")


def _text(reply: object) -> str:
    return reply.decode() if isinstance(reply, bytes) else str(reply)


def _check(server: Server, address: Address) -> None:
    if not server.supported:
        raise ConfigError(f"the store is {server.name} {server.release}: Redis 6.2, Valkey 7.2 or newer is needed")
    faults = _faults(server, address)
    if faults:
        raise ConfigError(faults)
    durability = server.durability(address.durability)
    if address.durability is None and not durability.reaches(Durability.FSYNC):
        _log.warning(
            "the store may lose jobs it has accepted when its machine fails (durability %s): set appendonly yes and "
            "appendfsync always, or say what will do by ?durability=",
            durability.value,
        )


def _faults(server: Server, address: Address) -> str:
    """Why this server will not do; nothing when it does."""
    wanted = address.durability
    if not server.primary:
        return f"the store at {address.shown} is a replica: name its primary"
    if not server.writes:
        return "the store can't write its log: its disk may be full"
    if server.evicts is not None and wanted is not Durability.NONE:
        return f"the store may drop jobs to make room (maxmemory-policy {server.evicts}): set it to noeviction"
    given = server.durability(wanted)
    if wanted is not None and not given.reaches(wanted):
        return f"the store's durability is {given}, and {wanted} was asked for by ?durability="
    return ""


async def _check_schema(link: Link, address: Address) -> None:
    key = f"{address.prefix}schema"
    if await link.ask("GET", key) is None:
        await link.ask("SET", key, SCHEMA, "NX")
    stored = await link.ask("GET", key)
    if stored != SCHEMA.encode():
        raise SchemaMismatch(f"the namespace {address.namespace} was written by another release of Tidegate")


async def _check_rights(scripts: Scripts) -> None:
    """A right that is found to lack later, in the middle of a script, would leave its work half done."""
    lacking = sorted({name.decode() for name in await scripts.run("rights") if name is not None})
    if lacking:
        raise ConfigError(f"the store's user lacks rights that the engine needs ({', '.join(lacking)})")
