"""Who asks, and may they? One gatekeeper before every route; a route that nobody thought of is the administrators'.

Without any key the API is open to this machine, and `http.server` listens on loopback only. With one, who asks shows a
key (`Authorization: Bearer tg_…`), or the cookie of a session that was begun with one.
"""

from collections.abc import Callable
from functools import lru_cache
from hmac import compare_digest
from ipaddress import ip_address
from typing import Final, NoReturn

from fastapi.routing import APIRoute
from starlette.datastructures import URL
from starlette.requests import Request

from tidegate.config import Settings
from tidegate.core.access import ANYBODY, GIVEN, Caller, Role
from tidegate.errors import AccessDenied, Unauthenticated
from tidegate.http.guards.guessing import Guesses
from tidegate.http.guards.keyring import KeyRing, Shown
from tidegate.http.guards.proxies import here
from tidegate.http.problems import BAD_REQUEST, Refusal

COOKIE: Final = "tidegate_session"

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

ACTING: Final = "tidegate_caller"
"""In a request's state: whom the application that we are mounted in says the request is from."""

OPEN: Final = frozenset({"service_index", "service_health", "service_ready", "session_begin"})
"""Operations that ask nobody who they are."""

NEEDS: Final[dict[str, tuple[Role, Role]]] = {
    "service": (Role.READER, Role.ADMIN),
    "jobs": (Role.READER, Role.WRITER),
    "uploads": (Role.READER, Role.WRITER),
    "schedules": (Role.READER, Role.WRITER),
    "webhooks": (Role.READER, Role.WRITER),
    "events": (Role.READER, Role.WRITER),
    "queues": (Role.READER, Role.OPERATOR),
    "upstreams": (Role.READER, Role.OPERATOR),
    "workers": (Role.READER, Role.OPERATOR),
    "keys": (Role.ADMIN, Role.ADMIN),
    "session": (Role.READER, Role.READER),
}
"""By a route's tag: the least role for looking, and that for changing."""

CALLER: Final = "caller"
"""In a request's state: who asks, once that is known."""

LOCAL_NAMES: Final = "tidegate_local_names"
"""In the state of an application that our own server serves: while there is no key, by this machine's names only."""


_GIVEN_CALLER: Final = Caller(role=Role.ADMIN, name=GIVEN, key_id=GIVEN)


class Gatekeeper:
    """Knows callers by what they show. A dependency of every route."""

    def __init__(
        self, ring: KeyRing, settings: Callable[[], Settings], guesses: Guesses, address: Callable[[Request], str]
    ) -> None:
        self._ring = ring
        self._settings = settings
        self._guesses = guesses
        self._address = address

    async def __call__(self, request: Request) -> None:
        """Note who asks, for `face.caller_of`; raises Unauthenticated, AccessDenied and Refusal."""
        if self.at_once(request):
            return
        _let_in(request, await self._caller(request) if await self.required() else self._anybody(request))

    def at_once(self, request: Request) -> bool:
        """The same, where the store need not be asked who it is; False where it must be. Raises Refusal too."""
        route = request.scope["route"]
        if f"{_tag(route)}_{route.name}" in OPEN:
            return True
        caller: Caller | None = request.scope["state"].get(ACTING) or self._known(request)
        if caller is not None:
            _let_in(request, caller)
        return caller is not None

    def _known(self, request: Request) -> Caller | None:
        settings, locked = self._settings(), self._ring.known_locked()
        if settings.auth == "none":
            return self._anybody(request)
        scheme, _, text = _authorization(request).partition(" ")
        if settings.admin_key is None and locked is False:
            return self._anybody(request)
        if scheme.lower() != "bearer":
            return None
        given = settings.admin_key
        if given is not None and compare_digest(given.get_secret_value().encode(), text.encode()):
            return _GIVEN_CALLER
        shown = self._ring.known(text.strip())
        return None if shown is None else _caller(shown)

    async def _caller(self, request: Request) -> Caller:
        shown, token = _authorization(request), request.cookies.get(COOKIE)
        if not shown and token is None:
            raise Unauthenticated("show an API key: Authorization: Bearer tg_...")
        found = await self._by_key(shown) if shown else await self._by_session(request, token or "")
        return found or await self.unknown(request)

    def _anybody(self, request: Request) -> Caller:
        """Who asks where no key is asked for: anybody on this machine, or whom others let in. Raises AccessDenied.

        A page from elsewhere can have its own name lead here (DNS rebinding), but no name of this machine's. In another
        application we do not choose what is listened on, so it counts where each request comes from.
        """
        settings = self._settings()
        if settings.auth == "none":
            return Caller(role=Role(settings.auth_role))
        if not here(request):
            raise AccessDenied(
                "there is no API key yet, so only this machine is answered: make one with `tidegate keys create`, set "
                "TIDEGATE_ADMIN_KEY, or TIDEGATE_AUTH=none where somebody else checks"
            )
        if getattr(request.app.state, LOCAL_NAMES, False) and not _asked_of_us(request):
            raise AccessDenied(
                "there is no API key yet, so only this machine's own names are answered: ask for localhost, make a key "
                "with `tidegate keys create`, or set TIDEGATE_AUTH=none where somebody else checks"
            )
        return ANYBODY

    async def required(self) -> bool:
        """Whether whoever asks must show a key."""
        settings = self._settings()
        return settings.auth == "keys" and (settings.admin_key is not None or await self._ring.locked())

    async def unknown(self, request: Request) -> NoReturn:
        """Refuse what was shown; raises RateLimited for an address that keeps guessing."""
        await self._guesses.count(self._address(request))
        raise Unauthenticated("this is no API key, or it has been revoked, or it is over")

    async def _by_key(self, shown: str) -> Caller | None:
        scheme, _, text = shown.partition(" ")
        if scheme.lower() != "bearer":
            raise Unauthenticated("an API key is shown as `Authorization: Bearer tg_...`: begin it with Bearer")
        shown_key = await self._ring.find(text.strip())
        return None if shown_key is None else _caller(shown_key)

    async def _by_session(self, request: Request, token: str) -> Caller | None:
        shown = await self._ring.session(token)
        if shown is not None and request.method not in SAFE and not own_page(request):
            raise AccessDenied("a session changes nothing on behalf of another site: send Origin: this server's own")
        return None if shown is None else _caller(shown)


def _tag(route: APIRoute) -> str:
    """Ours: those of an application that includes us stand before it."""
    return str(route.tags[-1]) if route.tags else ""


def _authorization(request: Request) -> str:
    """What is shown, "" where nothing is; raises Refusal where it is shown twice, as others may have read the other."""
    if "authorization" not in request.headers:
        return ""
    shown = request.headers.getlist("authorization")
    if len(shown) > 1:
        raise Refusal(BAD_REQUEST, "there is more than one Authorization header: send it once")
    return shown[0]


def _let_in(request: Request, caller: Caller) -> None:
    """Note who asks; raises AccessDenied for whom this route is not for."""
    looks, changes = NEEDS.get(_tag(request.scope["route"]), (Role.ADMIN, Role.ADMIN))
    needed = looks if request.method in SAFE else changes
    if not caller.role.includes(needed):
        raise AccessDenied(f"this needs the role {needed}, and your key has {caller.role}")
    request.scope["state"][CALLER] = caller


def local(host: str) -> bool:
    """Whether a host's name is this machine's own, or an address, which no name server can make lead elsewhere."""
    try:
        ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return True


def _asked_of_us(request: Request) -> bool:
    """Whether a request names this machine: in its Host header, or else by where it came."""
    return _local_host(request.headers.get("host"), request.scope.get("server"))


@lru_cache(maxsize=1_024)
def _local_host(header: str | None, server: tuple[str, int | None] | None) -> bool:
    headers = [] if header is None else [(b"host", header.encode("latin-1"))]
    return local(URL(scope={"path": "/", "server": server, "headers": headers}).hostname or "")


def own_page(request: Request) -> bool:
    """Whether a browser sends this from a page of ours: it says so itself, and no page can make it say otherwise."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if origin is not None:
        host = request.headers.get("host", "")
        return bool(host) and origin.lower().partition("://")[2] == host.lower()
    return site in ("same-origin", "none")


def _caller(shown: Shown) -> Caller:
    key = shown.key
    return Caller(role=key.role, name=key.name, user_id=key.user_id, key_id=key.id, digest=shown.digest)
