"""Every claim about upstreams holds on every engine. Rules run at a sixtieth of their times: a minute is a second."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from tests.worker.house import STORES, House, open_house, url_of
from tidegate.core.rules import API, LLM, PROVIDER, QUEUE, scaled
from tidegate.core.verbs import Pace
from tidegate.upstreams import Known, Policies

FASTER: Final = 60

POLICIES: Final = Policies(
    upstreams={
        "api": Known(rules=scaled(API, FASTER)),
        "other": Known(rules=scaled(API, FASTER)),
        "narrow": Known(rules=replace(scaled(API, FASTER), limit=3)),
        "paced": Known(rules=replace(scaled(API, FASTER), pace=Pace(period=timedelta(milliseconds=50)))),
        # Opens for a second and a half; a probe may take its time, or a busy machine would lend a second one.
        "inline": Known(rules=replace(scaled(LLM, 400), probing=LLM.probing)),
        "llm": Known(rules=scaled(LLM, FASTER)),
        "model-a": Known(rules=scaled(API, FASTER), parents=("account", "provider")),
        "model-b": Known(rules=scaled(API, FASTER), parents=("account", "provider")),
        "account": Known(rules=scaled(PROVIDER, FASTER)),
        "provider": Known(rules=scaled(PROVIDER, FASTER)),
    },
    queues={"content": scaled(QUEUE, FASTER)},
)


@pytest.fixture(params=STORES)
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    """A fresh system with short times, without a worker."""
    name: str = request.param
    async with url_of(name, tmp_path) as url, open_house(tmp_path, url, POLICIES) as house:
        yield house
