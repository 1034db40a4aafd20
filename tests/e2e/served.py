"""The application that the end-to-end tests serve: jobs that leave traces."""

import asyncio
import hashlib
import os
from datetime import timedelta
from pathlib import Path

from tidegate.app import Tidegate
from tidegate.context import Context
from tidegate.errors import Defer

app = Tidegate()
LEDGER = Path(os.environ.get("LEDGER", "ledger.txt"))


def _trace(word: str, ctx: Context) -> None:
    with LEDGER.open("a", encoding="utf-8") as ledger:
        ledger.write(f"{word} {ctx.job_id} {ctx.run}\n")


@app.job("work")
async def work(payload: dict[str, float], ctx: Context) -> dict[str, int]:
    """Sleep for `seconds`, then say so."""
    _trace("start", ctx)
    await asyncio.sleep(payload.get("seconds", 0.05))
    _trace("end", ctx)
    return {"run": ctx.run}


@app.job("stages")
async def stages(ctx: Context) -> None:
    """Take three runs, each a little after the one before."""
    ctx.progress(ctx.run / 3, "on the way")
    if ctx.run < 3:
        raise Defer("there is more to do", after=timedelta(seconds=0.2))


@app.job("measure", files=("file",))
async def measure(payload: dict[str, str], ctx: Context) -> dict[str, object]:
    """Say what was uploaded."""
    content = ctx.files["file"].path.read_bytes()
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


@app.job("stubborn", timeout=1.0)
async def stubborn(payload: dict[str, float]) -> None:
    """Sleep far beyond its timeout."""
    await asyncio.sleep(payload.get("seconds", 60.0))


@app.job("broken")
async def broken() -> None:
    """Fail each time."""
    raise RuntimeError("the customer's own text")
