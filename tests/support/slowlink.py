"""A TCP relay that makes loopback feel like a printer on Wi-Fi.

It listens on another loopback address with the same port numbers as the server behind it, so
that passive FTP works unchanged. Every byte waits half a round trip each way, and each
direction of the whole link has one byte rate, shared by all connections.

It is its own process, so that neither the tests nor the server steal its time:
``python -m tests.support.slowlink --ports 20000-20049 --rtt-ms 8 --mbytes-per-second 12``.
It ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_PACKET = 16384
_BUFFER = 65536
_MAX_BACKLOG = 0.010


class Pace:
    """The byte rate of one direction of the link; 0 means no limit."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free_at = 0.0

    def reserve(self, size: int, now: float) -> float:
        """Return when the last of ``size`` bytes that are sent ``now`` has left the sender."""
        start = max(now, self._free_at)
        self._free_at = start + (size / self._rate if self._rate else 0.0)
        return self._free_at

    def backlog(self, now: float) -> float:
        """Return for how many seconds the line is taken by what waits already."""
        return self._free_at - now


@dataclass(frozen=True)
class Link:
    """What all connections share; ``half`` is half a round trip in seconds."""

    half: float
    up: Pace
    down: Pace


class Side(asyncio.Protocol):
    """One end of a relayed connection; hands what it receives to the other end, in time."""

    def __init__(self, link: Link, pace: Pace) -> None:
        self._link = link
        self._pace = pace
        # In order of arrival. One timer serves it, since timers of one moment fire in any order.
        self._under_way: deque[tuple[float, Callable[[asyncio.Transport], None]]] = deque()
        self._loop = asyncio.get_running_loop()
        self.is_full = False
        self.transport: asyncio.Transport | None = None
        self.other: Side | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        now = self._loop.time()
        for start in range(0, len(data), _PACKET):
            packet = data[start : start + _PACKET]
            due = self._pace.reserve(len(packet), now) + self._link.half
            self._send(due, functools.partial(_write, data=packet))
        self.read_on()

    def read_on(self) -> None:
        """Read what comes next, or only later if the line or the receiver is full."""
        if self.transport is None or self.transport.is_closing():
            return
        too_much = self._pace.backlog(self._loop.time()) - _MAX_BACKLOG
        if too_much > 0:
            self._loop.call_later(too_much, self.read_on)
        if too_much > 0 or (self.other and self.other.is_full):
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False
        if self.other:
            self.other.read_on()

    def eof_received(self) -> bool:
        self._send(self._loop.time() + self._link.half, _write_eof)
        return True  # the other direction goes on

    def connection_lost(self, error: Exception | None) -> None:
        self._send(self._loop.time() + self._link.half, _reset if error else _close)

    def _send(self, due: float, step: Callable[[asyncio.Transport], None]) -> None:
        self._under_way.append((due, step))
        if len(self._under_way) == 1:
            self._loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        """Do at the other end what is due there, then wait for the next thing."""
        while self._under_way and self._under_way[0][0] <= self._loop.time():
            _, step = self._under_way.popleft()
            if self.other and self.other.transport and not self.other.transport.is_closing():
                step(self.other.transport)
        if self._under_way:
            self._loop.call_at(self._under_way[0][0], self._deliver)


def _write(transport: asyncio.Transport, data: bytes) -> None:
    transport.write(data)


def _close(transport: asyncio.Transport) -> None:
    transport.close()


def _reset(transport: asyncio.Transport) -> None:
    transport.abort()


def _write_eof(transport: asyncio.Transport) -> None:
    with contextlib.suppress(OSError):
        transport.write_eof()


class Entrance(Side):
    """The client's end: opens the way to the server once the first packets would have met it."""

    def __init__(self, link: Link, server: tuple[str, int]) -> None:
        super().__init__(link, link.up)
        self._server = server
        self._opening: asyncio.Task[None] | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self._opening = self._loop.create_task(self._open())

    def data_received(self, data: bytes) -> None:
        # Pausing does not hold from the first byte on (not on Python 3.11.2).
        if self.other is None:
            self._early += data
        else:
            super().data_received(data)

    async def _open(self) -> None:
        assert self.transport is not None
        await asyncio.sleep(self._link.half * 2)  # the handshake of TCP
        try:
            exit_transport, exit_side = await self._loop.create_connection(
                lambda: Side(self._link, self._link.down), *self._server
            )
        except OSError:
            self.transport.abort()
            return
        self.other, exit_side.other = exit_side, self
        if self.transport.is_closing():
            exit_transport.close()
        else:
            super().data_received(self._early)


async def _serve(arguments: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    rate = arguments.mbytes_per_second * 1e6
    link = Link(arguments.rtt_ms / 2000, Pace(rate), Pace(rate))
    first, _, last = arguments.ports.partition("-")
    for port in range(int(first), int(last or first) + 1):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Small, so that a sender feels the link instead of filling the relay's memory.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        listener.bind((arguments.listen, port))
        server = (arguments.to, port)
        await loop.create_server(lambda server=server: Entrance(link, server), sock=listener)  # type: ignore[misc]
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await ended.wait()


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--listen", default="127.0.0.2")
    parser.add_argument("--to", default="127.0.0.1")
    parser.add_argument("--ports", required=True, help="FIRST-LAST")
    parser.add_argument("--rtt-ms", type=float, default=8.0)
    parser.add_argument("--mbytes-per-second", type=float, default=12.0, help="each way; 0: no limit")
    return parser.parse_args()


def main() -> None:
    """Relay until standard input ends."""
    # select() keeps time to the microsecond, where epoll() rounds up to the next millisecond.
    loop = asyncio.SelectorEventLoop(selectors.SelectSelector())
    try:
        loop.run_until_complete(_serve(_parse()))
    finally:
        os._exit(0)  # what is under way is lost, as on a real link


@contextlib.contextmanager
def slow_link(
    ports: range,
    *,
    rtt: float = 0.008,
    rate: float = 12e6,
    host: str = "127.0.0.2",
    server: str = "127.0.0.1",
) -> Iterator[str]:
    """Relay ``ports`` of ``server`` for the ``with`` block; yield the address to connect to.

    ``rtt`` is the round trip in seconds, ``rate`` the bytes per second each way (0: no limit).
    """
    command = [sys.executable, "-m", "tests.support.slowlink", "--listen", host, "--to", server]
    command += ["--ports", f"{ports[0]}-{ports[-1]}"]
    command += ["--rtt-ms", str(rtt * 1000), "--mbytes-per-second", str(rate / 1e6)]
    relay = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert relay.stdin is not None
    assert relay.stdout is not None
    try:
        if relay.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the slow link did not start on {host}:{ports[0]}")
        yield host
    finally:
        relay.send_signal(signal.SIGKILL)
        relay.wait()
        relay.stdin.close()
        relay.stdout.close()


if __name__ == "__main__":
    main()
