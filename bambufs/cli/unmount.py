"""`bambufs unmount`."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from contextlib import suppress
from pathlib import Path

from ..config.file import read_files
from ..config.resolve import find_printer, resolve
from ..errors import UsageError
from ..mount import daemon
from ..mount.leaving import last_words

_SAY_AFTER = 2.0


def run(args: argparse.Namespace) -> int:
    """Unmount, and wait for the mount's process to finish its uploads; returns the exit code."""
    place = _place(args.mountpoint)
    if not is_mounted(place):
        raise UsageError(f"no printer is mounted on {place}", daemon.EXIT_MOUNT_POINT)
    process, folder = _process_behind(place)
    try:
        daemon.unmount(place)
        if process is not None:
            _wait_for(process, folder)
    finally:
        if process is not None:
            os.close(process)
    left = last_words(folder) if process is not None else ""
    if left:
        raise UsageError(f"unmounted, but {left}", 1)
    return 0


def _place(given: Path) -> Path:
    """The folder that is meant: ``given`` itself, or that of the printer which is configured by this name."""
    place = Path(os.path.abspath(given))
    if is_mounted(place):
        return place
    files = read_files(os.environ)
    if find_printer(str(given), files)[0] is None:
        return place
    return resolve(str(given), {}, os.environ, files).mount.mountpoint or place


def is_mounted(place: Path) -> bool:
    """Whether a bambufs mount is on ``place``, a dead one included. Never asks the mount itself."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(
            words[1].encode("utf-8", "surrogateescape").decode("unicode_escape", "replace") == str(place)
            or words[1].replace("\\040", " ") == str(place)
            for words in (line.split(" ") for line in mounts)
            if words[2] in ("fuse.bambufs", "fuse")
        )


def _process_behind(place: Path) -> tuple[int | None, Path]:
    """A pidfd of the process that serves the mount, if it can be told, and its folder on this computer."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        told = json.loads((place / ".bambufs" / "stats").read_text())
        return os.pidfd_open(int(told["pid"])), Path(told["folder"])
    return None, Path()


def _wait_for(process: int, folder: Path) -> None:
    """Wait until the process has ended; say what for when it takes its time."""
    said, patience = "", _SAY_AFTER
    while not select.select([process], [], [], patience)[0]:
        sentence = last_words(folder) or "uploads to finish"
        if sentence != said:
            print(f"waiting: {sentence} ...", file=sys.stderr, flush=True)
        said, patience = sentence, 1.0
