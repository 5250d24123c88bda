"""`bambufs-thumbnailer`: the plate's picture of a sliced 3MF, for file managers.

Reads the file's directory, which is at its end, and the picture: some kilobytes of a file of many megabytes, so that
opening a folder of a mounted printer does not fetch all of it. Made to start quickly, since it is run for every file.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .errors import InvalidJob, UsageError
from .printer.sliceinfo import Plate
from .printer.threemf import ThreeMF

_ABOUT = """\
Writes the picture of the first plate of INPUT, a sliced 3MF file, to OUTPUT as PNG. File managers run it; to tell them,
run bambufs-thumbnailer --install once.
"""
_SMALL = 128
_MOST_WHOLE = 1_000_000
"""Bytes; a P1 or A1 sends some 70 KB a second (greghesp/ha-bambulab#859)."""

_ENTRY = """\
[Thumbnailer Entry]
TryExec={program}
Exec={quoted} --size %s %i %o
MimeType=model/3mf;application/vnd.ms-package.3dmanufacturing-3dmodel+xml;application/vnd.ms-3mfdocument;
"""

def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors are one sentence on standard error."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if not args.install and args.output is None:
        parser.error("name a sliced 3MF and where to write its picture")
    try:
        if args.install:
            print(f"File managers find it in {install(Path(sys.argv[0]), _data_folder())}.")  # noqa: T201
        else:
            Path(args.output).write_bytes(fitted(picture_of(_local(args.input), args.size), args.size))
    except (OSError, InvalidJob, UsageError) as error:
        sys.stderr.write(f"bambufs-thumbnailer: {error}\n")
        return 1
    return 0


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bambufs-thumbnailer", description=_ABOUT, allow_abbrev=False)
    parser.add_argument("input", metavar="INPUT", nargs="?", help="a sliced 3MF, or its file: URL")
    parser.add_argument("output", metavar="OUTPUT", nargs="?", help="where to write the picture")
    parser.add_argument("-s", "--size", type=int, default=256, metavar="N", help="pixels it may be wide and high (256)")
    parser.add_argument("--install", action="store_true", help="tell your file managers of this program")
    return parser


def picture_of(file: Path, size: int = 256) -> bytes:
    """The picture (PNG) of the first plate of ``file``.

    Raises `UsageError` when it holds none, or when a printer would have to send all of a big file for it.
    """
    if file.stat().st_size > _MOST_WHOLE and _comes_whole(file):
        raise UsageError(f"{file} is not looked into: this printer (P1, A1) would have to send all of it")
    with open(file, "rb", buffering=0) as opened:
        # The kernel would read ahead, which on a mounted printer means to fetch.
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        threemf = ThreeMF(opened, str(file))
        picture = threemf.thumbnail(Plate(1), small=size <= _SMALL)
        if picture is None:
            numbers = [plate.number for plate in threemf.plates if plate.number != 1]
            picture = threemf.thumbnail(Plate(numbers[0])) if numbers else None
    if picture is None:
        raise UsageError(f"{file} holds no picture")
    return picture


def _comes_whole(file: Path) -> bool:
    """Whether it is on a mounted printer that cannot start in the middle of a file, as `.bambufs/stats` tells."""
    folder = file.absolute().parent
    while not os.path.ismount(folder):
        folder = folder.parent
    with suppress(OSError, ValueError, AttributeError):
        return bool(json.loads((folder / ".bambufs/stats").read_text()).get("family") == "ESP32")
    return False


def fitted(picture: bytes, size: int) -> bytes:
    """The picture no larger than ``size`` pixels, where Pillow is there to make it so; else as it is."""
    with suppress(ImportError):
        from PIL import Image, UnidentifiedImageError

        try:
            image = Image.open(io.BytesIO(picture), formats=("PNG",))
            if max(image.size) > size:
                image.thumbnail((size, size))
                written = io.BytesIO()
                image.save(written, "PNG")
                return written.getvalue()
        except (UnidentifiedImageError, Image.DecompressionBombError, ValueError, SyntaxError) as error:
            raise UsageError(f"the picture in it cannot be read ({error})") from error
    return picture


def install(program: Path, data_folder: Path) -> Path:
    """Write the entry that file managers look for into ``data_folder``; returns its path."""
    place = data_folder / "thumbnailers" / "bambufs.thumbnailer"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(entry(program.absolute()))
    return place


def entry(program: Path) -> str:
    """What file managers read (the freedesktop thumbnailer specification)."""
    quoted = f'"{program}"' if " " in str(program) else program
    return _ENTRY.format(program=program, quoted=quoted)


def _data_folder() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local/share")


def _local(name: str) -> Path:
    """``name``, which may be a file: URL."""
    return Path(unquote(urlsplit(name).path)) if name.startswith("file:") else Path(name)
