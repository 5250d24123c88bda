"""`bambufs ls`: what is on a printer, without a mount."""

from __future__ import annotations

import argparse

from ..api import FileInfo, Printer
from .client import as_json, connected, expanded, say, shown, tell


def run(args: argparse.Namespace) -> int:
    """List folders and files; returns the exit code."""
    told: list[dict[str, object]] = []
    with connected(args) as printer:
        groups = [(info, _inside(printer, info)) for path in args.paths for info in expanded(printer, path)]
    for info, entries in groups:
        if info.is_dir and len(groups) > 1:
            say(args, f"{info.path}:")
        for entry in entries:
            say(args, shown(entry))
        told += map(as_json, entries)
    tell(args, told)
    return 0


def _inside(printer: Printer, info: FileInfo) -> list[FileInfo]:
    return printer.scandir(info.path) if info.is_dir else [info]
