"""Printers that announce themselves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bambufs.errors import UsageError
from bambufs.printer.discovery import listen, parse
from bambufs.simulator.announcer import announcement
from tests.support.announcing import announced, udp_port

SERIAL = "01P00A000000001"


def told(**headers: str) -> bytes:
    """A datagram with ``headers`` besides the serial number; ``_b`` at the end stands for .bambu.com."""
    lines = [f"{key.replace('_b', '.bambu.com')}: {value}" for key, value in {"USN": SERIAL, **headers}.items()]
    return "\r\n".join(["NOTIFY * HTTP/1.1", *lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("model", "name"), [("x1c", "X1C"), ("p1s", "P1S"), ("a1mini", "A1 mini"), ("h2d", "H2D"), ("p2s", "P2S")]
)
def test_simulated_printer_is_understood(model: str, name: str) -> None:
    found = parse(announcement(model=model, serial=SERIAL, address="192.168.1.50", name="Garage"), "10.0.0.1")
    assert found is not None
    assert (found.model_name, found.serial, found.address, found.name) == (name, SERIAL, "192.168.1.50", "Garage")
    assert (found.signal, found.is_lan_only) == (-49, True)


def test_case_and_order_of_headers_do_not_matter() -> None:
    datagram = f"NOTIFY * HTTP/1.1\ndevname.BAMBU.com:x\nusn:{SERIAL}\nLOCATION: 10.1.1.1\n".encode()
    found = parse(datagram, "10.0.0.1")
    assert found is not None
    assert (found.name, found.address) == ("x", "10.1.1.1")


@pytest.mark.parametrize("location", ["", "nonsense", "999.1.1.1", "\x1b[2J"])
def test_sender_counts_when_the_address_makes_no_sense(location: str) -> None:
    found = parse(told(Location=location), "10.0.0.1")
    assert found is not None
    assert found.address == "10.0.0.1"


@pytest.mark.parametrize(
    ("location", "address"), [("http://192.168.1.50:80/x", "192.168.1.50"), ("fe80::1", "fe80::1")]
)
def test_location_may_be_written_otherwise(location: str, address: str) -> None:
    found = parse(told(Location=location), "10.0.0.1")
    assert found is not None
    assert found.address == address


def test_nothing_from_the_network_reaches_the_terminal_raw() -> None:
    found = parse(told(DevName_b="\x1b]0;evil\x07" + "x" * 500), "10.0.0.1")
    assert found is not None
    assert found.name.isprintable()
    assert len(found.name) == 64


def test_serial_tells_the_model_that_the_code_does_not() -> None:
    found = parse(told(DevModel_b="Z9"), "10.0.0.1")
    assert found is not None
    assert found.model_name == "P1S"


@pytest.mark.parametrize("signal", ["", "strong", "-4x", "99999"])
def test_odd_signal_is_none(signal: str) -> None:
    found = parse(told(DevSignal_b=signal), "10.0.0.1")
    assert found is not None
    assert found.signal is None


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\n",
        b"\xff\xfe\x00",
        b"M-SEARCH * HTTP/1.1\r\nUSN: 01P00A000000001\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nUSN: ../../etc\r\n\r\n",
        b"NOTIFY * HTTP/1.1\r\nNT: upnp:rootdevice\r\nUSN: 01P00A000000001\r\n\r\n",
    ],
)
def test_anything_else_is_none(datagram: bytes) -> None:
    assert parse(datagram, "10.0.0.1") is None


# --- on the wire --------------------------------------------------------------------------------------


@pytest.fixture
def port() -> Iterator[int]:
    with udp_port() as port:
        yield port


@pytest.fixture
def printer(port: int) -> Iterator[None]:
    with announced(port, SERIAL):
        yield


@pytest.mark.usefixtures("printer")
def test_simulated_printer_is_heard(port: int) -> None:
    found = next(listen(10, port=port))
    assert (found.serial, found.model_name) == (SERIAL, "P1S")


@pytest.mark.usefixtures("printer")
def test_each_printer_is_told_once(port: int) -> None:
    assert [found.serial for found in listen(20, settle=0.2, port=port)] == [SERIAL]


@pytest.mark.usefixtures("printer")
def test_others_are_waited_for_only_so_long(port: int) -> None:
    began = time.monotonic()
    assert len(list(listen(60, settle=0.1, port=port))) == 1
    assert time.monotonic() - began < 30


def test_nobody_is_heard_in_an_empty_network(port: int) -> None:
    assert list(listen(0.05, port=port)) == []


def test_printer_with_a_new_address_is_told_again(port: int) -> None:
    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for address in ("10.0.0.1", "10.0.0.1", "10.0.0.2"):
                sender.sendto(told(Location=address), ("127.0.0.1", port))

    listening = listen(10, port=port)
    threading.Timer(0.05, send).start()
    assert [next(listening).address, next(listening).address] == ["10.0.0.1", "10.0.0.2"]
    listening.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_port_is_shared_with_others_who_listen(port: int, option: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("", port))
        assert list(listen(0.05, port=port)) == []


def test_port_that_another_has_for_itself_is_told(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", port))
        with pytest.raises(UsageError, match="close Bambu Studio"):
            next(listen(1, port=port))
