"""Answers of the user, checked before anything is done with them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..config.file import is_good_name
from ..errors import UsageError
from ..printer.discovery import Announcement


def described(printer: Announcement) -> str:
    return f"{printer.name or 'a printer'}: {printer.model_name}, {printer.serial}, at {printer.address}"


def unheard(address: str) -> Announcement:
    return Announcement("", "", address, "", None, "", True)


def check_choice(text: str, count: int) -> None:
    if text.isdecimal() and not 1 <= int(text) <= count:
        raise UsageError(f"there is no number {text}" if count else "that is no address; it looks like 192.168.1.50")
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", text):
        raise UsageError("that is no address; it looks like 192.168.1.50")


def check_name(name: str) -> None:
    if not is_good_name(name):
        raise UsageError(f"{name!r} is no name for a printer; use letters, digits, - and _")


def check_place(text: str) -> None:
    place = Path(text).expanduser().absolute()
    if os.path.ismount(place):
        return
    try:
        above = next(folder for folder in place.parents if folder.exists())
        if not above.is_dir():
            raise UsageError(f"{above} is no folder, so {place.name} cannot be made in it; choose another place", 5)
        if place.exists() and not place.is_dir():
            raise UsageError(f"{place} is no folder; choose an empty or a new one", 5)
        if place.is_dir() and any(place.iterdir()):
            hidden = f"{place} is not empty, and a mount would hide what is in it"
            raise UsageError(f"{hidden}; choose an empty or a new one", 5)
    except OSError as error:
        raise UsageError(f"{place} cannot be used: {(error.strerror or '').lower()}", 5) from error


def is_free(text: str) -> bool:
    try:
        check_place(text)
    except UsageError:
        return False
    return not os.path.ismount(Path(text).expanduser())


def make_folder(place: Path) -> None:
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{place} cannot be made: {(error.strerror or '').lower()}", 5) from error


def short(path: Path) -> str:
    """A path as a person would write it, with ~ for the home folder."""
    home = os.path.expanduser("~")
    is_inside = home != "/" and path.is_relative_to(home) and path != Path(home)
    return f"~/{path.relative_to(home)}" if is_inside else str(path)


def plain(value: object) -> object:
    return short(value) if isinstance(value, Path) else value
