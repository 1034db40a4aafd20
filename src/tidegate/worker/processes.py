"""Processes for `cpu=True` handlers: reused while they behave, killed when a run must end.

Parent and child talk JSON, one object a line, over private copies of the child's stdin and stdout; what a
handler prints goes to stderr. The child is told where the handler's function is, never its code. Every
message names the call it belongs to: what a handler leaves running may speak long after it has returned.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from tidegate.context import Context, Log, Saved
from tidegate.core.failure import failure_from_json
from tidegate.core.job import Lost, Progress
from tidegate.handlers import JobType
from tidegate.worker.producing import GaveWay, Made, Produced

REUSE = 100
"""Runs after which a child is replaced, so that what handlers leak goes with it."""


class Child:
    """One process. `call` blocks; `kill` may come from any thread and makes a call end at once."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tidegate.worker.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C is the worker's to handle; and `kill` ends all it forked
        )
        self.runs = 0
        self._doomed = False

    @property
    def alive(self) -> bool:
        """Whether it can take another call: not once it was killed, though it may take a moment to die."""
        return not self._doomed and self._process.poll() is None

    def call(self, job_type: JobType, payload: bytes, context: Context) -> Made:
        """Run the handler there, passing on its progress and log lines. Lost: the process died of it.

        Whatever it raises, the process is ended.
        """
        self.runs += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(_request(self.runs, job_type, payload, context) + b"\n")
            stdin.flush()
            for line in stdout:
                message = json.loads(line)
                if message["call"] == self.runs and (answer := _heard(message, context)) is not None:
                    return answer
        except OSError:  # it has died: its end of a pipe is closed
            pass
        except BaseException:
            self.kill()
            raise
        self.kill()
        self._process.wait()
        return Lost()

    def kill(self) -> None:
        """End it now, and whatever it has started."""
        self._doomed = True
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End it, and take its pipes back."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()


class Processes:
    """The children of one worker: as many as there are cpu jobs at once, idle ones kept for the next."""

    def __init__(self) -> None:
        self._idle: list[Child] = []

    def lend(self) -> Child:
        """An idle child, or a new one. From the worker's own thread: a child dies with the thread that made it."""
        while self._idle:
            child = self._idle.pop()
            if child.alive:
                return child
            child.close()
        return Child()

    def give_back(self, child: Child) -> None:
        """Keep a healthy child for the next run."""
        if child.alive and child.runs < REUSE:
            self._idle.append(child)
        else:
            child.close()

    def close(self) -> None:
        """End all idle children."""
        while self._idle:
            self._idle.pop().close()


def _request(number: int, job_type: JobType, payload: bytes, context: Context) -> bytes:
    module, name = _place(job_type)
    request = {
        "call": number,
        "path": sys.path,
        "module": module,
        "handler": name,
        "payload": payload.decode(),
        "job": {
            "job_id": context.job_id,
            "type": context.type,
            "user_id": context.user_id,
            "request_id": context.request_id,
            "traceparent": context.traceparent,
            "run": context.run,
            "attempt": context.attempt,
            "folder": str(context.folder),
            "files": {
                key: {"path": str(file.path), "name": file.name, "size": file.size}
                for key, file in context.files.items()
            },
        },
    }
    return json.dumps(request).encode()


def _place(job_type: JobType) -> tuple[str, str]:
    """Where a child finds the handler: a module's name, or a script's path, and the function's name."""
    function = job_type.handler
    module, name = str(function.__module__), str(getattr(function, "__qualname__", ""))
    if module == "__main__":
        module = str(getattr(sys.modules["__main__"], "__file__", ""))
    return module, name


def _heard(message: dict[str, object], context: Context) -> Made | None:
    """The answer, or None for what a handler says on its way."""
    match message:
        case {"progress": float() | int() | None as fraction, "message": str() as text}:
            context.link.report(Progress(fraction=fraction, message=text))
        case {"log": str() as level, "event": str() as event, "details": dict() as details}:
            say(context.log, level, event, details)
        case {"failure": dict() as failure}:
            return failure_from_json(failure)
        case {"gave_way": float() | int() as after, "upstream": str() | None as upstream}:
            return GaveWay(after=timedelta(seconds=after), upstream=upstream)
        case {"result": _}:
            return _answer(message)
        case _:
            pass  # no word of ours: what counts is the answer that follows
    return None


def say(log: Log, level: str, event: str, details: dict[str, object]) -> None:
    """Write a handler's line; one that can't be written, for a field's name, is lost: no reason to fail a job."""
    with suppress(TypeError):
        getattr(log, level)(event, **details)


def _answer(message: dict[str, object]) -> Produced:
    result, served_by, saved = message.get("result"), message.get("served_by"), message.get("saved")
    return Produced(
        result=result.encode() if isinstance(result, str) else None,
        degraded=message.get("degraded") is True,
        served_by=served_by if isinstance(served_by, str) else None,
        saved=tuple(_saved(item) for item in saved) if isinstance(saved, list) else (),
    )


def _saved(item: dict[str, str]) -> Saved:
    return Saved(name=item["name"], path=Path(item["path"]), content_type=item["content_type"])
