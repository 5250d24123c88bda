"""Mounted printers for the tests of quirks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from tests.quirks.stand import Stand, Stands
from tests.support.needs import need

# Each model on one binding: the quirks are the driver's affair and not the kernel's.
BINDINGS = {"p1s": "fuse2", "h2d": "fuse2"}

On = Callable[..., Stand]


@pytest.fixture(scope="session")
def stands(tmp_path_factory: pytest.TempPathFactory, nothing_left_behind: None) -> Iterator[Stands]:
    """All stands of this session."""
    with ExitStack() as stack:
        yield Stands(tmp_path_factory.mktemp("quirks"), stack)


@pytest.fixture
def on(stands: Stands) -> Iterator[On]:
    """Lends the stand with a model; afterwards the printer has its usual quirks again."""
    lent: list[Stand] = []

    def lend(model: str, *, mqtt: bool = False) -> Stand:
        binding = BINDINGS.get(model, "fuse3")
        need(binding)
        stand = stands.get(model, binding, mqtt=mqtt)
        lent.append(stand)
        stand.begin()
        return stand

    yield lend
    for stand in lent:
        stand.restore()
