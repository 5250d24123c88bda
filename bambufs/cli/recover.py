"""`bambufs recover`: what has not reached a printer, and what shall become of it."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from ..config import Config
from ..config.file import read_files
from ..config.resolve import Resolved, resolve
from ..errors import UsageError
from ..printer.doors import open_card
from ..vfs.filesystem import FileSystem
from ..vfs.recovery import Kept, Recovery
from ..vfs.settings import Settings
from ..vfs.writeback import Remaining
from .build import claim
from .client import say, tell
from .connection import given, log_quietly

_NOTHING = "Nothing is kept: everything has reached the printer."
_MOUNTED = "unmount that one first. While it is mounted, .bambufs/transfers tells what has not been sent"
_HALF = "may be half a file, and is not sent; look at it (--export DIR) and copy it yourself"


def run(args: argparse.Namespace) -> int:
    """List, retry, export or discard; returns the exit code."""
    chosen = resolve(args.printer, given(args), os.environ, read_files(os.environ))
    config = chosen.config_with("-")
    folder = config.printer_dir
    if args.cache_dir is not None and not config.cache_dir.is_dir():
        raise UsageError(f"{config.cache_dir} is not a directory that is there; --cache-dir is that of the mount")
    if not folder.is_dir():
        say(args, f"Nothing is kept: there is no folder {folder}.")
        tell(args, [])
        return 0
    os.umask(0o077)
    claim(folder, _MOUNTED)
    recovery = Recovery(folder)
    kept = recovery.kept()
    numbered = list(enumerate(kept, 1))
    wanted = _wanted(args, numbered)
    if args.export is not None:
        return _export(args, recovery, wanted)
    if args.discard:
        return _discard(args, recovery, wanted)
    if args.send:
        return _retry(args, recovery, wanted, chosen)
    return _list(args, numbered)


def _wanted(args: argparse.Namespace, numbered: Sequence[tuple[int, Kept]]) -> list[Kept]:
    """The files that the arguments name by number or path; all of them when they name none."""
    if not args.which:
        return [kept for _, kept in numbered]
    found: list[Kept] = []
    for word in args.which:
        matching = [kept for number, kept in numbered if word in (str(number), kept.record.path)]
        if not matching:
            raise UsageError(f"nothing is kept under {word}; bambufs recover {args.printer} lists what is")
        found += [kept for kept in matching if kept not in found]
    return found


# --- what can be done -----------------------------------------------------------------------------


def _list(args: argparse.Namespace, numbered: Sequence[tuple[int, Kept]]) -> int:
    tell(args, [_as_json(number, kept) for number, kept in numbered])
    if args.json:
        return 0
    if not numbered:
        print(_NOTHING)
        return 0
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in ("", "FILE", "SIZE", "FROM", "WHY"):
        table.add_column(heading, overflow="fold")
    for number, kept in numbered:
        record = kept.record
        date = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M")
        table.add_row(str(number), Text(_printable(record.path)), decimal(record.size), date, Text(_why(kept)))
    console = Console()
    console.print(table)
    console.print(
        f"\nSend them: bambufs recover {args.printer} --retry      Copy them: --export FOLDER      "
        "Delete some: --discard NUMBER",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    return 0


def _why(kept: Kept) -> str:
    if kept.is_owed:
        tried = f" ({kept.record.reason})" if kept.record.reason else ""
        return f"the next mount sends it{tried}"
    return kept.record.reason


def _as_json(number: int, kept: Kept) -> dict[str, object]:
    record = kept.record
    return {
        "number": number,
        "path": record.path,
        "size": record.size,
        "from": datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds"),
        "state": "waiting" if kept.is_owed else "lost",
        "whole": record.whole,
        "reason": record.reason,
        "file": str(kept.file),
    }


def _export(args: argparse.Namespace, recovery: Recovery, wanted: Sequence[Kept]) -> int:
    told = []
    for kept in wanted:
        place = recovery.export(kept, args.export.expanduser().absolute())
        say(args, f"{kept.record.path} -> {place}{'' if kept.record.whole else '  (may be half a file)'}")
        told.append({"path": kept.record.path, "file": str(place)})
    if not wanted:
        say(args, _NOTHING)
    tell(args, told)
    return 0


def _discard(args: argparse.Namespace, recovery: Recovery, wanted: Sequence[Kept]) -> int:
    if not args.which and not args.all:
        raise UsageError(
            "--discard deletes for good what the printer does not have: say which (--discard 1 3), or --discard --all"
        )
    for kept in wanted:
        recovery.discard(kept)
        say(args, f"deleted: {kept.record.path} ({decimal(kept.record.size)})")
    if not wanted:
        say(args, _NOTHING)
    tell(args, [{"path": kept.record.path} for kept in wanted])
    return 0


def _retry(args: argparse.Namespace, recovery: Recovery, wanted: Sequence[Kept], chosen: Resolved) -> int:
    """Send the wanted ones, and what a mount would send anyway. The exit code is 1 when something is still here."""
    config = chosen.config
    log_quietly(args, config)
    if not args.verbose:
        logging.getLogger("bambufs.vfs").setLevel(logging.CRITICAL)  # all that it would tell is in what is printed
    names = {kept.record.id: kept.record.path for kept in wanted if kept.record.whole}
    halves = [kept for kept in wanted if not kept.record.whole]
    if names:
        _send(args, config, recovery, wanted)
    after = {kept.record.id: kept for kept in Recovery(config.printer_dir).kept()}
    told = []
    for number, path in names.items():
        left = after.get(number)
        say(args, f"{path}: {'sent' if left is None else f'not sent: {left.record.reason}'}")
        told.append({"path": path, "sent": left is None, "reason": left.record.reason if left else ""})
    for kept in halves:
        say(args, f"{kept.record.path}: {_HALF}")
        told.append({"path": kept.record.path, "sent": False, "reason": _HALF})
    if not wanted:
        say(args, _NOTHING)
    tell(args, told)
    return 0 if all(one["sent"] for one in told) else 1


def _send(args: argparse.Namespace, config: Config, recovery: Recovery, wanted: Sequence[Kept]) -> None:
    """Send the wanted ones like a mount that ends. Raises why the printer does not let us in, before all else."""
    card = open_card(config)
    try:
        card.connect()
    except BaseException:
        card.close()
        raise
    for kept in wanted:
        if kept.record.whole and not kept.is_owed:
            recovery.send_again(kept)
    filesystem = FileSystem(card, Settings(cache_folder=config.printer_dir, looks_ahead=False))
    said: list[str] = []

    def show(remaining: Remaining) -> None:
        sentence = f"{remaining} still to be sent ..."
        if sentence not in said[-1:] and not args.json:
            said.append(sentence)
            print(sentence, flush=True)

    filesystem.close(show)
    for line in filesystem.transfers().splitlines():
        if line.startswith("copied"):
            say(args, line)


def _printable(path: str) -> str:
    return path.encode("utf-8", "backslashreplace").decode()
