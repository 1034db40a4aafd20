"""A served Tidegate as a process of its own, with its own folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[2]
USER = {"X-User-ID": "ada"}


class Served:
    """`tidegate serve` on a free port, killed or stopped at will and started again on the same data."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str] | None = None, words: tuple[str, ...] = ("serve",)
    ) -> None:
        self.folder = folder
        self.words = words
        self.ledger = folder / "ledger.txt"
        self.log = folder / "server.log"
        self.settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def _note(self) -> Path:
        return self.folder / "data" / "server.json"

    @property
    def environment(self) -> dict[str, str]:
        """What the server and the commands beside it are told."""
        return {
            **os.environ,
            "TIDEGATE_DATA_DIR": str(self.folder / "data"),
            "TIDEGATE_PORT": "0",
            "TIDEGATE_APP": "tests.e2e.served:app",
            "TIDEGATE_LIMIT_USER_PER_HOUR": "0",
            "TIDEGATE_LIMIT_IP_PER_MINUTE": "0",
            "TIDEGATE_LOG_FORMAT": "json",
            "LEDGER": str(self.ledger),
            "PYTHONPATH": str(ROOT),
            **self.settings,
        }

    def start(self) -> str:
        """Start it; its address once it listens."""
        self.launch()
        return self.address()

    def launch(self) -> None:
        """Start it, and don't wait."""
        self._note.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tidegate", *self.words], env=self.environment, stdout=log, stderr=log, cwd=ROOT
            )

    def address(self) -> str:
        """Its address once it listens."""
        assert self._process is not None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._note.exists():
                return str(json.loads(self._note.read_text())["url"])
            time.sleep(0.02)
        raise AssertionError(f"the server did not come up: {self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(timeout=60)
        self._process = None
        return code

    def close(self) -> None:
        """Make sure that it is gone."""
        if self._process is not None:
            self.kill()

    def command(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run one `tidegate` command as the same user, beside the server."""
        return subprocess.run(
            [sys.executable, "-m", "tidegate", *words],
            env={**self.environment, "TIDEGATE_USER": "ada"},
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            check=False,
        )

    def traces(self) -> list[list[str]]:
        """What handlers wrote: word, job, run."""
        return [line.split() for line in self.ledger.read_text().splitlines()] if self.ledger.exists() else []


def submit(http: httpx2.Client, job_type: str, payload: Mapping[str, object] | None = None, **more: object) -> str:
    """A new job's id."""
    answer = http.post("/jobs", json={"type": job_type, "payload": payload or {}, **more}, headers=USER)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["job_id"])


def status(http: httpx2.Client, job_id: str) -> Mapping[str, object]:
    """The job's status document."""
    found: Mapping[str, object] = http.get(f"/jobs/{job_id}/status", headers=USER).json()
    return found


def ended(http: httpx2.Client, job_ids: list[str], seconds: float) -> list[Mapping[str, object]]:
    """All status documents once every job has ended; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    left = list(job_ids)
    while left and time.monotonic() < deadline:
        left = [i for i in left if status(http, i)["status"] not in ("succeeded", "failed", "cancelled")]
        time.sleep(0.05)
    assert not left, f"{len(left)} of {len(job_ids)} jobs did not end within {seconds} s"
    return [status(http, job_id) for job_id in job_ids]


def events(http: httpx2.Client, job_id: str) -> list[str]:
    """The names of a job's steps."""
    items = http.get(f"/jobs/{job_id}/history", headers=USER).json()["items"]
    return [str(item["event"]) for item in items]
