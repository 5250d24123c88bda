"""Paths on the card, and which names it can store."""

from __future__ import annotations

import errno

import pytest

from bambufs.errors import InvalidName, NameTooLong
from bambufs.printer import paths


@pytest.mark.parametrize(("folder", "name", "path"), [("/", "x", "/x"), ("/cache", "x", "/cache/x")])
def test_join_makes_a_path(folder: str, name: str, path: str) -> None:
    assert paths.join(folder, name) == path


@pytest.mark.parametrize(
    ("path", "both"), [("/x", ("/", "x")), ("/a/b/c", ("/a/b", "c")), ("/", ("/", "")), ("/a/ b ", ("/a", " b "))]
)
def test_split_takes_a_path_apart(path: str, both: tuple[str, str]) -> None:
    assert paths.split(path) == both


def test_parent_of_a_name_in_the_root_is_the_root() -> None:
    assert paths.parent("/x") == "/"


def test_path_is_not_below_itself() -> None:
    assert not paths.is_below("/cache", "/cache")


def test_sibling_with_a_longer_name_is_not_below() -> None:
    assert not paths.is_below("/cache2/x", "/cache")


def test_grandchild_is_below() -> None:
    assert paths.is_below("/cache/a/b", "/cache")


def test_everything_is_below_the_root() -> None:
    assert paths.is_below("/x", "/")


def test_root_is_not_below_itself() -> None:
    assert not paths.is_below("/", "/")


def test_descendant_moves_with_its_ancestor() -> None:
    assert paths.moved("/a/b/c", "/a", "/x/y") == "/x/y/b/c"


def test_renamed_path_itself_moves() -> None:
    assert paths.moved("/a", "/a", "/b") == "/b"


def test_parts_of_the_root_are_none() -> None:
    assert paths.parts("/") == []


def test_parts_lead_from_the_root() -> None:
    assert paths.parts("/a/b c/d") == ["a", "b c", "d"]


@pytest.mark.parametrize("path", ["/.x", "/a/.b", "/.a/b", "/a/.b/c"])
def test_dot_name_anywhere_makes_a_dot_path(path: str) -> None:
    assert paths.is_dot_path(path)


@pytest.mark.parametrize("path", ["/x", "/a.b/c.", "/", "/a/b.c"])
def test_dot_inside_a_name_makes_no_dot_path(path: str) -> None:
    assert not paths.is_dot_path(path)


@pytest.mark.parametrize("character", ["\r", "\n", "\0"])
def test_character_that_ends_a_command_cannot_be_sent(character: str) -> None:
    with pytest.raises(InvalidName) as refused:
        paths.check_sendable(f"/x{character}DELE y")
    assert refused.value.errno == errno.EINVAL


def test_refusal_shows_a_line_break_escaped() -> None:
    with pytest.raises(InvalidName) as refused:
        paths.check_sendable("/x\r\ny")
    assert "\n" not in str(refused.value)


def test_sendable_path_comes_back() -> None:
    assert paths.check_sendable("/a b\udcff") == "/a b\udcff"


@pytest.mark.parametrize("character", [*'<>:"\\|?*', "\x00", "\x01", "\x1f", "\x7f", "\t", "\n"])
def test_character_that_fat_lacks_cannot_be_stored(character: str) -> None:
    with pytest.raises(InvalidName):
        paths.check_storable(f"/a{character}b")


@pytest.mark.parametrize("name", ["x ", "x.", "x. ", "..."])
def test_blank_or_dot_at_the_end_cannot_be_stored(name: str) -> None:
    with pytest.raises(InvalidName):
        paths.check_storable(f"/{name}")


@pytest.mark.parametrize("name", [" x", "a  b", "größe", "体积", "🖨", "-rf", "a'b", "a%20b", "a#b", "\udcff"])
def test_odd_but_good_name_can_be_stored(name: str) -> None:
    paths.check_storable(f"/{name}")


def test_only_the_last_name_is_checked() -> None:
    paths.check_storable("/old?folder/new")


def test_name_of_255_characters_can_be_stored() -> None:
    paths.check_storable("/" + "ü" * 255)


def test_name_of_256_characters_is_too_long() -> None:
    with pytest.raises(NameTooLong) as refused:
        paths.check_storable("/" + "x" * 256)
    assert refused.value.errno == errno.ENAMETOOLONG


def test_letters_beyond_16_bits_count_twice() -> None:
    with pytest.raises(NameTooLong):
        paths.check_storable("/" + "🖨" * 128)


def test_path_over_the_printers_limit_is_too_long() -> None:
    with pytest.raises(NameTooLong):
        paths.check_storable("/cache/" + "x" * 104, longest_path=110)


def test_path_at_the_printers_limit_can_be_stored() -> None:
    paths.check_storable("/cache/" + "x" * 103, longest_path=110)


def test_limit_of_the_path_counts_bytes() -> None:
    with pytest.raises(NameTooLong):
        paths.check_storable("/cache/" + "ü" * 52, longest_path=110)
