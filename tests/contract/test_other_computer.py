"""What one computer has put on the card, another one finds as it was put there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.contract.printers import open_printer
from tests.support.mounting import mounted
from tests.support.needs import need

LONG_AGO, COUNT = 1_500_000_001, 40


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files with times of all kinds: listed with minutes, with days, and just made."""
    folder = tmp_path / "source"
    for number in range(COUNT):
        file = folder / f"d{number % 3}" / f"part {number}.stl"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * (number * 10))
        if number % 2:
            os.utime(file, (LONG_AGO + number * 86_399, LONG_AGO + number * 86_399))
    return folder


def rsync(source: Path, target: Path) -> list[str]:
    """Copy as `rsync -a` does; return the files that it sent."""
    command = ["rsync", "-a", "--itemize-changes", f"{source}/", f"{target}/"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [line for line in done.stdout.splitlines() if line.startswith((">f", "<f"))]


def test_the_first_rsync_of_another_computer_sends_nothing(tmp_path: Path, source: Path) -> None:
    need("vsftpd", "rsync")
    with open_printer("vsftpd", tmp_path / "card") as printer:
        with mounted(printer, tmp_path / "first", cache_dir=tmp_path / "cache of the first") as mount:
            assert len(rsync(source, mount.path / "parts")) == COUNT
        stores = len(printer.sent("STOR"))

        with mounted(printer, tmp_path / "second", cache_dir=tmp_path / "cache of the second") as mount:
            assert rsync(source, mount.path / "parts") == []
            assert rsync(mount.path / "parts", source) == []
        assert len(printer.sent("STOR")) == stores
