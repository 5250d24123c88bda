"""`bambufs discover`."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs.cli import main
from tests.support.announcing import announced, udp_port

SERIAL = "01P00A000000001"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("bambufs.config.file.SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    return tmp_path


@pytest.fixture
def port() -> Iterator[int]:
    with udp_port() as port:
        yield port


@pytest.fixture
def printer(port: int) -> Iterator[None]:
    with announced(port, SERIAL, name="My printer"):
        yield


def discover(port: int, *arguments: str, timeout: str = "0.5") -> int:
    return main(["discover", "--port", str(port), "--timeout", timeout, *arguments])


@pytest.mark.usefixtures("printer")
def test_printer_is_shown(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert discover(port) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "MODEL", "SERIAL", "ADDRESS", "SIGNAL", "KNOWN", "AS"]
    assert row.split() == ["My", "printer", "P1S", SERIAL, "192.168.1.50", "-49", "dBm", "-", "(bambufs", "setup)"]


@pytest.mark.usefixtures("printer")
@pytest.mark.parametrize("line", [f'serial = "{SERIAL}"', 'address = "192.168.1.50"'])
def test_configured_printer_is_known_by_its_name(
    home: Path, port: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bambufs").mkdir()
    (home / "bambufs" / "config.toml").write_text(f"[printer.garage]\n{line}\n")
    assert discover(port, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)
    told = [found[key] for key in ("known_as", "certificate_remembered", "model", "address", "signal")]
    assert told == ["garage", False, "P1S", "192.168.1.50", -49]


@pytest.mark.usefixtures("printer")
@pytest.mark.parametrize("key", [SERIAL, "192.168.1.50:990"])
def test_remembered_printer_is_known_by_its_certificate(
    home: Path, port: int, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bambufs").mkdir()
    (home / "bambufs" / "trust.json").write_text(json.dumps({key: "AA"}))
    assert discover(port) == 0
    assert capsys.readouterr().out.rstrip().endswith("its certificate")


def test_nobody_ends_with_4(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert discover(port, "--json") == 4
    told = capsys.readouterr()
    assert json.loads(told.out) == []
    assert f"UDP port {port}" in told.err


def test_taken_port_is_told(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", port))
        assert discover(port) == 1
    assert "close Bambu Studio" in capsys.readouterr().err


@pytest.mark.parametrize("timeout", ["0", "nan", "1e9", "-1"])
def test_odd_timeout_is_told(port: int, timeout: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["discover", "--port", str(port), f"--timeout={timeout}"]) == 2
    assert "no number of seconds" in capsys.readouterr().err
