"""Debian's vsftpd and the simulated X1 beside each other, with the same card and the same client."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bambufs.simulator import Printer
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer
from tests.unit.simulator.plain_client import PlainClient

Script = Callable[[PlainClient], list[object]]
PLAIN: dict[str, bool] = {"ignore_case": False, "fat_names": False, "fat_times": False}
_NOW = int(time.time())
_TIMES = {"old.txt": _NOW - 400 * 86400, "new.txt": _NOW - 3600, "future.txt": _NOW + 86400 * 3}


def fill(card: Path) -> None:
    for folder in ("cache", "full/inner", "empty"):
        (card / folder).mkdir(parents=True)
    for number, (name, mtime) in enumerate(_TIMES.items()):
        (card / name).write_bytes(b"x" * number * 1000)
        os.utime(card / name, (mtime, mtime))
    (card / ".hidden").write_text("dot")
    (card / "cache" / " two  blanks.3mf").write_bytes(bytes(5000))
    (card / "cache" / "Größe.3mf").write_bytes(bytes(7))


@pytest.fixture(scope="module")
def golden() -> Iterator[Vsftpd]:
    need("vsftpd")
    with vsftpd_printer() as server:
        yield server


@pytest.fixture
def both(golden: Vsftpd, tmp_path: Path, closing: contextlib.ExitStack) -> Callable[[Script], list[list[object]]]:
    """Runs a script on both servers, on equal cards, and returns what it gave."""

    def run(script: Script) -> list[list[object]]:
        for leftover in sorted(golden.root.rglob("*"), reverse=True):
            leftover.rmdir() if leftover.is_dir() else leftover.unlink()
        card = tmp_path / "card"
        card.mkdir()
        printer = closing.enter_context(Printer(card=card, quirks=PLAIN, mqtt=False))
        places = ((golden.root, golden.port, golden.access_code), (card, printer.ftps_port, printer.access_code))
        return [one(script, *place) for place in places]

    def one(script: Script, card: Path, port: int, code: str) -> list[object]:
        fill(card)
        client = PlainClient()
        closing.callback(client.close)
        found = script(client.open("127.0.0.1", port).sign_in(code))
        return [*found, tree(card)]

    return run


@dataclass(frozen=True)
class Side:
    """One of the two servers."""

    name: str
    port: int
    code: str
    card: Path

    def client(self, closing: contextlib.ExitStack, *, signed_in: bool = True) -> PlainClient:
        """A client of it, which ends with the test."""
        client = PlainClient()
        closing.callback(client.close)
        client.open("127.0.0.1", self.port)
        return client.sign_in(self.code) if signed_in else client


Pair = Callable[..., tuple[Side, Side]]


@pytest.fixture
def pair(tmp_path: Path, closing: contextlib.ExitStack) -> Pair:
    """Starts both with limits of their own: those of the printer as ``quirks``, those of vsftpd by name."""
    need("vsftpd")

    def start(quirks: Mapping[str, bool | int | float | str], **settings: Any) -> tuple[Side, Side]:
        server = closing.enter_context(vsftpd_printer(**settings))
        card = tmp_path / "own-card"
        card.mkdir()
        printer = closing.enter_context(Printer(card=card, quirks=PLAIN | dict(quirks), mqtt=False))
        fill(server.root)
        fill(card)
        return (
            Side("vsftpd", server.port, server.access_code, server.root),
            Side("simulated", printer.ftps_port, printer.access_code, card),
        )

    return start


def tree(card: Path) -> dict[str, bytes | None]:
    places = sorted(card.rglob("*"))
    return {str(place.relative_to(card)): None if place.is_dir() else place.read_bytes() for place in places}
