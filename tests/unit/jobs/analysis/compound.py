"""A compound file (the container of .xls and of encrypted .xlsx) with named streams, by [MS-CFB]."""

import struct

_SECTOR = 512
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_LARGE_STREAM = 4096
"""Streams under this size live elsewhere; all are padded to it."""


def compound_file(streams: dict[str, bytes]) -> bytes:
    """A version 3 compound file: one FAT sector, a directory of at most seven streams, then their sectors."""
    padded = {name: content.ljust(_LARGE_STREAM, b"\0") for name, content in streams.items()}
    directory = [_entry("Root Entry", 5, start=_END, links=(_FREE, 1))]
    fat = [_FAT, 2, _END]
    body = b""
    for index, (name, content) in enumerate(padded.items()):
        right = index + 2 if index + 1 < len(padded) else _FREE
        directory.append(_entry(name, 2, start=len(fat), size=len(content), links=(right, _FREE)))
        sectors = -(-len(content) // _SECTOR)
        fat += [*range(len(fat) + 1, len(fat) + sectors), _END]
        body += content.ljust(sectors * _SECTOR, b"\0")
    table = struct.pack("<128I", *(fat + [_FREE] * (128 - len(fat))))
    return _header() + table + b"".join(directory).ljust(2 * _SECTOR, b"\0") + body


def _header() -> bytes:
    magic = bytes.fromhex("d0cf11e0a1b11ae1")
    fixed = struct.pack("<16sHHHHH6s", b"", 0x3E, 3, 0xFFFE, 9, 6, b"")
    places = struct.pack("<IIIIIIIIII", 0, 1, 1, 0, _LARGE_STREAM, _END, 0, _END, 0, 0)
    return magic + fixed + places + struct.pack("<108I", *[_FREE] * 108)


def _entry(name: str, kind: int, *, start: int, links: tuple[int, int], size: int = 0) -> bytes:
    """A directory entry; `links` are its right sibling and its first child."""
    text = name.encode("utf-16-le") + b"\0\0"
    head = struct.pack("<64sHBBIII", text, len(text), kind, 1, _FREE, *links)
    return head + struct.pack("<16sIQQIQ", b"", 0, 0, 0, start, size)
