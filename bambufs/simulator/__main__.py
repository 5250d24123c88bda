"""``python -m bambufs.simulator``: the simulator alone."""

from __future__ import annotations

import argparse
import sys

from bambufs.simulator.cli import add_arguments, run


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="bambufs simulate", description="A Bambu Lab printer in software.")
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
