"""The data connection: where it listens, how it is secured, and how bytes go through it.

Every ending of a transfer that the printers tell apart has a name in `End`; what reply follows
is decided by the verbs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from enum import Enum, auto

from bambufs.simulator.machine import Machine

_SLOW_BUFFER = 32 * 1024
_POLL = 0.05
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class End(Enum):
    """How a transfer ended."""

    CLEAN = auto()  # all bytes, and the client's close_notify
    RAGGED = auto()  # end of the TCP stream without close_notify
    BROKEN = auto()  # reset, or a damaged TLS record
    STALLED = auto()  # no byte for too long
    FULL = auto()  # no room on the card
    CUT = auto()  # the simulated Wi-Fi failed


class NoDataConnection(Exception):
    """The client never connected to the data port."""


class NotResumed(Exception):
    """The data connection did not resume the control connection's TLS session."""


def open_listener(host: str, port: int, *, backlog: int) -> socket.socket:
    """A listening socket on ``host``:``port`` (0: any free one)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


def reserve_port(host: str, port: int) -> socket.socket:
    """Bind a port without listening, so that it stays ours while the printer is switched off."""
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, port))
    except BaseException:
        reserved.close()
        raise
    return reserved


class DataPort:
    """A data port, and the connection that came in through it; one transfer at a time.

    A fixed port (`lasting`) keeps listening between transfers, and forgets at `open` what nobody used.
    """

    def __init__(self, machine: Machine, *, port: int, lasting: bool) -> None:
        self._machine = machine
        self._listener = open_listener(machine.host, port, backlog=1)
        self._lasting = lasting
        self._accepted: socket.socket | None = None
        self._decoy: socket.socket | None = None

    def open(self, *, refuse: bool) -> int:
        """Get ready for one connection; return the port. With ``refuse`` nobody listens there."""
        self._forget()
        if self._machine.throttle.rate is not None:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER)
        if refuse:
            self._decoy = socket.socket(self._listener.family, socket.SOCK_STREAM)
            self._decoy.bind((self._machine.host, 0))
        port: int = (self._decoy or self._listener).getsockname()[1]
        return port

    def accept(self, timeout: float, ended: threading.Event) -> socket.socket:
        """The connection; raises `NoDataConnection` after ``timeout`` seconds, or when ``ended`` is set."""
        self.await_connection(timeout, ended)
        if self._accepted is None:
            raise NoDataConnection
        connection, self._accepted = self._accepted, None
        return connection

    def await_connection(self, timeout: float, ended: threading.Event) -> None:
        """Wait until somebody has connected, at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while self._accepted is None and not ended.is_set() and time.monotonic() < deadline:
            self._listener.settimeout(min(_POLL, timeout))
            with contextlib.suppress(TimeoutError):
                self._accepted = self._listener.accept()[0]

    def after_use(self) -> None:
        """A transfer is over: give the port up, unless it is a lasting one."""
        if not self._lasting:
            self.close()

    def close(self) -> None:
        self._forget()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _forget(self) -> None:
        for unused in (self._accepted, self._decoy):
            if unused is not None:
                unused.close()
        self._accepted = self._decoy = None
        self._listener.settimeout(0)
        with contextlib.suppress(OSError):
            while True:
                self._listener.accept()[0].close()


class Channel:
    """One data connection in use, in TLS or (PROT C) in clear."""

    def __init__(
        self, machine: Machine, verb: str, connection: socket.socket, *, ended: threading.Event
    ) -> None:
        self._machine = machine
        self._ended = ended
        self._verb = verb
        self._socket = connection
        self._cut_after = int(machine.quirks.take("drop_after"))
        self.moved = 0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(machine.quirks.number("data_timeout"))

    def secure(self, context: ssl.SSLContext, *, require_reuse: bool) -> None:
        """Do the TLS handshake; raises `NotResumed`, or `OSError` when it fails."""
        self._socket.getpeername()  # raises when the client has reset it; wrap_socket would then leak the socket
        self._socket = secured = context.wrap_socket(
            self._socket, server_side=True, suppress_ragged_eofs=False, do_handshake_on_connect=False
        )
        if self._ended.is_set():  # by somebody who still saw the socket without TLS
            raise ConnectionAbortedError
        secured.do_handshake()
        if require_reuse and not secured.session_reused:
            raise NotResumed

    def receive(self, write: Callable[[memoryview], None]) -> End:
        """Hand every arriving block to ``write``; `OSError` from it means that the card is full."""
        buffer = memoryview(bytearray(self._machine.throttle.block))
        while True:
            self._machine.gates.pass_byte(self._verb, self.moved, self._ended)
            try:
                count = self._socket.recv_into(buffer[: self._next_block(len(buffer))])
            except OSError as error:
                return _end_for(error)
            if not count:
                return End.CLEAN
            try:
                write(buffer[:count])
            except OSError:
                return End.FULL
            if self._account(count):
                return End.CUT

    def send(self, blocks: Iterator[memoryview]) -> End:
        """Send all blocks."""
        for block in blocks:
            while block:
                self._machine.gates.pass_byte(self._verb, self.moved, self._ended)
                piece = block[: self._next_block(len(block))]
                try:
                    self._socket.sendall(piece)
                except OSError as error:
                    return _end_for(error)
                block = block[len(piece) :]
                if self._account(len(piece)):
                    return End.CUT
        self._machine.gates.pass_byte(self._verb, self.moved, self._ended)
        return End.CLEAN

    def say_goodbye(self) -> None:
        """Exchange close_notify with the client, and wait for its own within the data time-out."""
        if isinstance(self._socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self._socket.unwrap()

    def say_goodbye_one_way(self) -> None:
        """Send close_notify, and wait for nothing."""
        self._socket.settimeout(0)
        self.say_goodbye()

    def await_end_of_stream(self) -> End:
        """Wait until the client closes the TCP connection itself, without a word to it."""
        try:
            while socket.socket.recv(self._socket, 4096):
                pass
        except TimeoutError:
            return End.STALLED
        except OSError:
            return End.BROKEN
        return End.CLEAN

    def close(self) -> None:
        self._socket.close()

    def reset(self) -> None:
        """Break the connection off (TCP RST)."""
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._socket.close()

    def shut_down(self) -> None:
        """End a blocked call of another thread."""
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _next_block(self, most: int) -> int:
        limits = [most, self._machine.throttle.block]
        gate = self._machine.gates.bytes_to_next(self._verb, self.moved)
        if gate is not None:
            limits.append(gate)
        if self._cut_after:
            limits.append(max(1, self._cut_after - self.moved))
        return min(limits)

    def _account(self, count: int) -> bool:
        """Count moved bytes; whether the simulated link breaks now."""
        self.moved += count
        delay = self._machine.throttle.spend(count)
        if delay:
            self._ended.wait(delay)
        return bool(self._cut_after) and self.moved >= self._cut_after


def file_blocks(descriptor: int, size: int) -> Iterator[memoryview]:
    """The content of an open file in blocks of ``size``, without copying."""
    buffer = bytearray(size)
    while count := os.readv(descriptor, [buffer]):
        yield memoryview(buffer)[:count]




def _end_for(error: OSError) -> End:
    if isinstance(error, TimeoutError):
        return End.STALLED
    if isinstance(error, ssl.SSLEOFError):
        return End.RAGGED
    return End.BROKEN
