"""What is timed, and the files that it is timed on. Every upload is checked on the server, byte for byte."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.servers import Scale
from tests.support.waiting import wait_until

SMALL, TINY = 10_000, 2_000
PICTURE = 30_000
_FOLDERS = 10
_LINE = 70  # bytes of a line in a listing
_UPLOADED = ("small", "copied")


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
    scale: Scale


@dataclass(frozen=True)
class Workload:
    """One timed piece of work; ``moved`` is the least number of bytes that have to cross the link for it.

    ``is_upload`` tells that a peer with a write-back delay may take the delay off; ``after`` names the
    workload that has to come first.
    """

    name: str
    title: str
    run: Callable[[Ground], None]
    moved: Callable[[Scale], int] = lambda scale: 0
    is_upload: bool = False
    after: str = ""

    def time(self, ground: Ground, run: Callable[[Ground], None] | None = None) -> float:
        """Return the seconds that it took (or ``run``, which does the same); raises `Mismatch` or what went wrong."""
        for folder in _UPLOADED:
            _wait_for_quiet(ground.card / folder)
        start = time.perf_counter()
        (run or self.run)(ground)
        return time.perf_counter() - start


def prepare(card: Path, scratch: Path, scale: Scale) -> None:
    """Make the files on the server and those that will be sent."""
    generator = random.Random(11)
    for name in ("down.bin", "first.bin", "random.bin"):
        _write(card / "bench" / name, generator.randbytes(scale.big))
    for number in range(scale.listed):
        _write(card / _listed(number), b"G28\n" * (number % 50))
    with zipfile.ZipFile(card / "bench/plate.3mf", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("Metadata/plate_1.gcode", generator.randbytes(scale.big))
        archive.writestr("Metadata/plate_1.png", generator.randbytes(PICTURE))
    _write(scratch / "big.bin", generator.randbytes(scale.big))
    _write_many(scratch / "small", scale.small, SMALL, generator)
    _write_many(scratch / "copied", scale.copied, TINY, generator)
    _make_film(card / "bench/film.mp4", scale.film_seconds)


def _make_film(file: Path, seconds: int) -> None:
    """A film whose index comes last, as printers write them; without `ffmpeg` there is none."""
    source = f"testsrc2=duration={seconds}:size=640x360:rate=25"
    if shutil.which("ffmpeg"):
        _run("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-b:v", "4M", file)


def reset(card: Path) -> None:
    """Remove from the server what a round has uploaded."""
    (card / "up.bin").unlink(missing_ok=True)
    for folder in _UPLOADED:
        shutil.rmtree(card / folder, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _write_many(folder: Path, count: int, size: int, generator: random.Random) -> None:
    for number in range(count):
        _write(folder / f"s{number:03}.gcode", generator.randbytes(size))


def _listed(number: int) -> str:
    return f"bench/many/d{number % _FOLDERS}/f{number:04}.gcode"


def _wait_for_quiet(folder: Path, seconds: float = 2.5) -> None:
    """Return when nothing in ``folder`` has changed for longer than a peer waits before it uploads."""
    seen, since = _times(folder), time.monotonic()
    while seen and time.monotonic() - since < seconds:
        if time.time() - max(seen.values()) / 1e9 > seconds:
            return
        time.sleep(0.1)
        now = _times(folder)
        if now != seen:
            seen, since = now, time.monotonic()


def _times(folder: Path) -> dict[str, int]:
    if not folder.exists():
        return {}
    return {entry.name: entry.stat().st_ctime_ns for entry in os.scandir(folder)}


def _run(*command: str | Path) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)


def check_arrived(source: Path, arrived: Path) -> None:
    """Wait until the server holds all of ``source`` (a peer may send it later), and compare every byte."""
    size = source.stat().st_size
    wait_until(lambda: arrived.exists() and arrived.stat().st_size == size, f"{arrived} to be whole", seconds=60)
    if arrived.read_bytes() != source.read_bytes():
        raise Mismatch(f"{arrived} differs from what was sent")


def check_downloaded(ground: Ground) -> None:
    """Compare what was downloaded with what the server has."""
    if (ground.scratch / "down.bin").read_bytes() != (ground.card / "bench/down.bin").read_bytes():
        raise Mismatch("down.bin differs from what the server has")


def _check_folder(ground: Ground, name: str) -> None:
    for source in sorted((ground.scratch / name).iterdir()):
        check_arrived(source, ground.card / name / source.name)


def _upload(ground: Ground) -> None:
    _run("cp", ground.scratch / "big.bin", ground.mount / "up.bin")
    check_arrived(ground.scratch / "big.bin", ground.card / "up.bin")


def _download(ground: Ground) -> None:
    _run("cp", ground.mount / "bench/down.bin", ground.scratch / "down.bin")
    check_downloaded(ground)


def _list(ground: Ground) -> None:
    _run("ls", "-lR", ground.mount / "bench/many")


def _stat_all(ground: Ground) -> None:
    for number in range(ground.scale.listed):
        os.stat(ground.mount / _listed(number))


def _read_start(ground: Ground) -> None:
    with open(ground.mount / "bench/first.bin", "rb", buffering=0) as file:
        file.read(4096)


def _read_anywhere(ground: Ground) -> None:
    places = random.Random(5)
    with open(ground.mount / "bench/random.bin", "rb", buffering=0) as file:
        for _ in range(ground.scale.reads):
            offset = places.randrange(ground.scale.big - 4096)
            got = os.pread(file.fileno(), 4096, offset)
            with open(ground.card / "bench/random.bin", "rb") as original:
                if got != os.pread(original.fileno(), 4096, offset):
                    raise Mismatch(f"random.bin differs at {offset}")


def _read_thumbnail(ground: Ground) -> None:
    with zipfile.ZipFile(ground.mount / "bench/plate.3mf") as archive:
        archive.read("Metadata/plate_1.png")


def _look_into_film(ground: Ground) -> None:
    film, middle = ground.mount / "bench/film.mp4", f"{ground.scale.film_seconds / 2:g}"
    _run("ffprobe", "-v", "error", "-show_format", film)
    _run("ffmpeg", "-v", "error", "-ss", middle, "-i", film, "-frames:v", "1", "-f", "null", "-")


def _rsync(ground: Ground) -> None:
    _run("rsync", "-r", "--times", f"{ground.scratch}/small/", f"{ground.mount}/small/")
    _check_folder(ground, "small")


def _rsync_again(ground: Ground) -> None:
    command = ["rsync", "-r", "--times", "--itemize-changes", f"{ground.scratch}/small/", f"{ground.mount}/small/"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    again = [line for line in done.stdout.splitlines() if line.startswith(">f")]
    if again:
        raise SentAgain(f"rsync sent {len(again)} files a second time, although nothing had changed")


def _copy(ground: Ground) -> None:
    _run("cp", "-r", ground.scratch / "copied", ground.mount / "copied")
    _check_folder(ground, "copied")


def _delete(ground: Ground, name: str) -> None:
    shutil.rmtree(ground.mount / name)
    wait_until(lambda: not (ground.card / name).exists(), "the folder to be gone on the server", seconds=60)


WORKLOADS = (
    Workload("upload", "upload", _upload, lambda scale: scale.big, is_upload=True),
    Workload("download", "download", _download, lambda scale: scale.big),
    Workload("download-again", "download again", _download, after="download"),
    Workload("ls", "ls -lR, cold", _list, lambda scale: scale.listed * _LINE),
    Workload("ls-again", "ls -lR, warm", _list, after="ls"),
    Workload("stat", "stat of all, warm", _stat_all, after="ls"),
    Workload("first", "first 4 KiB of a big file", _read_start, lambda scale: 4096),
    Workload("first-again", "first 4 KiB again", _read_start, after="first"),
    Workload("random", "random reads of 4 KiB", _read_anywhere, lambda scale: scale.reads * 4096),
    Workload("thumbnail", "thumbnail in a 3MF", _read_thumbnail, lambda scale: PICTURE),
    Workload("thumbnail-again", "thumbnail again", _read_thumbnail, after="thumbnail"),
    Workload("film", "film: probe, and seek to its middle", _look_into_film, lambda scale: 128 << 10),
    Workload("rsync", "rsync of small files", _rsync, lambda scale: SMALL * scale.small, is_upload=True),
    Workload("rsync-again", "rsync again", _rsync_again, after="rsync"),
    Workload("delete", "delete of those", lambda ground: _delete(ground, "small"), after="rsync"),
    Workload("cp-r", "cp -r of tiny files", _copy, lambda scale: TINY * scale.copied, is_upload=True),
    Workload("rm-r", "rm -r of those", lambda ground: _delete(ground, "copied"), after="cp-r"),
)


def chosen(names: Sequence[str]) -> list[Workload]:
    """Return the workloads called ``names`` (all if there are none), and those that have to come before them."""
    wanted = set(names) or {workload.name for workload in WORKLOADS}
    wanted |= {workload.after for workload in WORKLOADS if workload.name in wanted}
    return [workload for workload in WORKLOADS if workload.name in wanted]
