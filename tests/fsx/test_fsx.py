"""Random operations on each binding and each family of printers: the mount, the model and the card stay the same.

`BAMBUFS_FSX_SEED` sets the seed, which is printed, to see a failure again.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bambufs import simulator
from tests.support.mounting import Mounted, Target, mounted
from tests.support.needs import need
from tests.support.vsftpd import vsftpd_printer

PRINTERS = ("vsftpd", "p1s")
BINDINGS = ("fuse2", "fuse3")
FEW, MANY = 500, 10_000
"""Operations on each printer by each binding."""


class Simulated:
    """A simulated printer as something to mount, with its card."""

    def __init__(self, printer: simulator.Printer) -> None:
        self.host, self.port = printer.host, printer.ftps_port
        self.access_code, self.serial = printer.access_code, printer.serial
        self.root = printer.card


@contextlib.contextmanager
def running(printer: str, folder: Path) -> Iterator[Any]:
    """Run that printer with an empty card; it has a host, a port, an access_code, a serial and a root (its card)."""
    if printer == "vsftpd":
        need("vsftpd")
        with vsftpd_printer() as server:
            yield server
    else:
        card = folder / "card"
        card.mkdir()
        with simulator.Printer(model=printer, card=card, mqtt=False) as simulated:
            yield Simulated(simulated)


def new_seed() -> int:
    """The seed of the environment, else a new one."""
    return int(os.environ.get("BAMBUFS_FSX_SEED") or random.SystemRandom().randrange(1_000_000))


def fsx(mount: Path, card: Path, seed: int, count: int, seconds: float, *ways: str) -> dict[str, Any]:
    """Run the operations in a process of their own; returns what it told, fails with the last steps otherwise."""
    command = [sys.executable, "-m", "tests.fsx", str(mount), str(card), str(seed), str(count), *ways]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"seed {seed}: exit code {done.returncode}\n{done.stderr}"
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def expect_nothing_owed(mount: Mounted) -> None:
    """No upload failed and nothing was put aside."""
    assert (mount.path / ".bambufs/transfers").read_text() == "No upload is running, and none has failed.\n"


def expect_files(mount: Path, files: dict[str, list[Any]]) -> None:
    """A remount shows every file as it was, the dot names and the times too."""
    for path, (content, mtime) in files.items():
        assert (mount / path).read_bytes().hex() == content, path
        assert mtime in (-1, int((mount / path).stat().st_mtime)), path


def run(
    printer: str, binding: str, folder: Path, count: int, seconds: float, *, write_back: float | None = None
) -> None:
    """Random operations, then a remount; nothing is left on the card or put aside on this computer."""
    need(binding)
    seed = new_seed()
    sys.stdout.write(f"seed {seed}, {count} operations, {binding} on {printer}\n")
    with running(printer, folder) as server:
        target: Target = server
        later = write_back is not None
        arguments = ("--write-back", str(write_back)) if later else ()
        with mounted(target, folder / "mnt", binding, arguments=arguments) as mount:
            told = fsx(mount.path, server.root, seed, count, seconds, *(["later"] if later else []))
            expect_nothing_owed(mount)
        assert [str(place) for place in server.root.rglob(".*")] == [], f"seed {seed}"
        with mounted(target, folder / "mnt", binding) as mount:
            expect_files(mount.path, told["files"])
    left = [file for kept in ("lost+found", "spool") for file in folder.rglob(f"{kept}/*")]
    assert left == [], f"seed {seed}"
    sys.stdout.write(f"{told['seconds']} s: {told['done']}\n")


@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("binding", BINDINGS)
def test_random_operations(printer: str, binding: str, tmp_path: Path) -> None:
    run(printer, binding, tmp_path, FEW, seconds=90)


def test_random_operations_with_uploads_in_the_background(tmp_path: Path) -> None:
    run("p1s", "fuse3", tmp_path, FEW, seconds=90, write_back=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("binding", BINDINGS)
def test_many_random_operations_with_uploads_in_the_background(printer: str, binding: str, tmp_path: Path) -> None:
    run(printer, binding, tmp_path, MANY, seconds=1500, write_back=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("printer", PRINTERS)
@pytest.mark.parametrize("binding", BINDINGS)
def test_many_random_operations(printer: str, binding: str, tmp_path: Path) -> None:
    run(printer, binding, tmp_path, MANY, seconds=1500)
