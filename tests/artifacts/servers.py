"""Two S3 servers that nobody here wrote: moto for breadth, rclone because it checks signatures."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import httpx2

from tidegate.artifacts import ArtifactSettings

ACCESS_KEY = "TIDEGATEKEY1"
SECRET_KEY = "tidegate-secret-1"
BUCKET = "artifacts"

START_SECONDS = 30

_corners = count(1)


@dataclass(frozen=True, slots=True)
class S3Server:
    """A running server; `verifies` tells whether it checks signatures."""

    port: int
    verifies: bool

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def s3_settings(url: str, *, secret_key: str = SECRET_KEY) -> ArtifactSettings:
    """A corner of the bucket that no other test has."""
    corner = f"s3://{BUCKET}/corner-{next(_corners)}/inner"
    return ArtifactSettings(url=corner, endpoint=url, access_key=ACCESS_KEY, secret_key=secret_key)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def moto() -> Iterator[S3Server]:
    port = free_port()
    with _running([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], port):
        server = S3Server(port, verifies=False)
        httpx2.put(f"{server.url}/{BUCKET}").raise_for_status()
        yield server


@contextmanager
def rclone(folder: Path) -> Iterator[S3Server]:
    port = free_port()
    (folder / BUCKET).mkdir()
    program = shutil.which("rclone", path=Path(sys.executable).parent) or "rclone"
    keys = ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    listen = ["--addr", f"127.0.0.1:{port}", "--config", ""]
    with _running([program, "serve", "s3", *keys, *listen, str(folder)], port):
        yield S3Server(port, verifies=True)


@contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(process, port)
        yield
    finally:
        process.kill()
        process.wait()


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while not _listens(port):
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}"
        assert time.monotonic() < give_up_at, f"{process.args!r} does not listen after {START_SECONDS} s"
        time.sleep(0.02)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
