"""Which rules hold for which gate."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final, TypedDict

from tidegate.core.budget import Budget
from tidegate.core.job import MOST_PARENTS, Lane
from tidegate.core.rules import API, PROVIDER, QUEUE, RULE_SETS, WEBHOOK, WEBHOOK_UPSTREAM, Rules
from tidegate.core.text import check_name, listed
from tidegate.core.verbs import Pace
from tidegate.errors import ConfigError, InvalidInput

UPSTREAM: Final = "upstream"
QUEUES: Final = "queue"
GATES: Final = "gates"
"""The topic of the hint that gates were changed."""

KINDS: Final = (UPSTREAM, QUEUES)
"""The kinds of documents that hold the health of something: a gate's name is the kind, a colon, and the key."""

MOST_PER_MINUTE: Final = 60_000_000
"""Starts a minute: beyond a microsecond apart there is no pace."""

BREAKING_QUEUES: Final[Mapping[str, Rules]] = {"content": QUEUE}
"""Queues that pause by themselves (REQUIREMENTS B1); others are paused by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """An upstream that was declared: its rules, and its parents, nearest first."""

    rules: Rules = API
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The upstreams and queues of an application. Whatever was not declared has the default rules."""

    upstreams: Mapping[str, Known] = field(default_factory=dict)
    queues: Mapping[str, Rules] = field(default_factory=lambda: dict(BREAKING_QUEUES))

    def rules(self, gate: str) -> Rules:
        """The rules of a gate."""
        kind, _, name = gate.partition(":")
        if kind == QUEUES:
            return self.queues.get(name, QUEUE)
        if name in self.upstreams:
            return self.upstreams[name].rules
        if name in self._shared:
            return PROVIDER
        return WEBHOOK if name.startswith(WEBHOOK_UPSTREAM) else API

    def parents(self, upstream: str) -> tuple[str, ...]:
        """The parents that an upstream was declared with."""
        known = self.upstreams.get(upstream)
        return known.parents if known else ()

    def breaks(self, queue: str) -> bool:
        """Whether a queue pauses by itself."""
        return queue in self.queues

    def beside(self, lanes: Iterable[Lane]) -> "Policies":
        """With the upstreams of lanes too, by the default rules where they were not declared."""
        named = {lane.upstream: Known(parents=lane.parents) for lane in lanes if lane.upstream is not None}
        return replace(self, upstreams={**named, **self.upstreams})

    @property
    def bounds_users(self) -> bool:
        """Whether some upstream has a budget for each user."""
        return any(known.rules.budget_per_user is not None for known in self.upstreams.values())

    @property
    def _shared(self) -> frozenset[str]:
        return frozenset(parent for known in self.upstreams.values() for parent in known.parents)


class UpstreamOptions(TypedDict, total=False):
    """What `app.upstream` takes beside the name.

    `rules` is a rule set or the name of one ("api", "llm"). `limit` bounds the jobs that run at once in the whole
    fleet, `per_minute` the starts. `parents` are what it shares with others, nearest first: the account, the provider.
    `budget` is what all calls may cost together, `budget_per_user` what those of one user's jobs may.
    """

    rules: Rules | str
    parents: tuple[str, ...]
    limit: int
    per_minute: float
    budget: Budget
    budget_per_user: Budget


def declared(policies: Policies, name: str, options: UpstreamOptions) -> Policies:
    """With one more upstream; raises ConfigError."""
    unknown = set(options) - set(UpstreamOptions.__annotations__)
    if unknown:
        raise ConfigError(f"upstream {name!r}: there is no option {sorted(unknown)[0]!r}")
    if name in policies.upstreams:
        raise ConfigError(f"upstream {name!r} is declared twice")
    shared = _shared(name, options)
    if len(shared) > MOST_PARENTS or len({name, *shared}) <= len(shared):
        raise ConfigError(f"upstream {name!r}: it has at most {MOST_PARENTS} parents, each once, and none is itself")
    known = Known(rules=_bounded(name, _rules(name, options.get("rules", API)), options), parents=shared)
    return replace(policies, upstreams={**policies.upstreams, name: known})


def _shared(name: str, options: UpstreamOptions) -> tuple[str, ...]:
    """The parents that an upstream shares with others."""
    try:
        shared = listed("parents", options.get("parents", ()))
        for each in (name, *shared):
            check_name("upstream", each)
    except InvalidInput as exc:
        raise ConfigError(f"upstream {name!r}: {exc}") from exc
    return shared


def _bounded(name: str, rules: Rules, options: UpstreamOptions) -> Rules:
    """With what the owner of the account knows."""
    _check_numbers(name, options)
    if "limit" in options:
        rules = replace(rules, limit=options["limit"])
    if "per_minute" in options:
        if not 0 < options["per_minute"] <= MOST_PER_MINUTE:
            raise ConfigError(f"upstream {name!r}: per_minute must be above 0 and at most {MOST_PER_MINUTE:,}")
        rules = replace(rules, pace=Pace(period=timedelta(seconds=60 / options["per_minute"])))
    given = {one: options.get(one) for one in ("budget", "budget_per_user") if one in options}
    wrong = next((one for one, budget in given.items() if not isinstance(budget, Budget)), None)
    if wrong is not None:
        raise ConfigError(f"upstream {name!r}: {wrong} must be a Budget, as in {wrong}=Budget(50)")
    all_of_it, of_one = options.get("budget", rules.budget), options.get("budget_per_user", rules.budget_per_user)
    return replace(rules, budget=all_of_it, budget_per_user=of_one)


def _check_numbers(name: str, options: UpstreamOptions) -> None:
    limit, per_minute = options.get("limit"), options.get("per_minute", 1)
    if isinstance(limit, bool) or not isinstance(limit, int | None):
        raise ConfigError(f"upstream {name!r}: limit must be a whole number, not {limit!r}")
    if isinstance(per_minute, bool) or not isinstance(per_minute, int | float):
        raise ConfigError(f"upstream {name!r}: per_minute must be a number, not {per_minute!r}")


def _rules(name: str, given: Rules | str) -> Rules:
    if isinstance(given, Rules):
        return given
    if given not in RULE_SETS:
        raise ConfigError(f"upstream {name!r}: there are no rules {given!r}; there are {', '.join(sorted(RULE_SETS))}")
    return RULE_SETS[given]


def gate_of(kind: str, name: str) -> str:
    """The gate of an upstream or a queue."""
    return f"{kind}:{name}"
