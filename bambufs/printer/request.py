"""The text that a user writes into `.bambufs/print`, understood: a line -> `PrintRequest`.

A line is a path and options, quoted as in a shell. A name with blanks is also taken unquoted, since the
quotes of `echo "my part.gcode.3mf" > print` never get here. Pure.
"""

from __future__ import annotations

import posixpath
import re
import shlex
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from bambufs.errors import InvalidJob

BED_TYPES = ("auto", "cool_plate", "eng_plate", "hot_plate", "textured_plate", "supertack_plate")
"""BambuStudio's names."""

_YES = ("yes", "true", "on", "1")
_NO = ("no", "false", "off", "0")
_MOST_PLATES = 999
_MOST_FILAMENTS = 64
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class Switches:
    """What to do before and during the print; the defaults are those of BambuStudio's print dialog,
    except for flow calibration, which wears the plate and takes minutes."""

    bed_leveling: bool = True
    flow_cali: bool = False
    vibration_cali: bool = True
    layer_inspect: bool = False
    timelapse: bool = False


@dataclass(frozen=True)
class PrintRequest:
    """One line: ``path`` is absolute on the card; None means that the line does not say."""

    path: str
    plate: int | None = None
    use_ams: bool | None = None
    ams_mapping: tuple[int, ...] | None = None
    bed_type: str = "auto"
    switches: Switches = field(default_factory=Switches)


def parse_requests(text: str, mountpoints: Sequence[str] = ()) -> list[PrintRequest]:
    """The requests in several lines; empty lines and those that begin with ``#`` say nothing.

    Raises `InvalidJob` as `parse_request` does.
    """
    lines = (line.strip() for line in text.split("\n"))
    return [parse_request(line, mountpoints) for line in lines if line and not line.startswith("#")]


def parse_request(line: str, mountpoints: Sequence[str] = ()) -> PrintRequest:
    """The request in one line, such as ``cache/benchy.gcode.3mf plate=2 use_ams=no``.

    A path may be relative to the mount, absolute on the card, or begin with one of ``mountpoints``.

    Raises `InvalidJob`, with a sentence that lists what is allowed.
    """
    line = line.strip()
    if len(line) > _LONGEST_LINE:
        raise InvalidJob(f"The line is longer than {_LONGEST_LINE} characters; write one path and its options.")
    if any(unicodedata.category(character) == "Cc" for character in line):
        raise InvalidJob("The line holds control characters; write one path and its options as plain text.")
    name, options = _split(line)
    request = PrintRequest(resolve(name, mountpoints))
    _refuse_other_files(request.path)
    seen: set[str] = set()
    for option in options:
        key, _, value = option.partition("=")
        if key in seen:
            raise InvalidJob(f"{key}= is given twice.", request.path)
        seen.add(key)
        request = _with_option(request, key, value)
    if request.use_ams is False and request.ams_mapping is not None:
        raise InvalidJob("use_ams=no and ams_mapping= contradict each other; leave one out.", request.path)
    return request


def resolve(name: str, mountpoints: Sequence[str] = ()) -> str:
    """The absolute path on the card that a user means by ``name``.

    Raises `InvalidJob` when it lies outside the mount.
    """
    for mountpoint in mountpoints:
        root = mountpoint.rstrip("/")
        if root and (name == root or name.startswith(root + "/")):
            name = name[len(root) :] or "/"
            break
    path = posixpath.normpath(posixpath.join("/", name)).replace("//", "/")
    depth = 0
    for part in name.split("/"):
        depth += {"..": -1, ".": 0, "": 0}.get(part, 1)
        if depth < 0:
            raise InvalidJob("This path leads out of the mount; name a file on the printer's card.", name)
    return path


def _refuse_other_files(path: str) -> None:
    if path.lower().endswith(".gcode"):
        raise InvalidJob(
            "Bare gcode cannot be started from here: printers accept it and then do nothing. "
            "Export the plate as a sliced file (.gcode.3mf) and print that.",
            path,
        )
    if not path.lower().endswith(".3mf"):
        raise InvalidJob("Only a sliced 3MF file (.gcode.3mf) can be printed; this name does not end in .3mf.", path)


# -- words -------------------------------------------------------------------------------------------


def _split(line: str) -> tuple[str, list[str]]:
    """The path and the options of a line."""
    words = _shell_words(line)
    names = [word for word in words if not _is_option(word)]
    if len(names) != 1:
        names, words = _unquoted(line)
    if len(names) != 1 or not names[0]:
        raise InvalidJob(
            "Write one sliced file, then its options, as in: cache/benchy.gcode.3mf plate=2 use_ams=no. "
            "For several files write a line for each."
        )
    return names[0], [word for word in words if _is_option(word)]


def _shell_words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        # A lone quote, as in: Tom's benchy.3mf
        return []


def _unquoted(line: str) -> tuple[list[str], list[str]]:
    """The line as a name with blanks in front of its options, unless it names several files."""
    options: list[str] = []
    rest = line
    while match := re.fullmatch(r"(.*\S)\s+(\S+)", rest):
        if not _is_option(match.group(2)):
            break
        rest = match.group(1)
        options.insert(0, match.group(2))
    several = len(re.findall(r"\.3mf(?=\s|$)", rest, re.IGNORECASE)) > 1
    return ([] if several or _is_option(rest) else [rest]), options


def _is_option(word: str) -> bool:
    return re.fullmatch(r"[A-Za-z_]+[0-9]?=.*", word) is not None and not word.lower().endswith(".3mf")


# -- options -----------------------------------------------------------------------------------------


def _with_option(request: PrintRequest, key: str, value: str) -> PrintRequest:
    try:
        return _OPTIONS[key](request, key, value)
    except KeyError:
        raise InvalidJob(f"The option {key}= is not known; there are: {_options()}.", request.path) from None
    except ValueError as error:
        raise InvalidJob(f"{key}={value} is not understood: {error}", request.path) from None


def _options() -> str:
    return " ".join(f"{key}=" for key in _OPTIONS)


def _plate(request: PrintRequest, _key: str, value: str) -> PrintRequest:
    if not re.fullmatch(r"[0-9]{1,3}", value) or not 1 <= int(value) <= _MOST_PLATES:
        raise ValueError("give the number of a plate, from 1 on.")
    return replace(request, plate=int(value))


def _use_ams(request: PrintRequest, _key: str, value: str) -> PrintRequest:
    return replace(request, use_ams=_truth(value))


def _switch(request: PrintRequest, key: str, value: str) -> PrintRequest:
    name = "bed_leveling" if key == "bed_levelling" else key
    return replace(request, switches=replace(request.switches, **{name: _truth(value)}))


def _bed_type(request: PrintRequest, _key: str, value: str) -> PrintRequest:
    if value not in BED_TYPES:
        raise ValueError(f"give one of {', '.join(BED_TYPES)}.")
    return replace(request, bed_type=value)


def _ams_mapping(request: PrintRequest, _key: str, value: str) -> PrintRequest:
    entries = value.strip("[]").split(",")
    if len(entries) > _MOST_FILAMENTS:
        raise ValueError(f"at most {_MOST_FILAMENTS} filaments can be mapped.")
    return replace(request, ams_mapping=tuple(_global_tray(entry.strip()) for entry in entries))


def _truth(value: str) -> bool:
    if value.lower() not in _YES + _NO:
        raise ValueError("give yes or no (or true, false, on, off, 1, 0).")
    return value.lower() in _YES


def _global_tray(entry: str) -> int:
    """A1 -> 0, B2 -> 5, HT1 -> 128, - -> -1; numbers as they are (unit * 4 + slot)."""
    if entry in ("-", "-1", "none"):
        return -1
    if match := re.fullmatch(r"([A-Da-d])([1-4])", entry):
        return (ord(match.group(1).upper()) - ord("A")) * 4 + int(match.group(2)) - 1
    if match := re.fullmatch(r"[Hh][Tt]([1-8])", entry):
        return 127 + int(match.group(1))
    if not re.fullmatch(r"[0-9]{1,3}", entry) or not (int(entry) < 16 or 128 <= int(entry) < 136):
        # 254 and 255, the external spool, end in 0700_8012 (bambuddy).
        raise ValueError(
            "give a tray for each filament, such as A1,B2,- or 0,5,-1 (- or -1: not used; unit * 4 + slot, "
            "both from 0). For the external spool write use_ams=no instead."
        )
    return int(entry)


_OPTIONS: dict[str, Callable[[PrintRequest, str, str], PrintRequest]] = {
    "plate": _plate,
    "use_ams": _use_ams,
    "ams_mapping": _ams_mapping,
    "timelapse": _switch,
    "bed_type": _bed_type,
    "bed_leveling": _switch,
    "flow_cali": _switch,
    "vibration_cali": _switch,
    "layer_inspect": _switch,
    "bed_levelling": _switch,
}
