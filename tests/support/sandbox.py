"""A private corner of the machine for a daemon: its own mounts, its own process numbers.

A small shell is the first process in there. It mounts what it is told, starts the daemon for
every line ``start`` on its standard input, and ends at the end of that input. With it the
kernel ends everything inside and drops the mounts, also when the test was killed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.waiting import wait_until

_UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
# The private copies of FUSE mounts would keep those alive here after everybody else unmounted them.
LET_GO_OF_FUSE = """\
while read -r _ point kind _; do
    case $kind in fuse.* | fuse) umount -l "$(printf %b "$point")" ;; esac
done </proc/self/mounts"""
_AS_USER = ("--user", "--map-root-user")


def unshare_command() -> list[str]:
    """Return the command that starts another one in the private corner, for root and for users."""
    return [*_UNSHARE] if os.geteuid() == 0 else [*_UNSHARE, *_AS_USER]


def can_unshare() -> bool:
    """Tell whether this user may make a private mount and process namespace."""
    done = subprocess.run([*unshare_command(), "true"], capture_output=True, check=False)
    return done.returncode == 0


class Sandbox:
    """Runs ``daemon`` after the shell lines ``setup``, until the ``with`` block ends.

    The daemon's own words go to ``log``. Raises `RuntimeError` with them when the setup fails.
    """

    def __init__(
        self, daemon: Sequence[str], *, setup: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.log = log
        loop = f"while read -r _; do {shlex.join(daemon)} </dev/null >&2 & done"
        lines = ["set -e", LET_GO_OF_FUSE, *setup, "echo ready", loop]
        with open(log, "ab") as output:
            self._shell = subprocess.Popen(
                [*unshare_command(), "sh", "-c", "\n".join(lines)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        assert self._shell.stdout is not None
        if self._shell.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError(f"cannot set up the sandbox: {log.read_text(errors='replace')}")
        self._first = _only_child(self._shell.pid)
        self._namespace = os.readlink(f"/proc/{self._first}/ns/pid")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the daemon (once more)."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(b"start\n")
        self._shell.stdin.flush()

    def outside(self, path: Path) -> Path:
        """Return where this process sees what the daemon sees under ``path``."""
        return Path(f"/proc/{self._first}/root") / path.relative_to("/")

    def processes(self) -> list[int]:
        """Return the process numbers of the daemon and all that it started, as seen from outside."""
        return [pid for pid in _all_processes() if pid != self._first and self._holds(pid)]

    def signal(self, number: signal.Signals) -> None:
        """Send ``number`` to each of `processes`."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End the daemon and all that it started; return when they are gone."""
        self.signal(signal.SIGKILL)
        wait_until(lambda: not self.processes(), "the daemon's processes to end")

    def close(self) -> None:
        """End everything inside."""
        shell = self._shell
        with contextlib.suppress(BrokenPipeError):
            shell.kill()
        shell.wait()
        for pipe in (shell.stdin, shell.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if hasattr(self, "_namespace"):
            wait_until(lambda: not self.processes(), "the sandbox to end")

    def _holds(self, pid: int) -> bool:
        try:
            return os.readlink(f"/proc/{pid}/ns/pid") == self._namespace and not _is_zombie(pid)
        except OSError:  # it ended meanwhile
            return False


def _all_processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _is_zombie(pid: int) -> bool:
    text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    return text.rpartition(")")[2].split()[0] == "Z"


def _only_child(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])
