"""A place for lines."""

import io
import json

import pytest

from tests.unit.telemetry.samples import NOW
from tidegate.clock import FakeClock
from tidegate.telemetry import logs
from tidegate.telemetry.logs import Level, LogListener


class Written:
    """What was logged."""

    def __init__(self) -> None:
        self.stream: io.StringIO = io.StringIO()

    def configure(self, level: Level = "debug", *, as_json: bool = True) -> LogListener:
        """Log to here from now on."""
        return logs.configure(level, self.stream, json=as_json, clock=FakeClock(NOW))

    @property
    def text(self) -> str:
        """All of it."""
        return self.stream.getvalue()

    @property
    def lines(self) -> list[dict[str, object]]:
        """Every line, which must be one JSON object each."""
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def written() -> Written:
    """An empty log, not yet in use."""
    return Written()
