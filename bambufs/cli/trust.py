"""`bambufs trust`."""

from __future__ import annotations

import argparse
import os

from ..config import default_cache_dir
from ..config.file import read_files
from ..config.resolve import resolve
from ..errors import UsageError
from ..printer.doors import trust_store
from .connection import given


def run(args: argparse.Namespace) -> int:
    """Forget a printer's certificate; returns the exit code."""
    chosen = resolve(args.printer, given(args), os.environ, read_files(os.environ))
    store = trust_store(chosen.chosen["cache_dir"].value or default_cache_dir(os.environ))
    wanted = {args.printer} if chosen.name is None else {args.printer, chosen.config_with("-").trust_key}
    matching = [key for key in store.known() if wanted & {key, key.rpartition(":")[0]}]
    if not matching:
        known = ", ".join(store.known()) or "none"
        raise UsageError(f"no certificate is remembered for {args.printer}; there are: {known}")
    for key in matching:
        store.forget(key)
    print(f"The certificate of {args.printer} is forgotten; the one shown at the next mount will be remembered.")
    return 0
