"""Puts the objects together: the only place that knows all of them."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from ..config import Config
from ..errors import UsageError
from ..mount.leaving import last_words
from ..printer.doors import certificate_check, open_card, open_link
from ..printer.health import DoorHealth
from ..printer.session import Timeouts
from ..vfs.control import ControlFolder
from ..vfs.dropfolder import DropFolder
from ..vfs.filesystem import FileSystem
from ..vfs.printing import PrintDesk
from ..vfs.root import Root
from ..vfs.settings import Settings
from ..vfs.shelf import Shelf
from .controls import control_files


def open_filesystem(
    config: Config,
    timeouts: Timeouts | None = None,
    *,
    list_control: bool = False,
    mountpoints: Sequence[str] = (),
) -> Root:
    """All that the mount shows, with the printer's folder on this computer locked for it alone.

    ``mountpoints`` are the names of the folder that it is mounted on.

    Raises `UsageError` when another mount of the same printer uses that folder.
    """
    claim(config.printer_dir)
    settings = Settings(
        cache_folder=config.printer_dir,
        ttl=config.ttl,
        card_size=config.card_size,
        cache_size=config.cache_size,
        spool_size=config.spool_size,
        max_entries=config.listing_entries,
        read_only=config.read_only,
        write_back=config.write_back,
        looks_ahead=not config.careful,
    )
    check, ftps = certificate_check(config), DoorHealth()
    filesystem = FileSystem(open_card(config, timeouts, check=check, health=ftps), settings)
    link = open_link(config, check)
    desk = PrintDesk(Shelf(filesystem), link, mountpoints=mountpoints, url_template=config.url_template)
    link.on_change(desk.follow)
    files = control_files(filesystem, config, desk, link, ftps, _emptied(config.printer_dir / "print"))
    control = ControlFolder(files, is_listed=list_control, read_only=config.read_only)
    return Root(filesystem, control, drop=_drop_folder(config, desk), service=link)


def _drop_folder(config: Config, desk: PrintDesk) -> DropFolder | None:
    if not config.drop_folder or config.read_only:
        return None
    return DropFolder(config.drop_folder, config.printer_dir / "drop", desk)


def _emptied(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for file in folder.iterdir():
        file.unlink()
    return folder


_OTHERWISE = "unmount that one first, or give this one a folder of its own with --cache-dir"


def _in_use(folder: Path, otherwise: str) -> str:
    left = last_words(folder)
    if left:
        return f"the last mount of this printer has not ended yet: {left}. Try again when it is done"
    return f"this printer is mounted already by another bambufs that uses {folder}; {otherwise}"


_claims: dict[Path, int] = {}


def claim(folder: Path, otherwise: str = _OTHERWISE) -> None:
    """Lock a printer's ``folder`` on this computer for as long as this process lives.

    Raises `UsageError`, with what to do ``otherwise``, when another process has it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"the cache folder {folder} cannot be used: {(error.strerror or '').lower()}") from error
    previous = _claims.pop(folder, None)
    if previous is not None:
        os.close(previous)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UsageError(_in_use(folder, otherwise)) from None
    _claims[folder] = lock
