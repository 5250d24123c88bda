"""Joins what was said about a printer: arguments before environment before the printer's table before [defaults]."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .. import log
from ..errors import UsageError
from .access import NO_CODE, code_of_environment, code_of_keyring, read_code
from .file import Chosen, ConfigFile, Table
from .settings import CODE_KEYS, SETTINGS
from .values import Config, MountOptions, default_cache_dir

_CONFIG_FIELDS = {field.name for field in dataclasses.fields(Config)}
_MOUNT_FIELDS = {field.name for field in dataclasses.fields(MountOptions)}


@dataclass(frozen=True)
class Resolved:
    """All that is in force for one printer, with who said so. ``name`` is its name in a configuration file, or None."""

    name: str | None
    chosen: Mapping[str, Chosen]
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    given: Mapping[str, Chosen] = dataclasses.field(repr=False)
    tables: Sequence[Table] = dataclasses.field(repr=False)

    @cached_property
    def config(self) -> Config:
        """What is in force for the printer, the access code among it. Raises `UsageError`."""
        return self.config_with(self.access_code[0])

    def config_with(self, code: str) -> Config:
        """The same with ``code`` for the access code. Raises `UsageError` that names who set what cannot be.

        Also when it cannot be for a mount: a mistake in ``-o`` is told by each command.
        """
        values = self._values(_CONFIG_FIELDS)
        try:
            MountOptions(**self._values(_MOUNT_FIELDS))
            return Config(**values, access_code=code)
        except UsageError as error:
            raise UsageError(f"{self._blamed(values, code)}{error.message}") from error

    @property
    def mount(self) -> MountOptions:
        """How it is to be mounted."""
        return MountOptions(**self._values(_MOUNT_FIELDS))

    @cached_property
    def access_code(self) -> tuple[str, str]:
        """The access code and where it came from; never show the first. Raises `UsageError`."""
        code, origin = self._find_code()
        log.keep_secret(code)
        return code, origin

    def _find_code(self) -> tuple[str, str]:
        file = self.given.get("access_code_file")
        if file is not None:
            return read_code(file.value), file.origin
        found = code_of_environment(self.environment)
        if found is not None:
            return found
        for table in self.tables:
            if found := _code_of(table):
                return found
        stranger = "" if self.name is not None else f"{self.chosen['address'].value} is not in config.toml, and "
        raise UsageError(f"{stranger}there is {NO_CODE}")

    def _values(self, fields: set[str]) -> dict[str, Any]:
        filled = ((SETTINGS[key].fills, chosen.value) for key, chosen in self.chosen.items())
        return {field: value for field, value in filled if field in fields}

    def _blamed(self, values: Mapping[str, Any], code: str) -> str:
        """Which of the values, added one by one, makes it impossible; empty for the command line, which shows it."""
        so_far: dict[str, Any] = {"host": "printer"}
        for key, chosen in self.chosen.items():
            if SETTINGS[key].fills in values:
                so_far[SETTINGS[key].fills] = chosen.value
                try:
                    Config(**so_far, access_code=code)
                except UsageError:
                    return f"{chosen.origin}: " if key in _written(self.tables, chosen) else ""
        return ""


def _written(tables: Sequence[Table], chosen: Chosen) -> set[str]:
    """The keys that a file sets, if ``chosen`` came from one."""
    return {key for table in tables for key in table.written if table.origin(key) == chosen.origin}


def resolve(
    printer: str,
    given: Mapping[str, Chosen],
    environment: Mapping[str, str],
    files: Sequence[ConfigFile],
) -> Resolved:
    """What is in force for ``printer``, which is a name, an address or a serial number of ``files``, or any address.

    ``-`` takes it from ``BAMBU_IP``. ``given`` is what the command line says, by key. Raises `UsageError`.
    """
    wanted = _from_environment(environment) if printer == "-" else Chosen(printer, "the command line")
    name, own = find_printer(wanted.value, files)
    tables = [*own, *(file.defaults for file in files)]
    layers = [given, _environment(environment), *(table.settings() for table in tables)]
    chosen = {key: _first(key, layers, environment) for key in SETTINGS if key not in CODE_KEYS}
    if "address" not in {key for table in own for key in table.written}:
        if name is not None:
            raise UsageError(f"{own[0].origin()}: the printer has no address; add a line: address = \"192.168.1.50\"")
        chosen["address"] = wanted
    return Resolved(name, chosen, environment, given, tables)


def find_printer(wanted: str, files: Sequence[ConfigFile]) -> tuple[str | None, list[Table]]:
    """The configured printer that is meant by its name, else by its address or serial number when only one has it."""
    names = list(dict.fromkeys(name for file in files for name in file.printers))
    if wanted not in names:
        same = [name for name in names if wanted in _addresses(name, files)]
        if len(same) != 1:
            return None, []
        wanted = same[0]
    return wanted, [file.printers[wanted] for file in files if wanted in file.printers]


def _addresses(name: str, files: Sequence[ConfigFile]) -> set[object]:
    tables = [file.printers[name].written for file in files if name in file.printers]
    return {value for table in tables for key in ("address", "serial") if isinstance(value := table.get(key), str)}


def _from_environment(environment: Mapping[str, str]) -> Chosen:
    host = environment.get("BAMBU_IP", "")
    if not host:
        raise UsageError("the printer is given as -, but BAMBU_IP is not set")
    return Chosen(host, "BAMBU_IP")


def _environment(environment: Mapping[str, str]) -> dict[str, Chosen]:
    serial = environment.get("BAMBU_DEVICE_ID")
    return {"serial": Chosen(serial, "BAMBU_DEVICE_ID")} if serial else {}


def _first(key: str, layers: Sequence[Mapping[str, Chosen]], environment: Mapping[str, str]) -> Chosen:
    for layer in layers:
        if key in layer:
            return layer[key]
    if key == "cache_dir":
        return Chosen(default_cache_dir(environment), "built in")
    return Chosen(SETTINGS[key].built_in, "built in")


def _code_of(table: Table) -> tuple[str, str] | None:
    settings = table.settings()
    if code := settings.get("access_code"):
        return code.value, code.origin
    if file := settings.get("access_code_file"):
        return read_code(file.value), file.origin
    if (keyring := settings.get("access_code_keyring")) and keyring.value:
        return code_of_keyring(table.name.removeprefix("printer.")), keyring.origin
    return None
