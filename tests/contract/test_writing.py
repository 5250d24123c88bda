"""Writing: what close() said yes to is on the card, byte for byte, and nothing else is."""

from __future__ import annotations

import errno
import os
import random

import pytest

from tests.contract.box import Box, refused
from tests.support.waiting import wait_until

NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
OLD = b"the old content of the file"


@pytest.mark.parametrize("size", [1, 4096, 131_072, 1_000_001, 6_000_000])
def test_a_new_file_is_on_the_card_when_close_returns(box: Box, size: int) -> None:
    content = random.randbytes(size)

    box.root.write(box.at("new.3mf"), content)

    assert box.card("new.3mf") == content


def test_an_upload_leaves_nothing_but_the_file(box: Box) -> None:
    box.root.write(box.at("new.3mf"), b"x" * 100_000)

    assert box.card_names() == ["new.3mf"]


def test_an_upload_goes_to_a_part_name_first_and_is_renamed(box: Box) -> None:
    box.root.write(box.at("new.3mf"), b"x")

    [part] = box.stored()
    assert part != "new.3mf"
    assert box.renamed_to() == ["new.3mf"]


def test_a_new_file_that_is_never_written_is_created_empty(box: Box) -> None:
    box.root.write(box.at("empty.txt"), b"")

    wait_until(lambda: box.card_names() == ["empty.txt"], "the empty file to be on the card")
    assert box.card("empty.txt") == b""


def test_what_was_written_reads_back_at_once(box: Box) -> None:
    content = random.randbytes(700_000)

    box.root.write(box.at("a.bin"), content)

    assert box.root.read(box.at("a.bin")) == content


def test_a_new_file_shows_in_its_folder_before_it_is_closed(box: Box) -> None:
    box.root.names(box.at())

    with box.root.opened(box.at("a.gcode"), NEW) as handle:
        handle.write(b"G28")
        assert box.root.names(box.at()) == ["a.gcode"]
        assert box.root.status(box.at("a.gcode")).size == 3


def test_writing_in_the_middle_keeps_the_rest(box: Box) -> None:
    content = bytearray(random.randbytes(300_000))
    box.put("a.bin", bytes(content))

    with box.root.opened(box.at("a.bin"), os.O_RDWR) as handle:
        handle.write(b"CHANGED", 123_456)

    content[123_456:123_463] = b"CHANGED"
    assert box.card("a.bin") == bytes(content)


def test_a_gap_that_was_not_written_is_zeros(box: Box) -> None:
    with box.root.opened(box.at("sparse.bin"), NEW) as handle:
        handle.write(b"end", 100_000)

    assert box.card("sparse.bin") == bytes(100_000) + b"end"


def test_writing_past_the_end_of_an_old_file_fills_with_zeros(box: Box) -> None:
    box.put("a.bin", b"start")

    with box.root.opened(box.at("a.bin"), os.O_WRONLY) as handle:
        handle.write(b"end", 10)

    assert box.card("a.bin") == b"start\0\0\0\0\0end"


def test_pieces_in_any_order_make_one_file(box: Box) -> None:
    content = random.randbytes(500_000)
    starts = list(range(0, len(content), 10_000))
    random.shuffle(starts)

    with box.root.opened(box.at("a.bin"), NEW) as handle:
        for start in starts:
            handle.write(content[start : start + 10_000], start)

    assert box.card("a.bin") == content


def test_a_shorter_new_content_replaces_a_longer_one_whole(box: Box) -> None:
    box.put("a.txt", OLD)

    box.root.write(box.at("a.txt"), b"new")

    assert box.card("a.txt") == b"new"


def test_emptying_a_file_by_opening_it_empties_it_on_the_card(box: Box) -> None:
    box.put("a.txt", OLD)

    box.root.write(box.at("a.txt"), b"")

    wait_until(lambda: box.holds("a.txt", b""), "the file to be empty on the card")


def test_appending_adds_to_the_end(box: Box) -> None:
    box.put("log.txt", b"one\n")

    with box.root.opened(box.at("log.txt"), os.O_WRONLY | os.O_APPEND) as handle:
        handle.write(b"two\n")
        handle.write(b"three\n")

    assert box.card("log.txt") == b"one\ntwo\nthree\n"


@pytest.mark.parametrize(("length", "content"), [(7, b"the old"), (0, b""), (30, OLD + bytes(3)), (27, OLD)])
def test_truncate_by_name_cuts_or_extends_on_the_card(box: Box, length: int, content: bytes) -> None:
    box.put("a.txt", OLD)

    box.root.truncate(box.at("a.txt"), length)

    assert box.card("a.txt") == content
    assert box.root.status(box.at("a.txt")).size == length


@pytest.mark.parametrize(("length", "content"), [(7, b"the old"), (0, b""), (30, OLD + bytes(3))])
def test_truncate_of_an_open_file_cuts_or_extends_on_the_card(box: Box, length: int, content: bytes) -> None:
    box.put("a.txt", OLD)

    with box.root.opened(box.at("a.txt"), os.O_RDWR) as handle:
        handle.truncate(length)
        assert handle.status().size == length

    assert box.card("a.txt") == content


def test_cutting_then_extending_leaves_zeros_not_the_old_bytes(box: Box) -> None:
    box.put("a.txt", OLD)

    with box.root.opened(box.at("a.txt"), os.O_RDWR) as handle:
        handle.truncate(3)
        handle.truncate(6)

    assert box.card("a.txt") == b"the\0\0\0"


def test_truncate_by_name_reaches_a_file_that_is_open_elsewhere(box: Box) -> None:
    with box.root.opened(box.at("a.txt"), NEW) as handle:
        handle.write(OLD)
        box.root.truncate(box.at("a.txt"), 7)
        assert handle.status().size == 7

    assert box.card("a.txt") == b"the old"


def test_truncate_of_a_missing_file_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.truncate(box.at("missing"), 0)


def test_truncate_of_a_folder_is_eisdir(box: Box) -> None:
    box.put("folder/x")

    with refused(errno.EISDIR):
        box.root.truncate(box.at("folder"), 0)


def test_exclusive_creation_of_something_that_exists_is_eexist(box: Box) -> None:
    box.put("a.txt", OLD)

    with refused(errno.EEXIST):
        box.root.open(box.at("a.txt"), NEW | os.O_EXCL)

    assert box.card("a.txt") == OLD


def test_creating_in_a_missing_folder_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.open(box.at("missing/a.txt"), NEW)


def test_creating_below_a_file_is_enotdir(box: Box) -> None:
    box.put("a.txt")

    with refused(errno.ENOTDIR):
        box.root.open(box.at("a.txt/b"), NEW)


def test_a_writer_reads_what_it_has_not_closed_yet(box: Box) -> None:
    box.put("a.bin", b"0123456789")

    with box.root.opened(box.at("a.bin"), os.O_RDWR) as handle:
        handle.write(b"AB", 4)
        assert handle.read(100) == b"0123AB6789"


def test_another_reader_sees_what_is_not_closed_yet(box: Box) -> None:
    with box.root.opened(box.at("a.bin"), NEW) as writer:
        writer.write(b"fresh")
        with box.root.opened(box.at("a.bin"), os.O_RDONLY) as reader:
            assert reader.read(100) == b"fresh"


def test_two_writers_of_one_file_share_one_content(box: Box) -> None:
    with box.root.opened(box.at("a.bin"), NEW) as one:
        one.write(b"aaaa", 0)
        with box.root.opened(box.at("a.bin"), os.O_RDWR) as other:
            other.write(b"bb", 4)
        one.write(b"cc", 6)

    assert box.card("a.bin") == b"aaaabbcc"


def test_fsync_puts_the_content_on_the_card_before_close(box: Box) -> None:
    with box.root.opened(box.at("a.txt"), NEW) as handle:
        handle.write(b"safe")
        handle.sync()
        assert box.card("a.txt") == b"safe"


def test_writing_after_fsync_is_on_the_card_after_close(box: Box) -> None:
    with box.root.opened(box.at("a.txt"), NEW) as handle:
        handle.write(b"first")
        handle.sync()
        handle.write(b" second", 5)

    assert box.card("a.txt") == b"first second"


def test_close_after_fsync_does_not_upload_again(box: Box) -> None:
    with box.root.opened(box.at("a.txt"), NEW) as handle:
        handle.write(b"once")
        handle.sync()

    assert len(box.stored()) == 1


def test_opening_for_writing_without_writing_uploads_nothing(box: Box) -> None:
    box.put("a.txt", OLD)

    with box.root.opened(box.at("a.txt"), os.O_RDWR) as handle:
        handle.read(5)

    assert box.stored() == []


def test_one_copy_is_one_upload(box: Box) -> None:
    box.root.write(box.at("a.bin"), random.randbytes(1_000_000))

    assert len(box.stored()) == 1


def test_the_size_is_right_while_and_after_writing(box: Box) -> None:
    with box.root.opened(box.at("a.bin"), NEW) as handle:
        handle.write(b"x" * 5000)
        during = handle.status().size
    after = box.root.status(box.at("a.bin")).size

    assert (during, after) == (5000, 5000)


def test_a_reader_of_the_old_content_is_not_mixed_with_the_new(box: Box) -> None:
    box.put("a.bin", b"o" * 200_000)
    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as reader:
        reader.read(10)
        box.root.write(box.at("new.bin"), b"n" * 200_000)
        box.root.rename(box.at("new.bin"), box.at("a.bin"))

        seen = reader.read(200_000)

    assert seen in (b"o" * 200_000, b"n" * 200_000)


@pytest.mark.parametrize("name", ["ümläut ☃.gcode.3mf", "two  blanks.3mf", " leading.3mf", "-rf", "a&b;c'd.gcode"])
def test_a_new_file_may_have_an_odd_name(box: Box, name: str) -> None:
    box.root.write(box.at(name), b"G28")

    assert box.card(name) == b"G28"
    assert box.root.names(box.at()) == [name]
