"""Which part files may lie on the card, remembered over a crash."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from bambufs.printer.leftovers import Leftovers


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "parts"


def noted(folder: Path, path: str) -> None:
    """A process notes ``path`` and ends."""
    leftovers = Leftovers(folder)
    leftovers.note(path)
    leftovers.close()


def test_noted_path_is_found_by_the_next_process(folder: Path) -> None:
    noted(folder, "/cache/.bambufs-1.part")
    assert Leftovers(folder).left_over() == ["/cache/.bambufs-1.part"]


def test_file_set_aside_is_found_with_the_path_that_it_had(folder: Path) -> None:
    leftovers = Leftovers(folder)
    leftovers.note("/cache/.bambufs-1.part", instead_of="/cache/x.3mf")
    leftovers.close()
    again = Leftovers(folder)
    assert (again.left_over(), again.set_aside()) == ([], [("/cache/.bambufs-1.part", "/cache/x.3mf")])


def test_upload_of_a_living_process_is_no_leftover(folder: Path) -> None:
    uploading = Leftovers(folder)
    uploading.note("/cache/.bambufs-1.part")
    assert Leftovers(folder).left_over() == []
    uploading.close()
    assert Leftovers(folder).left_over() == ["/cache/.bambufs-1.part"]


def test_path_noted_twice_is_noted_once(folder: Path) -> None:
    leftovers = Leftovers(folder)
    leftovers.note("/cache/.bambufs-1.part")
    before = os.listdir("/proc/self/fd")
    leftovers.note("/cache/.bambufs-1.part")
    assert os.listdir("/proc/self/fd") == before
    leftovers.close()
    assert Leftovers(folder).left_over() == ["/cache/.bambufs-1.part"]


def test_path_struck_out_is_forgotten(folder: Path) -> None:
    leftovers = Leftovers(folder)
    leftovers.note("/cache/.bambufs-1.part")
    leftovers.strike_out("/cache/.bambufs-1.part")
    assert leftovers.left_over() == []


def test_striking_out_what_was_not_noted_does_no_harm(folder: Path) -> None:
    Leftovers(folder).strike_out("/cache/.bambufs-1.part")


@pytest.mark.parametrize("path", ["/größe 体积/.bambufs-1.part", "/\udcff/.bambufs-1.part", "/a\nb/.bambufs-1.part"])
def test_odd_folder_is_remembered(folder: Path, path: str) -> None:
    noted(folder, path)
    assert Leftovers(folder).left_over() == [path]


def test_nothing_is_kept_without_a_folder() -> None:
    leftovers = Leftovers(None)
    leftovers.note("/x")
    leftovers.strike_out("/x")
    assert leftovers.left_over() == []


def test_folder_is_for_its_owner_alone(folder: Path) -> None:
    Leftovers(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_local_disk_that_fails_does_not_stop_an_upload(folder: Path) -> None:
    leftovers = Leftovers(folder)
    folder.rmdir()
    leftovers.note("/x")
