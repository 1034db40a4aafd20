"""Nothing is sent to where only this machine or its network can reach, however that is written or resolved."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from tests.servers.certificates import certified
from tests.servers.scripted import Act, Exchange, answers, scripted
from tidegate.clock import SystemClock
from tidegate.errors import InvalidInput, WebhookError
from tidegate.system_jobs.webhooks.egress import Egress, networks, public
from tidegate.system_jobs.webhooks.sending import Sender

PUBLIC = "93.184.216.34"
LOOPBACK = networks("127.0.0.0/8")

HIDDEN = [
    *("0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255"),
    *("127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "169.254.170.2", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255"),
    *("198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:a9fe:a9fe", "64:ff9b::7f00:1"),
    *("64:ff9b:1::1", "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1"),
    *("2001::1", "2001:db8::1", "2002:7f00:1::1", "2002:c0a8:101::", "3fff::1", "4000::1", "5f00::1"),
]
SHOWN = ["1.1.1.1", "8.8.8.8", PUBLIC, "100.63.255.255", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::8"]


class Names:
    """A resolver that says for a name one thing after another; the last for ever."""

    def __init__(self, *said: Sequence[str]) -> None:
        self.said = list(said)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.said.pop(0) if len(self.said) > 1 else self.said[0]


async def _allowed(egress: Egress, url: str) -> bool:
    try:
        await egress.addresses(egress.read(url))
    except InvalidInput as exc:
        return exc.field != "url"
    return True


@pytest.mark.parametrize("address", HIDDEN)
async def test_an_address_that_is_not_public_is_refused_written_or_resolved(address: str) -> None:
    assert not public(ip_address(address))
    literal = f"[{address}]" if ":" in address else address
    assert not await _allowed(Egress(), f"https://{literal}/hook")
    assert not await _allowed(Egress(resolve=Names([address])), "https://hooks.example.com/hook")


@pytest.mark.parametrize("address", SHOWN)
async def test_a_public_address_passes(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    assert await _allowed(Egress(), f"https://{literal}/hook")
    assert await _allowed(Egress(resolve=Names([address])), "https://hooks.example.com:8443/hook?a=b@c")


async def test_one_hidden_address_among_public_ones_refuses_the_name() -> None:
    assert not await _allowed(Egress(resolve=Names([PUBLIC, "10.0.0.1"])), "https://hooks.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example.com", "//hooks.example.com/", "https://", "https:///hook", "https:hooks.example.com"),
        *("http://hooks.example.com/", "ftp://hooks.example.com/", "file:///etc/passwd", "gopher://hooks.example.com/"),
        *("https://user@hooks.example.com/", "https://user:secret@hooks.example.com/", "https://@hooks.example.com/"),
        *("https://hooks.example.com#@10.0.0.1/", "https://hooks.example.com/#part", "https://a\\@10.0.0.1/"),
        *("https://2130706433/", "https://0x7f000001/", "https://0x7f.1/", "https://0177.0.0.1/", "https://127.1/"),
        *("https://017700000001/", "https://1.2.3/", "https://127.0.0.1./", "https://[::1", "https://[::1]x/"),
        *("https://%31%32%37.0.0.1/", "https://hooks.example.com:0/", "https://hooks.example.com:99999/"),
        *("https://hooks example.com/", "https://hooks.example.com/\r\nX: y", "https://hooks.example.com/\x00"),
        *(
            "https://１２７.０.０.１/",
            "https://hooks。example.com/",
            "https://-a.example.com/",
            "https://a..example.com/",
        ),
        f"https://hooks.example.com/{'x' * 2_000}",
    ],
)
async def test_a_url_that_could_be_read_in_two_ways_or_is_none_is_refused(url: str) -> None:
    assert not await _allowed(Egress(resolve=Names([PUBLIC])), url)


async def test_what_the_operator_allows_passes_and_nothing_beside_it() -> None:
    egress = Egress(plain=True, networks=networks("10.1.0.0/16, fd12::/32"))
    assert await _allowed(egress, "http://10.1.2.3:8080/hook")
    assert await _allowed(egress, "https://[fd12::5]/hook")
    assert not await _allowed(egress, "http://10.2.0.1/hook")
    assert not await _allowed(egress, "http://[::ffff:10.1.2.3]/hook")


async def test_a_name_that_means_something_else_at_delivery_is_refused_then() -> None:
    """First public, then private: each delivery asks once, and connects to what it judged."""
    names = Names([PUBLIC], ["127.0.0.1"])
    egress = Egress(plain=True, resolve=names)
    assert await _allowed(egress, "http://hooks.example.com/")
    async with scripted(answers(204, "")) as receiver:
        port = int(receiver.url.split(":")[2].split("/")[0])
        with pytest.raises(WebhookError) as refused:
            await _sender(egress).post(f"http://hooks.example.com:{port}/", {}, b"{}")
    assert (refused.value.code, receiver.connections) == ("webhook_forbidden", 0)
    assert names.asked == [("hooks.example.com", 80), ("hooks.example.com", port)]


async def test_the_judged_address_is_connected_to_under_the_name_of_the_url() -> None:
    """A resolver that turns after the first answer finds nobody who asks it again."""
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    async with scripted(answers(204, "")) as receiver:
        port = int(receiver.url.split(":")[2].split("/")[0])
        egress = Egress(plain=True, networks=LOOPBACK, resolve=names)
        assert await _sender(egress).post(f"http://hooks.example.com:{port}/a?b=c", {}, b"{}") == 204
        [request] = receiver.requests
    assert (request.path, request.headers["host"]) == ("/a?b=c", f"hooks.example.com:{port}")
    assert len(names.asked) == 1


async def test_the_certificate_must_be_of_the_urls_host(tmp_path: Path) -> None:
    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 Taken\r\n\r\n")
        await writer.drain()
        writer.close()

    certificate = certified(tmp_path, "hooks.example.com")
    named: list[str | None] = []
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate)
    server_side.sni_callback = lambda _socket, name, _context: named.append(name)
    server = await asyncio.start_server(end, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    trust = ssl.create_default_context(cafile=certificate)
    sender = Sender(egress=Egress(networks=LOOPBACK, resolve=Names(["127.0.0.1"])), now=SystemClock().now, trust=trust)
    async with server:
        assert await sender.post(f"https://hooks.example.com:{port}/", {}, b"") == 204
        with pytest.raises(WebhookError) as refused:
            await sender.post(f"https://other.example.com:{port}/", {}, b"")
    assert named == ["hooks.example.com", "other.example.com"]
    assert refused.value.code == "down"


async def test_a_redirect_is_not_followed() -> None:
    async with scripted(answers(200, "")) as inner:
        async with scripted(answers(307, "", Location=inner.url)) as receiver:
            assert await _sender(_open()).post(receiver.url, {}, b"{}") == 307
        assert inner.connections == 0


async def test_the_environments_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with scripted(answers(200, "")) as receiver:
        assert await _sender(_open()).post(receiver.url, {}, b"{}") == 200


async def test_a_cookie_is_forgotten() -> None:
    async with scripted(answers(200, "", Set_Cookie="a=b")) as receiver:
        sender = _sender(_open())
        for _ in range(2):
            await sender.post(receiver.url, {}, b"{}")
        assert ["cookie" in request.headers for request in receiver.requests] == [False, False]


async def test_no_more_of_an_answer_is_read_than_anybody_needs() -> None:
    sent = 0

    async def floods(exchange: Exchange) -> None:
        nonlocal sent
        await exchange.send("HTTP/1.1 200 OK\r\ncontent-length: 500000000\r\n\r\n")
        while True:
            await exchange.send("x" * 65_536)
            sent += 65_536

    async with scripted(floods) as receiver:
        assert await _sender(_open()).post(receiver.url, {}, b"{}") == 200
    assert sent < 50_000_000


@pytest.mark.parametrize(
    ("act", "code"),
    [
        (answers(500, ""), "server_error"),
        (answers(503, ""), "overloaded"),
        (answers(429, "", Retry_After="7"), "rate_limited"),
        (answers(408, ""), "upstream_timeout"),
    ],
)
async def test_what_is_the_receivers_fault_is_told_apart(act: Act, code: str) -> None:
    async with scripted(act) as receiver:
        with pytest.raises(WebhookError) as failed:
            await _sender(_open()).post(receiver.url, {}, b"{}")
    assert failed.value.code == code
    assert "127.0.0.1" not in str(failed.value)
    if code == "rate_limited":
        assert failed.value.retry_after is not None
        assert failed.value.retry_after.total_seconds() == 7


async def test_a_receiver_that_says_nothing_is_left_in_time() -> None:
    async def silent(exchange: Exchange) -> None:
        await exchange.gone()

    async with scripted(silent) as receiver:
        with pytest.raises(WebhookError) as failed:
            await _sender(_open(), seconds=0.2).post(receiver.url, {}, b"{}")
    assert failed.value.code == "upstream_timeout"


async def test_nobody_there_is_down() -> None:
    async with scripted(answers(200, "")) as receiver:
        url = receiver.url
    with pytest.raises(WebhookError) as failed:
        await _sender(_open()).post(url, {}, b"{}")
    assert failed.value.code == "down"


def _open() -> Egress:
    return Egress(plain=True, networks=LOOPBACK)


def _sender(egress: Egress, seconds: float = 10) -> Sender:
    return Sender(egress=egress, now=SystemClock().now, total=timedelta(seconds=seconds))
