"""A printer that cannot rename over a file, and a process that died between the steps that take its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from bambufs.printer.card import Card
from bambufs.printer.family import ESP32
from bambufs.printer.leftovers import Leftovers
from tests.support.memory import MemoryPrinter
from tests.support.waiting import wait_until

PATH, ASIDE = "/cache/x.3mf", "/cache/.bambufs-1.part"


@pytest.mark.parametrize(
    ("there", "then"),
    [
        ({ASIDE: b"old"}, {PATH: b"old"}),
        ({ASIDE: b"old", PATH: b"new"}, {PATH: b"new"}),
        ({PATH: b"old"}, {PATH: b"old"}),
        ({}, {}),
    ],
    ids=["nothing took its place", "the new one did", "it was not set aside yet", "somebody deleted all"],
)
def test_what_was_set_aside_goes_back_or_away(
    tmp_path: Path, there: dict[str, bytes], then: dict[str, bytes]
) -> None:
    dead = Leftovers(tmp_path / "parts")
    dead.note(ASIDE, instead_of=PATH)
    dead.close()
    printer = MemoryPrinter(there, family=ESP32)
    card = Card(printer.card().pool, leftovers=Leftovers(tmp_path / "parts"))
    card.connect()
    wait_until(lambda: list((tmp_path / "parts").iterdir()) == [], "it to be put in order")
    card.close()
    assert printer.files == then
