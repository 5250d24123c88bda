"""Reading, listing and looking: what lies on the card is what shows."""

from __future__ import annotations

import errno
import os
import random

import pytest

from tests.contract.box import Box, refused

# Names as real cards hold them, or as they break simple parsers of LIST.
ODD_NAMES = [
    " leading blank.gcode",
    "trailing blank ",
    "two  blanks.3mf",
    "points -> elsewhere.3mf",
    "-rf",
    "--help",
    "ümläut ☃.gcode.3mf",
    "plate #1 (50%) [x] {y} & 'z'.gcode",
    "Jan 01 12:00 fake.gcode",
    "drwxr-xr-x    2 0        0            4096 Nov 23 06:33 x",
    "~tilde",
    "100%25.gcode",
]


def test_a_file_reads_as_it_lies_on_the_card(box: Box) -> None:
    content = random.randbytes(3_000_001)
    box.put("plate.3mf", content)

    assert box.root.read(box.at("plate.3mf")) == content


def test_an_empty_file_reads_as_empty(box: Box) -> None:
    box.put("empty.gcode")

    assert box.root.read(box.at("empty.gcode")) == b""


@pytest.mark.parametrize("offset", [1, 4095, 4096, 100_000, 299_999])
def test_reading_starts_at_any_offset(box: Box, offset: int) -> None:
    content = random.randbytes(300_000)
    box.put("a.bin", content)

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        assert handle.read(1000, offset) == content[offset : offset + 1000]


def test_reading_across_the_end_gives_what_there_is(box: Box) -> None:
    box.put("a.bin", b"0123456789")

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        assert handle.read(100, 8) == b"89"


@pytest.mark.parametrize("offset", [10, 11, 1_000_000])
def test_reading_at_or_past_the_end_gives_nothing(box: Box, offset: int) -> None:
    box.put("a.bin", b"0123456789")

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        assert handle.read(100, offset) == b""


def test_reading_backwards_gives_the_right_bytes(box: Box) -> None:
    content = random.randbytes(500_000)
    box.put("a.bin", content)

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        pieces = [handle.read(100_000, offset) for offset in (400_000, 300_000, 200_000, 100_000, 0)]

    assert b"".join(reversed(pieces)) == content


def test_reading_the_end_fetches_no_more_than_the_printer_makes_it(box: Box) -> None:
    content = random.randbytes(4_000_000)
    box.put("plate.3mf", content)
    started, fetched = len(box.printer.sent("REST")), len(box.printer.sent("RETR"))

    with box.root.opened(box.at("plate.3mf"), os.O_RDONLY) as handle:
        assert handle.read(1000, 3_999_000) == content[-1000:]
        assert handle.read(1000, 3_000_000) == content[3_000_000:3_001_000]

    starts = [int(argument) for argument in box.printer.sent("REST")[started:]]
    if box.printer.traits.starts_anywhere:
        assert min(starts) > 2_900_000
    else:  # the whole file, once
        assert (starts, len(box.printer.sent("RETR")) - fetched) == ([], 1)


def test_two_readers_of_one_file_do_not_disturb_each_other(box: Box) -> None:
    content = random.randbytes(400_000)
    box.put("a.bin", content)

    with (
        box.root.opened(box.at("a.bin"), os.O_RDONLY) as one,
        box.root.opened(box.at("a.bin"), os.O_RDONLY) as other,
    ):
        front = one.read(1000, 0), other.read(1000, 399_000)
        back = one.read(1000, 1000), other.read(1000, 0)

    assert front == (content[:1000], content[399_000:])
    assert back == (content[1000:2000], content[:1000])


def test_stat_tells_the_size_and_kind_of_a_file(box: Box) -> None:
    box.put("a.gcode", b"G28\n")

    status = box.root.status(box.at("a.gcode"))

    assert (status.is_dir, status.size) == (False, 4)


def test_stat_tells_a_folder(box: Box) -> None:
    box.put("folder/x")

    assert box.root.status(box.at("folder")).is_dir


def test_the_root_of_the_card_is_a_folder(box: Box) -> None:
    assert box.root.status("/").is_dir


def test_fstat_agrees_with_stat(box: Box) -> None:
    box.put("a.gcode", b"G28\n", mtime=1_760_000_001)

    with box.root.opened(box.at("a.gcode"), os.O_RDONLY) as handle:
        assert handle.status() == box.root.status(box.at("a.gcode"))


def test_a_listing_names_everything_once(box: Box) -> None:
    names = sorted(f"file {number:03}.gcode" for number in range(200))
    for name in names:
        box.put(name, name.encode())
    box.put("sub/inner")

    assert box.root.names(box.at()) == sorted([*names, "sub"])


def test_listing_an_empty_folder_gives_nothing(box: Box) -> None:
    assert box.root.names(box.at()) == []


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_is_listed_and_readable(box: Box, name: str) -> None:
    box.put(name, name.encode())

    listed = box.root.names(box.at())

    assert listed == [name]
    assert box.root.read(box.at(name)) == name.encode()


@pytest.mark.parametrize("name", [" a folder ", "-l", "a -> b"])
def test_a_folder_with_an_odd_name_can_be_entered(box: Box, name: str) -> None:
    box.put(f"{name}/inside.gcode", b"G28")

    assert box.root.names(box.at(name)) == ["inside.gcode"]
    assert box.root.read(box.at(f"{name}/inside.gcode")) == b"G28"


def test_a_name_that_is_not_utf8_is_listed_and_readable(box: Box) -> None:
    box.put(b"caf\xe9.gcode", b"G28")

    [name] = box.root.names(box.at())

    assert os.fsencode(name) == b"caf\xe9.gcode"
    assert box.root.read(box.at(name)) == b"G28"


def test_files_deep_below_are_reached_at_once(box: Box) -> None:
    box.put("a/b/c/d/e.gcode", b"deep")

    assert box.root.read(box.at("a/b/c/d/e.gcode")) == b"deep"


def test_a_missing_file_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.status(box.at("missing"))


def test_opening_a_missing_file_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.open(box.at("missing"), os.O_RDONLY)


def test_listing_a_missing_folder_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.names(box.at("missing"))


def test_something_below_a_missing_folder_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.status(box.at("missing/a.gcode"))


def test_something_below_a_file_is_enotdir(mount_box: Box) -> None:
    mount_box.put("a.gcode")

    with refused(errno.ENOTDIR):
        mount_box.root.status(mount_box.at("a.gcode/b"))


def test_listing_a_file_is_enotdir(box: Box) -> None:
    box.put("a.gcode")

    with refused(errno.ENOTDIR):
        box.root.names(box.at("a.gcode"))


def test_opening_a_folder_for_writing_is_eisdir(box: Box) -> None:
    box.put("folder/x")

    with refused(errno.EISDIR):
        box.root.open(box.at("folder"), os.O_RDWR)


def test_the_card_has_a_size_and_room(box: Box) -> None:
    free, total = box.root.free_bytes()

    assert 0 < free <= total


def test_what_exists_may_be_read_and_written(box: Box) -> None:
    box.put("a.gcode")

    assert box.root.may(box.at("a.gcode"), os.R_OK | os.W_OK)


def test_what_is_missing_may_not_be_accessed(box: Box) -> None:
    assert not box.root.may(box.at("missing"), os.F_OK)


def test_looking_sends_no_upload(box: Box) -> None:
    box.put("a.gcode", b"G28")

    box.root.read(box.at("a.gcode"))
    box.root.names(box.at())

    assert box.stored() == []
