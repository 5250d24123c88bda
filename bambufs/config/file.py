"""Reads config.toml: ``[defaults]`` and one ``[printer.NAME]`` for each printer.

What is wrong in a file is a `UsageError` that names the file, the line and the key, and never repeats an access code.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .settings import CODE_KEYS, SETTINGS

SYSTEM_FILE = Path("/etc/bambufs/config.toml")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Chosen:
    """A value, and who chose it: an option, a variable, a line of a file. No repr shows it: it may be a code."""

    value: Any = field(repr=False)
    origin: str


def user_file(environment: Mapping[str, str]) -> Path | None:
    """Where the user's own file is, or would be; None for a service without a home."""
    home = environment.get("HOME")
    base = environment.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else None)
    return Path(base) / "bambufs" / "config.toml" if base else None


def config_files(environment: Mapping[str, str]) -> list[Path]:
    """The files that count, the user's own first."""
    mine = user_file(environment)
    return [file for file in (mine, SYSTEM_FILE) if file is not None]


def is_good_name(name: str) -> bool:
    """Whether a printer may be called so: letters, digits, ``-`` and ``_``, which fit into commands and file names."""
    return bool(_NAME.fullmatch(name))


@dataclass(frozen=True)
class Table:
    """One table of a file, such as ``printer.garage``, as it was written."""

    file: Path
    name: str
    written: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)

    def origin(self, key: str | None = None) -> str:
        """Where the table, or one key of it, stands."""
        line = _line_of(self.text, self.name, key)
        where = f"{self.file}, line {line}" if line else str(self.file)
        return f"{where}, {key} in [{self.name}]" if key else f"{where}, [{self.name}]"

    def settings(self) -> dict[str, Chosen]:
        """What the table says, by key; the access code is among it. Raises `UsageError`."""
        for trouble in self.troubles():
            raise trouble
        return {key: Chosen(self._take(key), self.origin(key)) for key in self.written}

    def troubles(self) -> Iterator[UsageError]:
        """All that is wrong in the table."""
        for key in self.written:
            try:
                self._check_key(key)
                self._take(key)
            except ValueError as error:
                yield UsageError(f"{self.origin(key)}: {error}")
        ways = [key for key in CODE_KEYS if key in self.written]
        if len(ways) > 1:
            yield UsageError(f"{self.origin(ways[1])}: there is {ways[0]} as well; keep one of them")

    def _take(self, key: str) -> Any:
        value = SETTINGS[key].take(self.written[key])
        return self.file.parent / value if isinstance(value, Path) else value

    def _check_key(self, key: str) -> None:
        if key not in SETTINGS:
            raise ValueError(f"there is no such setting{_near(key, SETTINGS)}")
        if self.name == "defaults" and SETTINGS[key].is_own:
            raise ValueError("this belongs to one printer; move it into [printer.NAME]")


@dataclass(frozen=True)
class ConfigFile:
    """A file that was read."""

    path: Path
    defaults: Table
    printers: Mapping[str, Table]

    @classmethod
    def read(cls, path: Path) -> ConfigFile | None:
        """The file at ``path``, None when there is none. Raises `UsageError`, also if others can read a code in it."""
        try:
            with open(path, encoding="utf-8") as opened:
                mode, text = stat.S_IMODE(os.fstat(opened.fileno()).st_mode), opened.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if path == SYSTEM_FILE and isinstance(error, PermissionError):
                return None  # it is root's, with the codes of root's mounts
            raise UsageError(f"{path} cannot be read: {(error.strerror or '').lower()}") from error
        except ValueError as error:
            raise UsageError(f"{path} cannot be read: it is not text in UTF-8") from error
        found = cls.parse(path, text)
        if mode & 0o077 and any("access_code" in table.written for table in found.tables()):
            raise UsageError(f"others can read the access code in {path}; run: chmod 600 {path}")
        return found

    @classmethod
    def parse(cls, path: Path, text: str) -> ConfigFile:
        """The file with the content ``text``. Raises `UsageError`."""
        try:
            tree = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UsageError(_not_toml(path, str(error))) from error
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path}: a number in it is too long, or brackets stand too deep in each other") from error
        for name, value in tree.items():
            _check_table(path, text, name, value)
        tables = {name: Table(path, f"printer.{name}", table, text) for name, table in tree.get("printer", {}).items()}
        return cls(path, Table(path, "defaults", tree.get("defaults", {}), text), tables)

    def tables(self) -> list[Table]:
        """Every table of the file."""
        return [self.defaults, *self.printers.values()]


def read_files(environment: Mapping[str, str]) -> list[ConfigFile]:
    """The files that there are, the user's own first. Raises `UsageError`."""
    return [found for path in config_files(environment) if (found := ConfigFile.read(path))]


def _check_table(path: Path, text: str, name: str, value: object) -> None:
    where = f"{path}, line {line}" if (line := _line_of(text, name, None)) else str(path)
    if name not in ("defaults", "printer"):
        hint = "write it below [defaults] or [printer.NAME]" if name in SETTINGS else _known_tables(name)
        raise UsageError(f"{where}: {name} does not belong here; {hint}")
    if not isinstance(value, dict):
        raise UsageError(f"{where}: {name} must be a table: [{name if name == 'defaults' else 'printer.NAME'}]")
    for printer, table in value.items() if name == "printer" else ():
        _check_printer(path, text, printer, table)


def _check_printer(path: Path, text: str, name: str, table: object) -> None:
    line = _line_of(text, f"printer.{name}", None) or _line_of(text, "printer", name)
    where = f"{path}, line {line}" if line else str(path)
    if not isinstance(table, dict):
        raise UsageError(f"{where}: a printer needs a name: [printer.NAME], as in [printer.garage]")
    if not is_good_name(name):
        raise UsageError(f"{where}: {name!r} is no name for a printer; use letters, digits, - and _")


def _known_tables(name: str) -> str:
    return f"there are [defaults] and [printer.NAME]{_near(name, ('defaults', 'printer'))}"


def _near(word: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _not_toml(path: Path, said: str) -> str:
    """What `tomllib` said, with the line where people look for it. It does not repeat what is written there."""
    match = re.fullmatch(r"(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)", said, re.DOTALL)
    if match is None:
        return f"{path} is not in the form of TOML: {said}"
    where = f"{path}, line {match[2]}" if match[2] else f"{path}, at its end"
    return f"{where}: this is not in the form of TOML ({match[1]}); text stands in quotes, numbers do not"


_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?")
_KEY = re.compile(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*=")


def _line_of(text: str, table: str, key: str | None) -> int | None:
    """The line on which ``key`` of ``table`` stands (without a key: its header), None where that cannot be told."""
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.fullmatch(line):
            inside = ".".join(part.strip(" \t\"'") for part in header[1].split("."))
            if key is None and (inside == table or inside.startswith(f"{table}.")):
                return number
        elif (found := _KEY.match(line)) and (inside, found[1]) in ((table, key), ("", table if key is None else None)):
            return number
    return None
