"""A TCP relay between the driver and a server that breaks things on command: control and data connections alike.

It listens on another loopback address with the same port numbers as the server behind it, so that passive FTP works
unchanged. What goes through is TLS, so that a strike is triggered by who knows the step (a gate of the simulated
printer, a server's log: see `strike_when`) or by a number of bytes (`strike_after`).

    with fault_proxy(ports) as proxy:
        printer.hold("STOR", after_bytes=1000) ... proxy.strike(Fault.RESET)
"""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field

HOST = "127.0.0.3"

_CHUNK = 65536
_BACKLOG = 64
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Fault(enum.Enum):
    """What may happen to the connections that there are."""

    RESET = "reset"
    """Both ends get an RST."""
    HALF_CLOSE = "half-close"
    """The driver gets a FIN in the middle, without the printer's close_notify; its own bytes still go through."""
    FIN_TO_PRINTER = "FIN to the printer"
    """The printer gets a FIN: a link that broke so looks like the end of a file to an ESP32 printer."""
    BLACK_HOLE = "black hole"
    """Whatever is sent is swallowed, and nobody takes a further connection, until `FaultProxy.mend`."""
    STALL = "stall"
    """Nothing moves until `FaultProxy.mend`, and nothing is lost."""


@dataclass(eq=False)
class _End:
    """One socket of a relayed connection, and what has still to be sent to it."""

    sock: socket.socket
    to_printer: bool
    out: bytearray = field(default_factory=bytearray)
    has_ended: bool = False
    owes_fin: bool = False
    is_connected: bool = True


@dataclass(eq=False)
class _Link:
    """A connection of the driver, and that to the server made for it."""

    driver: _End
    printer: _End
    is_data: bool
    is_stalled: bool = False
    is_swallowed: bool = False

    def other(self, end: _End) -> _End:
        return self.printer if end is self.driver else self.driver


@dataclass(eq=False)
class _Trigger:
    """A fault that waits for its moment: ``left`` more bytes in one direction, or a condition."""

    fault: Fault
    is_data: bool
    to_printer: bool
    hits_control: bool
    left: int = 0
    condition: Callable[[], bool] | None = None
    struck: threading.Event = field(default_factory=threading.Event)


class FaultProxy:
    """The relay; `fault_proxy` makes one. Its methods return when what they do has been done."""

    def __init__(self, ports: range, host: str, server: str) -> None:
        self.host, self.port, self._server = host, ports[0], server
        self._selector = selectors.DefaultSelector()
        self._links: list[_Link] = []
        self._triggers: list[_Trigger] = []
        self._orders: list[tuple[Callable[[], None], Future[None]]] = []
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._selector.register(self._woken, _READ)
        self._fillers: list[socket.socket] = []
        self._listeners = {port: self._listen(port) for port in ports}
        self.connections = 0
        self.strikes = 0
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<FaultProxy {self.host}:{self.port}, {len(self._links)} connections>"

    # --- for tests --------------------------------------------------------------------------------

    def strike(self, fault: Fault, *, data: bool = True, control: bool = True) -> None:
        """Let ``fault`` happen now to all connections of the kinds named."""
        self._order(lambda: self._strike_all(fault, data=data, control=control))

    def strike_after(
        self, count: int, fault: Fault, *, data: bool, to_printer: bool, control: bool = True
    ) -> threading.Event:
        """Let ``fault`` happen once ``count`` more bytes went through connections of that kind; returns what is set
        when it has. The byte after them does not arrive. It hits control connections unless ``control`` is false."""
        trigger = _Trigger(fault, data, to_printer, control, left=count)
        self._order(lambda: self._triggers.append(trigger))
        return trigger.struck

    def strike_when(self, condition: Callable[[], bool], fault: Fault) -> threading.Event:
        """Let ``fault`` happen instead of the next reply of the printer that comes while ``condition()``."""
        trigger = _Trigger(fault, is_data=False, to_printer=False, hits_control=True, condition=condition)
        self._order(lambda: self._triggers.append(trigger))
        return trigger.struck

    def mend(self) -> None:
        """All goes through again, and no fault waits for its moment any more.

        What stalled goes on; what was swallowed is reset, as by a printer that was off.
        """
        self._order(self._mend)

    def close(self) -> None:
        """End everything."""

        def end() -> None:
            self._closing = True

        self._order(end)
        self._thread.join(10)

    def _order(self, act: Callable[[], None]) -> None:
        done: Future[None] = Future()
        with self._lock:
            self._orders.append((act, done))
        with contextlib.suppress(OSError):  # it is full, or everything has ended meanwhile
            self._wake.send(b"x")
        done.result(10)

    # --- the loop ---------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            for key, events in self._selector.select(1.0):
                if key.fileobj is self._woken:
                    self._woken.recv(4096)
                elif isinstance(key.data, int):
                    self._accept(key.data)
                else:
                    link, end = key.data
                    self._serve(link, end, events)
            self._obey()
        self._end_all()

    def _obey(self) -> None:
        with self._lock:
            orders, self._orders = self._orders, []
        for act, done in orders:
            act()
            done.set_result(None)

    def _end_all(self) -> None:
        for link in list(self._links):
            self._drop(link)
        for sock in (*self._listeners.values(), *self._fillers, self._wake, self._woken):
            sock.close()
        self._selector.close()

    def _listen(self, port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((self.host, port))
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._selector.register(listener, _READ, port)
        return listener

    def _accept(self, port: int) -> None:
        try:
            taken, _ = self._listeners[port].accept()
        except OSError:
            return
        onward = socket.socket()
        for sock in (taken, onward):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        onward.connect_ex((self._server, port))
        self.connections += 1
        printer = _End(onward, to_printer=True, is_connected=False)
        link = _Link(_End(taken, to_printer=False), printer, is_data=port != self.port)
        self._links.append(link)
        self._refresh(link)

    def _refresh(self, link: _Link) -> None:
        """Wait for what each end can do now."""
        for end in (link.driver, link.printer):
            room = len(link.other(end).out) < _CHUNK * 2
            may_read = not end.has_ended and end.is_connected and (link.is_swallowed or (room and not link.is_stalled))
            may_write = not end.is_connected or (bool(end.out) and not link.is_stalled)
            events = (_READ if may_read else 0) | (_WRITE if may_write else 0)
            known = end.sock in self._selector.get_map()
            if events and known:
                self._selector.modify(end.sock, events, (link, end))
            elif events:
                self._selector.register(end.sock, events, (link, end))
            elif known:
                self._selector.unregister(end.sock)

    def _serve(self, link: _Link, end: _End, events: int) -> None:
        if link not in self._links:
            return
        try:
            if events & _WRITE:
                self._write(end)
            if events & _READ:
                self._read(link, end)
        except OSError:  # one end is gone, or the server takes no connection: so is the other
            self._drop(link, reset=True)
        if link in self._links:
            self._end_or_go_on(link)

    def _end_or_go_on(self, link: _Link) -> None:
        for end in (link.driver, link.printer):
            if end.owes_fin and not end.out and end.is_connected:
                end.owes_fin = False
                with contextlib.suppress(OSError):
                    end.sock.shutdown(socket.SHUT_WR)
        is_over = link.driver.has_ended and link.printer.has_ended and not link.driver.out and not link.printer.out
        if is_over and not link.is_stalled:
            self._drop(link)
        else:
            self._refresh(link)

    def _write(self, end: _End) -> None:
        if not end.is_connected:
            code = end.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, "the server does not take the connection")
            end.is_connected = True
        if end.out:
            del end.out[: end.sock.send(end.out)]

    def _read(self, link: _Link, end: _End) -> None:
        block = end.sock.recv(_CHUNK)
        other = link.other(end)
        if link.is_swallowed:
            end.has_ended = end.has_ended or not block
        elif block:
            self._forward(link, other, block)
        else:
            end.has_ended = other.owes_fin = True

    def _forward(self, link: _Link, to: _End, block: bytes) -> None:
        trigger = self._due(link, to, len(block))
        if trigger is None:
            to.out += block
            return
        self._triggers.remove(trigger)
        to.out += block[: trigger.left]
        with contextlib.suppress(OSError):
            del to.out[: to.sock.send(to.out)]
        if trigger.fault is Fault.STALL:
            to.out += block[trigger.left :]
        self._strike_all(trigger.fault, data=True, control=trigger.hits_control)
        trigger.struck.set()

    def _due(self, link: _Link, to: _End, count: int) -> _Trigger | None:
        """The trigger whose moment is within the next ``count`` bytes."""
        for trigger in self._triggers:
            if (trigger.is_data, trigger.to_printer) != (link.is_data, to.to_printer):
                continue
            if trigger.condition is not None and trigger.condition():
                return trigger
            if trigger.condition is None and trigger.left < count:
                return trigger
            trigger.left -= count if trigger.condition is None else 0
        return None

    # --- faults -----------------------------------------------------------------------------------

    def _strike_all(self, fault: Fault, *, data: bool, control: bool) -> None:
        self.strikes += 1
        for link in list(self._links):
            if data if link.is_data else control:
                self._strike(link, fault)
        if fault is Fault.BLACK_HOLE:
            self._stop_accepting()

    def _strike(self, link: _Link, fault: Fault) -> None:
        if fault is Fault.RESET:
            self._drop(link, reset=True)
            return
        if fault is Fault.HALF_CLOSE:
            link.printer.has_ended = True
            link.driver.owes_fin = True
        elif fault is Fault.FIN_TO_PRINTER:
            link.driver.has_ended = True
            link.printer.owes_fin = True
        elif fault is Fault.BLACK_HOLE:
            link.is_swallowed = True
            link.driver.out.clear()
            link.printer.out.clear()
        else:
            link.is_stalled = True
        self._end_or_go_on(link)

    def _stop_accepting(self) -> None:
        """Let the kernel drop who connects: the queue of connections is of length one, and full."""
        listener = self._listeners[self.port]
        if self._fillers:
            return
        self._selector.unregister(listener)
        listener.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
            self._fillers.append(filler)

    def _mend(self) -> None:
        self._triggers.clear()
        for link in list(self._links):
            link.is_stalled = False
            if link.is_swallowed:
                self._drop(link, reset=True)
            else:
                self._end_or_go_on(link)
        listener = self._listeners[self.port]
        if self._fillers:
            for filler in self._fillers:
                filler.close()
            self._fillers.clear()
            listener.listen(_BACKLOG)
            self._selector.register(listener, _READ, self.port)

    def _drop(self, link: _Link, *, reset: bool = False) -> None:
        self._links.remove(link)
        for end in (link.driver, link.printer):
            if end.sock in self._selector.get_map():
                self._selector.unregister(end.sock)
            if reset:
                with contextlib.suppress(OSError):
                    end.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            end.sock.close()


@contextlib.contextmanager
def fault_proxy(ports: range, *, host: str = HOST, server: str = "127.0.0.1") -> Iterator[FaultProxy]:
    """Relay ``ports`` of ``server`` for the ``with`` block; the first of them is the control port."""
    proxy = FaultProxy(ports, host, server)
    try:
        yield proxy
    finally:
        proxy.close()
