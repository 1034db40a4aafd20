"""A rival's script as a process: orders in, an answer out; and workers, which may be killed as a whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.peers import proc
from bench.peers.installing import CACHE, HERE, NODE
from bench.peers.roster import Peer

SCRIPTS: Final = HERE / "scripts"
STOP_SECONDS: Final = 8.0
CALL_SECONDS: Final = 240.0


class Broken(Exception):
    """A script that failed, with the end of what it printed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """What scripts are told besides the command: which peer, which store, where to write."""

    peer: Peer
    url: str
    folder: Path
    record: Path

    def environment(self, more: Mapping[str, object]) -> dict[str, str]:
        """The orders as the script reads them."""
        told = {"url": self.url, "variant": self.peer.variant, "embedded": self.peer.embedded}
        told |= {"record": str(self.record), "folder": str(self.folder), "out": str(self.folder / "answer.json")}
        return {**os.environ, "NODE_PATH": str(NODE / "node_modules"), "PEER": json.dumps({**told, **more})}

    def words(self, command: str) -> list[str]:
        """The command line."""
        match self.peer.environment:
            case "node":
                interpreter = shutil.which("node") or "node"
            case "":
                interpreter = sys.executable
            case name:
                interpreter = str(CACHE / "venvs" / name / "bin" / "python")
        return [interpreter, str(SCRIPTS / self.peer.file), command]


def call(orders: Orders, command: str, **more: object) -> object:
    """Run one command to its end; its answer. Raises Broken."""
    answer = orders.folder / "answer.json"
    answer.unlink(missing_ok=True)
    log = orders.folder / f"{command}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            orders.words(command), env=orders.environment(more), cwd=SCRIPTS, stdout=out, stderr=out
        )
    try:
        code = process.wait(timeout=CALL_SECONDS)
    except subprocess.TimeoutExpired as exc:
        process.kill()
        process.wait()
        raise Broken(f"{command} took more than {CALL_SECONDS:g} s") from exc
    if code:
        raise Broken(f"{command} ended with {code}: {_tail(log)}")
    return json.loads(answer.read_text("utf-8")) if answer.exists() else None


def _tail(log: Path) -> str:
    """The last line that names an error, or simply the end of what was printed."""
    lines = [line.strip() for line in log.read_text("utf-8", "replace").splitlines() if line.strip()]
    named = [line for line in lines if "Error" in line or "Exception" in line]
    return (named or lines or ["it printed nothing"])[-1][:300]


class Worker:
    """A worker process and its children. `elsewhere` starts it in its own pid namespace, as on another host."""

    def __init__(self, orders: Orders, slots: int, *, elsewhere: bool = False) -> None:
        words = orders.words("work")
        if elsewhere:
            words = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words]
        environment = orders.environment({"slots": slots})
        self._log = orders.folder / "work.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                words, env=environment, cwd=SCRIPTS, stdout=log, stderr=log, start_new_session=True
            )

    def check(self) -> None:
        """Raises Broken when it has ended."""
        if self._process.poll() is not None:
            raise Broken(f"the worker ended with {self._process.returncode}: {_tail(self._log)}")

    def tree(self) -> list[int]:
        """Process ids: its own and all below it."""
        return proc.tree(self._process.pid)

    def memory(self) -> float:
        """Megabytes resident, of all its processes."""
        return sum(proc.resident(pid) for pid in self.tree()) / 1e6

    def cpu(self) -> float:
        """Seconds of processor time so far."""
        return sum(proc.busy(pid) for pid in self.tree())

    def kill(self) -> None:
        """kill -9, the whole tree at once."""
        for pid in self.tree():
            _signal(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and kill -9 to what is left after a while."""
        tree = self.tree()
        _signal(self._process.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        alive = set(proc.tree(self._process.pid)) if self._process.poll() is None else set()
        for pid in alive | {pid for pid in tree if proc.group(pid) == self._process.pid}:
            _signal(pid, signal.SIGKILL)
        self._process.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
