"""What this process knows of every upstream and queue, and of the store's clock: read without a store call."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from math import isnan
from typing import Final

import msgspec

from tidegate.clock import Clock
from tidegate.core.upstream import Upstream
from tidegate.core.verbs import Document

ANSWERS: Final = 8
"""How many of the store's newest answers tell its present: about ten seconds' worth."""

LATEST_ERA: Final = 2**62
"""Eras are milliseconds: a later one is no time that ever was, and the next would be beyond what stores count."""

_decoder = msgspec.json.Decoder(Upstream)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """An upstream as it was last read, and the version of its document."""

    upstream: Upstream = field(default_factory=Upstream)
    version: int = 0


NOTHING = View()


def encode(upstream: Upstream) -> bytes:
    """The value of an upstream's document."""
    return msgspec.json.encode(upstream)


def decode(value: bytes | None) -> Upstream:
    """What `encode` wrote. What can't be read counts as never heard of: a release before or after this one wrote it."""
    if value is None:
        return NOTHING.upstream
    try:
        read = _decoder.decode(value)
    except (msgspec.DecodeError, msgspec.ValidationError):
        return NOTHING.upstream
    return read if _makes_sense(read) else NOTHING.upstream


def _makes_sense(upstream: Upstream) -> bool:
    instants = [getattr(of, part.name) for of in (upstream, upstream.spending) for part in fields(of)]
    instants += [mark.at for mark in (*upstream.faults, *upstream.good)] + [change.at for change in upstream.log]
    zoned = all(at.tzinfo is not None for at in instants if isinstance(at, datetime))
    return zoned and 0 <= upstream.since <= upstream.era <= LATEST_ERA and not isnan(upstream.limit or 0.0)


class StoreClock:
    """The store's present, as its newest answers tell: the one that was under way the shortest tells it best.

    Whoever hears of two faults compares when they were seen, so processes must agree on it to the millisecond.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origins: deque[datetime] = deque(maxlen=ANSWERS)

    def saw(self, at: datetime) -> None:
        """The store said just now that it is `at`."""
        self._origins.append(at - self._passed())

    def now(self) -> datetime:
        """The present; this machine's where the store has not answered yet."""
        return max(self._origins) + self._passed() if self._origins else self._clock.now()

    def _passed(self) -> timedelta:
        return timedelta(seconds=self._clock.monotonic())


class Board:
    """The views, by gate. Changed on one event loop, read from any thread."""

    def __init__(self) -> None:
        self._views: dict[str, View] = {}
        self.limiting = False

    def view(self, gate: str) -> View:
        """The view of a gate; of one never heard of, the default."""
        return self._views.get(gate, NOTHING)

    def all(self) -> Mapping[str, View]:
        """Every gate that has a document."""
        return dict(self._views)

    def adopt(self, document: Document, *, forgot: bool = False) -> View:
        """Take over what the store has, unless something newer is known that the store can't have forgotten."""
        gate = f"{document.kind}:{document.key}"
        known = self._views.get(gate, NOTHING)
        if document.version <= known.version and not forgot:
            return known
        view = View(upstream=decode(document.value), version=document.version)
        self._views[gate] = view
        self._relimit()
        return view

    def replace(self, documents: Iterable[Document], kind: str, before: Mapping[str, View]) -> None:
        """Take over all documents of a kind; `before` are the views from before they were read.

        Those that are not among them are gone. One older than it was is all that the store has: it failed over to a
        copy that lacked the newest writes.
        """
        found = {f"{kind}:{document.key}": document for document in documents}
        for gate, document in found.items():
            self.adopt(document, forgot=document.version < before.get(gate, NOTHING).version)
        for gate, view in before.items():
            if gate.startswith(f"{kind}:") and gate not in found and self._views.get(gate) is view:
                del self._views[gate]
        self._relimit()

    def _relimit(self) -> None:
        self.limiting = any(known.upstream.limited for known in self._views.values())
