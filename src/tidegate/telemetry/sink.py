"""Where lines of log are written: whole, from any thread, and those of one turn of an event loop together."""

import asyncio
import atexit
import os
import threading
from contextlib import suppress
from typing import Final, TextIO

MOST_WAITING: Final = 500
"""Lines that wait to be written together."""


class Sink:
    """Writes whole lines, from any thread. A line that can't be written is lost: no reason to fail a job.

    Everyday lines of one turn of an event loop are one write. Whatever is put into the loop's line after such a line,
    a job's handler for one, runs after that write.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._begin()

    def _begin(self) -> None:
        """Begin with no line that waits: in a child process those are its parent's."""
        self._lock = threading.RLock()  # a collection within it may log, from a destructor
        self._waiting: list[str] = []

    def write(self, line: str) -> None:
        """Write a line now, and those that wait before it."""
        with self._lock:
            self._waiting.append(line)
            self._write()

    def later(self, line: str) -> None:
        """Write a line by the end of this turn of the event loop; where none runs, now."""
        with self._lock:
            self._waiting.append(line)
            if len(self._waiting) >= MOST_WAITING:
                self._write()
            elif len(self._waiting) == 1:  # the others wait with the first one
                self._write_soon()

    def _write_soon(self) -> None:
        try:
            asyncio.get_running_loop().call_soon(self.flush)
        except RuntimeError:
            self._write()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            self._write()

    def _write(self) -> None:
        lines, self._waiting = self._waiting, []
        if lines:
            with suppress(OSError, ValueError, RuntimeError):
                self._stream.write("\n".join((*lines, "")))
                self._stream.flush()

    debug = info = later
    warning = error = critical = write


_newest: list[Sink] = []


def write_to(sink: Sink) -> None:
    """That is where lines go from now on; those that wait elsewhere are written first."""
    _flush()
    _newest[:] = [sink]


@atexit.register
def _flush() -> None:
    for sink in _newest:
        sink.flush()


def _forked() -> None:
    for sink in _newest:
        sink._begin()


os.register_at_fork(after_in_child=_forked)
