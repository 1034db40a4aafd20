"""The log: one line a call. Kept in memory for `/control/log`, written to a file by one writer beside the loop."""

import asyncio
import sys
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tidegate.errors import ConfigError
from tidegate.provider.decision import Verdict

KEPT: Final = 100_000
EVERY: Final = 0.1
_LONGEST_NAME: Final = 128


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One call as the provider saw it. Seconds are since the start of the timeline, as they passed.

    `in_flight` is how many others of the tenant were being answered when it arrived. It was over at `ended`;
    `answered` is the same, or null where there was no answer. `job` is what the caller named in `X-Job-Id` or
    `user`; `run` counts the starts of the clock.
    """

    id: str
    run: int
    tenant: str
    arrived: float
    answered: float | None
    ended: float
    phase: str
    in_flight: int
    capacity: int | None
    verdict: Verdict
    status: int | None
    job: str | None


def plain(name: str | None) -> str | None:
    """What a caller names himself, fit for a line of log."""
    return "".join(c for c in name[:_LONGEST_NAME] if c.isprintable()) if name else None


class Log:
    """Takes lines at once and writes them later: every 100 ms, and at the end."""

    def __init__(self, file: Path | None = None) -> None:
        """Raises ConfigError when the file can't be written."""
        self._kept: deque[bytes] = deque(maxlen=KEPT)
        self._waiting: list[bytes] = []
        self._encode = msgspec.json.Encoder().encode
        self._where = file
        self._file: BinaryIO | None = None
        self._writer: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._broken = False
        self.count = 0
        self.verdicts: dict[tuple[int, str, str], Counter[Verdict]] = {}
        """By run, tenant and phase."""
        if file is not None:
            try:
                self._file = file.open("wb", buffering=0)
            except OSError as exc:
                raise ConfigError(f"can't write the log {file}: {exc.strerror or exc}") from exc

    def add(self, line: Line) -> None:
        """Take a line."""
        encoded = self._encode(line)
        self.count += 1
        self._kept.append(encoded)
        self.verdicts.setdefault((line.run, line.tenant, line.phase), Counter())[line.verdict] += 1
        if self._file is not None:
            self._waiting.append(encoded)

    def after(self, number: int, most: int = 10_000) -> tuple[int, Sequence[bytes]]:
        """The lines after the first `number` ones, and the number of the last of them."""
        first = self.count - len(self._kept)
        start = max(number, first)
        lines = [self._kept[i - first] for i in range(start, min(start + most, self.count))]
        return start + len(lines), lines

    def start(self) -> None:
        """Begin to write, on the loop that runs."""
        if self._file is not None:
            self._writer = asyncio.create_task(self._write(self._file))

    async def stop(self) -> None:
        """Write what is left, and close the file."""
        self._stopping.set()
        if self._writer is not None:
            await self._writer

    async def _write(self, file: BinaryIO) -> None:
        with file:
            while self._waiting or not self._stopping.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(EVERY):
                        await self._stopping.wait()
                taken, self._waiting = self._waiting, []
                await asyncio.to_thread(self._put, file, taken)

    def _put(self, file: BinaryIO, lines: Sequence[bytes]) -> None:
        left = memoryview(b"".join(line + b"\n" for line in lines))
        try:
            while left:
                left = left[file.write(left) :]
        except OSError as exc:
            if not self._broken:
                sys.stderr.write(f"tidegate: the log {self._where} is not whole: {exc.strerror or exc}\n")
            self._broken = True
