"""The public face is one list, said twice: once for Python, once for type checkers."""

import ast
from pathlib import Path

import tidegate


def test_every_public_name_can_be_imported() -> None:
    for name in tidegate.__all__:
        assert getattr(tidegate, name).__name__ == name


def test_the_names_are_sorted_and_type_checkers_see_the_same() -> None:
    stub = ast.parse(Path(tidegate.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imported = [alias.name for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]

    assert list(tidegate.__all__) == sorted(tidegate.__all__)
    assert sorted(imported) == list(tidegate.__all__)
