"""The fake provider as a process of its own, on a free port, ended with the test.

with provider("o1", scale=60) as fake:
    client = httpx2.AsyncClient(base_url=fake.base("a"))   # …/a/v1
    fake.restart()                                         # the timeline begins now
    …
    lines = fake.lines()                                   # what the provider saw
"""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import msgspec

from tidegate.provider.log import Line

END_SECONDS = 20


class Page(msgspec.Struct):
    """A page of the log."""

    next: int
    lines: list[Line]


class Now(msgspec.Struct):
    """What holds for a tenant."""

    phase: str
    does: str
    left: float | None
    capacity: int | None
    in_flight: int
    overridden: bool
    verdicts: dict[str, int]


class Status(msgspec.Struct):
    """What holds."""

    scale: float
    seed: int
    run: int
    elapsed: float
    lines: int
    tenants: dict[str, Now]


@dataclass
class Fake:
    """A provider that runs."""

    url: str
    process: subprocess.Popen[str]
    http: httpx2.Client

    def base(self, tenant: str = "a") -> str:
        """What a client of the provider is given as its base URL."""
        return f"{self.url}/{tenant}/v1"

    def restart(self) -> None:
        """Begin the timeline anew."""
        self.http.post("/control/start").raise_for_status()

    def status(self) -> Status:
        """What holds now."""
        return msgspec.json.decode(self.http.get("/control").raise_for_status().content, type=Status)

    def override(self, does: str, tenant: str | None = None, **more: object) -> None:
        """Put a phase over the script; `lasts` is for how long."""
        wire = {"for" if name == "lasts" else name: value for name, value in more.items()}
        answer = self.http.post("/control", json={"does": does, **wire, **({"tenant": tenant} if tenant else {})})
        assert answer.status_code == 200, answer.text

    def clear(self, tenant: str | None = None) -> None:
        """Let the script hold again."""
        self.http.delete("/control", params={"tenant": tenant} if tenant else {}).raise_for_status()

    def lines(self, tenant: str | None = None) -> list[Line]:
        """Every call that is over, in the order in which they ended."""
        found: list[Line] = []
        following = -1
        while following != (page := self._page(max(following, 0))).next:
            following = page.next
            found += page.lines
        return [line for line in found if tenant in (None, line.tenant)]

    def _page(self, after: int) -> Page:
        answer = self.http.get("/control/log", params={"after": after}).raise_for_status()
        return msgspec.json.decode(answer.content, type=Page)

    def stop(self) -> str:
        """End it as a service is ended; what it printed."""
        self.process.send_signal(signal.SIGTERM)
        printed, _ = self.process.communicate(timeout=END_SECONDS)
        assert self.process.returncode == 0, printed
        return printed


@contextmanager
def provider(timeline: str | Path = "healthy", *, key: str = "", **options: object) -> Iterator[Fake]:
    """A provider that plays a timeline that ships, or that of a file; `options` are those of the command."""
    given = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "tidegate", "provider", "--port", "0", "--timeline", str(timeline), *given],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        words = process.stdout.readline().split()
        assert words, f"the provider ended with {process.wait(END_SECONDS)}"
        headers: Mapping[str, str] = {"Authorization": f"Bearer {key}"} if key else {}
        with httpx2.Client(base_url=words[0], headers=headers, timeout=10, trust_env=False) as http:
            yield Fake(words[0], process, http)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
