"""API servers with embedded workers on one store, of which one is killed while its clients are in mid-sentence."""

import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.e2e.fleet import STORES
from tests.e2e.process import Served

PATIENCE: Final = 60.0
"""Seconds that anything may take here: a busy machine is ten times as slow as one that rests."""

SETTINGS: Final = {
    "TIDEGATE_LEASE": "3s",
    "TIDEGATE_POLL": "0.1s",
    "TIDEGATE_GRACE": "1s",
    "TIDEGATE_WEBHOOK_HTTP": "true",
    "TIDEGATE_WEBHOOK_NETWORKS": "127.0.0.0/8",
}

_PORTS: Final = range(20_000, 32_000)
"""Below those that a system gives to clients: while a server is away, none of them takes its port."""

_AGAIN: Final = frozenset({502, 503, 504})


@dataclass
class Place:
    """One server, or two of which either goes on when the other is killed. `at` is the one that is talked to."""

    servers: list[Served]
    clients: list[httpx2.Client]
    artifacts: Path
    at: int = 0

    @property
    def client(self) -> httpx2.Client:
        """A client of the one that is talked to, whether it is up or not."""
        return self.clients[self.at]

    def kill(self) -> None:
        """kill -9 the one that is talked to, and start it again. Where there is another, that is talked to now."""
        victim = self.servers[self.at]
        victim.kill()
        victim.launch()
        self.at = (self.at + 1) % len(self.servers)
        self.servers[self.at].address()

    def whole(self) -> None:
        """Return once all are up."""
        for server in self.servers:
            server.address()

    def insist(self, ask: Callable[[httpx2.Client], httpx2.Response]) -> httpx2.Response:
        """An answer: where there is none, or the server is not ready yet, it is asked again."""
        give_up_at = time.monotonic() + PATIENCE
        while time.monotonic() < give_up_at:
            try:
                answer = ask(self.client)
            except httpx2.TransportError:
                time.sleep(0.1)
                continue
            if answer.status_code not in _AGAIN:
                return answer
            time.sleep(0.05)
        raise AssertionError(f"nobody answered within {PATIENCE:g} s\n{self.logs()}")

    def post(self, path: str, body: object, user: Mapping[str, str]) -> httpx2.Response:
        """The answer to a POST that may be sent twice."""
        return self.insist(lambda http: http.post(path, json=body, headers=user))

    def get(self, path: str, user: Mapping[str, str]) -> dict[str, Any]:
        """What is there."""
        answer = self.insist(lambda http: http.get(path, headers=user))
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, job_id: str, user: Mapping[str, str]) -> dict[str, Any]:
        """The status of a job, once it has ended."""
        give_up_at = time.monotonic() + PATIENCE
        while (status := self.get(f"/jobs/{job_id}/status?wait=5", user))["status"] in ("queued", "running"):
            assert time.monotonic() < give_up_at, f"it has not ended: {status}\n{self.logs()}"
        return status

    def steps(self, job_id: str, user: Mapping[str, str]) -> list[tuple[int, str]]:
        """The steps of a job, as its history has them."""
        return [(item["seq"], item["event"]) for item in self.get(f"/jobs/{job_id}/history", user)["items"]]

    def events(self, job_id: str, user: Mapping[str, str]) -> list[str]:
        """Their names."""
        return [event for _, event in self.steps(job_id, user)]

    def logs(self) -> str:
        """The ends of all logs, for a failing test."""
        return "\n".join(server.log.read_text()[-3_000:] for server in self.servers)


@contextmanager
def place(folder: Path, store_name: str, settings: Mapping[str, str]) -> Iterator[Place]:
    """One server on SQLite; two on any other store."""
    with ExitStack() as stack:
        told = {**SETTINGS, **settings, "TIDEGATE_ARTIFACTS": str(folder / "artifacts")}
        told["LEDGER"] = str(folder / "ledger.txt")
        if store_name != "sqlite":
            told["TIDEGATE_ENGINE"] = stack.enter_context(STORES[store_name]()).url
        ports = [_free_port() for _ in range(1 if store_name == "sqlite" else 2)]
        servers = [stack.enter_context(_server(folder / f"api-{port}", port, told)) for port in ports]
        clients = [stack.enter_context(_client(port)) for port in ports]
        made = Place(servers, clients, folder / "artifacts")
        made.whole()
        yield made


@contextmanager
def _server(folder: Path, port: int, told: Mapping[str, str]) -> Iterator[Served]:
    folder.mkdir()
    server = Served(folder, {**told, "TIDEGATE_PORT": str(port)})
    try:
        server.launch()
        yield server
    finally:
        server.close()


def _client(port: int) -> httpx2.Client:
    return httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False)


def until(check: Callable[[], object], what: str) -> None:
    """Return at once when it is so; fails where it takes too long."""
    give_up_at = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < give_up_at, f"not within {PATIENCE:g} s: {what}"
        time.sleep(0.001)


def _free_port() -> int:
    for port in random.sample(_PORTS, 100):
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("a hundred ports are taken")
