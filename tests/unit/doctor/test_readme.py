"""The table of troubles in README.md has every cross that the doctor can make, and no other."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import bambufs.doctor
from bambufs.doctor.storage import _ABILITIES

README = Path(bambufs.doctor.__file__).parents[2] / "README.md"


def findings(function: str) -> Iterator[str]:
    """The steps that are given to ``function`` (`bad` or another) anywhere in the doctor."""
    for module in Path(bambufs.doctor.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function:
                step = node.args[0]
                if isinstance(step, ast.Constant):
                    yield str(step.value)


def listed() -> set[str]:
    table = README.read_text().partition("| ✗ at |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {step.strip() for row in rows for step in row.split(",")}


def test_every_cross_is_in_the_table() -> None:
    assert sorted(set(findings("bad")) - listed()) == []


def test_table_has_nothing_else() -> None:
    assert sorted(listed() - set(findings("bad")) - {step for step, _ in _ABILITIES}) == []


@pytest.mark.parametrize("function", ["good", "note", "bad", "skipped"])
def test_steps_are_found(function: str) -> None:
    assert set(findings(function))
