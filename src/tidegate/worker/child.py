"""The process that runs `cpu=True` handlers, one call after the other: `python -m tidegate.worker.child`."""

import ctypes
import importlib
import json
import os
import runpy
import signal
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

from tidegate.context import Context, LocalFile
from tidegate.core.failure import failure_of, failure_to_json
from tidegate.core.job import Progress
from tidegate.errors import ConfigError, Defer
from tidegate.handlers import Handler, JobType, Registry
from tidegate.telemetry.hooks import adopt_uncaught
from tidegate.telemetry.redaction import clean_fields, trace
from tidegate.worker.producing import produced

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Pipe:
    """One call's link to the parent. A run here is stopped by killing it, so it is never `stopped`."""

    call: object
    out: BinaryIO

    def send(self, message: dict[str, object]) -> None:
        """Write one message of this call, whole, from any thread."""
        self.out.write(json.dumps({"call": self.call, **message}).encode() + b"\n")
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
        self.pipe.send({"log": level, "event": str(event), "details": clean_fields(details)})

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


def _tell(event: str, error: BaseException) -> None:
    frames = ", ".join(trace(error))
    sys.stderr.write(f"{event} {type(error).__name__} {frames}\n")


def main() -> None:
    """Answer calls until there are no more."""
    _die_with_parent()
    adopt_uncaught(_tell)
    for number in (signal.SIGINT, signal.SIGTERM):
        # The worker ends this process; a signal sent to the whole group must not. Not SIG_IGN, which a
        # program that a handler starts would inherit.
        signal.signal(number, _ignore)
    calls, answers = _private_pipes()
    known: dict[tuple[str, str], JobType] = {}
    myself = os.getpid()
    for line in calls:
        request = json.loads(line)
        pipe = Pipe(request["call"], answers)
        try:
            answer = _run(request, known, pipe)
        except Defer as exc:
            answer = {"gave_way": exc.after.total_seconds(), "upstream": exc.upstream}
        except BaseException as exc:  # the handler's own, told to the parent as the run's ending
            answer = {"failure": failure_to_json(failure_of(exc))}
        if os.getpid() != myself:
            os._exit(0)  # the handler forked, and this is the copy: one answer is enough
        pipe.send(answer)


def _private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Where calls come from and answers go; what a handler reads is empty, and what it prints goes to stderr.

    Neither is open in what a handler forks: such a process could outlive this one, and the parent would wait.
    """
    calls, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for mine in (calls, answers):
        os.register_at_fork(after_in_child=partial(os.close, mine))
    return os.fdopen(calls, "rb"), os.fdopen(answers, "wb")


def _ignore(*_: object) -> None:
    return None


def _run(request: dict[str, object], known: dict[tuple[str, str], JobType], pipe: Pipe) -> dict[str, object]:
    sys.path[:] = _texts(request["path"])  # the parent finds the handler's module; so must this process
    place = (str(request["module"]), str(request["handler"]))
    if place not in known:
        known[place] = Registry().add("job", _find(*place), {"cpu": True})
    job_type = known[place]
    context = _context(SimpleNamespace(**_mapping(request["job"])), pipe)
    payload = job_type.check(str(request["payload"]).encode())
    made = produced(job_type.handler(*job_type.arguments(payload, context)), context)
    return {
        "result": None if made.result is None else made.result.decode(),
        "degraded": made.degraded,
        "served_by": made.served_by,
        "saved": [{"name": s.name, "path": str(s.path), "content_type": s.content_type} for s in made.saved],
    }


def _context(job: SimpleNamespace, pipe: Pipe) -> Context:
    files = {key: LocalFile(path=Path(f["path"]), name=f["name"], size=f["size"]) for key, f in job.files.items()}
    return Context(
        job_id=job.job_id,
        type=job.type,
        user_id=job.user_id,
        request_id=job.request_id,
        traceparent=job.traceparent,
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


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(item) for item in value]


def _mapping(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value


def _die_with_parent() -> None:
    """On Linux, ask the kernel to kill this process when its parent is gone: a lease must not outlive it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
