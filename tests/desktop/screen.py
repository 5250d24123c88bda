"""A screen in memory, with a window manager and a session bus, and the programs a test uses on it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support import leaks
from tests.support.waiting import wait_until

NEEDED = ("Xvfb", "xdotool", "xclip", "openbox", "dbus-run-session")
"""The programs that a screen is made of."""

_END_WITH_US = ("setpriv", "--pdeathsig", "TERM")
_MARK = "BAMBUFS_TEST_PROGRAM"


class Screen:
    """One screen; ``home`` is the home of whoever sits before it."""

    def __init__(self, display: str, home: Path) -> None:
        self._home = home
        (home / "run").mkdir(mode=0o700, parents=True)
        mine = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "BAMBU_", "DBUS_"))}
        self._environment = mine | {
            "DISPLAY": display,
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "GTK_USE_PORTAL": "0",
            "NO_AT_BRIDGE": "1",
        }

    def start(self, *command: str | Path, mark: str = "") -> subprocess.Popen[bytes]:
        """Start a program on the screen, which ends with the tests; ``mark`` goes on to all that it starts."""
        return subprocess.Popen(
            [*_END_WITH_US, *command],
            env=self._environment | {_MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @contextlib.contextmanager
    def running(self, *command: str | Path) -> Iterator[None]:
        """A program with a session bus of its own for the ``with`` block; all that it started ends with it."""
        mark = uuid.uuid4().hex
        process = self.start("dbus-run-session", "--", *command, mark=mark)
        try:
            yield
        finally:
            leaks.kill_marked(mark, _MARK)
            process.wait(10)

    def keys(self, *keys: str) -> None:
        """Press keys in the window that has the focus."""
        self._xdotool("key", "--clearmodifiers", "--delay", "40", *keys)

    def copy(self, wanted: str, before: Callable[[], None] = lambda: None) -> None:
        """Copy what is selected, again (each time after ``before``) until ``wanted`` is on the clipboard."""

        def is_copied() -> bool:
            before()
            self.keys("ctrl+c")
            with contextlib.suppress(TimeoutError):
                wait_until(lambda: wanted in self._clipboard(), "the clipboard", seconds=1)
                return True
            return False

        wait_until(is_copied, f"{wanted} to be on the clipboard", seconds=30)

    def _clipboard(self) -> str:
        # Both file managers offer GNOME's format; a clipboard that holds nothing like it is an error of xclip.
        words = ["xclip", "-o", "-selection", "clipboard", "-t", "x-special/gnome-copied-files"]
        return subprocess.run(
            words, env=self._environment, capture_output=True, text=True, timeout=30, check=False
        ).stdout

    def click(self, title: str, x: int, y: int) -> None:
        """Click into the window whose title has ``title`` in it, at a point of it."""
        self._xdotool("mousemove", "--window", self._find(title)[-1], str(x), str(y), "click", "1")

    def write(self, text: str) -> None:
        """Type ``text``."""
        self._xdotool("type", "--clearmodifiers", "--delay", "12", text)

    def wait_for_window(self, title: str, *, seconds: float = 60.0) -> None:
        """Wait until a window whose title has ``title`` in it is there, and give it the focus."""
        wait_until(lambda: self._find(title), f"a window titled {title}", seconds=seconds)
        self._xdotool("windowactivate", "--sync", self._find(title)[-1])

    def has_window(self, title: str) -> bool:
        """Whether there is a window whose title has ``title`` in it."""
        return bool(self._find(title))

    def _find(self, title: str) -> list[str]:
        return self._xdotool("search", "--onlyvisible", "--name", title, may_fail=True).split()

    def picture(self, file: Path) -> None:
        """Take a picture of the screen, where ImageMagick is there to do it."""
        if shutil.which("import"):
            subprocess.run(["import", "-window", "root", file], env=self._environment, check=False, timeout=30)

    def _xdotool(self, *words: str, may_fail: bool = False) -> str:
        done = subprocess.run(
            ["xdotool", *words], env=self._environment, capture_output=True, text=True, timeout=30, check=not may_fail
        )
        return done.stdout


@contextlib.contextmanager
def screen(home: Path) -> Iterator[Screen]:
    """A screen on a display of its own."""
    reading, writing = os.pipe()
    server = subprocess.Popen(
        [*_END_WITH_US, "Xvfb", "-displayfd", str(writing), "-screen", "0", "1200x800x24", "-nolisten", "tcp"],
        pass_fds=(writing,),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writing)
    manager: subprocess.Popen[bytes] | None = None
    try:
        with os.fdopen(reading) as told:
            number = told.readline().strip()
        shown = Screen(f":{number}", home)
        manager = shown.start("openbox")
        yield shown
    finally:
        for process in (manager, server):
            if process is not None:
                _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
