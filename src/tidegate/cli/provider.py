"""`tidegate provider`: the fake provider."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import uvloop
from cyclopts import Parameter
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tidegate.clock import SystemClock
from tidegate.errors import ConfigError
from tidegate.provider import reading
from tidegate.provider.decision import Verdict
from tidegate.provider.log import Log
from tidegate.provider.timeline import Timeline


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it listens, and whom it answers."""

    host: Annotated[str, Parameter(help="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Parameter(help="Port to listen on; 0 picks a free one.")] = 8090
    key_file: Annotated[Path | None, Parameter(help="A file with the API key that callers must show.")] = None


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """What it plays, and how."""

    timeline: Annotated[str, Parameter(help="A timeline that ships, or a YAML file.")] = "healthy"
    scale: Annotated[float | None, Parameter(help="Play so many times as fast, in place of the file's scale.")] = None
    seed: Annotated[int | None, Parameter(help="What chance is made from, in place of the file's seed.")] = None
    log: Annotated[Path | None, Parameter(help="Write a line of JSON for every call to this file, anew.")] = None


def provider(
    *,
    play: Play | None = None,
    place: Place | None = None,
    show: Annotated[bool, Parameter(name="--list", negative=(), help="List the timelines that ship, and end.")] = False,
) -> None:
    """Serve a fake OpenAI-compatible provider whose outages a timeline sets, until SIGTERM or Ctrl-C."""
    if show:
        _print_timelines()
        return
    _serve(play or Play(), place or Place())


def _serve(play: Play, place: Place) -> None:
    from tidegate.provider.app import Application
    from tidegate.provider.serving import listen, serve
    from tidegate.provider.state import Provider

    timeline = _adjusted(reading.load(play.timeline), {"scale": play.scale, "seed": play.seed})
    key = _key(place.key_file)
    with listen(place.host, place.port) as listener:
        log = Log(play.log)
        served = Provider(timeline, log, SystemClock())
        host = f"[{place.host}]" if ":" in place.host else place.host
        url = f"http://{host}:{listener.getsockname()[1]}"

        def listening() -> None:
            served.begin()
            tenants = ", ".join(served.tenants)
            sys.stdout.write(f"{url} plays {play.timeline} at {timeline.scale:g}x for {tenants}\n")
            sys.stdout.flush()

        uvloop.run(serve(Application(served, key), log, listener, listening))
    _print_summary(log)


def _adjusted(timeline: Timeline, given: Mapping[str, float | None]) -> Timeline:
    changed = {name: value for name, value in given.items() if value is not None}
    try:
        return Timeline.model_validate({**dict(timeline), **changed})
    except ValidationError as exc:
        wrong = exc.errors(include_url=False, include_context=False)[0]
        raise ConfigError(f"--{wrong['loc'][0]}: {wrong['msg']}") from exc


def _key(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        key = file.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"can't read the key in {file}: {exc}") from exc
    if not key:
        raise ConfigError(f"there is no key in {file}")
    return key


def _print_timelines() -> None:
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("timeline", "what happens"):
        shown.add_column(name)
    for name in reading.names():
        shown.add_row(Text(name), Text(reading.load(name).about))
    _console().print(shown)


def _print_summary(log: Log) -> None:
    """What became of the calls, by start of the clock, tenant and phase."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("run", "tenant", "phase"):
        shown.add_column(name)
    met = [verdict for verdict in Verdict if any(counts[verdict] for counts in log.verdicts.values())]
    for verdict in met:
        shown.add_column(verdict.value, justify="right")
    for (run, tenant, phase), counts in log.verdicts.items():
        shown.add_row(str(run), Text(tenant), Text(phase), *(Text(f"{counts[verdict]:,}") for verdict in met))
    _console().print(shown if log.count else Text("nobody called", style="dim"))


def _console() -> Console:
    """A pipe has no width of its own."""
    console = Console()
    return console if console.is_terminal else Console(width=200)
