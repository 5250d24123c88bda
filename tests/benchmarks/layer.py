"""What the FUSE layer costs for each operation and for each byte, and how often the kernel asks.

``python -m tests.benchmarks.layer [--json FILE]``: with both bindings, over a file system in memory (`memoryfs`). The
processor time is that of the mount's process alone, so that it holds on a busy machine too. The best of the rounds
counts. The requests are those that libfuse itself reports.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bambufs.mount import binding
from tests.benchmarks.memoryfs import BIG, FILES, FOLDERS, file_name, folder_name
from tests.benchmarks.report import machine
from tests.support.mounting import mount_device
from tests.support.waiting import wait_until

_MADE, _LISTED = 300, 300
_SETTLE = 0.05
_UNHEARD = ("INIT", "FORGET", "BATCH_FORGET", "DESTROY", "INTERRUPT")


@dataclass(frozen=True)
class Mount:
    """A mount of a `MemoryFS` and its process; ``log`` holds every request, if it was asked for."""

    path: Path
    process: subprocess.Popen[bytes]
    log: Path

    def processor_time(self) -> float:
        """In seconds, to the nanosecond: the clock of the whole process."""
        return time.clock_gettime((~self.process.pid << 3) | 2)

    def requests(self) -> Counter[str]:
        """How often the kernel has asked for what so far."""
        opcodes = re.findall(r"unique: \d+, opcode: (\w+)", self.log.read_text(errors="replace"))
        return Counter(opcode for opcode in opcodes if opcode not in _UNHEARD)


@contextlib.contextmanager
def mounted(library: str, *, debug: bool = False) -> Iterator[Mount]:
    """Mount for the ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="bambufs-layer-") as folder:
        path, log = Path(folder) / "mnt", Path(folder) / "log"
        path.mkdir()
        command = [sys.executable, "-m", "tests.benchmarks.memoryfs", library, str(path)]
        with open(log, "wb") as said:
            process = subprocess.Popen([*command, *(["--debug"] if debug else [])], stdout=said, stderr=said)
        try:
            wait_until(lambda: process.poll() is not None or mount_device(path), f"{path} to be mounted")
            os.listdir(path)
            yield Mount(path, process, log)
        finally:
            subprocess.run(["fusermount3", "-u", path], check=False, capture_output=True)
            if mount_device(path):
                subprocess.run(["umount", "-l", path], check=False)
            process.wait(10)


# --- what is measured -----------------------------------------------------------------------------


def _stat(folder: Path) -> int:
    for number in range(FILES):
        os.stat(folder / file_name(number))
    return FILES


def _open_and_close(folder: Path) -> int:
    for number in range(_MADE):
        os.close(os.open(folder / file_name(number), os.O_RDONLY))
    return _MADE


def _make_and_delete(folder: Path) -> int:
    for number in range(_MADE):
        new = folder.parent / f"new/{number}"
        os.close(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600))
        os.unlink(new)
    return _MADE


def _read_names(folder: Path) -> int:
    for _ in range(5):
        os.listdir(folder)
    return 5 * FILES


def _list(folder: Path) -> int:
    subprocess.run(["ls", "-l", folder], check=True, stdout=subprocess.DEVNULL)
    return FILES


def _statfs(folder: Path) -> int:
    for _ in range(FILES):
        os.statvfs(folder)
    return FILES


def _read(size: int) -> Callable[[Path], int]:
    def read(folder: Path) -> int:
        file = os.open(folder / "big.bin", os.O_RDONLY)
        while os.read(file, size):
            pass
        os.close(file)
        return BIG >> 20

    return read


def _write(size: int) -> Callable[[Path], int]:
    def write(folder: Path) -> int:
        block, new = bytes(size), folder.parent / "new/big.bin"
        file = os.open(new, os.O_WRONLY | os.O_CREAT, 0o600)
        for _ in range(BIG // size):
            os.write(file, block)
        os.close(file)
        os.unlink(new)
        return BIG >> 20

    return write


@dataclass(frozen=True)
class Operation:
    """Something done in a folder nobody has looked into yet; ``run`` returns how many of its ``unit`` that was."""

    name: str
    run: Callable[[Path], int]
    unit: str = "operation"


OPERATIONS = (
    Operation("stat, not looked at before", _stat),
    Operation("open and close", _open_and_close),
    Operation("make, close and delete", _make_and_delete),
    Operation("names of a folder of 1000", _read_names, "name"),
    Operation("ls -l of a folder of 1000", _list, "name"),
    Operation("statfs", _statfs),
    Operation("read by 128 KiB", _read(128 << 10), "MiB"),
    Operation("read by 1 MiB", _read(1 << 20), "MiB"),
    Operation("write by 128 KiB", _write(128 << 10), "MiB"),
    Operation("write by 1 MiB", _write(1 << 20), "MiB"),
)


@dataclass
class Cost:
    """Microseconds for one unit, by round: of the mount's processor time, and until the program went on."""

    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)


Costs = dict[str, dict[str, Cost]]
"""By operation and library."""


def measure(libraries: list[str], rounds: int) -> Costs:
    """Every operation with every library, in turn, ``rounds`` times."""
    costs: Costs = {operation.name: {library: Cost() for library in libraries} for operation in OPERATIONS}
    for _ in range(rounds):
        for library in libraries:
            with mounted(library) as mount:
                for number, operation in enumerate(OPERATIONS):
                    _measure(mount, operation, mount.path / folder_name(number), costs[operation.name][library])
    return costs


def _measure(mount: Mount, operation: Operation, folder: Path, cost: Cost) -> None:
    processor, wall = mount.processor_time(), time.perf_counter()
    units = operation.run(folder)
    wall = time.perf_counter() - wall
    time.sleep(_SETTLE)  # files are released after they are closed
    cost.processor.append(1e6 * (mount.processor_time() - processor) / units)
    cost.wall.append(1e6 * wall / units)


# --- what the kernel asks for ----------------------------------------------------------------------

_SETUP = f"head -c 10000000 /dev/zero > out.bin; mkdir out; for i in $(seq {_LISTED}); do echo > out/$i; done"

COMMANDS = {
    f"ls -l of {_LISTED} files": "ls -l m/new",
    "the same at once again": "ls -l m/new",
    "cp of 10 MB to it": "cp out.bin m/r00/in.bin",
    "cp of 10 MB from it": "cp m/r00/in.bin back.bin",
    "the same again": "cp m/r00/in.bin back.bin",
    "dd bs=1M of 10 MB from it": "dd bs=1M if=m/r01/big.bin of=back.bin count=10",
    "rsync -a of one file to it": "rsync -a out/1 m/r02/",
    "the same again, nothing changed": "rsync -a out/1 m/r02/",
    "rm of one file": "rm m/r02/1",
    f"rm -r of {_LISTED} files": "sleep 1.1; rm -r m/new/*",
    "df": "df m",
}


def count(library: str) -> dict[str, Counter[str]]:
    """The requests of each of `COMMANDS`."""
    counted = {}
    with mounted(library, debug=True) as mount, tempfile.TemporaryDirectory(prefix="bambufs-layer-") as folder:
        Path(folder, "m").symlink_to(mount.path)
        _run(f"{_SETUP}; cp out/* m/new; sleep 1.1", folder)
        for title, command in COMMANDS.items():
            before = mount.requests()
            _run(command, folder)
            time.sleep(_SETTLE)
            counted[title] = mount.requests() - before
    return counted


def _run(command: str, folder: str) -> None:
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True)


# --- the report -----------------------------------------------------------------------------------


def show(costs: Costs, counted: dict[str, dict[str, Counter[str]]]) -> None:
    """Print both tables."""
    console, libraries = Console(width=150), list(counted)
    table = Table("operation", "for each", title="The FUSE layer alone: µs of processor time (of waiting)")
    for library in libraries:
        table.add_column(library, justify="right")
    for operation in OPERATIONS:
        cells = [costs[operation.name][library] for library in libraries]
        shown = [f"{min(cost.processor):.1f} ({min(cost.wall):.1f})" for cost in cells]
        table.add_row(operation.name, operation.unit, *shown)
    console.print(table)
    table = Table("command", *libraries, title="How often the kernel asks")
    for name in COMMANDS:
        table.add_row(name, *[_told(counted[library][name]) for library in libraries])
    console.print(table)


def _told(requests: Counter[str]) -> str:
    each = ", ".join(f"{count} {opcode}" for opcode, count in requests.most_common())
    return f"{requests.total()}" + (f": {each}" if each else "")


def save(costs: Costs, counted: dict[str, dict[str, Counter[str]]], path: Path) -> None:
    """Write all figures, with the machine they come from, as JSON."""
    seconds = {
        name: {library: asdict(cost) for library, cost in by_library.items()} for name, by_library in costs.items()
    }
    said = {"machine": machine(), "folders": FOLDERS, "microseconds": seconds, "requests": counted}
    path.write_text(json.dumps(said, indent=2))


def main() -> int:
    """Return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--libraries", nargs="+", choices=("fuse2", "fuse3"), default=sorted(binding.available()))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures to FILE")
    arguments = parser.parse_args()
    costs = measure(arguments.libraries, arguments.rounds)
    counted = {library: count(library) for library in arguments.libraries}
    show(costs, counted)
    if arguments.json:
        save(costs, counted, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
