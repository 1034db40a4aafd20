"""How a call is written once for both clients: as a coroutine that the one blocks on and the other awaits.

    class Queues(Resource[L, J]):
        @Call
        async def list(self) -> list[QueueInfo]: ...

`client.queues.list()` is a `list[QueueInfo]` where `client` blocks and a coroutine of one where it is awaited, with the
same arguments and the same docstring; type checkers and editors see which (decision 0017).
"""

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from tidegate.sdk.asking import Means
from tidegate.sdk.lines import Awaiting, Blocking, HttpLine

S = TypeVar("S")
P = ParamSpec("P")
T = TypeVar("T")
L = TypeVar("L", bound=HttpLine)
J = TypeVar("J")
"""What a client gives for a job: its handle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side(Generic[L, J]):
    """What all resources of one client share: its line, what calls are made with, and how it holds a job."""

    line: L
    means: Means
    handle: Callable[["Side[L, J]", str, bool], J]

    def job(self, job_id: str, *, created: bool = False) -> J:
        """The handle of a job."""
        return self.handle(self, job_id, created)


class Resource(Generic[L, J]):
    """Some of a server's calls."""

    def __init__(self, side: Side[L, J]) -> None:
        self._side = side
        self._means = side.means


class Call(Generic[S, P, T]):
    """A call that comes to a value."""

    def __init__(self, work: Callable[Concatenate[S, P], Coroutine[object, object, T]]) -> None:
        self.work = work
        self.__doc__ = work.__doc__

    @overload
    def __get__(self, at: None, owner: type[object]) -> Self: ...
    @overload
    def __get__(self, at: Resource[Blocking, J], owner: type[object]) -> Callable[P, T]: ...
    @overload
    def __get__(self, at: Resource[Awaiting, J], owner: type[object]) -> Callable[P, Coroutine[object, object, T]]: ...
    def __get__(self, at: Resource[L, J] | None, owner: type[object]) -> object:
        """The call at that resource."""
        return self if at is None else at._side.line.call(self.work.__get__(at))


class Each(Generic[S, P, T]):
    """A call that gives values on its way: an iterator, or an async one."""

    def __init__(self, flow: Callable[Concatenate[S, P], AsyncGenerator[T, None]]) -> None:
        self.work = flow
        self.__doc__ = flow.__doc__

    @overload
    def __get__(self, at: None, owner: type[object]) -> Self: ...
    @overload
    def __get__(self, at: Resource[Blocking, J], owner: type[object]) -> Callable[P, Iterator[T]]: ...
    @overload
    def __get__(self, at: Resource[Awaiting, J], owner: type[object]) -> Callable[P, AsyncGenerator[T, None]]: ...
    def __get__(self, at: Resource[L, J] | None, owner: type[object]) -> object:
        """The call at that resource."""
        return self if at is None else at._side.line.each(self.work.__get__(at))
