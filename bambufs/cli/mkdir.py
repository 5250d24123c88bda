"""`bambufs mkdir`: make folders on a printer, without a mount."""

from __future__ import annotations

import argparse

from .client import as_json, connected, tell


def run(args: argparse.Namespace) -> int:
    """Make folders; returns the exit code."""
    with connected(args) as printer:
        for path in args.paths:
            printer.mkdir(path, parents=args.parents, exist_ok=args.parents)
        tell(args, [as_json(printer.stat(path)) for path in args.paths if args.json])
    return 0
