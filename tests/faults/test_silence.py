"""A server that stops answering: everybody gets an error in time, and the mount works again when the server does."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.cli.build import open_filesystem
from bambufs.config import Config
from bambufs.vfs.root import Root
from tests.faults import card
from tests.faults.conftest import MakeFile
from tests.faults.impatient import TIMEOUTS
from tests.faults.programs import Ended, Program, run, succeed
from tests.faults.site import Site, impatient_mount
from tests.support.mounting import mounted
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until

# To ask, to look what became of it on a fresh connection, and some time for a busy machine.
DEADLINE = TIMEOUTS.reply + TIMEOUTS.connect + TIMEOUTS.greet + TIMEOUTS.final_reply + 3.0
AWAY = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EBUSY)
WORDS = ("Connection timed out", "No route to host", "Device or resource busy")
BACK = 15.0
SELDOM = pytest.param("fuse2", marks=pytest.mark.slow)

NEW = os.O_WRONLY | os.O_CREAT


@pytest.fixture
def lively(server: Vsftpd) -> Vsftpd:
    """A vsftpd with some files on its card."""
    for name in ("seen/a.3mf", "seen/b.3mf", "seen/c.3mf", "never/d.3mf", "seen/old.3mf"):
        (server.root / name).parent.mkdir(exist_ok=True)
        (server.root / name).write_bytes(b"content of " + name.encode())
    return server


@contextlib.contextmanager
def frozen(server: Vsftpd) -> Iterator[None]:
    """Nothing answers during the ``with`` block; connections stay open."""
    server.stop()
    try:
        yield
    finally:
        server.cont()


# --- in process: each verb by itself ------------------------------------------------------------


@pytest.fixture
def files(lively: Vsftpd, tmp_path: Path) -> Iterator[Root]:
    """The file system without a mount, which has seen one of the folders."""
    config = Config(
        host=lively.host, access_code=lively.access_code, ftps_port=lively.port, cache_dir=tmp_path / "cache"
    )
    files = open_filesystem(config, timeouts=TIMEOUTS)
    try:
        files.readdir("/")
        files.readdir("/seen")
        yield files
    finally:
        lively.cont()
        files.close()


def _store(files: Root, path: str) -> None:
    number = files.create(path, NEW)
    try:
        files.write(number, b"new content", 0)
        files.flush(number)
    finally:
        files.release(number)


def _read(files: Root, path: str) -> None:
    number = files.open(path, os.O_RDONLY)
    try:
        files.read(number, 100, 0)
    finally:
        files.release(number)


def _append(files: Root, path: str) -> None:
    number = files.open(path, os.O_WRONLY)
    try:
        files.write(number, b"more", 5)
    finally:
        files.release(number)


VERBS: dict[str, Callable[[Root], object]] = {
    "list": lambda files: files.readdir("/never"),
    "stat": lambda files: files.getattr("/never/d.3mf"),
    "read": lambda files: _read(files, "/seen/a.3mf"),
    "store": lambda files: _store(files, "/seen/new.3mf"),
    "append": lambda files: _append(files, "/seen/a.3mf"),
    "truncate": lambda files: files.truncate("/seen/a.3mf", 3),
    "rename": lambda files: files.rename("/seen/b.3mf", "/seen/moved.3mf"),
    "unlink": lambda files: files.unlink("/seen/c.3mf"),
    "mkdir": lambda files: files.mkdir("/seen/made"),
    "rmdir": lambda files: files.rmdir("/never"),
    "set a time": lambda files: files.utimens("/seen/a.3mf", 1_700_000_000),
}


_OFTEN = ("list", "read", "store", "rename")


@pytest.mark.parametrize(
    "verb",
    [pytest.param(verb, id=name, marks=[] if name in _OFTEN else pytest.mark.slow) for name, verb in VERBS.items()],
)
def test_a_verb_ends_in_time(files: Root, lively: Vsftpd, verb: Callable[[Root], object]) -> None:
    with frozen(lively):
        began = time.monotonic()
        with pytest.raises(OSError) as caught:  # noqa: PT011 (the number is checked here)
            verb(files)
        taken = time.monotonic() - began

    assert caught.value.errno in AWAY
    assert taken < DEADLINE
    wait_until(lambda: _works(files), "the file system to work again", seconds=BACK)


def _works(files: Root) -> bool:
    try:
        return [name for name, _ in files.readdir("/never")] == ["d.3mf"]
    except OSError:
        return False


def test_what_was_listed_is_shown_while_the_printer_does_not_answer(files: Root, lively: Vsftpd) -> None:
    with frozen(lively):
        assert "a.3mf" in dict(files.readdir("/seen"))
        assert files.getattr("/seen/a.3mf").size == len(b"content of seen/a.3mf")


# --- mounted ------------------------------------------------------------------------------------


def _commands(point: Path, source: Path) -> list[Program]:
    return [
        Program("ls", point / "never"),
        Program("cat", point / "seen/a.3mf"),
        Program("cp", source, point / "seen/new.3mf"),
        Program("cp", source, point / "seen/old.3mf"),
        Program("mv", point / "seen/b.3mf", point / "seen/moved.3mf"),
        Program("rm", point / "seen/c.3mf"),
    ]


def _assert_told(ended: Ended) -> None:
    assert ended.code != 0, ended
    assert any(word in ended.err for word in WORDS), ended


@pytest.mark.parametrize("binding", [SELDOM, "fuse3"], indirect=True)
def test_programs_on_a_mount_end_in_time_and_work_again(
    lively: Vsftpd, site: Site, binding: str, make_file: MakeFile
) -> None:
    source = make_file("new.3mf", 300_000)
    with impatient_mount(lively, site.point, binding) as mount:
        succeed("ls", mount.path / "seen")
        with frozen(lively):
            # Each of them may have to wait for those before it.
            for program in _commands(mount.path, source):
                _assert_told(program.wait(3 * DEADLINE))
            assert "a.3mf" in succeed("ls", mount.path / "seen")  # as it was

        wait_until(lambda: run("ls", mount.path / "never").code == 0, "the mount to work again", seconds=BACK)
        assert succeed("cat", mount.path / "seen/a.3mf") == "content of seen/a.3mf"
        succeed("cp", source, mount.path / "seen/after.3mf")
        assert (lively.root / "seen/after.3mf").read_bytes() == source.read_bytes()
        assert (lively.root / "seen/old.3mf").read_bytes() == b"content of seen/old.3mf"
        assert not (lively.root / "seen/new.3mf").exists()
        wait_until(lambda: _shows_what_is_there(mount.path, lively), "the mount to show what is there", seconds=BACK)
        card.wait_until_tidy(lively.root)


def _shows_what_is_there(point: Path, server: Vsftpd) -> bool:
    return succeed("ls", point / "seen").split() == sorted(
        name for name in os.listdir(server.root / "seen") if not name.startswith(".")
    )


@pytest.mark.parametrize("binding", [SELDOM, "fuse3"], indirect=True)
def test_an_upload_that_stalls_in_the_middle_ends_in_time(
    lively: Vsftpd, site: Site, binding: str, make_file: MakeFile, start_vsftpd: Callable[..., Vsftpd]
) -> None:
    slow = start_vsftpd(settings="local_max_rate=300000")
    (slow.root / "a.3mf").write_bytes(b"old content")
    with impatient_mount(slow, site.point, binding) as mount:
        copy = Program("cp", make_file("new.3mf", 20_000_000), mount.path / "a.3mf")
        wait_until(lambda: card.parts(slow.root), "the upload to begin")
        with frozen(slow):
            ended = copy.wait(DEADLINE + TIMEOUTS.stall)
        _assert_told(ended)
        assert (slow.root / "a.3mf").read_bytes() == b"old content"
        card.wait_until_tidy(slow.root)


def test_an_upload_leaves_a_session_for_others_after_the_printer_was_silent(
    site: Site, make_file: MakeFile, start_vsftpd: Callable[..., Vsftpd], fuse3: str
) -> None:
    slow = start_vsftpd(settings="local_max_rate=300000")
    folders = [f"folder {number}" for number in range(8)]
    for name in folders:
        (slow.root / name).mkdir()
    with impatient_mount(slow, site.point, fuse3) as mount:
        succeed("ls", mount.path)
        with frozen(slow):
            for program in [Program("ls", mount.path / name) for name in folders[:6]]:
                _assert_told(program.wait(DEADLINE))
        wait_until(lambda: run("ls", mount.path / folders[0]).code == 0, "the mount to work again", seconds=BACK)

        copy = Program("cp", make_file("new.3mf", 20_000_000), mount.path / "a.3mf")
        wait_until(lambda: card.parts(slow.root), "the upload to begin")
        succeed("ls", mount.path / folders[7], seconds=5)
        assert copy.is_running
        copy.signal(signal.SIGINT)
        copy.wait()
        card.wait_until_tidy(slow.root)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_programs_end_within_the_usual_time_outs(lively: Vsftpd, site: Site, binding: str, make_file: MakeFile) -> None:
    with mounted(lively, site.point, binding) as mount:
        succeed("ls", mount.path / "seen")
        with frozen(lively):
            for program in _commands(mount.path, make_file("new.3mf", 300_000)):
                _assert_told(program.wait(60))
        wait_until(lambda: run("ls", mount.path / "never").code == 0, "the mount to work again", seconds=BACK)
