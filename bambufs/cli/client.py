"""What the commands for everyday jobs have in common."""

from __future__ import annotations

import argparse
import fnmatch
import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console
from rich.filesize import decimal

from ..api import FileInfo, Printer
from ..errors import UsageError, os_error
from ..printer import paths
from .connection import connection_config, log_quietly
from .progress import shown_on

_AGES = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1), "y": timedelta(days=365)}


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[Printer]:
    """The printer that ``args`` name."""
    config = connection_config(args)
    log_quietly(args, config)
    with Printer.from_config(config) as printer:
        yield printer


@contextmanager
def bar(args: argparse.Namespace, what: str, size: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal, on standard error with ``--json``; gives a `Progress`."""
    with shown_on(Console(stderr=args.json))(what, size) as progress:
        yield lambda done, _size: progress(done)


def expanded(printer: Printer, path: str) -> list[FileInfo]:
    """What is at ``path``, or all that fits it as a pattern. Raises `FileNotFoundError` when that is nothing."""
    folder, name = paths.split("/" + "/".join(paths.parts(path)))
    if not re.search(r"[*?\[]", name) or printer.exists(path):
        return [printer.stat(path)]
    found = [info for info in printer.scandir(folder) if fnmatch.fnmatchcase(info.name, name)]
    if not found:
        raise os_error(2, path)
    return found


def say(args: argparse.Namespace, text: str) -> None:
    """A line for a person, unless JSON was asked for."""
    if not args.json:
        print(text.encode("utf-8", "backslashreplace").decode())


def tell(args: argparse.Namespace, told: object) -> None:
    """The outcome as JSON, if that was asked for."""
    if args.json:
        print(json.dumps(told, indent=1, ensure_ascii=False).encode("utf-8", "backslashreplace").decode())


def complain(text: str) -> None:
    """A line on standard error."""
    sys.stderr.write(f"bambufs: {text}\n")


def as_json(info: FileInfo) -> dict[str, object]:
    """What a listing tells of one file or folder."""
    kind = "folder" if info.is_dir else "file"
    return {"path": info.path, "type": kind, "size": info.size, "modified": info.modified.isoformat()}


def shown(info: FileInfo) -> str:
    """One file or folder as a line."""
    when = info.modified.astimezone().strftime("%Y-%m-%d %H:%M")
    size = "-" if info.is_dir else decimal(info.size)
    return f"{size:>10}  {when}  {info.name}{'/' if info.is_dir else ''}"


def moment(text: str, option: str, now: float | None = None) -> float:
    """A date (``2025-06-15``, with a time if need be), or an age (``7d``), in seconds since the epoch."""
    now = time.time() if now is None else now
    if match := re.fullmatch(r"(\d{1,6})([hdwy])", text):
        return now - int(match[1]) * _AGES[match[2]].total_seconds()
    try:
        return datetime.fromisoformat(text).astimezone().timestamp()
    except ValueError:
        raise UsageError(
            f"{option} {text}: write a date as 2025-06-15, or an age in hours, days, weeks or years: 12h, 30d, 4w, 1y"
        ) from None
