"""The size lint: small files, short functions, few parameters.

`python -m tools.sizes src tests` prints what is larger than it should be and exits 1 where something is
over a hard limit. There are no exceptions and no way to ask for one: split what is too large.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """More than `soft` is reported; more than `hard` fails the lint."""

    what: str
    soft: int
    hard: int


FILE: Final = Limit(what="lines in a file", soft=300, hard=400)
BODY: Final = Limit(what="lines in a function body", soft=25, hard=40)
SUFFIXES: Final = frozenset({".py", ".lua", ".sql"})
PARAMETERS: Final = Limit(what="parameters", soft=5, hard=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offence:
    """One thing over a limit; `hard` offences fail the lint."""

    where: str
    size: int
    limit: Limit
    hard: bool


def offences(where: str, source: str) -> Iterator[Offence]:
    """What is too large in one module; `where` is its path, as it should be shown. Of Lua and SQL only the file counts.

    Length of a file is a hard matter in `src` only: a table of cases may be long.
    Raises SyntaxError where the source is no Python.
    """
    lines = len(source.splitlines())
    if lines > FILE.soft:
        in_src = Path(where).parts[:1] == ("src",)
        yield Offence(where=where, size=lines, limit=FILE, hard=in_src and lines > FILE.hard)
    if not where.endswith(".py"):
        return
    for name, function, method in _functions(ast.parse(source, where), "", in_class=False):
        place = f"{where}:{function.lineno} {name}"
        for size, limit in ((_body(function), BODY), (_parameters(function, method=method), PARAMETERS)):
            if size > limit.soft:
                yield Offence(where=place, size=size, limit=limit, hard=size > limit.hard)


def _functions(node: ast.AST, prefix: str, *, in_class: bool) -> Iterator[tuple[str, Function, bool]]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield prefix + child.name, child, in_class
                yield from _functions(child, f"{prefix}{child.name}.", in_class=False)
            case ast.ClassDef():
                yield from _functions(child, f"{prefix}{child.name}.", in_class=True)
            case _:
                yield from _functions(child, prefix, in_class=in_class)


def _body(function: Function) -> int:
    """Lines from the first statement after the docstring to the end."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    start = first.end_lineno if documented else first.lineno - 1
    return (function.end_lineno or 0) - (start or 0)


def _parameters(function: Function, *, method: bool) -> int:
    """Parameters that a caller sees: not `self` and `cls`; `*args` and `**options` are one each."""
    args = function.args
    named = [*args.posonlyargs, *args.args]
    bound = method and bool(named) and named[0].arg in {"self", "cls"}
    rest = [extra for extra in (args.vararg, args.kwarg) if extra is not None]
    return len(named) - bound + len(args.kwonlyargs) + len(rest)


def modules(roots: Sequence[Path]) -> Iterator[Path]:
    """Every Python, Lua and SQL file under the roots, in name order; a root that is missing has none."""
    for root in roots:
        yield from [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in SUFFIXES)


def table(found: Sequence[Offence]) -> str:
    """The offences, largest breach first, one a line."""
    ranked = sorted(found, key=lambda offence: (not offence.hard, -offence.size / offence.limit.soft))
    return "\n".join(
        f"{'FAIL' if offence.hard else 'warn'}  {offence.size:>5}  {offence.limit.what:<24}  {offence.where}"
        for offence in ranked
    )


def main(arguments: Sequence[str]) -> int:
    """Check the given files and folders; 1 if anything is over a hard limit."""
    paths = list(modules([Path(argument) for argument in arguments]))
    found = [offence for path in paths for offence in offences(path.as_posix(), path.read_text("utf-8"))]
    if found:
        print(table(found))
    failed = sum(offence.hard for offence in found)
    print(f"sizes: {len(paths)} files, {failed} over a hard limit, {len(found) - failed} over a soft one")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
