"""A simulated printer and a mount of it, shared by the tests of quirks: each turns the quirks while they run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bambufs import simulator
from tests.support.mounting import Mounted, mounted
from tests.support.waiting import wait_until

# What the driver needs; printers choke on many another command.
_SESSION = frozenset({"USER", "PASS", "TYPE", "PBSZ", "PROT", "NOOP", "QUIT", "CWD"})
_FILES = frozenset({"PASV", "LIST", "RETR", "REST", "STOR", "SIZE", "MDTM", "RNFR", "RNTO", "DELE", "MKD", "RMD"})
KNOWN_VERBS = _SESSION | _FILES

_SWIFT = {"report_interval": 0.1, "speed": 2000.0}


class Address:
    """Where a simulated printer is: what `mounted` needs to know."""

    def __init__(self, printer: simulator.Printer) -> None:
        self.host, self.port, self.mqtt_port = printer.host, printer.ftps_port, printer.mqtt_port or 9
        self.access_code, self.serial = printer.access_code, printer.serial


class Stand:
    """A mounted printer. Each test has a folder of its own on the card: `folder` in the mount, `disk` on the card."""

    def __init__(self, printer: simulator.Printer, mount: Mounted) -> None:
        self.printer, self.mount = printer, mount
        self.quirks = printer.quirks
        self._usual = {name: printer.quirks[name] for name in printer.quirks}
        self._count = self._start = self._log_start = self.jobs_before = 0
        self.folder, self.disk = mount.path, printer.card

    # --- for the fixture ---------------------------------------------------------------------------

    def begin(self) -> None:
        """Make a fresh folder, and forget what was remembered of the card."""
        self._count += 1
        # Last of all folders: a walk would list those behind it ahead, and use up a quirk that holds for one event.
        name = f"test-{self._count:04}"
        self.folder, self.disk = self.mount.path / name, self.printer.card / name
        self.disk.mkdir()
        self.refresh()
        assert os.listdir(self.folder) == []
        self._start, self._log_start = len(self.printer.log), self.mount.log_file.stat().st_size

    def restore(self) -> None:
        """Turn every quirk back, and wait until the mount is well again."""
        for name, value in self._usual.items():
            self.quirks[name] = value
        self.printer.rate, self.printer.latency = None, 0.0
        for verb in KNOWN_VERBS:
            self.printer.tamper(verb)
        wait_until(self.is_well, "the mount to be well again")

    def is_well(self) -> bool:
        """Whether the mount can list its folder anew."""
        try:
            self.refresh()
            return os.listdir(self.folder) is not None
        except OSError:
            return False

    # --- for tests -----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The folder's path on the card."""
        return f"/{self.folder.name}"

    @property
    def said(self) -> str:
        """What the mount has logged during this test."""
        return self.mount.log_file.read_bytes()[self._log_start :].decode(errors="replace")

    def put(self, name: str, content: bytes = b"content", *, mtime: float | None = None) -> Path:
        """Put a file on the card behind the mount's back; returns where the mount shows it."""
        place = self.disk / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        if mtime is not None:
            os.utime(place, (mtime, mtime))
        self.refresh()
        return self.folder / name

    def refresh(self) -> None:
        """Have the mount ask the printer anew."""
        (self.mount.path / ".bambufs/refresh").write_text("\n")

    def reconnect(self) -> None:
        """Break all connections, so that the next ones meet the quirks as they are now."""
        self.printer.drop_sessions()

    def sent(self, verb: str = "") -> list[simulator.Command]:
        """The commands ``verb`` (all without one) of this test so far."""
        return [command for command in self.printer.log[self._start :] if verb in ("", command.verb)]

    def codes(self, verb: str) -> list[str]:
        """The codes of the last replies to ``verb`` in this test so far."""
        return [command.reply[:3] for command in self.sent(verb)]

    def uploads(self) -> int:
        """How many times content was sent in this test so far."""
        return len(self.sent("STOR"))

    def holds(self, name: str, content: bytes) -> bool:
        """Whether the card has ``content`` under ``name``, and nothing of ours beside it."""
        leftovers = [place.name for place in self.disk.rglob(".*")]
        return leftovers == [] and (self.disk / name).read_bytes() == content

    def wait_until_tidy(self) -> None:
        """Wait until nothing of an upload is left on the card."""
        wait_until(lambda: not list(self.printer.card.rglob(".bambufs-*")), "left-overs to go", seconds=20)

    def once(self, verb: str, reply: bytes) -> None:
        """Answer the next ``verb`` with ``reply``, whatever really became of it."""
        answers = iter([reply])
        self.printer.tamper(verb, reply=lambda raw: next(answers, raw))

    def run(self, command: str) -> subprocess.CompletedProcess[str]:
        """Run a shell command in the folder, as the printer's owner would."""
        return subprocess.run(
            ["bash", "-c", command], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    # --- printing ------------------------------------------------------------------------------------

    def control(self, name: str) -> Path:
        """A file of the control folder."""
        return self.mount.path / ".bambufs" / name

    def status(self) -> dict[str, Any]:
        """What status.json tells."""
        return dict(json.loads(self.control("status.json").read_text()))

    def wait_until_told(self, what: str) -> None:
        """Wait until the file `print` tells ``what``; fail with what it tells instead."""
        try:
            wait_until(lambda: what in self.control("print").read_text(), what, seconds=20)
        except TimeoutError as error:
            raise AssertionError(f"{error}; it tells: {self.control('print').read_text()}") from error


@contextmanager
def stand(folder: Path, model: str, binding: str, *, mqtt: bool, arguments: tuple[str, ...] = ()) -> Iterator[Stand]:
    """Run a printer and mount it, for the ``with`` block."""
    card = folder / "card"
    card.mkdir(parents=True)
    with simulator.Printer(card=card, model=model, mqtt=mqtt, **_SWIFT) as printer:  # type: ignore[arg-type]
        with mounted(Address(printer), folder / "mnt", binding, arguments=arguments) as mount:
            yield Stand(printer, mount)


class Stands:
    """The stands of a test session, each made when first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._stands: dict[tuple[str, bool], Stand] = {}

    def get(self, model: str, binding: str, *, mqtt: bool) -> Stand:
        """The stand with that model; a mount that died under a test is made anew."""
        known = self._stands.get((model, mqtt))
        if known is None or not known.mount.is_alive:
            folder = self._folder / f"{model}-{len(self._stands)}-{binding}"
            known = self._stack.enter_context(stand(folder, model, binding, mqtt=mqtt))
            self._stands[model, mqtt] = known
        return known
