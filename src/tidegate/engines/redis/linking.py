"""A verb's script, made small: of the prelude only what the verb uses, its numbers written out.

A script runs from its first line at every call, so each function that it defines, and each local that a function
reaches for, costs every call a little; together they would cost more than many verbs do.
"""

import re
from typing import Final, NamedTuple

_COMMENT: Final = re.compile(r"('[^'\n]*'|\"[^\"\n]*\")|--[^\n]*")
_TOP: Final = re.compile(r"(?m)^(?=local )")
_FUNCTION: Final = re.compile(r"local function (\w+)")
_LOCALS: Final = re.compile(r"local ([\w, ]+?)(?: *=|$)", flags=re.MULTILINE)
_NUMBERS: Final = re.compile(r"local ([A-Z_]+(?:, *[A-Z_]+)*) = (\d+(?:, *\d+)*)\s*")
_TOKEN: Final = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|[A-Za-z_]\w*")


class _Statement(NamedTuple):
    """One top-level `local` of the prelude, and what follows it up to the next."""

    names: frozenset[str]
    text: str


def linked(prelude: str, own: str) -> str:
    """What to run for a verb whose file is `own`."""
    statements, numbers = _parsed(_COMMENT.sub(r"\1", prelude))
    text = _written_out(_COMMENT.sub(r"\1", own), numbers)
    needed, kept = set(_TOKEN.findall(text)), [text]
    for statement in reversed(statements):
        if statement.names & needed:
            part = _written_out(statement.text, numbers)
            needed |= set(_TOKEN.findall(part))
            kept.append(part)
    return re.sub(r"\s*\n\s*", "\n", "\n".join(reversed(kept))).strip() + "\n"


def _parsed(prelude: str) -> tuple[list[_Statement], dict[str, str]]:
    statements: list[_Statement] = []
    numbers: dict[str, str] = {}
    for text in _TOP.split(prelude):
        if constants := _NUMBERS.fullmatch(text):
            names, values = (part.replace(" ", "").split(",") for part in constants.groups())
            numbers |= dict(zip(names, values, strict=True))
        elif named := _FUNCTION.match(text) or _LOCALS.match(text):
            names = named.group(1).replace(" ", "").split(",")
            statements.append(_Statement(frozenset(names), text))
    return statements, numbers


def _written_out(text: str, numbers: dict[str, str]) -> str:
    return _TOKEN.sub(lambda token: numbers.get(token.group(), token.group()), text)
