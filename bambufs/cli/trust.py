"""`bambufs trust`."""

from __future__ import annotations

import argparse
import os

from ..config import default_cache_dir
from ..errors import UsageError
from .build import trust_store


def run(args: argparse.Namespace) -> int:
    """Forget a printer's certificate; returns the exit code."""
    store = trust_store(args.cache_dir or default_cache_dir(os.environ))
    matching = [key for key in store.known() if args.printer in (key, key.rpartition(":")[0])]
    if not matching:
        known = ", ".join(store.known()) or "none"
        raise UsageError(f"no certificate is remembered for {args.printer}; there are: {known}")
    for key in matching:
        store.forget(key)
    print(f"The certificate of {args.printer} is forgotten; the one shown at the next mount will be remembered.")
    return 0
