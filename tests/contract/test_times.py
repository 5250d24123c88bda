"""Times stay: what was set is what shows, in whole seconds, here and on the card."""

from __future__ import annotations

import ctypes
import os
import time
from pathlib import Path

import pytest

from tests.contract.box import Box

SET = 1_700_000_001  # odd, so that a card's resolution of two seconds would show
MINUTE, DAY = 60, 86400
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC


def test_a_set_time_shows_here_and_on_the_card(box: Box) -> None:
    box.put("a.gcode", b"G28")

    box.root.set_time(box.at("a.gcode"), SET)

    assert box.root.status(box.at("a.gcode")).mtime == SET
    assert box.keeps_time("a.gcode", SET)


def test_a_set_time_changes_no_content_and_uploads_nothing(box: Box) -> None:
    box.put("a.gcode", b"G28")

    box.root.set_time(box.at("a.gcode"), SET)

    assert box.card("a.gcode") == b"G28"
    assert box.stored() == []


@pytest.mark.parametrize("mtime", [0, 315_532_800, 951_782_399, 2_000_000_000])
def test_old_and_future_times_can_be_set(box: Box, mtime: int) -> None:
    box.put("a.gcode", b"G28")

    box.root.set_time(box.at("a.gcode"), mtime)

    assert box.root.status(box.at("a.gcode")).mtime == mtime


def test_a_time_set_before_close_stays_after_it(box: Box) -> None:
    with box.root.opened(box.at("a.gcode"), NEW) as handle:
        handle.write(b"G28")
        box.root.set_time(box.at("a.gcode"), SET)

    assert box.root.status(box.at("a.gcode")).mtime == SET
    assert box.keeps_time("a.gcode", SET)


def test_a_time_set_after_an_upload_stays(box: Box) -> None:
    box.root.write(box.at("a.gcode"), b"G28")

    box.root.set_time(box.at("a.gcode"), SET)

    assert box.root.status(box.at("a.gcode")).mtime == SET
    assert box.keeps_time("a.gcode", SET)


def test_a_time_moves_with_its_file(box: Box) -> None:
    box.root.write(box.at("a.gcode"), b"G28")
    box.root.set_time(box.at("a.gcode"), SET)

    box.root.rename(box.at("a.gcode"), box.at("b.gcode"))

    assert box.root.status(box.at("b.gcode")).mtime == SET
    assert box.keeps_time("b.gcode", SET)


def test_a_set_time_shows_in_an_open_handle(box: Box) -> None:
    with box.root.opened(box.at("a.gcode"), NEW) as handle:
        handle.write(b"G28")
        box.root.set_time(box.at("a.gcode"), SET)
        assert handle.status().mtime == SET


def test_writing_makes_the_time_new(box: Box) -> None:
    box.put("a.gcode", b"G28", mtime=SET)

    before = int(time.time())
    box.root.write(box.at("a.gcode"), b"G29")

    assert before - 2 <= box.root.status(box.at("a.gcode")).mtime <= time.time() + 2


def test_writing_after_setting_a_time_makes_it_new_again(box: Box) -> None:
    with box.root.opened(box.at("a.gcode"), NEW) as handle:
        handle.write(b"G28")
        box.root.set_time(box.at("a.gcode"), SET)
        handle.write(b"G29", 3)

    assert box.root.status(box.at("a.gcode")).mtime > SET


def test_reading_leaves_the_time(box: Box) -> None:
    box.put("a.gcode", b"G28", mtime=SET)
    before = box.root.status(box.at("a.gcode"))

    box.root.read(box.at("a.gcode"))

    assert box.root.status(box.at("a.gcode")) == before


def test_a_listed_time_is_as_exact_as_the_printer_tells_it(box: Box) -> None:
    old, recent = SET // 2 * 2, int(time.time() - 3601) // 2 * 2  # even, which every card can hold
    box.put("recent.gcode", b"G28", mtime=recent)
    box.put("old.gcode", b"G28", mtime=old)
    box.root.names(box.at())

    times = [box.root.status(box.at(name)).mtime for name in ("old.gcode", "recent.gcode")]

    if not box.printer.traits.keeps_times:  # there asking for the second would cost a round trip for each file
        old, recent = old // DAY * DAY, recent // MINUTE * MINUTE
    assert times == [old, recent]


def test_a_time_does_not_move_after_the_upload(box: Box) -> None:
    with box.root.opened(box.at("a.gcode"), NEW) as handle:
        handle.write(b"G28")
        handle.sync()
        during = box.root.status(box.at("a.gcode")).mtime
    after = box.root.status(box.at("a.gcode")).mtime

    assert during == after
    assert box.keeps_time("a.gcode", after)


def test_setting_the_time_of_a_folder_is_accepted(box: Box) -> None:
    box.put("folder/x")

    box.root.set_time(box.at("folder"), SET)

    assert box.root.status(box.at("folder")).is_dir


def test_fractions_of_a_second_are_cut_off(mount_box: Box) -> None:
    mount_box.put("a.gcode", b"G28")

    os.utime(mount_box.path("a.gcode"), ns=(SET * 10**9 + 999_999_999,) * 2)

    assert mount_box.path("a.gcode").stat().st_mtime_ns == SET * 10**9


def test_the_time_of_a_fresh_file_is_whole_seconds(mount_box: Box) -> None:
    mount_box.path("a.gcode").write_bytes(b"G28")

    assert mount_box.path("a.gcode").stat().st_mtime_ns % 10**9 == 0


def test_now_as_a_time_is_now(mount_box: Box) -> None:
    mount_box.put("a.gcode", b"G28", mtime=SET)

    before = int(time.time())
    os.utime(mount_box.path("a.gcode"))

    assert before - 1 <= mount_box.path("a.gcode").stat().st_mtime <= time.time() + 1


def test_omitting_the_time_leaves_it(mount_box: Box) -> None:
    mount_box.put("a.gcode", b"G28", mtime=SET)

    before = mount_box.path("a.gcode").stat().st_mtime

    utimens(mount_box.path("a.gcode"), (1_800_000_000, 0), (0, UTIME_OMIT))

    assert mount_box.path("a.gcode").stat().st_mtime == before


def test_setting_the_time_alone_works_when_the_other_is_omitted(mount_box: Box) -> None:
    mount_box.put("a.gcode", b"G28")

    utimens(mount_box.path("a.gcode"), (0, UTIME_OMIT), (SET, 5))

    assert mount_box.path("a.gcode").stat().st_mtime == SET


def test_now_by_number_is_now(mount_box: Box) -> None:
    mount_box.put("a.gcode", b"G28", mtime=SET)

    utimens(mount_box.path("a.gcode"), (0, UTIME_OMIT), (0, UTIME_NOW))

    assert mount_box.path("a.gcode").stat().st_mtime > SET + 1_000_000


UTIME_NOW, UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2


def utimens(path: Path, atime: tuple[int, int], mtime: tuple[int, int]) -> None:
    """Call utimensat(2) with seconds and nanoseconds, which `os.utime` cannot give as they are."""
    times = (ctypes.c_long * 4)(*atime, *mtime)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.utimensat(-100, os.fsencode(path), times, 0) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
