"""A command line to try in this process, which reaches no printer and mounts nothing."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from bambufs import log
from bambufs.cli import main
from bambufs.errors import PrinterUnreachable
from bambufs.mount import binding, daemon

CODE = "47281593"
REACHED = 4
"""How a command line ends that would have gone on to a printer: nobody is there."""

EXIT_CODES = frozenset(range(9))
"""The documented ones but 9, which is a fault of bambufs itself."""


class Library:
    """Stands for libfuse: mounts nothing, and returns at once."""

    name = "none"

    def run(self, adapter: Any, mountpoint: str, options: dict[str, Any]) -> int:
        adapter.mounted()
        return 0


class Told(NamedTuple):
    """How a command ended, and what it said on standard error."""

    code: int
    sentence: str


Command = Callable[..., Told]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with a mount point ``mnt`` and a file ``x.3mf``; no variable of the user's."""
    for name in [name for name in os.environ if name.startswith(("BAMBU", "XDG_", "CREDENTIALS", "NOTIFY"))]:
        if name != "BAMBUFS_TEST_RUN":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("BAMBU_ACCESS_CODE", CODE)
    monkeypatch.setattr("bambufs.config.file.SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    (tmp_path / "mnt").mkdir()
    (tmp_path / "x.3mf").write_bytes(b"PK")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def process_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give pytest its log back, and leave the umask as it was."""
    monkeypatch.setattr(log, "_secrets", set())
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root, own = logging.getLogger(), logging.getLogger("bambufs")
    handlers, levels, umask = list(root.handlers), (root.level, own.level), os.umask(0o022)
    root.handlers.clear()
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])
    os.umask(umask)


@pytest.fixture
def command(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command line; fails on anything but an end with at most one line, no traceback and no access code.

    No printer can be reached: connecting ends with 4.
    """

    def away(*things: object, **more: object) -> None:
        raise PrinterUnreachable("nobody is there")

    monkeypatch.setattr("bambufs.printer.session.FtpsSession.open", away)
    for module in ("discover", "setup"):
        monkeypatch.setattr(f"bambufs.cli.{module}.listen", lambda *args, **more: iter(()))
    monkeypatch.setattr("bambufs.printer.link.PrinterLink.start", lambda self: None)
    monkeypatch.setattr("bambufs.printer.link.PrinterLink.wait_ready", away)
    monkeypatch.setattr("bambufs.vfs.root.Root.is_controllable", lambda self, patience: False)
    monkeypatch.setattr("bambufs.cli.demo._mounted", away)
    monkeypatch.setattr("bambufs.simulator.cli._until_signal", _at_once)
    monkeypatch.setattr(binding, "choose", lambda wanted=None: Library())
    monkeypatch.setattr(daemon, "detach", lambda work, explain: work(lambda: None))

    def run(*arguments: str) -> Told:
        capsys.readouterr()
        code = main(list(arguments))
        told = capsys.readouterr().err
        expect_one_sentence(told)
        return Told(code, told)

    return run


@contextlib.contextmanager
def _at_once() -> Iterator[threading.Event]:
    """A simulated printer that starts is switched off at once."""
    ended = threading.Event()
    ended.set()
    yield ended


def expect_one_sentence(told: str) -> None:
    """What reaches a user is one line, with no traceback and no access code in it."""
    assert "Traceback" not in told
    assert CODE not in told
    assert re.fullmatch(r"(bambufs[^\n]*\n)?", told), told
    assert told.isprintable() or told.rstrip("\n").isprintable(), ascii(told)
