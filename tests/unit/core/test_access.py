"""Roles, and what opens an API."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.core.access import ID_BYTES, KEY_BYTES, ApiKey, Role, digest_of, id_of, key_text

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEXT = key_text(bytes(range(ID_BYTES + KEY_BYTES)))
OTHER = key_text(bytes(reversed(range(ID_BYTES + KEY_BYTES))))


def _key(**changes: object) -> ApiKey:
    given: dict[str, object] = {"former": "", "former_until": None, "expires_at": None, **changes}
    former_until, expires_at = given["former_until"], given["expires_at"]
    assert former_until is None or isinstance(former_until, datetime)
    assert expires_at is None or isinstance(expires_at, datetime)
    return ApiKey(
        id="a",
        name="n",
        role=Role.READER,
        digest=digest_of(TEXT),
        created_at=NOW,
        expires_at=expires_at,
        former=str(given["former"]),
        former_until=former_until,
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
    key = _key(former=digest_of(OTHER), former_until=NOW)
    assert key.opens(digest_of(OTHER), NOW - timedelta(microseconds=1))
    assert not key.opens(digest_of(OTHER), NOW)
    assert not _key(former=digest_of(OTHER)).opens(digest_of(OTHER), NOW)
