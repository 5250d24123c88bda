"""Every setting, one row each: its name in config.toml, its form, and how it is given as an argument.

The command line, the options behind ``-o``, the reader of config.toml and its documentation are all made of this
table. Built-in values stand in `values`, in the field that a row fills.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UsageError
from .values import TRUST_MODES, Config, MountOptions, parse_size


@dataclass(frozen=True)
class Kind:
    """The form of a value: ``parse`` reads it from text and raises `ValueError`; config.toml holds it as ``toml``."""

    parse: Callable[[str], Any]
    form: str
    toml: tuple[type, ...] = (str,)

    def read(self, text: str) -> Any:
        """The value that ``text`` says; raises `ValueError` with a sentence."""
        try:
            return self.parse(text)
        except UsageError as error:
            raise ValueError(error.message) from error
        except ValueError:
            raise ValueError(f"{text[:60]!r} is no {self.form}") from None

    def take(self, value: object) -> Any:
        """The value that config.toml says; raises `ValueError` with a sentence that does not repeat it."""
        is_switch = isinstance(value, bool)
        if not isinstance(value, self.toml) or is_switch != (bool in self.toml):
            raise ValueError(f"this must be a {self.form}")
        return self.read(value) if isinstance(value, str) else value


def _switch(text: str) -> bool:
    raise ValueError(text)


def _umask(text: str) -> int:
    mask = int(text, 8)
    if not 0 <= mask <= 0o777:
        raise ValueError(text)
    return mask


def _fuse(text: str) -> str:
    if text not in ("2", "3"):
        raise ValueError(text)
    return f"fuse{text}"


def _path(text: str) -> Path:
    if not text:
        raise ValueError(text)
    return Path(text).expanduser()


TEXT = Kind(str, 'text in quotes, as in "..."')
NUMBER = Kind(int, "number, as in 3", (int,))
SECONDS = Kind(float, "number of seconds, as in 5", (int, float))
SIZE = Kind(parse_size, 'size in quotes, as in "32G"', (str, int))
PATH = Kind(_path, 'path in quotes, as in "~/printer"')
SWITCH = Kind(_switch, "true or false without quotes", (bool,))
UMASK = Kind(_umask, 'umask in quotes, as in "022"')
FUSE = Kind(_fuse, 'version of libfuse in quotes: "2" or "3"')


@dataclass(frozen=True)
class Setting:
    """One setting. ``option`` is its argument, ``o_name`` its name behind ``-o``, ``field`` what it fills.

    ``is_own`` settings belong to one printer and cannot stand in [defaults]. ``example`` is how config.toml says it.
    """

    key: str
    kind: Kind
    help: str
    example: str
    option: str = ""
    metavar: str = ""
    o_name: str = ""
    field: str = ""
    choices: tuple[str, ...] = ()
    is_own: bool = False

    @property
    def fills(self) -> str:
        """The field of `Config` or `MountOptions` that this fills."""
        return self.field or self.key

    @property
    def built_in(self) -> Any:
        """The value when nobody says anything; None for what bambufs finds out."""
        return _BUILT_IN.get(self.fills)

    def read(self, text: str) -> Any:
        """The value that ``text`` says; raises `ValueError` with a sentence."""
        return self._chosen(self.kind.read(text))

    def take(self, value: object) -> Any:
        """The value that config.toml says; raises `ValueError` with a sentence."""
        return self._chosen(self.kind.take(value))

    def _chosen(self, value: Any) -> Any:
        if self.choices and value not in self.choices:
            raise ValueError(f"this must be one of {', '.join(self.choices)}")
        return value


_SERIAL_HELP = "its serial number (else BAMBU_DEVICE_ID, or its own word)"
_TRUST_HELP = (
    "how to check its certificate: remember the first one seen (first-use, the default), by an authority (ca), or "
    "not at all (none)"
)
_SIZE_HELP = "the size of its card, which it does not tell (32G); for the free space that file managers show"
_SPOOL_HELP = "how much room files may take here that are written or have to be sent yet (all that is free)"
_CAREFUL_HELP = "ask the printer one thing at a time, and nothing before it is needed: slower, for one that trips"
_WRITE_BACK_HELP = "do not wait for uploads: send a file in the background, so long after it was closed"
_URL_HELP = "how the printer is told where a file to print is, when its model's own form fails"
_OTHER_HELP = "let other users of this computer in (needs user_allow_other in /etc/fuse.conf)"

_OF_THE_PRINTER = (
    Setting("address", TEXT, "its address, as its screen shows it", '"192.168.1.50"', field="host", is_own=True),
    Setting("serial", TEXT, _SERIAL_HELP, '"01P00A123456789"', "--serial", "SERIAL", is_own=True),
    Setting("access_code", TEXT, "the code that its screen shows", '"47281593"'),
    Setting("access_code_file", PATH, "a file that only you can read", '"code"', "--access-code-file", "FILE"),
    Setting("access_code_keyring", SWITCH, "the code is in the desktop's keyring", "true", is_own=True),
    Setting("ftps_port", NUMBER, "its file port (990)", "990", "--ftps-port", "N"),
    Setting("mqtt_port", NUMBER, "its control port (8883)", "8883", "--mqtt-port", "N"),
    Setting("tls_ca", PATH, "the authority's certificates for tls_trust ca", '"bbl-ca.pem"', o_name="tls_ca"),
    Setting("tls_trust", TEXT, _TRUST_HELP, '"first-use"', "--tls-trust", choices=TRUST_MODES),
    Setting("sessions", NUMBER, "how many connections at most (3; P1 and A1 models take one)", "3",
            o_name="sessions", field="max_sessions"),
    Setting("careful", SWITCH, _CAREFUL_HELP, "true", o_name="careful"),
    Setting("url_template", TEXT, _URL_HELP, '"ftp:///{path}"', o_name="url_template"),
    Setting("cache_dir", PATH, "for temporary files (~/.cache/bambufs)", '"~/.cache/bambufs"', "--cache-dir", "DIR"),
    Setting("cache_size", SIZE, "how much of what was read to keep on this computer (2G)", '"2G"',
            o_name="cache_size"),
    Setting("spool_size", SIZE, _SPOOL_HELP, '"10G"', o_name="spool_size"),
    Setting("listing_entries", NUMBER, "how many files of the card's folders to remember (200000)", "200000",
            o_name="listing_entries"),
    Setting("log_file", PATH, "where to log", '"~/bambufs.log"', "--log-file", "FILE"),
    Setting("log_size", SIZE, "when the log begins anew; the last two are kept (2M)", '"2M"', o_name="log_size"),
)  # fmt: skip

_OF_THE_MOUNT = (
    Setting("mountpoint", PATH, "the folder to mount it on", '"~/printer"', is_own=True),
    Setting("read_only", SWITCH, "refuse every change", "true", "--read-only", o_name="ro"),
    Setting("write_back", SECONDS, _WRITE_BACK_HELP, "5", "--write-back", "SECONDS", "write_back"),
    Setting("ttl", SECONDS, "how long a listing counts (5)", "5", "--ttl", "SECONDS"),
    Setting("card_size", SIZE, _SIZE_HELP, '"32G"', "--card-size", "SIZE"),
    Setting("uid", NUMBER, "who owns everything in the mount (you)", "1000", "--uid", "N", "uid"),
    Setting("gid", NUMBER, "which group owns it (yours)", "1000", "--gid", "N", "gid"),
    Setting("umask", UMASK, "permissions to take away (022)", '"022"', "--umask", "NNN", "umask"),
    Setting("list_control", SWITCH, "show the folder .bambufs in listings", "true", "--list-control"),
    Setting("drop_folder", TEXT, "show a folder that prints what is dropped into it", '"Print"',
            "--drop-folder", "NAME", "drop_folder"),
    Setting("retry", SWITCH, "keep trying while the printer is switched off, instead of giving up", "true",
            o_name="retry"),
    Setting("allow_other", SWITCH, _OTHER_HELP, "true", o_name="allow_other"),
    Setting("nonempty", SWITCH, "mount over a folder that is not empty", "true", o_name="nonempty"),
    Setting("fuse", FUSE, "which libfuse to use (3 where it is installed)", '"3"', o_name="fuse"),
)  # fmt: skip

MOUNT_KEYS = frozenset(row.key for row in _OF_THE_MOUNT)
"""The settings that only `bambufs mount` cares about."""

SETTINGS: Mapping[str, Setting] = {row.key: row for row in (*_OF_THE_PRINTER, *_OF_THE_MOUNT)}

CODE_KEYS = ("access_code", "access_code_file", "access_code_keyring")

_BUILT_IN: dict[str, Any] = {
    field.name: field.default
    for kind in (Config, MountOptions)
    for field in dataclasses.fields(kind)
    if field.default is not dataclasses.MISSING
}
