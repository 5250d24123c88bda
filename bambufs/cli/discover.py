"""`bambufs discover`: the printers in this network."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..config import default_cache_dir
from ..config.file import ConfigFile, read_files
from ..config.resolve import find_printer
from ..errors import UsageError
from ..printer.discovery import Announcement, listen
from ..printer.doors import trust_store

NOTHING_HEARD = (
    "no printer announced itself in {seconds:g} seconds. Is it switched on, and in the same network as this computer "
    "(guest networks are often kept apart)? A firewall on this computer must let UDP port {port} in. You can always "
    "take the address from the printer's screen (Settings, Network)"
)
_EXIT_NOBODY = 4
_ROW = "{:24} {:8} {:16} {:15} {:8} {}"


def run(args: argparse.Namespace) -> int:
    """Show each printer as soon as it is heard; returns the exit code."""
    acquainted = acquaintance(read_files(os.environ))
    found: dict[str, Announcement] = {}
    for printer in listen(args.timeout, port=args.port):
        found[printer.serial] = printer
        if not args.json:
            _show(printer, acquainted(printer), is_first=len(found) == 1)
    if args.json:
        told = [{**_as_json(printer), **acquainted(printer)._asdict()} for printer in found.values()]
        print(json.dumps(told, indent=1, ensure_ascii=False))
    if not found:
        raise UsageError(NOTHING_HEARD.format(seconds=args.timeout, port=args.port), _EXIT_NOBODY)
    return 0


class Known(NamedTuple):
    """How bambufs knows a printer: by the name it has in a file, and by its certificate."""

    known_as: str | None
    certificate_remembered: bool


def acquaintance(files: Sequence[ConfigFile]) -> Callable[[Announcement], Known]:
    """What tells whether bambufs knows a printer."""
    trusted = trust_store(default_cache_dir(os.environ)).known()

    def known(printer: Announcement) -> Known:
        names = [find_printer(word, files)[0] for word in (printer.serial, printer.address)]
        hosts = {printer.serial, printer.address}
        remembered = any({key, key.rpartition(":")[0]} & hosts for key in trusted)
        return Known(next((name for name in names if name is not None), None), remembered)

    return known


def _show(printer: Announcement, known: Known, *, is_first: bool) -> None:
    if is_first:
        print(_ROW.format("NAME", "MODEL", "SERIAL", "ADDRESS", "SIGNAL", "KNOWN AS"))
    signal = f"{printer.signal} dBm" if printer.signal is not None else "-"
    by_what = known.known_as or ("its certificate" if known.certificate_remembered else "- (bambufs setup)")
    row = _ROW.format(printer.name or "-", printer.model_name, printer.serial, printer.address, signal, by_what)
    print(row, flush=True)


def _as_json(printer: Announcement) -> dict[str, object]:
    return {**dataclasses.asdict(printer), "model": printer.model_name}
