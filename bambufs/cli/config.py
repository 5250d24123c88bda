"""`bambufs config`: what the configuration files say, what is in force, and whether it makes sense."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..config.example import example
from ..config.file import ConfigFile, config_files, read_files
from ..config.resolve import Resolved, find_printer, resolve
from ..config.settings import CODE_KEYS, SETTINGS, SIZE, UMASK
from ..errors import UsageError


def run_example(args: argparse.Namespace) -> int:
    """Print a configuration file with every setting."""
    print(example(), end="")
    return 0


def run_show(args: argparse.Namespace) -> int:
    """Print what is in force for a printer, or for every one that is configured; never an access code."""
    files = read_files(os.environ)
    shown = [resolve(printer, {}, os.environ, files) for printer in _wanted(args.printer, files)]
    if args.json:
        print(json.dumps([_as_json(printer) for printer in shown], indent=1, ensure_ascii=False))
        return 0
    print("\n\n".join(_as_text(printer) for printer in shown))
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Print what is wrong in the configuration files; returns 0 when nothing is, else 2."""
    verdicts = list(_verdicts(args.printer))
    if args.json:
        told = [{"what": verdict.what, "ok": not verdict.trouble, "trouble": verdict.trouble} for verdict in verdicts]
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        for verdict in verdicts:
            print(f"✗ {verdict.trouble}" if verdict.trouble else f"✓ {verdict.what}")
    return 2 if any(verdict.trouble for verdict in verdicts) else 0


def _wanted(printer: str | None, files: list[ConfigFile]) -> list[str]:
    names = list(dict.fromkeys(name for file in files for name in file.printers))
    if printer is not None:
        return [printer]
    if not names:
        raise UsageError(f"no printer is configured in {_places()}; run: bambufs setup")
    return names


def _places() -> str:
    return " or ".join(str(path) for path in config_files(os.environ))


# --- showing ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    key: str
    value: object
    origin: str


def _rows(printer: Resolved) -> Iterator[_Row]:
    for key in SETTINGS:
        if key in printer.chosen:
            chosen = printer.chosen[key]
            yield _Row(key, _plain(key, chosen.value), chosen.origin)
        elif key == CODE_KEYS[0]:
            yield _code_row(printer)


def _code_row(printer: Resolved) -> _Row:
    try:
        return _Row("access_code", "set (not shown)", printer.access_code[1])
    except UsageError as error:
        return _Row("access_code", None, error.message)


def _plain(key: str, value: object) -> object:
    """A value as config.toml would hold it."""
    kind = SETTINGS[key].kind
    if value is None:
        return None
    if kind is UMASK and isinstance(value, int):
        return f"{value:03o}"
    if kind is SIZE and isinstance(value, int):
        return _size(value)
    if key == "fuse":
        return str(value).removeprefix("fuse")
    return str(value) if isinstance(value, Path) else value


def _size(value: int) -> str:
    for unit, letter in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value and value % unit == 0:
            return f"{value // unit}{letter}"
    return str(value)


def _as_json(printer: Resolved) -> dict[str, object]:
    settings = {row.key: {"value": row.value, "origin": row.origin} for row in _rows(printer)}
    return {"name": printer.name, "settings": settings}


def _as_text(printer: Resolved) -> str:
    rows = [(row.key, _word(row.value), row.origin) for row in _rows(printer)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    title = printer.name or f"{printer.chosen['address'].value} (not in a configuration file)"
    return "\n".join([title, *(f"  {key:{widths[0]}}  {value:{widths[1]}}  {origin}" for key, value, origin in rows)])


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "-" if value in (None, "") else str(value)


# --- checking ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Verdict:
    """What was looked at, and what is wrong with it, if anything."""

    what: str
    trouble: str = ""


def _verdicts(printer: str | None) -> Iterator[_Verdict]:
    files: list[ConfigFile] = []
    for path in config_files(os.environ):
        try:
            file = ConfigFile.read(path)
        except UsageError as error:
            yield _Verdict(str(path), error.message)
            return
        if file is not None:
            files.append(file)
            yield _Verdict(f"{path} is in good form")
    if not files:
        yield _Verdict(_places(), f"there is no configuration file ({_places()}); run: bambufs setup")
        return
    troubles = [trouble.message for file in files for table in file.tables() for trouble in table.troubles()]
    yield from (_Verdict("", trouble) for trouble in troubles)
    if not troubles:
        yield from _printer_verdicts(printer, files)


def _printer_verdicts(printer: str | None, files: list[ConfigFile]) -> Iterator[_Verdict]:
    if printer is not None and find_printer(printer, files)[0] is None:
        known = ", ".join(_wanted(None, files))
        yield _Verdict(printer, f"{printer} is not in a configuration file; there are: {known}")
        return
    for name in _wanted(printer, files):
        yield _verdict_on(name, files)


def _verdict_on(name: str, files: list[ConfigFile]) -> _Verdict:
    try:
        found = resolve(name, {}, os.environ, files)
        config, place = found.config, found.mount.mountpoint
    except UsageError as error:
        return _Verdict(name, f"{name}: {error.message}")
    if place is not None and not os.path.lexists(place):
        return _Verdict(name, f"{name}: its folder {place} does not exist; run: mkdir -p {place}")
    where = f", to be mounted on {place}" if place is not None else ""
    return _Verdict(f"{name}: {config.host}{where}; the access code comes from {found.access_code[1]}")

