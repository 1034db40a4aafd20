"""Text in the encodings that spreadsheets of the last thirty years have saved."""

from pathlib import Path

import pytest

from tests.unit.jobs.analysis.cases import raw_of

GERMAN = "stadt;preis\nKöln;1,50\nMünchen;2,50\nGöttingen;3,75\nDüsseldorf;4,00\n"
FRENCH = "produit;prix\nCrème brûlée;12,50 €\nGâteau à l’orange;8,00 €\nThé glacé;3,20 €\n"
POLISH = "miasto;region\nŁódź;łódzkie\nWrocław;dolnośląskie\nGdańsk;żółty\nPoznań;źródło\n"
RUSSIAN = "имя;город\nИван;Москва\nОльга;Санкт-Петербург\nПётр;Новосибирск\n"
JAPANESE = "名前,都市\n田中,東京\n鈴木,大阪\n佐藤,名古屋\n"


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        (GERMAN, "utf-8", "utf-8"),
        (GERMAN, "utf-8-sig", "utf-8"),
        (GERMAN, "utf-16", "utf-16"),
        (GERMAN, "utf-16-le", "utf-16-le"),
        (GERMAN, "utf-16-be", "utf-16-be"),
        (GERMAN, "utf-32", "utf-32"),
        (GERMAN, "latin-1", "cp1252"),
        (GERMAN, "cp1252", "cp1252"),
        (FRENCH, "cp1252", "cp1252"),
        (POLISH, "cp1250", "cp1250"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "utf-16", "utf-16"),
        (JAPANESE, "shift_jis", "shift_jis"),
        (JAPANESE, "utf-8", "utf-8"),
    ],
)
def test_the_text_comes_out_as_it_was_written(tmp_path: Path, text: str, encoding: str, said: str) -> None:
    raw = raw_of(tmp_path, text.encode(encoding))
    lines = [line.split(";" if ";" in text else ",") for line in text.splitlines()]
    assert [list(raw.headings), *map(list, raw.frame.rows())] == lines
    assert raw.origin.encoding == said


def test_a_guessed_encoding_is_said(tmp_path: Path) -> None:
    assert "cp1252" in raw_of(tmp_path, GERMAN.encode("cp1252")).notes[0]
    assert raw_of(tmp_path, GERMAN).notes == ()


def test_one_degree_sign_does_not_make_a_file_chinese(tmp_path: Path) -> None:
    raw = raw_of(tmp_path, "when,temp\nmon,20°C\ntue,21°C\nwed,22°C\n".encode("latin-1"))
    assert raw.frame["1"].to_list() == ["20°C", "21°C", "22°C"]


def test_a_few_damaged_lines_do_not_change_the_encoding_of_the_rest(tmp_path: Path) -> None:
    good = [f"{number},Zürich".encode() for number in range(200)]
    raw = raw_of(tmp_path, b"\n".join([b"id,city", *good, b"200,Z\xfcrich"]))
    assert raw.frame["1"][0] == "Zürich"
    assert raw.frame["1"][200] == "Z\ufffdrich"
    assert "1 lines" in raw.notes[0]


def test_a_late_foreign_letter_is_found(tmp_path: Path) -> None:
    lines = [f"{number},plain".encode() for number in range(100_000)]
    raw = raw_of(tmp_path, b"\n".join([b"id,word", *lines, b"100000,caf\xe9"]))
    assert raw.frame["1"][100_000] == "café"
