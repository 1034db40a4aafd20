"""A store that goes away on command, as seen through one engine."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import pytest

from tidegate.errors import EngineUnavailable
from tidegate.ports import Engine

Asked = ParamSpec("Asked")
Answer = TypeVar("Answer")

VERBS = ("claim", "settle", "renew", "reclaim", "announce", "workers", "holders", "prune")
"""What workers call, but for `wait`, which asks no embedded store."""


class Line:
    """Sits between workers and their engine: counts calls and answers, and cuts them while it is down."""

    def __init__(self, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._cut: frozenset[str] = frozenset()
        self._after: frozenset[str] = frozenset()
        for verb in VERBS:
            monkeypatch.setattr(engine, verb, self._through(verb, getattr(engine, verb)))

    def _through(self, verb: str, call: Callable[Asked, Awaitable[Answer]]) -> Callable[Asked, Awaitable[Answer]]:
        async def through(*args: Asked.args, **kwargs: Asked.kwargs) -> Answer:
            self.calls[verb] += 1
            if verb in self._cut:
                raise EngineUnavailable("the line is down")
            answer = await call(*args, **kwargs)
            if verb in self._after:
                raise EngineUnavailable("the line went down before the answer came")
            self.answers[verb] += 1
            return answer

        return through

    @contextmanager
    def down(self, *verbs: str) -> Iterator[None]:
        """Nothing gets through."""
        self._cut = frozenset(verbs or VERBS)
        yield
        self._cut = frozenset()

    @contextmanager
    def deaf(self, *verbs: str) -> Iterator[None]:
        """Calls get through and act, but no answer comes back."""
        self._after = frozenset(verbs or VERBS)
        yield
        self._after = frozenset()
