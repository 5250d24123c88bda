"""A mount point of a test's own, and the command line used on it as a user would."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bambufs import simulator
from tests.faults.programs import Argument, Ended, Program
from tests.support import careful, mounting
from tests.support.mounting import Mounted, Target, mount_device, mount_environment, mounted
from tests.support.waiting import wait_until

BINDINGS = ("fuse2", "fuse3")
DRIVER = "bambufs"
IMPATIENT = "tests.faults.impatient"
"""The same command line with time-outs of about a second."""


@dataclass(frozen=True)
class Address:
    """Where a printer is, and how to get in."""

    host: str
    port: int
    access_code: str
    serial: str


def address(printer: simulator.Printer) -> Address:
    """How to mount a simulated printer."""
    return Address(printer.host, printer.ftps_port, printer.access_code, printer.serial)


class Site:
    """The mount point ``point``, the cache folder ``cache`` and a home, all inside ``folder``."""

    def __init__(self, folder: Path, *, cache: Path | None = None) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.point, self.home, self.cache = folder / "mnt", folder / "mnt-home", cache or folder / "cache"
        self.point.mkdir()
        self.home.mkdir()

    @property
    def is_mounted(self) -> bool:
        """Whether the kernel has a FUSE mount there, a dead one included."""
        return mount_device(self.point) != ""

    @property
    def log(self) -> str:
        """What the mounts in the background have logged."""
        return "".join(file.read_text(errors="replace") for file in self.cache.rglob("bambufs.log"))

    def lost(self) -> list[Path]:
        """The files that could not be uploaded and were put aside."""
        return [file for file in self.cache.rglob("lost+found/*") if file.is_file()]

    def owed(self) -> list[Path]:
        """The journal's notes on what did not reach the printer, files in lost+found included."""
        return list(self.cache.rglob("journal/*"))

    def command(self, *arguments: Argument, target: Target | None = None, module: str = DRIVER) -> Program:
        """Start `bambufs` with ``arguments``, in the environment of somebody who may enter ``target``."""
        environment = mount_environment(target, self.home) if target else {"HOME": str(self.home)}
        return Program(*careful.program(module), *arguments, environment=environment)

    def mounting(
        self,
        target: Target,
        *arguments: Argument,
        binding: str = "fuse3",
        options: Sequence[str] = (),
        module: str = DRIVER,
        environment: Mapping[str, str] | None = None,
    ) -> Program:
        """Start `bambufs mount`; in the background form unless the arguments say --foreground."""
        words: list[Argument] = ["mount", target.host, self.point, "--ftps-port", str(target.port)]
        words += ["--cache-dir", self.cache, "-o", ",".join([f"fuse={binding.removeprefix('fuse')}", *options])]
        variables = mount_environment(target, self.home) | dict(environment or {})
        return Program(*careful.program(module), *words, *arguments, environment=variables)

    def mount(
        self,
        target: Target,
        *arguments: Argument,
        binding: str = "fuse3",
        options: Sequence[str] = (),
        module: str = DRIVER,
    ) -> Ended:
        """Mount in the background, and return how the command ended."""
        return self.mounting(target, *arguments, binding=binding, options=options, module=module).wait(30)

    def unmount(self) -> Ended:
        """`bambufs unmount`."""
        return self.command("unmount", self.point).wait(60)

    def daemons(self) -> list[int]:
        """The processes that serve, or try to serve, a mount here."""
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._serves(pid)]

    def _serves(self, pid: int) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return b"mount" in words and os.fsencode(self.point) in words

    def daemon(self) -> int:
        """The process that serves the mount."""
        (pid,) = self.daemons()
        return pid

    def wait_until_gone(self, seconds: float = 10.0) -> None:
        """Wait until no process serves the mount any more, and nothing is mounted."""
        wait_until(lambda: not self.daemons() and not self.is_mounted, "the mount to be gone", seconds=seconds)

    def clear_away(self) -> None:
        """Take away whatever a failed test has left, with force."""
        while self.is_mounted:
            for how in ("-f", "-l"):
                subprocess.run(["umount", how, self.point], capture_output=True, check=False)
        for pid in self.daemons():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def impatient_mount(target: Target, point: Path, binding: str, *arguments: str) -> Iterator[Mounted]:
    """As `mounted`, with time-outs of about a second."""
    usual = mounting.mount_command

    def command(target: Target, mountpoint: Path, binding: str, options: Sequence[str] = ()) -> list[str]:
        return [IMPATIENT if word == DRIVER else word for word in usual(target, mountpoint, binding, options)]

    mounting.mount_command = command
    try:
        with mounted(target, point, binding, arguments=arguments) as mount:
            yield mount
    finally:
        mounting.mount_command = usual
