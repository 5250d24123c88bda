"""Puts the objects together: the only place that knows all of them."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from ..config import Config
from ..errors import UsageError
from ..printer import trust
from ..printer.card import Card
from ..printer.leftovers import Leftovers
from ..printer.pool import SessionPool
from ..printer.session import FtpsSession, Target, Timeouts
from ..vfs.control import ControlFolder
from ..vfs.filesystem import FileSystem, Settings
from ..vfs.root import Root
from .controls import control_files


def trust_store(cache_dir: Path) -> trust.TrustStore:
    """The certificates that are remembered on this computer."""
    return trust.TrustStore(cache_dir / "trust.json")


def open_card(config: Config, timeouts: Timeouts | None = None) -> Card:
    """The card of the printer that ``config`` names. Connects only when it is used."""
    try:
        context = trust.make_context(config.tls_ca if config.tls_trust == "ca" else None)
    except OSError as error:
        raise UsageError(f"the authority's certificates cannot be read from {config.tls_ca}: {error}") from error
    target = Target(
        config.host,
        config.ftps_port,
        config.access_code,
        context,
        server_name=config.serial if config.tls_trust == "ca" else None,
        check_certificate=trust.checker(config.tls_trust, trust_store(config.cache_dir), config.trust_key),
    )
    pool = SessionPool(lambda: FtpsSession.open(target, timeouts or Timeouts()), limit=config.max_sessions)
    return Card(pool, leftovers=Leftovers(config.printer_dir / "parts"))


def open_filesystem(config: Config, timeouts: Timeouts | None = None, *, list_control: bool = False) -> Root:
    """All that the mount shows, with the printer's folder on this computer locked for it alone.

    Raises `UsageError` when another mount of the same printer uses that folder.
    """
    _claim(config.printer_dir)
    settings = Settings(
        cache_folder=config.printer_dir,
        ttl=config.ttl,
        card_size=config.card_size,
        cache_size=config.cache_size,
        read_only=config.read_only,
    )
    filesystem = FileSystem(open_card(config, timeouts), settings)
    files = control_files(filesystem, config)
    return Root(filesystem, ControlFolder(files, is_listed=list_control, read_only=config.read_only))


_claims: dict[Path, int] = {}


def _claim(folder: Path) -> None:
    """Lock ``folder`` for as long as this process lives."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"the cache folder {folder} cannot be used: {(error.strerror or '').lower()}") from error
    previous = _claims.pop(folder, None)
    if previous is not None:
        os.close(previous)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise UsageError(
            f"this printer is mounted already by another bambufs that uses {folder}; "
            "unmount that one first, or give this one a folder of its own with --cache-dir"
        ) from None
    _claims[folder] = lock
