"""What must be known about an .xls before a workbook reader may open it.

An .xls is a compound file ([MS-CFB]) with a stream of records ([MS-XLS]). A reader trusts its chains and cell
addresses; a damaged or hostile one can make it loop, or lay out a sheet of 65,536 by 65,536 cells.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tidegate.jobs.analysis.errors import NotData, Reason

_ENTRY = 128
_ROOT, _STREAM = 5, 2
_LAST_SECTOR = 0xFFFFFFFA
_NAMES = ("Workbook", "Book")
_ENCRYPTED = "EncryptedPackage"
_MOST_COLUMNS = 256
_FORMULA, _FILE_PASS, _MANY_RK, _MANY_BLANK = 0x06, 0x2F, 0xBD, 0xBE
_ONE_CELL = frozenset({_FORMULA, 0x01, 0x02, 0x03, 0x04, 0x05, 0xD6, 0xFD, 0x201, 0x203, 0x204, 0x205, 0x27E})
_MANY_CELLS = frozenset({_MANY_RK, _MANY_BLANK})


class Malformed(Exception):
    """The file is no sound compound file, or no sound workbook in one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stream:
    name: str
    kind: int
    start: int
    size: int


def check_compound(source: Path) -> None:
    """Pass an .xls whose chains end and whose cells lie in the 256 columns that the format has.

    Raises Malformed, or NotData where the workbook is encrypted.
    """
    try:
        workbook = _workbook(source.read_bytes())
        for kind, content in _records(workbook):
            if kind == _FILE_PASS:
                raise _protected()
            if kind in _ONE_CELL or kind in _MANY_CELLS:
                last = content[-2:] if kind in _MANY_CELLS else content[2:4]
                if struct.unpack("<H", last)[0] >= _MOST_COLUMNS:
                    raise Malformed("a cell lies outside the sheet")
    except (struct.error, IndexError) as error:
        raise Malformed("it ends too early") from error


def _records(workbook: bytes) -> Iterator[tuple[int, bytes]]:
    position = 0
    while position + 4 <= len(workbook):
        kind, size = struct.unpack_from("<HH", workbook, position)
        yield kind, workbook[position + 4 : position + 4 + size]
        position += 4 + size


def _workbook(data: bytes) -> bytes:
    """The workbook's stream."""
    shift, small_shift = struct.unpack_from("<HH", data, 30)
    if shift not in (9, 12) or small_shift != 6:
        raise Malformed("its sectors have an unknown size")
    directory_start, _, cutoff, small_start, _ = struct.unpack_from("<5I", data, 48)
    sectors = _Sectors(data[1 << shift :], 1 << shift, _table(data, shift))
    streams = list(_streams(sectors.chain(directory_start)))
    if any(each.name == _ENCRYPTED for each in streams):
        raise _protected()
    found = next((each for each in streams if each.name in _NAMES and each.kind == _STREAM), None)
    if found is None:
        raise Malformed("it has no workbook in it")
    if found.size < cutoff:
        root = next((each for each in streams if each.kind == _ROOT), found)
        table = sectors.chain(small_start)
        sectors = _Sectors(sectors.chain(root.start), 1 << small_shift, _numbers(table))
    return sectors.chain(found.start)[: found.size]


def _table(data: bytes, shift: int) -> list[int]:
    """Which sector follows which: the table is itself spread over sectors, listed in the header and a chain."""
    size = 1 << shift
    places = list(struct.unpack_from("<109I", data, 76))
    following = struct.unpack_from("<I", data, 68)[0]
    for _ in range(len(data) // size):
        if following > _LAST_SECTOR:
            break
        part = list(struct.unpack_from(f"<{size // 4}I", data, (following + 1) * size))
        places += part[:-1]
        following = part[-1]
    used = [place for place in places if place <= _LAST_SECTOR]
    if len(used) > len(data) // size:
        raise Malformed("its sector table is larger than the file")
    return [number for place in used for number in _numbers(data[(place + 1) * size : (place + 2) * size])]


def _numbers(data: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data[: len(data) // 4 * 4]))


@dataclass(frozen=True, slots=True)
class _Sectors:
    data: bytes
    size: int
    following: list[int]

    def chain(self, start: int) -> bytes:
        """The content of a chain of sectors. Raises Malformed for one that runs in a circle."""
        parts: list[bytes] = []
        place = start
        while place <= _LAST_SECTOR:
            if len(parts) > len(self.following):
                raise Malformed("its sectors run in a circle")
            parts.append(self.data[place * self.size : (place + 1) * self.size])
            place = self.following[place]
        return b"".join(parts)


def _streams(directory: bytes) -> Iterator[_Stream]:
    for offset in range(0, len(directory) - _ENTRY + 1, _ENTRY):
        length, kind = struct.unpack_from("<HB", directory, offset + 64)
        name = directory[offset : offset + max(0, min(length, 64) - 2)].decode("utf-16-le", "replace")
        start, size = struct.unpack_from("<II", directory, offset + 116)
        yield _Stream(name=name, kind=kind, start=start, size=size)


def _protected() -> NotData:
    return NotData(
        "The workbook is protected by a password, so it cannot be read. Remove the password and send it again.",
        Reason.ENCRYPTED,
    )
