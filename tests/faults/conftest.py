"""Printers, mount points and content for the tests of faults; all of it goes away with the test."""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs import simulator
from tests.faults import programs
from tests.faults.site import BINDINGS, Site
from tests.support.needs import need
from tests.support.vsftpd import Vsftpd, vsftpd_printer

# Shorter than pytest's own limit, which cannot end a test that waits inside the kernel.
_STUCK_AFTER = 90.0

# Which combinations of two parameters are tried each time; the others wait for `make soak`.
_OFTEN: dict[tuple[str, str], set[tuple[object, object]]] = {
    ("model", "binding"): {("x1c", "fuse3"), ("p1s", "fuse2")},
    ("model", "printer"): {("x1c", "existing file"), ("p1s", "new file")},
    ("binding", "is_new"): {("fuse2", False), ("fuse3", True)},
    ("binding", "number"): {("fuse2", signal.SIGKILL), ("fuse3", signal.SIGINT)},
    ("binding", "order"): {("fuse2", None), ("fuse3", (0, 1)), ("fuse3", (1, 0))},
    ("binding", "size"): {("fuse2", 200_000), ("fuse3", 12_000_000)},
    ("binding", "end"): {
        ("fuse2", "SIGTERM"),
        *(("fuse3", end) for end in ("fusermount3 -u", "bambufs unmount", "umount -l")),
    },
}
# The heart of the matter: every signal on every binding, each time.
_ALWAYS = {"test_while_it_still_writes", "test_while_close_waits_for_the_upload"}

StartVsftpd = Callable[..., Vsftpd]
StartPrinter = Callable[..., simulator.Printer]
MakeFile = Callable[..., Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Try each model, binding and signal each time, but not each with every other."""
    for item in items:
        if isinstance(item, pytest.Function) and hasattr(item, "callspec") and _is_seldom(item):
            item.add_marker(pytest.mark.slow)


def _is_seldom(item: pytest.Function) -> bool:
    values = item.callspec.params
    return any(
        first in values and second in values and (values[first], values[second]) not in often
        for (first, second), often in _OFTEN.items()
        if not (second == "number" and item.originalname in _ALWAYS)
    )


@pytest.fixture(autouse=True)
def nothing_goes_on(tmp_path: Path) -> Iterator[None]:
    """End the programs that a test has left running, and free it when it hangs in one of its mounts."""
    programs.watch_over(tmp_path)
    watch = threading.Timer(_STUCK_AFTER, programs.free_everybody)
    watch.daemon = True
    watch.start()
    yield
    watch.cancel()
    watch.join()
    programs.end_all()


@pytest.fixture(params=BINDINGS)
def binding(request: pytest.FixtureRequest) -> str:
    """The name of each FUSE binding."""
    need(request.param)
    return str(request.param)


@pytest.fixture
def fuse3() -> str:
    """One binding, for what does not depend on it."""
    need("fuse3")
    return "fuse3"


@pytest.fixture
def start_vsftpd() -> Iterator[StartVsftpd]:
    """Starts Debian's vsftpd with the settings given."""
    need("vsftpd")
    with contextlib.ExitStack() as stack:
        yield lambda **settings: stack.enter_context(vsftpd_printer(**settings))


@pytest.fixture
def server(start_vsftpd: StartVsftpd) -> Vsftpd:
    """Debian's vsftpd with an empty card."""
    return start_vsftpd()


@pytest.fixture
def start_printer(tmp_path: Path) -> Iterator[StartPrinter]:
    """Starts a simulated printer: of which model, and with which quirks."""
    with contextlib.ExitStack() as stack:

        def start(model: str = "x1c", **quirks: bool | float | str) -> simulator.Printer:
            card = tmp_path / f"card-{model}"
            card.mkdir()
            return stack.enter_context(simulator.Printer(model=model, card=card, mqtt=False, quirks=quirks))

        yield start


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A mount point of the test's own."""
    site = Site(tmp_path)
    yield site
    programs.end_all()
    site.clear_away()


@pytest.fixture
def make_file(tmp_path: Path) -> MakeFile:
    """Makes a local file of so many random bytes, the same in every run."""

    def make(name: str, size: int) -> Path:
        file = tmp_path / "mine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(random.Random(name).randbytes(size))
        return file

    return make
