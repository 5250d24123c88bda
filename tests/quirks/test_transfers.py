"""Rows 8 to 13, 25 to 27 and 29: how transfers end, break, stall and crawl."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

import pytest

from bambufs.vfs.streaming import PAUSE
from tests.contract.box import refused
from tests.quirks.conftest import On
from tests.quirks.stand import Stand
from tests.support.waiting import wait_until

BOTH = pytest.mark.parametrize("model", ["x1c", "p1s"])
CONTENT = os.urandom(300_000)


# --- how an upload ends -----------------------------------------------------------------------------


def test_an_upload_does_not_wait_for_a_close_notify_that_never_comes(on: On) -> None:
    stand = on("p1s")
    assert stand.quirks.flag("silent_store_close")

    began = time.monotonic()
    (stand.folder / "new.3mf").write_bytes(CONTENT)

    assert time.monotonic() - began < 5  # the printer would wait for ten seconds
    assert stand.holds("new.3mf", CONTENT)
    assert stand.codes("STOR") == ["226"]


def test_an_upload_ends_with_close_notify(on: On) -> None:
    stand = on("x1c")
    assert stand.quirks.flag("strict_close")

    (stand.folder / "new.3mf").write_bytes(CONTENT)

    assert stand.holds("new.3mf", CONTENT)
    assert stand.codes("STOR") == ["226"]  # and not 426


@BOTH
def test_a_426_after_the_whole_file_is_no_failure(on: On, model: str) -> None:
    stand = on(model)
    answers = iter([None, b"426 Failure reading network stream.\r\n"])  # after the 150
    stand.printer.tamper("STOR", reply=lambda raw: next(answers, None) or raw)

    (stand.folder / "new.3mf").write_bytes(CONTENT)

    assert stand.holds("new.3mf", CONTENT)
    assert stand.codes("STOR") == ["426"]  # it was sent once: the size told that all had arrived


def test_a_226_that_comes_late_is_waited_for(on: On) -> None:
    stand = on("h2d")
    stand.quirks.once("late_226", 2.0)

    began = time.monotonic()
    (stand.folder / "new.3mf").write_bytes(CONTENT)

    assert time.monotonic() - began >= 2
    assert stand.holds("new.3mf", CONTENT)
    assert stand.codes("STOR") == ["226"]


@BOTH
def test_half_a_file_that_the_printer_takes_for_whole_is_sent_again(on: On, model: str) -> None:
    stand = on(model)
    place = stand.put("there.3mf", b"old")
    stand.quirks.once("short_stor", 100_000)

    place.write_bytes(CONTENT)

    assert stand.codes("STOR") == ["226", "226"]
    stand.wait_until_tidy()
    assert stand.holds("there.3mf", CONTENT)


@BOTH
def test_half_a_file_that_the_printer_always_takes_for_whole_never_replaces_the_old_one(on: On, model: str) -> None:
    stand = on(model)
    place = stand.put("there.3mf", b"old")
    stand.quirks["short_stor"] = 100_000

    with refused(errno.EIO):
        place.write_bytes(CONTENT)

    stand.wait_until_tidy()
    assert stand.holds("there.3mf", b"old")
    assert "100000 of 300000 bytes arrived" in stand.said


@BOTH
def test_an_upload_whose_connection_breaks_is_sent_again(on: On, model: str) -> None:
    stand = on(model)
    stand.put("there.3mf", b"old")
    os.listdir(stand.folder)
    stand.quirks.once("drop_after", 100_000)

    (stand.folder / "there.3mf").write_bytes(CONTENT)

    assert stand.uploads() == 2
    stand.wait_until_tidy()
    assert stand.holds("there.3mf", CONTENT)


@BOTH
def test_an_upload_that_never_gets_through_fails_and_leaves_the_old_file(on: On, model: str) -> None:
    stand = on(model)
    place = stand.put("there.3mf", b"old")
    os.listdir(stand.folder)
    stand.quirks["drop_after"] = 100_000

    with refused(errno.EIO):
        place.write_bytes(CONTENT)

    stand.quirks["drop_after"] = 0
    stand.wait_until_tidy()
    assert stand.holds("there.3mf", b"old")
    assert "was not stored on the printer" in stand.said


def test_a_program_that_pauses_while_it_writes_does_not_stall_the_printer(on: On) -> None:
    stand = on("p1s")
    stand.quirks["data_timeout"] = PAUSE + 1.5

    with open(stand.folder / "new.3mf", "wb") as file:
        file.write(CONTENT[:150_000])
        file.flush()
        time.sleep(PAUSE + 2)
        file.write(CONTENT[150_000:])

    stand.wait_until_tidy()
    assert stand.holds("new.3mf", CONTENT)
    assert not [reply for command in stand.sent("STOR") for reply in command.replies if reply.startswith("426")]


@pytest.mark.parametrize(("model", "end"), [("x1c", "421"), ("p1s", "426")])
def test_an_upload_that_the_printer_gave_up_is_sent_again(on: On, model: str, end: str) -> None:
    stand = on(model)
    content = os.urandom(12_000_000)
    stand.quirks["data_timeout"] = 1.0

    with stand.printer.hold("STOR", after_bytes=100_000) as gate:
        writer = threading.Thread(target=(stand.folder / "new.3mf").write_bytes, args=(content,))
        writer.start()
        assert gate.reached.wait(10)
        stand.mount.process.send_signal(signal.SIGSTOP)  # as a computer that goes to sleep
    try:
        wait_until(lambda: end in stand.codes("STOR"), "the printer to give the upload up")
        stand.quirks["data_timeout"] = 30.0
    finally:
        stand.mount.process.send_signal(signal.SIGCONT)
    writer.join()

    assert stand.uploads() == 2
    stand.wait_until_tidy()
    assert stand.holds("new.3mf", content)


# --- how a download ends ----------------------------------------------------------------------------


@BOTH
def test_a_download_that_ends_early_is_fetched_again(on: On, model: str) -> None:
    stand = on(model)
    place = stand.put("there.3mf", CONTENT)
    stand.quirks.once("short_retr", 100_001)

    assert place.read_bytes() == CONTENT
    assert len(stand.sent("RETR")) == 2


def test_a_download_that_always_ends_early_is_an_error_and_no_short_file(on: On) -> None:
    stand = on("p1s")
    place = stand.put("there.3mf", CONTENT)
    stand.quirks["short_retr"] = 100_000

    done = stand.run("cp there.3mf /dev/null")

    assert done.returncode != 0
    assert "Input/output error" in done.stderr
    stand.quirks["short_retr"] = 0
    assert place.read_bytes() == CONTENT


def test_a_download_that_always_ends_early_is_taken_up_where_the_printer_can(on: On) -> None:
    stand = on("x1c")
    place = stand.put("there.3mf", CONTENT)
    stand.quirks["short_retr"] = 100_000

    assert place.read_bytes() == CONTENT
    assert set(stand.codes("REST")) == {"350"}


@pytest.mark.parametrize("size", [0, 1024, 2047, 1024 * 290])
def test_a_451_after_the_whole_file_is_no_failure(on: On, size: int) -> None:
    stand = on("p1s")
    place = stand.put("there.3mf", CONTENT[:size])

    assert place.read_bytes() == CONTENT[:size]
    wanted = [] if not size else ["226" if size % 1024 else "451"]
    wait_until(lambda: stand.codes("RETR") == wanted, f"the reply {wanted}")  # it comes after the last byte


@BOTH
def test_a_download_whose_connection_breaks_goes_on(on: On, model: str) -> None:
    stand = on(model)
    place = stand.put("there.3mf", CONTENT)
    os.listdir(stand.folder)
    stand.quirks.once("drop_after", 100_000)

    assert place.read_bytes() == CONTENT


@BOTH
def test_a_program_that_reads_the_head_alone_does_no_harm(on: On, model: str) -> None:
    stand = on(model)
    content = os.urandom(3_000_000)
    stand.put("there.3mf", content)
    stand.printer.rate = 3e6

    for _ in range(2):
        assert stand.run("head -c 10 there.3mf | wc -c").stdout.strip() == "10"
    stand.printer.rate = None

    (stand.folder / "new.3mf").write_bytes(CONTENT)
    assert stand.holds("new.3mf", CONTENT)
    assert (stand.folder / "there.3mf").read_bytes() == content


# --- how slow it may be -----------------------------------------------------------------------------


def test_a_slow_upload_shows_its_progress_and_does_not_hold_up_looking(on: On) -> None:
    stand = on("p1s")
    stand.put("there.3mf")
    stand.printer.rate = 20_000.0
    assert os.listdir(stand.folder) == ["there.3mf"]

    writer = threading.Thread(target=(stand.folder / "new.3mf").write_bytes, args=(CONTENT,))
    writer.start()
    wait_until(lambda: _is_under_way(stand), "the progress to show", seconds=8)
    assert sorted(os.listdir(stand.folder)) == ["new.3mf", "there.3mf"]
    assert (stand.folder / "there.3mf").stat().st_size == 7
    assert writer.is_alive()
    stand.printer.rate = None
    writer.join()

    assert stand.holds("new.3mf", CONTENT)
    assert stand.uploads() == 1


def _is_under_way(stand: Stand) -> bool:
    told = stand.control("transfers").read_text()
    return f"{stand.name}/new.3mf" in told and any(f"({percent} %)" in told for percent in range(5, 95))


@BOTH
def test_a_printer_that_thinks_before_each_answer_is_used_as_well(on: On, model: str) -> None:
    stand = on(model)
    stand.printer.latency = 0.1

    (stand.folder / "new.3mf").write_bytes(CONTENT)
    stand.refresh()

    assert os.listdir(stand.folder) == ["new.3mf"]
    assert stand.holds("new.3mf", CONTENT)


def test_two_copies_to_one_name_do_not_mix(on: On) -> None:
    stand = on("a1mini")
    assert stand.quirks.flag("mixed_stores")
    contents = [bytes([letter]) * 200_000 for letter in b"ab"]

    copies = [
        threading.Thread(target=(stand.folder / "new.3mf").write_bytes, args=(content,)) for content in contents
    ]
    for copy in copies:
        copy.start()
    for copy in copies:
        copy.join()

    wait_until(lambda: any(stand.holds("new.3mf", content) for content in contents), "one of the two, whole")
    stored = [command.argument for command in stand.sent("STOR")]
    assert len(set(stored)) == len(stored)
