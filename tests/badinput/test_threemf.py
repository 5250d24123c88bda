"""Sliced files that somebody has damaged, or made to do harm: each is refused in a sentence."""

from __future__ import annotations

import contextlib
import io
import zipfile

import pytest

from bambufs.errors import InvalidJob
from bambufs.printer.threemf import ThreeMF
from tests.support.threemf import make, members, pack

_CONFIG = "Metadata/slice_info.config"
_GCODE = "Metadata/plate_1.gcode"


def _config(text: bytes) -> bytes:
    return pack(members() | {_CONFIG: text})


def _bomb(levels: int) -> bytes:
    """XML that grows tenfold with each level (billion laughs)."""
    entities = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, levels))
    return f'<?xml version="1.0"?><!DOCTYPE c [<!ENTITY e0 "ha">{entities}]><config>&e{levels - 1};</config>'.encode()


def _zip_bomb(size: int) -> bytes:
    return pack(members() | {_GCODE: bytes(size)})


def _nested(depth: int) -> bytes:
    inner = b"x"
    for _ in range(depth):
        inner = pack({"Metadata/inner.zip": inner})
    return inner


def _patched(at: bytes, offset: int, data: bytes) -> bytes:
    whole = bytearray(make())
    place = whole.rindex(at) + offset
    whole[place : place + len(data)] = data
    return bytes(whole)


BAD: dict[str, bytes] = {
    "nothing": b"",
    "one byte": b"P",
    "a zip's end alone": b"PK\x05\x06" + bytes(18),
    "text": b"G28\n" * 100,
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(1000),
    "zeroes": bytes(100_000),
    "cut after the first member": make()[:300],
    "cut by one byte": make()[:-1],
    "without its beginning": make()[100:],
    "the directory points outside": _patched(b"PK\x05\x06", 16, b"\xff\xff\xff\x7f"),
    "the directory is larger than the file": _patched(b"PK\x05\x06", 12, b"\xff\xff\xff\x7f"),
    "XML bomb": _config(_bomb(10)),
    "XML with an outer entity": _config(b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    "XML cut": _config(b"<config><plate><metadata key="),
    "XML in UTF-16 that is none": _config(b"\xff\xfe<config/>"),
    "XML of an unknown encoding": _config(b'<?xml version="1.0" encoding="klingon"?><config/>'),
    "XML with bytes that are no UTF-8": _config(b"<config>\xff\xfe</config>"),
    "binary instead of XML": _config(bytes(range(256))),
    "zip bomb": _zip_bomb(200_000_000),
    "zips in zips": _nested(50),
    "a project": pack({name: data for name, data in members().items() if ".gcode" not in name}),
    "another checksum": pack(members() | {f"{_GCODE}.md5": b"0" * 32}),
    "gcode in bzip2": pack(members(), zipfile.ZIP_BZIP2),
    "names with .. in them": pack({f"../../{name}": data for name, data in members().items()}),
    "another folder": pack({f"x/{name}": data for name, data in members().items()}),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_file_is_refused_in_a_sentence(kind: str) -> None:
    with pytest.raises(InvalidJob) as refusal:
        _check(BAD[kind])
    assert refusal.value.message.endswith(".")
    assert refusal.value.message.isprintable()


def _check(data: bytes) -> None:
    """What is done before a file is printed."""
    opened = ThreeMF(io.BytesIO(data), "/cache/x.gcode.3mf")
    opened.check_printable(opened.plate())
    opened.title()


ODD: dict[str, bytes] = {
    "a picture begins outside": _patched(b"PK\x01\x02", 42, b"\xff\xff\xff\x7f"),
    "more members than it has": _patched(b"PK\x05\x06", 8, b"\xff\xff\xff\xff"),
    "ten thousand deep": _config(b"<a>" * 10_000 + b"</a>" * 10_000),
    "a title of megabytes": pack(members(title="x" * 5_000_000)),
    "no slice_info": pack({name: data for name, data in members().items() if name != _CONFIG}),
    "numbers that are none": _config(b'<config><plate><metadata key="prediction" value="NaN"/></plate></config>'),
    "a picture that is none": pack(members() | {"Metadata/plate_1.png": b"x"}),
}
"""Strange, but what matters is right, or the printer will judge."""


@pytest.mark.parametrize("kind", ODD)
def test_odd_file_is_read_or_refused(kind: str) -> None:
    with contextlib.suppress(InvalidJob):
        _check(ODD[kind])
