"""The table in README.md names every row, every switch, and tests that exist."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from bambufs.simulator import TABLE
from bambufs.simulator.cli import quirk_list

HERE = Path(__file__).parent
TESTS = HERE.parent
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (HERE / "README.md").read_text().splitlines()
    if re.match(r"\| (\d+|-) \|", line)
]


@cache
def names_below(folder: Path) -> frozenset[str]:
    """The names of all tests in ``folder``."""
    code = "".join(place.read_text() for place in folder.rglob("test_*.py"))
    return frozenset(re.findall(r"^def (test_\w+)\(", code, re.MULTILINE))


def names_in(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


def test_every_row_is_there_once() -> None:
    assert [row[0] for row in ROWS if row[0] != "-"] == [str(number) for number in range(1, 41)]


def test_every_row_has_a_quirk() -> None:
    # 25 is the rate and the latency of the printer, which are no quirks.
    assert set(range(1, 41)) - {quirk.row for quirk in TABLE.values()} == {25}


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_switch_is_in_its_row(name: str) -> None:
    wanted = str(TABLE[name].row or "-")

    assert wanted in [row[0] for row in ROWS if name in names_in(row[2])]
    assert f"\n{name}=" in quirk_list("p1s")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[1]}")
def test_its_tests_exist(row: list[str]) -> None:
    plain, mounted = names_in(row[4]), names_in(row[5])

    assert plain
    assert set(plain) <= names_below(TESTS / "unit/simulator")
    if row[1] == "a printer gone mad":
        assert names_below(TESTS / "hostile")
    else:
        assert mounted
        assert set(mounted) <= names_below(TESTS)


def test_every_test_here_is_in_the_table() -> None:
    named = {name for row in ROWS for name in names_in(row[5])}

    assert names_below(HERE) - own_names() - named == set()


def own_names() -> frozenset[str]:
    return frozenset(re.findall(r"^def (test_\w+)\(", Path(__file__).read_text(), re.MULTILINE))
