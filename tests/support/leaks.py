"""Finds what a test run left behind: mounts, processes and threads.

Processes are known by a mark in their environment, which daemons inherit too; mounts by the
folder of the run, in which all temporary folders lie. So two runs at once do not disturb each
other.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from pathlib import Path

MARK = "BAMBUFS_TEST_RUN"


def mounts_below(folder: Path) -> list[str]:
    """Return the mount points inside ``folder``."""
    with open("/proc/self/mounts") as table:
        points = [line.split()[1].replace("\\040", " ") for line in table]
    return [point for point in points if Path(point).is_relative_to(folder)]


def marked_processes(mark: str, variable: str = MARK) -> dict[int, str]:
    """Return the other processes that run with ``mark`` as ``variable`` in their environment: number, command."""
    wanted = f"{variable}={mark}".encode()
    found = {}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        with contextlib.suppress(OSError):
            if pid != os.getpid() and wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return found


def other_threads(known: set[threading.Thread]) -> list[str]:
    """Return the names of living threads that are not ``known``."""
    return [thread.name for thread in threading.enumerate() if thread not in known]


def clear_away(folder: Path, mark: str) -> None:
    """Unmount and kill what was left behind, so that the next run starts clean."""
    for point in mounts_below(folder):
        subprocess.run(["umount", "-l", point], check=False)
    kill_marked(mark)


def kill_marked(mark: str, variable: str = MARK) -> None:
    """Kill the processes that `marked_processes` finds."""
    for pid in marked_processes(mark, variable):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
