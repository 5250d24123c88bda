"""`-o retry`: a printer that is off is waited for. And systemd is told when the mount can be used, not before."""

from __future__ import annotations

import contextlib
import select
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.conftest import StartPrinter
from tests.faults.programs import Program, succeed
from tests.faults.site import Site, address
from tests.support.vsftpd import Vsftpd
from tests.support.waiting import wait_until


@pytest.fixture(params=["path", pytest.param("abstract", marks=pytest.mark.slow)])
def channel(request: pytest.FixtureRequest) -> Iterator[tuple[str, socket.socket]]:
    """systemd's end of the notification socket, and what NOTIFY_SOCKET says."""
    name = f"bambufs-test-{uuid.uuid4().hex}"
    where = f"/tmp/{name}" if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(where.replace("@", "\0"))
        listening.settimeout(20)
        yield where, listening
    with contextlib.suppress(FileNotFoundError):
        Path(where).unlink()


def said_so_far(listening: socket.socket) -> list[bytes]:
    """All messages that have arrived."""
    messages = []
    while select.select([listening], [], [], 0)[0]:
        messages.append(listening.recv(1000))
    return messages


def test_systemd_is_told_when_a_printer_that_was_off_can_be_used(
    start_printer: StartPrinter, site: Site, fuse3: str, channel: tuple[str, socket.socket]
) -> None:
    where, listening = channel
    printer = start_printer()
    (printer.card / "a.3mf").write_bytes(b"content")
    printer.switch_off()
    driver = site.mounting(
        address(printer),
        "--foreground",
        "--log-file",
        str(site.home / "log"),
        options=["retry"],
        environment={"NOTIFY_SOCKET": where},
    )
    wait_until(lambda: "rying again" in _log(site), "the driver to find nobody")
    assert driver.is_running
    assert not site.is_mounted
    assert said_so_far(listening) == []

    printer.switch_on()
    assert listening.recv(1000) == b"READY=1"
    assert succeed("ls", site.point) == "a.3mf\n"  # at once

    driver.signal(signal.SIGTERM)
    ended = driver.wait(10)
    assert ended.code == 0, ended
    assert said_so_far(listening)[-1:] == [b"STOPPING=1"]
    assert not site.is_mounted


def _log(site: Site) -> str:
    file = site.home / "log"
    return file.read_text() if file.exists() else ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_driver_that_waits_for_its_printer_can_be_ended(
    start_printer: StartPrinter, site: Site, fuse3: str, number: signal.Signals
) -> None:
    printer = start_printer()
    printer.switch_off()
    log = str(site.home / "log")
    driver = site.mounting(address(printer), "--foreground", "--log-file", log, options=["retry"])
    wait_until(lambda: "rying again" in _log(site), "the driver to find nobody")

    driver.signal(number)
    ended = driver.wait(3)

    assert ended.code in (0, -number, 128 + number), ended
    assert "Traceback" not in ended.err
    assert not site.is_mounted


@pytest.mark.slow
def test_retry_in_the_background_waits_too(start_printer: StartPrinter, site: Site, fuse3: str) -> None:
    printer = start_printer()
    printer.switch_off()
    command = site.mounting(address(printer), options=["retry"])
    wait_until(lambda: "rying again" in site.log, "the driver to find nobody")
    assert command.is_running

    printer.switch_on()
    assert command.wait().code == 0
    succeed("ls", site.point)
    assert site.unmount().code == 0


def test_retry_does_not_repeat_a_wrong_access_code(server: Vsftpd, site: Site, fuse3: str) -> None:
    """Printers lock out whoever tries too often."""
    server.access_code = "00000000"
    ended = site.mount(server, options=["retry"])

    assert ended.code == 3, ended
    assert len(server.commands("PASS")) == 1


def test_without_retry_nobody_is_told_of_a_printer_that_is_off(
    start_printer: StartPrinter, site: Site, fuse3: str, channel: tuple[str, socket.socket]
) -> None:
    where, listening = channel
    printer = start_printer()
    printer.switch_off()

    driver = site.mounting(address(printer), "--foreground", environment={"NOTIFY_SOCKET": where})

    assert driver.wait().code == 4
    assert said_so_far(listening) == []


def test_a_notification_socket_that_is_gone_does_not_matter(server: Vsftpd, site: Site, fuse3: str) -> None:
    driver: Program = site.mounting(server, "--foreground", environment={"NOTIFY_SOCKET": "/nowhere/at/all"})
    wait_until(lambda: site.is_mounted or not driver.is_running, "the mount")
    succeed("ls", site.point)
    driver.signal(signal.SIGTERM)
    assert driver.wait(10).code == 0
