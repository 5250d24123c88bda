"""Names that begin with a dot live on this machine only, until they get a visible name."""

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from tests.contract.box import Box, refused
from tests.contract.conftest import MountFresh

NEW = os.O_RDWR | os.O_CREAT | os.O_TRUNC


@pytest.mark.parametrize("name", [".hidden", ".DS_Store", "._a.3mf", ".goutputstream-X", ".a.gcode.swp", ".a.x1Y2z3"])
def test_a_dot_file_reads_back_but_never_reaches_the_card(box: Box, name: str) -> None:
    box.root.write(box.at(name), b"local")

    assert box.root.read(box.at(name)) == b"local"
    assert box.root.names(box.at()) == [name]
    assert box.card_names() == []


def test_a_dot_file_costs_no_upload(box: Box) -> None:
    box.root.write(box.at(".hidden"), b"local")

    assert box.stored() == []


def test_a_dot_file_becomes_real_when_renamed_to_a_visible_name(box: Box) -> None:
    box.root.write(box.at(".benchy.3mf.Xy12"), b"content")

    box.root.rename(box.at(".benchy.3mf.Xy12"), box.at("benchy.3mf"))

    assert box.card_names() == ["benchy.3mf"]
    assert box.card("benchy.3mf") == b"content"
    assert box.root.names(box.at()) == ["benchy.3mf"]


def test_becoming_real_is_one_upload(box: Box) -> None:
    box.root.write(box.at(".tmp"), b"content")

    box.root.rename(box.at(".tmp"), box.at("a.3mf"))

    assert len(box.stored()) == 1


def test_becoming_real_keeps_the_set_time(box: Box) -> None:
    box.root.write(box.at(".tmp"), b"content")
    box.root.set_time(box.at(".tmp"), 1_700_000_001)

    box.root.rename(box.at(".tmp"), box.at("a.3mf"))

    assert box.keeps_time("a.3mf", 1_700_000_001)
    assert box.root.status(box.at("a.3mf")).mtime == 1_700_000_001


def test_becoming_real_replaces_an_existing_file(box: Box) -> None:
    box.put("a.3mf", b"old and longer")
    box.root.write(box.at(".tmp"), b"new")

    box.root.rename(box.at(".tmp"), box.at("a.3mf"))

    assert box.card("a.3mf") == b"new"
    assert box.root.read(box.at("a.3mf")) == b"new"


def test_becoming_real_while_open_takes_the_handle_along(box: Box) -> None:
    with box.root.opened(box.at(".tmp"), NEW) as handle:
        handle.write(b"one ")
        box.root.rename(box.at(".tmp"), box.at("a.3mf"))
        handle.write(b"two", 4)

    assert box.card("a.3mf") == b"one two"


def test_becoming_real_under_a_name_the_card_cannot_store_is_einval_and_loses_nothing(box: Box) -> None:
    box.root.write(box.at(".tmp"), b"content")

    with refused(errno.EINVAL):
        box.root.rename(box.at(".tmp"), box.at("a:b.3mf"))

    assert box.root.read(box.at(".tmp")) == b"content"
    assert box.card_names() == []


def test_a_visible_file_renamed_to_a_dot_name_leaves_the_card_but_keeps_its_content(box: Box) -> None:
    box.put("a.3mf", b"content")

    box.root.rename(box.at("a.3mf"), box.at(".a.3mf"))

    assert box.root.read(box.at(".a.3mf")) == b"content"
    assert box.root.names(box.at()) == [".a.3mf"]
    assert box.card_names() == []


def test_a_dot_file_can_be_unlinked(box: Box) -> None:
    box.root.write(box.at(".hidden"), b"local")

    box.root.unlink(box.at(".hidden"))

    assert box.root.names(box.at()) == []
    with refused(errno.ENOENT):
        box.root.status(box.at(".hidden"))


def test_a_dot_file_can_be_truncated_appended_and_overwritten(box: Box) -> None:
    box.root.write(box.at(".hidden"), b"0123456789")
    box.root.truncate(box.at(".hidden"), 4)
    with box.root.opened(box.at(".hidden"), os.O_WRONLY | os.O_APPEND) as handle:
        handle.write(b"AB")

    assert box.root.read(box.at(".hidden")) == b"0123AB"


def test_a_dot_file_keeps_the_time_that_was_set(box: Box) -> None:
    box.root.write(box.at(".hidden"), b"local")

    box.root.set_time(box.at(".hidden"), 1_700_000_001)

    assert box.root.status(box.at(".hidden")).mtime == 1_700_000_001


def test_a_dot_folder_lives_here_with_all_that_is_in_it(box: Box) -> None:
    box.root.mkdir(box.at(".cache"))
    box.root.write(box.at(".cache/visible.txt"), b"inside")

    assert box.root.names(box.at(".cache")) == ["visible.txt"]
    assert box.root.read(box.at(".cache/visible.txt")) == b"inside"
    assert box.card_names() == []


def test_a_dot_folder_with_content_is_not_removed(box: Box) -> None:
    box.root.mkdir(box.at(".cache"))
    box.root.write(box.at(".cache/x"), b"inside")

    with refused(errno.ENOTEMPTY):
        box.root.rmdir(box.at(".cache"))


def test_an_empty_dot_folder_can_be_removed(box: Box) -> None:
    box.root.mkdir(box.at(".cache"))

    box.root.rmdir(box.at(".cache"))

    assert box.root.names(box.at()) == []


def test_mv_makes_a_dot_folder_real_with_all_that_is_in_it(mount_box: Box) -> None:
    mount_box.root.mkdir(mount_box.at(".new"))
    mount_box.root.write(mount_box.at(".new/a.3mf"), b"a")

    subprocess.run(["mv", mount_box.path(".new"), mount_box.path("plates")], check=True)

    assert mount_box.card_names() == ["plates", "plates/a.3mf"]
    assert mount_box.card("plates/a.3mf") == b"a"
    assert mount_box.root.names(mount_box.at()) == ["plates"]


def test_renaming_a_dot_folder_to_a_visible_name_is_exdev_so_that_programs_copy_it(box: Box) -> None:
    box.root.mkdir(box.at(".new"))
    box.root.write(box.at(".new/a.3mf"), b"a")

    with refused(errno.EXDEV):
        box.root.rename(box.at(".new"), box.at("plates"))

    assert box.root.read(box.at(".new/a.3mf")) == b"a"


def test_a_file_moved_into_a_dot_folder_leaves_the_card(box: Box) -> None:
    box.put("a.3mf", b"content")
    box.root.mkdir(box.at(".keep"))

    box.root.rename(box.at("a.3mf"), box.at(".keep/a.3mf"))

    assert box.root.read(box.at(".keep/a.3mf")) == b"content"
    assert box.card_names() == []


def test_dot_names_go_along_when_their_folder_is_renamed(box: Box) -> None:
    box.put("old/a.3mf")
    box.root.write(box.at("old/.hidden"), b"local")

    box.root.rename(box.at("old"), box.at("new"))

    assert box.root.read(box.at("new/.hidden")) == b"local"
    assert box.root.names(box.at("new")) == [".hidden", "a.3mf"]


def test_a_dot_name_on_the_card_itself_is_not_shown(box: Box) -> None:
    box.put(".firmware", b"printer's own")
    box.put("a.3mf")

    assert box.root.names(box.at()) == ["a.3mf"]
    assert not box.root.exists(box.at(".firmware"))


@pytest.mark.parametrize("junk", [".DS_Store", "._a.3mf"])
def test_a_folder_with_nothing_but_known_junk_can_be_removed(box: Box, junk: str) -> None:
    box.root.mkdir(box.at("folder"))
    box.root.write(box.at(f"folder/{junk}"), b"junk")

    box.root.rmdir(box.at("folder"))

    assert box.card_names() == []
    assert box.root.names(box.at()) == []


def test_a_folder_with_a_dot_file_of_the_users_own_is_not_removed(box: Box) -> None:
    box.root.mkdir(box.at("folder"))
    box.root.write(box.at("folder/.notes"), b"mine")

    with refused(errno.ENOTEMPTY):
        box.root.rmdir(box.at("folder"))

    assert box.root.read(box.at("folder/.notes")) == b"mine"


def test_a_folder_made_anew_does_not_show_the_dot_files_of_its_predecessor(box: Box) -> None:
    box.root.mkdir(box.at("folder"))
    box.root.write(box.at("folder/.DS_Store"), b"junk")
    box.root.rmdir(box.at("folder"))

    box.root.mkdir(box.at("folder"))

    assert box.root.names(box.at("folder")) == []


@pytest.mark.parametrize("name", [".Trash", ".Trash-1000", ".Trash-0"])
def test_a_trash_folder_at_the_top_is_eperm(box: Box, name: str) -> None:
    with refused(errno.EPERM):
        box.root.mkdir(f"/{name}")

    assert not box.root.exists(f"/{name}")


def test_a_dot_file_in_a_missing_folder_is_enoent(box: Box) -> None:
    with refused(errno.ENOENT):
        box.root.open(box.at("missing/.hidden"), NEW)


def test_dot_names_survive_a_remount(mount_fresh: MountFresh) -> None:
    with mount_fresh() as box:
        box.root.write(box.at(".hidden"), b"local")
        box.root.set_time(box.at(".hidden"), 1_700_000_001)

    with mount_fresh() as box:
        assert box.root.read(box.at(".hidden")) == b"local"
        assert box.root.status(box.at(".hidden")).mtime == 1_700_000_001
        assert box.root.names(box.at()) == [".hidden"]
