"""Connecting, in steps that can be interrupted."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

import pytest

from bambufs import interrupts
from bambufs.errors import Interrupted
from bambufs.printer import sockets
from tests.support.ports import port_block

NOWHERE = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 990, 0, 0))
"""An address that no machine has, and that most have no way to."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def addresses(monkeypatch: pytest.MonkeyPatch, *found: object) -> None:
    """Let a name have these addresses."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: list(found))


def test_listening_port_is_connected_to(listener: socket.socket) -> None:
    with sockets.connect("127.0.0.1", port_of(listener), 5.0) as connection:
        assert connection.getpeername() == listener.getsockname()


def test_small_commands_are_not_held_back(listener: socket.socket) -> None:
    with sockets.connect("127.0.0.1", port_of(listener), 5.0) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_deaf_port_refuses() -> None:
    with port_block() as ports, pytest.raises(ConnectionRefusedError):
        sockets.connect("127.0.0.1", ports[0], 5.0)


def test_second_address_is_tried_when_the_first_refuses(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with port_block() as ports:
        addresses(monkeypatch, ipv4(ports[0]), ipv4(port_of(listener)))
        sockets.connect("printer.local", 990, 5.0).close()


def ipv4(port: int) -> object:
    return (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))


def refuse_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let connecting by IPv6 fail at once, as where there is no way to the address."""
    connect_ex = socket.socket.connect_ex

    def refusing(self: socket.socket, address: tuple[str, int]) -> int:
        return errno.ENETUNREACH if self.family == socket.AF_INET6 else connect_ex(self, address)

    monkeypatch.setattr(socket.socket, "connect_ex", refusing)


def test_second_address_is_tried_when_there_is_no_way_to_the_first(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_at_once(monkeypatch)
    addresses(monkeypatch, NOWHERE, ipv4(port_of(listener)))
    with sockets.connect("printer.local", 990, 5.0) as connection:
        assert connection.family == socket.AF_INET


def test_address_to_which_there_is_no_way_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_at_once(monkeypatch)
    addresses(monkeypatch, NOWHERE)
    with pytest.raises(OSError, match="unreachable") as failed:
        sockets.connect("printer.local", 990, 5.0).close()
    assert failed.value.errno == errno.ENETUNREACH


@pytest.fixture
def full(listener: socket.socket) -> Iterator[int]:
    """A port whose queue is full, so that connecting to it takes for ever."""
    listener.listen(0)
    waiting = [socket.socket() for _ in range(4)]
    for connection in waiting:
        connection.setblocking(False)
        connection.connect_ex(listener.getsockname())
    yield port_of(listener)
    for connection in waiting:
        connection.close()


def test_connecting_has_an_end(full: int) -> None:
    with pytest.raises(TimeoutError):
        sockets.connect("127.0.0.1", full, 0.3)


def test_connecting_can_be_interrupted(full: int) -> None:
    with interrupts.watched(lambda: True), pytest.raises(Interrupted):
        sockets.connect("127.0.0.1", full, 60.0)


def test_step_is_repeated_until_it_is_done() -> None:
    answers = iter([TimeoutError(), TimeoutError(), b"x"])

    def step() -> bytes:
        answer = next(answers)
        if isinstance(answer, TimeoutError):
            raise answer
        assert isinstance(answer, bytes)
        return answer

    assert sockets.patiently(step, 5.0) == b"x"


def test_step_that_is_never_done_ends_in_a_time_out() -> None:
    def step() -> bytes:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        sockets.patiently(step, 0.0)


def test_addresses_that_nobody_answers_at_share_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[float] = []

    def deaf(connection: socket.socket, seconds: float) -> socket.socket:
        connection.close()
        tried.append(seconds)
        raise TimeoutError("timed out")

    monkeypatch.setattr(sockets, "connected", deaf)
    addresses(monkeypatch, ipv4(990), ipv4(991))
    with pytest.raises(TimeoutError):
        sockets.connect("printer.local", 990, 4.0)
    assert tried[0] <= 2.0


def test_time_out_of_the_kernel_ends_the_patience() -> None:
    """Its message differs from that of a single step, which is to be repeated."""
    calls: list[int] = []

    def receive() -> bytes:
        calls.append(1)
        raise TimeoutError(errno.ETIMEDOUT, "Connection timed out")

    with pytest.raises(TimeoutError):
        sockets.patiently(receive, 60.0)
    assert len(calls) == 1


# --- receiving content --------------------------------------------------------------------------------


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end and the printer's."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(interrupts.STEP)
        yield ours, theirs


def test_all_that_has_come_in_is_received_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(bytes(100_000))
    assert sockets.receive(ours, 5.0, 1 << 20) == bytes(100_000)


def test_no_more_is_received_than_asked_for(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(bytes(range(250)) * 200)
    assert sockets.receive(ours, 5.0, 20_000) == (bytes(range(250)) * 200)[:20_000]
    assert sockets.receive(ours, 5.0, 1) == bytes([0])


def test_receiving_waits_for_something_and_not_for_more(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"G28")
    assert sockets.receive(ours, 60.0, 1 << 20) == b"G28"
    assert ours.gettimeout() == interrupts.STEP
    with pytest.raises(TimeoutError):
        sockets.receive(ours, 0.1, 1 << 20)


def test_end_of_the_stream_is_told_after_what_came_before(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.sendall(b"G28")
    theirs.close()
    assert [sockets.receive(ours, 5.0, 1 << 20) for _ in range(2)] == [b"G28", b""]


def test_connection_that_breaks_does_not_take_along_what_came_before() -> None:
    with Breaking([b"G28\n", reset(), reset()]) as connection:
        assert sockets.receive(connection, 5.0, 1 << 20) == b"G28\n"
        with pytest.raises(ConnectionResetError):
            sockets.receive(connection, 5.0, 1 << 20)


def reset() -> OSError:
    return ConnectionResetError(errno.ECONNRESET, "reset")


class Breaking(socket.socket):
    """A connection that brings ``steps``, one after the other."""

    def __init__(self, steps: list[bytes | OSError]) -> None:
        super().__init__()
        self.steps = steps

    def recv(self, size: int, flags: int = 0) -> bytes:
        step = self.steps.pop(0)
        if isinstance(step, OSError):
            raise step
        return step
