"""Jobs inside your own program: no server, no HTTP. `python examples/library.py`"""

import asyncio

from pydantic import BaseModel

from tidegate import Tidegate

app = Tidegate()


class Order(BaseModel):
    number: int


@app.job("invoice", timeout=30)
async def invoice(order: Order) -> str:
    return f"invoice for order {order.number}"


async def main() -> None:
    async with app:  # opens the store and runs an embedded worker
        job = await app.submit(invoice, Order(number=7), idempotency_key="order-7")
        print(await job.result(timeout=10))
        again = await app.submit(invoice, Order(number=7), idempotency_key="order-7")
        print("the same job:", again.id == job.id)


if __name__ == "__main__":
    asyncio.run(main())
