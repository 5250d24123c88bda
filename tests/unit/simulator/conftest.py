"""Simulated printers and plain clients for the tests of the simulator."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bambufs.simulator import Printer
from tests.unit.simulator.plain_client import PlainClient
from tests.unit.simulator.side_by_side import both, golden, pair

__all__ = ["both", "golden", "pair"]


@pytest.fixture
def closing() -> Iterator[contextlib.ExitStack]:
    """What has to be closed at the end of the test, in reverse order."""
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path, closing: contextlib.ExitStack) -> Callable[..., Printer]:
    """Starts printers without MQTT; their card is a fresh folder unless another is given."""

    def make(model: str = "x1c", *, mqtt: bool = False, **options: Any) -> Printer:
        card = tmp_path / "card"
        card.mkdir(exist_ok=True)
        return closing.enter_context(Printer(model=model, card=card, mqtt=mqtt, **options))

    return make


@pytest.fixture
def connect(closing: contextlib.ExitStack) -> Callable[..., PlainClient]:
    """Connects plain clients, logged in."""

    def make(printer: Printer, *, signed_in: bool = True, **options: Any) -> PlainClient:
        client = PlainClient(**options)
        closing.callback(client.close)
        client.open(printer.host, printer.ftps_port)
        return client.sign_in(printer.access_code) if signed_in else client

    return make
