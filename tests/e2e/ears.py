"""Those who listen while servers are killed: to streams of events, and for webhooks."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
from standardwebhooks import Webhook, WebhookVerificationError

from tests.e2e.killing import PATIENCE, Place
from tidegate.sdk.sse import Message, Reader


@dataclass
class Ear:
    """Hears a stream at whichever server is up, again and again from behind the last event that it heard."""

    at: Place
    path: str
    user: Mapping[str, str]
    place: str = ""
    heard: list[Message] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def steps(self) -> list[tuple[str, int, str]]:
        """The steps that were told: job, number, event; what says how far a run is is no step."""
        told = [(message.name, json.loads(message.data)) for message in self.heard]
        return [(data.get("job_id", ""), data["seq"], name) for name, data in told if data["seq"] is not None]

    def listen(self) -> None:
        """Until there is nothing more to hear, or it is over, or all patience is."""
        give_up_at = time.monotonic() + 2 * PATIENCE
        while not self.over.is_set() and time.monotonic() < give_up_at:
            with suppress(httpx2.TransportError):
                self._hear()
            time.sleep(0.1)

    def _hear(self) -> None:
        headers = {**self.user, **({"Last-Event-ID": self.place} if self.place else {})}
        silence = httpx2.Timeout(20, read=1)
        with self.at.client.stream("GET", self.path, headers=headers, timeout=silence) as response:
            if response.status_code == 204:
                self.over.set()
            if response.status_code != 200:
                return
            reader = Reader(self.place)
            for piece in response.iter_bytes():
                self.heard += reader.feed(piece)
                self.place = reader.last_id
                if self.over.is_set():
                    return


class Receiver(ThreadingHTTPServer):
    """A webhook's receiver. It answers every second message at once, and the others when it is let go.

    `got` is what came, `wrong` the ids of what was signed badly, `lost` those of what it held for somebody who is no
    more. Of a message that breaks off it takes no notice.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.secret = ""
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.wrong: list[str] = []
        self.lost: list[str] = []
        self.let_go = threading.Event()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_port}/hook"

    def take(self, body: bytes, headers: Mapping[str, str], line: socket.socket) -> None:
        """Take a message, which must be signed."""
        message = headers["webhook-id"]
        try:
            event: dict[str, Any] = Webhook(self.secret).verify(body, dict(headers))
        except WebhookVerificationError:
            self.wrong.append(message)
            return
        with self._lock:
            self.got.append((message, event))
            held = len(self.got) % 2 == 1
        if held and not self.let_go.is_set():
            self.let_go.wait(PATIENCE)
            if _gone(line):
                self.lost.append(message)


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Receiver)
        size = int(self.headers["content-length"])
        if len(body := self.rfile.read(size)) < size:
            return
        self.server.take(body, {name.lower(): value for name, value in self.headers.items()}, self.connection)
        with suppress(ConnectionError):
            self.send_response(204)
            self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _gone(line: socket.socket) -> bool:
    try:
        return line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens."""
    with Receiver() as receiver:
        thread = threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield receiver
        finally:
            receiver.let_go.set()
            receiver.shutdown()
            thread.join()
