"""Routes that show the health of upstreams and let operators decide."""

from datetime import datetime, timedelta
from enum import Enum
from typing import Annotated

from fastapi import APIRouter, Body, Depends, Path
from starlette.requests import Request
from starlette.responses import Response

from tidegate.core.access import Role
from tidegate.core.budget import MICROS, Budget, spent
from tidegate.core.query import Stats
from tidegate.core.rules import WEBHOOK_UPSTREAM, Rules
from tidegate.core.upstream import (
    FOREVER,
    Overridden,
    Override,
    State,
    Transition,
    Upstream,
    gate,
    shut_until,
    state,
    word_at,
)
from tidegate.http.face import Author, Face, author_of, caller_of, told
from tidegate.http.openapi import refusals
from tidegate.http.problems import NOT_FOUND, Refusal
from tidegate.http.schemas.upstreams import (
    NAME_PATTERN,
    BudgetItem,
    OutcomeSent,
    OverrideItem,
    OverrideSent,
    TransitionItem,
    UpstreamHistory,
    UpstreamItem,
    UpstreamList,
    UserBudgetItem,
)
from tidegate.upstreams import UPSTREAM, Call, Upstreams, gate_of

TAGS: list[str | Enum] = ["upstreams"]

NamePath = Annotated[str, Path(pattern=NAME_PATTERN, description="The upstream's name.", examples=["openrouter"])]


class UpstreamRoutes:
    """The endpoints, on one application."""

    def __init__(self, face: Face) -> None:
        self._face = face

    async def find(self, request: Request) -> Response:
        """List the upstreams and their health; receivers of webhooks are shown to operators."""
        stats = await self._face.system.engine.stats()
        known = self._upstreams.all(UPSTREAM).items()
        items = [self._item(name, upstream, stats) for name, upstream in known if not _hidden(request, name)]
        return told(UpstreamList(items=items))

    async def show(self, request: Request, name: NamePath) -> Response:
        """Show an upstream's health."""
        return await self._shown(name, self._known(name, request))

    async def history(self, request: Request, name: NamePath) -> Response:
        """Show an upstream's changes, newest first."""
        await self._upstreams.keeper.refresh()
        return told(UpstreamHistory(items=[transition_item(change) for change in self._known(name, request).log]))

    async def override(
        self, request: Request, author: Author, name: NamePath, asked: Annotated[OverrideSent, Body()]
    ) -> Response:
        """Decide for the whole fleet whether an upstream is called.

        What the breaker itself would say goes on beneath, and holds again afterwards.
        """
        await self._face.count_post(request)
        last = None if asked.seconds is None else timedelta(seconds=asked.seconds)
        gate_name = gate_of(UPSTREAM, name)
        return await self._shown(name, await self._upstreams.override(gate_name, asked.state, author=author, last=last))

    async def clear(self, request: Request, author: Author, name: NamePath) -> Response:
        """Let the breaker decide again."""
        await self._face.count_post(request)
        self._known(name, request)
        return await self._shown(name, await self._upstreams.override(gate_of(UPSTREAM, name), None, author=author))

    async def reset(self, request: Request, author: Author, name: NamePath) -> Response:
        """Close the breaker now, and ramp up: whoever mended the upstream need not wait for a probe.

        What the upstream has spent of its budget is forgotten, what users have spent of theirs is not.
        """
        await self._face.count_post(request)
        self._known(name, request)
        return await self._shown(name, await self._upstreams.reset(gate_of(UPSTREAM, name), author=author))

    async def record(self, request: Request, name: NamePath, asked: Annotated[OutcomeSent, Body()]) -> Response:
        """Tell what a call came to that was made outside of any job."""
        await self._face.count_post(request)
        self._known(name, request)
        upstreams, took = self._upstreams, timedelta(seconds=asked.took)
        call = Call(upstream=name, parents=upstreams.policies.parents(name))
        if asked.fault is None:
            upstreams.succeeded(call, took)
        else:
            after = None if asked.retry_after is None else timedelta(seconds=asked.retry_after)
            upstreams.failed(call, asked.fault, took, after)
        await upstreams.keeper.flush(gate_of(UPSTREAM, name))
        return await self._shown(name, upstreams.upstream(gate_of(UPSTREAM, name)))

    @property
    def _upstreams(self) -> Upstreams:
        return self._face.system.upstreams

    def _known(self, name: str, request: Request) -> Upstream:
        known = self._upstreams.all(UPSTREAM).get(name)
        if known is None or _hidden(request, name):
            raise Refusal(NOT_FOUND, f"no upstream {name[:128]!r} is known here; GET /upstreams lists them")
        return known

    async def _shown(self, name: str, upstream: Upstream) -> Response:
        return told(self._item(name, upstream, await self._face.system.engine.stats()))

    def _item(self, name: str, upstream: Upstream, stats: Stats) -> UpstreamItem:
        policies, now, gate_name = self._upstreams.policies, self._upstreams.now(), gate_of(UPSTREAM, name)
        rules, given = policies.rules(gate_name), upstream.override
        lanes = [lane for lane in stats.lanes if gate_name in lane.lane.gates]
        return UpstreamItem(
            name=name,
            state=state(upstream, now),
            until=_end(shut_until(upstream, now)),
            why=_why(upstream, rules, now),
            rules=rules.name,
            parents=list(policies.parents(name)),
            limit=gate(upstream, rules, gate_name, now).limit,
            faults=len(upstream.faults),
            opens=upstream.opens,
            waiting=sum(lane.waiting + lane.ready for lane in lanes),
            running=sum(lane.running for lane in lanes),
            override=None if given is None else _override(given),
            budget=None if rules.budget is None else _budget(rules.budget, upstream, now),
            budget_per_user=None if rules.budget_per_user is None else _of_user(rules.budget_per_user),
        )


def _hidden(request: Request, name: str) -> bool:
    """Whether an upstream is a receiver of somebody's webhook, and who asks no operator."""
    return name.startswith(WEBHOOK_UPSTREAM) and not caller_of(request).role.includes(Role.OPERATOR)


def _end(until: datetime | None) -> datetime | None:
    return None if until is None or until >= FOREVER else until


def _why(upstream: Upstream, rules: Rules, now: datetime) -> str:
    """Why it is open, and that its budget is spent, where that is."""
    if not _exhausted(upstream, now):
        return upstream.why
    spent_all = f"its budget of {rules.budget} is spent" if rules.budget else "its budget is spent"
    opened = upstream.why if state(upstream, now) is not State.CLOSED else ""
    return f"{opened}; {spent_all}" if opened else spent_all


def _override(given: Overridden) -> OverrideItem:
    return OverrideItem(state=given.word, author=given.author, since=given.at, until=given.until)


def _exhausted(upstream: Upstream, now: datetime) -> bool:
    """Whether its budget lets no job through."""
    until = upstream.spending.until
    return until is not None and until > now and word_at(upstream, now) is not Override.OFF


def _budget(budget: Budget, upstream: Upstream, now: datetime) -> BudgetItem:
    return BudgetItem(
        dollars=float(budget.dollars),
        per=budget.per.total_seconds(),
        spent=spent(upstream.spending, budget, now) / MICROS,
        until=budget.ends(now),
        exhausted=_exhausted(upstream, now),
    )


def _of_user(budget: Budget) -> UserBudgetItem:
    return UserBudgetItem(dollars=float(budget.dollars), per=budget.per.total_seconds())


def transition_item(change: Transition) -> TransitionItem:
    """A change, as clients see it."""
    return TransitionItem(at=change.at, to=change.to, why=change.why, until=change.until, author=change.author)


def add_routes(router: APIRouter, face: Face) -> None:
    """Put these routes on `router`. Each asks who it is for."""
    routes, asks, one = UpstreamRoutes(face), [Depends(author_of)], "/upstreams/{name}"
    listed = refusals(400, 503)
    seen, acted = refusals(400, 404, 422, 503), refusals(400, 404, 422, 429, 503)
    router.add_api_route(
        "/upstreams", routes.find, response_model=UpstreamList, responses=listed, tags=TAGS, dependencies=asks
    )
    router.add_api_route(one, routes.show, response_model=UpstreamItem, responses=seen, tags=TAGS, dependencies=asks)
    router.add_api_route(
        f"{one}/history",
        routes.history,
        response_model=UpstreamHistory,
        responses=seen,
        tags=TAGS,
        dependencies=asks,
    )
    sent = acted | refusals(413, 415)
    for method, path, act, answers in (
        ("PUT", "override", routes.override, sent),
        ("DELETE", "override", routes.clear, acted),
        ("POST", "reset", routes.reset, acted),
        ("POST", "outcomes", routes.record, sent),
    ):
        router.add_api_route(
            f"{one}/{path}",
            act,
            methods=[method],
            response_model=UpstreamItem,
            responses=answers,
            tags=TAGS,
            dependencies=asks,
        )
