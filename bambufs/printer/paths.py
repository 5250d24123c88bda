"""Absolute paths on the printer's card, and which names the card can store.

A path starts with ``/``, has no ``.`` or ``..`` part and no trailing slash; ``/`` is the card
itself. Names may carry bytes that are not UTF-8, as surrogate escapes, so that whatever a listing
shows can also be opened, renamed and deleted. Pure functions; nothing here does I/O.
"""

from __future__ import annotations

from ..errors import InvalidName, NameTooLong

ROOT = "/"

# FAT32 and exFAT store no such names; a printer answers 553 (maziggy/bambuddy#1540, an H2C).
_FORBIDDEN = frozenset('<>:"\\|?*') | {chr(code) for code in range(32)} | {"\x7f"}
_MAX_UTF16_UNITS = 255
_NEVER_SENT = frozenset("\r\n\0")


def join(folder: str, name: str) -> str:
    """The path of ``name`` inside ``folder``."""
    return f"/{name}" if folder == ROOT else f"{folder}/{name}"


def split(path: str) -> tuple[str, str]:
    """The folder that holds ``path``, and its name there; ``("/", "")`` for the root."""
    folder, _, name = path.rpartition("/")
    return folder or ROOT, name


def parent(path: str) -> str:
    """The folder that holds ``path``."""
    return split(path)[0]


def is_below(path: str, folder: str) -> bool:
    """Whether ``path`` lies somewhere inside ``folder`` (a path is not below itself)."""
    return path != folder and path.startswith(folder if folder == ROOT else folder + "/")


def moved(path: str, old: str, new: str) -> str:
    """Where ``path`` is after its ancestor (or itself) ``old`` was renamed to ``new``."""
    return new + path[len(old) :]


def parts(path: str) -> list[str]:
    """The names that lead from the root to ``path``."""
    return [name for name in path.split("/") if name]


def folded(name: str) -> str:
    """``name`` as a FAT card compares it: upper case, letter by letter (``ß`` and ``ss`` stay apart)."""
    if name.isascii():
        return name.upper()
    return "".join(upper if len(upper := letter.upper()) == 1 else letter for letter in name)


def is_dot_path(path: str) -> bool:
    """Whether a name on the way to ``path`` begins with a dot: such paths never reach the printer."""
    return "/." in path


def check_sendable(path: str) -> str:
    """``path`` itself, or `InvalidName` when it would break out of its line on the control connection."""
    if _NEVER_SENT.intersection(path):
        raise InvalidName("a name with a line break in it cannot be sent to the printer; rename it", ascii(path))
    return path


def fits(path: str, longest_path: int | None) -> bool:
    """Whether a printer that takes paths of ``longest_path`` bytes (None: of any length) takes ``path``."""
    return longest_path is None or len(path.encode("utf-8", "surrogateescape")) <= longest_path


def check_storable(path: str, *, longest_path: int | None = None) -> None:
    """Refuse a new name that the card's file system could not store.

    ``longest_path`` is the printer's limit for a whole path in bytes, if it has one.

    Raises `InvalidName` (EINVAL) or `NameTooLong` (ENAMETOOLONG).
    """
    name = split(path)[1]
    if len(name.encode("utf-16-le", "surrogatepass")) > 2 * _MAX_UTF16_UNITS:
        raise NameTooLong("the card stores names of at most 255 characters; use a shorter one", path)
    if not fits(path, longest_path):
        raise NameTooLong(f"this printer takes paths of at most {longest_path} bytes; use a shorter name", path)
    bad = sorted(_FORBIDDEN.intersection(name))
    if bad:
        shown = " ".join(ascii(character)[1:-1] for character in bad)
        raise InvalidName(f"the card cannot store these characters in a name: {shown}", path)
    if name.endswith((" ", ".")):
        raise InvalidName("the card cannot store a name that ends in a blank or a dot", path)
