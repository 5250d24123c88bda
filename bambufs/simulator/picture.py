"""Pictures and films made of nothing but the standard library: PNG, JPEG, and AVI of JPEG frames.

Small and plain, but valid for every program that opens such files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

Colour = tuple[int, int, int]
Shading = Callable[[int, int], Colour]

_BLOCK = 8
_DC_COUNTS = bytes([0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0])
_END_OF_BLOCK = "0"
_NUMBER_OF_SIZES = 12


# -- PNG


def png(width: int, height: int, shade: Shading) -> bytes:
    """A PNG of ``width`` x ``height`` pixels whose colours ``shade(x, y)`` gives."""
    rows = (b"\0" + b"".join(bytes(shade(x, y)) for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"".join(rows), 9)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        _png_chunk(kind, content) for kind, content in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def _png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


# -- JPEG: every block of 8 x 8 pixels has one colour, so only DC coefficients are coded


def jpeg(columns: int, rows: int, shade: Shading) -> bytes:
    """A JPEG of ``columns`` x ``rows`` blocks of 8 pixels; ``shade(column, row)`` is a block's colour."""
    header = b"JFIF\0\1\1\0\0\1\0\1\0\0"
    quantisation = b"\0" + bytes([_BLOCK]) * 64
    parts = b"".join(bytes([number, 0x11, 0]) for number in (1, 2, 3))
    frame = struct.pack(">BHHB", 8, rows * _BLOCK, columns * _BLOCK, 3) + parts
    dc_table = b"\x00" + _DC_COUNTS + bytes(range(_NUMBER_OF_SIZES))
    ac_table = b"\x10" + bytes([1]) + bytes(15) + b"\0"
    scan = b"\3" + b"".join(bytes([number, 0]) for number in (1, 2, 3)) + b"\0\x3f\0"
    tables = ((0xE0, header), (0xDB, quantisation), (0xC0, frame), (0xC4, dc_table), (0xC4, ac_table))
    head = b"".join(_jpeg_segment(marker, content) for marker, content in (*tables, (0xDA, scan)))
    return b"\xff\xd8" + head + _jpeg_scan(columns, rows, shade) + b"\xff\xd9"


def _jpeg_segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _jpeg_scan(columns: int, rows: int, shade: Shading) -> bytes:
    bits: list[str] = []
    before = [0, 0, 0]
    for row in range(rows):
        for column in range(columns):
            levels = _levels(shade(column, row))
            steps = (level - last for level, last in zip(levels, before, strict=True))
            bits += (_dc_bits(step) + _END_OF_BLOCK for step in steps)
            before = levels
    text = "".join(bits)
    text += "1" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big").replace(b"\xff", b"\xff\0")


def _levels(colour: Colour) -> list[int]:
    red, green, blue = colour
    light = 0.299 * red + 0.587 * green + 0.114 * blue
    return [round(light) - 128, round((blue - light) * 0.564), round((red - light) * 0.713)]


def _dc_codes() -> list[str]:
    """The Huffman codes of the sizes 0 to 11, made from the table's counts as every decoder does."""
    codes: list[str] = []
    code = 0
    for length, count in enumerate(_DC_COUNTS, start=1):
        for _ in range(count):
            codes.append(format(code, f"0{length}b"))
            code += 1
        code <<= 1
    return codes


_DC_CODES = _dc_codes()


def _dc_bits(difference: int) -> str:
    size = abs(difference).bit_length()
    if not size:
        return _DC_CODES[0]
    value = difference if difference > 0 else difference + (1 << size) - 1
    return _DC_CODES[size] + format(value, f"0{size}b")


# -- AVI


def avi(frames: list[bytes], *, width: int, height: int, rate: int = 12) -> bytes:
    """A Motion JPEG film of these frames, ``rate`` a second."""
    largest = max(map(len, frames))
    times = (1_000_000 // rate, largest * rate, 0, 0x10, len(frames), 0, 1, largest)
    main = struct.pack("<14I", *times, width, height, 0, 0, 0, 0)
    stream = struct.pack(
        "<4s4s10I4H", b"vids", b"MJPG", 0, 0, 0, 1, rate, 0, len(frames), largest, 0, 0, 0, 0, width, height
    )
    form = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
    header = _riff(b"avih", main) + _list(b"strl", _riff(b"strh", stream) + _riff(b"strf", form))
    chunks = [_riff(b"00dc", frame) for frame in frames]
    film = _list(b"hdrl", header) + _list(b"movi", b"".join(chunks))
    return _riff(b"RIFF", b"AVI " + film + _riff(b"idx1", b"".join(_index(frames, chunks))))


def _index(frames: list[bytes], chunks: list[bytes]) -> Iterator[bytes]:
    offset = 4
    for frame, chunk in zip(frames, chunks, strict=True):
        yield struct.pack("<4sIII", b"00dc", 0x10, offset, len(frame))
        offset += len(chunk)


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def _list(kind: bytes, content: bytes) -> bytes:
    return _riff(b"LIST", kind + content)
