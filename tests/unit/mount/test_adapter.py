"""FUSE operations and their errors, without a kernel, over a file system that does as it is told."""

from __future__ import annotations

import errno
import logging
import os
import signal
import ssl
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from bambufs import interrupts
from bambufs.errors import CardRefused, Interrupted, PrinterError, PrinterUnreachable, SpoolFull
from bambufs.mount import adapter as adapter_module
from bambufs.mount.adapter import Adapter, Owner
from bambufs.mount.callers import is_told_to_stop, was_killed
from bambufs.vfs.attributes import Attributes
from bambufs.vfs.budget import Budget
from bambufs.vfs.filesystem import Space
from bambufs.vfs.root import Root
from tests.support.waiting import wait_until
from tests.unit.test_errors import KINDS


class FileSystem:
    """Answers every verb with ``answer``, or raises ``error``; notes what was called."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer: object = None
        self.error: BaseException | None = None
        self.checks_interrupts = False

    def __getattr__(self, verb: str) -> Callable[..., object]:
        def run(*args: object, **kwargs: object) -> object:
            self.calls.append((verb, *args, *kwargs.values()))
            if self.checks_interrupts:
                interrupts.check()
            if self.error is not None:
                raise self.error
            return self.answer

        return run


@pytest.fixture
def fs() -> FileSystem:
    return FileSystem()


@pytest.fixture
def adapter(fs: FileSystem) -> Adapter:
    return Adapter(cast(Root, fs), Owner(1000, 100))


def number(adapter: Adapter, fs: FileSystem, error: BaseException) -> int | None:
    """The errno that reaches the program when a verb raises ``error``."""
    fs.error = error
    with pytest.raises(OSError, match="Errno") as raised:
        adapter.unlink("/x")
    assert type(raised.value).__module__ == "builtins"
    return raised.value.errno


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.__module__ == "bambufs.errors"])
def test_error_of_the_printer_keeps_its_errno(adapter: Adapter, fs: FileSystem, kind: type[PrinterError]) -> None:
    assert number(adapter, fs, kind("what happened")) == kind.number


@pytest.mark.parametrize(
    "code",
    [errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.ENOTDIR, errno.ENOSPC, errno.EROFS, errno.EBADF],
)
def test_plain_error_keeps_its_errno(adapter: Adapter, fs: FileSystem, code: int) -> None:
    assert number(adapter, fs, OSError(code, os.strerror(code), "/x")) == code


UNFORESEEN = [
    ssl.SSLError(1, "[SSL] something"),
    ssl.SSLEOFError(8, "EOF"),
    TimeoutError(),
    TimeoutError("timed out"),
    OSError("no number at all"),
    OSError(550, "a reply code"),
    OSError(0, "nothing"),
    OSError(-2, "less than nothing"),
    EOFError(),
    KeyError("x"),
    AssertionError("x"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"),
    RecursionError("x"),
    MemoryError(),
]


@pytest.mark.parametrize("error", UNFORESEEN, ids=repr)
def test_what_nobody_foresaw_is_eio(adapter: Adapter, fs: FileSystem, error: Exception) -> None:
    assert number(adapter, fs, error) == errno.EIO


@pytest.mark.parametrize("error", UNFORESEEN, ids=repr)
def test_what_nobody_foresaw_is_logged_with_its_traceback(
    adapter: Adapter, fs: FileSystem, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    number(adapter, fs, error)
    assert caplog.records[0].exc_info is not None
    assert "Traceback" in caplog.text


def test_kernel_keeps_the_pages_of_a_version_only_as_long_as_it_is_opened(adapter: Adapter, fs: FileSystem) -> None:
    kept = []
    for version in ((5, 1000), (5, 1000), (5, 1060), (5, 1060), None, (5, 1060), (5, 1060), (6, 1060)):
        fs.answer = version
        kept.append(adapter.keeps_pages("/x", 1))
    assert kept == [False, True, False, True, False, False, True, False]


def test_kernel_forgets_the_size_of_another_version_if_that_costs_no_time(fs: FileSystem) -> None:
    forgotten: dict[bool, list[str]] = {True: [], False: []}
    for at_once, paths in forgotten.items():
        adapter = Adapter(cast(Root, fs), Owner(1000, 100))
        adapter.attach(lambda: False, os.getpid, paths.append, forgets_at_once=at_once)
        for path, version in (("/x", (5, 1000)), ("/x", (5, 1000)), ("/y", None), ("/x", (6, 1000))):
            fs.answer = version
            adapter.keeps_pages(path, 1)
    assert forgotten == {True: ["/x", "/y", "/x"], False: []}


def test_every_verb_translates_its_errors(adapter: Adapter, fs: FileSystem) -> None:
    fs.error = EOFError()
    folder = adapter.opendir("/")
    verbs: list[Callable[[], object]] = [
        lambda: adapter.getattr("/x"),
        lambda: adapter.names(folder, 0),
        lambda: adapter.access("/x", 0),
        lambda: adapter.statfs("/"),
        lambda: adapter.open("/x", 0),
        lambda: adapter.create("/x", 0o644, 0),
        lambda: adapter.read("/x", 1, 0, 1),
        lambda: adapter.write("/x", b"x", 0, 1),
        lambda: adapter.truncate("/x", 0),
        lambda: adapter.flush("/x", 1),
        lambda: adapter.fsync("/x", 0, 1),
        lambda: adapter.release("/x", 1),
        lambda: adapter.utimens("/x", 0),
        lambda: adapter.rename("/x", "/y"),
        lambda: adapter.unlink("/x"),
        lambda: adapter.mkdir("/x", 0o755),
        lambda: adapter.rmdir("/x"),
        lambda: adapter.chmod("/x", 0),
        lambda: adapter.chown("/x", 0, 0),
    ]
    for verb in verbs:
        with pytest.raises(OSError, match="Errno") as raised:
            verb()
        assert raised.value.errno == errno.EIO


# --- what the log tells -----------------------------------------------------------------------------


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_sentence_about_the_printer_is_logged(
    adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    number(adapter, fs, CardRefused("the printer refuses this", "/x"))
    assert told(caplog) == ["/x: the printer refuses this"]


def test_sentence_is_logged_once(adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        number(adapter, fs, PrinterUnreachable("no printer answers"))
    assert told(caplog) == ["no printer answers"]


def test_two_sentences_are_logged_both(adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    for path in ("/x", "/y", "/x", "/y"):
        number(adapter, fs, CardRefused("the printer refuses this", path))
    assert told(caplog) == ["/x: the printer refuses this", "/y: the printer refuses this"]


def test_sentence_is_logged_again_after_a_while(
    adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    number(adapter, fs, PrinterUnreachable("no printer answers"))
    monkeypatch.setattr(time, "monotonic", lambda: now + 31.0)
    number(adapter, fs, PrinterUnreachable("no printer answers"))
    assert len(told(caplog)) == 2


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.EISDIR, errno.EPERM])
def test_everyday_answer_is_not_logged(
    adapter: Adapter, fs: FileSystem, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    number(adapter, fs, OSError(code, os.strerror(code), "/x"))
    assert told(caplog) == []


def test_full_local_disk_is_logged(adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    number(adapter, fs, OSError(errno.ENOSPC, "No space left on device"))
    assert len(told(caplog)) == 1


def test_used_up_room_for_unsent_files_is_told_as_a_full_disk(
    adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SpoolFull) as full:
        Budget(10).take(20)
    assert number(adapter, fs, full.value) == errno.ENOSPC
    assert told(caplog) == [full.value.strerror]


def test_interrupt_is_not_logged(adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture) -> None:
    assert number(adapter, fs, Interrupted("interrupted")) == errno.EINTR
    assert told(caplog) == []


# --- attributes -------------------------------------------------------------------------------------


def test_file_is_shown_with_its_size_and_time(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = Attributes(False, 1025, 1_234_567_890)
    status = adapter.getattr("/x")
    assert status.mode == stat.S_IFREG | 0o644
    assert (status.size, status.mtime, status.links) == (1025, 1_234_567_890, 1)


def test_folder_is_shown(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = Attributes(True, 0, 0)
    status = adapter.getattr("/x")
    assert (status.mode, status.links) == (stat.S_IFDIR | 0o755, 2)


def test_everything_belongs_to_the_owner(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = Attributes(False, 0, 0)
    status = adapter.getattr("/x")
    assert (status.uid, status.gid) == (1000, 100)


def test_umask_takes_permissions_away(fs: FileSystem) -> None:
    fs.answer = Attributes(False, 0, 0)
    assert Adapter(cast(Root, fs), Owner(0, 0, 0o077)).getattr("/x").mode & 0o777 == 0o600


def test_mode_of_its_own_is_shown_as_it_is(fs: FileSystem) -> None:
    fs.answer = Attributes(False, 0, 0, 0o444)
    assert Adapter(cast(Root, fs), Owner(0, 0, 0o077)).getattr("/x").mode & 0o777 == 0o444


def test_folder_lists_itself_and_its_parent(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = [("x", Attributes(False, 5, 0))]
    names = adapter.names(adapter.opendir("/cache"), 0)
    assert names == [(".", stat.S_IFDIR), ("..", stat.S_IFDIR), ("x", stat.S_IFREG | 0o644)]
    assert fs.calls == [("readdir", "/cache")]


def test_a_folder_that_is_read_on_has_the_names_that_it_had(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = [("x", Attributes(False, 5, 0))]
    folder = adapter.opendir("/cache")
    names = list(adapter.names(folder, 0))
    fs.answer = []
    assert adapter.names(folder, 2) == names
    assert len(adapter.names(folder, 0)) == 2


def test_what_is_told_of_a_name_in_a_folder_is_asked_for_now(adapter: Adapter, fs: FileSystem) -> None:
    folder = adapter.opendir("/cache")
    fs.answer = Attributes(False, 5, 7)
    status = adapter.status_in(folder, "x")
    assert status is not None
    assert (status.size, status.mtime) == (5, 7)
    assert fs.calls == [("getattr", "/cache/x")]
    fs.error = FileNotFoundError(errno.ENOENT, "gone", "/cache/x")
    assert adapter.status_in(folder, "x") is None
    assert adapter.status_in(folder, "..") is None


def test_two_open_folders_are_told_apart(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = []
    one, other = adapter.opendir("/a"), adapter.opendir("/b")
    adapter.names(one, 0)
    adapter.releasedir(None, one)
    adapter.names(other, 0)
    assert fs.calls == [("readdir", "/a"), ("readdir", "/b")]


def test_room_is_told(adapter: Adapter, fs: FileSystem) -> None:
    fs.answer = Space(4096, 1000, 400)
    room = adapter.statfs("/")
    assert (room["f_bsize"], room["f_frsize"], room["f_blocks"], room["f_bfree"], room["f_bavail"]) == (
        4096,
        4096,
        1000,
        400,
        400,
    )


# --- verbs ----------------------------------------------------------------------------------------


def test_time_is_cut_to_seconds(adapter: Adapter, fs: FileSystem) -> None:
    adapter.utimens("/x", 1_234_567_890_999_999_999)
    assert fs.calls == [("utimens", "/x", 1_234_567_890, None)]


def test_time_before_1970_is_cut_downwards(adapter: Adapter, fs: FileSystem) -> None:
    adapter.utimens("/x", -1_500_000_000)
    assert fs.calls == [("utimens", "/x", -2, None)]


def test_time_that_is_left_is_left(adapter: Adapter, fs: FileSystem) -> None:
    adapter.utimens("/x", None)
    assert fs.calls == [("utimens", "/x", None, None)]


def test_present_is_now(adapter: Adapter, fs: FileSystem) -> None:
    before = int(time.time())
    adapter.utimens("/x", Adapter.NOW)
    assert before <= fs.calls[0][2] <= time.time()


def test_rename_replaces(adapter: Adapter, fs: FileSystem) -> None:
    adapter.rename("/x", "/y")
    assert fs.calls == [("rename", "/x", "/y", True)]


def test_rename_does_not_replace_when_told_not_to(adapter: Adapter, fs: FileSystem) -> None:
    adapter.rename("/x", "/y", 1)
    assert fs.calls == [("rename", "/x", "/y", False)]


@pytest.mark.parametrize("flags", [2, 3, 4, 8])
def test_exchange_and_the_like_are_refused(adapter: Adapter, fs: FileSystem, flags: int) -> None:
    with pytest.raises(OSError, match="Invalid") as refused:
        adapter.rename("/x", "/y", flags)
    assert (refused.value.errno, fs.calls) == (errno.EINVAL, [])


@pytest.mark.parametrize("verb", ["chmod", "chown"])
def test_permissions_are_accepted_and_ignored(adapter: Adapter, fs: FileSystem, verb: str) -> None:
    assert getattr(adapter, verb)("/x", *([0o600] if verb == "chmod" else [5, 5])) == 0
    assert fs.calls == [("check_settable", "/x")]


@pytest.mark.parametrize(
    ("verb", "arguments"), [("symlink", ("/x", "y")), ("link", ("/x", "/y")), ("mknod", ("/x", 0, 0))]
)
def test_what_a_card_lacks_is_eperm(adapter: Adapter, fs: FileSystem, verb: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(PermissionError) as refused:
        getattr(adapter, verb)(*arguments)
    assert (refused.value.errno, fs.calls) == (errno.EPERM, [])


def test_mounted_is_told(fs: FileSystem) -> None:
    told: list[bool] = []
    adapter = Adapter(cast(Root, fs), Owner(0, 0), on_mounted=lambda: told.append(True))
    assert not adapter.was_mounted
    adapter.mounted()
    assert (adapter.was_mounted, told) == (True, [True])


# --- interrupts -------------------------------------------------------------------------------------


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ignores Ctrl-C, so that the signal stays with it."""
    code = "import signal,sys;signal.pthread_sigmask(0,[2]);print(flush=True);sys.stdin.read()"
    command = ["python3", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_caller_who_pressed_ctrl_c_is_interrupted(
    adapter: Adapter, fs: FileSystem, sleeper: subprocess.Popen[bytes]
) -> None:
    fs.checks_interrupts = True
    adapter.attach(lambda: True, lambda: sleeper.pid)
    sleeper.send_signal(signal.SIGINT)
    wait_until(lambda: is_told_to_stop(sleeper.pid), "the signal to arrive")
    with pytest.raises(InterruptedError):
        adapter.unlink("/x")


def test_caller_with_a_harmless_signal_goes_on(
    adapter: Adapter, fs: FileSystem, sleeper: subprocess.Popen[bytes]
) -> None:
    fs.checks_interrupts = True
    adapter.attach(lambda: True, lambda: sleeper.pid)
    adapter.unlink("/x")


def test_caller_who_was_not_interrupted_goes_on(adapter: Adapter, fs: FileSystem) -> None:
    fs.checks_interrupts = True
    adapter.attach(lambda: False, lambda: 0)
    adapter.unlink("/x")


def test_caller_who_is_gone_is_interrupted() -> None:
    assert is_told_to_stop(2**22 + 1)


def test_release_is_never_interrupted(adapter: Adapter, fs: FileSystem) -> None:
    fs.checks_interrupts = True
    adapter.attach(lambda: True, lambda: 2**22 + 1)
    assert adapter.release("/x", 1) == 0


def test_probe_is_gone_after_the_verb(adapter: Adapter, fs: FileSystem) -> None:
    adapter.attach(lambda: True, lambda: 2**22 + 1)
    adapter.unlink("/x")
    interrupts.check()


# --- killed -----------------------------------------------------------------------------------------


def test_ordinary_process_was_not_killed() -> None:
    assert not was_killed(os.getpid())


def test_process_that_is_gone_was_not_killed() -> None:
    assert not was_killed(2**22 + 1)


@pytest.mark.parametrize(("end", "expected"), [(signal.SIGKILL, True), (signal.SIGTERM, True), (None, False)])
def test_process_ended_by_a_signal_was_killed(end: signal.Signals | None, expected: bool) -> None:
    process = subprocess.Popen(["cat"], stdin=subprocess.PIPE)  # stays a zombie until it is waited for
    assert process.stdin is not None
    if end is None:
        process.stdin.close()
    else:
        process.send_signal(end)
    try:
        wait_until(lambda: " Z " in Path(f"/proc/{process.pid}/stat").read_text(), "it to end")
        assert was_killed(process.pid) is expected
    finally:
        process.stdin.close()
        process.wait()


def test_writer_who_was_killed_is_cut_off_before_the_flush(
    adapter: Adapter, fs: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter_module, "was_killed", lambda pid: pid == 77)
    forgotten: list[object] = []
    adapter.attach(lambda: False, lambda: 77, forgotten.append)
    fs.answer = 5
    adapter.flush("/x", adapter.open("/x", os.O_WRONLY))
    fs.answer = 6
    adapter.flush("/y", adapter.create("/y", 0o600, os.O_RDWR))
    assert fs.calls[1:3] == [("cut_off", 5), ("flush", 5)]
    assert fs.calls[4:] == [("cut_off", 6), ("flush", 6)]
    assert forgotten == [5, 6]  # what cut_off returned


def test_nothing_is_forgotten_of_a_killed_writer_who_had_written_nothing(
    adapter: Adapter, fs: FileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(adapter_module, "was_killed", lambda pid: True)
    adapter.attach(lambda: False, lambda: 77, refuse)
    fs.answer = 5
    number = adapter.open("/x", os.O_WRONLY)
    fs.answer = None
    adapter.flush("/x", number)
    assert fs.calls[1:] == [("cut_off", 5), ("flush", 5)]


def test_writer_who_closes_is_not_cut_off(adapter: Adapter, fs: FileSystem) -> None:
    adapter.attach(lambda: False, os.getpid)
    fs.answer = 5
    adapter.flush("/x", adapter.open("/x", os.O_RDWR))
    assert fs.calls[1:] == [("flush", 5)]


def test_nobody_looks_at_a_reader_who_closes(adapter: Adapter, fs: FileSystem) -> None:
    def refuse() -> int:
        raise AssertionError

    adapter.attach(lambda: False, refuse)
    fs.answer = 5
    adapter.flush("/x", adapter.open("/x", os.O_RDONLY))
    assert fs.calls[1:] == [("flush", 5)]


def test_log_level_of_a_sentence_is_a_warning(
    adapter: Adapter, fs: FileSystem, caplog: pytest.LogCaptureFixture
) -> None:
    number(adapter, fs, PrinterUnreachable("no printer answers"))
    assert caplog.records[0].levelno == logging.WARNING
