"""What runs spent on models can be read, also of runs that failed."""

from dataclasses import dataclass

from tests.worker.house import House
from tidegate.context import Context
from tidegate.core.job import Status
from tidegate.core.ledger import Entry


@dataclass(frozen=True, slots=True)
class Usage:
    """As `llm.values.Usage`."""

    input_tokens: int
    output_tokens: int
    cost: int | None


async def test_every_run_s_calls_are_kept_with_their_cost(house: House) -> None:
    async def ask(ctx: Context) -> None:
        async with ctx.upstream("model-a") as call:
            call.spent(Usage(10 * ctx.run, 5, 30 if ctx.run == 1 else None))
        if ctx.run == 1:
            raise ValueError("the first answer made no sense")

    house.job("ask", ask)
    await house.worker()
    job = await house.ended(await house.submit("ask"))
    assert job.status is Status.SUCCEEDED
    assert await house.system.client.spent(job) == [
        Entry(run=1, upstream="model-a", input_tokens=10, output_tokens=5, cost=30),
        Entry(run=2, upstream="model-a", input_tokens=20, output_tokens=5, cost=None),
    ]


async def test_a_job_that_asked_no_model_has_spent_nothing(house: House) -> None:
    async def ask() -> None: ...

    house.job("ask", ask)
    await house.worker()
    assert await house.system.client.spent(await house.ended(await house.submit("ask"))) == []
