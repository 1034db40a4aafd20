"""`tidegate keys`: the first key is made without a server, and its text goes to stdout alone."""

from pathlib import Path

import pytest

from tidegate.cli.keys import create, list_keys, revoke, rotate
from tidegate.core.access import Role, id_of
from tidegate.errors import InvalidInput


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TIDEGATE_ENGINE", "REDIS_URL", "DATABASE_URL", "TIDEGATE_URL", "TIDEGATE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path / "data"))


def test_a_key_is_made_listed_rotated_and_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    assert create("ops", role=Role.ADMIN, of="ada", last="90d") == 0
    text = capsys.readouterr().out.strip()
    key_id = id_of(text)
    assert key_id is not None
    assert list_keys() == 0
    listed = capsys.readouterr().out
    assert all(part in listed for part in (key_id, "admin", "ops", "ada"))
    assert text not in listed
    assert rotate(key_id) == 0
    rotated = capsys.readouterr().out.strip()
    assert (id_of(rotated), rotated == text) == (key_id, False)
    assert revoke(key_id) == 0
    capsys.readouterr()
    assert list_keys() == 0
    assert "there is no key" in capsys.readouterr().out


@pytest.mark.parametrize("key_id", ["", "../x", "a b"])
def test_what_is_no_id_is_refused(key_id: str) -> None:
    with pytest.raises(InvalidInput):
        revoke(key_id)


@pytest.mark.parametrize("user", ["*", "tidegate.operator.ops"])
def test_a_key_that_could_do_nothing_is_not_made(user: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidInput) as refused:
        create("bad", of=user)
    assert refused.value.field == "user_id"
    assert capsys.readouterr().out == ""
