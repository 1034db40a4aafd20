"""Who a request is from, behind proxies: those that are trusted are believed, and nobody else."""

from ipaddress import ip_network

import httpx2
import pytest
from fastapi import FastAPI

from tests.http.calls import ADA, problem
from tests.http.handlers import application
from tidegate.config import Settings, load
from tidegate.errors import ConfigError
from tidegate.http.app import create_app
from tidegate.http.guards.proxies import counted, origin

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "told", "found"),
    [
        ("10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["10.0.0.9", "10.0.0.2"], "10.0.0.9"),
        ("10.0.0.1", ["203.0.113.7:51234"], "203.0.113.7"),
        ("10.0.0.1", ["[2001:db8::1]:443"], "2001:db8::1"),
        ("10.0.0.1", ["2001:DB8::1"], "2001:db8::1"),
        ("::ffff:10.0.0.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["::ffff:203.0.113.7"], "203.0.113.7"),
        ("fd00::1", ["203.0.113.7"], "203.0.113.7"),
        ("10.0.0.1", ["203.0.113.7", "unknown"], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.7", "' OR 1=1", "10.0.0.2"], "10.0.0.2"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_the_first_from_the_right_that_is_no_trusted_proxy_is_the_origin(
    peer: str, told: list[str], found: str
) -> None:
    assert origin(peer, told, TRUSTED) == found


def test_all_addresses_of_one_ipv6_network_count_as_one() -> None:
    assert counted("2001:db8::1") == counted("2001:db8::ffff:1") != counted("2001:db8:0:1::1")
    assert [counted(text) for text in ("203.0.113.7", "")] == ["203.0.113.7", ""]


def test_proxies_are_addresses_or_networks_with_commas_between() -> None:
    assert load(trusted_proxies="10.0.0.0/8, 192.0.2.1,::1").trusted_proxies == (
        ip_network("10.0.0.0/8"),
        ip_network("192.0.2.1"),
        ip_network("::1"),
    )
    for wrong in ("proxy", "10.0.0.1/8", "*"):
        with pytest.raises(ConfigError, match="TRUSTED_PROXIES"):
            load(trusted_proxies=wrong)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One POST an address; whoever comes is let in."""
    return settings.model_copy(update={"limit_ip_per_minute": 1, "auth": "none"})


async def _post(api: FastAPI, peer: str, told: str) -> httpx2.Response:
    """A POST from `peer`, its application being open."""
    transport = httpx2.ASGITransport(app=api, client=(peer, 5_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://here", headers=ADA) as client:
        return await client.post("/jobs", json={"type": "echo"}, headers={"X-Forwarded-For": told})


async def test_whoever_is_not_trusted_cannot_pretend_to_be_many(settings: Settings) -> None:
    app = application(settings.model_copy(update={"trusted_proxies": (ip_network("10.0.0.0/8"),)}))
    api = create_app(app)
    async with app.connected():
        assert (await _post(api, "203.0.113.7", "198.51.100.1")).status_code == 201
        problem(await _post(api, "203.0.113.7", "198.51.100.2"), 429, "rate-limited")
        problem(await _post(api, "10.0.0.1", "198.51.100.3, 203.0.113.7"), 429, "rate-limited")
        assert (await _post(api, "10.0.0.1", "203.0.113.7, 198.51.100.4")).status_code == 201


async def test_nobody_is_believed_by_default(settings: Settings) -> None:
    app = application(settings)
    api = create_app(app)
    async with app.connected():
        assert (await _post(api, "127.0.0.1", "198.51.100.1")).status_code == 201
        problem(await _post(api, "127.0.0.1", "198.51.100.2"), 429, "rate-limited")
