"""Where a request comes from: its peer, or whom proxies that are trusted say they speak for."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from starlette.requests import Request

from tidegate.config import Settings

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

TEST_CLIENT: Final = "testclient"
"""What Starlette's test client says in place of an address; no connection comes from there."""


def here(request: Request) -> bool:
    """Whether a request comes from this machine, as far as one can tell: its peer does, and so do all it speaks for.

    A proxy is believed when it says that it was asked from elsewhere, and by no word of its own is anybody let in. What
    has no address, as behind a Unix socket, may come from anywhere.
    """
    peer, headers = request.scope.get("client"), request.headers
    if not peer or "forwarded" in headers:
        return False
    return _here(peer[0], ",".join(headers.getlist("x-forwarded-for")) if "x-forwarded-for" in headers else "")


@lru_cache(maxsize=1_024)
def _here(peer: str, told: str) -> bool:
    hops = [hop.strip() for hop in told.split(",") if hop.strip()]
    addresses = [read(hop) for hop in (hops if peer == TEST_CLIENT else (peer, *hops))]
    return all(found is not None and found.is_loopback for found in addresses)


def over_tls(request: Request, settings: Settings) -> bool:
    """Whether who asks came by TLS: as the server knows, as a page or a trusted proxy says, or as the settings do."""
    if settings.hsts or request.url.scheme == "https" or request.headers.get("origin", "").startswith("https:"):
        return True
    peer = read(request.client.host) if request.client is not None else None
    if peer is None or not any(peer in network for network in settings.trusted_proxies):
        return False
    told = ",".join(request.headers.getlist("x-forwarded-proto"))
    return any(scheme.strip().lower() == "https" for scheme in told.split(","))


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
