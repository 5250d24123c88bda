"""Random operations with uploads in the background, struck by random faults: everything arrives, once and whole.

`BAMBUFS_FAULTS_SEED` sets the seed, which is printed, to see a failure again.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest

from tests.faults.world import P1S, X1C, World, open_world
from tests.support.faultproxy import Fault
from tests.support.waiting import wait_until

NAMES = ("/a.3mf", "/b.3mf", "/d/a.3mf", "/d/c.gcode")
FEW, MANY = 60, 500

pytestmark = pytest.mark.filterwarnings(
    # See the fault matrix: the collector closes what `ssl.wrap_socket` forgets.
    "ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning"
)


class Walk:
    """Does random things in ``world``. The model is what programs were told to be there."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.random = world, random.Random(seed)
        self.model: dict[str, bytes | None] = {"/d": None}
        self.told: list[str] = []
        self.faults = 0

    def step(self) -> None:
        """One operation, perhaps with a fault on its way or soon after."""
        if self.random.random() < 0.4:
            self._strike()
        path, other = self.random.sample(NAMES, 2)
        act = self.random.choice((self._write, self._write, self._write, self._append, self._delete, self._rename))
        self.told.append(f"{act.__name__} {path} {other}")
        try:
            act(path, other)
        except OSError as error:
            self.told.append(f"  {error!r}")
            self._see(path, other)
        if self.random.random() < 0.3:
            time.sleep(self.random.random() * 0.1)

    def _strike(self) -> None:
        self.faults += 1
        if self.random.random() < 0.1:
            self.world.printer.switch_off()
            self.world.printer.switch_on()
            return
        after, is_data = self.random.choice((0, 1, 300, 3_000, 40_000)), self.random.random() < 0.5
        kind, to_printer = self.random.choice([*Fault]), self.random.random() < 0.7
        self.world.proxy.strike_after(after, kind, data=is_data, to_printer=to_printer, control=not is_data)

    def _write(self, path: str, _other: str) -> None:
        content = self.random.randbytes(self.random.choice((1, 500, 30_000, 120_000)))
        self.world.write(path, content)
        self.model[path] = content

    def _append(self, path: str, _other: str) -> None:
        old = self.model.get(path)
        if old is not None:
            more = self.random.randbytes(1000)
            self.world.append(path, more, len(old))
            self.model[path] = old + more

    def _delete(self, path: str, _other: str) -> None:
        if path in self.model:
            self.world.files.unlink(path)
            del self.model[path]

    def _rename(self, path: str, other: str) -> None:
        if path in self.model:
            self.world.files.rename(path, other)
            self.model[other] = self.model.pop(path)

    def _see(self, *touched: str) -> None:
        """An operation failed, and may have happened or not: look."""
        self.world.proxy.mend()
        self.world.until_it_works()
        self.world.files.forget()
        for path in touched:
            try:
                seen = self.world.read(path)
            except FileNotFoundError:
                self.model.pop(path, None)
                continue
            assert seen in self.model.values(), f"{path} holds what nobody has written there"
            self.model[path] = seen


def walk(family: str, seed: int, count: int, folder: Path) -> Walk:
    """So many steps; in the end all is on the disk, and nothing is owed, lost or doubled."""
    with open_world(family, folder, write_back=0.02) as world:
        world.files.mkdir("/d")
        walk = Walk(world, seed)
        try:
            for _ in range(count):
                walk.step()
            world.proxy.mend()
            wait_until(lambda: world.files.statistics()["uploads_owed"] == 0, "everything to be sent", seconds=30)
            world.until_tidy()
            assert world.disk() == walk.model, f"on the disk {_sizes(world.disk())}, wanted {_sizes(walk.model)}"
            world.files.forget()
            assert world.tree() == walk.model
            assert list(folder.rglob("lost+found/*")) == []
        except BaseException:
            sys.stderr.write("\n".join([f"seed {seed}", *walk.told[-80:], ""]))
            raise
    return walk


def _sizes(disk: dict[str, bytes | None]) -> dict[str, int]:
    return {path: -1 if content is None else len(content) for path, content in disk.items()}


def _seed() -> int:
    return int(os.environ.get("BAMBUFS_FAULTS_SEED") or random.SystemRandom().randrange(1_000_000))


@pytest.mark.parametrize("family", [X1C, P1S])
def test_everything_arrives(family: str, tmp_path: Path) -> None:
    assert walk(family, _seed(), FEW, tmp_path).faults > FEW // 5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("family", [X1C, P1S])
def test_everything_arrives_in_the_long_run(family: str, tmp_path: Path) -> None:
    walk(family, _seed(), MANY, tmp_path)
