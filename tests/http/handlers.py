"""An application with the job types that these tests submit."""

import asyncio

from pydantic import BaseModel

from tidegate.app import Tidegate
from tidegate.config import Settings
from tidegate.context import Context

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 16
LARGE = 100_000
"""Characters of the large result: more than a store keeps inline."""


class Echo(BaseModel):
    """What `echo` is given."""

    text: str = ""
    count: int = 0
    numbers: list[float] = []


class File(BaseModel):
    """What `measure` is given."""

    file: str


def application(settings: Settings) -> Tidegate:
    """An application with one job type for each way that a job can go."""
    app = Tidegate(settings)
    _plain(app)
    _long(app)
    _with_files(app)
    return app


def _plain(app: Tidegate) -> None:
    @app.job("echo")
    async def echo(payload: Echo) -> dict[str, object]:
        """Give the payload back."""
        return payload.model_dump()

    @app.job("broken")
    async def broken() -> None:
        """Fail each time."""
        raise ValueError("it is broken")

    @app.job("nothing")
    async def nothing() -> None:
        """Return nothing."""

    @app.job("large")
    async def large() -> str:
        """Return more than a store keeps inline."""
        return "x" * LARGE


def _long(app: Tidegate) -> None:
    @app.job("endless")
    async def endless(ctx: Context) -> None:
        """Run until somebody ends it."""
        ctx.progress(0.5, "half way")
        await asyncio.Event().wait()

    @app.job("brief")
    async def brief(ctx: Context) -> None:
        """Take half a second."""
        ctx.progress(0.1, "begun")
        await asyncio.sleep(0.5)


def _with_files(app: Tidegate) -> None:
    @app.job("chart")
    async def chart(ctx: Context) -> dict[str, str]:
        """Make files beside the result."""
        ctx.save("charts/trend.png", PICTURE, "image/png")
        ctx.save("page.html", "<script>alert(1)</script>", "text/html")
        return {"chart": "charts/trend.png"}

    @app.job("measure", files=("file",))
    async def measure(payload: File, ctx: Context) -> dict[str, object]:
        """Say what was uploaded."""
        return {"name": ctx.files["file"].name, "size": ctx.files["file"].size}
