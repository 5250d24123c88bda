"""What a mount that ends tells of what it waits for: the log, systemd, and `bambufs unmount`."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs.mount.leaving import Leaving, last_words
from bambufs.vfs.writeback import Remaining


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Where systemd listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_systemd_is_told_and_asked_for_time(tmp_path: Path, systemd: socket.socket) -> None:
    Leaving(tmp_path).tell(Remaining(3, 4_200_000))
    told = systemd.recv(1000).decode().splitlines()
    assert told == ["STATUS=3 files (4.2 MB) still to be sent to the printer", "EXTEND_TIMEOUT_USEC=60000000"]


def test_unmount_reads_what_is_waited_for_and_why(tmp_path: Path) -> None:
    Leaving(tmp_path).tell(Remaining(1, 200, "it is away"))
    assert last_words(tmp_path) == "1 file (0.2 kB) still to be sent to the printer; at present: it is away"


def test_the_log_is_told_once_in_a_while(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    leaving = Leaving(tmp_path)
    with caplog.at_level(logging.INFO):
        for size in range(5):
            leaving.tell(Remaining(1, size))
        leaving.tell(Remaining(1, 5, "it is away"))
    assert len(caplog.records) == 2


def test_nothing_is_left_to_say_when_everything_was_sent(tmp_path: Path) -> None:
    leaving = Leaving(tmp_path)
    leaving.tell(Remaining(1, 200))
    leaving.done(Remaining(0, 0))
    assert last_words(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_sent_is_the_last_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Leaving(tmp_path).done(Remaining(2, 5_000_000, "it is away"))
    assert "2 files (5.0 MB) could not be sent (it is away)" in last_words(tmp_path)
    assert "sent by the next mount" in caplog.text


def test_the_next_mount_forgets_the_last_words(tmp_path: Path) -> None:
    Leaving(tmp_path).done(Remaining(2, 5_000_000))
    Leaving(tmp_path)
    assert last_words(tmp_path) == ""
