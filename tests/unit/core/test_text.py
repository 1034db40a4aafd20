"""Text as stores take it."""

import pytest

from tidegate.core.text import listed, plainly, storable
from tidegate.errors import InvalidInput


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


def test_what_a_validator_calls_a_dictionary_is_an_object() -> None:
    assert plainly("Input should be a valid dictionary") == "Input should be an object"


@pytest.mark.parametrize("lone", ["ab", b"ab", {"a": 1}])
def test_a_lone_text_is_no_list(lone: str | bytes | dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match=f"no lone {type(lone).__name__}"):
        listed("tags", lone)
    assert listed("tags", ["ab"]) == ("ab",)
