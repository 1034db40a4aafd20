"""Reading and writing documents in a clause."""

from tests.conformance.build import nonce
from tests.conformance.harness import Harness
from tidegate.core.verbs import Document, Gate, Swap


async def load(harness: Harness, key: str, kind: str = "upstream") -> Document:
    """One document."""
    (document,) = await harness.engine.load(kind, [key])
    return document


def write(key: str, value: bytes | None, expected: int, *gates: Gate, kind: str = "upstream") -> Swap:
    """A swap with a fresh nonce."""
    return Swap(kind=kind, key=key, value=value, expected=expected, nonce=nonce(), gates=gates)


async def put(harness: Harness, key: str, value: bytes | None, *gates: Gate, kind: str = "upstream") -> Document:
    """Write a document over whatever is stored; what is stored then."""
    expected = (await load(harness, key, kind)).version
    swapped = await harness.engine.swap(write(key, value, expected, *gates, kind=kind))
    assert swapped.won
    return swapped.document
