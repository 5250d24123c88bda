"""`bambufs config`, and names of printers where a command wants one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bambufs.cli import main
from bambufs.simulator import Printer

CODE = "47281593"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("bambufs.config.file.SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    names = ("BAMBU_ACCESS_CODE", "BAMBU_IP", "BAMBU_DEVICE_ID", "CREDENTIALS_DIRECTORY", "XDG_CACHE_HOME")
    for name in ("XDG_CONFIG_HOME", *names):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(home: Path, text: str, mode: int = 0o600) -> Path:
    path = home / ".config" / "bambufs" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def file(home: Path) -> Path:
    (home / "garage").mkdir()
    lines = ["[defaults]", "ttl = 2", "[printer.garage]", 'address = "192.168.1.50"', f'access_code = "{CODE}"']
    return write(home, "\n".join([*lines, 'mountpoint = "~/garage"', 'umask = "077"']))


def told(capsys: pytest.CaptureFixture[str]) -> str:
    shown = capsys.readouterr()
    assert CODE not in shown.out + shown.err
    return shown.out + shown.err


def test_show_tells_who_said_what(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "garage"]) == 0
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in told(capsys).splitlines()[1:]}
    assert rows["ttl"] == ["2", f"{file}, line 2, ttl in [defaults]"]
    assert rows["umask"] == ["077", f"{file}, line 7, umask in [printer.garage]"]
    assert rows["card_size"] == ["32G", "built in"]
    assert "(not shown)" in " ".join(rows["access_code"])


def test_show_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--json"]) == 0
    (garage,) = json.loads(told(capsys))
    assert garage["name"] == "garage"
    assert garage["settings"]["ttl"] == {"value": 2, "origin": f"{file}, line 2, ttl in [defaults]"}
    assert garage["settings"]["access_code"]["origin"] == f"{file}, line 5, access_code in [printer.garage]"


def test_show_without_a_file_names_setup(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show"]) == 2
    assert "bambufs setup" in told(capsys)


def test_check_of_a_good_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check"]) == 0
    assert told(capsys).splitlines()[0] == f"✓ {file} is in good form"


def test_check_tells_everything_that_is_wrong(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, '[defaults]\ntll = 1\n[printer.a]\naddress = 5\n[printer.b]\nread_only = "no"\n')
    assert main(["config", "check"]) == 2
    shown = told(capsys)
    wrong = ("tll in [defaults]", "address in [printer.a]", "read_only in [printer.b]")
    assert [word for word in wrong if word not in shown] == []
    assert shown.count("✗") == 3


def test_check_tells_a_code_that_others_can_read(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o644)
    assert main(["config", "check", "--json"]) == 2
    (verdict,) = json.loads(told(capsys))
    assert f"chmod 600 {file}" in verdict["trouble"]


def test_check_tells_a_missing_folder_and_a_missing_code(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(home, f'[printer.a]\naddress = "a"\naccess_code = "{CODE}"\nmountpoint = "x"\n[printer.b]\naddress = "b"\n')
    assert main(["config", "check"]) == 2
    shown = told(capsys)
    assert "a: its folder" in shown
    assert "b: there is no access code" in shown


def test_check_of_a_stranger(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", "attic"]) == 2
    assert "there are: garage" in told(capsys)


def test_example_can_be_used_as_it_is(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example"]) == 0
    text = capsys.readouterr().out
    write(home, text + 'address = "192.168.1.51"\n', 0o644)
    assert main(["config", "show", "attic"]) == 0


# --- names in other commands --------------------------------------------------------------------------


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[Printer]:
    (tmp_path / "card").mkdir()
    with Printer(card=tmp_path / "card", access_code=CODE) as printer:
        yield printer


def test_name_is_enough_for_a_command(
    home: Path, printer: Printer, capsys: pytest.CaptureFixture[str]
) -> None:
    ports = f"ftps_port = {printer.ftps_port}\nmqtt_port = {printer.mqtt_port}\n"
    write(home, f'[printer.bench]\naddress = "{printer.host}"\naccess_code = "{CODE}"\n{ports}')
    assert main(["status", "bench", "--json"]) == 0
    assert json.loads(told(capsys))["printer"]["serial"] == printer.serial


def test_name_that_is_not_in_the_file_is_told(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mount", "garge"]) == 2
    assert "bambufs: garge is not in config.toml, and there is no access code" in told(capsys)


def test_mount_without_a_folder_tells_where_to_name_it(
    home: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text().replace("mountpoint", "# mountpoint"))
    assert main(["mount", "garage"]) == 2
    assert "on which folder? Write it behind the printer: bambufs mount garage" in told(capsys)


def test_mount_tells_what_is_wrong_in_the_file(
    home: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(file.read_text().replace("ttl = 2", "ttl = -2"))
    assert main(["mount", "garage"]) == 2
    assert f"bambufs: {file}, line 2, ttl in [defaults]: " in told(capsys)


def test_unmount_takes_the_name(home: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["unmount", "garage"]) == 5
    assert f"no printer is mounted on {home}/garage" in told(capsys)


def test_a_mount_does_not_load_what_only_setup_needs(file: Path) -> None:
    program = "import sys; from bambufs.cli import main; main(['mount', 'x']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "'bambufs.config.resolve'" in done.stdout
    assert [name for name in ("tomlkit", "keyring", "rich") if f"'{name}'" in done.stdout] == []
