"""Roles, and what opens an API."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.core.access import (
    GIVEN,
    ID_BYTES,
    KEY_BYTES,
    MOST_FORMERS,
    ApiKey,
    Former,
    Role,
    digest_of,
    id_of,
    key_text,
    marked_by,
    rotated,
    session_key,
    session_text,
)
from tidegate.errors import Refused

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = key_text(bytes(range(ID_BYTES + KEY_BYTES)))
OTHER = key_text(bytes(reversed(range(ID_BYTES + KEY_BYTES))))


OVERLAP = timedelta(hours=24)


def _key(expires_at: datetime | None = None, formers: tuple[Former, ...] = ()) -> ApiKey:
    return ApiKey(
        id="a",
        name="n",
        role=Role.READER,
        digest=digest_of(TEXT),
        created_at=NOW,
        expires_at=expires_at,
        formers=formers,
    )


def test_each_role_may_all_that_those_before_it_may() -> None:
    for higher, role in enumerate(Role):
        assert [role.includes(other) for other in Role] == [rank <= higher for rank in range(len(Role))]


def test_a_key_names_itself_and_is_long_enough() -> None:
    assert id_of(TEXT) == TEXT.split("_")[1]
    assert len(TEXT.split("_", 2)[2]) == 43
    assert id_of(TEXT) != id_of(OTHER)


@pytest.mark.parametrize("text", ["", "tg_", TEXT[:-1], f"{TEXT}x", TEXT.upper(), TEXT.replace("_", "-"), f"{TEXT}\n"])
def test_what_is_no_key_has_no_id(text: str) -> None:
    assert id_of(text) is None


def test_only_its_own_text_opens_it() -> None:
    assert _key().opens(digest_of(TEXT), NOW)
    assert not _key().opens(digest_of(OTHER), NOW)
    assert not _key().opens("", NOW)


def test_it_opens_nothing_from_its_end_on() -> None:
    key = _key(expires_at=NOW)
    assert key.opens(digest_of(TEXT), NOW - timedelta(microseconds=1))
    assert not key.opens(digest_of(TEXT), NOW)


def test_a_former_text_is_taken_for_a_while() -> None:
    key = _key(formers=(Former(digest=digest_of(OTHER), until=NOW),))
    assert key.former_until == NOW
    assert key.opens(digest_of(OTHER), NOW - timedelta(microseconds=1))
    assert not key.opens(digest_of(OTHER), NOW)
    assert _key().former_until is None


def test_every_text_of_a_key_that_is_rotated_again_is_taken_until_its_own_end() -> None:
    first = _key()
    second = rotated(first, digest_of(OTHER), NOW, OVERLAP)
    later = NOW + timedelta(hours=1)
    third = rotated(second, digest_of("third"), later, OVERLAP)
    texts = (TEXT, OTHER, "third")
    for now, opening in (
        (later, (True, True, True)),
        (NOW + OVERLAP, (False, True, True)),
        (later + OVERLAP, (False, False, True)),
    ):
        assert tuple(third.opens(digest_of(text), now) for text in texts) == opening
    assert third.former_until == later + OVERLAP
    assert len(rotated(third, digest_of("fourth"), later + OVERLAP, OVERLAP).formers) == 1


def test_a_key_whose_time_is_over_is_not_rotated() -> None:
    key = _key(expires_at=NOW)
    assert rotated(key, digest_of(OTHER), NOW - timedelta(microseconds=1), OVERLAP).formers
    with pytest.raises(Refused, match="expired"):
        rotated(key, digest_of(OTHER), NOW, OVERLAP)


def test_no_key_is_rotated_without_end_at_once() -> None:
    key = _key()
    for number in range(MOST_FORMERS):
        key = rotated(key, digest_of(str(number)), NOW, OVERLAP)
    with pytest.raises(Refused):
        rotated(key, digest_of("one more"), NOW, OVERLAP)
    assert rotated(key, digest_of("a day later"), NOW + OVERLAP, OVERLAP).former_until == NOW + 2 * OVERLAP


SESSION = session_text("abcdefgh", digest_of(TEXT), bytes(16))


def test_a_sessions_token_names_its_key_and_bears_the_mark_of_its_text() -> None:
    assert session_key(SESSION) == "abcdefgh"
    assert session_key(session_text(GIVEN, digest_of(TEXT), bytes(16))) == GIVEN
    assert marked_by(SESSION, [digest_of(OTHER), digest_of(TEXT)]) == digest_of(TEXT)
    assert marked_by(SESSION, [digest_of(OTHER)]) is None
    assert marked_by(SESSION, []) is None


@pytest.mark.parametrize(
    "text",
    ["", "x", SESSION[:-1], f"{SESSION}\n", SESSION.replace(".", "_"), SESSION.upper(), TEXT, "\u0661" + SESSION[1:]],
)
def test_what_is_no_token_is_for_no_key(text: str) -> None:
    assert session_key(text) is None
    assert marked_by(text, [digest_of(TEXT)]) is None


def test_a_token_that_was_changed_bears_nobodys_mark() -> None:
    other_key = f"abcdefgi{SESSION[8:]}"
    other_mark = f"{SESSION[:-1]}{'0' if SESSION[-1] != '0' else '1'}"
    for changed in (other_key, other_mark, session_text("abcdefgh", "", bytes(16))):
        assert marked_by(changed, [digest_of(TEXT)]) is None
