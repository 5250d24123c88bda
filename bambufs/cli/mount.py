"""`bambufs mount`."""

from __future__ import annotations

import argparse
import logging
import os
import threading
from collections.abc import Callable
from typing import Any

from .. import log
from ..config import Config, default_cache_dir, find_access_code, parse_size
from ..errors import PrinterError, PrinterUnreachable, UsageError
from ..mount import binding, daemon
from ..mount.adapter import Adapter, Owner
from ..vfs.root import Root
from .build import open_filesystem
from .explain import explained
from .options import MountOptions, parse_options

logger = logging.getLogger(__name__)

_CONTROL_PATIENCE = 3.0
_RETRY_SECONDS = (3.2, 5.0, 10.0, 20.0, 30.0)


def run(args: argparse.Namespace) -> int:
    """Mount, in the background unless told otherwise; returns the exit code."""
    options = parse_options(args.options)
    config = make_config(args, options)
    place = daemon.prepare_mountpoint(args.mountpoint, may_hold_files=options.nonempty)
    library = binding.choose(options.fuse)
    if options.allow_other:
        _check_allow_other()
    owner = _owner(args, options)

    def work(ready: Callable[[], None]) -> int:
        os.umask(0o077)
        file = args.log_file or (None if args.foreground else config.printer_dir / "bambufs.log")
        log.set_up(verbosity=args.verbose, file=file, secrets=(config.access_code,))
        names = (str(place), str(args.mountpoint.absolute()))
        root = open_filesystem(config, list_control=args.list_control, mountpoints=names)
        try:
            root.start()
            _connect(root, keep_trying=options.retry)
            return _serve(library, root, owner, str(place), _fuse_options(config, options), ready)
        finally:
            root.close()

    if args.foreground:
        return work(lambda: None)
    return daemon.detach(work, explained)


def make_config(args: argparse.Namespace, options: MountOptions) -> Config:
    """What is in force, from arguments, options and environment; raises `UsageError`."""
    host = args.printer
    if host == "-":
        host = os.environ.get("BAMBU_IP", "")
        if not host:
            raise UsageError("the printer is given as -, but BAMBU_IP is not set")
    return Config(
        host=host,
        access_code=find_access_code(args.access_code_file, os.environ),
        serial=args.serial or os.environ.get("BAMBU_DEVICE_ID") or None,
        ftps_port=args.ftps_port,
        mqtt_port=args.mqtt_port,
        tls_trust=args.tls_trust,
        tls_ca=options.tls_ca,
        cache_dir=(args.cache_dir or default_cache_dir(os.environ)).absolute(),
        ttl=args.ttl,
        card_size=parse_size(args.card_size),
        cache_size=options.cache_size,
        read_only=args.read_only or options.read_only,
        max_sessions=options.sessions,
        url_template=options.url_template,
        drop_folder=args.drop_folder or options.drop_folder,
    )


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


def _owner(args: argparse.Namespace, options: MountOptions) -> Owner:
    def first(*values: int | None) -> int | None:
        return next((value for value in values if value is not None), None)

    uid, gid, umask = first(args.uid, options.uid), first(args.gid, options.gid), first(args.umask, options.umask)
    return Owner(
        os.getuid() if uid is None else uid,
        os.getgid() if gid is None else gid,
        0o022 if umask is None else umask & 0o777,
    )


def _fuse_options(config: Config, options: MountOptions) -> dict[str, Any]:
    """What libfuse is told. A listing may not be held longer by the kernel than by ourselves."""
    held = min(1.0, config.ttl)
    return {
        "foreground": True,
        "fsname": f"bambufs:{config.host}",
        "subtype": "bambufs",
        "auto_cache": True,
        "attr_timeout": held,
        "entry_timeout": held,
        "negative_timeout": 0,
        "default_permissions": True,
        "max_threads": 64,
        "max_idle_threads": 16,
        **({"ro": True} if config.read_only else {}),
        **({"allow_other": True} if options.allow_other else {}),
    }


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
