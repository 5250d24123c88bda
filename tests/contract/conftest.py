"""Servers and mounts that the contract's tests share, each made when first asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.contract.box import Box, Printer, boxes
from tests.contract.printers import PRINTERS, open_printer
from tests.contract.roots import InProcessRoot, MountedRoot, Root
from tests.support.mounting import Mounted, mounted
from tests.support.needs import need

BINDINGS = ("fuse2", "fuse3")


class Farm:
    """The shared servers and roots of a session; a mount that died under a test is made anew."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._printers: dict[str, Printer] = {}
        self._plots: dict[str, tuple[Root, Mounted | None, Callable[[], str]]] = {}
        self._count = 0

    def printer(self, name: str) -> Printer:
        """Return the running printer ``name``."""
        if name not in self._printers:
            self._printers[name] = self._stack.enter_context(open_printer(name, self._folder / f"card-{name}"))
        return self._printers[name]

    def box(self, way: str, printer_name: str) -> Box:
        """Return a fresh box on ``printer_name``, reached by ``way``: "in-process", "fuse2" or "fuse3"."""
        key = f"{way}-{printer_name}"
        mount = self._plots[key][1] if key in self._plots else None
        if key not in self._plots or (mount and not mount.is_alive):
            self._plots[key] = self._plot(way, printer_name)
        root, _, next_box = self._plots[key]
        return Box(root, self.printer(printer_name), next_box())

    def _plot(self, way: str, printer_name: str) -> tuple[Root, Mounted | None, Callable[[], str]]:
        self._count += 1
        printer = self.printer(printer_name)
        next_box = boxes(printer.root, f"{way}-{self._count}")
        folder = self._folder / f"{self._count}-{way}-{printer_name}"
        folder.mkdir()
        if way == "in-process":
            return self._stack.enter_context(in_process(printer, folder)), None, next_box
        mount = self._stack.enter_context(mounted(printer, folder / "mnt", way))
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


def _way(way: str, printer: str) -> object:
    return pytest.param((way, printer), id=f"{way} on {printer}")


@pytest.fixture(params=[_way(way, printer) for printer in PRINTERS for way in ("in-process", *BINDINGS)])
def box(request: pytest.FixtureRequest, farm: Farm) -> Box:
    """A fresh folder on the card, by every way to it."""
    return _box(request, farm)


@pytest.fixture(params=[_way(way, printer) for printer in PRINTERS for way in BINDINGS])
def mount_box(request: pytest.FixtureRequest, farm: Farm) -> Box:
    """A fresh folder on the card, by the mounts only: for what the kernel or a program adds."""
    return _box(request, farm)


def _box(request: pytest.FixtureRequest, farm: Farm) -> Box:
    way, printer = request.param
    need(*PRINTERS[printer], *([way] if way in BINDINGS else []))
    return farm.box(way, printer)


@pytest.fixture(params=BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    """The name of each FUSE binding."""
    need("vsftpd", request.param)
    return str(request.param)


@pytest.fixture
def vsftpd(farm: Farm) -> Printer:
    """The shared vsftpd, for tests that mount it themselves."""
    need("vsftpd")
    return farm.printer("vsftpd")


MountFresh = Callable[..., contextlib.AbstractContextManager[Box]]


@pytest.fixture
def mount_fresh(vsftpd: Printer, binding: str, tmp_path: Path) -> MountFresh:
    """Mount vsftpd for one test, on the same folder and cache each time it is called."""
    next_box = boxes(vsftpd.root, f"{binding}-{tmp_path.name}")
    folder = next_box()

    @contextlib.contextmanager
    def mount(*, options: tuple[str, ...] = (), arguments: tuple[str, ...] = ()) -> Iterator[Box]:
        with mounted(vsftpd, tmp_path / "mnt", binding, options=options, arguments=arguments) as live:
            yield Box(MountedRoot(live.path), vsftpd, folder)

    return mount
