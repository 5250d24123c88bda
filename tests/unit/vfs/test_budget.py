"""The room on this computer for files that are being written or have to be sent yet."""

from __future__ import annotations

import errno
import os

import pytest

from bambufs.errors import SpoolFull
from bambufs.vfs.budget import Budget
from tests.support.clock import Clock
from tests.support.memory import MemoryPrinter
from tests.support.programs import read, write
from tests.unit.vfs.conftest import Mount

LIMIT = 1000
QUIET = 5.0


def test_without_a_limit_everything_fits() -> None:
    Budget().take(10**15)


def test_what_does_not_fit_takes_nothing() -> None:
    budget = Budget(LIMIT)
    budget.take(LIMIT - 1)
    with pytest.raises(SpoolFull, match="spool_size"):
        budget.take(2)
    budget.take(1)
    assert budget.used == LIMIT


def test_what_is_there_already_is_counted_whatever_it_is() -> None:
    budget = Budget(LIMIT)
    budget.adopt(2 * LIMIT)
    with pytest.raises(SpoolFull):
        budget.take(1)
    budget.give_back(2 * LIMIT)
    budget.take(1)


def test_writer_is_told_that_there_is_no_room(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer, spool_size=LIMIT)
    number = fs.create("/cache/big.3mf", os.O_WRONLY)
    fs.write(number, b"x" * LIMIT, 0)
    with pytest.raises(OSError, match="spool_size") as caught:
        fs.write(number, b"x", LIMIT)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="spool_size"):
        fs.flush(number)
    fs.release(number)

    write(fs, "/cache/small.3mf", b"x" * LIMIT)
    assert printer.files["/cache/small.3mf"] == b"x" * LIMIT
    assert "/cache/big.3mf" not in printer.files


def test_files_that_are_stored_or_read_take_no_room(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer, spool_size=LIMIT)
    for number in range(5):
        write(fs, f"/cache/{number}.3mf", b"x" * LIMIT)
        assert read(fs, f"/cache/{number}.3mf") == b"x" * LIMIT
    assert len(printer.files) == 7


def test_files_that_are_owed_take_room_until_they_are_sent(mount: Mount, printer: MemoryPrinter, clock: Clock) -> None:
    fs = mount(printer, spool_size=LIMIT, write_back=QUIET)
    write(fs, "/cache/first.3mf", b"x" * LIMIT)
    with pytest.raises(OSError, match="spool_size"):
        write(fs, "/cache/second.3mf", b"x")
    clock.now += QUIET
    while fs._files.write_back.step() == 0:
        pass

    write(fs, "/cache/second.3mf", b"x" * LIMIT)
    assert printer.files["/cache/first.3mf"] == b"x" * LIMIT


def test_file_that_is_owed_since_the_last_mount_takes_room(mount: Mount, printer: MemoryPrinter) -> None:
    write(mount(printer, write_back=QUIET), "/cache/first.3mf", b"x" * LIMIT)
    printer.fail("STOR", OSError(errno.EHOSTUNREACH, "away"), times=100)
    fs = mount(printer, spool_size=LIMIT, write_back=QUIET)
    with pytest.raises(OSError, match="spool_size"):
        write(fs, "/cache/second.3mf", b"x")


def test_cut_file_gives_its_room_back(mount: Mount, printer: MemoryPrinter) -> None:
    fs = mount(printer, spool_size=LIMIT)
    number = fs.create("/cache/a.3mf", os.O_RDWR)
    fs.write(number, b"x" * LIMIT, 0)
    fs.truncate(None, 10, number)
    other = fs.create("/cache/b.3mf", os.O_WRONLY)
    fs.write(other, b"y" * (LIMIT - 10), 0)
    for handle in (number, other):
        fs.flush(handle)
        fs.release(handle)
    assert printer.files["/cache/a.3mf"] == b"x" * 10
