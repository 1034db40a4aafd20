"""Many callers, one engine call: single questions that are asked at the same time share a verb's list.

Alone, a question is asked at once. While a call is under way, those that come meanwhile wait, and share the
next: the slower the store and the more the callers, the fuller the calls. Nobody waits for a timer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from tidegate.errors import EngineUnavailable

Question = TypeVar("Question")
Answer = TypeVar("Answer")

MOST: Final = 500
"""Questions in one call: enough to share a round trip and a commit, few enough not to hold up others' calls."""

Call: TypeAlias = Callable[[list[Question]], Awaitable[Sequence[Answer]]]
Told: TypeAlias = Callable[[Answer | Exception], None]


class Batcher(Generic[Question, Answer]):
    """Asks for many through `call`, which answers in order; one call at a time on each event loop."""

    def __init__(self, call: Call[Question, Answer], *, most: int = MOST) -> None:
        self._call = call
        self._most = most
        self._lines: dict[asyncio.AbstractEventLoop, _Line[Question, Answer]] = {}

    async def ask(self, question: Question) -> Answer:
        """The answer to one question; raises what the call raised for it.

        EngineUnavailable is raised to all who shared the call. Any other exception is one question's fault:
        the others are asked again without it.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer] = loop.create_future()

        def told(answer: Answer | Exception) -> None:
            if answered.done():
                return
            if isinstance(answer, Exception):
                answered.set_exception(answer)
            else:
                answered.set_result(answer)

        self.put(question, told, loop)
        return await answered

    async def ask_all(self, questions: Sequence[Question]) -> list[Answer | Exception]:
        """What `ask` returns or raises for each of several questions that come together."""
        loop = asyncio.get_running_loop()
        all_told: asyncio.Future[None] = loop.create_future()
        answers: list[Answer | Exception] = []

        def told(answer: Answer | Exception) -> None:
            answers.append(answer)  # a line answers in the order in which it was asked
            if len(answers) == len(questions) and not all_told.done():
                all_told.set_result(None)

        for question in questions:
            self.put(question, told, loop)
        if questions:
            await all_told
        return answers

    def put(self, question: Question, told: Told[Answer], loop: asyncio.AbstractEventLoop) -> None:
        """Ask without waiting, on the running loop: `told` gets the answer, or the exception. It must not raise."""
        line = self._lines.get(loop)
        if line is None:
            line = self._lines[loop] = _Line(self._call, self._most, lambda: self._lines.pop(loop, None), loop)
        line.waiting.append((question, told))

    def close(self) -> None:
        """Ask no more on this loop; whoever still waits here is never told."""
        line = self._lines.pop(asyncio.get_running_loop(), None)
        if line is not None:
            line.task.cancel()


class _Line(Generic[Question, Answer]):
    """The questions of one event loop, from the first of them until none waits."""

    def __init__(
        self, call: Call[Question, Answer], most: int, over: Callable[[], object], loop: asyncio.AbstractEventLoop
    ) -> None:
        self._call = call
        self._most = most
        self._over = over
        self.waiting: list[tuple[Question, Told[Answer]]] = []
        self.task = loop.create_task(self._drain(), name="tidegate-batcher")

    async def _drain(self) -> None:
        await asyncio.sleep(0)  # lets every question of this turn of the loop join the first call
        try:
            while self.waiting:
                batch, self.waiting = self.waiting[: self._most], self.waiting[self._most :]
                answers = await self._answers([question for question, _ in batch])
                for (_, told), answer in zip(batch, answers, strict=True):
                    told(answer)
        finally:
            self._over()

    async def _answers(self, questions: list[Question]) -> Sequence[Answer | Exception]:
        try:
            return await self._call(questions)
        except EngineUnavailable as exc:
            return [exc] * len(questions)
        except Exception as exc:
            if len(questions) == 1:
                return [exc]
        return [answer for question in questions for answer in await self._answers([question])]
