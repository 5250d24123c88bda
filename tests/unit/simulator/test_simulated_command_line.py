"""`bambufs simulate`: quirks as typed, announcements, and a clean end."""

from __future__ import annotations

import argparse
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bambufs.simulator import MODELS, TABLE, Printer, Quirks, parse_setting
from bambufs.simulator.announcer import Announcer, announcement
from bambufs.simulator.cli import add_arguments, run
from tests.unit.simulator.plain_client import PlainClient
from tests.unit.simulator.plain_mqtt import PlainMqtt

Start = Callable[..., Printer]


def call(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(arguments))


# -- the table of quirks


@pytest.mark.parametrize("name", sorted(TABLE))
def test_every_quirk_has_help_a_source_and_fitting_values(name: str) -> None:
    quirk = TABLE[name]

    assert quirk.help.endswith(".")
    assert quirk.source
    for value in (quirk.vsftpd, quirk.esp32):
        assert type(value) is quirk.kind
        assert quirk.several or not quirk.choices or value in quirk.choices


@pytest.mark.parametrize("model", sorted(MODELS))
def test_every_model_is_made_of_known_quirks(model: str, tmp_path: Path) -> None:
    quirks = Quirks(model, MODELS[model].quirks)

    assert {name: quirks[name] for name in MODELS[model].quirks} == dict(MODELS[model].quirks)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("require_reuse", ("require_reuse", True)),
        ("require_reuse=no", ("require_reuse", False)),
        ("late_226=30", ("late_226", 30.0)),
        ("max_clients=2", ("max_clients", 2)),
        ("pasv_address=", ("pasv_address", "")),
        ("tls=1.2+1.3", ("tls", "1.2+1.3")),
        ("data_port=-1", ("data_port", -1)),
        ("passive_ports=50000-50063", ("passive_ports", "50000-50063")),
        ("refused=MKD:550, rmd,MDTM", ("refused", "MKD:550, rmd,MDTM")),
        ("clock_error=-86400", ("clock_error", -86400.0)),
    ],
)
def test_settings_as_typed(text: str, value: tuple[str, object]) -> None:
    assert parse_setting(text) == value


WRONG = ["nonsense", "late_226=soon", "tls=2", "require_reuse=perhaps", "max_clients=1.5", "mqtt_clients=-1"]
WRONG += ["late_226=inf", "idle_timeout=nan", "idle_timeout=0", "data_port=65536", "data_port=-2", "passive_ports=a-b"]
WRONG += ["refused=MKD:abc", "refused=MKD RMD", "hostile_share=2", "hostile=friendly", "utc_offset=10000"]


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_setting_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(The|There).*\.$|lists them all\.$"):
        parse_setting(text)


def test_events_hold_for_a_number_of_times() -> None:
    quirks = Quirks("x1c")
    quirks.once("short_retr", 5, times=2)

    assert [quirks.take("short_retr") for _ in range(3)] == [5, 5, 0]
    with pytest.raises(ValueError, match="no event"):
        quirks.once("rest", False)


def test_a_quirk_can_be_reset() -> None:
    quirks = Quirks("p1s", {"rest": True})

    quirks.reset("rest")

    assert quirks["rest"] is False
    with pytest.raises(ValueError, match="no model"):
        Quirks("x9")


# -- announcements


def test_an_announcement_reaches_who_listens() -> None:
    datagram = announcement(model="p1s", serial="01P", address="127.0.0.1", name="Box")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(10)
        announcer = Announcer(datagram, destination=listener.getsockname(), interval=0.01)
        announcer.start()
        received = [listener.recv(4096).decode() for _ in range(2)]
        announcer.close()

    assert received[0] == received[1]
    assert received[0].startswith("NOTIFY * HTTP/1.1\r\n")
    assert "\r\nUSN: 01P\r\n" in received[0]
    assert "\r\nDevModel.bambu.com: C12\r\n" in received[0]
    assert received[0].endswith("\r\n\r\n")


# -- the command


def test_the_list_of_quirks_names_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--list-quirks", "--model", "a1mini") == 0

    shown = capsys.readouterr().out
    assert all(f"\n{name}=" in shown for name in TABLE)
    assert "\nupload_clock_error=-4492800.0\n" in shown


def test_the_list_of_quirks_tells_what_other_models_have(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--list-quirks", "--family", "esp32") == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "rest=no REST is known. Elsewhere: yes on x1c, x1e, p2s, h2d, h2s. Source: sksat/bambu-rs" in shown
    assert "cache_fifo=0 How many files /cache keeps when the printer adds one; 0 is all. Elsewhere: 6 on p2s." in shown


@pytest.mark.parametrize(
    "arguments",
    [
        ["--quirk", "nonsense"],
        ["--host", "192.0.2.1"],
        ["--host", "nowhere.invalid"],
        ["--family", "esp32", "--model", "x1c"],
        ["--rate", "fast"],
        ["--card", "/nowhere/at/all"],
        ["--access-code-file", "/nowhere/at/all"],
        ["--announce", "nowhere"],
    ],
)
def test_wrong_usage_is_answered_with_a_sentence(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*arguments) == 2

    assert capsys.readouterr().err.startswith("bambufs simulate: ")


@pytest.fixture
def simulate() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts the command in a process of its own."""
    started = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "bambufs.simulator", "--announce", "none", *arguments]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_until_it_is_told_to_end_and_cleans_up(
    ending: signal.Signals, simulate: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    (tmp_path / "code").write_text("abcd1234\n")
    process = simulate("--family", "esp32", "--access-code-file", str(tmp_path / "code"), "--quirk", "rest=yes")
    assert process.stdout is not None
    greeting = "".join(process.stdout.readline() for _ in range(6))
    port = int(re.findall(r"FTPS answers at 127\.0\.0\.1 port (\d+)", greeting)[0])
    card = Path(re.findall(r"the folder (\S+)\.\n", greeting)[0])

    client = PlainClient().open("127.0.0.1", port).sign_in("abcd1234")
    assert client.code("REST 0") == "350"
    client.close()
    assert (card / "verify_job").exists()
    process.send_signal(ending)
    rest, _ = process.communicate(timeout=20)

    assert process.returncode == 0
    assert "switched off" in rest
    assert not card.exists()
    assert "abcd1234" not in greeting + rest


def test_the_command_announces_its_printer(simulate: Callable[..., subprocess.Popen[str]]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(20)
        simulate("--model", "a1mini", "--serial", "0300A", "--announce", f"127.0.0.1:{listener.getsockname()[1]}")
        heard = listener.recv(4096).decode()

    assert "\r\nUSN: 0300A\r\n" in heard
    assert "\r\nDevModel.bambu.com: N1\r\n" in heard


def test_the_same_seed_makes_the_same_files(tmp_path: Path) -> None:
    made = []
    for number, seed in enumerate((1, 1, 2)):
        card = tmp_path / str(number)
        card.mkdir()
        with Printer(card=card, model="p2s", mqtt=False, seed=seed) as printer:
            printer.live(8)
        made.append({str(file.relative_to(card)): file.read_bytes() for file in card.rglob("*") if file.is_file()})

    assert made[0] == made[1]
    assert made[0] != made[2]


def test_the_certificate_stays_when_its_folder_is_given(tmp_path: Path) -> None:
    (tmp_path / "card").mkdir()
    seen = set()
    for _ in range(2):
        with Printer(card=tmp_path / "card", mqtt=False, identity_folder=tmp_path / "identity") as printer:
            seen.add(printer.fingerprint)

    assert len(seen) == 1
    assert next((tmp_path / "identity").iterdir()).stat().st_mode & 0o077 == 0


def test_a_printer_leaves_no_thread_behind(start: Start) -> None:
    printer = start("p1s", mqtt=True, report_interval=0.05)
    client = PlainMqtt(printer)
    client.wait(lambda: client.is_subscribed, "the subscription")
    session = PlainClient().open(printer.host, printer.ftps_port).sign_in()

    printer.close()
    printer.close()

    assert printer.session_count == 0
    client.close()
    session.close()
