"""What is timed, and the files that it is timed on. Every upload is checked on the server, byte for byte."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

BIG = 24 << 20
SMALL, SMALL_COUNT = 10_000, 50
FILES, FOLDERS = 300, 10
PICTURE = 30_000
_LINE = 70  # bytes of a line in a listing


class Mismatch(Exception):
    """What arrived is not what was sent."""


class SentAgain(Exception):
    """The times of what was sent did not stay, so that rsync did its work twice."""


@dataclass(frozen=True)
class Ground:
    """Where a workload works: the mount, the card on the server's disk, and a scratch folder with the sources."""

    mount: Path
    card: Path
    scratch: Path


@dataclass(frozen=True)
class Workload:
    """One timed piece of work; ``moved`` is the least number of bytes that have to cross the link for it.

    ``is_upload`` tells that a peer with a write-back delay may take the delay off.
    """

    name: str
    run: Callable[[Ground], None]
    moved: int = 0
    is_upload: bool = False

    def time(self, ground: Ground) -> float:
        """Return the seconds that it took; raises `Mismatch` or what went wrong."""
        _wait_for_quiet(ground.card / "small")
        start = time.perf_counter()
        self.run(ground)
        return time.perf_counter() - start


def prepare(card: Path, scratch: Path) -> None:
    """Make the files on the server and those that will be sent."""
    generator = random.Random(11)
    for name in ("down.bin", "first.bin"):
        _write(card / "bench" / name, generator.randbytes(BIG))
    for number in range(FILES):
        _write(card / _listed(number), b"G28\n" * (number % 50))
    with zipfile.ZipFile(card / "bench/plate.3mf", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("Metadata/plate_1.gcode", generator.randbytes(BIG))
        archive.writestr("Metadata/plate_1.png", generator.randbytes(PICTURE))
    _write(scratch / "big.bin", generator.randbytes(BIG))
    for number in range(SMALL_COUNT):
        _write(scratch / "small" / f"s{number:03}.gcode", generator.randbytes(SMALL))


def reset(card: Path) -> None:
    """Remove from the server what a round has uploaded."""
    (card / "up.bin").unlink(missing_ok=True)
    shutil.rmtree(card / "small", ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _listed(number: int) -> str:
    return f"bench/many/d{number % FOLDERS}/f{number:04}.gcode"


def _wait_for_quiet(folder: Path, seconds: float = 2.5) -> None:
    """Return when nothing in ``folder`` has changed for longer than a peer waits before it uploads."""
    seen, since = _times(folder), time.monotonic()
    while seen and time.monotonic() - since < seconds:
        time.sleep(0.1)
        now = _times(folder)
        if now != seen:
            seen, since = now, time.monotonic()


def _times(folder: Path) -> dict[str, int]:
    if not folder.exists():
        return {}
    return {entry.name: entry.stat().st_ctime_ns for entry in os.scandir(folder)}


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _check_arrived(source: Path, arrived: Path) -> None:
    """Wait until the server holds all of ``source`` (a peer may send it later), and compare every byte."""
    size = source.stat().st_size
    wait_until(lambda: arrived.exists() and arrived.stat().st_size == size, f"{arrived} to be whole", seconds=60)
    if arrived.read_bytes() != source.read_bytes():
        raise Mismatch(f"{arrived} differs from what was sent")


def _upload(ground: Ground) -> None:
    _run("cp", ground.scratch / "big.bin", ground.mount / "up.bin")
    _check_arrived(ground.scratch / "big.bin", ground.card / "up.bin")


def _download(ground: Ground) -> None:
    _run("cp", ground.mount / "bench/down.bin", ground.scratch / "down.bin")
    if (ground.scratch / "down.bin").read_bytes() != (ground.card / "bench/down.bin").read_bytes():
        raise Mismatch("down.bin differs from what the server has")


def _list(ground: Ground) -> None:
    _run("ls", "-lR", ground.mount / "bench/many")


def _stat_all(ground: Ground) -> None:
    for number in range(FILES):
        os.stat(ground.mount / _listed(number))


def _read_start(ground: Ground) -> None:
    with open(ground.mount / "bench/first.bin", "rb", buffering=0) as file:
        file.read(4096)


def _read_thumbnail(ground: Ground) -> None:
    with zipfile.ZipFile(ground.mount / "bench/plate.3mf") as archive:
        archive.read("Metadata/plate_1.png")


def _rsync(ground: Ground) -> None:
    _run("rsync", "-r", "--times", f"{ground.scratch}/small/", f"{ground.mount}/small/")
    for source in sorted((ground.scratch / "small").iterdir()):
        _check_arrived(source, ground.card / "small" / source.name)


def _rsync_again(ground: Ground) -> None:
    command = ["rsync", "-r", "--times", "--itemize-changes", f"{ground.scratch}/small/", f"{ground.mount}/small/"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    again = [line for line in done.stdout.splitlines() if line.startswith(">f")]
    if again:
        raise SentAgain(f"rsync sent {len(again)} files a second time, although nothing had changed")


def _delete(ground: Ground) -> None:
    shutil.rmtree(ground.mount / "small")
    wait_until(lambda: not (ground.card / "small").exists(), "the folder to be gone on the server", seconds=60)


WORKLOADS = (
    Workload("upload 24 MiB", _upload, BIG, is_upload=True),
    Workload("download 24 MiB", _download, BIG),
    Workload("download again", _download),
    Workload("ls -lR cold, 300 files", _list, FILES * _LINE),
    Workload("ls -lR warm", _list),
    Workload("stat of all, warm", _stat_all),
    Workload("first 4 KiB of 24 MiB", _read_start, 4096),
    Workload("first 4 KiB again", _read_start),
    Workload("thumbnail in a 3MF", _read_thumbnail, PICTURE),
    Workload("thumbnail again", _read_thumbnail),
    Workload("rsync of 50 small", _rsync, SMALL * SMALL_COUNT, is_upload=True),
    Workload("rsync again", _rsync_again),
    Workload("delete of 50", _delete),
)
