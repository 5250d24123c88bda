"""The bounds that a mount keeps to, whatever is on the card. Run by ``make soak``."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bambufs.mount import binding
from tests.benchmarks.idle import LINES, MEMORY, PROCESSOR, idle, lines_a_second, resident
from tests.support.mounting import Mounted, mounted
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer

MB = 1_000_000
HUGE = (4 << 30) - 1  # the biggest file of a FAT card
LONG_AGO = 1_700_000_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def server() -> Iterator[Vsftpd]:
    """A vsftpd with nothing on its card."""
    need("vsftpd")
    with vsftpd_printer() as server:
        yield server


@pytest.fixture
def mount(server: Vsftpd, tmp_path: Path) -> Iterator[Mounted]:
    """A mount of it."""
    with mounted(server, tmp_path / "mnt") as mount:
        yield mount


def make_files(folder: Path, count: int) -> None:
    folder.mkdir(parents=True)
    for number in range(count):
        file = folder / f"Cat_Toy_{number:05}.gcode.3mf"
        file.touch()
        os.utime(file, (LONG_AGO, LONG_AGO + number))


def run(*command: str | Path) -> bytes:
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_a_listing_is_read_at_two_hundred_thousand_lines_a_second() -> None:
    assert lines_a_second() > LINES


def test_a_mount_that_nobody_uses_costs_next_to_nothing() -> None:
    for name, cost in idle(sorted(binding.available()), 30.0).items():
        assert cost.resident < MEMORY, name
        assert cost.processor < 2 * PROCESSOR, name  # among other tests, which make it dearer to wake up


def test_a_folder_of_ten_thousand_and_a_tree_of_a_hundred_thousand(server: Vsftpd, mount: Mounted) -> None:
    make_files(server.root / "ten", 10_000)
    for number in range(100):
        make_files(server.root / f"tree/d{number:02}", 1_000)

    assert len(run("ls", "-l", mount.path / "ten").splitlines()) == 10_001
    assert len(run("ls", "-l", mount.path / "ten").splitlines()) == 10_001
    assert len(run("find", mount.path / "tree").splitlines()) == 100_101
    assert resident(mount) < 100 * MB


def test_the_biggest_file_goes_in_and_out_in_constant_memory(server: Vsftpd, mount: Mounted) -> None:
    block = os.urandom(1 << 20)
    with (mount.path / "huge.bin").open("wb", buffering=0) as file:
        for start in range(0, HUGE, len(block)):
            file.write(block[: HUGE - start])
    assert (server.root / "huge.bin").stat().st_size == HUGE
    run("cmp", mount.path / "huge.bin", server.root / "huge.bin")
    assert resident(mount) < 100 * MB


def test_sixty_four_readers_at_once(server: Vsftpd, mount: Mounted) -> None:
    contents = {f"{number}.bin": os.urandom(1 << 20) for number in range(64)}
    films = mount.path / "films"
    films.mkdir()
    for name, content in contents.items():
        (server.root / "films" / name).write_bytes(content)
    with ThreadPoolExecutor(len(contents)) as readers:
        read = dict(zip(contents, readers.map(lambda name: (films / name).read_bytes(), contents), strict=True))
    assert read == contents
    assert resident(mount) < 100 * MB


def test_fifty_mounts_on_one_machine(tmp_path: Path) -> None:
    need("vsftpd")
    with contextlib.ExitStack() as stack:
        mounts = []
        for number in range(10):
            server = stack.enter_context(vsftpd_printer())
            (server.root / "a.3mf").write_bytes(b"content")
            names = [tmp_path / f"{number}-{letter}" for letter in "abcde"]
            mounts += [stack.enter_context(mounted(server, name)) for name in names]
        for mount in mounts:
            assert (mount.path / "a.3mf").read_bytes() == b"content"
        assert max(map(resident, mounts)) < 45 * MB
