"""The systemd unit for a mount at login."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bambufs.cli import unit
from bambufs.errors import UsageError
from tests.support.needs import need


@pytest.fixture(autouse=True)
def no_units_of_the_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unit, "_SYSTEM_FOLDERS", ())


def test_unit_is_written_where_systemd_looks(tmp_path: Path) -> None:
    path = unit.install({"XDG_CONFIG_HOME": str(tmp_path)})
    assert path == tmp_path / "systemd" / "user" / "bambufs@.service"
    assert "mount %i --foreground -o retry" in path.read_text()


def test_unit_of_a_package_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bambufs@.service").write_text("")
    monkeypatch.setattr(unit, "_SYSTEM_FOLDERS", (str(tmp_path),))
    assert unit.install({"XDG_CONFIG_HOME": str(tmp_path / "own")}) == tmp_path / "bambufs@.service"
    assert not (tmp_path / "own").exists()


def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    need("systemd-analyze")
    (tmp_path / "bambufs@garage.service").write_text(unit.unit_text())
    command = ["systemd-analyze", "verify", "--user", "--man=no", str(tmp_path / "bambufs@garage.service")]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, [line for line in done.stderr.splitlines() if "bambufs" in line]) == (0, [])


def test_unit_is_that_of_the_packages_but_for_the_program() -> None:
    packaged = Path(unit.__file__).parents[2] / "systemd" / "user" / "bambufs@.service"
    own, theirs = _directives(unit.unit_text()), _directives(packaged.read_text())
    differing = {key for key in own.keys() | theirs.keys() if own.get(key) != theirs.get(key)}
    assert differing == {"ExecStart", "Documentation"}
    assert own["ExecStart"].endswith(theirs["ExecStart"].removeprefix("/usr/bin/bambufs"))


def _directives(text: str) -> dict[str, str]:
    lines = [line for line in text.splitlines() if "=" in line and not line.startswith("#")]
    return {key: value for key, _, value in (line.partition("=") for line in lines)}


def test_program_with_a_blank_in_its_path_is_quoted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "my 100% programs" / "bambufs"
    program.parent.mkdir()
    program.write_text("")
    monkeypatch.setattr(sys, "argv", [str(program)])
    assert f'ExecStart="{str(program).replace("%", "%%")}" mount %i' in unit.unit_text()


def fake_systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str = "") -> Path:
    """A systemctl that notes what it is asked, and fails at the word ``fails``."""
    log, program = tmp_path / "asked", tmp_path / "systemctl"
    refusal = f'case "$*" in *{fails or "never"}*) echo "No bus" >&2; exit 1;; esac'
    program.write_text(f'#!/bin/sh\necho "$@" >> {log}\n{refusal}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return log


def test_enabling_asks_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = fake_systemctl(tmp_path, monkeypatch)
    unit.enable("garage")
    assert log.read_text().splitlines() == [
        "--user daemon-reload",
        "--user enable bambufs@garage.service",
        "--user restart --no-block bambufs@garage.service",
    ]


def test_systemd_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_systemctl(tmp_path, monkeypatch, fails="enable")
    with pytest.raises(UsageError, match=r"\(No bus\).*systemctl --user enable --now bambufs@garage"):
        unit.enable("garage")


def test_computer_without_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="has no systemd"):
        unit.enable("garage")
