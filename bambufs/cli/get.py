"""`bambufs get`: files from a printer, without a mount."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.filesize import decimal

from ..api import FileInfo, Printer
from ..errors import PrinterError, UsageError
from .client import as_json, bar, complain, connected, expanded, tell


def run(args: argparse.Namespace) -> int:
    """Fetch files, and with -r folders; returns the exit code."""
    *wanted, last = args.paths if len(args.paths) > 1 else [*args.paths, "."]
    target = Path(last).expanduser()
    told: list[dict[str, object]] = []
    with connected(args) as printer:
        found = [info for path in wanted for info in expanded(printer, path)]
        if len(found) > 1 and not target.is_dir():
            raise UsageError(f"{last} is no folder of this computer; several files need one")
        for info in found:
            told += _fetch(args, printer, info, target / info.name if target.is_dir() else target)
    tell(args, told)
    return 0


def _fetch(args: argparse.Namespace, printer: Printer, info: FileInfo, place: Path) -> list[dict[str, object]]:
    """Fetch a file or a folder as ``place``."""
    if not info.is_dir:
        return [fetch_file(args, printer, info, place)]
    if not args.recursive:
        raise UsageError(f"{info.path} is a folder; add -r to copy it with all that is in it")
    place.mkdir(exist_ok=True)
    return [one for inner in printer.scandir(info.path) for one in _fetch(args, printer, inner, place / inner.name)]


def fetch_file(args: argparse.Namespace, printer: Printer, info: FileInfo, target: Path) -> dict[str, object]:
    """Fetch one file with a progress bar; what was fetched of it is told when it breaks off."""
    reached = 0
    try:
        with bar(args, info.name, info.size) as show:

            def progress(done: int, size: int) -> None:
                nonlocal reached
                reached = done
                show(done, size)

            place = printer.download(info.path, target, progress=progress, resume=True)
    except (KeyboardInterrupt, PrinterError):
        if reached and printer.can_resume:
            complain(
                f"{info.path}: {decimal(reached)} of {decimal(info.size)} have come and are kept; "
                "the same command goes on from there"
            )
        raise
    return {**as_json(info), "file": str(place)}
