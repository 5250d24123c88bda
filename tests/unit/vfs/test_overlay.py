"""Names that live on this computer only."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest

from bambufs.vfs.overlay import Overlay
from bambufs.vfs.spool import SpoolFile


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    return Overlay(tmp_path / "overlay")


def put(overlay: Overlay, path: str, content: bytes = b"x") -> None:
    """A file in the overlay."""
    file = overlay.create(path)
    file.write(content, 0)
    file.close()


def content(file: SpoolFile) -> bytes:
    """All of ``file``, which is closed then."""
    data = file.read(1000, 0)
    file.close()
    return data


def test_folder_is_for_its_owner_alone(overlay: Overlay, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / "overlay").stat().st_mode) == 0o700


def test_missing_name_has_no_attributes(overlay: Overlay) -> None:
    assert overlay.attributes("/cache/.x") is None


def test_name_below_a_file_has_no_attributes(overlay: Overlay) -> None:
    put(overlay, "/.x")
    assert overlay.attributes("/.x/y") is None


def test_file_has_its_size(overlay: Overlay) -> None:
    put(overlay, "/.x", b"12345")
    attributes = overlay.attributes("/.x")
    assert attributes is not None
    assert (attributes.is_dir, attributes.size) == (False, 5)


def test_folder_has_no_size(overlay: Overlay) -> None:
    overlay.make_folder("/.d")
    attributes = overlay.attributes("/.d")
    assert attributes is not None
    assert (attributes.is_dir, attributes.size) == (True, 0)


def test_file_in_a_folder_of_the_printer_needs_no_folder_made(overlay: Overlay) -> None:
    put(overlay, "/cache/deep/.x", b"benchy")
    assert content(overlay.open("/cache/deep/.x")) == b"benchy"


def test_file_in_a_missing_folder_of_our_own_is_refused(overlay: Overlay) -> None:
    with pytest.raises(FileNotFoundError):
        overlay.create("/cache/.d/x")


def test_creating_twice_is_refused(overlay: Overlay) -> None:
    put(overlay, "/.x")
    with pytest.raises(FileExistsError):
        overlay.create("/.x")


def test_opening_a_missing_file_is_refused(overlay: Overlay) -> None:
    with pytest.raises(FileNotFoundError):
        overlay.open("/.x")


def test_opening_a_folder_is_refused(overlay: Overlay) -> None:
    overlay.make_folder("/.d")
    with pytest.raises(IsADirectoryError):
        overlay.open("/.d")


def test_folder_of_the_printer_shows_its_dot_names_only(overlay: Overlay) -> None:
    put(overlay, "/cache/.x")
    put(overlay, "/cache/sub/.y")
    assert overlay.names("/cache") == [".x"]


def test_folder_of_our_own_shows_everything(overlay: Overlay) -> None:
    overlay.make_folder("/.d")
    put(overlay, "/.d/plain")
    put(overlay, "/.d/.dotted")
    assert sorted(overlay.names("/.d")) == [".dotted", "plain"]


def test_unknown_folder_shows_nothing(overlay: Overlay) -> None:
    assert overlay.names("/cache") == []


def test_making_a_folder_twice_is_refused(overlay: Overlay) -> None:
    overlay.make_folder("/.d")
    with pytest.raises(FileExistsError):
        overlay.make_folder("/.d")


def test_unlink_of_a_folder_is_refused(overlay: Overlay) -> None:
    overlay.make_folder("/.d")
    with pytest.raises(IsADirectoryError):
        overlay.unlink("/.d")


def test_unlinked_file_is_gone(overlay: Overlay) -> None:
    put(overlay, "/.x")
    overlay.unlink("/.x")
    assert overlay.attributes("/.x") is None


def test_removing_a_full_folder_is_refused(overlay: Overlay) -> None:
    overlay.make_folder("/.d")
    put(overlay, "/.d/x")
    with pytest.raises(OSError, match="not empty") as refused:
        overlay.remove_folder("/.d")
    assert refused.value.errno == errno.ENOTEMPTY


def test_removing_a_file_as_a_folder_is_refused(overlay: Overlay) -> None:
    put(overlay, "/.x")
    with pytest.raises(NotADirectoryError):
        overlay.remove_folder("/.x")


def test_rename_replaces_a_file(overlay: Overlay) -> None:
    put(overlay, "/.old", b"new content")
    put(overlay, "/cache/.new", b"old content")
    overlay.rename("/.old", "/cache/.new")
    assert content(overlay.open("/cache/.new")) == b"new content"


def test_rename_into_another_folder_of_the_printer_needs_no_folder_made(overlay: Overlay) -> None:
    put(overlay, "/.x")
    overlay.rename("/.x", "/cache/deep/.x")
    assert overlay.attributes("/cache/deep/.x") is not None


def test_file_from_outside_is_moved_in(overlay: Overlay, tmp_path: Path) -> None:
    (tmp_path / "loose").write_bytes(b"benchy")
    overlay.put(tmp_path / "loose", "/cache/.x")
    assert content(overlay.open("/cache/.x")) == b"benchy"


def test_time_is_set(overlay: Overlay) -> None:
    put(overlay, "/.x")
    overlay.set_time("/.x", 1_000_000_000)
    attributes = overlay.attributes("/.x")
    assert attributes is not None
    assert attributes.mtime == 1_000_000_000


def test_everything_survives_a_remount(overlay: Overlay, tmp_path: Path) -> None:
    put(overlay, "/cache/.x", b"benchy")
    assert content(Overlay(tmp_path / "overlay").open("/cache/.x")) == b"benchy"


def test_name_that_is_not_utf_8_is_kept(overlay: Overlay) -> None:
    put(overlay, "/.\udcff")
    assert overlay.names("/") == [".\udcff"]


@pytest.mark.parametrize("name", [".DS_Store", "._benchy.3mf", ".directory", ".localized", ".hidden"])
def test_litter_is_only_junk(overlay: Overlay, name: str) -> None:
    put(overlay, f"/cache/{name}")
    assert overlay.has_only_junk("/cache")


def test_somebodys_file_is_not_junk(overlay: Overlay) -> None:
    put(overlay, "/cache/.DS_Store")
    put(overlay, "/cache/.benchy.3mf.Ab12Cd")
    assert not overlay.has_only_junk("/cache")


def test_removed_folder_of_the_printer_takes_its_dot_names_along(overlay: Overlay) -> None:
    put(overlay, "/cache/.x")
    overlay.folder_removed("/cache")
    assert overlay.names("/cache") == []


def test_removing_a_folder_that_nothing_is_kept_for_does_no_harm(overlay: Overlay) -> None:
    overlay.folder_removed("/cache")


def test_renamed_folder_of_the_printer_takes_its_dot_names_along(overlay: Overlay) -> None:
    put(overlay, "/a/deep/.x")
    overlay.folder_renamed("/a", "/model/b")
    assert overlay.names("/model/b/deep") == [".x"]


def test_renamed_folder_leaves_nothing_behind(overlay: Overlay) -> None:
    put(overlay, "/a/.x")
    overlay.folder_renamed("/a", "/b")
    assert overlay.names("/a") == []


def test_renamed_folder_does_not_inherit_from_one_long_gone(overlay: Overlay) -> None:
    put(overlay, "/a/.x")
    put(overlay, "/b/.old")
    overlay.folder_renamed("/a", "/b")
    assert overlay.names("/b") == [".x"]


def test_renaming_a_folder_that_nothing_is_kept_for_does_no_harm(overlay: Overlay) -> None:
    put(overlay, "/b/.x")
    overlay.folder_renamed("/a", "/c")
    assert overlay.names("/b") == [".x"]
