"""The fake provider as a process, and what its log says afterwards."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from bench.peers.processes import Broken
from tidegate.provider.log import Line

WARMING: Final = 1
"""The provider's run before the script begins."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider that listens, and the file of its log."""

    url: str
    log: Path

    def be_healthy(self) -> None:
        """Until the script begins."""
        body = json.dumps({"does": "healthy"}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/control", body), timeout=10):
            pass

    def calls(self, *, warming: bool = False) -> list[Line]:
        """The calls so far, of the script or before it; the newest may be missing by a tenth of a second."""
        decode = msgspec.json.Decoder(Line).decode
        whole = self.log.read_bytes().split(b"\n")[:-1]
        return [line for line in map(decode, whole) if (line.run == WARMING) is warming]


@contextmanager
def provider(timeline: str, scale: float, seed: int, log: Path) -> Iterator[Provider]:
    """Play a timeline until the end of the block. Raises Broken."""
    words = ["--timeline", timeline, "--scale", str(scale), "--seed", str(seed), "--log", str(log), "--port", "0"]
    command = [sys.executable, "-m", "tidegate", "provider", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        if not said.startswith("http://"):
            raise Broken(f"the provider did not start: {said}")
        served = Provider(said.split(" ")[0], log)
        served.be_healthy()
        yield served
    finally:
        process.terminate()
        process.communicate()
