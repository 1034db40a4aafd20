"""What a PostgreSQL URL says: where the server is, which schema is ours, and how we may use its connections."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Final
from urllib.parse import parse_qsl, urlencode

from tidegate.errors import ConfigError

SCHEMA: Final = "tidegate"
"""The schema that statements are written for, and that is ours unless the URL names another."""

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,47}")
_OURS: Final = re.compile(rf"\b{SCHEMA}\.")
_LONGEST_TIMEOUT: Final = 600
_MOST_CONNECTIONS: Final = 500


@dataclass(frozen=True, slots=True)
class Address:
    """Where a store is. `dsn` holds the password, and is shown nowhere.

    `pooled`: a pooler stands before the server and gives a connection for one transaction only, so nothing is
    kept prepared and nobody listens. `size` bounds the connections of one event loop, `timeout` every call.
    """

    dsn: str = field(repr=False)
    schema: str = SCHEMA
    size: int = 10
    timeout: timedelta = timedelta(seconds=10)
    pooled: bool = False

    @property
    def shown(self) -> str:
        """The server as messages may name it."""
        place = self.dsn.partition("://")[2].partition("?")[0]
        return place.rpartition("@")[2].partition("/")[0] or "localhost"

    @property
    def options(self) -> dict[str, str]:
        """What the driver is given besides."""
        return dict(parse_qsl(self.dsn.partition("?")[2], keep_blank_values=True))

    def sql(self, text: str) -> str:
        """A statement written for the schema `tidegate`, for this store's own."""
        return text if self.schema == SCHEMA else _renamed(text, self.schema)


@cache
def _renamed(text: str, schema: str) -> str:
    return _OURS.sub(f'"{schema}".', text)


def address(url: str) -> Address:
    """What `url` says; raises ConfigError. What is not ours of its options goes to the driver."""
    dsn, _, query = url.partition("?")
    try:
        options = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
    except ValueError:
        raise ConfigError("the options of a PostgreSQL URL look like ?schema=tidegate&pool=10") from None
    schema, pooler = options.pop("schema", SCHEMA), options.pop("pooler", "none")
    if _NAME.fullmatch(schema) is None or schema.startswith("pg_"):
        raise ConfigError(f"schema={schema}: a schema is up to 48 lower-case letters, digits and _, and not pg_…")
    if pooler not in ("none", "transaction"):
        raise ConfigError(f"pooler={pooler}: must be transaction, or be left out")
    size = _number(options, "pool", 10, _MOST_CONNECTIONS)
    timeout = timedelta(seconds=_number(options, "timeout", 10, _LONGEST_TIMEOUT))
    rest = f"{dsn}?{urlencode(options)}" if options else dsn
    return Address(rest, schema, size, timeout, pooler == "transaction")


def _number(options: dict[str, str], name: str, default: int, most: int) -> int:
    text = options.pop(name, str(default))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ConfigError(f"{name}={text}: must be a whole number from 1 to {most}")
    return int(text)
