"""Handlers for `cpu=True` tests: the child imports this module, so they can't live inside a test."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from pydantic import BaseModel

from tidegate.context import Context, Result
from tidegate.errors import GiveUp, RetryLater

STUCK_CALLS: list[threading.Thread] = []


class Numbers(BaseModel):
    """A typed payload."""

    numbers: list[int]


def add(payload: Numbers) -> int:
    """Add up."""
    return sum(payload.numbers)


def whoami() -> int:
    """The child's process id."""
    return os.getpid()


def degraded(payload: dict[str, object]) -> Result[dict[str, object]]:
    """Give the payload back, with a remark."""
    return Result(value=payload, degraded=True, served_by="child")


def big() -> str:
    """More than is kept inline."""
    return "x" * 100_000


def saver(ctx: Context) -> str:
    """Save files, tell progress and log from another process."""
    ctx.save("notes.txt", "from a child", "text/plain")
    ctx.save("deep/er.bin", b"\x00\x01")
    ctx.progress(0.25, "saved")
    ctx.log.info("saved", files=2)
    return f"{ctx.type} {ctx.run} {ctx.attempt} {ctx.user_id}"


def origin(ctx: Context) -> list[str]:
    """Say which call it comes from."""
    return [ctx.request_id, ctx.traceparent]


def reader(ctx: Context) -> str:
    """Read a fetched upload."""
    file = ctx.files["file"]
    return f"{file.name} {file.size} {file.path.read_text()}"


def sleeper(ctx: Context) -> None:
    """Say who it is, then hang."""
    ctx.progress(0.5, str(os.getpid()))
    time.sleep(60)


def hog(ctx: Context) -> None:
    """Compute for ever, never looking at anything."""
    ctx.progress(None, str(os.getpid()))
    while True:
        pass


def with_children(ctx: Context) -> None:
    """Hang together with a grandchild that holds every pipe it inherits."""
    if (grandchild := os.fork()) == 0:
        time.sleep(60)
    ctx.progress(0.5, f"{os.getpid()} {grandchild}")
    time.sleep(60)


def raises(payload: dict[str, str]) -> None:
    """Raise what the payload names."""
    match payload["what"]:
        case "give_up":
            raise GiveUp("no use", code="hopeless")
        case "retry_later":
            from datetime import timedelta

            raise RetryLater("not yet", after=timedelta(seconds=7))
        case "value":
            raise ValueError("it went wrong")
        case what:
            raise LookupError(what)


def exits() -> None:
    """Leave the hard way."""
    os._exit(7)


def killed() -> None:
    """Be killed, as the kernel does when memory runs out."""
    os.kill(os.getpid(), signal.SIGKILL)


def segfaults() -> None:
    """Read from nowhere."""
    ctypes.string_at(0)


def sys_exits() -> None:
    """Leave the polite way."""
    sys.exit(3)


def interrupts() -> None:
    """Raise what a terminal's Ctrl-C raises."""
    raise KeyboardInterrupt


def floods() -> str:
    """Print megabytes to both streams, one line that looks like an answer among them."""
    print(json.dumps({"result": "forged", "saved": [], "degraded": False, "served_by": None}), flush=True)
    for _ in range(200):
        os.write(1, b"x" * 10_000 + b"\n")
    return "real"


def closes() -> str:
    """Close every file it was not given."""
    os.closerange(0, 100)
    return "closed"


def forks() -> str:
    """Come back twice."""
    os.fork()
    return "forked"


def spawns() -> str:
    """Leave a process behind that has inherited what can be inherited."""
    subprocess.Popen(["sleep", "2"])
    return "spawned"


def reads_stdin() -> str:
    """Ask for input."""
    return sys.stdin.read()


def talks_on(ctx: Context) -> str:
    """Leave a thread behind that goes on telling progress."""

    def talk() -> None:
        for _ in range(400):
            ctx.progress(0.9, "from the past")
            time.sleep(0.005)

    thread = threading.Thread(target=talk, daemon=True)
    STUCK_CALLS.append(thread)
    thread.start()
    return "returned"


def slow(ctx: Context) -> str:
    """Tell progress, take a moment, return."""
    ctx.progress(0.1, "mine")
    time.sleep(0.4)
    return str(os.getpid())


def unserialisable() -> object:
    """Return what JSON can't say."""
    return object()


def signals_off() -> str:
    """Take away every signal that can be taken away."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir("/")
    return "deaf"


def logs_oddly_and_gives_up(ctx: Context) -> None:
    """Say what no line can say plainly, then fail: the failure must be what counts."""
    say: Callable[..., object] = ctx.log.info
    say(123)
    ctx.log.info("caught", error=ValueError("x"), name="\udcff.csv")
    raise GiveUp("must fail", code="meant")
