"""A mounted printer with big files on it, and a screen to look at it with a file manager."""

from __future__ import annotations

import contextlib
import json
import random
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bambufs import simulator
from tests.desktop.screen import NEEDED, Screen, screen
from tests.support.mounting import mounted
from tests.support.needs import need
from tests.support.waiting import wait_until

MANY = 50
BIG = 1_000_000


@dataclass
class Manager:
    """A file manager: how it is started, and what its window is called when it shows the folder ``name``."""

    program: str

    def title(self, name: str) -> str:
        """The title of its window."""
        return f"^{name} - Thunar$" if self.program == "thunar" else f"^{name}$"

    @property
    def offers_to_delete(self) -> list[tuple[str, str]]:
        """The windows that ask when what cannot go to the trash is deleted, and the keys for yes."""
        return [("Attention", "alt+a")] if self.program == "thunar" else [("Confirm", "Return"), ("Confirm", "Return")]

    def search(self, screen: Screen, name: str) -> None:
        """Search for what begins with ``name`` in the folder that is shown."""
        if self.program == "thunar":
            screen.keys("ctrl+f")
            screen.write(name)
        else:
            screen.write(name)

    def copy_found(self, screen: Screen, name: str) -> None:
        """Copy the file ``name``, which the search finds sooner or later, and leave the search."""
        if self.program == "thunar":
            screen.copy(name, lambda: screen.click("Thunar", 230, 140))  # the first row
        else:
            screen.copy(name, lambda: screen.keys("Escape"))  # it is selected; only the search box is in the way
        screen.keys("Escape")


@dataclass
class Address:
    """Where the printer is."""

    host: str
    port: int
    mqtt_port: int
    access_code: str
    serial: str


@dataclass
class Desk:
    """A mount of ``printer`` on ``mount``, with ``card`` as the printer's own disk and ``home`` on this computer."""

    printer: simulator.Printer
    screen: Screen
    mount: Path
    card: Path
    home: Path

    @property
    def bytes_fetched(self) -> int:
        """What was fetched of files since the beginning, and is kept."""
        return int(json.loads((self.mount / ".bambufs" / "stats").read_text())["bytes_cached"])

    def settle(self) -> None:
        """Wait until the printer has not been asked for anything for a second."""
        count, since = len(self.printer.log), time.monotonic()

        def is_quiet() -> bool:
            nonlocal count, since
            if len(self.printer.log) != count:
                count, since = len(self.printer.log), time.monotonic()
            return time.monotonic() - since > 1.0

        wait_until(is_quiet, "the file manager to be done", seconds=40)

    @contextlib.contextmanager
    def browsing(self, manager: Manager, folder: Path) -> Iterator[None]:
        """Look at ``folder`` with ``manager`` for the ``with`` block; a failure leaves a picture of the screen."""
        with self.screen.running(manager.program, folder):
            try:
                self.screen.wait_for_window(manager.title(folder.name))
                yield
            except BaseException:
                self.screen.picture(self.home / "failed.png")
                raise

    def go_to(self, manager: Manager, folder: Path) -> None:
        """Let the file manager show another folder; it may still be busy, so it is told again until it does."""

        def is_there() -> bool:
            self.screen.keys("ctrl+l", "ctrl+a")
            self.screen.write(f"{folder}")
            self.screen.keys("Return")
            with contextlib.suppress(TimeoutError):
                self.screen.wait_for_window(manager.title(folder.name), seconds=5)
                return True
            return False

        wait_until(is_there, f"{folder} to be shown", seconds=40)


@pytest.fixture(params=["pcmanfm", "thunar"])
def manager(request: pytest.FixtureRequest) -> Manager:
    """The file managers of LXDE and of Xfce."""
    need(*NEEDED, request.param, "fuse3")
    return Manager(request.param)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One mount and one screen for all tests."""
    need(*NEEDED, "fuse3")
    folder = tmp_path_factory.mktemp("desk")
    card = folder / "card"
    simulator.make_card(card)
    (card / "many").mkdir()
    for number in range(MANY):
        make_big_3mf(card / "many" / f"part{number:02}.gcode.3mf", f"Part {number}")
    with simulator.Printer(model="x1c", card=card) as printer:
        where = Address(printer.host, printer.ftps_port, printer.mqtt_port, printer.access_code, printer.serial)
        with mounted(where, folder / "Printer") as mount, screen(folder / "home") as shown:
            yield Desk(printer, shown, mount.path, card, folder / "home")


def make_big_3mf(file: Path, title: str) -> None:
    """A sliced 3MF of somewhat more than `BIG` bytes."""
    simulator.make_3mf(file, title=title)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("Metadata/filler.bin", random.Random(title).randbytes(BIG))
