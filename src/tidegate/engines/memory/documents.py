"""Documents, gates, limits and forgetting in memory."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tidegate.core.job import JobId
from tidegate.core.verbs import Document, Gate, Swap, Swapped, Take, Taken
from tidegate.engines.memory.state import GateRow, Grant, State
from tidegate.errors import InvalidInput


class Papers:
    """The verbs over the state that concern no single job."""

    def __init__(self, state: State) -> None:
        self._state = state

    def load(self, kind: str, key: str) -> Document:
        """The stored document, a deleted one's last version, or version 0."""
        document, _ = self._state.documents.get((kind, key), (Document(kind=kind, key=key), ""))
        return document

    def scan(self, kind: str, after: str) -> list[Document]:
        """All of a kind past `after`, by key."""
        documents = [document for document, _ in self._state.documents.values() if document.value is not None]
        return sorted((d for d in documents if d.kind == kind and d.key > after), key=lambda d: d.key)

    def swap(self, swap: Swap) -> Swapped:
        """Compare, write, and set the gates."""
        name = (swap.kind, swap.key)
        stored, nonce = self._state.documents.get(name, (Document(kind=swap.kind, key=swap.key), ""))
        if nonce == swap.nonce:
            return Swapped(True, stored)
        if stored.version != swap.expected:
            return Swapped(False, stored)
        for gate in swap.gates:
            self._check(gate)
        self._state.last_version += 1
        written = Document(kind=swap.kind, key=swap.key, version=self._state.last_version, value=swap.value)
        self._state.documents[name] = (written, swap.nonce)
        self._set_gates(swap)
        return Swapped(True, written)

    def _check(self, gate: Gate) -> None:
        row = self._state.gates.get(gate.name)
        known = row.gate if row is not None else Gate(name=gate.name, era=-1)
        if gate.limit is not None and known.limit is None and gate.era <= known.era:
            raise InvalidInput("gates", f"{gate.name} had no limit: it may get one only with an era above {known.era}")

    def _set_gates(self, swap: Swap) -> None:
        name, rows = (swap.kind, swap.key), self._state.gates
        paced = {row.gate.name: row.paced_until for row in rows.values() if row.document == name}
        for gone in paced:
            del rows[gone]
        if swap.value is not None:
            for gate in swap.gates:
                rows[gate.name] = GateRow(gate, name, paced.get(gate.name))

    def take(self, takes: Sequence[Take], nonce: str, now: datetime) -> list[Taken]:
        """Count all of `takes`, or none."""
        granted = {grant.nonce for grant in self._state.grants}
        if nonce in granted:
            return [_taken(True, take, self._within(take, now), now) for take in takes]
        counts = {take.key: sum(other.n for other in takes if other.key == take.key) for take in takes}
        fits = all(len(self._within(take, now)) + counts[take.key] <= take.limit for take in takes)
        if fits:
            self._state.grants += [Grant(take, now, nonce) for take in takes]
        return [self._answer(replace(take, n=counts[take.key]), now, fits) for take in takes]

    def _answer(self, take: Take, now: datetime, granted: bool) -> Taken:
        within = self._within(take, now)
        refused = not granted and len(within) + take.n > take.limit
        return _taken(not refused, take, within, now)

    def _within(self, take: Take, now: datetime) -> list[datetime]:
        """When each unit counted in the window was taken, oldest first."""
        grants = [g for g in self._state.grants if g.take.key == take.key and g.at > now - take.window]
        return [grant.at for grant in grants for _ in range(grant.take.n)]

    def give_back(self, nonce: str) -> None:
        """Drop what `nonce` was granted."""
        self._state.grants = [grant for grant in self._state.grants if grant.nonce != nonce]

    def forget(self, pruned: Sequence[JobId], now: datetime) -> None:
        """Drop pruned jobs, keys past their lifetime whose job is gone, old grants and old nonces."""
        state = self._state
        for job_id in pruned:
            del state.records[job_id]
        state.keys = {
            key: row
            for key, row in state.keys.items()
            if row.forget_at is None or row.forget_at > now or row.job_id in state.records
        }
        state.grants = [grant for grant in state.grants if grant.at > now - grant.take.window]
        state.nonces = {nonce: until for nonce, until in state.nonces.items() if until > now}


def _taken(granted: bool, take: Take, within: Sequence[datetime], now: datetime) -> Taken:
    remaining = max(take.limit - len(within), 0)
    if granted:
        return Taken(granted=True, remaining=remaining, retry_after=timedelta(0))
    needed = len(within) + take.n - take.limit
    frees = within[needed - 1] + take.window - now if needed <= len(within) else take.window
    return Taken(granted=False, remaining=remaining, retry_after=frees)
