"""A TCP relay that makes loopback feel like a printer on Wi-Fi.

It listens on another loopback address with the same port numbers as the server behind it, so
that passive FTP works unchanged. Every byte waits half a round trip each way, and each
direction of the whole link has one byte rate, shared by all connections.

It is its own process, so that neither the tests nor the server steal its time:
``python -m tests.support.slowlink --ports 20000-20049 --rtt-ms 8 --mbytes-per-second 12``.
It ends with its standard input, and answers every line there with what it has counted, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

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


@dataclass
class Counts:
    """What has crossed the link since it was made.

    ``round_trips`` is the longest chain of question and answer, over all connections: what the client
    sends belongs behind everything that has reached it by then. So it tells how often somebody had to
    wait for the link, whatever the machine was doing meanwhile.
    """

    round_trips: int = 0
    connections: int = 0
    bytes_up: int = 0
    bytes_down: int = 0

    def __sub__(self, before: Counts) -> Counts:
        return Counts(
            self.round_trips - before.round_trips,
            self.connections - before.connections,
            self.bytes_up - before.bytes_up,
            self.bytes_down - before.bytes_down,
        )


class Link:
    """What all connections share; ``half`` is half a round trip in seconds."""

    def __init__(self, half: float, rate: float) -> None:
        self.half = half
        self.up, self.down = Pace(rate), Pace(rate)
        self.counts = Counts()
        self._asked = 0  # round trips that lie before the latest packet at the server

    def opens(self) -> Callable[[], None]:
        """Note the first packet of a connection; returns what to call when it is answered."""
        self.counts.connections += 1
        chain = self.counts.round_trips
        return lambda: self._reached_client(chain + 1)

    def goes_up(self, size: int) -> Callable[[], None]:
        """Note a packet that the client sends; returns what to call when it reaches the server."""
        self.counts.bytes_up += size
        return functools.partial(self._reached_server, self.counts.round_trips)

    def goes_down(self, size: int) -> Callable[[], None]:
        """Note a packet that the server sends; returns what to call when it reaches the client."""
        self.counts.bytes_down += size
        return functools.partial(self._reached_client, self._asked + 1)

    def _reached_server(self, chain: int) -> None:
        self._asked = max(self._asked, chain)

    def _reached_client(self, chain: int) -> None:
        self.counts.round_trips = max(self.counts.round_trips, chain)


class Side(asyncio.Protocol):
    """One end of a relayed connection; hands what it receives to the other end, in time."""

    def __init__(self, link: Link, pace: Pace, note: Callable[[int], Callable[[], None]]) -> None:
        self._link = link
        self._pace = pace
        self._note = note
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
            self._send(due, functools.partial(_write, data=packet, arrived=self._note(len(packet))))
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


def _write(transport: asyncio.Transport, data: bytes, arrived: Callable[[], None]) -> None:
    arrived()
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
        super().__init__(link, link.up, link.goes_up)
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
        answered = self._link.opens()
        await asyncio.sleep(self._link.half * 2)  # the handshake of TCP
        answered()
        try:
            exit_transport, exit_side = await self._loop.create_connection(
                lambda: Side(self._link, self._link.down, self._link.goes_down), *self._server
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
    link = Link(arguments.rtt_ms / 2000, rate)
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
    loop.add_reader(sys.stdin.fileno(), _answer, link, ended)
    _say("ready")
    await ended.wait()


def _answer(link: Link, ended: asyncio.Event) -> None:
    if os.read(sys.stdin.fileno(), 1024):
        _say(json.dumps(asdict(link.counts)))
    else:
        ended.set()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


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


class Relay:
    """A running relay: ``host`` is the address to connect to."""

    def __init__(self, host: str, process: subprocess.Popen[bytes]) -> None:
        self.host = host
        self._process = process

    def counts(self) -> Counts:
        """Return what has crossed the link so far."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(b"counts\n")
        self._process.stdin.flush()
        return Counts(**json.loads(self._process.stdout.readline()))


@contextlib.contextmanager
def relayed(
    ports: range,
    *,
    rtt: float = 0.008,
    rate: float = 12e6,
    host: str = "127.0.0.2",
    server: str = "127.0.0.1",
) -> Iterator[Relay]:
    """Relay ``ports`` of ``server`` for the ``with`` block.

    ``rtt`` is the round trip in seconds, ``rate`` the bytes per second each way (0: no limit).
    """
    command = [sys.executable, "-m", "tests.support.slowlink", "--listen", host, "--to", server]
    command += ["--ports", f"{ports[0]}-{ports[-1]}"]
    command += ["--rtt-ms", str(rtt * 1000), "--mbytes-per-second", str(rate / 1e6)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the slow link did not start on {host}:{ports[0]}")
        yield Relay(host, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        process.stdout.close()


@contextlib.contextmanager
def slow_link(ports: range, *, rtt: float = 0.008, rate: float = 12e6) -> Iterator[str]:
    """Do as `relayed` does; yield the address to connect to."""
    with relayed(ports, rtt=rtt, rate=rate) as relay:
        yield relay.host


if __name__ == "__main__":
    main()
