"""Open files: nodes by path, handles by number."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from bambufs.printer.entry import Entry
from bambufs.vfs.handles import Node, NodeTable
from bambufs.vfs.spool import SpoolFile

ENTRY = Entry("x", False, 7, 1_000_000_000)


@pytest.fixture
def table() -> NodeTable:
    return NodeTable()


def number_of(table: NodeTable, node: Node) -> int:
    """A handle on ``node``."""
    number = table.open(node, writes=False)
    assert number is not None
    return number


def opened(table: NodeTable, path: str) -> Node:
    """A node that is open at ``path``."""
    return table.handle(number_of(table, Node(path, ENTRY))).node


def released(table: NodeTable, path: str) -> Node:
    """A node that was open at ``path``."""
    return table.release(number_of(table, Node(path))).node


# --- nodes ----------------------------------------------------------------------------------------


def test_clean_node_owes_nothing() -> None:
    assert not Node("/x", ENTRY).owes_upload


def test_node_never_stored_owes_an_upload() -> None:
    node = Node("/x")
    node.is_unstored = True
    assert node.owes_upload


def test_changed_node_owes_an_upload(tmp_path: Path) -> None:
    node = Node("/x", ENTRY, spool=SpoolFile.new(tmp_path))
    assert node.spool is not None
    node.spool.write(b"x", 0)
    assert node.owes_upload
    node.spool.close()


@pytest.mark.parametrize("mark", ["is_local", "is_removed"])
def test_node_that_the_printer_shall_not_have_owes_nothing(mark: str) -> None:
    node = Node("/x")
    node.is_unstored = True
    setattr(node, mark, True)
    assert not node.owes_upload


def test_attributes_are_those_of_the_printer() -> None:
    assert Node("/x", ENTRY).attributes == (False, 7, 1_000_000_000, None)


def test_local_content_gives_the_size(tmp_path: Path) -> None:
    spool = SpoolFile.new(tmp_path)
    spool.write(b"benchy", 0)
    assert Node("/x", ENTRY, spool=spool).attributes.size == 6
    spool.close()


def test_time_that_was_set_comes_before_the_printers() -> None:
    node = Node("/x", ENTRY)
    node.mtime = 5
    assert node.attributes.mtime == 5


# --- the table ------------------------------------------------------------------------------------


def test_unknown_handle_is_ebadf(table: NodeTable) -> None:
    with pytest.raises(OSError, match="Bad file descriptor") as refused:
        table.handle(5)
    assert refused.value.errno == errno.EBADF


def test_released_handle_is_ebadf(table: NodeTable) -> None:
    number = number_of(table, Node("/x"))
    table.release(number)
    with pytest.raises(OSError, match="Bad file descriptor"):
        table.handle(number)


def test_two_openings_share_one_node(table: NodeTable) -> None:
    assert opened(table, "/x") is opened(table, "/x")


def test_two_openings_have_handles_of_their_own(table: NodeTable) -> None:
    node = Node("/x")
    assert table.open(node, writes=False) != table.open(node, writes=True)


def test_open_node_is_not_dropped(table: NodeTable) -> None:
    node = opened(table, "/x")
    assert not table.drop(node)
    assert table.at("/x") is node


def test_released_node_is_dropped(table: NodeTable) -> None:
    node = released(table, "/x")
    assert table.drop(node)
    assert table.at("/x") is None


def test_dropped_node_cannot_be_opened(table: NodeTable) -> None:
    node = released(table, "/x")
    table.drop(node)
    assert table.open(node, writes=False) is None


def test_dropping_leaves_another_node_at_that_path(table: NodeTable) -> None:
    old = released(table, "/x")
    table.detach(old)
    new = opened(table, "/x")
    table.drop(old)
    assert table.at("/x") is new


def test_deleted_node_is_off_its_path(table: NodeTable) -> None:
    node = opened(table, "/x")
    table.detach(node)
    assert table.at("/x") is None
    assert node.is_removed


def test_path_of_a_deleted_node_is_free_for_another(table: NodeTable) -> None:
    node = opened(table, "/x")
    table.detach(node)
    assert opened(table, "/x") is not node


def test_moved_node_is_found_at_its_new_path_only(table: NodeTable) -> None:
    node = opened(table, "/x")
    table.move(node, "/y")
    assert (table.at("/x"), table.at("/y")) == (None, node)


def test_node_that_nobody_has_open_is_not_put_anywhere(table: NodeTable) -> None:
    node = Node("/x")
    table.move(node, "/y")
    assert table.at("/y") is None


def test_below_finds_grandchildren(table: NodeTable) -> None:
    node = opened(table, "/a/b/c")
    opened(table, "/ab/c")
    assert table.below("/a") == [node]


def test_in_folder_finds_children_only(table: NodeTable) -> None:
    node = opened(table, "/a/c")
    opened(table, "/a/b/c")
    assert table.in_folder("/a") == [node]


def test_repr_tells_what_is_open() -> None:
    node = Node("/x")
    node.is_unstored = True
    assert repr(node) == "<Node '/x' handles=0 owes>"
