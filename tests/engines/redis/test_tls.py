"""rediss://: the server's certificate and name are checked, over a TLS end before a plain server."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.engines.redis.proxy import Proxy
from tests.servers.valkey import Valkey
from tidegate.engines.redis.engine import RedisEngine
from tidegate.errors import EngineUnavailable


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that vouches for itself, with its key in the same file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    secret = key.private_bytes(serialization.Encoding.PEM, *form)
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@asynccontextmanager
async def tls(server: Valkey, certificate: Path) -> AsyncIterator[int]:
    """The port of a TLS end before a server."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    proxy = Proxy(server.port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        proxy.cut()
        await listener.wait_closed()


async def test_a_server_whose_certificate_is_trusted_is_used(server: Valkey, certificate: Path) -> None:
    async with tls(server, certificate) as port:
        for query in (f"ca={certificate}", "verify=none", f"ca={certificate}&verify=ca"):
            async with RedisEngine(f"rediss://127.0.0.1:{port}?durability=none&{query}") as engine:
                assert (await engine.check()).durability == "none"


async def test_a_server_that_nobody_vouches_for_is_not(server: Valkey, certificate: Path) -> None:
    async with tls(server, certificate) as port:
        for query in ("", f"&ca={certificate}"):
            host = "localhost" if query else "127.0.0.1"
            with pytest.raises(EngineUnavailable, match="TLS"):
                await RedisEngine(f"rediss://{host}:{port}?durability=none{query}").__aenter__()
