"""Text as stores take it."""

import pytest

from tidegate.core.text import plainly, storable


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("plain – übel 😀", "plain – übel 😀"),
        ("a\x00b", "a\ufffdb"),
        ("a\udcffb", "a?b"),
        ("abcdefgh" * 9, "abcdefgh" * 5),
    ],
)
def test_what_no_store_takes_is_replaced_and_the_rest_kept(text: str, stored: str) -> None:
    assert storable(text, 40) == stored
    assert stored.encode("utf-8")


def test_what_a_validator_says_is_told_in_its_own_words() -> None:
    assert [plainly("Value error, is no duration"), plainly("Field required")] == ["is no duration", "Field required"]
