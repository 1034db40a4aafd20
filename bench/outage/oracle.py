"""The best that could be done: one who knows the script calls whenever there is room, and never in vain."""

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import Final

from bench.outage.script import Script

STEPS_PER_LATENCY: Final = 20


def finishes(arrivals: Sequence[float], script: Script, slots: int) -> list[float]:
    """When each job is done, first come, first served: every call takes the mean latency.

    Time goes in steps of a twentieth of it, because the capacity changes by itself.
    """
    step = script.latency / STEPS_PER_LATENCY
    coming, running, done = deque(sorted(arrivals)), deque[int](), list[float]()
    for now in count():
        if not coming:
            break
        while running and running[0] <= now:
            running.popleft()
        while coming and coming[0] <= now * step and len(running) < script.capacity(now * step, slots):
            coming.popleft()
            running.append(now + STEPS_PER_LATENCY)
            done.append(running[-1] * step)
    return done
