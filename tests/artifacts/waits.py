"""A sleep that is not slept, only remembered."""


class Waits(list[float]):
    """The seconds that were asked for, in order."""

    async def sleep(self, seconds: float) -> None:
        self.append(seconds)
