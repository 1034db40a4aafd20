"""wait: woken by what this process, or another one, says it did."""

from collections.abc import Sequence
from datetime import timedelta

from tidegate.engines.bell import Bell
from tidegate.engines.redis.connection import Links


class Hints:
    """The topics that scripts publish, heard on the connections of those who wait. Nothing depends on them."""

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._bell = Bell()

    def listen(self, links: Links) -> None:
        """Hear what is published from now on; before a claim, so that nothing falls between it and the wait."""
        links.here().listen(self._channel)

    def hear(self, message: bytes) -> None:
        """Wake who waits for one of the topics, a line each; everybody where there are none: a connection was lost."""
        if message:
            self._bell.ring(message.decode(errors="replace").split("\n"))
        else:
            self._bell.ring_all()

    async def wait(self, links: Links, topics: Sequence[str], timeout: timedelta) -> None:
        """Return at a hint for one of `topics`, at once where one was kept, or after `timeout`."""
        self.listen(links)
        await self._bell.wait(topics, timeout)
