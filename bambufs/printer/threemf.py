"""What is inside a sliced 3MF file: its plates, their filaments, time, weight, picture and checksum.

Reads over any seekable binary file, and only the zip directory and the few members asked for, so that
a ranged read of a big file on a printer's card costs kilobytes. Nothing that the file claims is trusted:
every read is bounded, XML with a document type (entity bombs) is refused, and each kind of broken file
gets its own sentence. Layout of the file: BambuStudio src/libslic3r/Format/bbs_3mf.cpp.

A `ThreeMF` is as thread-safe as the file beneath it: use it from one thread at a time.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, BinaryIO

from bambufs.errors import InvalidJob
from bambufs.printer.models import find_model
from bambufs.printer.sliceinfo import Filament, Plate, SliceInfo, parse_slice_info, parse_title

__all__ = ["Filament", "Plate", "SliceInfo", "ThreeMF", "file_md5"]

_SLICE_INFO = "Metadata/slice_info.config"
_MODEL = "3D/3dmodel.model"
_GCODE = re.compile(r"Metadata/plate_(\d{1,4})\.gcode")

_CHUNK = 1 << 18
_MAX_SINGLE_READ = 8 << 20
"""The zip directory is read in one piece; a real one has under 200 entries of about 100 bytes."""
_MAX_MEMBERS = 10_000
_MAX_XML = 4 << 20
_MAX_PICTURE = 4 << 20
_MAX_TITLE = 64 << 10
_MAX_GCODE = 4 << 30
_BOMB_SIZE = 64 << 20
_BOMB_RATIO = 200
"""Gcode deflates to a fifth or a tenth. Deflate's own limit is 1032, which only a bomb comes near."""

_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    ValueError,
    OverflowError,
)
_AGAIN = "Copy or export it again."
_SLICE = "Open it in the slicer, slice it, and export the plate as a sliced file (.gcode.3mf)."


class _Watched:
    """The caller's file as `zipfile` sees it: refuses huge reads, and remembers the file's own errors.

    `zipfile` takes any OSError of the file for "not a zip file"; a printer that went away in the
    middle must not be reported as a broken file.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = file.seek(0, 2)
        self.failure: OSError | None = None
        self.tell = file.tell

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence == 0 and offset < 0:
            raise zipfile.BadZipFile("its directory points outside the file")
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        """Exactly ``size`` bytes (-1: the rest), fewer only at the end of the file."""
        if size < 0:
            size = self._size - self._file.tell()
        if size > _MAX_SINGLE_READ:
            raise zipfile.BadZipFile("a directory larger than any 3MF has")
        try:
            data = self._file.read(size)
            while len(data) < size and (more := self._file.read(size - len(data))):
                data += more
        except OSError as error:
            self.failure = error
            raise
        return data

    def seekable(self) -> bool:
        return True


class ThreeMF:
    """A sliced 3MF file, opened over ``file``, which stays the caller's and is not closed.

    ``path`` is only used in errors. Raises `InvalidJob` when the file is no 3MF, is damaged, cut
    short or encrypted, or claims impossible sizes; errors of the file itself pass through.
    An unsliced project opens, and has no plates.
    """

    def __init__(self, file: BinaryIO, path: str) -> None:
        self.path = path
        self._watched = _Watched(file)
        self._zip = self._open()
        self._members = self._index()
        self._info: SliceInfo | None = None

    def __repr__(self) -> str:
        return f"<ThreeMF {self.path} {len(self._members)} members>"

    # -- what it holds ---------------------------------------------------------------------------

    @property
    def info(self) -> SliceInfo:
        """What the slicer noted about the plates (read once, when first asked for)."""
        if self._info is None:
            data = self._read(_SLICE_INFO, _MAX_XML) if _SLICE_INFO in self._members else b""
            self._info = parse_slice_info(data, self.path)
        return self._info

    @property
    def plates(self) -> tuple[Plate, ...]:
        """Every plate that is described or has gcode, in the order of their numbers."""
        noted = {plate.number: plate for plate in self.info.plates}
        sliced = {int(m.group(1)) for m in map(_GCODE.fullmatch, self._members) if m}
        return tuple(self._complete(noted.get(n, Plate(n))) for n in sorted(noted.keys() | sliced))

    @property
    def printer_model_id(self) -> str:
        """The code of the model it was sliced for (such as "C12"), or an empty string."""
        return next((p.printer_model_id for p in self.info.plates if p.printer_model_id), "")

    @property
    def nozzle(self) -> float | None:
        """The diameter of the (first) nozzle it was sliced for in mm, or None."""
        return next((p.nozzle_diameters[0] for p in self.info.plates if p.nozzle_diameters), None)

    def title(self) -> str:
        """The title its maker gave it, or an empty string. Reads the head of one more member."""
        if _MODEL not in self._members:
            return ""
        with self._translated(), self._zip.open(self._members[_MODEL]) as stream:
            return parse_title(stream.read(_MAX_TITLE))

    def thumbnail(self, plate: Plate, *, small: bool = False) -> bytes | None:
        """The plate's picture (PNG), or None if the file holds none; ``small`` prefers the one of 128 pixels.

        Reads one more member.
        """
        names = (f"Metadata/plate_{plate.number}.png", f"Metadata/plate_{plate.number}_small.png")
        name = next((n for n in (reversed(names) if small else names) if n in self._members), None)
        return self._read(name, _MAX_PICTURE) if name else None

    # -- may it be printed? ----------------------------------------------------------------------

    def plate(self, number: int | None = None) -> Plate:
        """The plate of that number, or the first that has gcode.

        Raises `InvalidJob` when the file was not sliced or has no such plate.
        """
        printable = [plate for plate in self.plates if plate.has_gcode]
        if not printable:
            raise self._invalid(
                "This 3MF is a project that has not been sliced, so there is nothing to print. " + _SLICE
            )
        if number is None:
            return printable[0]
        chosen = next((plate for plate in printable if plate.number == number), None)
        if chosen is None:
            raise self._invalid(f"There is no sliced plate {number} in it; it has {_listed(printable)}.")
        return chosen

    def check_printable(self, plate: Plate) -> None:
        """Read the plate's whole gcode and compare it with the checksum beside it.

        A P1S makes the same check and answers 0500_4003 (maziggy/bambuddy). A file without a
        checksum passes, since then the printer has nothing to compare either.

        Raises `InvalidJob` when the gcode is missing, damaged, or does not match.
        """
        if not plate.has_gcode:
            raise self._invalid(f"Plate {plate.number} has not been sliced. " + _SLICE)
        self._refuse_other_formats()
        expected, found = self._noted_md5(plate), self._gcode_md5(plate)
        if expected and expected != found:
            raise self._invalid(
                f"The gcode of plate {plate.number} does not match its checksum, so a printer would refuse "
                "it. It was changed or damaged after slicing; export it again from the slicer."
            )

    def warning_for(self, model: str | None) -> str | None:
        """A sentence if the file was sliced for another model than ``model`` (a name or a code)."""
        here, there = find_model(model), find_model(self.printer_model_id)
        if not here or not there or here == there or {here.name, there.name} == {"X1", "X1C"}:
            return None
        return f"It was sliced for the {there.name}, but this printer is the {here.name}."

    # -- reading ---------------------------------------------------------------------------------

    def _complete(self, plate: Plate) -> Plate:
        member = self._members.get(f"Metadata/plate_{plate.number}.gcode")
        return plate.with_gcode(member.file_size) if member and member.file_size else plate

    def _noted_md5(self, plate: Plate) -> str:
        name = f"Metadata/plate_{plate.number}.gcode.md5"
        if name not in self._members:
            return ""
        # Some tools write "<hex>  <name>", as md5sum does.
        words = self._read(name, 1024).decode("ascii", "replace").split()
        return words[0].lower() if words else ""

    def _gcode_md5(self, plate: Plate) -> str:
        member = self._members[f"Metadata/plate_{plate.number}.gcode"]
        self._refuse_bomb(member, _MAX_GCODE)
        digest = hashlib.md5(usedforsecurity=False)
        with self._translated(), self._zip.open(member) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def _read(self, name: str, limit: int) -> bytes:
        member = self._members[name]
        self._refuse_bomb(member, limit)
        with self._translated(), self._zip.open(member) as stream:
            data: bytes = stream.read(limit + 1)
            return data

    def _refuse_bomb(self, member: zipfile.ZipInfo, limit: int) -> None:
        # zipfile stops at the declared size and then compares the CRC, so the declared size is a true bound.
        ratio = member.file_size / max(1, member.compress_size)
        if member.file_size > limit or (member.file_size > _BOMB_SIZE and ratio > _BOMB_RATIO):
            raise self._invalid(
                f"Its member {member.filename} claims to unpack to {member.file_size} bytes, which no sliced "
                "file does. It may have been made to do harm, so it was not opened."
            )

    # -- opening ---------------------------------------------------------------------------------

    def _open(self) -> zipfile.ZipFile:
        stream: IO[bytes] = self._watched  # type: ignore[assignment]  # read, seek and tell are all it takes
        try:
            with self._translated(truncated=True):
                return zipfile.ZipFile(stream)
        except InvalidJob:
            # Only now: the head of a file on a printer costs a fetch of its own.
            self._refuse_other_formats()
            raise

    def _refuse_other_formats(self) -> None:
        size = self._watched.seek(0, 2)
        self._watched.seek(0)
        head = self._watched.read(4)
        if size == 0:
            raise self._invalid("The file is empty. " + _AGAIN)
        if head not in (b"PK\x03\x04", b"PK\x05\x06"):
            raise self._invalid("This is not a 3MF file: it does not begin like one. " + _SLICE)
        if size < 22:
            raise self._cut_short()

    def _index(self) -> dict[str, zipfile.ZipInfo]:
        found = self._zip.infolist()
        if len(found) > _MAX_MEMBERS:
            raise self._invalid(
                f"It claims to hold {len(found)} members, which no 3MF does; it was not opened."
            )
        members = {info.filename.replace("\\", "/").lstrip("/"): info for info in found}
        if len(members) < len(found):
            raise self._invalid(
                "It holds two members of one name, so what would be printed is unclear. " + _AGAIN
            )
        if not any(name.startswith(("3D/", "Metadata/")) for name in members):
            raise self._invalid("This is a zip file, but not a 3MF: it holds no model. " + _SLICE)
        self._refuse_unreadable(members)
        return members

    def _refuse_unreadable(self, members: dict[str, zipfile.ZipInfo]) -> None:
        if any(info.flag_bits & 0x1 for info in members.values()):
            raise self._invalid(
                "It is encrypted, and a printer cannot read it. Export it without a password."
            )
        methods = {info.compress_type for info in members.values()} - {
            zipfile.ZIP_STORED,
            zipfile.ZIP_DEFLATED,
        }
        if methods:
            raise self._invalid(
                f"It is packed with a method (number {min(methods)}) other than deflate, which printers do "
                "not read. Export it from the slicer instead of repacking it."
            )

    @contextlib.contextmanager
    def _translated(self, truncated: bool = False) -> Iterator[None]:
        """Errors of the zip become sentences; errors of the file beneath stay what they are."""
        try:
            yield
        except _BROKEN as error:
            if self._watched.failure is not None:
                raise self._watched.failure from error
            if truncated and "not a zip file" in str(error):
                raise self._cut_short() from error
            raise self._invalid(f"The file is damaged ({error}). " + _AGAIN) from error

    def _cut_short(self) -> InvalidJob:
        return self._invalid(
            "The file breaks off: its end is missing, as after an interrupted copy. " + _AGAIN
        )

    def _invalid(self, sentence: str) -> InvalidJob:
        return InvalidJob(sentence, self.path)


def file_md5(file: BinaryIO) -> str:
    """The MD5 of the whole file in upper-case hex, as a print request carries it (streamed)."""
    digest = hashlib.md5(usedforsecurity=False)
    file.seek(0)
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
    return digest.hexdigest().upper()


def _listed(plates: list[Plate]) -> str:
    numbers = ", ".join(str(plate.number) for plate in plates)
    return f"plate {numbers}" if len(plates) == 1 else f"plates {numbers}"
