"""The process that runs `cpu=True` handlers, one call after the other: `python -m tidegate.worker.child`."""

import ctypes
import importlib
import json
import os
import runpy
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

from tidegate.context import Context, LocalFile, Result
from tidegate.core.failure import failure_of, failure_to_json
from tidegate.core.job import Progress
from tidegate.errors import ConfigError
from tidegate.handlers import Handler, JobType, Registry, encode

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Pipe:
    """The context's link to the parent. A run here is stopped by killing it, so it is never `stopped`."""

    out: BinaryIO

    def send(self, message: dict[str, object]) -> None:
        """Write one message."""
        self.out.write(json.dumps(message).encode() + b"\n")
        self.out.flush()

    def report(self, progress: Progress) -> None:
        """Pass progress on."""
        self.send({"progress": progress.fraction, "message": progress.message})

    def stopped(self) -> bool:
        """Never: see the class."""
        return False


@dataclass(frozen=True, slots=True)
class PipeLog:
    """A logger whose lines the parent writes, bound with the job's ids."""

    pipe: Pipe

    def _say(self, level: str, event: str, details: dict[str, object]) -> None:
        self.pipe.send({"log": level, "event": event, "details": json.loads(encode(details))})

    def debug(self, event: str, **details: object) -> None:
        """See `context.Log`."""
        self._say("debug", event, details)

    def info(self, event: str, **details: object) -> None:
        """See `context.Log`."""
        self._say("info", event, details)

    def warning(self, event: str, **details: object) -> None:
        """See `context.Log`."""
        self._say("warning", event, details)

    def error(self, event: str, **details: object) -> None:
        """See `context.Log`."""
        self._say("error", event, details)


def main() -> None:
    """Answer calls from stdin until it closes."""
    _die_with_parent()
    pipe = Pipe(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)  # what a handler prints must not look like an answer
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job_types: dict[tuple[str, str], JobType] = {}
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            answer = _run(request, job_types, pipe)
        except Exception as exc:  # the handler's own, told to the parent as the run's ending
            answer = {"failure": failure_to_json(failure_of(exc))}
        pipe.send(answer)


def _run(request: dict[str, object], known: dict[tuple[str, str], JobType], pipe: Pipe) -> dict[str, object]:
    place = (str(request["module"]), str(request["handler"]))
    if place not in known:
        known[place] = Registry().add("job", _find(*place), {"cpu": True})
    job_type = known[place]
    context = _context(SimpleNamespace(**_mapping(request["job"])), pipe)
    payload = job_type.check(str(request["payload"]).encode())
    value = job_type.handler(*job_type.arguments(payload, context))
    wrapped = value if isinstance(value, Result) else Result(value=value)
    return {
        "result": None if wrapped.value is None else encode(wrapped.value).decode(),
        "degraded": wrapped.degraded,
        "served_by": wrapped.served_by,
        "saved": [{"name": s.name, "path": str(s.path), "content_type": s.content_type} for s in context.saved],
    }


def _context(job: SimpleNamespace, pipe: Pipe) -> Context:
    files = {key: LocalFile(path=Path(f["path"]), name=f["name"], size=f["size"]) for key, f in job.files.items()}
    return Context(
        job_id=job.job_id,
        type=job.type,
        user_id=job.user_id,
        request_id=job.request_id,
        run=job.run,
        attempt=job.attempt,
        log=PipeLog(pipe),
        link=pipe,
        folder=Path(job.folder),
        files=files,
    )


def _find(module: str, name: str) -> Handler:
    """The function itself, also where `@app.job` has wrapped it."""
    found: object
    if module.endswith(".py"):
        found = SimpleNamespace(**runpy.run_path(module, run_name="__tidegate_child__"))
    else:
        found = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    wrapped: Handler | None = getattr(found, "handler", None)
    if wrapped is not None:
        return wrapped
    if not callable(found):
        raise ConfigError(f"{name} of {module} is no function")
    return found


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _die_with_parent() -> None:
    """On Linux, ask the kernel to kill this process when its parent is gone: a lease must not outlive it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
