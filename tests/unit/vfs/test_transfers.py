"""Which uploads run, and which failed."""

from __future__ import annotations

import errno

import pytest

from bambufs.errors import ConnectionDropped
from bambufs.vfs.transfers import Transfers
from tests.support.clock import Clock

IDLE = "No upload is running, and none has failed.\n"


@pytest.fixture
def clock() -> Clock:
    return Clock(100.0)


@pytest.fixture
def transfers(clock: Clock) -> Transfers:
    return Transfers(history=2, clock=clock)


def fail(transfers: Transfers, path: str) -> None:
    with pytest.raises(ConnectionDropped), transfers.running(path, 10):
        raise ConnectionDropped("it was lost")


def test_nothing_going_on_reports_nothing(transfers: Transfers) -> None:
    assert transfers.report() == IDLE


def test_running_upload_is_reported_with_its_progress(transfers: Transfers, clock: Clock) -> None:
    with transfers.running("/a.3mf", 4_000_000) as transfer:
        clock.now += 2.0
        transfer.progress(1_000_000)
        told = "sending  /a.3mf  1000000 of 4000000 bytes (25 %), 500 kB/s, about 6 s left\n"
        assert transfers.report() == told


def test_long_upload_is_reported_in_minutes(transfers: Transfers, clock: Clock) -> None:
    with transfers.running("/a.3mf", 400_000_000) as transfer:
        clock.now += 10.0
        transfer.progress(20_000_000)
        told = "sending  /a.3mf  20000000 of 400000000 bytes (5 %), 2.00 MB/s, about 3 min left\n"
        assert transfers.report() == told


def test_upload_of_which_nothing_has_gone_promises_nothing(transfers: Transfers) -> None:
    with transfers.running("/a.3mf", 4_000_000):
        assert transfers.report() == "sending  /a.3mf  0 of 4000000 bytes (0 %)\n"


def test_empty_file_is_reported_without_dividing_by_zero(transfers: Transfers) -> None:
    with transfers.running("/a", 0):
        assert "0 of 0 bytes" in transfers.report()


def test_failed_upload_names_its_file_once(transfers: Transfers) -> None:
    with pytest.raises(ConnectionDropped), transfers.running("/a.3mf", 10):
        raise ConnectionDropped("it was lost", "/a.3mf")
    assert transfers.report() == "failed   /a.3mf  it was lost\n"


def test_finished_upload_is_not_reported(transfers: Transfers) -> None:
    with transfers.running("/a", 10):
        pass
    assert transfers.report() == IDLE


def test_finished_upload_is_counted(transfers: Transfers) -> None:
    with transfers.running("/a", 10) as transfer:
        transfer.progress(10)
    assert (transfers.uploads, transfers.bytes_sent) == (1, 10)


def test_failed_upload_is_reported_with_its_reason(transfers: Transfers) -> None:
    fail(transfers, "/a")
    assert transfers.report() == "failed   /a  it was lost\n"


def test_error_passes_on(transfers: Transfers) -> None:
    with pytest.raises(OSError, match="full") as raised, transfers.running("/a", 10):
        raise OSError(errno.ENOSPC, "full")
    assert raised.value.errno == errno.ENOSPC


def test_only_the_latest_failures_are_remembered(transfers: Transfers) -> None:
    for path in ("/a", "/b", "/c"):
        fail(transfers, path)
    assert [line.split()[1] for line in transfers.report().splitlines()] == ["/b", "/c"]


def test_failure_that_is_not_the_end_is_not_reported(transfers: Transfers) -> None:
    with pytest.raises(ConnectionDropped), transfers.running("/a", 10, will_try_again=True):
        raise ConnectionDropped("it was lost")
    assert transfers.report() == IDLE


def test_conflict_is_reported_with_both_paths(transfers: Transfers) -> None:
    transfers.conflict("/a", "/a (unsent copy)")
    assert transfers.report() == "copied   /a  had changed on the printer; yours became /a (unsent copy)\n"


def test_rate_of_an_ended_transfer_stays(transfers: Transfers, clock: Clock) -> None:
    with transfers.running("/a", 10) as transfer:
        transfer.progress(10)
        clock.now += 2.0
    clock.now += 100.0
    assert transfer.rate(clock.now) == 5.0
