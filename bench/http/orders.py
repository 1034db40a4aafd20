"""What `tidegate serve` serves while it is measured: one job type, whose payload is checked as any other's."""

from pydantic import BaseModel

from tidegate.app import Tidegate


class Order(BaseModel):
    """A payload of ordinary size."""

    order: int
    customer: str
    items: list[str]
    total: float


app = Tidegate()


@app.job("order")
async def order(payload: Order) -> int:
    """Do nothing."""
    return payload.order
