"""Servers and mounts that the contract's tests share, each made when first asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.simulator import MODELS
from tests.contract.box import Box, Printer, boxes
from tests.contract.printers import GOLDEN, needs_of, open_printer
from tests.contract.roots import InProcessRoot, MountedRoot, Root
from tests.support.mounting import Mounted, mounted
from tests.support.needs import need

BINDINGS = ("fuse2", "fuse3")
CAREFUL = "careful"
"""A mount that uses no optimisation: what a user may rely on rests on none."""

# The models whose file servers differ, each with the binding on which it is mounted in every run. All models on both
# bindings take minutes.
PROFILES = {"x1c": "fuse3", "p1s": "fuse3", "a1mini": "fuse2", "p2s": "fuse2", "h2d": "fuse3"}


class Farm:
    """The shared servers and roots of a session; a mount that died under a test is made anew."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._printers: dict[str, Printer] = {}
        self._plots: dict[str, tuple[Root, Mounted | None, Callable[[], str]]] = {}
        self._count = 0

    def printer(self, name: str, way: str) -> Printer:
        """Return the running printer ``name`` for one ``way`` to it, since some models take one client at a time."""
        key = name if name == GOLDEN else f"{name}-{way}"
        if key not in self._printers:
            self._printers[key] = self._stack.enter_context(open_printer(name, self._folder / f"card-{key}"))
        return self._printers[key]

    def box(self, way: str, printer_name: str) -> Box:
        """Return a fresh box on ``printer_name``, reached by ``way``: "in-process", a binding, or `CAREFUL`."""
        key = f"{way}-{printer_name}"
        mount = self._plots[key][1] if key in self._plots else None
        if key not in self._plots or (mount and not mount.is_alive):
            self._plots[key] = self._plot(way, printer_name)
        root, _, next_box = self._plots[key]
        return Box(root, self.printer(printer_name, way), next_box())

    def _plot(self, way: str, printer_name: str) -> tuple[Root, Mounted | None, Callable[[], str]]:
        self._count += 1
        printer = self.printer(printer_name, way)
        next_box = boxes(printer.root, f"{way}-{self._count}")
        folder = self._folder / f"{self._count}-{way}-{printer_name}"
        folder.mkdir()
        if way == "in-process":
            return self._stack.enter_context(in_process(printer, folder)), None, next_box
        options, way = ([CAREFUL], "fuse3") if way == CAREFUL else ([], way)
        mount = self._stack.enter_context(mounted(printer, folder / "mnt", way, options=options))
        return MountedRoot(mount.path, passes_rename_flags=way != "fuse2"), mount, next_box


@contextlib.contextmanager
def in_process(printer: Printer, folder: Path) -> Iterator[InProcessRoot]:
    """Open the file system of ``printer`` in this process, with its cache in ``folder``."""
    from bambufs.cli.build import open_filesystem
    from bambufs.config import Config

    files = open_filesystem(
        Config(
            host=printer.host,
            access_code=printer.access_code,
            serial=printer.serial,
            ftps_port=printer.port,
            cache_dir=folder / "cache",
        )
    )
    try:
        yield InProcessRoot(files)
    finally:
        files.close()


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory, nothing_left_behind: None) -> Iterator[Farm]:
    """All shared servers and roots."""
    with contextlib.ExitStack() as stack:
        yield Farm(tmp_path_factory.mktemp("farm"), stack)


def _way(way: str, printer: str, *, slow: bool = False) -> object:
    return pytest.param((way, printer), id=f"{way} on {printer}", marks=[pytest.mark.slow] if slow else [])


def _mounts() -> list[object]:
    chosen = [(way, GOLDEN) for way in (*BINDINGS, CAREFUL)] + [(way, model) for model, way in PROFILES.items()]
    others = [(way, model) for model in MODELS for way in BINDINGS if PROFILES.get(model) != way]
    return [_way(*pair) for pair in chosen] + [_way(*pair, slow=True) for pair in others]


@pytest.fixture(params=[*(_way("in-process", printer) for printer in (GOLDEN, "p1s")), *_mounts()])
def box(request: pytest.FixtureRequest, farm: Farm) -> Box:
    """A fresh folder on the card, by every way to it."""
    return _box(request, farm)


@pytest.fixture(params=_mounts())
def mount_box(request: pytest.FixtureRequest, farm: Farm) -> Box:
    """A fresh folder on the card, by the mounts only: for what the kernel or a program adds."""
    return _box(request, farm)


def _box(request: pytest.FixtureRequest, farm: Farm) -> Box:
    way, printer = request.param
    need(*needs_of(printer), *([way] if way in BINDINGS else ["fuse3"] if way == CAREFUL else []))
    return farm.box(way, printer)


@pytest.fixture(params=BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    """The name of each FUSE binding."""
    need(request.param)
    return str(request.param)


@pytest.fixture
def server(request: pytest.FixtureRequest, farm: Farm) -> Printer:
    """The shared vsftpd, or the printer that the test names, for tests that mount it themselves."""
    name = getattr(request, "param", GOLDEN)
    need(*needs_of(name))
    return farm.printer(name, "fresh")


MountFresh = Callable[..., contextlib.AbstractContextManager[Box]]


@pytest.fixture
def mount_fresh(server: Printer, binding: str, tmp_path: Path) -> MountFresh:
    """Mount the server for one test, on the same folder and cache each time it is called."""
    next_box = boxes(server.root, f"{binding}-{tmp_path.name}")
    folder = next_box()

    @contextlib.contextmanager
    def mount(*, options: tuple[str, ...] = (), arguments: tuple[str, ...] = ()) -> Iterator[Box]:
        with mounted(server, tmp_path / "mnt", binding, options=options, arguments=arguments) as live:
            yield Box(MountedRoot(live.path), server, folder)

    return mount
