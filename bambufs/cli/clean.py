"""`bambufs clean`: delete old videos or print files on a printer."""

from __future__ import annotations

import argparse

from rich.filesize import decimal

from ..api import FileInfo, Printer
from ..errors import PrinterBusy, PrinterError, UsageError
from ..vfs.printing import FOLDER as CACHE
from .client import as_json, connected, moment, say, shown, tell
from .timelapse import finished, picture_of, taken_at

_PRINT_FILES = (".3mf", ".gcode")


def run(args: argparse.Namespace) -> int:
    """Delete what may go; returns the exit code."""
    if args.older_than is None and args.keep is None:
        raise UsageError("say what may go: --older-than 30d, or --keep 10, or both (try it with --dry-run)")
    if args.keep is not None and args.keep < 0:
        raise UsageError("--keep takes a number of files, from 0 on")
    before = moment(args.older_than, "--older-than") if args.older_than else float("inf")
    with connected(args) as printer:
        found = _print_files(printer) if args.cache else finished(printer)
        going = [info for info in _but_newest(found, args.keep or 0) if _age(info, cache=args.cache) < before]
        for info in going:
            if not args.dry_run:
                _delete(printer, info, is_video=not args.cache)
            say(args, shown(info))
    say(args, _sentence(going, len(found), dry_run=args.dry_run))
    tell(args, [as_json(info) for info in going])
    return 0


def _age(info: FileInfo, *, cache: bool) -> float:
    return float(info.mtime) if cache else taken_at(info)


def _but_newest(found: list[FileInfo], keep: int) -> list[FileInfo]:
    """``found``, which goes from old to new, without its last ``keep``."""
    return found[: max(0, len(found) - keep)]


def _print_files(printer: Printer) -> list[FileInfo]:
    """The print files in /cache, from old to new, without the one that is being printed.

    Raises `PrinterError` when the printer cannot be asked what it prints.
    """
    try:
        state = printer.status()
    except PrinterError as error:
        raise type(error)(f"{error.message} Without knowing what it prints nothing is deleted.") from error
    if state.is_active and not (state.gcode_file or state.subtask_name):
        raise PrinterBusy("the printer is at work and does not tell on what; clean it when it is done")
    printing = {state.gcode_file.rpartition("/")[2], state.subtask_name} if state.is_active else set()
    try:
        entries = printer.scandir(CACHE)
    except FileNotFoundError:
        return []
    files = [info for info in entries if not info.is_dir and info.name.lower().endswith(_PRINT_FILES)]
    return sorted((info for info in files if not _is_one_of(info, printing)), key=lambda info: info.mtime)


def _is_one_of(info: FileInfo, printing: set[str]) -> bool:
    """Whether it is the running job's, which goes by its file's name or by that without what follows the first dots."""
    stem = info.name.lower().removesuffix(".3mf").removesuffix(".gcode")
    return any(name and name.lower() in (info.name.lower(), stem) for name in printing)


def _delete(printer: Printer, info: FileInfo, *, is_video: bool) -> None:
    pictures = picture_of(printer, info) if is_video else []
    printer.remove(info.path)
    for picture in pictures:
        printer.remove(picture)


def _sentence(going: list[FileInfo], found: int, *, dry_run: bool) -> str:
    if not going:
        return f"Nothing to delete ({found} looked at)."
    size = decimal(sum(info.size for info in going))
    many = f"{len(going)} of {found} files, {size}"
    return f"Would delete {many}." if dry_run else f"Deleted {many}."
