"""Many callers share one connection: each gets its own reply, or learns that there is none."""

import asyncio
import gc
import random
import socket
import threading
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engines.redis.proxy import proxied
from tests.servers.valkey import Valkey, newest, oldest, valkey
from tidegate.engines.redis.address import read_address
from tidegate.engines.redis.connection import Links
from tidegate.errors import ConfigError, EngineUnavailable, InvalidInput, TidegateError


@asynccontextmanager
async def linked(url: str, *, deadline: float = 5.0, heard: list[bytes] | None = None) -> AsyncIterator[Links]:
    messages: list[bytes] = [] if heard is None else heard
    links = Links(replace(read_address(url), deadline=deadline), messages.append)
    try:
        yield links
    finally:
        await links.close()


async def test_concurrent_callers_each_get_their_own_reply_over_one_connection(server: Valkey) -> None:
    async with proxied(server.port) as proxy, linked(proxy.url()) as links:
        replies = await asyncio.gather(*(links.here().ask("ECHO", f"m{number}") for number in range(2_000)))
        assert replies == [b"m%d" % number for number in range(2_000)]
        assert proxy.connections == 1


async def test_callers_who_give_up_leave_the_others_their_replies(server: Valkey) -> None:
    dice = random.Random(7)
    async with proxied(server.port) as proxy, linked(proxy.url()) as links:
        proxy.delay = 0.001

        async def call(number: int) -> None:
            with suppress(TimeoutError):
                async with asyncio.timeout(dice.random() * 0.01):
                    assert await links.here().ask("ECHO", f"m{number}") == b"m%d" % number

        for start in range(0, 20_000, 500):
            await asyncio.gather(*(call(number) for number in range(start, start + 500)))
        assert await links.here().ask("ECHO", "last") == b"last"
        assert proxy.connections == 1


async def test_a_reply_that_is_an_error_fails_its_own_call_alone(server: Valkey) -> None:
    async with linked(server.url()) as links:
        replies = await asyncio.gather(
            links.here().ask("ECHO", "a"),
            links.here().ask("NOSUCH"),
            links.here().ask("ECHO", "b"),
            return_exceptions=True,
        )
        assert (replies[0], replies[2]) == (b"a", b"b")
        assert isinstance(replies[1], TidegateError)


async def test_a_cut_connection_fails_what_is_under_way_and_the_next_call_opens_another(server: Valkey) -> None:
    async with proxied(server.port) as proxy, linked(proxy.url()) as links:
        assert await links.here().ask("PING") == b"PONG"
        proxy.mute = True
        calls = [asyncio.create_task(links.here().ask("ECHO", "lost")) for _ in range(10)]
        await asyncio.sleep(0.05)
        proxy.cut()
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(failure, EngineUnavailable) for failure in failures)
        proxy.mute = False
        assert await links.here().ask("ECHO", "again") == b"again"
        assert proxy.connections == 2


async def test_a_late_call_fails_at_its_deadline_and_its_connection_is_never_used_again(server: Valkey) -> None:
    async with proxied(server.port) as proxy, linked(proxy.url(), deadline=0.2) as links:
        await links.here().ask("PING")
        proxy.mute = True
        with pytest.raises(EngineUnavailable, match=r"did not answer within 0\.2 s"):
            await links.here().ask("ECHO", "late")
        proxy.mute = False
        assert await links.here().ask("ECHO", "fresh") == b"fresh"
        assert proxy.connections == 2


async def test_a_store_that_is_away_is_tried_again_with_pauses_and_not_once_a_caller() -> None:
    with valkey() as server:
        async with proxied(server.port) as proxy, linked(proxy.url()) as links:
            await links.here().ask("PING")
            proxy.refuse = True
            proxy.cut()
            async with asyncio.timeout(5):
                for _ in range(4):
                    calls = [links.here().ask("PING") for _ in range(50)]
                    failures = await asyncio.gather(*calls, return_exceptions=True)
                    assert all(isinstance(failure, EngineUnavailable) for failure in failures)
            proxy.refuse = False
            assert await links.here().ask("PING") == b"PONG"


async def test_large_values_pass_both_ways_under_back_pressure(server: Valkey) -> None:
    big = b"x" * 1_048_576
    async with linked(server.url()) as links:
        replies = await asyncio.gather(*(links.here().ask("ECHO", big) for _ in range(50)))
        assert all(reply == big for reply in replies)


async def test_each_event_loop_has_a_connection_of_its_own(server: Valkey) -> None:
    async with proxied(server.port) as proxy, linked(proxy.url()) as links:
        assert await links.here().ask("PING") == b"PONG"
        done = threading.Event()
        replies: list[object] = []

        async def elsewhere() -> None:
            replies.append(await links.here().ask("ECHO", "elsewhere"))
            await links.here().close()

        def run() -> None:
            asyncio.run(elsewhere())
            done.set()

        threading.Thread(target=run).start()
        await asyncio.to_thread(done.wait, 5)
        assert replies == [b"elsewhere"]
        assert await links.here().ask("PING") == b"PONG"
        assert proxy.connections == 2


async def test_messages_of_channels_are_heard_between_replies_and_after_a_cut(server: Valkey) -> None:
    heard: list[bytes] = []
    async with proxied(server.port) as proxy, linked(proxy.url(), heard=heard) as links:
        links.here().listen("early")
        await links.here().ask("PING")
        links.here().listen("bell")
        for _ in range(20):
            assert await links.here().ask("PUBLISH", "bell", "ding") == 1
        assert heard == [b"ding"] * 20
        proxy.cut()
        await asyncio.sleep(0.01)
        assert await links.here().ask("PUBLISH", "early", "dong") == 1
        assert heard[-1] == b"dong"
        links.here().ignore("early")
        assert await links.here().ask("PUBLISH", "early", "") == 0


async def test_closing_finishes_what_is_under_way(server: Valkey) -> None:
    async with proxied(server.port) as proxy, linked(proxy.url()) as links:
        proxy.delay = 0.1
        calls = [asyncio.create_task(links.here().ask("ECHO", "slow")) for _ in range(5)]
        await asyncio.sleep(0.15)
        await links.close()
        assert await asyncio.gather(*calls) == [b"slow"] * 5


async def test_a_unix_socket_a_user_and_a_database_are_used_as_the_url_says() -> None:
    with valkey() as server:
        server.ask("ACL", "SETUSER", "ada", "on", ">open sesame", "+@all", "~*", "&*")
        url = server.socket_url(db="3").replace("unix://", "unix://ada:open%20sesame@")
        async with linked(url) as links:
            assert await links.here().ask("ACL", "WHOAMI") == b"ada"
            said = await links.here().ask("CLIENT", "INFO")
            assert isinstance(said, bytes)
            assert b" db=3 " in said
            assert b" name=tidegate " in said


@pytest.mark.parametrize("login", ["ada:wrong@", "nobody:x@", ""])
async def test_a_refused_login_is_a_configuration_error_that_shows_no_password(login: str) -> None:
    with valkey() as server:
        server.ask("CONFIG", "SET", "requirepass", "right")
        async with linked(server.url().replace("redis://", f"redis://{login}")) as links:
            with pytest.raises(ConfigError) as refused:
                await links.here().ask("PING")
            assert "wrong" not in str(refused.value)


async def test_nobody_there_is_unavailable() -> None:
    with valkey() as server:
        server.kill()
        async with linked(server.url()) as links:
            with pytest.raises(EngineUnavailable, match="can't be reached"):
                await links.here().ask("PING")


async def test_a_text_that_can_t_be_sent_fails_its_own_call_alone(server: Valkey) -> None:
    async with linked(server.url()) as links:
        replies = await asyncio.gather(
            links.here().ask("ECHO", "a"),
            links.here().ask("ECHO", "\ud800"),
            links.here().ask("ECHO", "b"),
            return_exceptions=True,
        )
        assert (replies[0], replies[2]) == (b"a", b"b")
        assert isinstance(replies[1], InvalidInput)
        assert await links.here().ask("ECHO", "c") == b"c"


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_a_server_out_of_connections_is_unavailable_until_it_has_some(program: Path) -> None:
    with valkey(program, maxclients="4") as server:
        async with linked(server.url()) as links:
            await asyncio.sleep(0.2)  # until the server has forgotten whoever asked whether it is up
            with ExitStack() as others:
                for _ in range(12):
                    others.enter_context(socket.create_connection(("127.0.0.1", server.port)))
                for _ in range(3):
                    with pytest.raises(EngineUnavailable):
                        await links.here().ask("PING")
            async with asyncio.timeout(5):
                while True:
                    with suppress(EngineUnavailable):
                        assert await links.here().ask("PING") == b"PONG"
                        break


@pytest.mark.parametrize("program", [newest(), oldest()], ids=lambda program: program.name)
async def test_a_database_that_there_is_not_is_a_configuration_error(program: Path) -> None:
    with valkey(program) as server:
        async with linked(server.url().replace("/0", "/99")) as links:
            with pytest.raises(ConfigError, match="database"):
                await links.here().ask("PING")


async def _connections(links: Links) -> int:
    return str(await links.here().ask("CLIENT", "LIST")).count("name=tidegate")


async def test_a_loop_that_closed_without_a_goodbye_leaves_no_connection(server: Valkey) -> None:
    async with linked(server.url()) as witness:
        before = await _connections(witness)
        links = Links(read_address(server.url()), lambda _: None)

        async def ping() -> None:
            await links.here().ask("PING")

        def forget() -> None:
            loop = asyncio.new_event_loop()
            loop.run_until_complete(ping())
            loop.close()

        for _ in range(3):
            thread = threading.Thread(target=forget)
            thread.start()
            await asyncio.to_thread(thread.join)
        await asyncio.sleep(0.05)
        assert await _connections(witness) <= before + 1
        await links.close()
        await asyncio.sleep(0.05)
        assert await _connections(witness) == before
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of such loops Python complains, too
        gc.collect()


async def test_nothing_connects_anew_once_all_are_closed(server: Valkey) -> None:
    links = Links(read_address(server.url()), lambda _: None)
    link = links.here()
    await link.ask("PING")
    await links.close()
    with pytest.raises(EngineUnavailable, match="closed"):
        await link.ask("PING")
    with pytest.raises(EngineUnavailable, match="closed"):
        links.here()
