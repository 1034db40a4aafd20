"""The size lint catches what it is there to catch."""

from pathlib import Path

import pytest

from tools import sizes


def _function(body_lines: int, parameters: str = "") -> str:
    return f"def planted({parameters}):\n    '''Say what\n    it does.'''\n" + "    x = 1\n" * body_lines


def _found(source: str, where: str = "src/planted.py") -> list[tuple[str, int, bool]]:
    return [(found.limit.what, found.size, found.hard) for found in sizes.offences(where, source)]


@pytest.mark.parametrize(("lines", "hard"), [(26, False), (40, False), (41, True)])
def test_a_long_function_body_is_found_without_its_docstring(lines: int, hard: bool) -> None:
    assert _found(_function(lines)) == [(sizes.BODY.what, lines, hard)]


def test_a_body_at_the_limit_is_no_offence() -> None:
    assert _found(_function(25)) == []


def test_a_body_counts_from_its_first_statement_when_it_has_no_docstring() -> None:
    source = "def planted(\n    a,\n    b,\n):\n" + "    x = 1\n" * 41
    assert _found(source) == [(sizes.BODY.what, 41, True)]


@pytest.mark.parametrize(
    ("parameters", "count"),
    [("a, b, c, d, e, f", 6), ("a, b, /, c, *, d, e, f", 6), ("a, b, c, d, *args, **options", 6)],
)
def test_a_sixth_parameter_fails(parameters: str, count: int) -> None:
    assert _found(_function(1, parameters)) == [(sizes.PARAMETERS.what, count, True)]


def test_self_and_cls_are_not_counted() -> None:
    source = (
        "class Planted:\n"
        "    async def fits(self, a, b, c, d, e): ...\n"
        "    @classmethod\n"
        "    def fits_too(cls, a, b, c, d, e): ...\n"
        "    def too_many(self, a, b, c, d, e, f): ...\n"
    )
    assert [found.where for found in sizes.offences("p.py", source)] == ["p.py:5 Planted.too_many"]


def test_a_nested_function_is_measured_too() -> None:
    source = "def outer():\n    if 1:\n        def inner(a, b, c, d, e, f): ...\n"
    assert [found.where for found in sizes.offences("p.py", source)] == ["p.py:3 outer.inner"]


@pytest.mark.parametrize(("lines", "hard"), [(301, False), (400, False), (401, True)])
def test_a_long_file_in_src_is_found(lines: int, hard: bool) -> None:
    assert _found("x = 1\n" * lines) == [(sizes.FILE.what, lines, hard)]


def test_a_long_file_of_tests_is_only_mentioned() -> None:
    assert _found("x = 1\n" * 1_000, "tests/planted.py") == [(sizes.FILE.what, 1_000, False)]


def test_a_hard_breach_ends_the_run_with_1_and_names_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "planted.py").write_text(_function(41))
    assert sizes.main([str(tmp_path)]) == 1
    assert "planted.py:1 planted" in capsys.readouterr().out


def test_a_soft_breach_is_printed_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "planted.py").write_text(_function(26))
    assert sizes.main([str(tmp_path)]) == 0
    assert "warn" in capsys.readouterr().out
