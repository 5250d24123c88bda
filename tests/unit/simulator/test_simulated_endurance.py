"""The simulator itself is sturdy: whatever a client sends or leaves open, it answers or hangs up, and ends."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from bambufs.simulator import Printer
from tests.unit.simulator.plain_client import PlainClient

Start = Callable[..., Printer]
Connect = Callable[..., PlainClient]
VERBS = ("CWD", "MKD", "RMD", "DELE", "RNFR", "RNTO", "SIZE", "MDTM", "REST", "STAT", "OPTS", "TYPE", "PROT", "SITE")
paths = some.text(some.sampled_from("/.ab \0*?[-\x7f\xff:") | some.characters(codec="utf-8"), max_size=300)


@pytest.fixture(scope="module", params=["x1c", "p1s"])
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Printer]:
    folder = tmp_path_factory.mktemp("odd")
    (folder / "card").mkdir()
    (folder / "outside").write_text("secret")
    with Printer(model=request.param, card=folder / "card", mqtt=False) as printer:
        yield printer


@given(some.lists(some.tuples(some.sampled_from(VERBS), paths), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_odd_commands_are_answered_and_stay_on_the_card(odd: Printer, commands: list[tuple[str, str]]) -> None:
    (odd.card / "cache").mkdir(exist_ok=True)
    client = PlainClient().open(odd.host, odd.ftps_port).sign_in()
    with contextlib.closing(client):
        for verb, path in commands:
            argument = path.replace("\r", "").replace("\n", "")
            assert client.answer(f"{verb} {argument}")[:3].isdigit()
        client.quit()

    odd.wait_for_sessions(0)
    assert sorted(os.listdir(odd.card.parent)) == ["card", "outside"]
    assert (odd.card.parent / "outside").read_text() == "secret"


@given(some.binary(max_size=6000))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_noise_in_place_of_tls_ends_the_connection(odd: Printer, noise: bytes) -> None:
    with socket.create_connection((odd.host, odd.ftps_port), 10) as raw, contextlib.suppress(OSError):
        raw.sendall(noise)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass

    odd.wait_for_sessions(0)


def test_a_line_without_end_is_cut_off(start: Start, connect: Connect) -> None:
    client = connect(start())
    assert client.sock is not None

    client.sock.sendall(b"SIZE " + b"x" * 5000)

    assert client.getmultiline() == "500 Input line too long."
    with pytest.raises((EOFError, OSError)):
        client.getmultiline()


@pytest.mark.parametrize("model", ["x1c", "p1s"])
@pytest.mark.parametrize("waits_for", ["handshake", "command", "data", "gate", "bytes", "226", "rate"])
def test_a_printer_can_be_closed_whatever_it_waits_for(
    waits_for: str, model: str, start: Start, connect: Connect, closing: contextlib.ExitStack
) -> None:
    printer = start(model)
    if waits_for == "handshake":
        closing.enter_context(socket.create_connection((printer.host, printer.ftps_port), 10))
        printer.wait_for_sessions(1)
    else:
        _make_wait(printer, connect(printer), waits_for, closing)

    began = time.monotonic()
    printer.close()

    assert time.monotonic() - began < 5
    assert printer.session_count == 0


def _make_wait(printer: Printer, client: PlainClient, waits_for: str, closing: contextlib.ExitStack) -> None:
    if waits_for == "data":
        client.putcmd("PASV")
        if printer.model == "x1c":
            client.getmultiline()
            client.putcmd("LIST")
        printer.wait_for("PASV" if printer.model == "p1s" else "LIST")
    elif waits_for == "gate":
        gate = printer.hold("NOOP")
        client.putcmd("NOOP")
        assert gate.reached.wait(10)
    elif waits_for in ("bytes", "226", "rate"):
        printer.quirks["late_226"] = 60.0
        printer.rate = 10.0 if waits_for == "rate" else None
        connection = client.begin_store("/a", b"some")
        closing.callback(connection.close)
        if waits_for == "226":
            connection.close()
        printer.wait_for("STOR")


def test_broken_connections_end_also_at_a_gate(start: Start, connect: Connect) -> None:
    printer = start()
    client = connect(printer)
    gate = printer.hold("NOOP")
    client.putcmd("NOOP")
    assert gate.reached.wait(10)

    printer.drop_sessions()

    assert printer.session_count == 0
    assert not gate.is_open


def test_passive_ports_come_from_their_range(start: Start, connect: Connect) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    client = connect(start(quirks={"passive_ports": f"{free}-{free}"}))

    assert client.passive_address()[1] == free


def test_many_sessions_work_at_once(start: Start, connect: Connect, tmp_path: Path) -> None:
    printer = start()
    clients = [connect(printer) for _ in range(8)]

    connections = [client.begin_store(f"/{number}", bytes(1000)) for number, client in enumerate(clients)]
    for connection in connections:
        connection.close()

    assert len({client.getmultiline() for client in clients}) == 1
    assert len(list(printer.card.iterdir())) == 8
