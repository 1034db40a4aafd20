"""`tidegate keys ...`: who may use the API."""

import sys
from typing import Annotated, Final

from cyclopts import Parameter

from tidegate.cli.operating import Board, Call, Desk, Item, asked, items, lasting, plain, say, when
from tidegate.core.access import Role
from tidegate.errors import InvalidInput

BOARD: Final = Board(
    columns=("id", "role", "name", "user", "made (UTC)", "ends (UTC)"),
    colours={Role.ADMIN: "red", Role.OPERATOR: "yellow", Role.WRITER: "green"},
    empty="there is no key: who reaches the API may everything, and only this machine does",
)

Id = Annotated[str, Parameter(help="The key's id: its part between the underscores.")]


def list_keys(*, desk: Desk | None = None) -> int:
    """List the keys."""
    return asked(desk or Desk(), Call("GET", "/keys"), lambda answer: BOARD.show([_row(key) for key in items(answer)]))


def create(
    name: Annotated[str, Parameter(help="Who holds it.")],
    /,
    *,
    role: Annotated[Role, Parameter(help="reader, writer, operator or admin.")] = Role.WRITER,
    of: Annotated[str | None, Parameter(help="The user whose key it is; else it acts for users it names.")] = None,
    last: Annotated[str | None, Parameter(name="--for", help="How long it holds: 12h, 90d; else for ever.")] = None,
    desk: Desk | None = None,
) -> int:
    """Make a key; its text is told once."""
    life = lasting(last).get("seconds")
    body = {"name": name, "role": role.value, "user_id": of, "expires_in": life}
    return asked(desk or Desk(), Call("POST", "/keys", body), _tell, making=True)


def rotate(key_id: Id, /, *, desk: Desk | None = None) -> int:
    """Give a key a new text; the former one is taken for 24 h more."""
    return asked(desk or Desk(), Call("POST", f"/keys/{_checked(key_id)}/rotate"), _tell)


def revoke(key_id: Id, /, *, desk: Desk | None = None) -> int:
    """Take a key away."""
    return asked(desk or Desk(), Call("DELETE", f"/keys/{_checked(key_id)}"), lambda _: say(f"{key_id} is revoked"))


def _checked(key_id: str) -> str:
    if not (key_id.isascii() and key_id.isalnum()):
        raise InvalidInput("id", "a key's id is its part between the underscores: `tidegate keys list` shows it")
    return key_id


def _row(key: Item) -> list[str]:
    ends = when(key.get("expires_at"))
    made = when(key.get("created_at"))
    return [plain(key.get("id")), plain(key.get("role")), plain(key.get("name")), plain(key.get("user_id")), made, ends]


def _tell(key: Item) -> None:
    """The text alone goes to stdout, so that a script can keep it."""
    sys.stderr.write(f"{plain(key.get('name'))} ({plain(key.get('role'))}); this is told once:\n")
    say(plain(key.get("key")))
