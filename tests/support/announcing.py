"""Printers that announce themselves, to a port of the test's own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from bambufs.simulator.announcer import Announcer, announcement
from tests.support.ports import port_block


@contextlib.contextmanager
def udp_port() -> Iterator[int]:
    """Lend a UDP port of 127.0.0.1 for the ``with`` block."""
    with port_block() as ports:
        yield ports[0]


@contextlib.contextmanager
def announced(port: int, serial: str, *, address: str = "192.168.1.50", name: str = "Garage") -> Iterator[None]:
    """Let a P1S announce itself to ``port``, many times a second, for the ``with`` block."""
    datagram = announcement(model="p1s", serial=serial, address=address, name=name)
    announcer = Announcer(datagram, destination=("127.0.0.1", port), interval=0.02)
    announcer.start()
    try:
        yield
    finally:
        announcer.close()
