"""The fault matrix as a table in the output of the tests, made of what each column's test has recorded."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

PROPERTY = "fault matrix"
_STEP = 42

Cells = list[tuple[str, str, float, str]]


def columns(reports: Iterable[Any]) -> list[tuple[str, str, Cells]]:
    """The family, the fault and the cells of every column that was run."""
    found = [value for report in reports for name, value in report.user_properties if name == PROPERTY]
    return [(family, blow, cells) for family, blow, cells in map(json.loads, found)]


def lines(found: list[tuple[str, str, Cells]]) -> Iterator[str]:
    """The table, one family after the other, and the totals."""
    for family in dict.fromkeys(family for family, _, _ in found):
        yield from _of_family(family, {blow: cells for name, blow, cells in found if name == family})
    cells = [cell for _, _, column in found for cell in column]
    struck = [outcome for _, outcome, _, _ in cells if outcome != "-"]
    done = struck.count("done")
    troubles = sum(bool(trouble) for *_, trouble in cells)
    yield (
        f"{len(struck)} faults struck {len(cells)} operations: {done} were done all the same, {len(struck) - done} "
        f"ended with an error that says why; {troubles} losses or other troubles."
    )


def _of_family(family: str, by_blow: dict[str, Cells]) -> Iterator[str]:
    widths = {blow: max([len(blow), *(len(_shown(cell)) for cell in cells)]) for blow, cells in by_blow.items()}
    yield f"{family:{_STEP}}  " + "  ".join(f"{blow:{width}}" for blow, width in widths.items())
    for step in dict.fromkeys(cell[0] for cells in by_blow.values() for cell in cells):
        row = {blow: next((_shown(cell) for cell in cells if cell[0] == step), "") for blow, cells in by_blow.items()}
        yield f"{step:{_STEP}}  " + "  ".join(f"{row[blow]:{width}}" for blow, width in widths.items())
    yield ""


def _shown(cell: tuple[str, str, float, str]) -> str:
    _, outcome, _, trouble = cell
    return f"LOST ({outcome})" if trouble else outcome
