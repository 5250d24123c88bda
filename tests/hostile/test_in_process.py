"""The file system of a printer that has lost its mind, without a kernel between: never a crash, never a hang,
nothing outside its own folders, bounded memory; and when the printer is sane again, all is well."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from bambufs.printer.card import Card
from bambufs.printer.pool import SessionPool
from bambufs.printer.session import FtpsSession, Target, Timeouts
from bambufs.printer.trust import make_context
from bambufs.simulator import Printer
from bambufs.simulator.hostile import KINDS
from bambufs.vfs.attributes import Attributes
from bambufs.vfs.filesystem import FileSystem
from bambufs.vfs.settings import Settings
from tests.hostile.world import MOST_GROWTH, Clockwork, attempt, listening, resident, soak_seconds, tree

SHORT = Timeouts(connect=0.5, greet=0.7, reply=0.5, stall=0.5, listing=1.0, final_reply=0.7)
CONTENT = bytes(range(256)) * 500
ROUND = 30
"""Examples of one run of hypothesis; there are as many runs as there is time for."""

VERBS = ("list", "stat", "read", "read end", "write", "create", "rename", "delete", "make", "remove", "touch", "space")

steps = some.lists(some.tuples(some.sampled_from(VERBS), some.integers(0, 50)), min_size=2, max_size=8)
kinds = some.sampled_from(["listings", "all", "listings+content", *(kind for kind in KINDS if kind != "reports")])
shares = some.sampled_from([0.2, 0.5, 0.9])


@pytest.fixture(scope="module", params=["x1c", "p1s"])
def printer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printer]:
    card = tmp_path_factory.mktemp("hostile") / "card"
    card.mkdir()
    with Printer(model=request.param, card=card, mqtt=False) as running:
        yield running


class User:
    """Does what a person might, with whatever names the printer shows."""

    def __init__(self, filesystem: FileSystem) -> None:
        self._fs = filesystem
        self._paths = ["/x.bin", "/cache", "/missing"]

    def do(self, verb: str, number: int) -> None:
        """One step; raises `OSError`."""
        path = self._paths[number % len(self._paths)]
        actions: dict[str, Callable[[], object]] = {
            "list": lambda: self._list(path if number % 3 else "/"),
            "stat": lambda: self._fs.getattr(path),
            "read": lambda: self._read(path, 0),
            "read end": lambda: self._read(path, len(CONTENT) - 100),
            "write": lambda: self._write(path),
            "create": lambda: self._create(f"/cache/new{number}"),
            "rename": lambda: self._fs.rename(path, f"/cache/renamed{number}"),
            "delete": lambda: self._fs.unlink(path),
            "make": lambda: self._fs.mkdir(f"/cache/folder{number}"),
            "remove": lambda: self._fs.rmdir(path),
            "touch": lambda: self._fs.utimens(path, number * 1_000_000),
            "space": self._look_around,
        }
        actions[verb]()

    def _list(self, folder: str) -> None:
        for name, attributes in self._fs.readdir(folder):
            assert isinstance(attributes, Attributes)
            assert name not in ("", ".", "..")
            assert not set(name) & set("/\0\r\n")
            assert 0 <= attributes.size < 1 << 62
            os.fsencode(name)
            if len(self._paths) < 40:
                self._paths.append(f"{folder.rstrip('/')}/{name}")

    def _read(self, path: str, offset: int) -> None:
        handle = self._fs.open(path, os.O_RDONLY)
        try:
            assert len(self._fs.read(handle, 10_000, offset)) <= 10_000
        finally:
            self._fs.release(handle)

    def _write(self, path: str) -> None:
        self._put(self._fs.open(path, os.O_WRONLY | os.O_TRUNC))

    def _create(self, path: str) -> None:
        self._put(self._fs.create(path, os.O_WRONLY))

    def _put(self, handle: int) -> None:
        try:
            self._fs.write(handle, CONTENT, 0)
            self._fs.flush(handle)
        finally:
            self._fs.release(handle)

    def _look_around(self) -> None:
        assert self._fs.statfs().free > 0
        assert self._fs.transfers()
        assert self._fs.statistics()


def filesystem_on(printer: Printer, cache: Path) -> FileSystem:
    target = Target(printer.host, printer.ftps_port, printer.access_code, make_context())
    pool = SessionPool(lambda: FtpsSession.open(target, SHORT))
    return FileSystem(Card(pool), Settings(cache_folder=cache, ttl=0.2))


def refill(card: Path) -> None:
    """The card as it is before each example."""
    shutil.rmtree(card, ignore_errors=True)
    (card / "cache").mkdir(parents=True)
    (card / "x.bin").write_bytes(CONTENT)


def live_through(printer: Printer, kinds: str, share: float, seed: int, steps: list[tuple[str, int]]) -> None:
    """One mount's life with a hostile printer, and a check of what it left."""
    steps = [("list", 0), *steps, ("list", 0)]
    with tempfile.TemporaryDirectory() as name, listening() as log:
        folder = Path(name)
        (folder / "outside").write_bytes(b"not to be touched")
        refill(printer.card)
        before = tree(folder)
        filesystem = filesystem_on(printer, folder / "cache")
        try:
            user = User(filesystem)
            printer.be_hostile(kinds, share=share, seed=seed)
            for verb, number in steps:
                attempt(f"{verb} {number}", lambda verb=verb, number=number: user.do(verb, number))  # type: ignore[misc]
            printer.be_hostile("")
            attempt("closing", filesystem.close)
        finally:
            printer.be_hostile("")
            with suppress(Exception):
                filesystem.close()
        log.check()
        assert tree(folder) == before
    assert tree(printer.card.parent) == {}


def run(printer: Printer, seconds: float, kinds: some.SearchStrategy[str] = kinds) -> Clockwork:
    clockwork, memory = Clockwork(seconds), resident()

    @given(kinds, shares, some.integers(0, 1 << 30), steps)
    @settings(max_examples=ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def examine(kinds: str, share: float, seed: int, steps: list[tuple[str, int]]) -> None:
        with clockwork.example() as has_time:
            if has_time:
                live_through(printer, kinds, share, seed, steps)

    while clockwork.has_time:
        examine()
    assert resident() - memory < MOST_GROWTH
    return clockwork


def test_hostile_listings_cannot_break_the_file_system(printer: Printer) -> None:
    assert run(printer, 4.0, some.just("listings")).examples > 0


def test_a_hostile_printer_cannot_break_the_file_system(printer: Printer) -> None:
    assert run(printer, 5.0).examples > 0


@pytest.mark.slow
def test_a_hostile_printer_cannot_break_the_file_system_for_long(printer: Printer) -> None:
    assert run(printer, soak_seconds()).examples > 0
