"""The slow link is as slow as it says, and loses nothing."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.ftps import PlainClient
from tests.support.needs import need
from tests.support.ports import port_block
from tests.support.slowlink import Counts, relayed, slow_link
from tests.support.vsftpd import vsftpd_printer


@contextmanager
def serving(port: int, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Accept one connection on ``port`` and give it to ``answer``."""

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer(connection)

    with socket.create_server(("127.0.0.1", port)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def received(connection: socket.socket) -> int:
    size = 0
    while data := connection.recv(1 << 20):
        size += len(data)
    return size


def test_every_answer_waits_a_round_trip() -> None:
    with port_block() as ports, serving(ports[0], echo), slow_link(ports[:1], rtt=0.02) as host:
        with socket.create_connection((host, ports[0])) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            times = []
            for _ in range(10):
                start = time.perf_counter()
                client.sendall(b"x")
                client.recv(1)
                times.append(time.perf_counter() - start)

    assert min(times) >= 0.02


def test_round_trips_are_those_that_somebody_waited_for() -> None:
    with port_block() as ports, serving(ports[0], echo), relayed(ports[:1], rtt=0.02) as relay:
        with socket.create_connection((relay.host, ports[0])) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(3):
                client.sendall(b"x")
                client.recv(1)
            opened_and_asked = relay.counts()
            for _ in range(3):
                client.sendall(b"x")
            for _ in range(3):
                client.recv(1)

        assert opened_and_asked == Counts(round_trips=4, connections=1, bytes_up=3, bytes_down=3)
        assert (relay.counts() - opened_and_asked).round_trips == 1


@pytest.mark.parametrize("upwards", [True, False], ids=["up", "down"])
def test_bytes_take_as_long_as_the_rate_says_and_all_arrive(upwards: bool) -> None:
    size = 1_000_000
    sizes = []

    def answer(connection: socket.socket) -> None:
        if upwards:
            sizes.append(received(connection))
        else:
            connection.sendall(bytes(size))

    with port_block() as ports, serving(ports[0], answer), slow_link(ports[:1], rtt=0, rate=5e6) as host:
        start = time.perf_counter()
        with socket.create_connection((host, ports[0])) as client:
            if upwards:
                client.sendall(bytes(size))
                client.shutdown(socket.SHUT_WR)
            sizes.append(received(client))
        seconds = time.perf_counter() - start

    assert sum(sizes) == size
    assert seconds >= 0.99 * size / 5e6


def test_bytes_arrive_in_order_without_a_limit() -> None:
    content = b"".join(number.to_bytes(4, "big") for number in range(500_000))
    with port_block() as ports, serving(ports[0], lambda c: c.sendall(content)), slow_link(ports[:1], rate=0) as host:
        with socket.create_connection((host, ports[0])) as client:
            pieces = []
            while data := client.recv(1 << 20):
                pieces.append(data)

    assert b"".join(pieces) == content


def test_an_end_on_one_side_is_an_end_on_the_other() -> None:
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        received(connection)
        ended.set()

    with port_block() as ports, serving(ports[0], answer), slow_link(ports[:1]) as host:
        socket.create_connection((host, ports[0])).close()

        assert ended.wait(5)


def test_a_reset_on_one_side_is_an_end_on_the_other() -> None:
    ended = threading.Event()

    def answer(connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError):
            received(connection)
        ended.set()

    with port_block() as ports, serving(ports[0], answer), slow_link(ports[:1]) as host:
        client = socket.create_connection((host, ports[0]))
        client.sendall(b"x")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

        assert ended.wait(5)


def test_ftps_with_passive_transfers_works_through_it() -> None:
    need("vsftpd")
    with vsftpd_printer() as server:
        with slow_link(range(server.port, server.passive_ports[-1] + 1), rtt=0.002) as host:
            with PlainClient(host, server.port, server.access_code) as ftp:
                ftp.storbinary("STOR /a.bin", io.BytesIO(b"y" * 500_000))

        assert (server.root / "a.bin").read_bytes() == b"y" * 500_000
