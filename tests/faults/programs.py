"""Programs that a test starts, with a deadline for each, so that a hanging mount fails a test and never hangs it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.leaks import mounts_below

Argument = str | bytes | Path

SHELL_IS_BACK = 2.0
"""Seconds within which an interrupted program must have ended."""


@dataclass(frozen=True)
class Ended:
    """How a program ended: its exit code (below 0: by which signal), what it said, and how many seconds it took."""

    code: int
    out: str
    err: str
    seconds: float

    def __str__(self) -> str:
        return f"exit code {self.code} after {self.seconds:.1f} s\n{self.out}{self.err}"


_started: list[Program] = []
_places: list[Path] = []


def watch_over(folder: Path) -> None:
    """Whoever hangs in a mount below ``folder`` is to be freed when a program takes too long."""
    _places.append(folder)


def free_everybody() -> None:
    """Make the kernel answer everybody who waits for one of our mounts with an error: umount -f aborts it."""
    for point in [point for folder in _places for point in mounts_below(folder)]:
        subprocess.run(["umount", "-f", point], capture_output=True, check=False)


class Program:
    """A program that runs in a session of its own. It is killed at the test's end, if not before."""

    def __init__(
        self, *command: Argument, environment: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL
    ) -> None:
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [os.fspath(part) for part in command],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C", **(environment or {})},
            start_new_session=True,
        )
        self.name = str(command[0])
        _started.append(self)

    def __repr__(self) -> str:
        return f"<Program {self.name} {self._process.pid}>"

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def stdin(self) -> IO[bytes]:
        """Its standard input, when it was started with a pipe there."""
        assert self._process.stdin is not None
        return self._process.stdin

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, as the terminal does: to all of its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def wait(self, seconds: float = 20.0) -> Ended:
        """How it ended; fails the test when it has not after ``seconds``, and frees whoever hangs in a mount."""
        try:
            out, err = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.end()
            raise AssertionError(f"{self.name} had not ended after {seconds:g} s") from None
        taken = time.monotonic() - self._began
        return Ended(self._process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), taken)

    def end(self) -> None:
        """End it with force, if it still runs."""
        if self.is_running:
            free_everybody()
            self.signal(signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def run(*command: Argument, seconds: float = 20.0, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a program to its end, which must come within ``seconds``."""
    return Program(*command, environment=environment).wait(seconds)


def succeed(*command: Argument, seconds: float = 20.0) -> str:
    """Run a program that must end with 0; returns what it said."""
    ended = run(*command, seconds=seconds)
    assert ended.code == 0, f"{command}: {ended}"
    return ended.out


def end_all() -> None:
    """End what a test has left running."""
    while _started:
        _started.pop().end()
    _places.clear()
