"""Bugs in documents, their gates, and sliding windows."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from tests.conformance.mutants.broken import breaks
from tidegate.core.verbs import Document, Gate, Swap, Swapped, Take, Taken
from tidegate.engines.memory import MemoryEngine
from tidegate.engines.memory.documents import Papers
from tidegate.engines.memory.state import Grant


@breaks("load.latest", "swap.repeat")
class CountsVersionsByDocument(Papers):
    """A document's value is read as it was before the newest swap."""

    def load(self, kind: str, key: str) -> Document:
        """See `Papers.load`."""
        document = super().load(kind, key)
        return replace(document, value=document.value and document.value[:1])

    def swap(self, swap: Swap) -> Swapped:
        """See `Papers.swap`."""
        stored, _ = self._state.documents.get((swap.kind, swap.key), (None, ""))
        if stored is not None:
            self._state.documents[swap.kind, swap.key] = (stored, "")
        return super().swap(swap)


@breaks("swap.lost", "swap.once")
class SwapsWithoutComparing(Papers):
    """The last swap wins."""

    def swap(self, swap: Swap) -> Swapped:
        """See `Papers.swap`."""
        return super().swap(replace(swap, expected=self.load(swap.kind, swap.key).version))


@breaks("swap.once")
class ComparesThenSwaps(MemoryEngine):
    """The version is compared first and the document written a moment later."""

    async def swap(self, swap: Swap) -> Swapped:
        """See `MemoryEngine.swap`."""
        (read,) = await self.load(swap.kind, [swap.key])
        await asyncio.sleep(0)
        (stored,) = await self.load(swap.kind, [swap.key])
        same = read.version == swap.expected
        return await super().swap(replace(swap, expected=stored.version if same else swap.expected))


@breaks("swap.lost")
class ShowsWhatWasOffered(Papers):
    """A lost swap is answered by its own value."""

    def swap(self, swap: Swap) -> Swapped:
        """See `Papers.swap`."""
        swapped = super().swap(swap)
        return swapped if swapped.won else replace(swapped, document=replace(swapped.document, value=swap.value))


@breaks("swap.repeat")
class LosesARepeatedSwap(Papers):
    """Who repeats the swap that won hears that somebody was before him."""

    def swap(self, swap: Swap) -> Swapped:
        """See `Papers.swap`."""
        swapped = super().swap(swap)
        self._state.documents[swap.kind, swap.key] = (self.load(swap.kind, swap.key), "")
        return swapped


@breaks("swap.delete")
class BeginsVersionsAnew(Papers):
    """A deleted document is forgotten, and the next one has version 1."""

    def swap(self, swap: Swap) -> Swapped:
        """See `Papers.swap`."""
        swapped = super().swap(swap)
        if swapped.won and swap.value is None:
            del self._state.documents[swap.kind, swap.key]
            self._state.last_version = 0
        return swapped


@breaks("swap.delete")
class LeavesTheGatesOfWhatIsDeleted(Papers):
    """The gates of a deleted document stay as they were."""

    def _set_gates(self, swap: Swap) -> None:
        if swap.value is not None:
            super()._set_gates(swap)


@breaks("swap.gates")
class OnlyAddsGates(Papers):
    """Gates that a document names no more stay as they were."""

    def _set_gates(self, swap: Swap) -> None:
        before = dict(self._state.gates)
        super()._set_gates(swap)
        if swap.value is not None:
            self._state.gates = {**before, **self._state.gates}


@breaks("swap.gates")
class AcceptsALimitInTheSameEra(Papers):
    """A gate without limit gets one while nobody knows what runs."""

    def _check(self, gate: Gate) -> None:
        return


@breaks("swap.gates")
class ChecksGatesAfterTheSwap(Papers):
    """A refused gate leaves the document changed."""

    def swap(self, swap: Swap) -> Swapped:
        """See `Papers.swap`."""
        if self.load(swap.kind, swap.key).version == swap.expected:
            super().swap(replace(swap, gates=()))
            for gate in swap.gates:
                self._check(gate)
            self._set_gates(swap)
        return super().swap(swap)


@breaks("scan.pages")
class LeavesOutOneKeyBetweenPages(Papers):
    """A page begins one document too late."""

    def scan(self, kind: str, after: str) -> list[Document]:
        """See `Papers.scan`."""
        return super().scan(kind, after)[1 if after else 0 :]


@breaks("scan.pages")
class ScansInTheOrderOfWriting(Papers):
    """Keys come as their documents were written."""

    def scan(self, kind: str, after: str) -> list[Document]:
        """See `Papers.scan`."""
        return sorted(super().scan(kind, after), key=lambda document: document.version)


@breaks("take.exact")
class GrantsOneTooMany(Papers):
    """A limit is passed by one."""

    def take(self, takes: Sequence[Take], nonce: str, now: datetime) -> list[Taken]:
        """See `Papers.take`."""
        return super().take([replace(take, limit=take.limit + 1) for take in takes], nonce, now)


@breaks("take.exact")
class CountsInFixedWindows(Papers):
    """A window begins at round instants, so that two halves let through twice the limit."""

    def _within(self, take: Take, now: datetime) -> list[datetime]:
        begun = now - (now - now.replace(hour=0, minute=0, second=0, microsecond=0)) % take.window
        return [at for at in super()._within(take, now) if at >= begun]


@breaks("take.refused")
class CountsWhatItRefuses(Papers):
    """A refused take is counted too."""

    def take(self, takes: Sequence[Take], nonce: str, now: datetime) -> list[Taken]:
        """See `Papers.take`."""
        answers = super().take(takes, nonce, now)
        if not all(answer.granted for answer in answers):
            self._state.grants += [Grant(take, now, f"refused {nonce}") for take in takes]
        return answers


@breaks("take.refused")
class SendsBackALittleEarly(Papers):
    """`retry_after` is when the next take leaves the window, less a rounding."""

    def take(self, takes: Sequence[Take], nonce: str, now: datetime) -> list[Taken]:
        """See `Papers.take`."""
        answers = super().take(takes, nonce, now)
        return [replace(one, retry_after=timedelta(seconds=one.retry_after // timedelta(seconds=1))) for one in answers]


@breaks("take.refused")
class GrantsEachAlone(Papers):
    """One refusal refuses one."""

    def take(self, takes: Sequence[Take], nonce: str, now: datetime) -> list[Taken]:
        """See `Papers.take`."""
        answers: list[Taken] = []
        for place, take in enumerate(takes):
            answers += super().take([take], f"{nonce}.{place}", now)
        return answers


@breaks("take.nonce")
class TakesAgainWithTheSameNonce(Papers):
    """A repeated take is a new one."""

    def take(self, takes: Sequence[Take], nonce: str, now: datetime) -> list[Taken]:
        """See `Papers.take`."""
        return super().take(takes, f"{nonce} {len(self._state.grants)}", now)


@breaks("give-back.frees")
class GivesNothingBack(Papers):
    """What was taken stays taken."""

    def give_back(self, nonce: str) -> None:
        """See `Papers.give_back`."""


@breaks("give-back.frees")
class GivesBackTheNewestOfAnybody(Papers):
    """One grant is dropped, whoever has it."""

    def give_back(self, nonce: str) -> None:
        """See `Papers.give_back`."""
        if self._state.grants:
            self._state.grants.pop()
