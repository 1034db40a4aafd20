"""The lines that one connection was told of."""

from collections.abc import Sequence

from tidegate.core.job import Lane
from tidegate.engines.redis.codec import Kinds, read_line


class Lines:
    """The lane and type of each line met so far, by its number.

    `life` names the store they are of. One that lost its keys makes lines anew, with other numbers: then `life` is
    another, and all that was known is forgotten.
    """

    def __init__(self) -> None:
        self.life = b""
        self.known: dict[int, tuple[Lane, str]] = {}
        self._numbers: dict[bytes, int] = {}

    def number(self, name: bytes) -> int | bytes:
        """The number of a line, or its name where that is not known: the scripts take either."""
        return self._numbers.get(name, name)

    def heed(self, life: bytes | None) -> Kinds:
        """What is known of the lines of the store that is called so."""
        if (life or b"") != self.life:
            self.forget()
            self.life = life or b""
        return self.known

    def forget(self) -> None:
        """Know nothing any more."""
        self.life, self.known, self._numbers = b"", {}, {}

    def note(self, told: Sequence[bytes | None]) -> None:
        """Learn the store's life, then names and numbers by turns, as the scripts tell them; nothing of nothing."""
        if told:
            self.heed(told[0])
        for name, number in zip(told[1::2], told[2::2], strict=True):
            if name is not None and number is not None:
                self.add(int(number), name)

    def add(self, number: int, name: bytes) -> None:
        """Learn one."""
        self.known[number] = read_line(name)
        self._numbers[name] = number
