"""`bambufs unmount`."""

from __future__ import annotations

import argparse
import json
import os
import select
import sys
from contextlib import suppress
from pathlib import Path

from ..errors import UsageError
from ..mount import daemon

_SAY_AFTER = 2.0


def run(args: argparse.Namespace) -> int:
    """Unmount, and wait for the mount's process to finish its uploads; returns the exit code."""
    place = Path(os.path.abspath(args.mountpoint))
    if not is_mounted(place):
        raise UsageError(f"no printer is mounted on {place}", daemon.EXIT_MOUNT_POINT)
    process = _process_behind(place)
    try:
        daemon.unmount(place)
        if process is not None:
            _wait_for(process)
    finally:
        if process is not None:
            os.close(process)
    return 0


def is_mounted(place: Path) -> bool:
    """Whether a bambufs mount is on ``place``, a dead one included. Never asks the mount itself."""
    with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as mounts:
        return any(
            words[1].encode("utf-8", "surrogateescape").decode("unicode_escape", "replace") == str(place)
            or words[1].replace("\\040", " ") == str(place)
            for words in (line.split(" ") for line in mounts)
            if words[2] in ("fuse.bambufs", "fuse")
        )


def _process_behind(place: Path) -> int | None:
    """A pidfd of the process that serves the mount, if it can be told."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return os.pidfd_open(int(json.loads((place / ".bambufs" / "stats").read_text())["pid"]))
    return None


def _wait_for(process: int) -> None:
    """Wait until the process has ended; say so when it takes its time."""
    if not select.select([process], [], [], _SAY_AFTER)[0]:
        print("waiting for uploads to finish ...", file=sys.stderr, flush=True)
        select.select([process], [], [])
