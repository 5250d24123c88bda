"""A new user's first minutes, by the commands that they type: discover, setup, check, mount, copy, unmount."""

from __future__ import annotations

import filecmp
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs.simulator import Printer, make_card
from tests.support import careful
from tests.support.mounting import mount_device
from tests.support.needs import need

CODE = "47281593"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture(params=["x1c", "p1s"])
def printer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Printer]:
    need("fuse3")
    make_card(tmp_path / "card")
    with Printer(model=request.param, card=tmp_path / "card", access_code=CODE, report_interval=0.1) as printer:
        yield printer


def bambufs(home: Path, *arguments: str, **environment: str) -> str:
    """What `bambufs` says, in that home."""
    mine = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "BAMBU_"))}
    done = subprocess.run(
        [*careful.program(), *arguments],
        env={**mine, "HOME": str(home), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert CODE not in done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_printer_is_set_up_mounted_used_and_unmounted_by_its_name(home: Path, printer: Printer) -> None:
    ports = ["--ftps-port", str(printer.ftps_port), "--mqtt-port", str(printer.mqtt_port)]
    bambufs(home, "setup", "--printer", printer.host, "--name", "garage", *ports, BAMBU_ACCESS_CODE=CODE)
    assert "All is well" in bambufs(home, "check", "garage")
    place = home / "printer"
    try:
        bambufs(home, "mount", "garage")
        assert (place / "cache").is_dir()
        (home / "bracket.gcode.3mf").write_bytes(os.urandom(300_000))
        subprocess.run(["cp", home / "bracket.gcode.3mf", place / "cache"], check=True, timeout=60)
        bambufs(home, "unmount", "garage")
    finally:
        if mount_device(place):
            subprocess.run(["umount", "-l", place], check=False)
    assert filecmp.cmp(home / "bracket.gcode.3mf", printer.card / "cache" / "bracket.gcode.3mf", shallow=False)
