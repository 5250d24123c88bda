"""From a name to addresses: in time, interruptible, and from memory when the name service fails."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bambufs import interrupts
from bambufs.errors import Interrupted
from bambufs.printer import resolve
from bambufs.printer.resolve import Address, addresses

FOUND = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.7", 990))]
EXPECTED = [Address(socket.AF_INET, ("192.0.2.7", 990))]


class NameService:
    """Knows the printer, until it fails or hangs."""

    def __init__(self) -> None:
        self.error: OSError | None = None
        self.is_open = threading.Event()
        self.is_open.set()
        self.asked: list[str] = []

    def __call__(self, host: str, port: int, **_: object) -> list[object]:
        self.asked.append(host)
        self.is_open.wait(20)
        if self.error is not None:
            raise self.error
        return list(FOUND)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameService]:
    service = NameService()
    monkeypatch.setattr(socket, "getaddrinfo", service)
    monkeypatch.setattr(resolve, "_known", {})
    yield service
    service.is_open.set()


def test_a_name_is_looked_up(names: NameService) -> None:
    assert addresses("printer.lan", 990, 5.0) == EXPECTED


def test_an_unknown_name_is_told(names: NameService) -> None:
    names.error = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with pytest.raises(socket.gaierror, match="not known"):
        addresses("printer.lan", 990, 5.0)


def test_a_name_that_was_known_serves_on(names: NameService) -> None:
    addresses("printer.lan", 990, 5.0)
    names.error = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    assert addresses("printer.lan", 990, 5.0) == EXPECTED
    with pytest.raises(socket.gaierror):
        addresses("other.lan", 990, 5.0)


def test_a_name_service_that_hangs_is_not_waited_for(names: NameService) -> None:
    names.is_open.clear()
    began = time.monotonic()
    with pytest.raises(socket.gaierror):
        addresses("printer.lan", 990, 0.3)
    assert time.monotonic() - began < 3


def test_waiting_for_a_name_can_be_interrupted(names: NameService) -> None:
    names.is_open.clear()
    with interrupts.watched(lambda: True), pytest.raises(Interrupted):
        addresses("printer.lan", 990, 20.0)


@pytest.mark.parametrize("host", ["192.0.2.7", "fe80::1%eth0", "::1"])
def test_an_address_needs_no_thread(names: NameService, host: str) -> None:
    before = threading.active_count()
    addresses(host, 990, 0.0)
    assert threading.active_count() == before
    assert names.asked == [host]
