"""When jobs are submitted, and for whom: Poisson, the same for the same seed."""

from random import Random
from typing import TypeAlias

from bench.outage.metrics import SICK, WELL

Arrival: TypeAlias = tuple[float, str]


def arrivals(rate: float, seconds: float, seed: int) -> list[Arrival]:
    """`rate` jobs a second for each of the two tenants, in order."""
    found: list[Arrival] = []
    for tenant in (SICK, WELL):
        dice = Random(f"{seed} {tenant}")
        at = dice.expovariate(rate)
        while at < seconds:
            found.append((at, tenant))
            at += dice.expovariate(rate)
    return sorted(found)
