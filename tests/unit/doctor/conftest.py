"""Printers to visit, and a doctor in a hurry."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bambufs.config import Config
from bambufs.doctor import Finding, Visit, look_at_printer
from bambufs.printer.session import Timeouts
from bambufs.simulator import Printer, make_card

IN_A_HURRY = Timeouts(connect=1.0, greet=1.5, reply=1.5, stall=1.5, final_reply=5.0)

StartPrinter = Callable[..., Printer]
Examine = Callable[..., dict[str, Finding]]


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path, closing: contextlib.ExitStack) -> StartPrinter:
    """Starts a printer with an example card."""

    def make(model: str = "x1c", **options: Any) -> Printer:
        card = tmp_path / "card"
        if not card.exists():
            make_card(card)
        return closing.enter_context(Printer(model=model, card=card, report_interval=0.1, **options))

    return make


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """Visits a printer; returns what was found, by step (the last of each)."""

    def look(printer: Printer, *, visit: dict[str, Any] | None = None, **config: Any) -> dict[str, Finding]:
        chosen: dict[str, Any] = {"host": printer.host, "access_code": printer.access_code}
        chosen |= {"ftps_port": printer.ftps_port, "mqtt_port": printer.mqtt_port, "cache_dir": tmp_path / "cache"}
        chosen |= config
        options: dict[str, Any] = {"timeouts": IN_A_HURRY, "patience": 5.0, "find": lambda: iter(())} | (visit or {})
        return {finding.step: finding for finding in look_at_printer(Visit(Config(**chosen), **options))}

    return look
