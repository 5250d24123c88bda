"""A real mount of a printer that has lost its mind: every program comes back, and the driver lives and tells no
tracebacks; and when the printer is sane again, so is the mount."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from bambufs.simulator import Printer
from bambufs.simulator.hostile import KINDS
from tests.faults import programs
from tests.faults.programs import run, succeed
from tests.faults.site import impatient_mount
from tests.hostile.world import MOST_GROWTH, PATIENCE, Clockwork, check_json, resident, soak_seconds
from tests.support.mounting import Mounted
from tests.support.needs import need
from tests.support.waiting import wait_until

CONTENT = random.Random(7).randbytes(100_000)
ROUND = 5
COMMANDS = ("ls -la {0}", "ls -R {0}", "cat {0}/x.bin", "tail -c 100 {0}/x.bin", "cp {1} {0}/cache/new.bin",
          "mv {0}/cache/new.bin {0}/cache/moved.bin", "rm {0}/cache/moved.bin", "mkdir {0}/cache/folder",
          "rmdir {0}/cache/folder", "touch {0}/x.bin", "df {0}", "find {0} -maxdepth 3", "cat {0}/.bambufs/transfers",
          "echo cache/x.3mf > {0}/.bambufs/print", "cat {0}/.bambufs/print", "cat {0}/.bambufs/job")  # fmt: skip

kinds = some.sampled_from(["listings", "reports+listings", "all", "listings+content", *KINDS])
commands = some.lists(some.sampled_from(COMMANDS), min_size=2, max_size=5)


@dataclass(frozen=True)
class Place:
    """Where the printer is."""

    host: str
    port: int
    mqtt_port: int
    access_code: str
    serial: str


@dataclass(frozen=True)
class Stage:
    """A printer, its mount, and a file to send."""

    printer: Printer
    mount: Mounted
    source: Path


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[[str, str], Stage]]:
    """Mounts a simulated printer of a model by a binding."""
    (tmp_path / "outside").write_bytes(b"not to be touched")
    (tmp_path / "source").write_bytes(CONTENT)
    (tmp_path / "card/cache").mkdir(parents=True)
    programs.watch_over(tmp_path)
    with contextlib.ExitStack() as stack:

        def make(model: str, binding: str) -> Stage:
            need(binding)
            printer = stack.enter_context(Printer(model=model, card=tmp_path / "card", report_interval=0.1))
            place = Place(printer.host, printer.ftps_port, printer.mqtt_port, printer.access_code, printer.serial)
            mount = stack.enter_context(impatient_mount(place, tmp_path / "mnt", binding))
            return Stage(printer, mount, tmp_path / "source")

        yield make
    programs.end_all()
    names = {"outside", "source", "card", "mnt", "mnt-home"}
    assert {place.name for place in tmp_path.iterdir()} == names
    assert (tmp_path / "outside").read_bytes() == b"not to be touched"


def live_through(stage: Stage, kinds: str, seed: int, commands: list[str]) -> None:
    """Some programs at work in the mount of a hostile printer, and then in that of a sane one."""
    printer, point = stage.printer, stage.mount.path
    (printer.card / "x.bin").write_bytes(CONTENT)
    printer.be_hostile(kinds, share=0.5, seed=seed)
    try:
        for command in (COMMANDS[0], *commands):
            run("sh", "-c", command.format(point, stage.source), seconds=PATIENCE + 10)
        check_json(run("cat", point / ".bambufs/status.json").out.encode())
    finally:
        printer.be_hostile("")
    assert stage.mount.is_alive
    wait_until(lambda: _is_well(stage), "the mount to be well again", seconds=40)


def _is_well(stage: Stage) -> bool:
    """Whether a file comes back as it is, and one that is sent arrives."""
    name = "after.bin"
    succeed("sh", "-c", f"echo > {stage.mount.path}/.bambufs/refresh")
    copied = run("cp", stage.source, stage.mount.path / name, seconds=60)
    compared = run("cmp", stage.mount.path / name, stage.source, seconds=60)
    return copied.code == compared.code == 0 and (stage.printer.card / name).read_bytes() == CONTENT


def fuzz(stage: Stage, seconds: float) -> None:
    clockwork, memory = Clockwork(seconds), resident(stage.mount.process.pid)

    @given(kinds, some.integers(0, 1 << 30), commands)
    @settings(max_examples=ROUND, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def examine(kinds: str, seed: int, commands: list[str]) -> None:
        with clockwork.example() as has_time:
            if has_time:
                live_through(stage, kinds, seed, commands)

    while clockwork.has_time:
        examine()
    assert clockwork.examples > 0
    assert resident(stage.mount.process.pid) - memory < MOST_GROWTH // 2
    assert "Traceback" not in stage.mount.log
    odd = [line.partition(" WARNING ")[2] for line in stage.mount.log.splitlines() if "cannot be shown" in line]
    assert len(odd) == len(set(odd))


def test_a_hostile_printer_cannot_break_its_mount(stage: Callable[[str, str], Stage]) -> None:
    fuzz(stage("x1c", "fuse3"), 8.0)


BAD = (b"with/slash", b"../../etc/passwd", b"with\rreturn", b"with\0nul", b"m" * 1025, b"n" * 65536)
"""Names that no folder can hold; each of the last two alone fails the whole folder in the kernel."""


@pytest.mark.parametrize("binding", [pytest.param("fuse2", marks=pytest.mark.slow), "fuse3"])
def test_names_that_cannot_be_shown_hide_no_others(stage: Callable[[str, str], Stage], binding: str) -> None:
    now = stage("p1s", binding)
    lines = b"".join(b"-rw-rw-rw-   1 root  root        7 Jun 13  2025 " + name + b"\r\n" for name in BAD)
    (now.printer.card / "good.3mf").write_bytes(b"good")
    now.printer.tamper("LIST", data=lambda honest: lines + honest + b"\xff\0\xfe\r\n" * 3)
    for _ in range(2):
        succeed("sh", "-c", f"echo > {now.mount.path}/.bambufs/refresh")
        assert succeed("ls", now.mount.path) == "cache\ngood.3mf\n"
    assert succeed("cat", now.mount.path / "good.3mf") == "good"
    assert now.mount.log.count("something that cannot be shown") == len(BAD) + 1


@pytest.mark.slow
@pytest.mark.parametrize(("model", "binding"), [("x1c", "fuse2"), ("p1s", "fuse3"), ("p1s", "fuse2")])
def test_a_hostile_printer_cannot_break_its_mount_for_long(
    stage: Callable[[str, str], Stage], model: str, binding: str
) -> None:
    fuzz(stage(model, binding), soak_seconds())
