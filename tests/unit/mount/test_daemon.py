"""Mount points, the way to the background, and telling systemd."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.errors import UsageError
from bambufs.mount import daemon
from tests.support.waiting import wait_until


def refusal(place: Path) -> str:
    """Why nothing can be mounted on ``place``."""
    with pytest.raises(UsageError) as refused:
        daemon.prepare_mountpoint(place)
    assert refused.value.exit_code == 5
    return refused.value.message


# --- mount points -----------------------------------------------------------------------------------


def test_empty_folder_is_fit(tmp_path: Path) -> None:
    assert daemon.prepare_mountpoint(tmp_path) == tmp_path


def test_relative_place_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnt").mkdir()
    monkeypatch.chdir(tmp_path)
    assert daemon.prepare_mountpoint(Path("mnt")) == tmp_path / "mnt"


def test_missing_folder_is_unfit(tmp_path: Path) -> None:
    assert f"mkdir -p {tmp_path / 'mnt'}" in refusal(tmp_path / "mnt")


def test_file_is_unfit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "no folder" in refusal(tmp_path / "file")


def test_full_folder_is_unfit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "not empty" in refusal(tmp_path)


def test_full_folder_is_fit_when_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert daemon.prepare_mountpoint(tmp_path, may_hold_files=True) == tmp_path


def test_mounted_place_is_unfit() -> None:
    assert "already" in refusal(Path("/proc"))


def test_forbidden_folder_is_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch, PermissionError(errno.EACCES, "Permission denied"))
    assert "not look into" in refusal(tmp_path)


def test_folder_of_somebody_else_is_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    assert "not yours" in refusal(tmp_path)


def test_folder_that_cannot_be_read_is_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch, OSError(errno.EIO, "Input/output error"))
    assert "input/output error" in refusal(tmp_path)


def fail_once(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """Let the next look into a folder fail."""
    errors, listdir = [error], os.listdir

    def once(place: Path) -> list[str]:
        if errors:
            raise errors.pop()
        return listdir(place)

    monkeypatch.setattr(os, "listdir", once)


Unmounts = list[list[str]]


@pytest.fixture
def unmounts(monkeypatch: pytest.MonkeyPatch) -> Unmounts:
    """The commands by which something was unmounted; none is carried out."""
    commands: Unmounts = []
    monkeypatch.setattr(subprocess, "run", lambda command, **options: note(commands, command))
    return commands


def note(commands: Unmounts, command: list[str], code: int = 0, told: str = "") -> subprocess.CompletedProcess[str]:
    commands.append(command)
    return subprocess.CompletedProcess(command, code, "", told)


def test_dead_mount_is_cleaned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unmounts: Unmounts) -> None:
    fail_once(monkeypatch, OSError(errno.ENOTCONN, "Transport endpoint is not connected"))
    assert daemon.prepare_mountpoint(tmp_path) == tmp_path
    assert unmounts[0][-1] == str(tmp_path)


def test_dead_mount_that_cannot_be_cleaned_away_is_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_once(monkeypatch, OSError(errno.ENOTCONN, "Transport endpoint is not connected"))
    monkeypatch.setattr(subprocess, "run", lambda command, **options: note([], command, 1, "not allowed"))
    assert "not allowed" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("tools", "command"),
    [
        (["fusermount3", "fusermount"], ["fusermount3", "-u", "--", "/mnt"]),
        (["fusermount"], ["fusermount", "-u", "--", "/mnt"]),
        ([], ["umount", "/mnt"]),
    ],
)
def test_unmounting_takes_the_tool_that_is_there(
    monkeypatch: pytest.MonkeyPatch, unmounts: Unmounts, tools: list[str], command: list[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda tool: tool if tool in tools else None)
    daemon.unmount(Path("/mnt"))
    assert unmounts == [command]


def test_busy_mount_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda command, **options: note([], command, 1, "device is busy"))
    with pytest.raises(UsageError, match="a program still uses"):
        daemon.unmount(Path("/mnt"))


# --- the way to the background ------------------------------------------------------------------------

Run = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a program whose `work(ready)` is given, in a process of its own: forking pytest would be unwise."""

    def start(body: str) -> subprocess.CompletedProcess[str]:
        program = (
            "import os, sys, threading, time\n"
            "from bambufs.cli.explain import explained\n"
            "from bambufs.errors import *\n"
            "from bambufs.mount import daemon\n"
            "def work(ready):\n"
            + textwrap.indent(textwrap.dedent(body), "    ")
            + "\ntry:\n    code = daemon.detach(work, explained)\n"
            "except UsageError as error:\n    print(error.message)\n    code = error.exit_code\n"
            "sys.exit(code)\n"
        )
        command = [sys.executable, "-c", program]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False, cwd=tmp_path)

    return start


def test_ready_mount_lets_the_caller_go_with_0(run: Run) -> None:
    assert run("ready(); return 0").returncode == 0


def test_caller_goes_while_the_work_goes_on(run: Run, tmp_path: Path) -> None:
    body = f"""
        ready()
        while not os.path.exists({str(tmp_path / "go")!r}):
            time.sleep(0.01)
        open({str(tmp_path / "done")!r}, "w").close()
        return 0
    """
    assert run(body).returncode == 0
    assert not (tmp_path / "done").exists()
    (tmp_path / "go").touch()
    wait_until((tmp_path / "done").exists, "the work to end")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ('UsageError("no FUSE", 6)', 6),
        ('LoginRefused("no FUSE")', 3),
        ('PrinterUnreachable("no FUSE")', 4),
        ('PrinterBusy("no FUSE")', 8),
        ('CertificateRefused("no FUSE")', 7),
    ],
)
def test_failure_before_being_ready_is_the_callers(run: Run, error: str, code: int) -> None:
    ended = run(f"raise {error}")
    assert (ended.returncode, ended.stdout) == (code, "no FUSE\n")


def test_failure_that_nobody_foresaw_is_the_callers(run: Run) -> None:
    ended = run("raise KeyError(5)")
    assert (ended.returncode, "a fault in bambufs itself" in ended.stdout) == (9, True)


@pytest.mark.parametrize("end", ["return 0", "os._exit(0)", "os.kill(os.getpid(), 9)", "sys.exit(3)"])
def test_end_before_being_ready_is_a_failure(run: Run, end: str) -> None:
    ended = run(end)
    assert (ended.returncode, "before it was ready" in ended.stdout) == (1, True)


def test_name_that_is_not_utf_8_can_be_told(run: Run) -> None:
    ended = run(r'raise UsageError(ascii("\udcff") + " is odd", 5)')
    assert (ended.returncode, ended.stdout) == (5, "'\\udcff' is odd\n")


def test_work_has_a_session_of_its_own(run: Run, tmp_path: Path) -> None:
    run(f"open({str(tmp_path / 'sid')!r}, 'w').write(str(os.getsid(0) == os.getpid())); ready(); return 0")
    assert (tmp_path / "sid").read_text() == "True"


def test_work_leaves_the_folder_it_was_started_in(run: Run, tmp_path: Path) -> None:
    run(f"ready(); open({str(tmp_path / 'cwd')!r}, 'w').write(os.getcwd()); return 0")
    wait_until(lambda: (tmp_path / "cwd").exists() and (tmp_path / "cwd").read_text() == "/", "the folder to be told")


def test_work_lets_go_of_the_terminal(run: Run) -> None:
    # `subprocess.run` would wait for the pipes' other ends otherwise.
    assert run("ready(); threading.Event().wait(0.5); print('unheard'); return 0").stdout == ""


def test_failure_after_being_ready_is_written_into_nobodys_file(run: Run, tmp_path: Path) -> None:
    body = f"""
        ready()
        files = [open({str(tmp_path)!r} + "/spool%d" % number, "wb") for number in range(5)]
        open({str(tmp_path / "done")!r}, "w").close()
        raise OSError(5, "it broke")
    """
    run(body)
    wait_until((tmp_path / "done").exists, "the work to come so far")
    wait_until(lambda: not any(running(tmp_path)), "the work to end")
    assert [file.read_bytes() for file in sorted(tmp_path.glob("spool*"))] == [b""] * 5


def running(folder: Path) -> Iterator[str]:
    """The processes that have a file in ``folder`` open."""
    for process in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(process).startswith(f"{folder}/spool"):
                yield process.parts[2]
        except OSError:
            continue


# --- systemd ----------------------------------------------------------------------------------------


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd hears."""
    name = str(tmp_path / "notify")
    is_abstract = request.param == "abstract"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0{name}" if is_abstract else name)
        channel.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}" if is_abstract else name)
        yield channel


def test_systemd_is_told(systemd: socket.socket) -> None:
    daemon.notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_nobody_is_told_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    daemon.notify("READY=1")


def test_systemd_that_is_gone_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    daemon.notify("READY=1")


def test_as_many_files_as_possible_may_be_open() -> None:
    script = (
        "import resource as r; from bambufs.mount import daemon; r.setrlimit(r.RLIMIT_NOFILE, (64, 4000));"
        "daemon.allow_many_files(); print(r.getrlimit(r.RLIMIT_NOFILE))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "(4000, 4000)\n"
