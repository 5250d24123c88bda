"""The units under a real systemd: started, seen to be ready, killed, restarted, stopped, and refused."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bambufs import simulator
from tests.support import careful, needs, systemd

TREE = Path(__file__).parents[2]
SYSTEM, USER = TREE / "systemd/bambufs@.service", TREE / "systemd/user/bambufs@.service"


@dataclass
class Home:
    """Somebody's home with a configured printer, and the units."""

    folder: Path
    printer: simulator.Printer

    def install(self, unit: Path) -> None:
        """Install ``unit`` as it is but for where things lie on this machine, and with no wait before a restart."""
        text = unit.read_text().replace("/usr/bin/bambufs", " ".join(careful.program()))
        text = text.replace("/etc/bambufs/%i.code", f"{self.folder}/%i.code").replace("RestartSec=30", "RestartSec=0")
        own = [f"Environment=PYTHONPATH={TREE}", f"StandardError=append:{self.folder}/said"]
        text = text.replace("[Service]", "\n".join(["[Service]", *own]), 1)
        place = self.folder / ".config/systemd/user/bambufs@.service"
        place.parent.mkdir(parents=True)
        place.write_text(text)

    def configure(self, *lines: str) -> None:
        """Write config.toml."""
        file = self.folder / ".config/bambufs/config.toml"
        file.parent.mkdir(parents=True)
        address = [f'address = "{self.printer.host}"', f"ftps_port = {self.printer.ftps_port}", "mqtt_port = 9"]
        mountpoint = f'mountpoint = "{self.folder}/mnt"'
        file.write_text("\n".join(["[printer.garage]", *address, mountpoint, *lines]))
        file.chmod(0o600)

    def run(self, lines: str) -> list[str]:
        """Run shell lines beside systemd; they must end well. Returns what they say."""
        done = systemd.run(lines, self.folder)
        said = self.folder / "said"
        assert done.returncode == 0, done.stdout + done.stderr + (said.read_text() if said.exists() else "")
        return done.stdout.split()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    needs.need("fuse3", "unshare")
    if reason := systemd.missing():
        pytest.skip(reason)
    simulator.make_card(tmp_path / "card")
    (tmp_path / "mnt").mkdir()
    with simulator.Printer(card=tmp_path / "card", mqtt=False) as printer:
        yield Home(tmp_path, printer)


_START = """
show() { systemctl --user show -P "$1" bambufs@garage; }
mounted() { grep -c " $PWD/mnt fuse.bambufs " /proc/self/mounts || true; }
"""


def with_code_in_file(home: Home) -> None:
    home.configure(f'access_code = "{home.printer.access_code}"')


def with_credential(home: Home) -> None:
    home.configure("uid = 1234")
    (home.folder / "garage.code").write_text(home.printer.access_code)


@pytest.mark.parametrize(
    ("unit", "configure", "uid", "hardened"),
    [(USER, with_code_in_file, os.getuid(), ["0", "0"]), (SYSTEM, with_credential, 1234, ["1", "2"])],
    ids=["user", "system"],
)  # fmt: skip
def test_service_lives(
    home: Home, unit: Path, configure: Callable[[Home], None], uid: int, hardened: list[str]
) -> None:
    home.install(unit)
    configure(home)
    said = home.run(
        _START
        + """
        systemctl --user start bambufs@garage
        show ActiveState; mounted; stat -c %u mnt/cache
        awk '/^(NoNewPrivs|Seccomp):/ {print $2}' /proc/$(show MainPID)/status
        cp card/verify_job mnt/cache/first
        kill -9 $(show MainPID)
        until [ "$(show NRestarts)" = 1 ] && [ "$(show ActiveState)" = active ]; do sleep 0.1; done
        show NRestarts; mounted
        cp card/verify_job mnt/cache/second
        systemctl --user stop bambufs@garage
        show ActiveState; show Result; mounted
        """
    )
    assert said == ["active", "1", str(uid), *hardened, "1", "1", "inactive", "success", "0"]
    assert {"first", "second"} <= set(os.listdir(home.folder / "card/cache"))


def test_wrong_code_is_not_tried_again(home: Home) -> None:
    home.install(USER)
    home.configure('access_code = "87654321"')
    lines = "systemctl --user start bambufs@garage && exit 1\nshow ExecMainStatus; show NRestarts; show ActiveState"
    said = home.run(_START + lines)
    assert said == ["3", "0", "failed"]
