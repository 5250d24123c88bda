"""What is in force for one printer and its mount, frozen and checked; every built-in value stands here."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError

FTPS_PORT = 990
MQTT_PORT = 8883
TRUST_MODES = ("first-use", "ca", "none")

_LONGEST_CODE = 64
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class Config:
    """Everything that a mount needs to know. Sizes in bytes, times in seconds."""

    host: str
    access_code: str = field(repr=False)
    serial: str | None = None
    ftps_port: int = FTPS_PORT
    mqtt_port: int = MQTT_PORT
    tls_trust: str = "first-use"
    tls_ca: Path | None = None
    cache_dir: Path = field(default_factory=lambda: default_cache_dir(os.environ))
    ttl: float = 5.0
    card_size: int = 32 * 10**9
    cache_size: int = 2 * 10**9
    spool_size: int = 0
    listing_entries: int = 200_000
    read_only: bool = False
    write_back: float | None = None
    max_sessions: int = 3
    careful: bool = False
    url_template: str = ""
    drop_folder: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot work, in a sentence."""
        _check(bool(re.fullmatch(r"[A-Za-z0-9._:%-]+", self.host)), f"{self.host!r} is no address or name of a printer")
        _check(bool(self.access_code), "the access code is empty")
        _check(len(self.access_code) <= _LONGEST_CODE, "the access code is too long to be one; it has eight characters")
        _check(self.access_code.isascii() and self.access_code.isprintable(), "the access code has odd characters")
        for port in (self.ftps_port, self.mqtt_port):
            _check(0 < port < 65536, f"{port} is no port; a port is a number from 1 to 65535")
        _check(self.tls_trust in TRUST_MODES, f"{self.tls_trust!r} is no way to trust: {', '.join(TRUST_MODES)}")
        if self.tls_trust == "ca":
            _check(self.tls_ca is not None, "--tls-trust ca needs the authority's certificates: -o tls_ca=FILE")
            _check(self.serial is not None, "--tls-trust ca needs the printer's serial: --serial SERIAL")
        serial = "none" if self.serial is None else self.serial
        _check(serial.isascii() and serial.isalnum() and len(serial) <= 64, f"{serial[:64]!r} is no serial number")
        _check(0 <= self.ttl <= 86400, "--ttl is a number of seconds from 0 to 86400")
        is_wait = self.write_back is None or 0 <= self.write_back <= 86400
        _check(is_wait, "--write-back is a number of seconds from 0 to 86400")
        _check(0 < self.card_size <= 10**15, "--card-size is a size of more than nothing, and at most 1000T")
        _check(1000 <= self.listing_entries <= 10**7, "listing_entries is a number from 1000 to 10000000")
        _check(1 <= self.max_sessions <= 16, "sessions is a number from 1 to 16")
        fits = self.url_template.count("{path}") == 1 and self.url_template.isprintable()
        _check(fits or not self.url_template, "url_template must hold {path} once, as in file:///sdcard/{path}")
        is_plain = self.drop_folder.isprintable() and not self.drop_folder.startswith(".")
        is_short = len(os.fsencode(self.drop_folder)) <= 255 if is_plain else False
        _check(is_short and "/" not in self.drop_folder, "--drop-folder takes the name of a folder, without slashes")

    @property
    def trust_key(self) -> str:
        """Under what the printer's certificate is remembered."""
        return self.serial or f"{self.host}:{self.ftps_port}"

    @property
    def printer_dir(self) -> Path:
        """The folder below `cache_dir` that belongs to this printer alone."""
        return self.cache_dir / re.sub(r"[^A-Za-z0-9._-]", "_", self.trust_key)


@dataclass(frozen=True)
class MountOptions:
    """How a printer is mounted; None where nothing was said."""

    mountpoint: Path | None = None
    retry: bool = False
    allow_other: bool = False
    nonempty: bool = False
    uid: int | None = None
    gid: int | None = None
    umask: int = 0o022
    list_control: bool = False
    fuse: str | None = None
    log_file: Path | None = None
    log_size: int = 2_000_000

    def __post_init__(self) -> None:
        """Refuse what cannot work, in a sentence."""
        for name, number in (("uid", self.uid), ("gid", self.gid)):
            _check(number is None or 0 <= number < 2**32 - 1, f"{number} is no {name}: it is a number from 0 up")
        _check(10_000 <= self.log_size <= 10**12, "log_size is a size of at least 10K")


def _check(is_good: bool, otherwise: str) -> None:
    if not is_good:
        raise UsageError(otherwise)


def default_cache_dir(environment: Mapping[str, str]) -> Path:
    """Where spool files, the overlay and what is remembered live, unless told otherwise.

    A service has no home: there it is no cache either, since what could not be sent to the printer waits in it.
    """
    home = environment.get("HOME")
    base = environment.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "/var/lib")
    return Path(base) / "bambufs"


def parse_size(text: str) -> int:
    """A size such as ``32G``, ``64GB`` or ``500M`` in bytes (powers of ten); raises `UsageError`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?\s*", text.lower())
    if match is None or len(match[1]) > 20:
        raise UsageError(f"{text[:40]!r} is no size; write it like 32G")
    return int(float(match[1]) * _UNITS[match[2]])
