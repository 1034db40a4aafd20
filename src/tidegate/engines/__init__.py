"""Engines: stores of jobs behind the one contract of `ports.py`. `open_engine` chooses by URL."""

from contextlib import AbstractAsyncContextManager

from tidegate.errors import ConfigError
from tidegate.ports import Engine


def open_engine(url: str) -> AbstractAsyncContextManager[Engine]:
    """The engine that `url` names, to be entered; raises ConfigError for an unknown one."""
    scheme, _, rest = url.partition(":")
    match scheme:
        case "memory":
            from tidegate.engines.memory import MemoryEngine

            return MemoryEngine()
        case _:
            raise ConfigError(f"engine {url!r} is unknown: use sqlite:///path or memory://")
