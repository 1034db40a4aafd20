"""A Sentry that keeps what it is sent: a real HTTP server on loopback."""

import gzip
import json
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """What arrived: `raw` bodies, unpacked, and the events in them."""

    def __init__(self, port: int) -> None:
        self.dsn = f"http://public@127.0.0.1:{port}/42"
        self.raw: queue.Queue[bytes] = queue.Queue()

    def events(self) -> list[dict[str, object]]:
        """The events that have arrived since the last look."""
        return [item for body in self.bodies() for item in _items(body)]

    def bodies(self) -> list[bytes]:
        """Every body that has arrived since the last look."""
        return [self.raw.get_nowait() for _ in range(self.raw.qsize())]


def _items(envelope: bytes) -> Iterator[dict[str, object]]:
    """An envelope is lines: its header, then a header and a payload for each item."""
    lines = [json.loads(line) for line in envelope.splitlines() if line]
    for header, payload in zip(lines[1::2], lines[2::2], strict=True):
        assert header["type"] == "event"
        yield payload


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that answers like Sentry, as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    receiver = Receiver(server.server_address[1])

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            packed = self.headers.get("Content-Encoding") == "gzip"
            receiver.raw.put(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_request(self, code: int | str = 0, size: int | str = 0) -> None:
            pass

    server.RequestHandlerClass = Handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join(timeout=10)
        server.server_close()
