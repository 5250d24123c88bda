"""`bambufs check`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.cli import main
from bambufs.cli.check import _mounted_on
from bambufs.config import Config
from bambufs.simulator import Printer, make_card
from tests.support import careful

CODE = "47281593"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("BAMBU_ACCESS_CODE", CODE)
    monkeypatch.setattr("bambufs.config.file.SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    monkeypatch.setattr("bambufs.cli.check.log_quietly", lambda args, config: None)
    # What others have mounted on this computer is none of these tests' business, and may be frozen.
    monkeypatch.setattr("bambufs.doctor.machine.mounted_places", lambda mounts=None: [])
    monkeypatch.setattr("bambufs.cli.check.mounted_places", list)
    return tmp_path


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[Printer]:
    make_card(tmp_path / "card")
    with Printer(card=tmp_path / "card", access_code=CODE, report_interval=0.1) as printer:
        yield printer


Check = Callable[..., int]


@pytest.fixture
def check(printer: Printer) -> Check:
    ports = ["--ftps-port", str(printer.ftps_port), "--mqtt-port", str(printer.mqtt_port)]
    return lambda *arguments: main(["check", printer.host, *ports, *arguments])


def test_good_printer_has_no_crosses(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert check() == 0
    shown = capsys.readouterr().out
    assert ("✗" in shown, "  ✓ login: the printer lets us in" in shown.splitlines()) == (False, True)
    assert CODE not in shown


def test_wrong_code_ends_with_3(printer: Printer, check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    printer.access_code = "other"
    assert check() == 3
    told = capsys.readouterr()
    assert "  ✗ login: the printer refuses the access code" in told.out.splitlines()
    assert "1 thing is wrong (✗)" in told.out
    assert CODE not in told.out + told.err


def test_json_tells_the_same(check: Check, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("--json", "--no-write") == 0
    told = json.loads(capsys.readouterr().out)
    verdicts = {finding["step"]: finding["verdict"] for finding in told["findings"]}
    assert (told["exit_code"], verdicts["login"], verdicts["writing"]) == (0, "good", "skipped")


def test_this_computer_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    main(["check", "--cache-dir", str(tmp_path / "cache")])
    shown = capsys.readouterr().out
    assert ("This computer" in shown, "The printer" in shown) == (True, False)


@pytest.mark.parametrize(
    ("usual", "found"), [("/home/me/b", "/home/me/b"), ("/home/me/x", "/home/me/a"), (None, "/home/me/a")]
)
def test_own_mount_is_found(usual: str | None, found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    table = [("bambufs:10.0.0.2", "/c"), ("bambufs:10.0.0.1", "/home/me/a"), ("bambufs:10.0.0.1", "/home/me/b")]
    monkeypatch.setattr("bambufs.cli.check.mounted_places", lambda: [(what, Path(place)) for what, place in table])
    usually = Path(usual) if usual else None
    assert _mounted_on(Config("10.0.0.1", CODE), usually) == Path(found)
    is_there = found == usual
    assert _mounted_on(Config("10.0.0.1", CODE, ftps_port=9990), usually) == (Path(found) if is_there else None)


def test_configured_printer_is_checked_with_its_mount_point(
    home: Path, printer: Printer, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "bambufs").mkdir()
    lines = [f'address = "{printer.host}"', f"ftps_port = {printer.ftps_port}", f"mqtt_port = {printer.mqtt_port}"]
    text = "\n".join(["[printer.garage]", *lines, 'mountpoint = "missing"', "read_only = true"])
    (home / "bambufs" / "config.toml").write_text(text)
    assert main(["check", "garage"]) == 5
    shown = capsys.readouterr().out
    assert f"The printer garage at {printer.host}" in shown
    assert f"the folder {home}/bambufs/missing does not exist" in shown
    assert "- writing: not tried" in shown


def test_terminal_without_ticks_is_no_trouble(home: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [*careful.program(), "check", "--cache-dir", str(home / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert "Traceback" not in done.stderr
    assert "  ? FUSE: " in done.stdout
