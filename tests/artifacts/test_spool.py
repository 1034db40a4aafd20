"""What can be read again is held without holding it all in memory."""

import tracemalloc
from collections.abc import AsyncIterator

from tidegate.artifacts.spool import SPOOL_LIMIT, rewindable

MIB = 1_048_576


async def zeros(pieces: int) -> AsyncIterator[bytes]:
    for _ in range(pieces):
        yield bytes(MIB // 4)


async def test_a_long_stream_is_kept_on_disk_until_the_block_ends() -> None:
    tracemalloc.start()
    try:
        async with rewindable(zeros(4 * 40)) as source:
            body = source.rewound()
            assert not isinstance(body, bytes)
            assert source.size == 40 * MIB
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body.closed
    assert peak < 8 * MIB


async def test_a_short_stream_never_touches_the_disk() -> None:
    async with rewindable(zeros(SPOOL_LIMIT // (MIB // 4))) as source:
        assert source.rewound() == bytes(SPOOL_LIMIT)


async def test_every_rewinding_starts_from_the_first_byte() -> None:
    async with rewindable(zeros(8)) as source:
        for part in (0, 1, MIB, 2 * MIB):
            body = source.rewound()
            assert not isinstance(body, bytes)
            assert body.tell() == 0
            body.read(part)
