"""A mount takes no more memory, threads and descriptors after very many operations and reconnects than before."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fsx.test_fsx import BINDINGS, fsx, new_seed
from tests.support.mounting import Mounted, mounted
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer
from tests.support.waiting import wait_until

_THREADS, _DESCRIPTORS = 6, 8
"""What may come and go: libfuse keeps some workers, and sessions are kept for a while."""


class Size(NamedTuple):
    """What a process takes: KiB of memory, threads, descriptors."""

    memory: int
    threads: int
    descriptors: int

    @classmethod
    def of(cls, mount: Mounted) -> Size:
        """As of now."""
        pid = int(re.findall(r'"pid": (\d+)', (mount.path / ".bambufs" / "stats").read_text())[0])
        status = Path(f"/proc/{pid}/status").read_text()
        memory, threads = (int(re.findall(rf"{key}:\s+(\d+)", status)[0]) for key in ("VmRSS", "Threads"))
        return cls(memory, threads, len(os.listdir(f"/proc/{pid}/fd")))


def reconnect(mount: Mounted, server: Vsftpd) -> None:
    """The printer loses all its connections; the mount makes new ones."""
    server.restart()
    (mount.path / ".bambufs" / "refresh").write_text("/\n")
    wait_until(lambda: _can_write(mount.path / "after.txt"), "the mount to connect again", seconds=30)


def _can_write(file: Path) -> bool:
    try:
        file.write_bytes(b"content")
        file.unlink()
    except OSError:
        return False
    return True


def run(folder: Path, binding: str, *, warm: int, operations: int, reconnects: int, memory: int) -> tuple[Size, Size]:
    """Sizes before and after so many operations (in rounds with other seeds) and reconnects; they must be alike."""
    need("vsftpd", binding)
    with vsftpd_printer() as server, mounted(server, folder / "mnt", binding) as mount:
        seed = new_seed()
        _round(mount, server, seed, warm)
        for _ in range(2):
            reconnect(mount, server)
        before = Size.of(mount)
        for number in range(max(1, operations // 1000)):
            _round(mount, server, seed + 1 + number, min(operations, 1000))
        for _ in range(reconnects):
            reconnect(mount, server)
        after = Size.of(mount)
    told = f"seed {seed}: before {before}, after {operations} operations and {reconnects} reconnects {after}"
    assert after.threads <= before.threads + _THREADS, told
    assert after.descriptors <= before.descriptors + _DESCRIPTORS, told
    assert after.memory <= before.memory + memory, told
    os.write(1, f"{told}\n".encode())
    return before, after


def _round(mount: Mounted, server: Vsftpd, seed: int, count: int) -> None:
    fsx(mount.path, server.root, seed, count, seconds=300)
    for place in sorted(mount.path.rglob("*"), reverse=True):
        place.rmdir() if place.is_dir() else place.unlink()
    for place in mount.path.glob(".*"):
        place.unlink()


def test_nothing_grows(tmp_path: Path) -> None:
    run(tmp_path, "fuse3", warm=100, operations=200, reconnects=3, memory=20_000)


@pytest.mark.slow
@pytest.mark.parametrize("binding", BINDINGS)
def test_nothing_grows_over_ten_thousand_operations(binding: str, tmp_path: Path) -> None:
    run(tmp_path, binding, warm=2000, operations=10_000, reconnects=100, memory=12_000)
