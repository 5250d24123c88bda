"""`bambufs mv`: rename and move on a printer, without a mount."""

from __future__ import annotations

import argparse

from ..errors import UsageError
from .client import connected, expanded, tell


def run(args: argparse.Namespace) -> int:
    """Rename or move; returns the exit code."""
    told = []
    with connected(args) as printer:
        found = [info for path in args.paths for info in expanded(printer, path)]
        into = printer.is_dir(args.target)
        if not into and (len(found) > 1 or args.target.endswith("/")):
            raise UsageError(f"{args.target} is no folder on the printer; make it first: bambufs mkdir")
        for info in found:
            new = f"{args.target.rstrip('/')}/{info.name}" if into and info.path != args.target else args.target
            printer.rename(info.path, new, overwrite=not args.no_clobber)
            told.append({"from": info.path, "to": "/" + new.lstrip("/")})
    tell(args, told)
    return 0
