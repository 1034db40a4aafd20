"""What the commands of operators have in common: whom they ask, durations, and tables."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from cyclopts import Parameter
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.cli.service import Service, reach
from tidegate.config import Duration
from tidegate.core.text import check_name
from tidegate.errors import InvalidInput

Item = Mapping[str, object]
"""One thing, as the API tells it."""

NO_END: Final = "9999"
"""The year that stands for "until somebody says otherwise"."""

_durations: Final = TypeAdapter[Duration](Duration)


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Which server, who asks, which form."""

    url: Annotated[str | None, Parameter(help="Server (TIDEGATE_URL); else the running one, else no server.")] = None
    user: Annotated[
        str | None, Parameter(help="Who decides (TIDEGATE_USER); else by the key, or the account's name.")
    ] = None
    as_json: Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON.")] = False


Last = Annotated[
    str | None, Parameter(name="--for", help="How long it holds: 90s, 10m, 2h; else until told otherwise.")
]


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the API. `doubt` is asked before it; what it answers is said on stderr once all went well."""

    method: str
    path: str
    body: Item | None = None
    doubt: Callable[[Service], Awaitable[str]] | None = None


def asked(desk: Desk, call: Call, show: Callable[[Item], None], *, making: bool = False) -> int:
    """Ask, and show the answer, or print it as JSON. With `making`, an embedded store that is missing is made."""

    async def run() -> tuple[Item, str]:
        async with reach(desk.url, desk.user, making=making) as service:
            doubt = await call.doubt(service) if call.doubt else ""
            return await service.call(call.method, call.path, call.body), doubt

    answer, doubt = asyncio.run(run())
    if doubt:
        sys.stderr.write(f"tidegate: {doubt}\n")
    if desk.as_json:
        sys.stdout.write(json.dumps(answer, ensure_ascii=False, indent=2) + "\n")
    else:
        show(answer)
    return 0


def place(kind: str, name: str) -> str:
    """The path of one thing of a kind; raises InvalidInput for what can't be its name."""
    return f"/{kind}s/{check_name(kind, name)}"


async def known(service: Service, path: str) -> bool:
    """Whether there is such a thing yet: some can be spoken of before."""
    try:
        await service.get(path)
    except InvalidInput:
        return False
    return True


def lasting(last: str | None) -> Mapping[str, float]:
    """What a request says of a duration; raises InvalidInput."""
    if last is None:
        return {}
    try:
        seconds = _durations.validate_python(last).total_seconds()
    except ValidationError as exc:
        raise InvalidInput("--for", f"{last!r} is no duration: write 90s, 10m or 2h") from exc
    if seconds <= 0:
        raise InvalidInput("--for", "it must be longer than 0")
    return {"seconds": seconds}


def items(answer: Item) -> Sequence[Item]:
    """The things that an answer lists."""
    found = answer.get("items")
    return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []


def when(instant: object) -> str:
    """An instant of the API's, to the second; "" for none."""
    text = plain(instant)
    return "told otherwise" if text.startswith(NO_END) else text[:19].replace("T", " ")


def plain(value: object) -> str:
    """A value in one line, without what could drive a terminal."""
    text = "" if value is None else str(value)
    return "".join(c if c.isprintable() else " " for c in text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A table: its columns, how the words of its second column are coloured, and what is said where it is empty."""

    columns: Sequence[str]
    colours: Mapping[str, str]
    empty: str

    def show(self, rows: Sequence[Sequence[str]]) -> None:
        """Print it."""
        console().print(self.drawn(rows))

    def drawn(self, rows: Sequence[Sequence[str]]) -> Table | Text:
        """It, to be printed."""
        if not rows:
            return Text(self.empty, style="dim")
        shown = Table(box=None, header_style="bold", pad_edge=False)
        for number, name in enumerate(self.columns):
            shown.add_column(name, no_wrap=number < 2)
        for row in rows:
            cells = [Text(cell) for cell in row]
            cells[1].stylize(self.colours.get(row[1], ""))
            shown.add_row(*cells)
        return shown


def facts(item: Item) -> None:
    """Print what is known of one thing, a line each."""
    shown = Table.grid(padding=(0, 2))
    for name, value in item.items():
        if value not in (None, "", [], {}):
            shown.add_row(Text(name, style="bold"), Text(_fact(value), overflow="fold"))
    console().print(shown)


def say(text: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{text}\n")


def _fact(value: object) -> str:
    match value:
        case dict():
            return ", ".join(f"{name} {_fact(part)}" for name, part in value.items() if part not in (None, ""))
        case list():
            return ", ".join(_fact(part) for part in value)
        case _:
            return plain(value)


def console() -> Console:
    """Where to print. A pipe has no width of its own: what reads it is given whole lines."""
    found = Console()
    return found if found.is_terminal else Console(width=200)
