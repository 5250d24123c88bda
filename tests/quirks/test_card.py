"""Rows 17 to 19, 28, 30 and 31: what printers tell of their files, and what becomes of their card."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from tests.contract.box import refused
from tests.quirks.conftest import On
from tests.support.waiting import wait_until

BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
CONTENT = os.urandom(200_000)
DAY = 86400
SET = 1_700_000_001


# --- what a listing tells -----------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("style", ["vsftpd", "esp32"])
def test_both_forms_of_listings_are_understood(on: On, model: str, style: str) -> None:
    stand = on(model)
    stand.quirks["list_style"] = style
    now = time.time()
    ages = {"a new one": 3600, "a b.3mf": 100 * DAY, " old": 190 * DAY, "ümlaut -> x": 400 * DAY, "ahead": -3600}
    for name, age in ages.items():
        stand.put(name, name.encode(), mtime=now - age)
    stand.put("folder/x")

    assert sorted(os.listdir(stand.folder)) == sorted([*ages, "folder"])
    for name, age in ages.items():
        found = (stand.folder / name).stat()
        assert found.st_size == len(name.encode())
        assert abs(found.st_mtime - (now - age)) <= DAY
        assert (stand.folder / name).read_bytes() == name.encode()


@BOTH
@pytest.mark.parametrize(
    ("quirk", "value"),
    [("utc_offset", 480), ("utc_offset", -300), ("clock_error", 6.5 * DAY), ("clock_error", -400.0 * DAY)],
)
def test_a_printer_whose_clock_is_wrong_keeps_the_times_that_were_set(
    on: On, model: str, quirk: str, value: float
) -> None:
    stand = on(model)
    stand.quirks[quirk] = value
    place = stand.put("there.3mf", CONTENT, mtime=time.time() - 60)

    before = place.stat()
    (stand.folder / "new.3mf").write_bytes(CONTENT)
    os.utime(stand.folder / "new.3mf", (SET, SET))
    stand.refresh()

    assert place.stat() == before  # a time does not move by itself
    assert (stand.folder / "new.3mf").stat().st_mtime == SET
    assert place.read_bytes() == CONTENT


def test_an_august_that_is_written_ago_is_understood(on: On) -> None:
    stand = on("p1s")
    stand.quirks["ago"] = True
    august = time.mktime((time.gmtime().tm_year - 1, 8, 10, 12, 0, 0, 0, 0, 0))
    place = stand.put("there.3mf", mtime=august)

    assert abs(place.stat().st_mtime - august) <= DAY
    assert "cannot be shown" not in stand.said


@BOTH
def test_a_card_that_keeps_even_seconds_shows_the_odd_one_that_was_set(on: On, model: str) -> None:
    stand = on(model)
    assert stand.quirks.flag("fat_times")
    (stand.folder / "new.3mf").write_bytes(CONTENT)

    os.utime(stand.folder / "new.3mf", (SET, SET))
    stand.refresh()

    assert (stand.folder / "new.3mf").stat().st_mtime == SET


def test_uploads_that_the_printer_stamps_wrongly_keep_their_time(on: On) -> None:
    stand = on("a1mini")
    assert stand.quirks.number("upload_clock_error") < -50 * DAY

    before = int(time.time())
    (stand.folder / "new.3mf").write_bytes(CONTENT)
    shown = (stand.folder / "new.3mf").stat().st_mtime
    stand.refresh()

    assert abs((stand.disk / "new.3mf").stat().st_mtime - before) > 50 * DAY
    assert before - 2 <= shown <= time.time() + 2
    assert (stand.folder / "new.3mf").stat().st_mtime == shown


@pytest.mark.parametrize("order", ["name", "created"])
def test_any_order_will_do(on: On, order: str) -> None:
    stand = on("x1c")
    stand.quirks["order"] = order
    for name in ("c", "a", "b"):
        stand.put(name)

    assert sorted(os.listdir(stand.folder)) == ["a", "b", "c"]


@pytest.mark.parametrize(("model", "hidden"), [("x1c", True), ("x1c", False), ("p1s", False)])
def test_dot_names_on_the_card_are_not_shown(on: On, model: str, hidden: bool) -> None:
    stand = on(model)
    stand.quirks["hidden_dots"] = hidden
    stand.put("folder/.DS_Store")
    stand.put("there.3mf")

    assert os.listdir(stand.folder / "folder") == []
    (stand.folder / "folder").rmdir()
    assert os.listdir(stand.folder) == ["there.3mf"]


@BOTH
@pytest.mark.parametrize("name", ["-la", "*", "[ab]", "-R x"])
def test_a_folder_is_never_taken_for_an_option_or_a_pattern(on: On, model: str, name: str) -> None:
    stand = on(model)
    stand.quirks["list_options"], stand.quirks["fat_names"] = True, False
    stand.put(f"{name}/inside")
    stand.put("a/other")

    assert os.listdir(stand.folder / name) == ["inside"]


# --- names --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize("name", ["a:b", "a?b", 'a"b', "dot.", "blank ", "a\\b", "tab\t"])
def test_names_that_fat_cannot_store_are_refused_before_anything_is_sent(on: On, model: str, name: str) -> None:
    stand = on(model)
    assert stand.quirks.flag("fat_names")

    with refused(errno.EINVAL):
        (stand.folder / name).write_bytes(CONTENT)

    assert stand.uploads() == 0
    assert "the card cannot store" in stand.said


def test_a_name_that_only_the_printer_finds_bad_leaves_nothing_behind(on: On) -> None:
    stand = on("x1c")
    stand.quirks["path_limit"] = 40

    with refused(errno.EINVAL):
        (stand.folder / ("x" * 60)).write_bytes(CONTENT)

    stand.wait_until_tidy()
    assert list(stand.disk.iterdir()) == []


def test_a_path_that_is_too_long_for_the_printer_is_refused_before_anything_is_sent(on: On) -> None:
    stand = on("p1s")

    with refused(errno.ENAMETOOLONG):
        (stand.folder / ("x" * 110)).write_bytes(CONTENT)

    assert stand.uploads() == 0
    assert "at most 110 bytes" in stand.said


@BOTH
def test_names_that_differ_in_case_only_are_one_file(on: On, model: str) -> None:
    stand = on(model)
    assert stand.quirks.flag("ignore_case")
    place = stand.put("Benchy.3mf", b"old")

    with refused(errno.EEXIST):
        (stand.folder / "benchy.3mf").write_bytes(CONTENT)
    assert stand.holds("Benchy.3mf", b"old")
    place.rename(stand.folder / "benchy.3mf")

    stand.wait_until_tidy()
    assert [item.name for item in stand.disk.iterdir()] == ["benchy.3mf"]
    assert stand.holds("benchy.3mf", b"old")


# --- room and state -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("model", "code"), [("x1c", "552"), ("x1c", "452"), ("p1s", "451")])
def test_a_full_card_is_told_and_the_old_file_stays(on: On, model: str, code: str) -> None:
    stand = on(model)
    stand.put("there.3mf", b"old")
    stand.quirks["full_code"] = code
    stand.quirks["card_size"] = sum(f.stat().st_size for f in stand.printer.card.rglob("*") if f.is_file()) + 100_000

    done = stand.run(f"head -c {len(CONTENT)} /dev/zero > new.3mf; cp {_source(stand.mount.path)} there.3mf")

    assert "No space left on device" in done.stderr
    stand.wait_until_tidy()
    assert [item.name for item in stand.disk.iterdir()] == ["there.3mf"]
    assert stand.holds("there.3mf", b"old")
    assert "card is full; delete something" in stand.said


def _source(mount: Path) -> Path:
    source = mount.parent / "source"
    source.write_bytes(CONTENT)
    return source


@pytest.mark.parametrize("model", ["p2s", "x1c"])
def test_a_printer_without_a_card_shows_an_empty_folder_and_says_why_nothing_can_be_stored(on: On, model: str) -> None:
    stand = on(model)
    stand.quirks["card"] = "absent"
    stand.refresh()

    assert os.listdir(stand.mount.path) == []
    with pytest.raises(OSError, match="denied"):
        (stand.mount.path / "new.3mf").write_bytes(CONTENT)

    assert "is its card in, writable and not full?" in stand.said


def test_a_printer_that_refuses_its_root_without_a_card_says_so(on: On) -> None:
    stand = on("a1mini")
    stand.quirks["card"] = "denied"
    wait_until(lambda: _is_denied(stand.mount.path, stand.refresh), "the folder to be refused")

    assert "is its card (or USB stick) in?" in stand.said


def _is_denied(place: Path, refresh: object) -> bool:
    assert callable(refresh)
    refresh()
    try:
        os.listdir(place)
    except PermissionError:
        return True
    return False


@BOTH
def test_a_card_that_cannot_be_written_is_told_and_keeps_everything(on: On, model: str) -> None:
    stand = on(model)
    place = stand.put("there.3mf", b"old")
    stand.quirks["card"] = "readonly"

    with refused(errno.EACCES):
        place.write_bytes(CONTENT)
    with refused(errno.EACCES):
        place.unlink()

    assert place.read_bytes() == b"old"
    assert stand.holds("there.3mf", b"old")
    assert "is its card in, writable and not full?" in stand.said


# --- what the printer does by itself --------------------------------------------------------------------


def test_files_that_come_and_go_by_themselves_are_shown_as_they_are(on: On) -> None:
    stand = on("p2s")
    cache, films = stand.mount.path / "cache", stand.mount.path / "timelapse"
    assert stand.quirks.number("cache_fifo") == 6
    stand.printer.live(8)
    stand.refresh()
    assert len(os.listdir(cache)) == 6
    oldest = min(cache.iterdir())
    (film,) = films.iterdir()
    length = film.stat().st_size
    assert film.read_bytes() == (stand.printer.card / "timelapse" / film.name).read_bytes()

    stand.printer.live(2)

    with refused(errno.ENOENT):
        oldest.read_bytes()  # it is listed still
    assert len(film.read_bytes()) == length  # what grew since then is not mixed in
    wait_until(lambda: film.stat().st_size > length, "the film to have grown", seconds=8)
    assert film.read_bytes() == (stand.printer.card / "timelapse" / film.name).read_bytes()
    assert not oldest.exists()


def test_a_restless_printer_can_be_copied_from(on: On, tmp_path: Path) -> None:
    stand = on("p2s")
    stand.printer.live(6)
    stand.quirks["restless"] = 0.02

    for _ in range(3):
        stand.refresh()
        stand.run(f"cp -r ../cache ../timelapse {tmp_path}")
    stand.quirks["restless"] = 0.0

    assert list((tmp_path / "cache").iterdir())
    assert all(file.stat().st_size in (0, 2048) for file in (tmp_path / "cache").iterdir())
    assert "cannot be shown" not in stand.said
