"""`bambufs mount`."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import log
from ..config import MountOptions
from ..errors import PrinterError, PrinterUnreachable, UsageError
from ..mount import binding, daemon
from ..mount.adapter import Adapter, Owner
from ..mount.heap import limit_heaps
from ..mount.leaving import Leaving
from ..mount.settings import fuse_options
from ..vfs.root import Root
from .build import open_filesystem
from .connection import make_folder, resolved
from .explain import explained

logger = logging.getLogger(__name__)

_CONTROL_PATIENCE = 3.0
_NO_MOUNT_POINT = (
    "on which folder? Write it behind the printer: bambufs mount {printer} ~/printer, or set mountpoint for it in "
    "config.toml"
)
_RETRY_SECONDS = (3.2, 5.0, 10.0, 20.0, 30.0)


def run(args: argparse.Namespace) -> int:
    """Mount, in the background unless told otherwise; returns the exit code."""
    chosen = resolved(args)
    config, options = chosen.config, chosen.mount
    if options.mountpoint is None:
        raise UsageError(_NO_MOUNT_POINT.format(printer=args.printer))
    given = Path(options.mountpoint)
    place = daemon.prepare_mountpoint(given, may_hold_files=options.nonempty)
    library = binding.choose(options.fuse)
    if options.allow_other:
        _check_allow_other()
    owner = _owner(options)
    make_folder(config)

    def work(ready: Callable[[], None]) -> int:
        os.umask(0o077)
        daemon.allow_many_files()
        limit_heaps()
        file = options.log_file or (None if args.foreground else config.printer_dir / "bambufs.log")
        faults = config.cache_dir / "faults.log"
        log.set_up(verbosity=args.verbose, file=file, faults=faults, largest=options.log_size)
        names = (str(place), str(given.absolute()))
        root = open_filesystem(config, list_control=options.list_control, mountpoints=names)
        leaving = Leaving(config.printer_dir)
        try:
            root.start()
            _connect(root, keep_trying=options.retry)
            told = fuse_options(config.host, config.ttl, read_only=config.read_only, allow_other=options.allow_other)
            return _serve(library, root, owner, str(place), told, ready)
        finally:
            leaving.done(root.close(leaving.tell))

    if args.foreground:
        return work(lambda: None)
    return daemon.detach(work, explained)


def _connect(root: Root, *, keep_trying: bool) -> None:
    """Make sure that the printer lets us in; with ``keep_trying`` wait for one that is away or busy.

    One whose file port alone is closed (an H2D without Developer Mode, say) is mounted for control, and its files
    appear when that port opens.
    """
    for attempt in range(1_000_000):
        try:
            root.connect()
            return
        except PrinterError as error:
            if isinstance(error, PrinterUnreachable) and root.is_controllable(_CONTROL_PATIENCE):
                logger.warning("%s. The printer can be controlled, so it is mounted; its files may come later", error)
                return
            if not (keep_trying and error.away):
                raise
            if attempt == 0:
                logger.warning("%s. Trying again until it is there", str(error).rstrip("?."))
        threading.Event().wait(_RETRY_SECONDS[min(attempt, len(_RETRY_SECONDS) - 1)])


def _serve(
    library: binding.Library,
    root: Root,
    owner: Owner,
    place: str,
    fuse_options: dict[str, Any],
    ready: Callable[[], None],
) -> int:
    """Mount and serve until unmounted. Being ended by a signal is a good end."""

    def on_mounted() -> None:
        logger.info("mounted on %s", place)
        daemon.notify("READY=1")
        ready()

    adapter = Adapter(root, owner, on_mounted=on_mounted)
    code = library.run(adapter, place, fuse_options)
    daemon.notify("STOPPING=1")
    if not adapter.was_mounted:
        raise UsageError(f"FUSE could not mount on {place} (its code is {code}); see the message above", 6)
    logger.info("unmounted from %s", place)
    return 0


def _owner(options: MountOptions) -> Owner:
    return Owner(
        os.getuid() if options.uid is None else options.uid,
        os.getgid() if options.gid is None else options.gid,
        options.umask,
    )


def _check_allow_other() -> None:
    """fusermount refuses allow_other for ordinary users unless the machine's owner has allowed it."""
    if os.getuid() == 0:
        return
    try:
        with open("/etc/fuse.conf", encoding="utf-8") as settings:
            allowed = any(line.strip() == "user_allow_other" for line in settings)
    except OSError:
        allowed = False
    if not allowed:
        raise UsageError("allow_other needs a line user_allow_other in /etc/fuse.conf; add it as root", 6)
