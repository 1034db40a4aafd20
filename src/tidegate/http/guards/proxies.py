"""Where a request comes from: its peer, or whom proxies that are trusted say they speak for."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.requests import Request

from tidegate.config import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def address(request: Request, settings: Settings) -> str:
    """Where a request comes from, as limits count it; "" where its peer has no address."""
    found = request.client.host if request.client is not None else ""
    if settings.trusted_proxies:
        told = ",".join(request.headers.getlist("x-forwarded-for"))
        found = origin(found, [hop.strip() for hop in told.split(",") if hop.strip()], settings.trusted_proxies)
    return counted(found)


@lru_cache(maxsize=4_096)
def counted(text: str) -> str:
    """What an address is counted as: one of IPv6 as its /64, for whoever has one of those has all of them."""
    found = read(text)
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else text


def origin(peer: str, told: Sequence[str], trusted: Iterable[Network]) -> str:
    """The first address from the right that is no trusted proxy's: what stands left of it, its sender made up.

    What is no address ends the walk: the proxy that passed it on is then all that is known.
    """
    networks, known = list(trusted), peer
    for hop in (peer, *reversed(told)):
        found = read(hop)
        if found is None:
            return known
        known = str(found)
        if not any(found in network for network in networks):
            return known
    return known


def read(hop: str) -> Address | None:
    """An address as proxies write it, with or without a port; None for anything else."""
    text = hop
    if hop.startswith("["):
        text = hop[1:].partition("]")[0]
    elif hop.count(":") == 1:
        text = hop.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
