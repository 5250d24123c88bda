"""TCP and TLS sockets whose every wait has a deadline, and is taken in steps of `interrupts.STEP`.

So that Ctrl-C gets through, and nothing waits for ever.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import ssl
import struct
import termios
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from .. import interrupts
from .resolve import addresses

Result = TypeVar("Result")

_RECORD = 16 * 1024
"""The most that TLS hands out at once."""


def patiently(step: Callable[..., Result], seconds: float, *arguments: object) -> Result:
    """Repeat a socket operation that waits at most `interrupts.STEP`, until it is done or ``seconds`` have passed.

    Raises `TimeoutError`, `Interrupted` and what the operation raises.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return step(*arguments)
        except TimeoutError as late:
            interrupts.check()
            if late.errno == errno.ETIMEDOUT or time.monotonic() >= deadline:
                raise  # the kernel has given the connection up, or we do


def check_time(deadline: float) -> None:
    """Raise `TimeoutError` after ``deadline`` (monotonic), however much comes in, and `Interrupted`."""
    interrupts.check()
    if time.monotonic() >= deadline:
        raise TimeoutError("timed out")


def receive(connection: socket.socket, stall: float, size: int) -> bytes:
    """The next bytes, at most ``size``; empty at the end of the stream, also one without TLS's close_notify.

    All that has come in, not one TLS record of 16 KiB alone: what has to be done for each block is dear. Raises
    `TimeoutError` when nothing came for ``stall`` seconds, `Interrupted` and what receiving raises.
    """
    try:
        first = patiently(connection.recv, stall, min(size, _RECORD))
    except ssl.SSLEOFError:
        return b""
    if len(first) == size or not first:
        return first
    return b"".join([first, *_at_hand(connection, size - len(first))])


def _at_hand(connection: socket.socket, size: int) -> Iterator[bytes]:
    """What has come in already, at most ``size`` bytes. An error is left to whoever waits for what comes next."""
    connection.settimeout(0)
    try:
        while size and (block := connection.recv(min(size, _RECORD))):
            size -= len(block)
            yield block
    except OSError:
        pass
    finally:
        connection.settimeout(interrupts.STEP)


def receive_all(
    connection: socket.socket,
    *,
    stall: float,
    seconds: float,
    most: int,
    may_end: Callable[[bytes], bool] = lambda received: True,
) -> bytes | None:
    """Everything until the end of the stream; None when that is more than ``most`` bytes.

    Without TLS's close_notify the end is one only if ``may_end`` says so of what has come; else `ssl.SSLEOFError` is
    raised. Raises `TimeoutError` when nothing comes for ``stall`` seconds or the end has not come after ``seconds``,
    `Interrupted` and what receiving raises.
    """
    deadline = time.monotonic() + seconds
    received = bytearray()
    try:
        while block := patiently(connection.recv, stall, 64 * 1024):
            received += block
            if len(received) > most:
                return None
            check_time(deadline)
    except ssl.SSLEOFError:
        if not may_end(bytes(received)):
            raise
    return bytes(received)


def is_ready(connection: socket.socket, seconds: float, *, to_send: bool = False) -> bool:
    """Whether ``connection`` can be read from (or sent to) within ``seconds``; works for any number of open files."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT if to_send else select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1000))


def connect(host: str, port: int, seconds: float) -> socket.socket:
    """A TCP connection to ``host``, with TCP_NODELAY and steps of `interrupts.STEP` as its time-out.

    Takes at most ``seconds`` over all addresses of the host, and as long again for its name.
    """
    failure: OSError = TimeoutError("timed out")
    found = addresses(host, port, seconds)
    deadline = time.monotonic() + seconds
    for number, address in enumerate(found):
        share = (deadline - time.monotonic()) / (len(found) - number)
        try:
            return connected(begin_to_connect(address.family, address.place), share)
        except OSError as error:
            failure = error
    raise failure


def queued(data: socket.socket) -> int:
    """Bytes in the kernel's queue that the other side has not confirmed yet; 0 where the kernel does not tell."""
    try:
        answer = fcntl.ioctl(data, termios.TIOCOUTQ, struct.pack("i", 0))  # SIOCOUTQ, see tcp(7)
    except OSError:
        return 0
    return int(struct.unpack("i", answer)[0])


def is_unacknowledged(connection: socket.socket, seconds: float) -> bool:
    """Whether the other machine has acknowledged nothing for ``seconds``, though something is queued for it.

    That tells a printer that is gone from one that is slow: also one that takes a minute to answer acknowledges the
    question at once. (tcpi_last_ack_recv of TCP_INFO, see tcp(7).)
    """
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 60)
    return queued(connection) > 0 and int(struct.unpack_from("I", told, 56)[0]) >= seconds * 1000


def begin_to_connect(family: int, address: object) -> socket.socket:
    """A TCP connection on its way to ``address``; see `connected`."""
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.setblocking(False)
    code = connection.connect_ex(address)  # type: ignore[arg-type]
    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
        connection.close()
        raise OSError(code, os.strerror(code))
    return connection


def connected(connection: socket.socket, seconds: float) -> socket.socket:
    """``connection`` once it is made, with TCP_NODELAY and steps of `interrupts.STEP`; closed when that fails."""
    deadline = time.monotonic() + seconds
    try:
        while not is_ready(connection, interrupts.STEP, to_send=True):
            check_time(deadline)
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(interrupts.STEP)
    except BaseException:
        connection.close()
        raise
    return connection
