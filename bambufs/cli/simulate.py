"""`bambufs simulate`: the simulated printer alone."""

from __future__ import annotations

import argparse

from ..errors import UsageError

NEEDS_EXTRA = (
    "the simulated printer needs two more packages. In the folder that bambufs was installed from, run: "
    "pip install '.[demo]' (or just: make demo)"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take over the simulator's own options, where it is installed."""
    try:
        from ..simulator import cli
    except ImportError:
        return
    cli.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Run the simulator until Ctrl-C; returns the exit code."""
    try:
        from ..simulator import cli
    except ModuleNotFoundError as missing:
        raise UsageError(f"{NEEDS_EXTRA} ({missing.name} is missing)") from missing
    return int(cli.run(args))
