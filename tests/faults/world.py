"""A printer behind a fault proxy, and the file system on it in this process: everything but the kernel."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bambufs import simulator
from bambufs.config import Config
from bambufs.printer.card import Card
from bambufs.printer.doors import open_card
from bambufs.printer.session import Timeouts
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.settings import Settings
from tests.support.faultproxy import FaultProxy, fault_proxy
from tests.support.ports import port_block
from tests.support.vsftpd import Vsftpd, vsftpd_printer

TIMEOUTS = Timeouts(connect=0.6, greet=1.0, reply=1.0, stall=1.0, listing=2.0, final_reply=1.5, probe=0.3)
BOUND = 12.0
"""Seconds within which every operation must have ended: two tries, each of some steps, on a busy machine."""

BACK = 12.0
"""Seconds within which all must work again."""

VSFTPD, X1C, P1S = "vsftpd", "x1c", "p1s"


class World:
    """What a test breaks, and what it looks at afterwards."""

    def __init__(
        self, server: simulator.Printer | Vsftpd, root: Path, proxy: FaultProxy, card: Card, files: FileSystem
    ) -> None:
        self.server, self.root, self.proxy, self.card, self.files = server, root, proxy, card, files

    @property
    def printer(self) -> simulator.Printer:
        """The simulated printer."""
        assert isinstance(self.server, simulator.Printer)
        return self.server

    @property
    def vsftpd(self) -> Vsftpd:
        """Debian's vsftpd."""
        assert isinstance(self.server, Vsftpd)
        return self.server

    # --- as a program does ------------------------------------------------------------------------

    def write(self, path: str, content: bytes, mtime: int | None = None) -> None:
        """Write a whole file and close it."""
        files = self.files
        try:
            number = files.create(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        except FileExistsError:
            number = files.open(path, os.O_WRONLY | os.O_TRUNC)
        try:
            files.write(number, content, 0)
            if mtime is not None:
                files.utimens(path, mtime, number)
            files.flush(number)
        finally:
            files.release(number)

    def append(self, path: str, more: bytes, offset: int) -> None:
        """Write ``more`` at the end of a file, which is at ``offset``, and close it."""
        number = self.files.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            self.files.write(number, more, offset)
            self.files.flush(number)
        finally:
            self.files.release(number)

    def read(self, path: str) -> bytes:
        """Read a whole file."""
        number = self.files.open(path, os.O_RDONLY)
        try:
            content = b""
            while block := self.files.read(number, 65536, len(content)):
                content += block
            return content
        finally:
            self.files.release(number)

    def tree(self, folder: str = "/") -> dict[str, bytes | None]:
        """All paths that show, with the content of files, and None for folders."""
        found: dict[str, bytes | None] = {}
        for name, attributes in self.files.readdir(folder):
            path = f"{folder.rstrip('/')}/{name}"
            found[path] = None if attributes.is_dir else self.read(path)
            if attributes.is_dir:
                found |= self.tree(path)
        return found

    # --- the printer's disk -----------------------------------------------------------------------

    def disk(self) -> dict[str, bytes | None]:
        """The same, as the printer's own disk has it; hidden names too."""
        found: dict[str, bytes | None] = {}
        for place in sorted(self.root.rglob("*")):
            with contextlib.suppress(FileNotFoundError):  # a left-over that is being removed
                found[f"/{place.relative_to(self.root)}"] = None if place.is_dir() else place.read_bytes()
        return found

    def litter(self) -> list[str]:
        """Hidden names on the printer's disk: left-overs of ours."""
        return [path for path in self.disk() if "/." in path]

    # --- before and afterwards -------------------------------------------------------------------------------

    def until_seen(self, folder: str, seconds: float = BACK) -> None:
        """Wait until a folder could be listed, which on a busy machine may take longer than the time-outs."""
        self._until(lambda: self.files.readdir(folder) is not None, seconds, f"{folder} to be listed")

    def until_it_works(self, seconds: float = BACK) -> float:
        """Wait until a file can be stored, listed, read and deleted; returns how long that took."""
        began = time.monotonic()
        self._until(self._works, seconds, "the file system to work again")
        return time.monotonic() - began

    def _works(self) -> bool:
        content = b"probe" * 1000
        self.write("/probe.gcode", content)
        self.files.forget()
        listed = dict(self.files.readdir("/"))
        is_whole = "probe.gcode" in listed and self.read("/probe.gcode") == content
        self.files.unlink("/probe.gcode")
        return is_whole

    def until_tidy(self, seconds: float = BACK) -> None:
        """Wait until no left-over is on the printer's disk."""
        self._until(lambda: not self.litter(), seconds, "left-overs to go")

    def until_it_agrees(self, seconds: float = BACK) -> None:
        """Wait until the file system shows what is on the printer's disk, byte for byte, without being told to look."""

        def agrees() -> bool:
            return self.tree() == self.disk()

        self._until(agrees, seconds, "the file system to show what is on the printer's disk")

    def until_sessions_are_back(self, seconds: float = BACK) -> None:
        """Wait until no session is lent any more."""
        self._until(lambda: self.card.pool.state["lent"] == 0, seconds, "every session to be given back")

    def _until(self, is_true: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        last: OSError | None = None
        while time.monotonic() < deadline:
            try:
                if is_true():
                    return
                last = None
            except OSError as error:
                last = error
            time.sleep(0.05)
        raise AssertionError(f"waited {seconds:g} s in vain for {what}; last: {last!r}; disk: {sorted(self.disk())}")


@contextlib.contextmanager
def open_world(
    family: str,
    folder: Path,
    *,
    timeouts: Timeouts = TIMEOUTS,
    ttl: float = 0.3,
    settings: str = "",
    clock: Callable[[], float] = time.time,
    write_back: float | None = None,
    **quirks: float | str,
) -> Iterator[World]:
    """A printer of that family with a card in ``folder``, and everything up to the file system, for the block.

    ``clock`` is this computer's, in seconds since the epoch.
    """
    with contextlib.ExitStack() as stack:
        server, ports, root = _start(stack, family, folder, settings, quirks)
        proxy = stack.enter_context(fault_proxy(ports))
        config = Config(
            host=proxy.host,
            access_code=server.access_code,
            serial=server.serial,
            ftps_port=ports[0],
            cache_dir=folder / "cache",
        )
        card = open_card(config, timeouts)
        cache = Settings(cache_folder=config.printer_dir, ttl=ttl, leave_patience=0.0, write_back=write_back)
        files = FileSystem(card, cache, clock=clock)
        if write_back is not None:
            files.start()
        world = World(server, root, proxy, card, files)
        try:
            yield world
        finally:
            proxy.mend()
            files.close()


def _start(
    stack: contextlib.ExitStack, family: str, folder: Path, settings: str, quirks: dict[str, float | str]
) -> tuple[simulator.Printer | Vsftpd, range, Path]:
    if family == VSFTPD:
        server = stack.enter_context(vsftpd_printer(settings=settings))
        return server, range(server.port, server.passive_ports[-1] + 1), server.root
    ports = stack.enter_context(port_block())[:12]
    card, identity = folder / "card", folder / "identity"
    for place in (card, identity):
        place.mkdir(parents=True)
    span = f"{ports[1]}-{ports[-1]}"
    data: dict[str, float | str] = {"data_port": ports[1]} if family == P1S else {"passive_ports": span}
    printer = simulator.Printer(
        model=family, card=card, mqtt=False, ftps_port=ports[0], identity_folder=identity, quirks={**data, **quirks}
    )
    return stack.enter_context(printer), ports, card
