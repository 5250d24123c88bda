"""Every fault at every step of every conversation with every family of printers; the table is printed at the end.

In `make test` every fault strikes every step of the two simulated families, and Debian's vsftpd gets three of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.matrix import BLOWS, FAMILIES, run_column
from tests.faults.world import VSFTPD
from tests.support.needs import need

_OFTEN_ON_VSFTPD = ("reset", "black hole", "data half-close")


def _columns() -> list[object]:
    return [
        pytest.param(
            family,
            blow,
            id=f"{family}-{blow}",
            marks=[pytest.mark.slow] if family == VSFTPD and blow not in _OFTEN_ON_VSFTPD else [],
        )
        for family in FAMILIES
        for blow in BLOWS
    ]


# `ssl.wrap_socket` forgets a socket whose other end is reset while it is being wrapped; the collector closes it.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("family", "blow"), _columns())
def test_nothing_is_lost_whenever_it_strikes(
    family: str, blow: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if family == VSFTPD:
        need("vsftpd")
    results = run_column(family, blow, tmp_path, at_once=4 if family == VSFTPD else 8)
    cells = [(result.step, result.outcome, result.seconds, result.trouble) for result in results]
    record_property("fault matrix", json.dumps([family, blow, cells]))
    failed = [f"{result.step}: {result.outcome}: {result.trouble}" for result in results if result.trouble]
    assert not failed, "\n".join(failed)
