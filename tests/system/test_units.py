"""The systemd units: systemd understands them, and a mount lives with what they leave it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from bambufs import simulator
from bambufs.cli.unit import unit_text
from tests.support import careful, needs
from tests.support.mounting import mount_device
from tests.support.waiting import wait_until

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = [SYSTEMD / "bambufs@.service", SYSTEMD / "user/bambufs@.service"]


def settings(text: str) -> list[str]:
    """What a unit says, without comments and the command's path."""
    lines = [line for line in text.splitlines() if line and not line.startswith(("#", "Documentation"))]
    return [re.sub(r"^ExecStart=.*? mount ", "ExecStart=bambufs mount ", line) for line in lines]


@pytest.mark.parametrize("unit", UNITS, ids=["system", "user"])
def test_systemd_understands_the_unit(unit: Path, tmp_path: Path) -> None:
    needs.need("systemd-analyze")
    copy = tmp_path / "bambufs@garage.service"
    copy.write_text(unit.read_text().replace("/usr/bin/bambufs", "/bin/true"))

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )

    said = [line for line in done.stderr.splitlines() if "bambufs" in line]
    assert (done.returncode, said) == (0, [])


def test_setup_writes_the_same_unit_as_is_packaged() -> None:
    assert settings(unit_text()) == settings(UNITS[1].read_text())


@pytest.mark.parametrize(
    "hides",
    ["ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateMounts", "ProtectKernelTunables",
     "ProtectControlGroups", "ProtectProc", "DynamicUser", "ReadOnlyPaths", "ReadWritePaths", "MemoryDenyWriteExecute"],
)  # fmt: skip
@pytest.mark.parametrize("unit", UNITS, ids=["system", "user"])
def test_nothing_hides_the_mount(unit: Path, hides: str) -> None:
    assert not re.search(rf"^{hides}=", unit.read_text(), re.MULTILINE)


def test_mount_lives_with_the_rights_of_the_unit(tmp_path: Path) -> None:
    needs.need("fuse3", "setpriv")
    if os.geteuid() != 0:
        pytest.skip("only root can give rights away (try: sudo make test)")
    caps = re.search(r"^CapabilityBoundingSet=(.*)$", UNITS[0].read_text(), re.MULTILINE)
    assert caps is not None
    kept = ",".join("+" + name.removeprefix("CAP_").lower() for name in caps[1].split())
    simulator.make_card(tmp_path / "card")
    place = tmp_path / "mnt"
    place.mkdir()
    os.chown(place, 65534, 65534)  # the folder of somebody else
    with simulator.Printer(card=tmp_path / "card", mqtt=False) as printer:
        words = ["mount", printer.host, str(place), "--ftps-port", str(printer.ftps_port), "--mqtt-port", "9"]
        words += ["--cache-dir", str(tmp_path / "cache"), "-o", "allow_other", "--uid", "65534", "--foreground"]
        narrow = ["setpriv", "--pdeathsig", "TERM", f"--bounding-set=-all,{kept}", "--no-new-privs"]
        environment = os.environ | {"BAMBU_ACCESS_CODE": printer.access_code, "HOME": str(tmp_path)}
        process = subprocess.Popen([*narrow, *careful.program(), *words], env=environment)
        try:
            wait_until(lambda: process.poll() is not None or mount_device(place), "the mount", seconds=30)
            (place / "cache/new.bin").write_bytes(b"new")
            assert (tmp_path / "card/cache/new.bin").read_bytes() == b"new"
            assert (place / "cache/new.bin").stat().st_uid == 65534
        finally:
            process.terminate()
            process.wait(20)
    assert process.returncode == 0
    assert mount_device(place) == ""
