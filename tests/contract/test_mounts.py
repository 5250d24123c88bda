"""Mounts of their own: read-only ones, remounts, and what changes on the printer meanwhile."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contract.box import Box, refused
from tests.contract.conftest import MountFresh
from tests.support.waiting import wait_until

SET = 1_700_000_001
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC

CHANGES: dict[str, Callable[[Box], object]] = {
    "create": lambda box: box.root.open(box.at("new.txt"), NEW),
    "create a dot file": lambda box: box.root.open(box.at(".new"), NEW),
    "overwrite": lambda box: box.root.open(box.at("a.txt"), NEW),
    "append": lambda box: box.root.open(box.at("a.txt"), os.O_WRONLY | os.O_APPEND),
    "truncate": lambda box: box.root.truncate(box.at("a.txt"), 1),
    "unlink": lambda box: box.root.unlink(box.at("a.txt")),
    "rename": lambda box: box.root.rename(box.at("a.txt"), box.at("b.txt")),
    "mkdir": lambda box: box.root.mkdir(box.at("new")),
    "rmdir": lambda box: box.root.rmdir(box.at("folder")),
    "set a time": lambda box: box.root.set_time(box.at("a.txt"), SET),
    "chmod": lambda box: box.path("a.txt").chmod(0o600),
    "symlink": lambda box: box.path("link").symlink_to("a.txt"),
}


@pytest.mark.parametrize("how", [{"arguments": ("--read-only",)}, {"options": ("ro",)}], ids=["--read-only", "-o ro"])
def test_a_read_only_mount_refuses_every_change_with_erofs(mount_fresh: MountFresh, how: dict[str, tuple[str]]) -> None:
    with mount_fresh(**how) as box:
        box.put("a.txt", b"content")
        box.put("folder/x")
        (box.disk / "folder/x").unlink()
        for change in CHANGES.values():
            with refused(errno.EROFS):
                change(box)

        assert box.root.read(box.at("a.txt")) == b"content"
        assert box.card_names() == ["a.txt", "folder"]


@pytest.mark.parametrize("server", ["vsftpd", "a1mini"], indirect=True)
def test_files_and_times_are_the_same_after_a_remount(mount_fresh: MountFresh) -> None:
    with mount_fresh() as box:
        box.root.write(box.at("a.3mf"), b"content")
        box.root.set_time(box.at("a.3mf"), SET)
        box.root.write(box.at("b.3mf"), b"other")
        before = [box.root.status(box.at(name)) for name in ("a.3mf", "b.3mf")]

    with mount_fresh() as box:
        assert [box.root.status(box.at(name)) for name in ("a.3mf", "b.3mf")] == before
        assert before[0].mtime == SET
        assert box.root.read(box.at("a.3mf")) == b"content"


@pytest.mark.parametrize("binding", ["fuse3"], indirect=True)
def test_a_file_that_the_printer_adds_shows_within_the_ttl(mount_fresh: MountFresh) -> None:
    with mount_fresh(arguments=("--ttl", "0.5")) as box:
        assert box.root.names(box.at()) == []

        box.put("timelapse.mp4", b"video")

        wait_until(lambda: box.root.names(box.at()) == ["timelapse.mp4"], "the new file to show", seconds=3)
        assert box.root.read(box.at("timelapse.mp4")) == b"video"


@pytest.mark.parametrize("binding", ["fuse3"], indirect=True)
def test_a_file_that_the_printer_removes_vanishes_within_the_ttl(mount_fresh: MountFresh) -> None:
    with mount_fresh(arguments=("--ttl", "0.5")) as box:
        box.put("old.3mf", b"x")
        assert box.root.names(box.at()) == ["old.3mf"]

        (box.disk / "old.3mf").unlink()

        wait_until(lambda: not box.root.exists(box.at("old.3mf")), "the file to vanish", seconds=3)


@pytest.mark.parametrize("binding", ["fuse3"], indirect=True)
def test_a_file_that_the_printer_changes_is_read_anew_within_the_ttl(mount_fresh: MountFresh) -> None:
    with mount_fresh(arguments=("--ttl", "0.5")) as box:
        box.put("a.txt", b"old", mtime=SET)
        assert box.root.read(box.at("a.txt")) == b"old"

        box.put("a.txt", b"new and longer", mtime=SET + 100)

        wait_until(lambda: box.root.read(box.at("a.txt")) == b"new and longer", "the new content", seconds=3)


def test_a_full_listing_is_asked_for_once_while_it_is_fresh(mount_fresh: MountFresh) -> None:
    with mount_fresh(arguments=("--ttl", "60")) as box:
        for number in range(50):
            box.put(f"{number}.gcode", b"G28")
        box.root.names(box.at())
        asked = len(box.printer.sent("LIST"))

        for number in range(50):
            box.root.status(box.at(f"{number}.gcode"))
            assert not box.root.exists(box.at(f"missing {number}"))

        assert len(box.printer.sent("LIST")) == asked


@pytest.mark.parametrize("server", ["vsftpd"], indirect=True)
def test_many_readers_do_not_wait_for_each_other_s_pauses(mount_fresh: MountFresh) -> None:
    contents = {f"{number}.bin": os.urandom(1 << 20) for number in range(64)}
    with mount_fresh() as box:
        for name, content in contents.items():
            box.put(name, content)

        began = time.monotonic()
        with ThreadPoolExecutor(len(contents)) as readers:
            read = dict(zip(contents, readers.map(lambda name: box.path(name).read_bytes(), contents), strict=True))

        assert read == contents
        assert time.monotonic() - began < 20  # each pause is a second: it was a minute
