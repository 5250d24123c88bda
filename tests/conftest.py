"""What holds for every test: nothing is left behind, nothing hangs, and a failure shows the mounts' logs."""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.faults import table
from tests.support import careful, leaks, mounting
from tests.support.waiting import wait_until

# Shorter than pytest's own limit, which cannot end a test that waits inside the kernel.
_STUCK_AFTER = 100.0

_BEGAN = time.monotonic()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail at the end if mounts, processes or threads of the tests are still there."""
    folder, mark = tmp_path_factory.getbasetemp().resolve(), uuid.uuid4().hex
    known = set(threading.enumerate())
    with pytest.MonkeyPatch.context() as patch:
        _keep_temporary_files_in(folder / "tmp", patch)
        patch.setenv(leaks.MARK, mark)
        yield
    left = _left(folder, mark, known)
    leaks.clear_away(folder, mark)
    assert not left, f"the tests left behind: {left}"


def _keep_temporary_files_in(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    patch.setenv("TMPDIR", str(folder))
    patch.setenv("HOME", str(folder / "home"))
    for name in ("XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        patch.delenv(name, raising=False)
    patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))  # whoever runs the tests may own a printer
    patch.setattr(tempfile, "tempdir", str(folder))


def _left(folder: Path, mark: str, known: set[threading.Thread]) -> list[str]:
    def now() -> list[str]:
        processes = [f"process {pid}: {command}" for pid, command in leaks.marked_processes(mark).items()]
        threads = [f"thread {name}" for name in leaks.other_threads(known)]
        return [f"mount {point}" for point in leaks.mounts_below(folder)] + processes + threads

    try:  # what was told to end may take a moment
        wait_until(lambda: not now(), "mounts, processes and threads to go", seconds=5)
    except TimeoutError:
        return now()
    return []


@pytest.fixture(autouse=True)
def nothing_hangs() -> Iterator[None]:
    """Abort all mounts when a test takes too long, so that it fails instead of hanging for ever."""
    if not mounting.LIVE:
        yield
        return
    watch = threading.Timer(_STUCK_AFTER, mounting.abort_all)
    watch.daemon = True
    watch.start()
    yield
    watch.cancel()
    watch.join()


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command that a test runs in this process sets what is logged, and where, for the tests after it too."""
    ours = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "bambufs"]
    before = {logger: (logger.level, list(logger.handlers)) for logger in map(logging.getLogger, ("", *ours))}
    yield
    for logger, (level, handlers) in before.items():
        logger.setLevel(level)
        for handler in set(logger.handlers) - set(handlers):
            logger.removeHandler(handler)
            handler.close()


if careful.IS_ON:
    careful.become()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin no test of `make soak` when its time is used up; tests run in random order, so that each has its turn."""
    if careful.IS_ON and item.get_closest_marker("about_optimisations"):
        pytest.skip("about what careful switches off")
    seconds = os.environ.get("SOAK_SECONDS")
    if seconds is not None and time.monotonic() - _BEGAN > float(seconds):
        pytest.skip("the time of this soak is used up")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add to a failure what the mounts said during the test."""
    report = yield
    if call.when == "setup":
        item.stash[_LOG_STARTS] = {mount: _size(mount) for mount in mounting.LIVE}
    if report.failed:
        starts = item.stash.get(_LOG_STARTS, {})
        for mount in mounting.LIVE:
            said = mount.log_file.read_bytes()[starts.get(mount, 0) :].decode(errors="replace")
            if said:
                report.sections.append((f"log of {mount.path}", said[-20000:]))
    # Odd file names in what was logged are no text, and the processes that share the tests exchange text only.
    report.sections = [(title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections]
    return report


def _size(mount: mounting.Mounted) -> int:
    return os.path.getsize(mount.log_file)


_LOG_STARTS = pytest.StashKey[dict[mounting.Mounted, int]]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the fault matrix, if it was run. (A conftest further down is not read by the process that prints.)"""
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.stats.get(kind, [])]
    found = table.columns(report for report in reports if report.when == "call")
    if found:
        terminalreporter.section("fault matrix")
        for line in table.lines(found):
            terminalreporter.line(line)
