"""A printer that is switched off, with the usual time-outs: packets vanish, nothing is refused."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.faults.programs import Ended, Program, run, succeed
from tests.faults.site import Address, Site
from tests.support import mounting
from tests.support.island import Island, island
from tests.support.mounting import Mounted, Target, mounted
from tests.support.needs import need
from tests.support.waiting import wait_until

CODE, SERIAL, PORT = "47281593", "01S00C000000001", 990
FIRST, AT_ONCE, BACK = 5.0, 1.0, 5.0
MARGIN = 2.0
"""Seconds for a busy machine, and for starting a program."""


@pytest.fixture
def net() -> Iterator[Island]:
    """A network of its own."""
    need("island")
    with island() as net:
        yield net


@contextlib.contextmanager
def printer_in(net: Island, model: str, folder: Path) -> Iterator[Address]:
    """A simulated printer inside, with a file in each of two folders."""
    for name in ("seen/a.3mf", "unseen/b.3mf"):
        (folder / "card" / name).parent.mkdir(parents=True)
        (folder / "card" / name).write_bytes(b"content of " + name.encode())
    code = folder / "code"
    code.write_text(CODE)
    code.chmod(0o600)
    words = ["simulate", "--model", model, "--card", str(folder / "card"), "--serial", SERIAL, "--ftps-port", str(PORT)]
    words += ["--access-code-file", str(code), "--mqtt-port", "8883", "--announce", "none"]
    printer = subprocess.Popen(
        net.command(sys.executable, "-m", "bambufs", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        listens = net.command("sh", "-c", f"grep -q ':{PORT:04X} .* 0A ' /proc/net/tcp")
        wait_until(lambda: subprocess.run(listens, check=False).returncode == 0, "the printer to listen", seconds=30)
        yield Address("127.0.0.1", PORT, CODE, SERIAL)
    finally:
        printer.terminate()
        printer.wait(10)


@contextlib.contextmanager
def mounted_in(net: Island, target: Target, point: Path, binding: str) -> Iterator[Mounted]:
    """As `mounted`, with the driver inside."""
    usual = mounting.mount_command

    def command(target: Target, mountpoint: Path, binding: str, options: Sequence[str] = ()) -> list[str]:
        return net.command(*usual(target, mountpoint, binding, options))

    mounting.mount_command = command
    try:
        with mounted(target, point, binding, arguments=("--ttl", "0.5")) as mount:
            yield mount
    finally:
        mounting.mount_command = usual


def _status(mount: Mounted) -> dict[str, object]:
    told: dict[str, object] = json.loads(succeed("cat", mount.path / ".bambufs/status.json"))["ftps"]
    return told


@pytest.mark.parametrize(("model", "binding"), [("x1c", "fuse3"), ("p1s", "fuse2")])
def test_a_printer_that_is_switched_off(net: Island, site: Site, model: str, binding: str) -> None:
    need(binding)
    with printer_in(net, model, site.folder) as there, mounted_in(net, there, site.point, binding) as mount:
        assert succeed("cat", mount.path / "seen/a.3mf") == "content of seen/a.3mf"
        succeed("ls", mount.path / "seen")
        assert _status(mount)["serving"] == "live"

        net.pull_the_cable()
        _assert_away(run("mkdir", mount.path / "new"), FIRST)
        for program in [Program("mkdir", mount.path / f"new {number}") for number in range(3)]:
            _assert_away(program.wait(), AT_ONCE)
        _assert_serves_what_it_knows(mount)
        _assert_away(run("cp", mount.path / "seen/a.3mf", mount.path / "seen/copy.3mf"), AT_ONCE)

        net.plug_it_in()
        began = time.monotonic()
        # Not the same folder: the first one may have been made meanwhile, with what the network brought late.
        wait_until(lambda: run("mkdir", mount.path / "back").code == 0, "the printer to be found again", seconds=20)
        assert time.monotonic() - began < BACK + MARGIN
        succeed("cp", mount.path / "seen/a.3mf", mount.path / "seen/copy.3mf")
        wait_until(lambda: _status(mount)["serving"] == "live", "the status to tell of it")
        assert (site.folder / "card/seen/copy.3mf").read_bytes() == b"content of seen/a.3mf"


def _assert_away(ended: Ended, seconds: float) -> None:
    assert "No route to host" in ended.err, ended
    assert ended.seconds < seconds + MARGIN, ended


def _assert_serves_what_it_knows(mount: Mounted) -> None:
    began = time.monotonic()
    assert succeed("ls", mount.path / "seen") == "a.3mf\n"
    assert succeed("cat", mount.path / "seen/a.3mf") == "content of seen/a.3mf"
    assert time.monotonic() - began < AT_ONCE + MARGIN
    told = _status(mount)
    assert told["connected"] is False
    assert str(told["serving"]).startswith("stale since 20")
    assert "switched on" in str(told["trouble"])
