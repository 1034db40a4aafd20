"""Which encoding a text file is in, or that it is no text at all."""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from charset_normalizer import from_bytes

from tidegate.jobs.analysis.errors import NotData, Reason

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SYMBOL_IN_WORD = re.compile(
    "[^\\W\\d_][\u00b9\u00b3\u00bf\u00bc\u00be\u00a3\u00a5\u00af]|[\u00b9\u00b3\u00bf\u00bc\u00be\u00af][^\\W\\d_]"
)
_BLOCK = 1 << 20
_SAMPLE = 1 << 16
_TEXT_CONTROLS = frozenset(b"\t\n\v\f\r\x1b\x1a")
_CANDIDATES = [
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "iso8859_15", "koi8_r", "cp850", "mac_roman"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """A codec name for `open`, how it treats bytes it cannot read, and a remark on it, if one is due."""

    name: str
    errors: str = "strict"
    note: str | None = None

    @property
    def label(self) -> str:
        """The name people know it by."""
        return "utf-8" if self.name == "utf-8-sig" else self.name


def detect_encoding(source: Path) -> Encoding:
    """The encoding of this text file: its byte-order mark, else UTF-8 if the bytes agree, else a guess.

    Raises NotData when the content is binary.
    """
    with source.open("rb") as stream:
        head = stream.read(_SAMPLE)
    for mark, name in _BOMS:
        if head.startswith(mark):
            return Encoding(name=name, errors="replace")
    if b"\0" in head:
        return Encoding(name=_without_mark(head), errors="replace")
    controls = sum(head.count(byte) for byte in range(32) if byte not in _TEXT_CONTROLS)
    if controls > 0.02 * len(head):
        raise _binary()
    good, bad = _utf8_lines(source)
    if not bad:
        return Encoding(name="utf-8")
    return _legacy(b"\n".join(bad)) if len(bad) > 0.02 * (good + len(bad)) else _damaged(len(bad))


def _without_mark(head: bytes) -> str:
    even, odd = head[0::2].count(0), head[1::2].count(0)
    half = len(head) / 2
    if odd > 0.3 * half and even < 0.05 * half:
        return "utf-16-le"
    if even > 0.3 * half and odd < 0.05 * half:
        return "utf-16-be"
    raise _binary()


def _utf8_lines(source: Path) -> tuple[int, list[bytes]]:
    """How many lines with bytes above ASCII are UTF-8, and those that are not (the first 1,000)."""
    good, bad = 0, list[bytes]()
    for block in _blocks(source):
        if block.isascii():
            continue
        for line in block.splitlines():
            if line.isascii():
                continue
            try:
                line.decode()
                good += 1
            except UnicodeDecodeError:
                bad.append(line)
        if len(bad) >= 1000:
            break
    return good, bad


def _blocks(source: Path) -> Iterator[bytes]:
    """The file in blocks that end at a line's end, where lines are of sane length."""
    with source.open("rb") as stream:
        while block := stream.read(_BLOCK):
            yield block + stream.readline(_BLOCK)


def _legacy(sample: bytes) -> Encoding:
    name = _likeliest(b"\n".join(dict.fromkeys(sample[:_SAMPLE].splitlines())))
    note = f"The text is not UTF-8; it was read as {name}, a good guess. Save as UTF-8 to be sure."
    return Encoding(name=name, errors="replace", note=note)


def _likeliest(sample: bytes) -> str:
    """The detector's best guess, except that Western European wins ties.

    The detector often rates cp1250 and cp1252 alike, and cp1252 is by far the commoner; Central European
    text betrays itself in cp1252 by symbols such as \u00b3 and \u00bf inside words.
    """
    if sum(byte > 127 for byte in sample) < 8:
        return "cp1252"
    matches = list(from_bytes(sample, cp_isolation=_CANDIDATES))
    western = next((match for match in matches if "cp1252" in match.could_be_from_charset), None)
    odd = bool(_SYMBOL_IN_WORD.search(sample.decode("cp1252", "replace")))
    if not matches or (western and not odd and western.coherence >= matches[0].coherence - 0.02):
        return "cp1252"
    return next((match.encoding for match in matches if match is not western or not odd), "cp1252")


def _damaged(lines: int) -> Encoding:
    note = f"{lines:,} lines hold bytes that are not UTF-8; those characters were replaced by \ufffd."
    return Encoding(name="utf-8", errors="replace", note=note)


def _binary() -> NotData:
    return NotData(
        "The file holds binary content, not a table: it has bytes that no text has, and it is no Excel, "
        "Parquet or other known data format. Send CSV, TSV, Excel, Parquet or JSON.",
        Reason.BINARY,
    )
