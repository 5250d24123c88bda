"""The search for what tests left behind finds it, and the ground it stands on holds."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support import leaks, needs
from tests.support.ports import port_block
from tests.support.waiting import wait_until


def test_a_process_that_was_left_is_found() -> None:
    mark = os.environ[leaks.MARK]
    with subprocess.Popen(["sleep", "60"]) as process:
        try:  # for a moment after its start the kernel shows no environment yet
            wait_until(lambda: process.pid in leaks.marked_processes(mark), "the process to be found")
        finally:
            process.kill()


def test_a_process_of_another_run_is_not_ours() -> None:
    with subprocess.Popen(["sleep", "60"], env={**os.environ, leaks.MARK: "another"}) as process:
        found = leaks.marked_processes(os.environ[leaks.MARK])
        process.kill()

    assert process.pid not in found


def test_a_mount_that_was_left_is_found(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    (tmp_path / "with blank").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "with blank"], check=True)
    try:
        assert leaks.mounts_below(tmp_path) == [str(tmp_path / "with blank")]
    finally:
        subprocess.run(["umount", tmp_path / "with blank"], check=True)


def test_a_thread_that_was_left_is_found() -> None:
    known, go = set(threading.enumerate()), threading.Event()
    thread = threading.Thread(target=go.wait, name="forgotten")
    thread.start()
    try:
        assert leaks.other_threads(known) == ["forgotten"]
    finally:
        go.set()
        thread.join()


def test_two_blocks_of_ports_never_share_one() -> None:
    with port_block() as one, port_block() as other:
        assert not set(one) & set(other)


def test_a_block_of_ports_is_free_again_when_its_process_was_killed() -> None:
    program = "from tests.support.ports import *\nwith port_block() as p: print(p[0], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        first = int(other.stdout.readline())
        other.kill()

    with port_block() as ports:
        assert ports is not None
    assert first % 50 == 0


def test_waiting_in_vain_says_for_what() -> None:
    with pytest.raises(TimeoutError, match="the moon"):
        wait_until(lambda: False, "the moon", seconds=0.02)


def test_something_missing_is_a_skip_at_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)

    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        needs.need("no-such-program")


def test_something_missing_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        needs.need("no-such-program")
