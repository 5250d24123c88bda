"""A file is on its way to the printer while it is still being written; whatever does not fit costs nothing else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bambufs import interrupts, simulator
from bambufs.cli.build import open_filesystem
from bambufs.config import Config
from bambufs.errors import Interrupted
from bambufs.printer.session import FtpsSession
from bambufs.printer.upload import SetTime, Upload
from bambufs.vfs import streaming
from bambufs.vfs.root import Root
from tests.support.waiting import wait_until

RATE = 1_500_000
SIZE = 4 << 20
CONTENT = bytes(range(256)) * (SIZE // 256)
STEP = 128 * 1024


class Desk:
    """A file system on a simulated printer, and the hands of a program."""

    def __init__(self, printer: simulator.Printer, files: Root) -> None:
        self.printer, self.files = printer, files

    def create(self, path: str = "/x.bin") -> int:
        return self.files.create(path, os.O_WRONLY | os.O_CREAT)

    def write(self, number: int, start: int = 0, end: int = SIZE) -> None:
        for offset in range(start, end, STEP):
            self.files.write(number, CONTENT[offset : min(offset + STEP, end)], offset)

    def close(self, number: int) -> None:
        try:
            self.files.flush(number)
        finally:
            self.files.release(number)

    def arrived(self) -> int:
        """How much of a part file the printer has."""
        return sum(file.stat().st_size for file in self.printer.card.rglob(".bambufs-*"))

    def content(self, path: str = "/x.bin") -> bytes:
        return (self.printer.card / path[1:]).read_bytes()

    def stores(self) -> int:
        return len([command for command in self.printer.log if command.verb == "STOR"])


@contextmanager
def desk(tmp_path: Path, model: str = "x1c", rate: int = RATE, *, careful: bool = False) -> Iterator[Desk]:
    (tmp_path / "card").mkdir(exist_ok=True)
    with simulator.Printer(model=model, card=tmp_path / "card", mqtt=False, rate=rate) as printer:
        files = open_filesystem(
            Config(
                host=printer.host,
                access_code=printer.access_code,
                ftps_port=printer.ftps_port,
                cache_dir=tmp_path / "cache",
                careful=careful,
            )
        )
        try:
            files.readdir("/")
            yield Desk(printer, files)
        finally:
            files.close()


@pytest.mark.parametrize("model", ["x1c", "p1s"])
def test_what_is_written_is_nearly_sent(tmp_path: Path, model: str) -> None:
    with desk(tmp_path, model) as made:
        number = made.create()
        made.write(number)
        if model == "p1s":  # elsewhere loopback's own buffers hold as much
            assert SIZE - made.arrived() <= (streaming.WINDOW + 0.25) * RATE
        assert made.stores() == 1
        made.close(number)
        assert made.content() == CONTENT
        assert made.stores() == 1


def test_buffers_on_the_way_are_not_taken_for_a_fast_printer(tmp_path: Path) -> None:
    with desk(tmp_path, "p1s", rate=70_000) as made:
        number = made.create()
        writing = threading.Thread(target=made.write, args=(number,))
        writing.start()
        try:
            wait_until(made.arrived, "some of it to arrive")
            assert made.files.getattr(None, number).size <= 512 * 1024
        finally:
            made.printer.rate = None
            writing.join()
            made.close(number)
        assert made.content() == CONTENT


def test_nothing_stands_under_the_name_before_the_end(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    (tmp_path / "card/x.bin").write_bytes(b"old")
    with desk(tmp_path) as made:
        number = made.files.open("/x.bin", os.O_WRONLY | os.O_TRUNC)
        made.write(number)
        wait_until(made.arrived, "some of it to arrive")
        assert made.content() == b"old"
        made.close(number)
        assert made.content() == CONTENT


def test_a_jump_back_is_sent_whole_at_the_end(tmp_path: Path) -> None:
    with desk(tmp_path, rate=20_000_000) as made:
        number = made.create()
        made.write(number)
        made.files.write(number, b"changed", 10)
        made.close(number)
        assert made.content() == CONTENT[:10] + b"changed" + CONTENT[17:]
        wait_until(lambda: not made.arrived(), "the part file to be gone")


def test_a_cut_is_sent_whole_at_the_end(tmp_path: Path) -> None:
    with desk(tmp_path, rate=20_000_000) as made:
        number = made.create()
        made.write(number)
        made.files.truncate(None, 1000, number)
        made.close(number)
        assert made.content() == CONTENT[:1000]


def test_a_writer_that_pauses_does_not_keep_the_printer_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "PAUSE", 0.5)
    with desk(tmp_path, "p1s", rate=20_000_000) as made:
        number = made.create()
        made.write(number, 0, SIZE // 2)
        wait_until(made.arrived, "some of it to arrive")
        wait_until(lambda: not made.arrived(), "the part file to be gone")
        made.write(number, SIZE // 2, SIZE)
        made.close(number)
        assert made.content() == CONTENT
        assert made.stores() == 2


def test_a_lost_connection_is_made_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with desk(tmp_path, rate=5_000_000) as made:
        number = made.create()
        made.write(number, 0, SIZE // 2)
        wait_until(made.arrived, "some of it to arrive")
        made.printer.drop_sessions()
        made.write(number, SIZE // 2, SIZE)
        made.close(number)
        assert made.content() == CONTENT
    assert "looking at what arrived" in caplog.text
    assert "stopped answering" not in caplog.text  # which takes half a minute


def test_a_writer_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    with desk(tmp_path) as made:
        number = made.create()
        made.write(number, 0, SIZE // 2)
        made.files.cut_off(number)
        made.close(number)
        assert not (made.printer.card / "x.bin").exists()
        wait_until(lambda: not made.arrived(), "the part file to be gone")


def test_who_wants_to_stop_does_not_wait_in_a_write(tmp_path: Path) -> None:
    with desk(tmp_path, rate=70_000) as made:
        number = made.create()
        with interrupts.watched(lambda: True):
            began = time.monotonic()
            made.write(number, 0, 3 << 20)
            assert time.monotonic() - began < 3 * 24 * interrupts.STEP
            with pytest.raises(Interrupted):
                made.files.flush(number)
        made.files.release(number)
        assert not (made.printer.card / "x.bin").exists()


def test_a_file_deleted_while_it_is_sent_does_not_come_back(tmp_path: Path) -> None:
    with desk(tmp_path) as made:
        number = made.create()
        made.write(number, 0, SIZE // 2)
        made.files.unlink("/x.bin")
        made.close(number)
        assert not (made.printer.card / "x.bin").exists()
        wait_until(lambda: not made.arrived(), "the part file to be gone")


def test_a_file_renamed_while_it_is_sent_gets_the_new_name(tmp_path: Path) -> None:
    with desk(tmp_path, rate=5_000_000) as made:
        number = made.create()
        made.write(number, 0, SIZE // 2)
        made.files.rename("/x.bin", "/y.bin")
        made.write(number, SIZE // 2, SIZE)
        made.close(number)
        assert made.content("/y.bin") == CONTENT
        assert not (made.printer.card / "x.bin").exists()
        assert made.stores() == 1


def test_two_files_at_once_both_arrive(tmp_path: Path) -> None:
    with desk(tmp_path, "p1s", rate=5_000_000) as made:

        def copy(path: str) -> None:
            number = made.create(path)
            made.write(number)
            made.close(number)

        copies = [threading.Thread(target=copy, args=(path,)) for path in ("/a.bin", "/b.bin")]
        for thread in copies:
            thread.start()
        for thread in copies:
            thread.join()
        assert made.content("/a.bin") == made.content("/b.bin") == CONTENT


def test_two_files_written_by_turns_both_arrive(tmp_path: Path) -> None:
    with desk(tmp_path, "p1s", rate=5_000_000) as made:
        first, second = made.create("/a.bin"), made.create("/b.bin")
        for start in range(0, SIZE, STEP):
            made.write(first, start, start + STEP)
            made.write(second, start, start + STEP)
        made.close(second)
        made.close(first)
        assert made.content("/a.bin") == made.content("/b.bin") == CONTENT


def test_a_full_card_is_told_at_the_end(tmp_path: Path) -> None:
    with desk(tmp_path, rate=20_000_000) as made:
        made.printer.quirks["card_size"] = SIZE // 2
        number = made.create()
        made.write(number)
        with pytest.raises(OSError, match="full") as failed:
            made.files.flush(number)
        assert failed.value.errno == 28
        made.files.release(number)
        wait_until(lambda: not made.arrived(), "the part file to be gone")


def test_an_unforeseen_failure_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(upload: Upload, session: FtpsSession, set_time: SetTime) -> bool:
        raise RuntimeError("can't start new thread")

    with desk(tmp_path, rate=20_000_000) as made:
        monkeypatch.setattr(Upload, "publish", broken)
        number = made.create()
        made.write(number)
        with pytest.raises(OSError, match="see the log"):
            made.files.flush(number)
        made.files.release(number)
        assert not list(made.printer.card.glob("x.bin"))


def test_without_another_thread_it_is_sent_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        if thread.name == "bambufs-stream":
            raise RuntimeError("can't start new thread")
        real(thread)

    real = threading.Thread.start
    with desk(tmp_path, rate=20_000_000) as made:
        monkeypatch.setattr(threading.Thread, "start", start)
        number = made.create()
        made.write(number)
        made.close(number)
        assert made.content() == CONTENT


@pytest.mark.parametrize("path", ["/.x.bin", "/x.bin"])
def test_dot_names_and_the_careful_are_not_streamed(tmp_path: Path, path: str) -> None:
    with desk(tmp_path, careful=path == "/x.bin") as made:
        number = made.create(path)
        made.write(number)
        assert made.stores() == 0
        made.close(number)
        assert made.stores() == (path == "/x.bin")
