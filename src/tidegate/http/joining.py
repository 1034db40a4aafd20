"""An answer's head and its body in one write: one call of the system, one packet, one waking of who reads it."""

import asyncio
from typing import Final

MOST_JOINED: Final = 64 * 1024
"""Bytes of a body that are worth copying for it."""

_GO_ON: Final = b"HTTP/1.1 100 "
"""What an answer that comes before the answer begins with."""


class Joined:
    """What one answer is written to, in the place of its connection's transport.

    The head waits for what is written next, until the end of this turn of the loop.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """Write the head first, then pieces of the body; before both, that the request may go on."""
        if not self._begun and data.startswith(_GO_ON):
            self._transport.write(data)
        elif not self._begun:
            self._begun, self._head = True, data
            self._loop.call_soon(self.flush)
        elif self._head and len(data) <= MOST_JOINED:
            head, self._head = self._head, b""
            self._transport.write(head + data)
        else:
            self.flush()
            self._transport.write(data)

    def close(self) -> None:
        """Close the connection once everything is written."""
        self.flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._transport.is_closing()

    def flush(self) -> None:
        """Write the head, if it still waits."""
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)
