"""Writes a printer into config.toml, and leaves everything else there as it is, comments included."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ..errors import UsageError
from .example import HEAD
from .file import ConfigFile


def write_printer(path: Path, name: str, values: Mapping[str, object]) -> None:
    """Set ``values`` in [printer.NAME] of the file at ``path``; None takes a key out. The file is yours alone after.

    It is replaced in one step, so nobody ever sees half of it; a link is followed. Raises `UsageError`.
    """
    target = Path(os.path.realpath(path))
    try:
        before = target.read_text(encoding="utf-8") if target.exists() else HEAD
        text = _with_printer(before, name, values)
        ConfigFile.parse(path, text)
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _replace(target, text)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {(error.strerror or '').lower()}") from error
    except (TOMLKitError, ValueError) as error:
        raise UsageError(f"{path} cannot be changed by bambufs; add the printer to it by hand ({error})") from error


def _with_printer(text: str, name: str, values: Mapping[str, object]) -> str:
    document = tomlkit.parse(text)
    if "printer" not in document:
        document["printer"] = tomlkit.table(is_super_table=True)
    printers = document["printer"]
    if name not in printers:
        printers[name] = tomlkit.table()
    table = printers[name]
    for key, value in values.items():
        if value is not None:
            table[key] = value
        elif key in table:
            del table[key]
    return tomlkit.dumps(document)


def _replace(target: Path, text: str) -> None:
    """Write a file beside it that only its owner can read, and put that in its place."""
    number, draft = tempfile.mkstemp(dir=target.parent, prefix=".config-")
    try:
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, target)
    except BaseException:
        os.unlink(draft)
        raise
