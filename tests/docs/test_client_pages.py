"""The pages about the Python client: its calls are listed as they are, and what they show runs against a server."""

import asyncio
import inspect
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from examples.greet import app
from tests.docs.pages import DOCS, listed, section
from tests.docs.program import Program
from tests.docs.walk import ADDRESS
from tests.http.reach import plain_settings
from tidegate.http.server import Server
from tidegate.sdk import Client, JobHandle, client, values
from tidegate.sdk.bodies import Filters, SubmitOptions

PAGE = DOCS / "reference" / "client.md"
HOW_TO = DOCS / "how-to" / "call-the-api-from-python.md"


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """The tutorial's application on a loop of its own: blocking snippets hold up the page's."""
    settings = plain_settings(folder)
    server = Server(app.configured(settings, app.emit), settings)
    started = threading.Event()

    async def run() -> None:
        task = asyncio.create_task(server.run())
        await server.started.wait()
        loops.append(asyncio.get_running_loop())
        started.set()
        await task

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert started.wait(30)
    try:
        yield server.url
    finally:
        loops[0].call_soon_threadsafe(server.stop)
        thread.join(30)


def test_every_snippet_of_the_how_to_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(tmp_path, monkeypatch)
    with _served(tmp_path / "data") as url:
        known = program.run(HOW_TO, {ADDRESS: url})
    assert known["wrong"] == "payload.name"


@pytest.mark.parametrize(("heading", "kind"), [("## Client", Client), ("## JobHandle", JobHandle)])
def test_every_call_is_listed_with_its_arguments(heading: str, kind: type[object]) -> None:
    shown = dict(_shown(word) for word in listed(PAGE, heading))
    calls = {name: call for name, call in inspect.getmembers(kind, inspect.isroutine) if not name.startswith("_")}
    assert set(shown) >= set(calls)
    for name, arguments in shown.items():
        if name in calls:
            known = set(inspect.signature(calls[name]).parameters)
            assert {argument for argument in arguments if argument not in known} == set(), name


@pytest.mark.parametrize("name", ["Queues", "Upstreams"])
def test_every_call_on_queues_and_upstreams_is_listed(name: str) -> None:
    calls = {name for name in vars(vars(client)[name]) if not name.startswith("_")}
    part = section(PAGE, "## Queues and upstreams").partition("`client.upstreams`")[name == "Upstreams" and 2]
    assert set(re.findall(r"`(\w+)\(", part)) == calls


def test_every_option_filter_and_value_is_named() -> None:
    assert set(listed(PAGE, "### Options")) == set(SubmitOptions.__annotations__)
    filters = re.findall(r"`(\w+)`", section(PAGE, "### Filters"))
    assert set(filters) == set(Filters.__annotations__)
    text = PAGE.read_text("utf-8")
    told = {name for name, kind in vars(values).items() if inspect.isclass(kind) and kind.__module__ == values.__name__}
    assert {name for name in told - {"Progress", "Overridden"} if f"`{name}`" not in text} == set()


def _shown(word: str) -> tuple[str, list[str]]:
    name, _, arguments = word.partition("(")
    return name, re.findall(r"\w+", re.sub(r"=[^,)]*", "", arguments))
