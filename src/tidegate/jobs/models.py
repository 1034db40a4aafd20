"""Which models the built-in job types call, as the operator set it. Cheap to import: the client of models is not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Final

from tidegate.core.budget import Budget
from tidegate.core.retry import Exponential
from tidegate.core.rules import LLM, Rules

CONTENT_QUEUE: Final = "content"
"""Of jobs that generate content: it pauses by itself after rate limits (REQUIREMENTS B1)."""

_WHERE: Final = "OPENROUTER_API_KEY (or another provider's key, or LLM_BASE_URL)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The models, how hard a call tries, and the limits of upstreams.

    `environment` is what `tidegate.llm.from_environment` reads. `fallback` is a second model of the same provider.
    `limit` bounds the jobs that call the first one at once, in the whole fleet; `breaker` is for calls that have a
    fallback. `budget` is what calls to each of them may cost, `budget_per_user` what those for one user may; `prices`
    are dollars per million tokens, of input and of output, by model, for providers that don't say what a call cost.
    """

    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    fallback: str = ""
    tries: int = 2
    backoff: Exponential = Exponential(initial=timedelta(seconds=0.5), cap=timedelta(seconds=10))
    overall: timedelta = timedelta(seconds=120)
    limit: int = 3
    breaker: Rules = LLM
    budget: Budget | None = None
    budget_per_user: Budget | None = None
    prices: Mapping[str, tuple[Decimal, Decimal]] = field(default_factory=dict)

    @property
    def missing(self) -> str:
        """The variables to set before a model can be called; "" where there are all."""
        where = any(self.environment.get(name) for name in self.environment.keys() - {"LLM_MODEL", "LLM_API_KEY"})
        parts = [*([] if where else [_WHERE]), *([] if self.environment.get("LLM_MODEL") else ["LLM_MODEL"])]
        return " and ".join(parts)
