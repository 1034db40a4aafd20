"""The URL of a Redis or Valkey store, read once and strictly."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from tidegate.engines.redis.durability import Durability
from tidegate.errors import ConfigError

FORMS: Final = (
    "redis://[user:password@]host[:port][/database], rediss:// for TLS, or unix://[user:password@]/path/to/socket, "
    "each with ?namespace=, ?durability= and ?timeout="
)
_NAMESPACE: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OPTIONS: Final = frozenset({"namespace", "durability", "timeout", "db"})
_TLS_OPTIONS: Final = frozenset({"ca", "cert", "key", "verify"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a store is, who asks, and what is asked of it.

    `path` is a unix socket's; with it `host` and `port` mean nothing. `durability` is the least that will do,
    None where any will. `deadline` is the most seconds that a call may take.
    """

    host: str = "localhost"
    port: int = 6379
    path: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: int = 0
    tls: ssl.SSLContext | None = None
    namespace: str = "tidegate"
    durability: Durability | None = None
    deadline: float = 5.0

    @property
    def shown(self) -> str:
        """The address as messages may show it: without anything secret."""
        return self.path or f"{self.host}:{self.port}"

    @property
    def prefix(self) -> str:
        """What every key of the store starts with: one hash tag, so one slot of a cluster."""
        return f"tg:{{{self.namespace}}}:"


def read_address(url: str) -> Address:
    """The address that `url` names; raises ConfigError without repeating the URL, which may hold a password."""
    try:
        parts = urlsplit(url)
        port = 6379 if parts.port is None else parts.port
    except ValueError as exc:
        raise ConfigError(f"the engine's URL can't be read: write {FORMS}") from exc
    options, path, socket = _options(parts), unquote(parts.path), parts.scheme == "unix"
    if parts.scheme not in ("redis", "rediss", "unix") or parts.fragment:
        raise ConfigError(f"the engine's URL can't be read: write {FORMS}")
    if socket and (not path.strip("/") or parts.hostname):
        raise ConfigError(f"a unix:// engine needs the path of a socket: write {FORMS}")
    if port == 0 or (parts.username and not parts.password):
        raise ConfigError(f"the engine's URL has port 0, or a user without a password: write {FORMS}")
    return Address(
        host=parts.hostname or "localhost",
        port=port,
        path=path if socket else None,
        user=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=_database("" if socket else path.strip("/"), options),
        tls=_tls(options) if parts.scheme == "rediss" else None,
        namespace=_namespace(options),
        durability=_durability(options),
        deadline=_deadline(options),
    )


def _options(parts: SplitResult) -> Mapping[str, str]:
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    options = dict(pairs)
    if len(options) < len(pairs):
        raise ConfigError("an option stands twice in the engine's URL")
    unknown = sorted(set(options) - (_OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _OPTIONS))
    if unknown:
        raise ConfigError(f"the engine's URL has unknown options ({', '.join(unknown)}): write {FORMS}")
    return options


def _database(path: str, options: Mapping[str, str]) -> int:
    number = options.get("db", path or "0")
    if not (number.isascii() and number.isdigit()) or (path and "db" in options):
        raise ConfigError("the database in the engine's URL is a number, given once: redis://host:6379/0")
    return int(number)


def _namespace(options: Mapping[str, str]) -> str:
    namespace = options.get("namespace", "tidegate")
    if not _NAMESPACE.fullmatch(namespace):
        raise ConfigError("?namespace= is 1 to 64 letters, digits, dots, dashes and underscores")
    return namespace


def _durability(options: Mapping[str, str]) -> Durability | None:
    wanted = options.get("durability")
    try:
        return None if wanted is None else Durability(wanted)
    except ValueError:
        raise ConfigError(f"?durability= is one of {', '.join(Durability)}") from None


def _deadline(options: Mapping[str, str]) -> float:
    try:
        seconds = float(options.get("timeout", "5"))
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= 600:
        raise ConfigError("?timeout= is the most seconds that a call may take, 0.05 to 600")
    return seconds


def _tls(options: Mapping[str, str]) -> ssl.SSLContext:
    """Server certificates are checked against the system's roots or `ca`, unless ?verify=none."""
    try:
        context = ssl.create_default_context(cafile=options.get("ca"))
        if "cert" in options:
            context.load_cert_chain(options["cert"], options.get("key"))
    except OSError as exc:
        raise ConfigError(f"a file named in the engine's URL can't be used ({exc.strerror or exc})") from exc
    match options.get("verify", "full"):
        case "full":
            pass
        case "ca":
            context.check_hostname = False
        case "none":
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        case _:
            raise ConfigError("?verify= is full, ca (any host name) or none")
    return context
