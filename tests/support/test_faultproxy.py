"""The fault proxy breaks what it says, when it says, and nothing else."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from tests.support.faultproxy import Fault, FaultProxy, fault_proxy
from tests.support.ports import port_block


class Line:
    """A driver's connection through the proxy, and the server's end of it."""

    def __init__(self, proxy: FaultProxy, listener: socket.socket) -> None:
        self._listener = listener
        self.driver = socket.create_connection((proxy.host, listener.getsockname()[1]), timeout=5)
        self.server, _ = listener.accept()
        self.server.settimeout(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.driver.close()
        self.server.close()


@pytest.fixture
def ports() -> Iterator[range]:
    with port_block() as ports:
        yield ports[:2]


@pytest.fixture
def proxy(ports: range) -> Iterator[FaultProxy]:
    with fault_proxy(ports) as proxy:
        yield proxy


@pytest.fixture
def control(proxy: FaultProxy, ports: range) -> Iterator[Line]:
    with _listening(ports[0]) as listener, Line(proxy, listener) as line:
        yield line


@pytest.fixture
def data(proxy: FaultProxy, ports: range) -> Iterator[Line]:
    with _listening(ports[1]) as listener, Line(proxy, listener) as line:
        yield line


@contextlib.contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", port)) as listener:
        listener.settimeout(5)
        yield listener


def _send_all_of(payload: bytes, sock: socket.socket) -> None:
    sock.sendall(payload)
    sock.shutdown(socket.SHUT_WR)


def test_bytes_and_ends_go_through(control: Line) -> None:
    payload = bytes(range(256)) * 4000
    sender = threading.Thread(target=_send_all_of, args=(payload, control.driver))
    sender.start()
    received = b"".join(iter(lambda: control.server.recv(65536), b""))
    sender.join()
    assert received == payload

    control.server.sendall(b"answer")
    assert control.driver.recv(100) == b"answer"
    control.server.close()
    assert control.driver.recv(100) == b""


def test_reset_reaches_both_ends(proxy: FaultProxy, control: Line, data: Line) -> None:
    proxy.strike(Fault.RESET)

    for sock in (control.driver, control.server, data.driver, data.server):
        with pytest.raises(ConnectionResetError):
            sock.recv(100)


def test_one_kind_may_be_spared(proxy: FaultProxy, control: Line, data: Line) -> None:
    proxy.strike(Fault.RESET, control=False)

    with pytest.raises(ConnectionResetError):
        data.driver.recv(100)
    control.driver.sendall(b"still here")
    assert control.server.recv(100) == b"still here"


def test_half_close_ends_one_direction_for_the_driver(proxy: FaultProxy, control: Line) -> None:
    proxy.strike(Fault.HALF_CLOSE)

    assert control.driver.recv(100) == b""
    control.driver.sendall(b"on its way")
    assert control.server.recv(100) == b"on its way"


def test_fin_to_the_printer_leaves_its_answers_their_way(proxy: FaultProxy, data: Line) -> None:
    data.driver.sendall(b"first")
    assert data.server.recv(100) == b"first"
    proxy.strike(Fault.FIN_TO_PRINTER)

    assert data.server.recv(100) == b""
    data.server.sendall(b"done")
    assert data.driver.recv(100) == b"done"


def test_black_hole_swallows_and_takes_nobody_until_mended(proxy: FaultProxy, control: Line, ports: range) -> None:
    proxy.strike(Fault.BLACK_HOLE)
    control.driver.sendall(b"lost")
    control.driver.settimeout(0.3)
    with pytest.raises(TimeoutError):
        control.driver.recv(100)
    with pytest.raises(TimeoutError):
        socket.create_connection((proxy.host, ports[0]), timeout=0.3)

    proxy.mend()
    with pytest.raises(ConnectionResetError):
        control.driver.recv(100)
    socket.create_connection((proxy.host, ports[0]), timeout=5).close()


def test_stall_loses_nothing(proxy: FaultProxy, control: Line) -> None:
    proxy.strike(Fault.STALL)
    control.driver.sendall(b"late")
    control.server.settimeout(0.2)
    with pytest.raises(TimeoutError):
        control.server.recv(100)

    proxy.mend()
    control.server.settimeout(5)
    assert control.server.recv(100) == b"late"


def test_strike_after_so_many_bytes(proxy: FaultProxy, data: Line) -> None:
    struck = proxy.strike_after(1000, Fault.FIN_TO_PRINTER, data=True, to_printer=True)
    data.driver.sendall(bytes(600))
    received = len(data.server.recv(1000))
    assert not struck.is_set()
    data.driver.sendall(bytes(600))

    while block := data.server.recv(1000):
        received += len(block)
    assert received == 1000
    assert struck.wait(5)


def test_strike_instead_of_a_reply(proxy: FaultProxy, control: Line) -> None:
    asked: list[bytes] = []
    struck = proxy.strike_when(lambda: asked == [b"LIST"], Fault.RESET)
    control.server.sendall(b"welcome")
    assert control.driver.recv(100) == b"welcome"
    control.driver.sendall(b"LIST")
    asked.append(control.server.recv(100))
    control.server.sendall(b"reply")

    with pytest.raises(ConnectionResetError):
        control.driver.recv(100)
    assert struck.wait(5)


def test_a_server_that_is_off_ends_the_connection(proxy: FaultProxy, ports: range) -> None:
    # It may be as soon as the connection is made, or on its first use.
    with pytest.raises(ConnectionResetError), socket.create_connection((proxy.host, ports[0]), timeout=5) as driver:
        driver.recv(100)
