"""The calls of built-in job types to models. Imports the client: import it only where a model is set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import httpx2

from tidegate.context import Log
from tidegate.jobs.models import CONTENT_QUEUE, ModelSettings
from tidegate.llm import LLM, Chain, Deadlines, Ledger, Policy, Prices, Provider, from_environment
from tidegate.upstreams import QUEUES, Policies, UpstreamOptions, declared, gate_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """The models, first choice first, and how hard a call to one tries."""

    providers: tuple[Provider, ...]
    policy: Policy

    @property
    def upstream(self) -> str:
        """The upstream of the first choice."""
        return self.providers[0].upstream

    def chain(self, http: httpx2.AsyncClient, log: Log, model: str | None = None) -> Chain:
        """All of them, each try a line in `log`; with a `model`, that one in the place of the first."""
        first, *others = self.providers
        asked = [first if model is None else replace(first, model=model), *others]
        return Chain([LLM(one, http=http, policy=self.policy, ledger=Ledger(log)) for one in asked])

    def with_fallback(self) -> "Models":
        """For calls that have a fallback: the first choice under a gate of its own, which may stay shut for longer."""
        first, *others = self.providers
        own = replace(first, upstream=_insights(first.upstream), parents=(first.upstream,))
        return replace(self, providers=(own, *others))


def models_of(settings: ModelSettings) -> Models:
    """The models that are set; raises ConfigError for what can't be called."""
    prices = {model: Prices(input=said, output=made) for model, (said, made) in settings.prices.items()}
    first = replace(from_environment(settings.environment), prices=prices)
    second = replace(first, model=settings.fallback, upstream=_fallback(first.upstream)) if settings.fallback else None
    policy = Policy(tries=settings.tries, backoff=settings.backoff, deadlines=Deadlines(overall=settings.overall))
    return Models(providers=(first,) if second is None else (first, second), policy=policy)


def declared_by(models: Models, settings: ModelSettings, policies: Policies) -> Policies:
    """The policies with the upstreams of these models."""
    name = models.upstream
    budgets: UpstreamOptions = {}
    if settings.budget is not None:
        budgets["budget"] = settings.budget
    if settings.budget_per_user is not None:
        budgets["budget_per_user"] = settings.budget_per_user
    policies = declared(policies, name, {"limit": settings.limit, **budgets})
    policies = declared(policies, _insights(name), {"rules": settings.breaker, "parents": (name,)})
    if len(models.providers) > 1:
        policies = declared(policies, _fallback(name), {"rules": settings.breaker, **budgets})
        # A job that may fall back waits for no upstream, so the limit is its queue's.
        queue = replace(policies.rules(gate_of(QUEUES, CONTENT_QUEUE)), limit=settings.limit)
        policies = replace(policies, queues={**policies.queues, CONTENT_QUEUE: queue})
    return policies


class Connections:
    """One pool of connections for all runs, open while there is one: nobody tells a job type when a worker ends."""

    def __init__(self) -> None:
        self._runs = 0
        self._http: httpx2.AsyncClient | None = None

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[httpx2.AsyncClient]:
        """The pool, for one run."""
        http = self._http = self._http or httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None))
        self._runs += 1
        try:
            yield http
        finally:
            self._runs -= 1
            if self._runs == 0:
                self._http = None
                await http.aclose()


def _insights(upstream: str) -> str:
    return f"{upstream}.insights"


def _fallback(upstream: str) -> str:
    return f"{upstream}.fallback"
