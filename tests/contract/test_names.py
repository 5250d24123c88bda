"""Renaming, deleting, folders, and the names that a card can hold."""

from __future__ import annotations

import errno
import os
import subprocess
import threading

import pytest

from tests.contract.box import Box, refused
from tests.support.waiting import wait_until

NEW = os.O_RDWR | os.O_CREAT | os.O_TRUNC


def test_rename_moves_the_content_to_the_new_name(box: Box) -> None:
    box.put("old.3mf", b"content")

    box.root.rename(box.at("old.3mf"), box.at("new.3mf"))

    assert box.root.names(box.at()) == ["new.3mf"]
    assert box.card_names() == ["new.3mf"]
    assert box.card("new.3mf") == b"content"


def test_rename_uploads_nothing(box: Box) -> None:
    box.put("old.3mf", b"content")

    box.root.rename(box.at("old.3mf"), box.at("new.3mf"))

    assert box.stored() == []


def test_rename_into_another_folder_moves_the_file(box: Box) -> None:
    box.put("a/x.3mf", b"content")
    box.put("b/y.3mf")

    box.root.rename(box.at("a/x.3mf"), box.at("b/x.3mf"))

    assert box.root.names(box.at("a")) == []
    assert box.card("b/x.3mf") == b"content"


def test_rename_over_a_file_replaces_it(box: Box) -> None:
    box.put("new.3mf", b"new")
    box.put("old.3mf", b"old and longer")

    box.root.rename(box.at("new.3mf"), box.at("old.3mf"))

    assert box.card_names() == ["old.3mf"]
    assert box.card("old.3mf") == b"new"
    assert box.root.read(box.at("old.3mf")) == b"new"


def test_overwriting_leaves_the_old_or_the_new_content_at_every_moment(box: Box) -> None:
    contents = [bytes([letter]) * 50_000 for letter in b"abcdefghij"]
    box.put("a.bin", contents[0])
    seen: list[object] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            try:
                seen.append(box.card("a.bin"))
            except OSError as error:
                seen.append(error)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for content in contents[1:]:
            box.root.write(box.at("a.bin"), content)
    finally:
        done.set()
        watcher.join()

    if not box.printer.traits.replaces_at_once:
        seen = [item for item in seen if not isinstance(item, FileNotFoundError)]
    assert [item for item in seen if item not in contents] == []
    assert box.card_names() == ["a.bin"]
    assert box.card("a.bin") == contents[-1]


def test_renaming_over_a_file_never_leaves_the_name_without_one(box: Box) -> None:
    box.put("a.bin", b"old")
    missing: list[int] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if not (box.disk / "a.bin").exists():
                missing.append(1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(10):
            box.root.write(box.at("new.bin"), str(number).encode())
            box.root.rename(box.at("new.bin"), box.at("a.bin"))
    finally:
        done.set()
        watcher.join()

    assert box.card("a.bin") == b"9"
    assert box.card_names() == ["a.bin"]
    assert not (missing and box.printer.traits.replaces_at_once)


def test_rename_of_a_folder_takes_all_that_is_in_it(box: Box) -> None:
    box.put("old/one.3mf", b"1")
    box.put("old/deep/two.3mf", b"2")
    box.root.names(box.at("old/deep"))

    box.root.rename(box.at("old"), box.at("new"))

    assert box.card_names() == ["new", "new/deep", "new/deep/two.3mf", "new/one.3mf"]
    assert box.root.read(box.at("new/deep/two.3mf")) == b"2"
    assert not box.root.exists(box.at("old/one.3mf"))


def test_a_folder_whose_name_begins_alike_stays_when_another_is_renamed(box: Box) -> None:
    box.put("ab/x", b"1")
    box.put("abc/y", b"2")
    box.root.names(box.at("abc"))

    box.root.rename(box.at("ab"), box.at("zz"))

    assert box.root.read(box.at("abc/y")) == b"2"
    assert box.root.names(box.at()) == ["abc", "zz"]


def test_rename_of_an_open_file_takes_the_handle_along(box: Box) -> None:
    with box.root.opened(box.at("draft.gcode"), NEW) as handle:
        handle.write(b"one ")
        box.root.rename(box.at("draft.gcode"), box.at("final.gcode"))
        handle.write(b"two", 4)

    assert box.card_names() == ["final.gcode"]
    assert box.card("final.gcode") == b"one two"


def test_rename_of_a_file_that_is_open_for_reading_does_not_disturb_the_reader(box: Box) -> None:
    content = os.urandom(400_000)
    box.put("a.bin", content)

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        start = handle.read(1000)
        box.root.rename(box.at("a.bin"), box.at("b.bin"))
        assert start + handle.read(400_000, 1000) == content


def test_rename_of_a_folder_with_an_open_file_takes_the_handle_along(box: Box) -> None:
    box.put("old/x")
    with box.root.opened(box.at("old/draft.gcode"), NEW) as handle:
        handle.write(b"content")
        box.root.rename(box.at("old"), box.at("new"))

    assert box.card("new/draft.gcode") == b"content"
    assert "old" not in box.card_names()


def test_rename_of_a_fresh_file_over_an_old_one_that_is_open_keeps_both_apart(box: Box) -> None:
    box.put("a.txt", b"old")
    box.root.write(box.at("b.txt"), b"new")
    with box.root.opened(box.at("a.txt"), os.O_RDONLY) as reader:
        reader.read(1)
        box.root.rename(box.at("b.txt"), box.at("a.txt"))

    assert box.root.read(box.at("a.txt")) == b"new"


def test_rename_to_the_same_name_changes_nothing(box: Box) -> None:
    box.put("a.txt", b"content")

    box.root.rename(box.at("a.txt"), box.at("a.txt"))

    assert box.card("a.txt") == b"content"


def test_rename_of_something_missing_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.rename(box.at("missing"), box.at("new"))


def test_rename_into_a_missing_folder_is_enoent(box: Box) -> None:
    box.put("a.txt", b"content")

    with refused(errno.ENOENT):
        box.root.rename(box.at("a.txt"), box.at("missing/a.txt"))

    assert box.card("a.txt") == b"content"


def test_rename_of_a_file_onto_a_folder_is_eisdir(box: Box) -> None:
    box.put("a.txt", b"content")
    box.put("folder/x")

    with refused(errno.EISDIR):
        box.root.rename(box.at("a.txt"), box.at("folder"))

    assert box.card("a.txt") == b"content"


def test_rename_of_a_folder_onto_a_file_is_enotdir(box: Box) -> None:
    box.put("a.txt", b"content")
    box.put("folder/x")

    with refused(errno.ENOTDIR):
        box.root.rename(box.at("folder"), box.at("a.txt"))

    assert box.card("a.txt") == b"content"


def test_rename_of_a_folder_onto_one_that_is_not_empty_is_enotempty(box: Box) -> None:
    box.put("one/x", b"1")
    box.put("two/y", b"2")

    with refused(errno.ENOTEMPTY):
        box.root.rename(box.at("one"), box.at("two"))

    assert box.card_names() == ["one", "one/x", "two", "two/y"]


def test_rename_of_a_folder_onto_an_empty_one_replaces_it(box: Box) -> None:
    box.put("one/x", b"1")
    box.root.mkdir(box.at("two"))

    box.root.rename(box.at("one"), box.at("two"))

    assert box.card_names() == ["two", "two/x"]


def test_rename_of_a_folder_into_itself_is_einval(mount_box: Box) -> None:
    mount_box.put("folder/x")

    with refused(errno.EINVAL):
        mount_box.root.rename(mount_box.at("folder"), mount_box.at("folder/inner"))


def test_noreplace_refuses_an_existing_target(box: Box) -> None:
    box.put("a.txt", b"a")
    box.put("b.txt", b"b")

    with refused(errno.EEXIST):
        box.root.rename(box.at("a.txt"), box.at("b.txt"), replace=False)

    assert (box.card("a.txt"), box.card("b.txt")) == (b"a", b"b")


def test_noreplace_renames_when_the_target_is_free(box: Box) -> None:
    box.put("a.txt", b"a")

    if box.root.passes_rename_flags:
        box.root.rename(box.at("a.txt"), box.at("b.txt"), replace=False)
        assert box.card_names() == ["b.txt"]
    else:
        with refused(errno.EINVAL):
            box.root.rename(box.at("a.txt"), box.at("b.txt"), replace=False)
        assert box.card_names() == ["a.txt"]


def test_mv_n_moves_to_a_free_name_and_leaves_a_taken_one_alone(mount_box: Box) -> None:
    for name in ("a.txt", "b.txt"):
        mount_box.put(name, name.encode())

    for new in ("free.txt", "b.txt"):
        subprocess.run(["mv", "-n", mount_box.path("a.txt"), mount_box.path(new)], check=False)
        mount_box.root.write(mount_box.at("a.txt"), b"again")

    assert {name: mount_box.card(name) for name in mount_box.card_names()} == {
        "a.txt": b"again",
        "b.txt": b"b.txt",
        "free.txt": b"a.txt",
    }


def test_unlink_removes_the_file_from_the_card(box: Box) -> None:
    box.put("a.txt", b"a")
    box.put("b.txt", b"b")

    box.root.unlink(box.at("a.txt"))

    assert box.root.names(box.at()) == ["b.txt"]
    assert box.card_names() == ["b.txt"]


def test_unlink_of_something_missing_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.unlink(box.at("missing"))


def test_unlink_of_a_folder_is_eisdir(box: Box) -> None:
    box.put("folder/x")

    with refused(errno.EISDIR):
        box.root.unlink(box.at("folder"))


def test_an_unlinked_file_that_is_open_can_still_be_read(box: Box) -> None:
    content = os.urandom(300_000)
    box.put("a.bin", content)

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        handle.read(10)
        box.root.unlink(box.at("a.bin"))
        assert handle.read(400_000) == content
        assert handle.status().size == 300_000
        assert box.root.names(box.at()) == []

    wait_until(lambda: box.card_names() == [], "the card to be free of the file")


def test_an_unlinked_file_that_was_never_read_can_still_be_read(box: Box) -> None:
    content = os.urandom(300_000)
    box.put("a.bin", content)

    with box.root.opened(box.at("a.bin"), os.O_RDONLY) as handle:
        box.root.unlink(box.at("a.bin"))
        assert handle.read(400_000) == content


def test_an_unlinked_file_that_is_open_can_still_be_written(box: Box) -> None:
    with box.root.opened(box.at("a.bin"), NEW) as handle:
        handle.write(b"one ")
        box.root.unlink(box.at("a.bin"))
        handle.write(b"two", 4)
        assert handle.read(100) == b"one two"
        assert handle.status().size == 7

    assert box.root.names(box.at()) == []
    assert box.card_names() == []


def test_a_file_that_was_unlinked_before_its_upload_never_reaches_the_card(box: Box) -> None:
    with box.root.opened(box.at("a.bin"), NEW) as handle:
        handle.write(b"x" * 1000)
        box.root.unlink(box.at("a.bin"))

    assert box.card_names() == []


def test_a_new_file_of_the_same_name_is_not_the_unlinked_one(box: Box) -> None:
    with box.root.opened(box.at("a.txt"), NEW) as old:
        old.write(b"old")
        box.root.unlink(box.at("a.txt"))
        box.root.write(box.at("a.txt"), b"new")
        assert old.read(10) == b"old"

    assert box.card("a.txt") == b"new"
    assert box.root.read(box.at("a.txt")) == b"new"


def test_mkdir_makes_an_empty_folder_on_the_card(box: Box) -> None:
    box.root.mkdir(box.at("folder"))

    assert box.root.names(box.at()) == ["folder"]
    assert box.root.names(box.at("folder")) == []
    assert (box.disk / "folder").is_dir()


@pytest.mark.parametrize("there", ["file", "folder/x"])
def test_mkdir_over_something_that_exists_is_eexist(box: Box, there: str) -> None:
    box.put(there)

    with refused(errno.EEXIST):
        box.root.mkdir(box.at(there.split("/")[0]))


def test_mkdir_in_a_missing_folder_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.mkdir(box.at("missing/folder"))


def test_mkdir_below_a_file_is_enotdir(box: Box) -> None:
    box.put("a.txt")

    with refused(errno.ENOTDIR):
        box.root.mkdir(box.at("a.txt/folder"))


def test_rmdir_removes_an_empty_folder(box: Box) -> None:
    box.root.mkdir(box.at("folder"))

    box.root.rmdir(box.at("folder"))

    assert box.root.names(box.at()) == []
    assert box.card_names() == []


def test_rmdir_of_a_folder_with_content_is_enotempty(box: Box) -> None:
    box.put("folder/x", b"1")

    with refused(errno.ENOTEMPTY):
        box.root.rmdir(box.at("folder"))

    assert box.card("folder/x") == b"1"


def test_rmdir_of_something_missing_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.rmdir(box.at("missing"))


def test_rmdir_of_a_file_is_enotdir(box: Box) -> None:
    box.put("a.txt")

    with refused(errno.ENOTDIR):
        box.root.rmdir(box.at("a.txt"))


def test_a_name_that_differs_in_case_only_is_eexist_for_a_new_file(box: Box) -> None:
    box.put("benchy.3mf", b"first")

    with refused(errno.EEXIST):
        box.root.open(box.at("Benchy.3MF"), NEW)

    assert box.card_names() == ["benchy.3mf"]


def test_a_name_that_differs_in_case_only_is_eexist_for_a_new_folder(box: Box) -> None:
    box.put("cache/x")

    with refused(errno.EEXIST):
        box.root.mkdir(box.at("CACHE"))


def test_a_name_that_differs_in_case_only_is_eexist_for_a_rename(box: Box) -> None:
    box.put("benchy.3mf", b"first")
    box.put("other.3mf", b"second")

    with refused(errno.EEXIST):
        box.root.rename(box.at("other.3mf"), box.at("BENCHY.3mf"))

    assert box.card_names() == ["benchy.3mf", "other.3mf"]


def test_a_file_may_be_renamed_to_its_own_name_in_another_case(box: Box) -> None:
    box.put("benchy.3mf", b"content")

    box.root.rename(box.at("benchy.3mf"), box.at("Benchy.3mf"))

    assert box.root.names(box.at()) == ["Benchy.3mf"]
    assert box.card("Benchy.3mf") == b"content"


BAD_NAMES = ["a:b.gcode", "a*b", "a?b", 'a"b', "a<b", "a>b", "a|b", "a\\b", "a\nb", "a\rb", "a\tb", "a\x01b"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_a_new_file_whose_name_the_card_cannot_store_is_einval(box: Box, name: str) -> None:
    with refused(errno.EINVAL):
        box.root.open(box.at(name), NEW)

    assert box.card_names() == []


@pytest.mark.parametrize("name", ["a:b", "a\nb", "a\r\nDELE x"], ids=ascii)
def test_a_new_folder_whose_name_the_card_cannot_store_is_einval(box: Box, name: str) -> None:
    with refused(errno.EINVAL):
        box.root.mkdir(box.at(name))

    assert box.card_names() == []


def test_a_rename_to_a_name_that_the_card_cannot_store_is_einval(box: Box) -> None:
    box.put("a.txt", b"content")

    with refused(errno.EINVAL):
        box.root.rename(box.at("a.txt"), box.at("a:b"))

    assert box.card_names() == ["a.txt"]


def test_a_name_with_a_line_break_does_not_exist(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.status(box.at("a\r\nDELE b"))


@pytest.mark.parametrize("name", ["a" * 256, "ü" * 256], ids=["ascii", "umlauts"])
def test_a_name_that_is_too_long_is_enametoolong(box: Box, name: str) -> None:
    with refused(errno.ENAMETOOLONG):
        box.root.open(box.at(name), NEW)


def test_a_path_of_full_length_can_be_stored(box: Box) -> None:
    room = box.printer.traits.longest_path or 255
    name = "a" * (room - len(box.at()) - len("/.3mf")) + ".3mf"

    box.root.write(box.at(name), b"content")

    assert box.root.read(box.at(name)) == b"content"
    assert box.card(name) == b"content"


def test_a_short_name_in_a_folder_of_nearly_full_length_can_be_stored_and_replaced(box: Box) -> None:
    room = box.printer.traits.longest_path or 255
    folder = "f" * (room - len(box.at()) - len("//a.3mf"))
    box.root.mkdir(box.at(folder))

    for content in (b"old", b"new"):
        box.root.write(box.at(f"{folder}/a.3mf"), content)

    assert box.card_names() == [folder, f"{folder}/a.3mf"]
    assert box.card(f"{folder}/a.3mf") == b"new"


def test_an_unlinked_file_in_a_folder_of_nearly_full_length_can_still_be_read(box: Box) -> None:
    room = box.printer.traits.longest_path or 255
    folder = "f" * (room - len(box.at()) - len("//a.3mf"))
    box.put(f"{folder}/a.3mf", b"content")

    with box.root.opened(box.at(f"{folder}/a.3mf"), os.O_RDONLY) as handle:
        box.root.unlink(box.at(f"{folder}/a.3mf"))
        assert handle.read(100) == b"content"

    wait_until(lambda: box.card_names() == [folder], "the file to be gone")


def test_a_path_that_is_too_long_for_the_printer_is_enametoolong(box: Box) -> None:
    room = box.printer.traits.longest_path or 255
    name = "a" * (room - len(box.at()))  # and a slash

    if box.printer.traits.longest_path is None:
        box.root.write(box.at(name), b"content")
    else:
        with refused(errno.ENAMETOOLONG):
            box.root.open(box.at(name), NEW)
        with refused(errno.ENAMETOOLONG):
            box.root.mkdir(box.at(name))
        assert box.card_names() == []
