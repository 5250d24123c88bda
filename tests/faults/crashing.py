"""A mount that dies at every step of its way, without a kernel: for `test_crash_points`.

Run as a program, with a job in JSON as its argument. It forks a process for each point in time at which a mount can
die: before and after everything that it does to this computer's disk or asks of the printer. The process is killed
there with SIGKILL. Then another one mounts what is left, as the user would, and what came of it is printed, a line of
JSON for each point.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bambufs.config import Config
from bambufs.errors import CardFull, PrinterError
from bambufs.printer.card import Card
from bambufs.printer.doors import open_card
from bambufs.printer.session import FtpsSession, Timeouts
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.journal import Journal
from bambufs.vfs.settings import Settings
from tests.support import careful

OLD, NEW, NEWER = b"old content", b"the new content " * 500, b"the content that is newer still " * 400
NAME = "x.3mf"
MTIME = 1_600_000_000

_ON_DISK = ("replace", "rename", "unlink", "fsync", "pwrite", "ftruncate")
_AT_PRINTER = ("list", "store", "size", "set_time", "rename", "delete")


class Deaths:
    """Counts what a process does from `arm` on, and kills it at the given number or event; 0 kills nobody."""

    def __init__(self, at: int | str, said: int) -> None:
        self.at, self._said, self.count = at, said, 0
        self.is_armed = False

    def arm(self) -> None:
        """From now on everything counts."""
        self.is_armed = True

    def note(self, event: str) -> None:
        """Something is about to be done, or was just done."""
        if not self.is_armed:
            return
        self.count += 1
        if self.at in (self.count, event):
            os.write(self._said, json.dumps({"event": event}).encode() + b"\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str, label: str) -> None:
        """Count before and after each call of ``owner.name``."""
        usual = getattr(owner, name)

        @functools.wraps(usual)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.note(f"before {label}")
            result = usual(*args, **kwargs)
            self.note(f"after {label}")
            return result

        setattr(owner, name, counted)

    def watch(self) -> None:
        """Count what can be done to the disk and at the printer."""
        for name in _ON_DISK:
            self.around(os, name, f"os.{name}")
        for name in _AT_PRINTER:
            self.around(FtpsSession, name, f"printer {name}")


class Trial:
    """One mount of one point: its own folder on the card, its own folder on this computer."""

    def __init__(self, job: dict[str, Any], number: int) -> None:
        self.job, self.number = job, number
        self.folder = f"/p{number}"
        self.on_card = Path(job["card"]) / self.folder[1:]
        self.cache = Path(job["cache"]) / str(number)
        self.on_card.mkdir()
        (self.on_card / NAME).write_bytes(OLD)
        os.utime(self.on_card / NAME, (MTIME, MTIME))

    @property
    def path(self) -> str:
        """The file that all is about."""
        return f"{self.folder}/{NAME}"

    def card(self) -> Card:
        """The printer's card."""
        job = self.job
        config = Config(job["host"], job["code"], ftps_port=job["port"], tls_trust="none", cache_dir=self.cache)
        return open_card(config, Timeouts(connect=2.0, greet=5.0, reply=5.0, stall=5.0, final_reply=5.0))

    def mount(self, *, write_back: bool = False) -> FileSystem:
        """What a mount builds."""
        settings = Settings(cache_folder=self.cache, write_back=0.0 if write_back else None, leave_patience=10.0)
        filesystem = FileSystem(self.card(), settings)
        deadline = time.monotonic() + 20.0
        while True:  # a printer with one connection may hold on to that of the dead process
            try:
                filesystem.connect()
                return filesystem
            except PrinterError:
                if time.monotonic() > deadline:
                    raise

    # --- what users do: each step tells that it was acknowledged -----------------------------------

    def write(self, fs: FileSystem, path: str, content: bytes) -> None:
        """As ``cp``."""
        number = fs.create(path, os.O_WRONLY | os.O_TRUNC)
        fs.write(number, content, 0)
        try:
            fs.flush(number)
        finally:
            fs.release(number)

    def write_new(self, fs: FileSystem) -> None:
        """The new content replaces what is there."""
        self.write(fs, self.path, NEW)

    def write_newer(self, fs: FileSystem) -> None:
        """And a newer one that."""
        self.write(fs, self.path, NEWER)

    def write_beside(self, fs: FileSystem) -> None:
        """The new content under another name."""
        self.write(fs, f"{self.folder}/beside.3mf", NEW)

    def rename_over(self, fs: FileSystem) -> None:
        """And from there into place."""
        fs.rename(f"{self.folder}/beside.3mf", self.path)

    def rsync(self, fs: FileSystem) -> None:
        """The new content as rsync brings it."""
        hidden = f"{self.folder}/.{NAME}.aBcDeF"
        self.write(fs, hidden, NEW)
        fs.utimens(hidden, MTIME + 1000)
        fs.rename(hidden, self.path)

    def unlink(self, fs: FileSystem) -> None:
        """Gone."""
        fs.unlink(self.path)

    def send(self, fs: FileSystem) -> None:
        """What the thread in the background does."""
        while fs._files.write_back.step() == 0:
            pass

    def fail(self, fs: FileSystem) -> None:
        """A copy that the printer has no room for: the program is told."""

        def full(*args: object, **kwargs: object) -> None:
            raise CardFull("the card is full")

        usual, FtpsSession.store = FtpsSession.store, full  # type: ignore[assignment]
        try:
            self.write_new(fs)
        except CardFull:
            pass
        finally:
            FtpsSession.store = usual  # type: ignore[method-assign]

    def run(self, die_at: int | str, said: int) -> None:
        """Do all steps of the job, and end as an unmounted mount does."""
        deaths = Deaths(die_at, said)
        deaths.watch()
        filesystem = self.mount(write_back=self.job["write_back"])
        deaths.arm()
        for step in self.job["steps"]:
            getattr(self, step)(filesystem)
            os.write(said, json.dumps({"done": step}).encode() + b"\n")
        filesystem.close()

    def recover(self, die_at: int, said: int) -> None:
        """Mount again, let everything be sent, and unmount."""
        deaths = Deaths(die_at, said)
        deaths.watch()
        deaths.arm()
        filesystem = self.mount()
        self.send(filesystem)
        filesystem.close()

    def outcome(self) -> dict[str, object]:
        """What is where in the end."""
        self._wait_until_tidy()
        journal = Journal(self.cache)
        lost = {Path(r.path).name: _text(journal.file(r).read_bytes()) for r in journal.records("failed")}
        return {
            "card": {file.name: _text(file.read_bytes()) for file in self.on_card.iterdir()},
            "lost": lost,
            "kept": len(list((self.cache / "lost+found").iterdir())) if (self.cache / "lost+found").is_dir() else 0,
            "owed": len(journal.records("owed")),
            "spool": os.listdir(self.cache / "spool"),
            "overlay": [file.name for file in (self.cache / "overlay").rglob("*") if file.is_file()],
        }

    def _wait_until_tidy(self) -> None:
        deadline = time.monotonic() + 5.0
        while any(name.startswith(".") for name in os.listdir(self.on_card)) and time.monotonic() < deadline:
            time.sleep(0.02)


def _text(content: bytes) -> str:
    known = {OLD: "old", NEW: "new", NEWER: "newer", b"": "empty"}
    return known.get(content) or f"{len(content)} bytes of something else"


def in_child(do: Callable[[int], None]) -> tuple[bool, list[dict[str, str]]]:
    """Run ``do`` in a process of its own; returns whether it was killed, and what it has written to its pipe."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            do(sending)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(sending)
    with open(receiving, "rb") as pipe:
        said = [json.loads(line) for line in pipe]
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        raise SystemExit(f"a mount failed: {said}")
    return os.WIFSIGNALED(status), said


def every_point(job: dict[str, Any]) -> None:
    """Die at each point of the job's steps (or of the recovery, when a death of the steps is given), and recover."""
    number = at = 0
    was_killed = True
    while was_killed:
        number, at = number + 1, at + job["stride"]
        trial = Trial(job, number)
        was_killed, said = in_child(functools.partial(trial.run, job["die_first"] or at))
        if job["die_first"]:
            was_killed, more = in_child(functools.partial(trial.recover, at))
            said += more
        in_child(functools.partial(trial.recover, 0))
        done = [line["done"] for line in said if "done" in line]
        event = ", then ".join(line["event"] for line in said if "event" in line)
        sys.stdout.write(json.dumps({"at": at, "event": event, "done": done, **trial.outcome()}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    if careful.IS_ON:
        careful.become()
    every_point(json.loads(sys.argv[1]))
