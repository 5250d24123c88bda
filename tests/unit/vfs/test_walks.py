"""A walk through the folders is recognised, and what it comes to next is listed ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bambufs.printer.entry import Entry
from bambufs.vfs.listings import ListingCache
from bambufs.vfs.walks import PACE, WINDOW, Walks
from tests.support.clock import Clock
from tests.support.waiting import wait_until


class Printer:
    """Folders, each with folders in it; a listing of one in ``slow`` waits for the gate."""

    def __init__(self, tree: dict[str, list[str]]) -> None:
        self._tree = tree
        self.asked: list[str] = []
        self.slow: set[str] = set()
        self.gate = threading.Event()

    def list(self, folder: str, *, patience: float) -> list[Entry]:
        self.asked.append(folder)
        if folder in self.slow:
            assert self.gate.wait(20)
        return [Entry(name, True, 0, 0) for name in self._tree.get(folder, [])]


class Bench:
    """A cache with a walker, and somebody who reads folders."""

    def __init__(self, tree: dict[str, list[str]], spare: int = 3) -> None:
        self.clock, self.printer = Clock(), Printer(tree)
        self.listings = ListingCache(self.printer.list, clock=self.clock)
        self.spare = spare
        self.warmed = 0
        self.walks = Walks(self.listings, lambda: self.spare, self._warm, clock=self.clock)

    def _warm(self) -> None:
        self.warmed += 1

    def read(self, folder: str) -> None:
        self.walks.entered(folder)
        self.listings.listing(folder)
        self.walks.left(folder)

    def is_asked(self, *folders: str) -> bool:
        return set(folders) <= set(self.printer.asked)


@contextmanager
def bench(tree: dict[str, list[str]], spare: int = 3) -> Iterator[Bench]:
    """A bench whose threads have all ended afterwards."""
    made = Bench(tree, spare)
    try:
        yield made
    finally:
        made.printer.gate.set()
        wait_until(lambda: made.walks.is_at_rest, "the walker to end")


TREE = {"/": ["a", "b", "c", "d"], "/b": ["x", "y"], "/b/x": ["deep"]}


def test_the_next_folders_are_listed_while_the_first_is_read() -> None:
    with bench(TREE) as made:
        made.read("/")
        made.printer.slow = {"/a"}
        reader = threading.Thread(target=made.read, args=("/a",))
        reader.start()
        wait_until(lambda: made.is_asked("/b", "/c", "/d"), "the others to be listed")
        made.printer.gate.set()
        reader.join()
        made.read("/b")
    assert made.printer.asked.count("/b") == 1


def test_folders_in_a_folder_come_before_its_neighbours() -> None:
    with bench({"/": ["a", "b"], "/a": ["x"], "/a/x": ["deep"]}) as made:
        made.read("/")
        made.read("/a")
        wait_until(lambda: made.is_asked("/a/x", "/b"), "what comes next to be listed")
        made.read("/a/x")
        wait_until(lambda: made.is_asked("/a/x/deep"), "the deepest to be listed")


def test_a_person_who_looks_around_is_not_a_walk() -> None:
    with bench(TREE) as made:
        made.read("/")
        made.clock.now += PACE + 0.1
        made.read("/b")
        made.clock.now += PACE + 0.1
        made.read("/b/x")
    assert made.printer.asked == ["/", "/b", "/b/x"]


def test_nothing_is_listed_ahead_on_the_only_session() -> None:
    with bench(TREE, spare=1) as made:
        made.read("/")
        made.read("/a")
    assert made.printer.asked == ["/", "/a"]


def test_sessions_are_opened_when_a_folder_has_to_be_asked_for() -> None:
    with bench(TREE, spare=1) as made:
        made.read("/")
        assert made.warmed == 1
        made.read("/")
        assert made.warmed == 1


def test_all_sessions_are_used_once_others_list() -> None:
    with bench({"/": [f"f{number:02}" for number in range(30)]}) as made:
        made.read("/")
        made.printer.slow = {"/f01", "/f02", "/f03"}
        made.read("/f00")
        made.spare = 1  # two are at it
        wait_until(lambda: made.is_asked("/f01", "/f02"), "two to be on their way")
        made.walks.left("/f00")
        wait_until(lambda: made.is_asked("/f03"), "the third")


def test_only_a_few_are_listed_ahead() -> None:
    with bench({"/": [f"f{number:02}" for number in range(30)]}) as made:
        made.read("/")
        made.read("/f00")
        wait_until(lambda: len(made.printer.asked) == 2 + WINDOW, "the next few to be listed")
    assert made.printer.asked[-1] == f"/f{WINDOW:02}"


def test_who_needs_the_sessions_more_ends_it() -> None:
    with bench(TREE) as made:
        made.read("/")
        made.printer.slow = {"/b", "/c"}
        made.read("/a")
        wait_until(lambda: made.is_asked("/b", "/c"), "two to be on their way")
        made.spare = 0
        made.printer.gate.set()
        wait_until(lambda: made.walks.is_at_rest, "the walker to end")
    assert "/d" not in made.printer.asked


def test_a_folder_that_cannot_be_listed_does_no_harm() -> None:
    with bench(TREE) as made:
        whole = made.printer.list

        def broken(folder: str, *, patience: float) -> list[Entry]:
            if folder == "/b":
                raise FileNotFoundError(2, "gone", folder)
            return whole(folder, patience=patience)

        made.listings._fetch = broken
        made.read("/")
        made.read("/a")
        wait_until(lambda: made.is_asked("/c", "/d"), "the others to be listed")


def test_thread_that_cannot_be_had_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        if thread.name == "bambufs-walk":
            raise RuntimeError("can't start new thread")
        real(thread)

    real = threading.Thread.start
    with bench(TREE) as made:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", start)
            made.read("/")
            made.read("/a")
        made.read("/b")
        wait_until(lambda: made.is_asked("/c", "/d"), "the next folders to be listed")


def test_walker_who_gets_no_thread_for_a_listing_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        if (thread.name, threading.current_thread().name) == ("bambufs-list", "bambufs-walk"):
            raise RuntimeError("can't start new thread")
        real(thread)

    real = threading.Thread.start
    with bench(TREE) as made:
        monkeypatch.setattr(threading.Thread, "start", start)
        for folder in ("/", "/a", "/b"):
            made.read(folder)
        wait_until(lambda: made.walks.is_at_rest, "the walker to end")
