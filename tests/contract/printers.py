"""The servers that the contract is tried on, made to look the same to the tests."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from bambufs import simulator
from tests.contract.box import Printer, Traits
from tests.support.vsftpd import Vsftpd, vsftpd_printer

GOLDEN = "vsftpd"

# What the documentation says of P1 and A1 printers, and what follows from FAT.
_TRAITS = {
    "vsftpd": Traits(time_resolution=2),
    "esp32": Traits(
        time_resolution=2, keeps_times=False, replaces_at_once=False, starts_anywhere=False, longest_path=110
    ),
}


def needs_of(printer: str) -> tuple[str, ...]:
    """What this machine needs for ``printer``: `GOLDEN` or a model of the simulator."""
    return ("vsftpd",) if printer == GOLDEN else ()


class GoldenPrinter:
    """Debian's vsftpd."""

    traits = Traits()

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

    def __init__(self, printer: simulator.Printer) -> None:
        self.traits = _TRAITS[printer.quirks.family]
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
    """Run ``name`` for the ``with`` block: `GOLDEN`, or a simulated model, which keeps its files in ``card``."""
    if name == GOLDEN:
        with vsftpd_printer() as server:
            yield GoldenPrinter(server)
    else:
        card.mkdir()
        with simulator.Printer(model=name, card=card, mqtt=False) as printer:
            yield SimulatedPrinter(printer)
