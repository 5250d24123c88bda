"""`bambufs rm`: delete files on a printer, without a mount."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from .client import as_json, connected, expanded, tell


def run(args: argparse.Namespace) -> int:
    """Delete files, and with -r folders; returns the exit code. Nothing is deleted when one is not there."""
    with connected(args) as printer:
        found = []
        for path in args.paths:
            try:
                found += expanded(printer, path)
            except FileNotFoundError:
                if not args.force:
                    raise
        for info in found:
            if info.is_dir and not args.recursive:
                raise UsageError(f"{info.path} is a folder; add -r to delete it with all that is in it")
        for info in found:
            if info.is_dir:
                printer.rmtree(info.path)
            else:
                printer.remove(info.path)
    tell(args, [as_json(info) for info in found])
    return 0
