"""fakellm, an OpenAI-compatible server by other people: on loopback, with rules of the tests' own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30


@contextmanager
def fakellm(folder: Path, rules: str) -> Iterator[str]:
    """A server; its base URL."""
    config = folder / "fakellm.yaml"
    config.write_text(rules, "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    command = [sys.executable, "-m", "uvicorn", "fakellm.server:app", "--host", "127.0.0.1", "--port", str(port)]
    environment = os.environ | {"FAKELLM_CONFIG": str(config)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
    try:
        _wait(server, port, folder / "log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait()


def _wait(server: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    give_up_at = time.monotonic() + START_SECONDS
    while True:
        assert server.poll() is None, log.read_text("utf-8")[-2_000:]
        assert time.monotonic() < give_up_at, "the server does not answer"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
