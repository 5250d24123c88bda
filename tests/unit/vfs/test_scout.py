"""Listing ahead of need: every folder once, within bounds, behind whoever wants the printer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from bambufs.errors import PrinterBusy
from bambufs.printer.entry import Entry
from bambufs.vfs import scout as scout_module
from bambufs.vfs.scout import MOST_FOLDERS, Scout
from tests.support.waiting import wait_until

Listing = Callable[[str], Mapping[str, Entry]]


def folders(*names: str) -> Mapping[str, Entry]:
    return {name: Entry(name, True, 0, 0) for name in names}


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scout_module, "_PAUSE", 0.001)


@pytest.fixture
def send() -> Iterator[Callable[..., list[str]]]:
    """Sends a scout out; returns what it looks at, which grows."""
    scouts: list[Scout] = []

    def begin(listing: Listing, is_busy: Callable[[], bool] = lambda: False) -> list[str]:
        seen: list[str] = []

        def noted(folder: str) -> Mapping[str, Entry]:
            seen.append(folder)
            return listing(folder)

        scouts.append(Scout(noted, is_busy))
        scouts[-1].start()
        return seen

    yield begin
    for scout in scouts:
        scout.stop()
    wait_until(lambda: not any(t.name == "bambufs-scout" for t in threading.enumerate()), "the scouts to come home")


def test_every_folder_is_looked_at_once(send: Callable[..., list[str]]) -> None:
    tree = {"/": folders("cache", "model", ".hidden"), "/model": folders("parts")}
    tree["/"] = {**tree["/"], "file": Entry("file", False, 5, 0)}
    seen = send(lambda folder: tree.get(folder, {}))
    wait_until(lambda: len(seen) == 4, "the folders to be seen")
    assert seen == ["/", "/cache", "/model", "/model/parts"]


def test_endless_tree_is_not_followed_for_ever(send: Callable[..., list[str]]) -> None:
    seen = send(lambda folder: folders("a", "b"))
    wait_until(lambda: not any(t.name == "bambufs-scout" for t in threading.enumerate()), "the scout to give up")
    assert len(seen) == MOST_FOLDERS


def test_others_go_first(send: Callable[..., list[str]]) -> None:
    looks = iter([True] * 5 + [False] * 100)
    seen = send(lambda folder: {}, lambda: next(looks))
    wait_until(lambda: seen, "the first folder to be seen")
    assert len(list(looks)) == 99


def test_folder_that_cannot_be_listed_hides_no_other(send: Callable[..., list[str]]) -> None:
    def listing(folder: str) -> Mapping[str, Entry]:
        if folder == "/a":
            raise PrinterBusy("at work")
        return folders("a", "b") if folder == "/" else {}

    seen = send(listing)
    wait_until(lambda: seen == ["/", "/a", "/b"], "the others to be seen")
