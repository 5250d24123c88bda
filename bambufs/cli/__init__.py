"""What a person types; the only place that builds the objects."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code. Errors are one sentence on standard error, whatever happens."""
    try:  # the imports take a third of a second, in which somebody may press Ctrl-C
        from .explain import explained, in_one_line
        from .parser import make_parser
    except KeyboardInterrupt:
        return 130
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):  # a terminal that has no ticks shows question marks
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        given = sys.argv[1:] if arguments is None else arguments
        args = make_parser(with_simulator="simulate" in given).parse_args(given)
        return int(args.run(args))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        told = explained(error)
        if sys.stderr is not None:  # as after 2>&-
            sys.stderr.write(f"bambufs: {in_one_line(told.message)}\n")
        return told.exit_code
