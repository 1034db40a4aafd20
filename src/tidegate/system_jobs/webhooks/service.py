"""Webhooks, as faces use them: kept, changed, tried out; and what a process needs so that ends are told."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from tidegate.core.job import Job, JobId, NewJob, Spec, Status
from tidegate.errors import EngineUnavailable, IdempotencyConflict, InvalidInput, Refused
from tidegate.handlers import Registry
from tidegate.ports import Engine
from tidegate.system_jobs.webhooks.book import Book
from tidegate.system_jobs.webhooks.delivering import Deliverer, Delivery, Post
from tidegate.system_jobs.webhooks.egress import Egress
from tidegate.system_jobs.webhooks.endpoint import ENDS, Endpoint, Secret, rotated
from tidegate.system_jobs.webhooks.notices import Terms, caused, delivery, payload, test_event
from tidegate.system_jobs.webhooks.removing import Remover, removal
from tidegate.system_jobs.webhooks.signing import SECRET_BYTES, secret_of
from tidegate.system_jobs.webhooks.store import Change, Endpoints
from tidegate.telemetry.events import Emitter

MOST: Final = 20
"""Webhooks of one user: an end may cost as many jobs."""

TOLD_AGAIN_FOR: Final = timedelta(minutes=10)
"""How long after a webhook was made its secret is told once more, to whom the first answer may not have reached."""

LOOKUP_SECONDS: Final = 1.0
"""How long a new URL's name is looked up; it is looked up again for each delivery."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What webhooks are made with. `newest` is the version of the newest document, as far as was heard.

    `bound` has the limit of an upstream's rules hold.
    """

    engine: Engine
    now: Callable[[], datetime]
    newest: Callable[[], int]
    nonce: Callable[[], str]
    chance: Callable[[int], bytes]
    new_id: Callable[[], JobId]
    egress: Egress
    bound: Callable[[str], Awaitable[None]]
    emit: Emitter
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked of a new webhook; under a `key`, `asked` is the fingerprint of the whole request."""

    user_id: str
    url: str
    events: tuple[Status, ...] = ENDS
    types: tuple[str, ...] = ()
    description: str = ""
    key: str | None = None
    asked: str = ""

    @property
    def own_id(self) -> str | None:
        """The id of the webhook that the key makes, the only one that it ever makes; None without a key."""
        return None if self.key is None else hashlib.sha256(f"{self.user_id}\0{self.key}".encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a wish: `created` is False where an earlier one under the same key had made the webhook."""

    endpoint: Endpoint
    created: bool

    def tells(self, now: datetime) -> bool:
        """Whether the secret is told: to who made it, and for some minutes to who asks again, unless it was rotated."""
        young = now - self.endpoint.created_at < TOLD_AGAIN_FOR
        return self.created or (young and len(self.endpoint.secrets) == 1)


class Webhooks:
    """All of them, whoever's. Every call that asks the store raises EngineUnavailable."""

    def __init__(self, to: Reach) -> None:
        self._to = to
        self._endpoints = Endpoints(to.engine, to.nonce)
        self.book = Book(self._endpoints, to.now, to.newest, to.terms)
        self.deliverer = Deliverer(
            endpoints=self._endpoints,
            book=self.book,
            now=to.now,
            post=self._post,
            bound=to.bound,
            cancel=self._cancel,
        )
        self._remover = Remover(
            engine=to.engine, endpoints=self._endpoints, emit=to.emit, now=to.now, drop=self.book.drop
        )
        self._sent: Post | None = None

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep up with the store for as long as this is open."""
        with suppress(EngineUnavailable):  # it is read again
            await self.book.refresh()
        keeping = asyncio.create_task(self.book.work(), name="tidegate-webhooks")
        try:
            yield
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    def register(self, registry: Registry) -> None:
        """Add the job types that deliver, and that follow a deletion."""
        self.deliverer.register(registry)
        self._remover.register(registry)

    async def cancelled(self, jobs: Sequence[Job]) -> None:
        """Tell of jobs that were cancelled while they waited; of any other nothing, and of none twice."""
        following = [new for job in jobs for new in self.book.follow_cancel(job)]
        if not following:
            return
        try:
            await self._to.engine.submit(following)
        except EngineUnavailable:  # their ids are their ends': what is there already is not made again
            await self._to.engine.submit(following)

    async def cancelled_ids(self, job_ids: Sequence[JobId]) -> None:
        """The same, of whichever jobs these are now; where there are no webhooks the store is not asked."""
        if self.book.needed:
            await self.cancelled([job for job in await self._to.engine.get(job_ids) if job is not None])

    # what users do ---------------------------------------------------------------------------------------------

    async def find(self, user_id: str | None) -> list[Endpoint]:
        """A user's, or with None everybody's, oldest first."""
        found = [one for one in await self._endpoints.all() if user_id in (None, one.user_id)]
        return sorted(found, key=lambda one: (one.created_at, one.id))

    async def get(self, webhook_id: str, user_id: str | None) -> Endpoint | None:
        """One of them; None where there is none, or it is another user's."""
        endpoint = await self._endpoints.get(webhook_id)
        return endpoint if endpoint is not None and user_id in (None, endpoint.user_id) else None

    async def made(self, wish: Wish) -> Made | None:
        """What the wish's key has made before, if anything.

        Raises IdempotencyConflict where that was for another wish, and Refused where it was deleted since.
        """
        if wish.key is None or wish.own_id is None:
            return None
        endpoint, ever = await self._endpoints.seen(wish.own_id)
        if endpoint is None and ever:
            raise Refused("the webhook that this idempotency key made was deleted: take another key")
        if endpoint is not None and (endpoint.user_id, endpoint.asked) != (wish.user_id, wish.asked):
            raise IdempotencyConflict(wish.key)
        return None if endpoint is None else Made(endpoint, created=False)

    async def create(self, wish: Wish) -> Made:
        """A new one, its secret in it, or the one that the wish's key has made; raises as `made`, and InvalidInput."""
        try:
            fresh = await self._added(wish)
        except Refused:  # a twin may have had the last place
            with suppress(Refused):
                if (made := await self.made(wish)) is not None:
                    return made
            raise
        if fresh is not None:
            return Made(fresh, created=True)
        if (made := await self.made(wish)) is None:
            raise EngineUnavailable("this webhook could not be kept; try again")
        return made

    async def _added(self, wish: Wish) -> Endpoint | None:
        """A new one, which is in the store; None where there is one of its id. Raises InvalidInput and Refused."""
        await self.check(wish.url)
        await self._check_count(wish.user_id, MOST - 1)
        endpoint = Endpoint(
            id=wish.own_id or self._to.nonce()[:16],
            user_id=wish.user_id,
            url=wish.url,
            secrets=(Secret(text=self._secret()),),
            created_at=self._to.now(),
            events=wish.events,
            types=wish.types,
            description=wish.description,
            asked=wish.asked,
        )
        await self._to.bound(endpoint.upstream)
        if not await self._endpoints.add(endpoint):
            return None
        try:
            await self._check_count(wish.user_id, MOST)  # again: of many that race for the last places none goes beyond
        except Refused:
            await self._endpoints.remove(endpoint.id)
            raise
        self.book.adopt(endpoint)
        return endpoint

    async def _check_count(self, user_id: str, most: int) -> None:
        if len(await self.find(user_id)) > most:
            raise Refused(f"there are {MOST} webhooks already: delete one first")

    async def check(self, url: str) -> None:
        """Raise InvalidInput for a URL that nothing would be sent to; a name without address may get one yet."""
        read = self._to.egress.read(url)
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(LOOKUP_SECONDS):
                await self._to.egress.addresses(read)

    async def change(self, webhook_id: str, change: Change) -> Endpoint | None:
        """The one that `change` makes of it; None where it is gone."""
        endpoint = await self._endpoints.change(webhook_id, change)
        if endpoint is not None:
            self.book.adopt(endpoint)
        return endpoint

    async def rotate(self, webhook_id: str) -> Endpoint | None:
        """With a new secret, in it, beside the one before; None where it is gone."""
        secret, now = self._secret(), self._to.now()
        return await self.change(webhook_id, lambda endpoint: rotated(endpoint, secret, now))

    async def remove(self, endpoint: Endpoint) -> None:
        """Forget it. A job of Tidegate's own cancels what waits to be delivered, also where this process dies now."""
        job = removal(endpoint, self._to.new_id(), self._to.now())
        await self._to.engine.submit([job])
        await self._endpoints.remove(endpoint.id)
        self.book.drop(endpoint.id)

    def tested(self, endpoint: Endpoint) -> NewJob:
        """The delivery of a test event: tried for minutes, also where the webhook is disabled."""
        job_id, now, terms = self._to.new_id(), self._to.now(), self._to.terms
        terms = replace(terms, retry=replace(terms.retry, max_attempts=1))
        sent = payload(endpoint, f"msg_{job_id}", test_event(endpoint, now))
        return delivery(endpoint, job_id, sent, terms, now + terms.test_kept_up)

    def replayed(self, endpoint: Endpoint, former: Spec, sent: bytes) -> NewJob:
        """Another delivery of the same message, under the same `webhook-id`; raises InvalidInput for what is none."""
        again = Delivery.model_validate_json(sent)
        if again.webhook != endpoint.id:
            raise InvalidInput("job_id", "it is a delivery to another webhook")
        expires_at = self._to.now() + self._to.terms.kept_up
        return caused(former, delivery(endpoint, self._to.new_id(), sent, self._to.terms, expires_at))

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        if self._sent is None:  # who delivers nothing need not load what sends
            from tidegate.system_jobs.webhooks.sending import Sender

            self._sent = Sender(egress=self._to.egress, now=self._to.now).post
        return await self._sent(url, headers, body)

    async def _cancel(self, job_id: JobId) -> None:
        await self._to.engine.cancel([job_id], self._to.nonce())

    def _secret(self) -> str:
        return secret_of(self._to.chance(SECRET_BYTES))
