"""A log that keeps its lines."""

from dataclasses import dataclass, field


@dataclass
class Lines:
    """A log that keeps its lines."""

    lines: list[tuple[str, str]] = field(default_factory=list)
    fields: list[dict[str, object]] = field(default_factory=list)

    def _say(self, level: str, event: str, details: dict[str, object]) -> None:
        self.lines.append((level, event))
        self.fields.append(details)

    def debug(self, event: str, **details: object) -> None:
        self._say("debug", event, details)

    def info(self, event: str, **details: object) -> None:
        self._say("info", event, details)

    def warning(self, event: str, **details: object) -> None:
        self._say("warning", event, details)

    def error(self, event: str, **details: object) -> None:
        self._say("error", event, details)
