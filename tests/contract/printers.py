"""The servers that the contract is tried on, made to look the same to the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bambufs import simulator
from tests.contract.box import Printer
from tests.support.vsftpd import Vsftpd, vsftpd_printer

# The name of each printer, and what this machine needs for it.
PRINTERS: dict[str, tuple[str, ...]] = {"vsftpd": ("vsftpd",), "x1c": ()}


class GoldenPrinter:
    """Debian's vsftpd."""

    time_resolution = 1

    def __init__(self, server: Vsftpd) -> None:
        self.host = server.host
        self.port = server.port
        self.access_code = server.access_code
        self.serial = server.serial
        self.root: Path = server.root
        self._server = server

    def sent(self, verb: str) -> list[str]:
        return [command.argument for command in self._server.commands(verb)]


class SimulatedPrinter:
    """A printer in software, whose card is FAT as that of a real one."""

    time_resolution = 2

    def __init__(self, printer: simulator.Printer) -> None:
        self.host = printer.host
        self.port = printer.ftps_port
        self.access_code = printer.access_code
        self.serial = printer.serial
        self.root: Path = printer.card
        self._printer = printer

    def sent(self, verb: str) -> list[str]:
        return [command.argument for command in self._printer.log if command.verb == verb]


@contextlib.contextmanager
def open_printer(name: str, card: Path) -> Iterator[Printer]:
    """Run the printer ``name`` of `PRINTERS` for the ``with`` block; a simulated one keeps its files in ``card``."""
    if name == "vsftpd":
        with vsftpd_printer() as server:
            yield GoldenPrinter(server)
    else:
        card.mkdir()
        with simulator.Printer(model=name, card=card, mqtt=False) as printer:
            yield SimulatedPrinter(printer)
