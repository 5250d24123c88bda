"""An MQTT server that breaks the protocol: the link says so, takes no harm, and connects anew."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from bambufs.printer.link import LinkTimes, PrinterLink
from bambufs.printer.trust import make_context
from tests.support.scripted import server_context
from tests.support.waiting import wait_until

CONNACK = b"\x20\x02\x00\x00"
TIMES = LinkTimes(connect=5.0, first_retry=0.05, longest_retry=0.1, poll=0.1)


class Broker:
    """A port that greets, grants the subscription, says ``words`` again and again, and counts connections."""

    def __init__(self, words: bytes) -> None:
        self._words = words
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.port = int(self._listener.getsockname()[1])
        self.connections = 0
        self.most_sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            with contextlib.suppress(OSError):
                self._serve(self._listener.accept()[0])

    def _serve(self, raw: socket.socket) -> None:
        raw.settimeout(5)
        with server_context().wrap_socket(raw, server_side=True) as client:
            self.connections += 1
            client.recv(4096)
            client.sendall(CONNACK)
            subscribe = client.recv(4096)
            client.sendall(b"\x90\x03" + subscribe[2:4] + b"\x00")
            sent = 0
            while not self._closing.is_set():
                client.sendall(self._words)
                sent += len(self._words)
                self.most_sent = max(self.most_sent, sent)


@contextlib.contextmanager
def link_to(broker: Broker) -> Iterator[PrinterLink]:
    context = make_context()
    options = {"make_context": lambda: context, "check_certificate": lambda der: None}
    with PrinterLink("127.0.0.1", "01P00A", "12345678", port=broker.port, times=TIMES, **options) as link:  # type: ignore[arg-type]
        yield link


def test_message_beyond_all_measure_is_refused_before_it_is_taken_in() -> None:
    problems = set()
    with Broker(b"\x30\xff\xff\xff\x7f" + b"x" * 100_000) as broker, link_to(broker) as link:

        def is_told_and_anew() -> bool:
            problem = link.health.problem  # there is none while it is connected
            problems.update([problem.message] if problem is not None else [])
            return broker.connections > 2 and bool(problems)

        wait_until(is_told_and_anew, "the link to connect anew")

    problems.discard("No connection to 127.0.0.1 has been made yet.")
    assert problems == {"The printer sends a message of 268435455 bytes, longer than any; connecting anew."}
    assert broker.most_sent < 16 << 20  # what the network took, and not the announced 256 MB


@pytest.mark.parametrize(
    "words",
    [
        b"\xff" * 1000,
        b"\x30\x00",
        b"\x30\x02\xff\xff",
        b"\x36\x05\x00\x01a\x00\x01",
    ],
    ids=["noise", "empty publish", "topic beyond the end", "quality 3"],
)
def test_what_is_no_mqtt_ends_the_connection_and_no_more(words: bytes) -> None:
    with Broker(words) as broker, link_to(broker) as link:
        wait_until(lambda: broker.connections > 1, "the link to connect anew")
        wait_until(lambda: not link.health.is_connected and link.health.problem, "the trouble to be told")

