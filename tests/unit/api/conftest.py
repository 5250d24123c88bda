"""Simulated printers, and the Python interface connected to them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bambufs import Printer, simulator

Start = Callable[..., tuple[Printer, simulator.Printer]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a simulated printer, and what a Python program has of it."""
    with ExitStack() as stack:

        def make(model: str = "x1c", *, mqtt: bool = False, **settings: object) -> tuple[Printer, simulator.Printer]:
            folder = tmp_path / "card"
            simulator.make_card(folder)
            simulated = stack.enter_context(
                simulator.Printer(model=model, card=folder, mqtt=mqtt, report_interval=0.1, **settings)  # type: ignore[arg-type]
            )
            client = Printer(
                simulated.host,
                simulated.access_code,
                ftps_port=simulated.ftps_port,
                mqtt_port=simulated.mqtt_port if mqtt else 9,
                cache_dir=tmp_path / "cache",
            )
            return stack.enter_context(client), simulated

        yield make


_ALWAYS = re.compile(r"(file_to_new|directory_to_new|files_to_existing)_directory|exclusive")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the bulk of fsspec's own tests as slow: they are some two hundred for each printer."""
    for item in items:
        if "fsspec.py::Test" in item.nodeid and not _ALWAYS.search(item.name):
            item.add_marker(pytest.mark.slow)
