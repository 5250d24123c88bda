"""Exact times that a listing cannot tell."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.printer.entry import Entry
from bambufs.vfs import times
from bambufs.vfs.times import TimeStore

MINUTE, HOUR, DAY = 60, 3600, 86400
LISTED = 1_776_700_800  # a full day, in UTC
EXACT = 1_234_567_891  # what a user's `touch` said


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "times.sqlite"


@pytest.fixture
def reopen(file: Path) -> Iterator[Callable[[], TimeStore]]:
    """Opens the store, after closing the one opened before."""
    stores: list[TimeStore] = []

    def open_again() -> TimeStore:
        if stores:
            stores.pop().close()
        stores.append(TimeStore(file))
        return stores[0]

    yield open_again
    for store in stores:
        store.close()


@pytest.fixture
def store(reopen: Callable[[], TimeStore]) -> TimeStore:
    return reopen()


def listed(name: str = "x", size: int = 7, mtime: int = LISTED, resolution: int = MINUTE) -> Entry:
    """What the printer lists."""
    return Entry(name, False, size, mtime, resolution)


def shown(store: TimeStore, entry: Entry, folder: str = "/cache") -> int:
    """The time that the mount shows for ``entry``."""
    return store.correct(folder, [entry], store.ticket())[0].mtime


# --- binding --------------------------------------------------------------------------------------


def test_unknown_file_keeps_the_printers_time(store: TimeStore) -> None:
    assert shown(store, listed()) == LISTED


def test_remembered_time_is_shown(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert shown(store, listed()) == EXACT


def test_remembered_time_is_exact_to_the_second(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert store.correct("/cache", [listed()], store.ticket())[0].resolution == 1


def test_remembered_time_is_shown_again_and_again(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert [shown(store, listed()) for _ in range(3)] == [EXACT] * 3


def test_neighbours_are_left_alone(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    corrected = store.correct("/cache", [listed("a"), listed("x"), listed("z")], store.ticket())
    assert [entry.mtime for entry in corrected] == [LISTED, EXACT, LISTED]


def test_same_name_in_another_folder_is_another_file(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert shown(store, listed(), "/model") == LISTED


def test_file_in_the_root_is_remembered(store: TimeStore) -> None:
    store.remember("/x", 7, EXACT)
    assert shown(store, listed(), "/") == EXACT


def test_case_of_a_name_counts(store: TimeStore) -> None:
    store.remember("/cache/X", 7, EXACT)
    assert shown(store, listed("x")) == LISTED


def test_latest_time_counts(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    store.remember("/cache/x", 7, EXACT + 5)
    assert shown(store, listed()) == EXACT + 5


def test_time_of_a_folder_outlives_what_comes_into_it_late(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert shown(store, listed()) == EXACT
    store.rebind("/cache/x")
    assert [shown(store, listed(mtime=LISTED + 120)) for _ in range(2)] == [EXACT] * 2
    assert shown(store, listed(mtime=LISTED + 240)) == LISTED + 240


def test_listing_that_began_before_it_does_not_bind_it(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    ticket = store.ticket()
    store.rebind("/cache/x")
    store.correct("/cache", [listed(mtime=LISTED)], ticket)
    assert shown(store, listed(mtime=LISTED + 120)) == EXACT


def test_time_that_is_the_printers_own_is_not_held_on_to(store: TimeStore) -> None:
    store.learn("/cache", [listed()], {"x": EXACT}, store.ticket())
    store.rebind("/cache/x")
    assert shown(store, listed(mtime=LISTED + 120)) == LISTED + 120


# --- somebody else wrote --------------------------------------------------------------------------


def test_file_of_another_size_is_somebody_elses(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert shown(store, listed(size=8)) == LISTED


def test_file_listed_with_another_time_is_somebody_elses(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed())
    assert shown(store, listed(mtime=LISTED + MINUTE)) == LISTED + MINUTE


def test_what_was_somebody_elses_stays_so(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed())
    shown(store, listed(mtime=LISTED + MINUTE))
    assert shown(store, listed()) == LISTED


def test_new_time_binds_anew(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed())
    store.remember("/cache/x", 7, EXACT + 5)
    assert shown(store, listed(mtime=LISTED + MINUTE)) == EXACT + 5


# --- after half a year ----------------------------------------------------------------------------


def test_file_grown_old_keeps_its_exact_time(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed(mtime=LISTED + 17 * MINUTE, resolution=MINUTE))
    assert shown(store, listed(mtime=LISTED, resolution=DAY)) == EXACT


def test_file_grown_old_and_changed_is_somebody_elses(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed(mtime=LISTED + 17 * MINUTE, resolution=MINUTE))
    assert shown(store, listed(mtime=LISTED + DAY, resolution=DAY)) == LISTED + DAY


def test_file_bound_by_its_day_may_be_listed_by_the_minute_later(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed(mtime=LISTED, resolution=DAY))
    assert shown(store, listed(mtime=LISTED + 17 * MINUTE, resolution=MINUTE)) == EXACT


# --- listings under way -----------------------------------------------------------------------------


def test_listing_begun_before_a_change_does_not_judge_it(store: TimeStore) -> None:
    ticket = store.ticket()
    store.remember("/cache/x", 7, EXACT)
    store.correct("/cache", [listed(size=8)], ticket)
    assert shown(store, listed()) == EXACT


def test_listing_begun_before_a_change_does_not_bind_it(store: TimeStore) -> None:
    ticket = store.ticket()
    store.remember("/cache/x", 7, EXACT)
    store.correct("/cache", [listed(mtime=LISTED - 5 * MINUTE)], ticket)
    assert shown(store, listed()) == EXACT


def test_listing_begun_before_a_rename_does_not_judge_it(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    ticket = store.ticket()
    store.renamed("/cache/x", "/cache/y")
    store.correct("/cache", [listed("y", size=8)], ticket)
    assert shown(store, listed("y")) == EXACT


@pytest.mark.parametrize("entry", [listed(), listed(size=8)], ids=["bound", "somebody else's"])
def test_change_while_a_listing_is_judged_stays(
    store: TimeStore, monkeypatch: pytest.MonkeyPatch, entry: Entry
) -> None:
    def looked_at(known: times._Known, entry: Entry) -> bool:
        monkeypatch.undo()
        store.remember("/cache/x", 9, EXACT + HOUR)
        return known.fits(entry)

    store.remember("/cache/x", 7, EXACT)
    ticket = store.ticket()
    monkeypatch.setattr(times._Known, "fits", looked_at)
    store.correct("/cache", [entry], ticket)
    assert shown(store, listed(size=9, mtime=LISTED + HOUR)) == EXACT + HOUR


def test_change_of_one_file_lets_the_others_be_judged(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    ticket = store.ticket()
    store.remember("/cache/y", 7, EXACT)
    assert store.correct("/cache", [listed(size=8)], ticket)[0].mtime == LISTED


# --- times that the printer tells -------------------------------------------------------------------


def unknown(store: TimeStore, *entries: Entry, now: float = LISTED + DAY) -> list[str]:
    """The names whose exact time has to be asked for."""
    return [entry.name for entry in store.unknown("/cache", entries, now)]


def learn(store: TimeStore, *entries: Entry, mtime: int = EXACT, ticket: int | None = None) -> None:
    """Let the printer tell the times of ``entries``."""
    told = {entry.name: mtime for entry in entries}
    store.learn("/cache", entries, told, store.ticket() if ticket is None else ticket)


def test_vague_time_has_to_be_asked_for(store: TimeStore) -> None:
    assert unknown(store, listed("x")) == ["x"]


def test_exact_time_need_not_be_asked_for(store: TimeStore) -> None:
    assert unknown(store, listed("x", resolution=1)) == []


def test_folder_need_not_be_asked_for(store: TimeStore) -> None:
    assert unknown(store, Entry("d", True, 0, LISTED, MINUTE)) == []


def test_time_set_by_ourselves_need_not_be_asked_for(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert unknown(store, listed("x")) == []


def test_told_time_is_shown(store: TimeStore) -> None:
    learn(store, listed())
    assert shown(store, listed()) == EXACT


def test_told_time_need_not_be_asked_for_again(store: TimeStore) -> None:
    learn(store, listed())
    assert unknown(store, listed()) == []


def test_told_time_of_a_file_changed_since_is_asked_for_again(store: TimeStore) -> None:
    learn(store, listed())
    assert unknown(store, listed(mtime=LISTED + MINUTE)) == ["x"]


def test_told_time_of_a_file_grown_since_is_asked_for_again(store: TimeStore) -> None:
    learn(store, listed())
    assert unknown(store, listed(size=8)) == ["x"]


def test_told_time_of_a_file_just_written_is_asked_for_again(store: TimeStore) -> None:
    # It may have been written once more within the minute that is listed.
    learn(store, listed())
    assert unknown(store, listed(), now=LISTED + 90) == ["x"]


def test_told_time_does_not_undo_a_change_meanwhile(store: TimeStore) -> None:
    ticket = store.ticket()
    store.remember("/cache/x", 7, EXACT)
    learn(store, listed(), mtime=EXACT - 1000, ticket=ticket)
    assert shown(store, listed()) == EXACT


def test_file_whose_time_the_printer_did_not_tell_stays_vague(store: TimeStore) -> None:
    store.learn("/cache", [listed("x")], {}, store.ticket())
    assert shown(store, listed("x")) == LISTED


# --- names that move ------------------------------------------------------------------------------


def test_forgotten_time_is_gone(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    store.forget("/cache/x")
    assert shown(store, listed()) == LISTED


def test_forgetting_a_folder_forgets_what_is_below(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    store.remember("/cache/deep/x", 7, EXACT)
    store.forget("/cache")
    assert (shown(store, listed()), shown(store, listed(), "/cache/deep")) == (LISTED, LISTED)


def test_forgetting_a_folder_spares_one_with_a_longer_name(store: TimeStore) -> None:
    store.remember("/cache2/x", 7, EXACT)
    store.forget("/cache")
    assert shown(store, listed(), "/cache2") == EXACT


def test_renamed_file_keeps_its_time(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    store.renamed("/cache/x", "/model/y")
    assert shown(store, listed("y"), "/model") == EXACT


def test_renamed_file_keeps_what_it_was_bound_to(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed())
    store.renamed("/cache/x", "/cache/y")
    assert shown(store, listed("y", mtime=LISTED + MINUTE)) == LISTED + MINUTE


def test_old_name_of_a_renamed_file_has_no_time(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    store.renamed("/cache/x", "/cache/y")
    assert shown(store, listed()) == LISTED


def test_replaced_file_loses_its_time(store: TimeStore) -> None:
    store.remember("/cache/y", 7, EXACT)
    store.renamed("/cache/x", "/cache/y")
    assert shown(store, listed("y")) == LISTED


def test_renamed_folder_takes_everything_below_along(store: TimeStore) -> None:
    store.remember("/a/x", 7, EXACT)
    store.remember("/a/deep/er/x", 7, EXACT)
    store.renamed("/a", "/model/b")
    assert (shown(store, listed(), "/model/b"), shown(store, listed(), "/model/b/deep/er")) == (EXACT, EXACT)


def test_renamed_folder_leaves_one_with_a_longer_name_alone(store: TimeStore) -> None:
    store.remember("/ab/x", 7, EXACT)
    store.renamed("/a", "/b")
    assert shown(store, listed(), "/ab") == EXACT


@pytest.mark.parametrize("wild", ["%", "_", "'", '"'])
def test_character_with_a_meaning_in_sql_is_a_letter(store: TimeStore, wild: str) -> None:
    store.remember("/cache/x", 7, EXACT)
    store.forget(f"/{wild}")
    store.forget(f"/cache/{wild}")
    assert shown(store, listed()) == EXACT


@pytest.mark.parametrize("name", ["größe", "not utf-8 \udcff", "体积", "a'b"])
def test_odd_name_is_remembered(store: TimeStore, name: str) -> None:
    store.remember(f"/{name}/{name}", 7, EXACT)
    assert shown(store, listed(name), f"/{name}") == EXACT


@pytest.mark.parametrize("name", ["größe", "not utf-8 \udcff", "体积", "a'b"])
def test_odd_folder_name_is_renamed(store: TimeStore, name: str) -> None:
    store.remember(f"/old\udcfe/deep{name}/x", 7, EXACT)
    store.renamed("/old\udcfe", f"/new{name}")
    assert shown(store, listed(), f"/new{name}/deep{name}") == EXACT


# --- the file -------------------------------------------------------------------------------------


def test_time_survives_a_remount(reopen: Callable[[], TimeStore]) -> None:
    reopen().remember("/cache/x", 7, EXACT)
    assert shown(reopen(), listed()) == EXACT


def test_binding_survives_a_remount(reopen: Callable[[], TimeStore]) -> None:
    store = reopen()
    store.remember("/cache/x", 7, EXACT)
    shown(store, listed())
    assert shown(reopen(), listed(mtime=LISTED + MINUTE)) == LISTED + MINUTE


def test_time_survives_a_mount_that_was_killed(store: TimeStore, file: Path, tmp_path: Path) -> None:
    store.remember("/cache/x", 7, EXACT)
    for part in tmp_path.glob("times.sqlite*"):  # the files as they lie there, without closing
        (tmp_path / part.name.replace("times", "copy")).write_bytes(part.read_bytes())
    copy = TimeStore(tmp_path / "copy.sqlite")
    assert shown(copy, listed()) == EXACT
    copy.close()


@pytest.mark.parametrize("damage", [b"junk" * 5000, b"SQLite format 3\0" + b"\xff" * 4096], ids=["junk", "header"])
def test_damaged_file_starts_anew(file: Path, damage: bytes, reopen: Callable[[], TimeStore]) -> None:
    file.write_bytes(damage)
    store = reopen()
    store.remember("/cache/x", 7, EXACT)
    assert shown(store, listed()) == EXACT


def test_empty_file_starts_anew(file: Path, reopen: Callable[[], TimeStore]) -> None:
    file.touch()
    assert shown(reopen(), listed()) == LISTED


def test_file_damaged_in_the_middle_does_not_stop_a_listing(file: Path, reopen: Callable[[], TimeStore]) -> None:
    store = reopen()
    for number in range(500):
        store.remember(f"/cache/{number}", 7, EXACT)
    store.close()
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    assert shown(reopen(), listed("7")) in (EXACT, LISTED)


def test_file_that_another_program_has_locked_is_left_alone(
    file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = TimeStore(file)
    store.remember("/cache/x", 7, EXACT)
    store.close()
    monkeypatch.setattr(times, "PATIENCE", 0.01)

    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("pragma locking_mode = exclusive")
        other.execute("begin exclusive")
        store = TimeStore(file)
        store.remember("/cache/y", 7, EXACT)
        assert shown(store, listed("y")) == EXACT
        store.close()

    assert "for this mount only" in caplog.text
    store = TimeStore(file)
    assert shown(store, listed()) == EXACT
    store.close()


def test_failing_disk_is_told_once(store: TimeStore, caplog: pytest.LogCaptureFixture) -> None:
    store._database.execute("drop table times")
    for _ in range(3):
        store.remember("/cache/x", 7, EXACT)
    assert [record.getMessage() for record in caplog.records] == [
        "exact file times cannot be remembered on this computer: no such table: times"
    ]


def test_failing_disk_leaves_the_printers_times(store: TimeStore) -> None:
    store._database.execute("drop table times")
    assert shown(store, listed()) == LISTED


# --- bounds ---------------------------------------------------------------------------------------


def rows(file: Path) -> int:
    """How many files are remembered."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        return int(database.execute("select count(*) from times").fetchone()[0])


def test_file_that_is_not_listed_any_more_is_forgotten(store: TimeStore, file: Path) -> None:
    for name in ("old", "older", "x"):
        store.remember(f"/cache/{name}", 7, EXACT)
    store.correct("/cache", [listed()], store.ticket())
    assert rows(file) == 1


def test_file_that_came_after_the_listing_began_is_kept(store: TimeStore, file: Path) -> None:
    ticket = store.ticket()
    store.remember("/cache/new", 7, EXACT)
    store.correct("/cache", [listed()], ticket)
    assert rows(file) == 1


def test_changes_that_no_listing_shows_take_no_memory(store: TimeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "_MOST_CHANGES", 10)
    for number in range(100):
        store.remember(f"/cache/{number}", 7, EXACT)
    assert len(store._changed_at) <= 10
    for number in range(100):
        store.forget(f"/cache/{number}")
    assert store._changed_at == {}


# --- whether what was read can be trusted later -----------------------------------------------------


def bind(store: TimeStore, entry: Entry) -> Entry:
    """``entry`` as the mount shows it after it was listed."""
    return store.correct("/cache", [entry], store.ticket())[0]


def settled_after(store: TimeStore, entry: Entry, since: float) -> bool:
    """Whether content is settled that came in so many seconds after the listed time."""
    return store.is_settled("/cache/x", entry, LISTED + since)


def learnt(store: TimeStore, exact: int) -> Entry:
    """A file whose time the printer has told to the second."""
    store.learn("/cache", [listed()], {"x": exact}, store.ticket())
    return bind(store, listed())


@pytest.mark.parametrize(("since", "expected"), [(0, False), (59, False), (170, False), (190, True)])
def test_file_of_exact_time_is_settled_when_its_minute_is_over(
    store: TimeStore, since: float, expected: bool
) -> None:
    assert settled_after(store, learnt(store, LISTED + 5), since) is expected


def test_listing_in_another_time_zone_does_not_mislead(store: TimeStore) -> None:
    entry = learnt(store, LISTED + 5 * 3600)
    assert not settled_after(store, entry, 5 * 3600 + 10)
    assert settled_after(store, entry, 5 * 3600 + 200)


@pytest.mark.parametrize("resolution", [MINUTE, DAY])
def test_file_of_vague_time_is_settled_a_day_later(store: TimeStore, resolution: int) -> None:
    entry = listed(resolution=resolution)
    assert not settled_after(store, entry, DAY + resolution)
    assert settled_after(store, entry, DAY + resolution + 1)


def test_time_of_a_clock_that_does_not_go_proves_nothing(store: TimeStore) -> None:
    assert not store.is_settled("/cache/x", listed(mtime=315_532_800), 2e9)  # 1980


def test_own_file_is_not_settled_before_it_was_listed(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    assert not settled_after(store, listed(mtime=EXACT, resolution=1), 10 * DAY)


def test_own_file_whose_time_the_printer_took_is_settled_at_once(store: TimeStore) -> None:
    exact = LISTED + 17
    store.remember("/cache/x", 7, exact)
    entry = bind(store, listed())
    assert entry.mtime == exact
    assert settled_after(store, entry, 300)


def test_own_file_whose_time_the_printer_did_not_take_is_settled_a_day_later(store: TimeStore) -> None:
    store.remember("/cache/x", 7, EXACT)
    entry = bind(store, listed())
    assert entry.mtime == EXACT
    assert not settled_after(store, entry, DAY)
    assert settled_after(store, entry, DAY + 2 * MINUTE)


def test_exact_time_that_is_not_remembered_proves_nothing(store: TimeStore) -> None:
    assert not settled_after(store, listed(resolution=1), 10 * DAY)


def test_other_version_than_the_remembered_one_is_not_settled(store: TimeStore) -> None:
    entry = learnt(store, LISTED + 5)
    assert not settled_after(store, entry._replace(size=8), 10 * DAY)
    assert not settled_after(store, entry._replace(mtime=LISTED), 10 * DAY)
