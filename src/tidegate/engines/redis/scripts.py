"""The verbs' scripts: loaded from their files, called by digest, sent as text to a server that has them not."""

import hashlib
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final, cast

from tidegate.clock import Clock
from tidegate.engines.redis.codec import stamp
from tidegate.engines.redis.connection import Links
from tidegate.engines.redis.faults import ReplicaMet, ScriptUnknown
from tidegate.engines.redis.linking import linked
from tidegate.engines.redis.wire import Part, Reply, Wire
from tidegate.errors import EngineUnavailable

Answer = list[bytes | None]
"""What every script answers: one flat list."""

_FLAGS: Final = re.compile(r"^-- flags: *([a-z-]*) *$", flags=re.MULTILINE)
_SHARED: Final = ("record.lua", "writing.lua", "steps.lua", "gates.lua")
_FLAGGED: Final = (7,)
"""Servers from this on are told what a script may do."""

_FIRST_WRITE: Final = {
    "allow-oom": "redis.call('ZREM', KEYS[1] .. 'nothing', '')",
    "": "redis.call('SETRANGE', KEYS[1] .. 'nothing', 0, '')",
}
"""An older server refuses a script in a full store iff its first write may take memory; these two do nothing."""

_MARK: Final = "redis.call('SET', KEYS[1] .. 'waited', '')"
"""WAIT knows only of its own connection's writes: a script that finds its work done needs one to wait for it."""


@dataclass(frozen=True, slots=True)
class Script:
    """One verb's text and digest, as servers of one kind get it; `flags` say what it may do."""

    text: str
    digest: str
    flags: str

    @property
    def writes(self) -> bool:
        """Whether it may change anything."""
        return self.flags != "no-writes"


@cache
def script(name: str, *, flagged: bool, marked: bool = False) -> Script:
    """The script of a verb: the prelude that all share, then its own file.

    Its header says `-- flags: allow-oom` where it must work in a full store, too, `-- flags: no-writes` where it
    only reads, and `-- flags:` where a full store shall refuse it. A `marked` one that may write does so always.
    """
    folder = files("tidegate.engines.redis") / "lua"
    own = (folder / f"{name}.lua").read_text(encoding="utf-8")
    found = _FLAGS.search(own)
    if found is None:
        raise ValueError(f"lua/{name}.lua has no line of flags")
    flags = found.group(1)
    if marked and flags != "no-writes":
        own = f"{_MARK}\n{own}"
    text = linked("".join((folder / "shared" / part).read_text(encoding="utf-8") for part in _SHARED), own)
    if flagged:
        text = f"#!lua{f' flags={flags}' if flags else ''}\n{text}"
    elif flags != "no-writes":
        text = f"{_FIRST_WRITE[flags]}\n{text}"
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), flags)


def _writes(name: str) -> bool:
    return script(name, flagged=True).writes


class Scripts:
    """Calls of scripts on one store; `now` is sent from `clock` where there is one, else the server's is used."""

    def __init__(self, links: Links, prefix: str, clock: Clock | None, *, writing: Links | None = None) -> None:
        self.links = links
        self.writing = writing or links
        """Those of the scripts that write, where each shall wait for a replica: what only reads does not wait."""
        self.prefix = prefix
        self._clock = clock
        self._replicated = writing is not None

    async def run(self, name: str, *args: Part) -> Answer:
        """The answer of one verb's script, given KEYS[1] = the prefix, ARGV[1] = now, and `args`."""
        return await self.run_on(await self.wire(writes=_writes(name)), name, *args)

    async def wire(self, *, writes: bool) -> Wire:
        """The connection for scripts that write, or for those that don't."""
        try:
            return await (self.writing if writes else self.links).here().wire()
        except ReplicaMet:
            self.links.here().drop()  # the reads of a server that was a primary once are old
            raise

    async def run_on(self, wire: Wire, name: str, *args: Part) -> Answer:
        """The same over a connection that is open."""
        wanted = script(name, flagged=wire.version >= _FLAGGED, marked=self._replicated)
        now = "" if self._clock is None else str(stamp(self._clock.now()))
        try:
            reply = await self._call(wire, wanted, "EVALSHA", wanted.digest, 1, self.prefix, now, *args)
        except ScriptUnknown:
            reply = await self._call(wire, wanted, "EVAL", wanted.text, 1, self.prefix, now, *args)
        return cast("Answer", reply)

    async def values(self, *names: str) -> Answer:
        """What stands at these keys, None where nothing does, at one instant."""
        return await self.values_on(await self.links.here().wire(), *names)

    async def values_on(self, wire: Wire, *names: str) -> Answer:
        """The same over a connection that is open."""
        return cast("Answer", await wire.ask("MGET", *(self.prefix + name for name in names)))

    async def _call(self, wire: Wire, wanted: Script, *parts: Part) -> Reply:
        reply = await wire.ask(*parts)
        if self._replicated and wanted.writes:
            replicas = await wire.ask("WAIT", 1, int(wire.deadline * 500))
            if replicas == 0:
                raise EngineUnavailable("no replica has the write yet: it is not known whether it will be kept")
        return reply
