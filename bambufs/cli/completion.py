"""`bambufs completion`: what a shell needs to complete the command line."""

from __future__ import annotations

import argparse

from ..errors import UsageError


def run(args: argparse.Namespace) -> int:
    """Print it; returns the exit code."""
    print(completion(args.shell), end="")
    return 0


def completion(shell: str) -> str:
    """The completion for ``shell``: bash, zsh or fish. Raises `UsageError` without the library that knows them."""
    from .parser import make_parser

    try:
        import shtab
    except ModuleNotFoundError as missing:
        raise UsageError("completion needs a package that is missing: pip install 'bambufs[completion]'") from missing
    if shell not in shtab.SUPPORTED_SHELLS:
        raise UsageError(f"completion for {shell} needs a newer package: pip install --upgrade 'bambufs[completion]'")
    return str(shtab.complete(make_parser(), shell=shell)).rstrip() + "\n"
