"""How each series wants to be asked for a print, and which names it chokes on: tables, with their sources.

Adding a series is adding a row. Paths go into the URL raw, never percent-encoded: no printer was seen
to decode them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

from bambufs.errors import InvalidJob
from bambufs.printer.models import Model


@dataclass(frozen=True)
class Dialect:
    """What a series understands.

    ``root_url`` and ``folder_url`` are the forms for a file in the root and in a folder of the card, with
    ``{path}`` for the path without its first slash. ``plain_names`` tells that the code page of its file
    names is not known to be UTF-8, ``longest_path`` how many bytes of path it holds.
    """

    root_url: str
    folder_url: str
    newer_keys: bool = False
    vibration_cali: bool = True
    blanks: bool = False
    plain_names: bool = False
    longest_path: int = 1024

    def url(self, path: str, template: str = "") -> str:
        """The URL of a path that is absolute on the card; a ``template`` overrides the table."""
        plain = path.lstrip("/")
        return (template or (self.folder_url if "/" in plain else self.root_url)).replace("{path}", plain)


# ESP32 printers seem to run a server with path buffers of 128 bytes (nopnop2002/esp-idf-ftpServer).
_ESP32_PATH = 110

DIALECTS: Mapping[str, Dialect] = {
    # X1, X1C, X1E: all of file:///sdcard/, file:///mnt/sdcard/ and ftp:/// work (ha-bambulab const.py,
    # OctoPrint-BambuPrinter).
    "X1": Dialect("file:///sdcard/{path}", "file:///sdcard/{path}"),
    # P1P, P1S: file:///sdcard/ or ftp:/// (bambu-printer-manager, bambu-farm, OpenBambuAPI#38).
    "P1": Dialect(
        "file:///sdcard/{path}", "file:///sdcard/{path}", plain_names=True, longest_path=_ESP32_PATH
    ),
    # A1, A1 mini: the same; blanks in the name were seen to work on an A1 mini (bambu-rs docs/protocol.md).
    "A1": Dialect(
        "file:///sdcard/{path}",
        "file:///sdcard/{path}",
        blanks=True,
        plain_names=True,
        longest_path=_ESP32_PATH,
    ),
    # P2S: its storage is a USB stick (open-bambu-networking 6.8.2), and it does not know the vibration
    # calibration of X1 and P1 (bambuddy bambu_mqtt.py).
    "P2": Dialect("ftp:///{path}", "file:///media/usb0/{path}", newer_keys=True, vibration_cali=False),
    # H2D, H2S, H2C: ftp:/// for the root, file:///sdcard/ for folders (ha-bambulab#1512, powder-doser); an
    # H2S refuses two slashes (bambu-printer-mcp).
    "H2": Dialect("ftp:///{path}", "file:///sdcard/{path}", newer_keys=True),
}
_UNKNOWN = Dialect("ftp:///{path}", "file:///sdcard/{path}")
"""For a model that is not known: the forms that most models take."""


def dialect_of(model: Model | None) -> Dialect:
    """The dialect of a model; a cautious one when it is not known."""
    return DIALECTS.get(model.series, _UNKNOWN) if model else _UNKNOWN


def check_url_template(template: str) -> str:
    """The template itself. Raises `InvalidJob` unless it holds ``{path}`` once and nothing unprintable."""
    if template.count("{path}") != 1 or not template.isprintable():
        raise InvalidJob(
            f"url_template '{template}' must hold {{path}} once, where the file's path belongs, as in "
            "ftp:///{path} or file:///sdcard/{path}."
        )
    return template


@dataclass(frozen=True)
class NameTrouble:
    """A path that a printer chokes on: why, and the path to use instead.

    ``certain`` is False when it is only likely, so that a print may be tried with a warning.
    """

    reason: str
    safe_path: str
    certain: bool

    @property
    def sentence(self) -> str:
        """What to tell the user."""
        verb = "cannot" if self.certain else "may fail to"
        return f"The printer {verb} print from a path {self.reason}. Rename it to {self.safe_path} first."


_NOT_IN_URLS = re.compile(r'[#%?&<>:"|*\\\x00-\x1f\x7f]')
_BLANKS = re.compile(r"\s")


def name_trouble(path: str, model: Model | None) -> NameTrouble | None:
    """What is wrong with ``path`` (absolute on the card) in a print request to ``model``, or None.

    ``#``, ``%`` and ``?`` have a meaning in URLs, and the rest of that list FAT cannot store (bambuddy#1540);
    blanks made a printer ignore the request in silence (bambuddy#824).
    """
    dialect = dialect_of(model)
    safe = safe_path(path, model)
    if bad := sorted(set(_NOT_IN_URLS.findall(path))):
        return NameTrouble(f"with {' '.join(map(_shown, bad))} in it", safe, certain=True)
    if _BLANKS.search(path) and not dialect.blanks:
        return NameTrouble("with a blank in it", safe, certain=True)
    if len(path.encode("utf-8", "surrogateescape")) > dialect.longest_path:
        return NameTrouble(f"longer than {dialect.longest_path} bytes", safe, certain=True)
    if dialect.plain_names and not path.isascii():
        return NameTrouble("with letters beyond ASCII", safe, certain=False)
    return None


def safe_path(path: str, model: Model | None) -> str:
    """``path`` with every name in it made safe; it keeps its folders and its ending."""
    dialect = dialect_of(model)
    folder, slash, name = path.rpartition("/")
    folders = "/".join(safe_name(part, model) for part in folder.split("/"))
    room = dialect.longest_path - len(f"{folders}{slash}".encode())
    return f"{folders}{slash}{_shortened(safe_name(name, model), max(room, 24))}"


def safe_name(name: str, model: Model | None) -> str:
    """One name without what ``model`` chokes on: accents dropped, everything else replaced by ``_``."""
    dialect = dialect_of(model)
    safe = name
    if dialect.plain_names and not name.isascii():
        # First, since taking letters apart can bring forth blanks and signs.
        bare = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
        safe = re.sub(r"[^\x20-\x7e]", "_", bare)
    safe = _NOT_IN_URLS.sub("_", safe).replace("/", "_")
    return safe if dialect.blanks else _BLANKS.sub("_", safe)


def _shortened(name: str, room: int) -> str:
    """``name`` cut to ``room`` bytes in front of its ending."""
    ending = next((e for e in (".gcode.3mf", ".3mf") if name.lower().endswith(e)), "")
    stem, tail = name[: len(name) - len(ending)], name[len(name) - len(ending) :]
    kept = stem.encode("utf-8", "surrogateescape")[: max(1, room - len(tail))]
    return kept.decode("utf-8", "ignore") + tail


def _shown(character: str) -> str:
    return character if character.isprintable() else f"\\x{ord(character):02x}"
