"""URLs of Redis stores: read strictly, refused without showing what is secret."""

import pytest

from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.durability import Durability
from tidegate.errors import ConfigError


def test_a_plain_url_is_a_host_with_the_usual_port() -> None:
    address = read_address("redis://cache.example")
    assert (address.host, address.port, address.database, address.tls) == ("cache.example", 6379, 0, None)
    assert (address.namespace, address.durability, address.prefix) == ("tidegate", None, "tg:{tidegate}:")


def test_every_part_of_a_url_is_read() -> None:
    address = read_address("redis://ad%40:p%2Fw@[::1]:7000/3?namespace=blue&durability=fsync&timeout=2.5")
    assert (address.host, address.port, address.database) == ("::1", 7000, 3)
    assert (address.user, address.password) == ("ad@", "p/w")
    assert (address.namespace, address.durability, address.deadline) == ("blue", Durability.FSYNC, 2.5)


def test_a_socket_is_named_by_its_path() -> None:
    address = read_address("unix://:pw@/run/valkey%20one.sock?db=2")
    assert (address.path, address.password, address.database) == ("/run/valkey one.sock", "pw", 2)


def test_tls_checks_the_server_s_name_unless_told_otherwise() -> None:
    full, ca, none = (read_address(f"rediss://h{query}").tls for query in ("", "?verify=ca", "?verify=none"))
    assert full is not None
    assert ca is not None
    assert none is not None
    assert [context.check_hostname for context in (full, ca, none)] == [True, False, False]
    assert [context.verify_mode.name for context in (full, ca, none)] == ["CERT_REQUIRED"] * 2 + ["CERT_NONE"]


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@h:port",
        "redis://:secret@h:0",
        "redis://secret@h",
        "redis://:secret@h/zero",
        "redis://:secret@h/1?db=2",
        "redis://:secret@h?namespace=",
        "redis://:secret@h?namespace=a{b}",
        "redis://:secret@h?namespace=a&namespace=b",
        "redis://:secret@h?durability=some",
        "redis://:secret@h?timeout=0",
        "redis://:secret@h?timeout=nan",
        "redis://:secret@h?verify=none",
        "redis://:secret@h?max_connections=5",
        "redis://:secret@h#there",
        "rediss://:secret@h?ca=/nowhere/ca.pem",
        "rediss://:secret@h?verify=maybe",
        "unix://:secret@host/run/x.sock",
        "unix://",
    ],
)
def test_a_url_that_can_t_be_meant_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ConfigError) as refused:
        read_address(url)
    assert "secret" not in str(refused.value)


def test_a_shown_address_has_no_password() -> None:
    address = read_address("redis://ada:secret@h")
    assert "secret" not in repr(address)
    assert address.shown == "h:6379"
