"""The file that every job writes a record to: what ran, where, when. It outlives any kill."""

import struct
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

RECORD: Final = struct.Struct("<cIId")
MOST_PROCESSES: Final = 8
"""More writers than this, and each job has a process of its own: then there is no common window."""


class Entry(NamedTuple):
    """A start (b"s") or an end (b"e") of a job, in CLOCK_MONOTONIC seconds."""

    kind: bytes
    job: int
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class Records:
    """The record file of one measurement."""

    path: Path

    def count(self) -> int:
        """How many records there are."""
        return self.path.stat().st_size // RECORD.size if self.path.exists() else 0

    def read(self, kind: bytes = b"s") -> list[Entry]:
        """All records of one kind, in the order they were written."""
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: len(content) // RECORD.size * RECORD.size]
        return [entry for entry in map(Entry._make, RECORD.iter_unpack(whole)) if entry.kind == kind]

    def wait(self, count: int, seconds: float, check: Callable[[], None]) -> bool:
        """Whether there are so many records within so many seconds; `check` is called while waiting."""
        deadline = time.monotonic() + seconds
        while self.count() < count:
            check()
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def exact(entries: list[Entry], jobs: range) -> bool:
    """Whether each job was written once, and no other."""
    counted = Counter(entry.job for entry in entries)
    return counted == Counter(jobs)


def rate(entries: list[Entry]) -> float:
    """Jobs a second, from the first moment that all processes ran, where they ran together for long enough."""
    instants = sorted(entry.at for entry in entries)
    first: dict[int, float] = {}
    for entry in entries:
        first.setdefault(entry.pid, entry.at)
    if len(first) <= MOST_PROCESSES:
        together = [at for at in instants if at >= max(first.values())]
        if len(together) * 3 >= len(instants):
            instants = together
    return (len(instants) - 1) / max(instants[-1] - instants[0], 1e-6)
