"""Whether Tidegate's verbs cost more with 10k, 100k, 1M jobs waiting, on each engine."""

import uvloop

from bench.jobs import fill, job
from bench.peers.measures import Figures
from bench.peers.roster import Peer
from bench.peers.trials import Ground
from bench.scale import costs
from tidegate.engines import open_engine

SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (500, 1_000)


def grow(peer: Peer, ground: Ground, *, quick: bool) -> Figures:
    """Milliseconds for 100 jobs, by verb and size, on one store that is filled up between; and the ratio."""
    with ground.trial(peer) as trial:
        return uvloop.run(_grow(trial.store.url, QUICK_SIZES if quick else SIZES))


async def _grow(url: str, sizes: tuple[int, ...]) -> Figures:
    found: Figures = {}
    async with open_engine(url) as engine:
        filled = 0
        for size in sizes:
            await fill(engine, lambda _: job(), size - filled)
            filled = size
            found |= {f"{verb}_{size}": taken for verb, taken in (await costs(engine, job)).items()}
    for verb in ("submit", "claim", "settle"):
        found[f"{verb}_ratio"] = found[f"{verb}_{sizes[-1]}"] / found[f"{verb}_{sizes[0]}"]
    return found
