"""`bambufs setup`: by options alone, and by answers at a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bambufs.cli import main, unit
from bambufs.simulator import Printer
from tests.support import careful
from tests.support.announcing import announced, udp_port

CODE = "47281593"
SERIAL = "01P00A000000001"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without anything in it, and no terminal."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("bambufs.config.file.SYSTEM_FILE", tmp_path / "etc" / "config.toml")
    names = ("BAMBU_ACCESS_CODE", "BAMBU_IP", "BAMBU_DEVICE_ID", "CREDENTIALS_DIRECTORY", "XDG_CACHE_HOME")
    for name in ("XDG_CONFIG_HOME", *names):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return home


@pytest.fixture
def printer(tmp_path: Path) -> Iterator[Printer]:
    (tmp_path / "card").mkdir()
    with Printer(model="p1s", card=tmp_path / "card", serial=SERIAL, access_code=CODE, mqtt=False) as printer:
        yield printer


@pytest.fixture
def udp() -> Iterator[int]:
    with udp_port() as port:
        yield port


@pytest.fixture
def is_announced(printer: Printer, udp: int) -> Iterator[None]:
    with announced(udp, SERIAL, address=printer.host):
        yield


@pytest.fixture
def code(tmp_path: Path) -> Path:
    file = tmp_path / "code"
    file.write_text(CODE)
    file.chmod(0o600)
    return file


Setup = Callable[..., int]


@pytest.fixture
def setup(printer: Printer, udp: int) -> Setup:
    fixed = ["setup", "--ftps-port", str(printer.ftps_port), "--port", str(udp), "--timeout", "0.3"]
    return lambda *arguments: main([*fixed, *map(str, arguments)])


def written(home: Path) -> dict[str, Any]:
    """What stands in the file, which is ours alone."""
    path = home / ".config" / "bambufs" / "config.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    return dict(tomllib.loads(path.read_text())["printer"])


# --- by options -----------------------------------------------------------------------------------------


def test_options_are_enough(home: Path, printer: Printer, setup: Setup, code: Path) -> None:
    given = ["--printer", printer.host, "--name", "garage", "--mountpoint", home / "p", "--access-code-file", code]
    assert setup(*given, "--no-enable") == 0
    assert written(home) == {
        "garage": {
            "address": printer.host,
            "serial": SERIAL,
            "access_code_file": str(code),
            "mountpoint": "~/p",
            "ftps_port": printer.ftps_port,
        }
    }
    assert (home / "p").is_dir()


@pytest.mark.usefixtures("is_announced")
def test_yes_takes_the_only_printer_and_what_is_suggested(home: Path, setup: Setup, code: Path) -> None:
    assert setup("--yes", "--access-code-file", code) == 0
    assert written(home)["p1s"]["mountpoint"] == "~/printer"


def test_printer_can_be_named_by_its_serial(home: Path, is_announced: None, setup: Setup, code: Path) -> None:
    assert setup("--printer", SERIAL, "--access-code-file", code) == 0
    assert written(home)["p1s"]["serial"] == SERIAL


def test_code_of_the_environment_is_kept_in_the_file(
    home: Path, printer: Printer, setup: Setup, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAMBU_ACCESS_CODE", CODE)
    assert setup("--printer", printer.host) == 0
    assert written(home)["p1s"]["access_code"] == CODE
    shown = capsys.readouterr()
    assert CODE not in shown.out + shown.err


def test_certificate_is_remembered(home: Path, printer: Printer, setup: Setup, code: Path) -> None:
    setup("--printer", printer.host, "--access-code-file", code)
    assert list(json.loads((home / ".cache" / "bambufs" / "trust.json").read_text())) == [SERIAL]
    printer.renew_certificate()
    assert setup("--printer", printer.host, "--access-code-file", code) == 7


def test_second_printer_gets_another_name_and_folder(
    home: Path, printer: Printer, setup: Setup, code: Path
) -> None:
    path = home / ".config" / "bambufs" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[printer.p1s]\naddress = "10.0.0.1"\nmountpoint = "~/printer"\n')
    assert setup("--printer", printer.host, "--access-code-file", code) == 0
    assert written(home)["p1s-2"]["mountpoint"] == "~/p1s-2"


def test_known_printer_is_set_up_anew_under_its_name(
    home: Path, printer: Printer, setup: Setup, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the access code has changed."""
    setup("--printer", printer.host, "--name", "garage", "--access-code-file", code)
    printer.access_code = "87654321"
    monkeypatch.setenv("BAMBU_ACCESS_CODE", "87654321")
    assert setup("--printer", "garage") == 0
    (garage,) = written(home).values()
    assert ("access_code_file" in garage, garage["access_code"]) == (False, "87654321")


def test_wrong_code_writes_nothing(home: Path, printer: Printer, setup: Setup, code: Path) -> None:
    printer.access_code = "other"
    assert setup("--printer", printer.host, "--access-code-file", code) == 3
    assert not (home / ".config").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ([], 2, "say which printer: --printer ADDRESS"),
        (["--yes"], 4, "no printer announced itself"),
        (["--printer", SERIAL], 4, "no printer announced itself"),
        (["--printer", "HOST"], 2, "name a file that holds the access code"),
        (["--printer", "HOST", "--access-code-file", "CODE", "--name", "my garage"], 2, "is no name for a printer"),
        (["--printer", "HOST", "--access-code-file", "CODE", "--mountpoint", "FULL"], 5, "is not empty"),
        (["--printer", "HOST", "--access-code-file", "CODE", "--mountpoint", "CODE"], 5, "is no folder"),
        (["--printer", "HOST", "--access-code-file", "CODE", "--serial", "01P00A000000009"], 7, "has the serial"),
        (["--printer", "a b", "--access-code-file", "CODE"], 2, "is no address"),
        (["--printer", "HOST", "--access-code-file", "CODE", "--name", "other"], 2, "the name of another printer"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: list[str],
    exit_code: int,
    told: str,
    home: Path,
    printer: Printer,
    setup: Setup,
    code: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (home / "full").mkdir()
    (home / "full" / "x").write_text("")
    path = home / ".config" / "bambufs" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('[printer.other]\naddress = "10.0.0.1"\n')
    places = {"HOST": printer.host, "CODE": str(code), "FULL": str(home / "full")}

    assert setup(*(places.get(word, word) for word in arguments)) == exit_code

    assert told in capsys.readouterr().err
    assert path.read_text() == '[printer.other]\naddress = "10.0.0.1"\n'


def test_keyring_keeps_the_code_instead_of_the_file(
    home: Path, printer: Printer, setup: Setup, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, str] = {}
    monkeypatch.setattr("bambufs.cli.setup.keep_in_keyring", kept.__setitem__)
    assert setup("--printer", printer.host, "--name", "garage", "--access-code-file", code, "--keyring") == 0
    assert kept == {"garage": CODE}
    ways = {key: value for key, value in written(home)["garage"].items() if key.startswith("access_code")}
    assert ways == {"access_code_keyring": True}


def test_enabling_installs_and_enables_the_unit(
    home: Path, printer: Printer, setup: Setup, code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enabled: list[str] = []
    monkeypatch.setattr(unit, "_SYSTEM_FOLDERS", ())
    monkeypatch.setattr(unit, "enable", enabled.append)
    given = ["--printer", printer.host, "--name", "garage", "--access-code-file", code]
    assert setup(*given) == 0
    assert (enabled, (home / ".config" / "systemd").exists()) == ([], False), "only on a yes"
    assert setup(*given, "--enable") == 0
    assert (enabled, (home / ".config/systemd/user/bambufs@.service").exists()) == (["garage"], True)


# --- at a terminal --------------------------------------------------------------------------------------


class Terminal:
    """`bambufs setup` at a terminal of its own."""

    def __init__(self, home: Path, printer: Printer, udp: int) -> None:
        ports = ["--ftps-port", str(printer.ftps_port), "--port", str(udp), "--timeout", "1"]
        self.shown, self._seen = "", 0
        master, slave = pty.openpty()
        self._process = subprocess.Popen(
            [*careful.program(), "setup", *ports],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "HOME": str(home)},
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self._master = master

    def expect(self, text: str, seconds: float = 30.0) -> None:
        """Wait until ``text`` is shown, after what was expected before."""
        deadline = time.monotonic() + seconds
        while (at := self.shown.find(text, self._seen)) < 0:
            ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"waited in vain for {text!r}; shown was:\n{self.shown}"
            self.shown += os.read(self._master, 4096).decode()
        self._seen = at + len(text)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def close(self) -> int:
        """Read the rest; the exit code."""
        try:
            while data := os.read(self._master, 4096):
                self.shown += data.decode()
        except OSError:  # how a terminal says that its other end is closed
            pass
        os.close(self._master)
        return self._process.wait(30)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.usefixtures("is_announced")
def test_questions_lead_to_the_same(home: Path, printer: Printer, udp: int) -> None:
    terminal = Terminal(home, printer, udp)
    terminal.expect("1  Garage: P1S")
    terminal.expect("Which one?")
    terminal.type("7\n")
    terminal.expect("there is no number 7")
    terminal.type("\n")
    terminal.expect("Access code")
    terminal.type("wrong\n")
    terminal.expect("refuses that access code")
    terminal.expect("Access code")
    terminal.type(f"{CODE}\n")
    terminal.expect("What shall it be called?")
    terminal.type("garage\n")
    terminal.expect("On which folder")
    terminal.type("\n")
    terminal.expect("whenever you log in? [y/N]")
    terminal.type("\n")
    terminal.expect("mounted now? [Y/n]")
    terminal.type("n\n")
    assert terminal.close() == 0
    assert CODE not in terminal.shown
    garage = written(home)["garage"]
    assert (garage["access_code"], garage["mountpoint"], garage["serial"]) == (CODE, "~/printer", SERIAL)


def test_address_is_asked_for_when_nobody_is_heard(home: Path, printer: Printer, udp: int) -> None:
    terminal = Terminal(home, printer, udp)
    terminal.expect("No printer announced itself")
    terminal.expect("Its address:")
    terminal.type("http://printer\n")
    terminal.expect("that is no address")
    terminal.type(f"{printer.host}\n")
    terminal.expect("Access code")
    terminal.type(f"{CODE}\n")
    terminal.expect("lets us in")
    terminal.type("\x04")
    assert terminal.close() == 130
    assert not (home / ".config").exists()


@pytest.mark.usefixtures("is_announced")
def test_ctrl_c_leaves_nothing(home: Path, printer: Printer, udp: int) -> None:
    terminal = Terminal(home, printer, udp)
    terminal.expect("Which one?")
    terminal.type("\n")
    terminal.expect("Access code")
    terminal.type("\x03")
    assert terminal.close() == 130
    assert "Traceback" not in terminal.shown
    assert not (home / ".config").exists()
