"""What the commands that speak to a printer for a moment have in common."""

from __future__ import annotations

import argparse
import logging

from .. import log
from ..config import Config
from .mount import make_config
from .options import parse_options


def connection_config(args: argparse.Namespace) -> Config:
    """What is in force, from arguments, options and environment; raises `UsageError`."""
    return make_config(args, parse_options(args.options))


def log_quietly(args: argparse.Namespace, config: Config) -> None:
    """Log to the terminal only what nobody else tells the user, unless more was asked for."""
    log.set_up(verbosity=args.verbose, file=args.log_file, secrets=(config.access_code,))
    if not args.verbose and args.log_file is None:
        logging.getLogger("bambufs").setLevel(logging.ERROR)
        logging.getLogger("bambufs.printer.trust").setLevel(logging.WARNING)
