"""What the commands that speak to a printer have in common."""

from __future__ import annotations

import argparse
import logging
import os
from pathlib import Path

from .. import log
from ..config import Config
from ..config.file import Chosen, read_files
from ..config.resolve import Resolved, resolve
from ..config.settings import SETTINGS
from ..errors import UsageError
from .options import parse_options


def resolved(args: argparse.Namespace) -> Resolved:
    """What is in force for the printer that ``args`` name, from arguments, environment and files, and who said so.

    Raises `UsageError`; asking it for its config does so when there is no access code.
    """
    return resolve(args.printer, given(args), os.environ, read_files(os.environ))


def connection_config(args: argparse.Namespace) -> Config:
    """What is in force for the printer that ``args`` name, with its folder made. Raises `UsageError`."""
    config = resolved(args).config
    make_folder(config)
    return config


def make_folder(config: Config) -> None:
    """Make the printer's folder on this computer, for its owner alone. Raises `UsageError`."""
    try:
        config.printer_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        why = (error.strerror or "").lower()
        message = f"the cache folder {config.printer_dir} cannot be used: {why}; choose another with --cache-dir"
        raise UsageError(message) from error


def given(args: argparse.Namespace) -> dict[str, Chosen]:
    """What the command line says, by the key of each setting; an option comes before its like behind `-o`."""
    said = {
        key: Chosen(value.absolute() if isinstance(value, Path) else value, SETTINGS[key].option or "the command line")
        for key, value in vars(args).items()
        if key in SETTINGS and value is not None
    }
    return {**parse_options(getattr(args, "options", [])), **said}


def log_quietly(args: argparse.Namespace, config: Config) -> None:
    """Log to the terminal only what nobody else tells the user, unless more was asked for."""
    log.set_up(verbosity=args.verbose, file=args.log_file, faults=config.cache_dir / "faults.log")
    if not args.verbose and args.log_file is None:
        logging.getLogger("bambufs").setLevel(logging.ERROR)
        logging.getLogger("bambufs.printer.trust").setLevel(logging.WARNING)
