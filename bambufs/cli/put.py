"""`bambufs put`: files to a printer, without a mount."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..api import Printer
from ..errors import UsageError
from ..printer import paths
from .client import as_json, bar, complain, connected, tell


def run(args: argparse.Namespace) -> int:
    """Store files, and with -r folders; returns the exit code."""
    files = [Path(file).expanduser() for file in args.files]
    for file in files:
        _check(file, recursive=args.recursive)
    told: list[dict[str, object]] = []
    with connected(args) as printer:
        if len(files) > 1 and not printer.is_dir(args.target):
            raise UsageError(f"{args.target} is no folder on the printer; several files need one")
        for file in files:
            told += _store(args, printer, file, _place_for(printer, file, args.target))
    tell(args, told)
    return 0


def _check(file: Path, *, recursive: bool) -> None:
    """Refuse what cannot be sent before anything is."""
    if not file.exists():
        raise UsageError(f"there is no file {file} here")
    if file.is_dir() and not recursive:
        raise UsageError(f"{file} is a folder; add -r to copy it with all that is in it")


def _store(args: argparse.Namespace, printer: Printer, file: Path, target: str) -> list[dict[str, object]]:
    """Store ``file`` as ``target``, or in it."""
    if file.is_dir():
        return _store_folder(args, printer, file, target)
    with bar(args, file.name, file.stat().st_size) as progress:
        info = printer.upload(file, target, progress=progress, overwrite=not args.no_clobber)
    _warn_of_root(printer, info.path)
    return [{**as_json(info), "file": str(file)}]


def _store_folder(args: argparse.Namespace, printer: Printer, folder: Path, target: str) -> list[dict[str, object]]:
    """Store what is in ``folder`` in ``target``, which is made unless it is there."""
    printer.mkdir(target, exist_ok=True)
    inside = sorted(inner for inner in folder.iterdir() if not inner.name.startswith("."))
    return [told for inner in inside for told in _store(args, printer, inner, f"{target}/{inner.name}")]


def _place_for(printer: Printer, file: Path, target: str) -> str:
    """What ``file`` becomes: a folder keeps its name in a folder that is there, as with `cp -r`."""
    if file.is_dir() and printer.is_dir(target):
        return f"{target.rstrip('/')}/{file.resolve().name}"
    return target


def _warn_of_root(printer: Printer, path: str) -> None:
    """A P1 or A1 may start a 3MF in its top folder by itself (maziggy/bambuddy#374)."""
    if paths.parent(path) == paths.ROOT and path.lower().endswith(".3mf") and not printer.can_resume:
        complain(
            f"{path}: P1 and A1 printers may start printing a 3MF in the top folder by themselves when switched on; "
            f"better: bambufs mv {printer.host} '{path}' /cache"
        )
