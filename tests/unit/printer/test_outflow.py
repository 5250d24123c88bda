"""The bytes of an upload: counted when they have gone, and waited for as long as they move."""

from __future__ import annotations

import io
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest

from bambufs.printer.outflow import Outflow
from bambufs.printer.sockets import queued
from bambufs.printer.trust import make_context
from tests.support.scripted import server_context
from tests.support.waiting import wait_until

CONTENT = bytes(4_000_000)


class Taker:
    """The printer's side of a data connection: takes as much as it is allowed to."""

    def __init__(self) -> None:
        self.allowed = threading.Semaphore(0)
        self.taken = 0
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
        self._raw = socket.create_connection(listener.getsockname())
        self._theirs = listener.accept()[0]
        listener.close()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.data = make_context().wrap_socket(self._raw, server_hostname="x")
        self.data.settimeout(0.1)

    def _run(self) -> None:
        with server_context().wrap_socket(self._theirs, server_side=True, suppress_ragged_eofs=True) as sock:
            while True:
                self.allowed.acquire()
                try:
                    block = sock.recv(16 * 1024)
                except OSError:
                    return
                if not block:
                    return
                self.taken += len(block)

    def close(self) -> None:
        self.data.close()
        self.allowed.release(1_000_000)
        self._thread.join()


@pytest.fixture
def taker() -> Iterator[Taker]:
    taker = Taker()
    yield taker
    taker.close()


def never(seconds: float) -> bool:
    return threading.Event().wait(seconds)


def outflow(
    taker: Taker,
    told: list[int],
    is_answered: Callable[[float], bool] = never,
    *,
    stall: float = 5.0,
    most_queued: int | None = None,
) -> Outflow:
    assert isinstance(taker.data, ssl.SSLSocket)
    return Outflow(
        taker.data, stall=stall, most_queued=most_queued, on_progress=told.append, is_answered=is_answered
    )


def test_what_only_lies_in_the_queue_has_not_gone(taker: Taker) -> None:
    told: list[int] = []
    sending = outflow(taker, told)
    thread = threading.Thread(target=lambda: sending.send(io.BytesIO(CONTENT)))
    thread.start()
    wait_until(lambda: queued(taker.data) > 100_000, "the queue to fill")
    assert max(told, default=0) <= taker.taken + 100_000  # their receive buffer

    taker.allowed.release(1_000_000)
    thread.join(20)
    sending.drain()
    assert told[-1] == len(CONTENT)
    assert told == sorted(told)


def test_queue_can_be_kept_short(taker: Taker) -> None:
    with pytest.raises(TimeoutError):
        outflow(taker, [], stall=0.3, most_queued=64 * 1024).send(io.BytesIO(CONTENT))
    assert queued(taker.data) < 400_000


def test_queue_is_waited_for_as_long_as_it_moves(taker: Taker) -> None:
    told: list[int] = []
    seen: list[int] = []

    def glance(seconds: float) -> bool:
        seen.append(queued(taker.data))
        taker.allowed.release(4)
        return never(0.1)

    sending = outflow(taker, told, glance, stall=0.6)
    sending.send(io.BytesIO(CONTENT[:1_000_000]))
    sending.drain()

    assert len(seen) > 8  # longer than the stall time-out
    assert told[-1] == 1_000_000


def test_queue_that_stands_still_is_a_stall(taker: Taker) -> None:
    sending = outflow(taker, [], stall=0.3)
    sending.send(io.BytesIO(CONTENT[:1_000_000]))
    with pytest.raises(TimeoutError, match="takes no more"):
        sending.drain()


def test_an_answer_ends_the_wait(taker: Taker) -> None:
    sending = outflow(taker, [], lambda seconds: True)
    sending.send(io.BytesIO(CONTENT[:1_000_000]))
    sending.drain()


def test_printer_that_answers_takes_no_more(taker: Taker) -> None:
    sending = outflow(taker, [], lambda seconds: True, stall=20.0, most_queued=64 * 1024)
    with pytest.raises(ConnectionResetError, match="takes no more"):
        sending.send(io.BytesIO(CONTENT))


def test_progress_may_stop_it(taker: Taker) -> None:
    def stop(gone: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Outflow(taker.data, stall=5.0, most_queued=None, on_progress=stop, is_answered=never).send(io.BytesIO(CONTENT))
