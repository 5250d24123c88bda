"""A process that died between the steps by which a file takes the place of another."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from bambufs.errors import ConnectionDropped
from bambufs.printer.card import Card
from bambufs.printer.family import ESP32, VSFTPD, Family
from bambufs.printer.leftovers import Leftovers
from bambufs.printer.parts import Keep, Move
from bambufs.printer.session import FtpsSession
from tests.support.memory import MemoryPrinter, MemorySession
from tests.support.waiting import wait_until

PATH, ASIDE, SOURCE = "/cache/x.3mf", "/cache/.bambufs-1.part", "/cache/y.3mf"


def put_in_order(printer: MemoryPrinter, folder: Path) -> None:
    """What the next process does."""
    card = Card(printer.card().pool, leftovers=Leftovers(folder))
    card.connect()
    wait_until(lambda: list(folder.iterdir()) == [], "it to be put in order")
    card.close()


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
    put_in_order(printer, tmp_path / "parts")
    assert printer.files == then


@pytest.mark.parametrize("family", [VSFTPD, ESP32], ids=lambda family: family.name)
@pytest.mark.parametrize(
    ("steps", "then", "told"),
    [
        (0, {PATH: b"old", SOURCE: b"new"}, []),
        (1, {PATH: b"old", SOURCE: b"new"}, [ASIDE]),
        (2, {PATH: b"new"}, [ASIDE]),
    ],
    ids=["nothing was done", "the old one was set aside", "the new one was in its place"],
)
def test_file_that_is_kept_for_its_readers_goes_back_or_away(
    tmp_path: Path, family: Family, steps: int, then: dict[str, bytes], told: list[str]
) -> None:
    printer = MemoryPrinter({PATH: b"old", SOURCE: b"new"}, family=family)
    dying, heard = Leftovers(tmp_path / "parts"), list[str]()
    move = Move(SOURCE, PATH, dying, Keep(ASIDE, heard.append))
    printer.fail("RENAME", ConnectionDropped("dead"), after=steps)
    with suppress(ConnectionDropped):
        move.run(cast(FtpsSession, MemorySession(printer)))
    dying.close()
    printer.forgive()
    put_in_order(printer, tmp_path / "parts")
    assert (printer.files, heard) == (then, told)


@pytest.mark.parametrize("is_replaced", [False, True])
def test_file_that_was_set_aside_to_be_replaced_goes_back_or_away(tmp_path: Path, is_replaced: bool) -> None:
    printer = MemoryPrinter({PATH: b"old", SOURCE: b"new"})
    dying = Leftovers(tmp_path / "parts")
    card = Card(printer.card().pool, leftovers=dying)
    card.set_aside(PATH, ASIDE)
    replacing = card.replacing(PATH, Keep(ASIDE, lambda path: None))
    replacing.__enter__()  # and it never comes to its end
    if is_replaced:
        card.rename(SOURCE, PATH)
    card.close()
    put_in_order(printer, tmp_path / "parts")
    assert printer.files == ({PATH: b"new"} if is_replaced else {PATH: b"old", SOURCE: b"new"})


def test_file_that_was_set_aside_is_removed_when_its_process_dies(tmp_path: Path) -> None:
    printer = MemoryPrinter({PATH: b"old"})
    card = Card(printer.card().pool, leftovers=Leftovers(tmp_path / "parts"))
    card.set_aside(PATH, ASIDE)
    card.close()
    put_in_order(printer, tmp_path / "parts")
    assert printer.files == {}
