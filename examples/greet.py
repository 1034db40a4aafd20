"""A job type of your own: greet somebody, slowly enough to watch.

`tidegate serve examples.greet:app` serves it; docs/tutorial/first-job.md builds it step by step.
"""

import asyncio

from pydantic import BaseModel, Field

from tidegate import Context, Tidegate

app = Tidegate()


class Greeting(BaseModel):
    """Whom to greet, and how often."""

    name: str = Field(min_length=1, max_length=100)
    times: int = Field(1, ge=1, le=100)


@app.job("greet", timeout=60)
async def greet(greeting: Greeting, ctx: Context) -> dict[str, object]:
    """Say hello, as often as asked."""
    lines: list[str] = []
    for number in range(1, greeting.times + 1):
        await asyncio.sleep(0.1)  # as a call to somebody else's server would take
        lines.append(f"Hello, {greeting.name}!")
        ctx.progress(number / greeting.times, f"{number} of {greeting.times}")
    ctx.save("greetings.txt", "\n".join(lines) + "\n", "text/plain")
    return {"greeted": greeting.name, "times": greeting.times}
