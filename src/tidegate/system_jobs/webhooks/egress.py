"""Where Tidegate may send what users ask it to send: nowhere that only its own machine or network can reach.

A name is resolved once, all it stands for is judged, and what was judged is what is connected to: a name that means
something else a moment later is of no use. Only addresses that are known to be public pass.
"""

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

from tidegate.errors import InvalidInput

LONGEST_URL: Final = 2_000

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""(host, port) → addresses; raises OSError where the name has none."""

_NOT_PUBLIC: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' own; a cloud's metadata too
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's metadata at a public address
        "169.254.0.0/16",  # link-local; most clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
_PUBLIC_6: Final = IPv6Network("2000::/3")
"""All that is given out. Outside of it: loopback, link-local, unique local, multicast, IPv4 in IPv6, NAT64."""

_NOT_PUBLIC_6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols' own: Teredo, which holds an IPv4 address, among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: it holds an IPv4 address
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_HOST: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
_PORTS: Final = {"http": 80, "https": 443}
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")


def public(address: Address) -> bool:
    """Whether anybody can reach that address, and it means one thing to all.

    >>> public(ip_address("100.100.100.200"))
    False
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC)
    if address.scope_id is not None or address not in _PUBLIC_6:
        return False
    return not any(address in network for network in _NOT_PUBLIC_6)


def networks(text: str) -> tuple[Network, ...]:
    """Networks as a setting lists them, with commas between; raises ValueError."""
    return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())


async def resolve(host: str, port: int) -> Sequence[str]:
    """What the machine's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A URL that was read: the host as it is looked up and as a certificate names it."""

    url: str
    host: str
    port: int
    netloc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Egress:
    """What is let out: to public addresses and to `networks`, by https, and with `plain` by http."""

    plain: bool = False
    networks: tuple[Network, ...] = ()
    resolve: Resolve = resolve

    def read(self, text: str) -> Place:
        """A URL that may be sent to as far as its text tells; raises InvalidInput.

        What reads it here is what later sends to it: two readers of one URL may take it for two.
        """
        import httpx2

        if not 1 <= len(text) <= LONGEST_URL or not text.isascii() or not text.isprintable() or set(text) & set(" \\"):
            raise _wrong(f"1 to {LONGEST_URL} printable ASCII characters, no blank and no backslash")
        try:
            url = httpx2.URL(text)
        except httpx2.InvalidURL as exc:
            raise _wrong("it is no URL") from exc
        if url.scheme != "https" and not (self.plain and url.scheme == "http"):
            raise _wrong("it must begin with https://" + (" or http://" if self.plain else ""))
        if url.userinfo or "@" in re.split("[/?]", text.partition("://")[2], maxsplit=1)[0]:
            raise _wrong("user and password have no place in it: a signature says who sends")
        if "#" in text:
            raise _wrong("nothing is sent of what follows a #")
        port = url.port if url.port is not None else _PORTS[url.scheme]
        if not 0 < port < 65_536:
            raise _wrong("there is no such port")
        host = url.raw_host.decode("ascii")
        self._read_host(host)
        return Place(url=str(url), host=host, port=port, netloc=url.netloc.decode("ascii"))

    def _read_host(self, host: str) -> None:
        literal = _literal(host)
        if literal is not None:
            self._judge(literal)
        elif not _HOST.fullmatch(host) or len(host) > 253 or _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
            raise _wrong("its host is neither a name nor an address in the usual form")

    async def addresses(self, place: Place) -> tuple[Address, ...]:
        """Where a URL that was read leads now; raises InvalidInput where it may not, OSError where it leads nowhere."""
        literal = _literal(place.host)
        if literal is not None:
            return (self._judge(literal),)
        found = await self.resolve(place.host, place.port)
        if not found:
            raise OSError("the name has no address")
        return tuple(self._judge(ip_address(text)) for text in found)

    def _judge(self, address: Address) -> Address:
        if public(address) or any(address in network for network in self.networks):
            return address
        raise _wrong("it leads to an address that is not public")


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _wrong(message: str) -> InvalidInput:
    return InvalidInput("url", message)
