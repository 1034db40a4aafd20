"""The application that the end-to-end tests serve: jobs that leave traces."""

import asyncio
import os
from pathlib import Path

from tidegate.app import Tidegate
from tidegate.context import Context

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


@app.job("stubborn", timeout=1.0)
async def stubborn(payload: dict[str, float]) -> None:
    """Sleep far beyond its timeout."""
    await asyncio.sleep(payload.get("seconds", 60.0))


@app.job("broken")
async def broken() -> None:
    """Fail each time."""
    raise RuntimeError("the customer's own text")
