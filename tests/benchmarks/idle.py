"""What a mount costs that nobody uses, and what big folders cost.

``python -m tests.benchmarks.idle [--json FILE]``: the memory and the processor time of idle mounts, connected to a
printer that reports once a second; how fast listings are read; and ``ls -l`` of 10,000 files, beside rclone.
``make soak`` holds the same to bounds, after much more.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bambufs import simulator
from bambufs.mount import binding
from tests.benchmarks.peers import PEERS
from tests.benchmarks.report import machine
from tests.benchmarks.servers import SERVERS
from tests.support.mounting import Mounted, mounted
from tests.support.waiting import wait_until

MEMORY, PROCESSOR, LINES = 45e6, 0.1, 200_000
"""What is to be reached: bytes of an idle mount, percent of one core, lines of a listing read in a second."""

_FILES = 10_000
_LONG_AGO = 1_700_000_000
_WARM_UP = 5.0

_READS_A_LISTING = """
import time
from bambufs.printer.listing import parse_list
lines = [
    f"-rwxr-xr-x    1 103      107      {n * 37:8d} Apr {n % 28 + 1:2d} {n % 24:02d}:{n % 60:02d} Cat_Toy_{n}.gcode.3mf"
    for n in range(100_000)
]
best = 0.0
for _ in range(5):
    began = time.process_time()
    assert len(parse_list(lines, 1.79e9)) == len(lines)
    best = max(best, len(lines) / (time.process_time() - began))
print(best)
"""


def lines_a_second() -> float:
    """How many lines of a listing are read in a second of processor time.

    In a process of its own: what else is in memory slows down whoever makes many objects.
    """
    done = subprocess.run([sys.executable, "-c", _READS_A_LISTING], check=True, capture_output=True, text=True)
    return float(done.stdout)


def resident(mount: Mounted) -> int:
    """The memory of a mount, in bytes."""
    rows = Path(f"/proc/{mount.process.pid}/smaps_rollup").read_text().splitlines()
    return 1024 * int(next(row.split()[1] for row in rows if row.startswith("Rss:")))


def processor_time(mount: Mounted) -> float:
    """In seconds, to the nanosecond: the clock of the whole process."""
    return time.clock_gettime((~mount.process.pid << 3) | 2)


@dataclass(frozen=True)
class Printer:
    """How to mount a simulated printer, MQTT and all."""

    host: str
    port: int
    mqtt_port: int
    access_code: str
    serial: str


@contextlib.contextmanager
def reporting_printer() -> Iterator[Printer]:
    """A simulated X1C that reports once a second, as real ones do."""
    with (
        tempfile.TemporaryDirectory() as card,
        simulator.Printer(model="x1c", card=Path(card), report_interval=1.0) as printer,
    ):
        (printer.card / "benchy.gcode.3mf").write_bytes(bytes(19034))
        yield Printer(printer.host, printer.ftps_port, printer.mqtt_port, printer.access_code, printer.serial)


def _has_heard(mount: Mounted) -> bool:
    return bool(json.loads((mount.path / ".bambufs/status.json").read_text())["gcode_state"])


@dataclass(frozen=True)
class Idle:
    """An idle mount: its memory in bytes, its share of one core in percent."""

    resident: int
    processor: float


def idle(libraries: list[str], seconds: float) -> dict[str, Idle]:
    """Mounts of one printer by each library, after one ``ls -l``, over the same ``seconds``."""
    with reporting_printer() as printer, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        mounts = {name: stack.enter_context(mounted(printer, Path(folder) / name, name)) for name in libraries}
        for mount in mounts.values():
            subprocess.run(["ls", "-l", mount.path], check=True, stdout=subprocess.DEVNULL)
            wait_until(functools.partial(_has_heard, mount), "the printer to report")
        time.sleep(_WARM_UP)
        before = {name: processor_time(mount) for name, mount in mounts.items()}
        time.sleep(seconds)
        return {
            name: Idle(resident(mount), 100 * (processor_time(mount) - before[name]) / seconds)
            for name, mount in mounts.items()
        }


def big_folder(peers: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of ``ls -l`` of 10,000 files, the first time and (the median) again, by peer."""
    with tempfile.TemporaryDirectory() as scratch, SERVERS["loopback"].open() as site:
        folder = site.card / "ten"
        folder.mkdir()
        for number in range(_FILES):
            file = folder / f"Cat_Toy_{number:05}.gcode.3mf"
            file.touch()
            os.utime(file, (_LONG_AGO, _LONG_AGO + number))
        seconds = {}
        for name in peers:
            own = Path(scratch) / name
            own.mkdir()
            with PEERS[name].mount(site, own) as path:
                taken = [_list(path / "ten") for _ in range(1 + rounds)]
            seconds[name] = {"first": taken[0], "again": statistics.median(taken[1:])}
        return seconds


def _list(folder: Path) -> float:
    began = time.perf_counter()
    listed = subprocess.run(["ls", "-l", folder], check=True, capture_output=True).stdout
    taken = time.perf_counter() - began
    if listed.count(b"\n") != 1 + _FILES:
        raise RuntimeError(f"{folder}: not all of the {_FILES} files are listed")
    return taken


def main() -> int:
    """Return 0; whether the bounds hold is for whoever knows how busy the machine is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the mounts are left alone")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--libraries", nargs="+", choices=("fuse2", "fuse3"), default=sorted(binding.available()))
    parser.add_argument("--peers", nargs="+", choices=list(PEERS), default=["bambufs", "bambufs-fuse2", "rclone-full"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    arguments = parser.parse_args()
    lines, mounts = lines_a_second(), idle(arguments.libraries, arguments.seconds)
    folder = big_folder(arguments.peers, arguments.rounds)
    _show(lines, mounts, folder)
    if arguments.json:
        said = {"machine": machine(), "lines_a_second": lines, "ls_of_10000": folder}
        said |= {"idle": {name: vars(one) for name, one in mounts.items()}}
        arguments.json.write_text(json.dumps(said, indent=2))
    return 0


def _show(lines: float, mounts: dict[str, Idle], folder: dict[str, dict[str, float]]) -> None:
    table = Table("what", "measured", "to reach", title="A mount that nobody uses, and big folders")
    for name, one in mounts.items():
        table.add_row(f"{name}: memory", f"{one.resident / 1e6:.1f} MB", f"{MEMORY / 1e6:.0f} MB")
        table.add_row(f"{name}: of one core, with a report a second", f"{one.processor:.3f} %", f"{PROCESSOR} %")
    table.add_row("lines of a listing read in a second", f"{lines:,.0f}", f"{LINES:,}")
    for name, taken in folder.items():
        cell = f"{taken['first']:.2f} s, again {taken['again']:.2f} s"
        table.add_row(f"{name}: ls -l of {_FILES:,} files", cell, "" if "rclone" in name else "rclone's")
    Console(width=120).print(table)


if __name__ == "__main__":
    sys.exit(main())
