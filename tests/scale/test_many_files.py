"""Thousands of small files, sent, sent again, unpacked and deleted, on one connection and on three."""

from __future__ import annotations

import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mounting import Mounted, mounted
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COUNT = 2000
LONG_AGO = 1_700_000_000


@pytest.fixture
def server() -> Iterator[Vsftpd]:
    need("vsftpd")
    with vsftpd_printer() as server:
        yield server


@pytest.fixture(params=["1", "3"], ids=["one connection", "three connections"])
def mount(request: pytest.FixtureRequest, server: Vsftpd, tmp_path: Path) -> Iterator[Mounted]:
    with mounted(server, tmp_path / "mnt", options=[f"sessions={request.param}"]) as mount:
        yield mount


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree of small files with times of long ago."""
    source = tmp_path / "source"
    for number in range(COUNT):
        file = source / f"d{number % 20:02}" / f"part {number:04}.gcode"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(number))
        os.utime(file, (LONG_AGO, LONG_AGO + number))
    return source


def run(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def tree(folder: Path, *, times: bool) -> dict[str, tuple[bytes, float]]:
    """Every file below ``folder``, hidden ones too: its content, and its time where that matters."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mtime if times else 0.0) for file in files
    }


def test_rsync_sends_thousands_once(server: Vsftpd, mount: Mounted, source: Path) -> None:
    run("rsync", "-a", f"{source}/", mount.path / "sent/")
    assert tree(server.root / "sent", times=True) == tree(source, times=True)
    again = run("rsync", "-a", "--itemize-changes", f"{source}/", mount.path / "sent/")
    assert [line for line in again.splitlines() if line.startswith(">f")] == []


def test_thousands_are_copied_and_deleted(server: Vsftpd, mount: Mounted, source: Path) -> None:
    run("cp", "-r", source, mount.path / "copied")
    assert tree(server.root / "copied", times=False) == tree(source, times=False)
    run("rm", "-r", mount.path / "copied")
    assert not (server.root / "copied").exists()


def test_thousands_are_unpacked(server: Vsftpd, mount: Mounted, source: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(source, "unpacked")
    run("tar", "-x", "-f", tmp_path / "all.tar", "-C", mount.path)
    assert tree(server.root / "unpacked", times=True) == tree(source, times=True)
