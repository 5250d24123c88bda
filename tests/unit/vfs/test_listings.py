"""One LIST answers every look-up in a folder."""

from __future__ import annotations

import contextlib
import errno
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from unittest.mock import Mock

import pytest

from bambufs import interrupts
from bambufs.errors import (
    CardRefused,
    ConnectionDropped,
    Interrupted,
    LoginRefused,
    PrinterBusy,
    PrinterError,
    PrinterTimeout,
    PrinterUnreachable,
)
from bambufs.printer.entry import Entry
from bambufs.vfs import listings
from bambufs.vfs.listings import ListingCache
from tests.support.clock import Clock
from tests.support.threads import Threads
from tests.support.waiting import wait_until

A, B, C = (Entry(name, False, 7, 1_000_000_000) for name in "abc")


class Printer:
    """Folders, and a gate before which every LIST waits while it is shut."""

    def __init__(self) -> None:
        self.folders: dict[str, list[Entry]] = {"/": [A, B]}
        self.asked: list[str] = []
        self.patience: list[float] = []
        self.error: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()

    def list(self, folder: str, *, patience: float) -> list[Entry]:
        self.asked.append(folder)
        self.patience.append(patience)
        answer, error = list(self.folders.get(folder, [])), self.error
        is_missing = folder not in self.folders
        if not self.gate.wait(20):
            raise AssertionError("the gate stayed shut")
        if error is not None:
            raise error
        if is_missing:
            raise FileNotFoundError(errno.ENOENT, "No such folder", folder)
        return answer


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def printer() -> Iterator[Printer]:
    printer = Printer()
    yield printer
    printer.gate.set()
    wait_until(lambda: not flying(), "every LIST to land")


_threads = Threads()


@pytest.fixture(autouse=True)
def _remember_threads() -> None:
    global _threads
    _threads = Threads()


def flying() -> list[str]:
    """The threads that fetch listings."""
    return _threads.named("bambufs-list")


@pytest.fixture
def cache(printer: Printer, clock: Clock) -> ListingCache:
    return ListingCache(printer.list, ttl=5.0, clock=clock)


@contextlib.contextmanager
def under_way(printer: Printer, cache: ListingCache) -> Iterator[Future[Mapping[str, Entry]]]:
    """A caller who asks for the root, and whose LIST stays on its way until the end of the block."""
    count = len(printer.asked)
    printer.gate.clear()
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(cache.listing, "/")
        try:
            wait_until(lambda: len(printer.asked) > count, "the LIST to go out")
            cache.known("/")  # takes the cache's lock, so the caller is waiting by now
            yield asking
        finally:
            printer.gate.set()


# --- fresh ----------------------------------------------------------------------------------------


def test_listing_is_that_of_the_printer(cache: ListingCache) -> None:
    assert cache.listing("/") == {"a": A, "b": B}


def test_second_listing_costs_nothing(cache: ListingCache, printer: Printer) -> None:
    cache.listing("/")
    cache.listing("/")
    assert printer.asked == ["/"]


def test_look_ups_in_a_listed_folder_cost_nothing(cache: ListingCache, printer: Printer) -> None:
    cache.listing("/")
    assert [cache.lookup("/a"), cache.lookup("/b")] == [A, B]
    assert printer.asked == ["/"]


def test_name_that_is_not_there_costs_nothing(cache: ListingCache, printer: Printer) -> None:
    cache.listing("/")
    assert cache.lookup("/missing") is None
    assert printer.asked == ["/"]


def test_root_itself_costs_nothing(cache: ListingCache, printer: Printer) -> None:
    root = cache.lookup("/")
    assert root is not None
    assert root.is_dir
    assert printer.asked == []


def test_listing_is_asked_anew_after_its_time(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    printer.folders["/"].append(C)
    clock.now += 5.0
    assert "c" in cache.listing("/")


def test_listing_counts_to_the_end_of_its_time(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    clock.now += 4.9
    cache.listing("/")
    assert printer.asked == ["/"]


def test_time_to_live_of_nothing_asks_every_time(printer: Printer, clock: Clock) -> None:
    cache = ListingCache(printer.list, ttl=0.0, clock=clock)
    cache.listing("/")
    cache.listing("/")
    assert printer.asked == ["/", "/"]


def test_listing_handed_out_does_not_change(cache: ListingCache) -> None:
    before = cache.listing("/")
    cache.apply("/a", None)
    assert "a" in before


def test_hits_and_misses_are_counted(cache: ListingCache) -> None:
    for _ in range(3):
        cache.listing("/")
    assert (cache.hits, cache.misses) == (2, 1)


def test_missing_folder_is_told(cache: ListingCache) -> None:
    with pytest.raises(FileNotFoundError):
        cache.listing("/missing")


def test_name_in_a_missing_folder_is_missing(cache: ListingCache) -> None:
    assert cache.lookup("/missing/x") is None


def test_folder_that_vanished_is_not_shown_stale(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    del printer.folders["/"]
    clock.now += 6.0
    with pytest.raises(FileNotFoundError):
        cache.listing("/")


def test_sizes_of_what_is_listed_add_up(cache: ListingCache, printer: Printer) -> None:
    printer.folders["/cache"] = [C]
    cache.listing("/")
    cache.listing("/cache")
    assert cache.known_bytes() == 21


def test_known_asks_nobody(cache: ListingCache, printer: Printer) -> None:
    assert cache.known("/") == {}
    assert printer.asked == []


def test_known_is_what_was_listed_however_long_ago(cache: ListingCache, clock: Clock) -> None:
    cache.listing("/")
    clock.now += 1e6
    assert cache.known("/") == {"a": A, "b": B}


# --- many at once ---------------------------------------------------------------------------------


def test_many_threads_cost_one_list(cache: ListingCache, printer: Printer) -> None:
    printer.gate.clear()
    with ThreadPoolExecutor(20) as pool:
        asking = [pool.submit(cache.listing, "/") for _ in range(20)]
        wait_until(lambda: cache.misses == 20, "all to wait")
        printer.gate.set()
        assert [future.result(10) for future in asking] == [{"a": A, "b": B}] * 20
    assert printer.asked == ["/"]


def test_another_folder_does_not_wait(cache: ListingCache, printer: Printer) -> None:
    printer.folders["/cache"] = [C]
    cache.listing("/cache")
    with under_way(printer, cache):
        assert cache.listing("/cache") == {"c": C}


def test_error_reaches_everybody_who_waits(cache: ListingCache, printer: Printer) -> None:
    printer.error = PrinterUnreachable("away")
    printer.gate.clear()
    with ThreadPoolExecutor(5) as pool:
        asking = [pool.submit(cache.listing, "/") for _ in range(5)]
        wait_until(lambda: cache.misses == 5, "all to wait")
        printer.gate.set()
        errors = [future.exception(10) for future in asking]
    assert all(isinstance(error, PrinterUnreachable) for error in errors)


def test_everybody_gets_an_error_of_his_own(cache: ListingCache, printer: Printer) -> None:
    printer.error = PrinterUnreachable("away")
    printer.gate.clear()
    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(cache.listing, "/") for _ in range(2)]
        wait_until(lambda: cache.misses == 2, "both to wait")
        printer.gate.set()
        assert asking[0].exception(10) is not asking[1].exception(10)


# --- own changes ----------------------------------------------------------------------------------


def test_own_new_file_shows_at_once(cache: ListingCache) -> None:
    cache.listing("/")
    cache.apply("/c", C)
    assert cache.lookup("/c") == C


def test_own_deleted_file_is_gone_at_once(cache: ListingCache) -> None:
    cache.listing("/")
    cache.apply("/a", None)
    assert cache.lookup("/a") is None


def test_own_change_asks_nobody(cache: ListingCache, printer: Printer) -> None:
    cache.listing("/")
    cache.apply("/c", C)
    cache.listing("/")
    assert printer.asked == ["/"]


def test_own_change_does_not_make_a_listing_younger(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    clock.now += 4.0
    cache.apply("/c", C)
    clock.now += 1.0
    cache.listing("/")
    assert printer.asked == ["/", "/"]


def test_own_change_in_an_unknown_folder_makes_no_listing(cache: ListingCache) -> None:
    cache.apply("/cache/c", C)
    assert cache.known("/cache") == {}


def test_file_created_during_a_list_is_shown_after_it(cache: ListingCache, printer: Printer) -> None:
    with under_way(printer, cache):
        cache.apply("/c", C)
    assert cache.lookup("/c") == C


def test_file_deleted_during_a_list_is_not_shown_after_it(cache: ListingCache, printer: Printer) -> None:
    with under_way(printer, cache):
        cache.apply("/a", None)
    assert cache.lookup("/a") is None


def test_latest_of_two_changes_during_a_list_wins(cache: ListingCache, printer: Printer) -> None:
    with under_way(printer, cache):
        cache.apply("/a", None)
        cache.apply("/a", C._replace(name="a"))
    assert cache.lookup("/a") == C._replace(name="a")


def test_those_who_waited_see_the_change_too(cache: ListingCache, printer: Printer) -> None:
    with under_way(printer, cache) as asking:
        cache.apply("/a", None)
    assert "a" not in asking.result()


def test_change_during_a_list_of_an_old_listing_shows_meanwhile(
    cache: ListingCache, printer: Printer, clock: Clock
) -> None:
    cache.listing("/")
    clock.now += 6.0
    with under_way(printer, cache):
        cache.apply("/c", C)
        assert "c" in cache.known("/")


def test_forgotten_folder_is_asked_anew(cache: ListingCache, printer: Printer) -> None:
    cache.listing("/")
    cache.forget("/")
    cache.listing("/")
    assert printer.asked == ["/", "/"]


def test_forgetting_a_folder_forgets_those_below(cache: ListingCache, printer: Printer) -> None:
    printer.folders |= {"/a": [], "/a/b": [C]}
    cache.listing("/a/b")
    cache.forget("/a")
    assert cache.known("/a/b") == {}


def test_forgetting_a_folder_spares_one_with_a_longer_name(cache: ListingCache, printer: Printer) -> None:
    printer.folders["/ab"] = [C]
    cache.listing("/ab")
    cache.forget("/a")
    assert cache.known("/ab") == {"c": C}


def test_list_under_way_is_not_kept_when_its_folder_is_forgotten(cache: ListingCache, printer: Printer) -> None:
    with under_way(printer, cache):
        cache.forget("/")
    assert cache.known("/") == {}


def test_list_begun_after_the_forgetting_is_kept(cache: ListingCache, printer: Printer) -> None:
    with under_way(printer, cache), ThreadPoolExecutor(1) as pool:
        cache.forget("/")
        printer.folders["/"] = [C]
        second = pool.submit(cache.listing, "/")
        wait_until(lambda: len(printer.asked) == 2, "the second LIST to go out")
        printer.gate.set()
        second.result(10)
    assert cache.known("/") == {"c": C}


# --- the printer is away --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [PrinterUnreachable, PrinterTimeout, PrinterBusy, ConnectionDropped])
def test_old_listing_serves_while_the_printer_is_away(
    cache: ListingCache, printer: Printer, clock: Clock, kind: type[PrinterError]
) -> None:
    cache.listing("/")
    clock.now += 6.0
    printer.error = kind("away")
    assert cache.listing("/") == {"a": A, "b": B}


@pytest.mark.parametrize("kind", [LoginRefused, CardRefused])
def test_old_listing_does_not_hide_what_the_user_has_to_know(
    cache: ListingCache, printer: Printer, clock: Clock, kind: type[PrinterError]
) -> None:
    cache.listing("/")
    clock.now += 6.0
    printer.error = kind("no")
    with pytest.raises(kind):
        cache.listing("/")


def test_old_listing_serves_for_a_while_before_asking_again(
    cache: ListingCache, printer: Printer, clock: Clock
) -> None:
    cache.listing("/")
    clock.now += 6.0
    printer.error = PrinterUnreachable("away")
    for _ in range(5):
        cache.listing("/")
    assert len(printer.asked) == 2


def test_old_listing_knows_own_changes(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    clock.now += 6.0
    cache.apply("/a", None)
    printer.error = PrinterUnreachable("away")
    assert cache.listing("/") == {"b": B}


def test_printer_that_is_back_is_asked(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    clock.now += 6.0
    printer.error = PrinterUnreachable("away")
    cache.listing("/")
    printer.error, printer.folders["/"] = None, [C]
    clock.now += 6.0
    assert cache.listing("/") == {"c": C}


def test_printer_that_is_back_is_asked_soon_also_with_a_long_time_to_live(printer: Printer, clock: Clock) -> None:
    cache = ListingCache(printer.list, ttl=3600.0, clock=clock)
    cache.listing("/")
    clock.now += 3601.0
    printer.error = PrinterUnreachable("away")
    cache.listing("/")
    printer.error, printer.folders["/"] = None, [C]
    clock.now += 4.0
    assert cache.listing("/") == {"c": C}


def test_since_when_old_listings_serve_is_told(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    def stale_since() -> float | None:
        cache.listing("/")
        return cache.stale_since

    assert stale_since() is None
    printer.error = PrinterUnreachable("away")
    clock.now += 6.0
    since = clock.now
    for clock.now in (since, since + 6.0, since + 12.0):
        assert stale_since() == since
    clock.now += 6.0
    printer.error = None
    assert stale_since() is None


def test_without_an_old_listing_the_error_is_told(cache: ListingCache, printer: Printer) -> None:
    printer.error = PrinterUnreachable("away")
    with pytest.raises(PrinterUnreachable):
        cache.listing("/")


def test_what_was_served_stale_is_counted(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    clock.now += 6.0
    printer.error = PrinterUnreachable("away")
    cache.listing("/")
    assert cache.served_stale == 1


def test_fault_of_our_own_is_told_as_eio(printer: Printer, clock: Clock) -> None:
    def broken(folder: str, *, patience: float) -> list[Entry]:
        raise KeyError(folder)

    cache = ListingCache(broken, clock=clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading, "excepthook", lambda args: None)
        with pytest.raises(OSError, match="KeyError") as failed:
            cache.listing("/")
        wait_until(lambda: not flying(), "the thread to end")
    assert failed.value.errno == errno.EIO


def test_thread_that_cannot_be_had_is_tried_for_again(cache: ListingCache, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread")))
        with pytest.raises(RuntimeError):
            cache.listing("/")
    assert cache.listing("/") == {"a": A, "b": B}


# --- deadlines ------------------------------------------------------------------------------------


def test_slow_printer_ends_in_a_time_out(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    with under_way(printer, cache) as asking:
        clock.now += 30.0
        assert isinstance(asking.exception(10), PrinterTimeout)


def test_slow_printer_is_not_waited_for_when_an_old_listing_is_there(
    cache: ListingCache, printer: Printer, clock: Clock
) -> None:
    cache.listing("/")
    clock.now += 6.0
    with under_way(printer, cache) as asking:
        clock.now += 2.0
        assert asking.result(10) == {"a": A, "b": B}


def test_late_listing_is_kept_all_the_same(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    cache.listing("/")
    printer.folders["/"] = [C]
    clock.now += 6.0
    with under_way(printer, cache) as asking:
        clock.now += 2.0
        asking.result(10)
    wait_until(lambda: cache.known("/") == {"c": C}, "the late listing to land")


def test_session_is_waited_for_long_only_without_an_old_listing(
    cache: ListingCache, printer: Printer, clock: Clock
) -> None:
    cache.listing("/")
    clock.now += 6.0
    cache.listing("/")
    assert printer.patience == [listings.SESSION_PATIENCE, listings.SESSION_PATIENCE_WITH_STALE]


def test_interrupted_caller_does_not_wait(cache: ListingCache, printer: Printer) -> None:
    printer.gate.clear()
    with interrupts.watched(lambda: bool(printer.asked)), pytest.raises(Interrupted):
        cache.listing("/")


# --- bounds ---------------------------------------------------------------------------------------


def test_folder_not_used_for_longest_is_forgotten(printer: Printer, clock: Clock) -> None:
    printer.folders |= {"/1": [A, B], "/2": [A, B], "/3": [A, B]}
    cache = ListingCache(printer.list, max_entries=6, clock=clock)
    for folder in ("/1", "/2", "/1", "/3"):
        cache.listing(folder)
    assert [folder for folder in ("/1", "/2", "/3") if cache.known(folder)] == ["/1", "/3"]


def test_folder_larger_than_the_bound_is_listed_all_the_same(printer: Printer, clock: Clock) -> None:
    cache = ListingCache(printer.list, max_entries=2, clock=clock)
    assert cache.listing("/") == {"a": A, "b": B}


def test_own_new_file_in_a_folder_at_the_bound_does_no_harm(printer: Printer, clock: Clock) -> None:
    cache = ListingCache(printer.list, max_entries=3, clock=clock)
    cache.listing("/")
    cache.apply("/c", C)
    assert cache.lookup("/c") == C or printer.asked == ["/", "/"]


# --- names that a card takes for one ------------------------------------------------------------------


def test_names_that_differ_in_case_only_are_alike(cache: ListingCache, printer: Printer) -> None:
    printer.folders["/"] = [A, Entry("Ärger.3MF", False, 1, 0), Entry("A", False, 1, 0)]
    assert cache.like("/ärger.3mf") == ["Ärger.3MF"]
    assert cache.like("/a") == ["A", "a"]
    assert cache.like("/x") == []
    assert printer.asked == ["/"]


def test_own_changes_count_for_names_that_are_alike(cache: ListingCache, clock: Clock) -> None:
    assert cache.like("/C") == []
    cache.apply("/c", C)
    assert cache.like("/C") == ["c"]
    cache.apply("/c", C)
    cache.apply("/b", None)
    assert (cache.like("/C"), cache.like("/B")) == (["c"], [])
    cache.apply("/c", None)
    assert cache.like("/C") == []


def test_a_new_listing_tells_anew_which_names_are_alike(cache: ListingCache, printer: Printer, clock: Clock) -> None:
    assert cache.like("/C") == []
    printer.folders["/"] = [C]
    clock.now += 6.0
    assert (cache.like("/C"), cache.like("/A")) == (["c"], [])


def test_names_alike_in_a_folder_too_big_to_remember(printer: Printer, clock: Clock) -> None:
    cache = ListingCache(printer.list, ttl=5.0, max_entries=1, clock=clock)
    assert cache.like("/A") == ["a"]
